from __future__ import annotations

import json
import pickle
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from jupyter_tokens.errors import ConfigurationError, HandleRefused, ParameterError, Throttled, TokenError
from jupyter_tokens.protocol import handles as handles_module
from jupyter_tokens.protocol import proof as proof_module
from jupyter_tokens.protocol.handles import MAX_LEASE_SECONDS, Handle, Handles, IssuedHandle
from jupyter_tokens.protocol.proof import WINDOW_SECONDS, prove

from ..doubles import Clock

ADA, BOB = "user ada", "user bob"
BODY = b'{"profile": "oneaccess"}'


@pytest.fixture
def handles(clock: Clock) -> Handles:
    return Handles(clock)


def issue(handles: Handles, handle: Handle, owner: str = ADA, **other: Any) -> IssuedHandle:
    facts = {"handle_id": handle.id, "key": handle.key.hex(), "profile": handle.profile, "params": dict(handle.params)}
    return handles.issue(owner, **{**facts, "lease": 900.0, **other})


def asked(handles: Handles, handle: Handle, clock: Clock, *, ago: float = 0.0, **other: Any) -> IssuedHandle:
    header = handle.prove("token", BODY, time=int(clock.now() - ago), nonce=other.pop("nonce", uuid4().hex))
    return handles.check(**{"handle_id": handle.id, "action": "token", "header": header, "body": BODY, **other})


class TestHandle:
    def test_travels_whole(self) -> None:
        handle = Handle.new("pai-dlc", {"TargetId": "dlc1", "ExpireTime": 60, "Tags": ["a", "b"]})
        assert pickle.loads(pickle.dumps(handle)) == handle
        assert Handle.from_json(handle.to_json()) == handle
        assert handle != Handle.new("pai-dlc", dict(handle.params))

    def test_shows_no_key(self) -> None:
        handle = Handle.new("oneaccess", {})
        assert handle.key.hex() not in repr(handle)
        assert repr(handle.key) not in repr(handle)

    @pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"key": "s3cr3t"}', "[" * 100_000])
    def test_what_is_none_is_not_quoted(self, text: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Handle.from_json(text)
        assert "s3cr3t" not in str(caught.value)


class TestWhoGetsIn:
    def test_the_holder(self, handles: Handles, clock: Clock) -> None:
        handle = Handle.new("oneaccess", {})
        issue(handles, handle)
        clock.advance(5)
        issued = asked(handles, handle, clock)
        assert (issued.profile, issued.owner, issued.uses) == ("oneaccess", ADA, 1)
        assert issued.used_at is not None
        assert issued.used_at.timestamp() == clock.now()

    @pytest.mark.parametrize("other", [{"action": "renew"}, {"body": b"{}"}, {"header": ""}])
    def test_a_proof_is_for_one_action_and_body(self, handles: Handles, clock: Clock, other: dict[str, Any]) -> None:
        handle = Handle.new("oneaccess", {})
        issue(handles, handle)
        with pytest.raises(HandleRefused, match="does not prove"):
            asked(handles, handle, clock, **other)

    def test_not_with_another_handles_key(self, handles: Handles, clock: Clock) -> None:
        mine, other = Handle.new("oneaccess", {}), Handle.new("oneaccess", {})
        issue(handles, mine)
        issue(handles, other)
        with pytest.raises(HandleRefused, match="does not prove"):
            asked(handles, other, clock, handle_id=mine.id)

    def test_a_kernels_proof_is_no_handles(self, handles: Handles, clock: Clock) -> None:
        handle = Handle.new("oneaccess", {})
        issue(handles, handle)
        header = prove(handle.key, handle.id, "token", BODY, time=int(clock.now()), nonce=uuid4().hex)
        with pytest.raises(HandleRefused, match="does not prove"):
            asked(handles, handle, clock, header=header)

    def test_each_proof_once(self, handles: Handles, clock: Clock) -> None:
        handle, nonce = Handle.new("oneaccess", {}), uuid4().hex
        issue(handles, handle)
        asked(handles, handle, clock, nonce=nonce)
        with pytest.raises(HandleRefused, match="used already"):
            asked(handles, handle, clock, nonce=nonce)
        with pytest.raises(HandleRefused, match="clocks"):
            asked(handles, handle, clock, ago=WINDOW_SECONDS + 1)

    def test_an_unknown_one(self, handles: Handles, clock: Clock) -> None:
        with pytest.raises(HandleRefused, match="does not know"):
            asked(handles, Handle.new("oneaccess", {}), clock)

    def test_not_without_end(self, handles: Handles, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(proof_module, "MAX_NONCES", 2)
        handle = Handle.new("oneaccess", {})
        issue(handles, handle)
        for _ in range(2):
            asked(handles, handle, clock)
        with pytest.raises(Throttled) as caught:
            asked(handles, handle, clock)
        assert caught.value.retry_after == WINDOW_SECONDS


class TestLease:
    def test_ends_at_the_issuer(self, handles: Handles, clock: Clock) -> None:
        handle = Handle.new("oneaccess", {})
        issued = issue(handles, handle, lease=10.0)
        assert datetime.fromisoformat(handles.to_dict(issued)["lease_ends_at"]).timestamp() == clock.now() + 10
        clock.advance(9.9)
        asked(handles, handle, clock)
        clock.advance(0.1)
        with pytest.raises(HandleRefused, match="lease") as caught:
            asked(handles, handle, clock)
        assert caught.value.hint
        assert handles.in_use() == []

    def test_is_renewed_also_after_its_end(self, handles: Handles, clock: Clock) -> None:
        handle = Handle.new("oneaccess", {})
        issue(handles, handle, lease=10.0)
        for seconds in (9, 9, 30):
            clock.advance(seconds)
            handles.renew(handle.id)
            asked(handles, handle, clock)

    def test_ends_for_good(self, handles: Handles, clock: Clock) -> None:
        handle = Handle.new("oneaccess", {})
        issue(handles, handle)
        handles.revoke(handle.id)
        handles.revoke(Handle.new("x", {}).id)
        assert handles.in_use() == []
        for again in (
            lambda: asked(handles, handle, clock),
            lambda: handles.renew(handle.id),
            lambda: issue(handles, handle),
        ):
            with pytest.raises(HandleRefused, match="revoked"):
                again()

    def test_the_reason_is_told_for_a_while(self, handles: Handles, clock: Clock) -> None:
        handle = Handle.new("oneaccess", {})
        issue(handles, handle, lease=10.0)
        clock.advance(1000)
        issue(handles, Handle.new("oneaccess", {}))
        assert handles.get(handle.id) is not None
        clock.advance(3000)
        issue(handles, Handle.new("oneaccess", {}))
        assert handles.get(handle.id) is None
        with pytest.raises(HandleRefused, match="does not know this handle"):
            handles.renew(handle.id)

    @pytest.mark.parametrize("lease", [0.0, -1.0, MAX_LEASE_SECONDS + 1, float("nan"), float("inf")])
    def test_its_length(self, handles: Handles, lease: float) -> None:
        with pytest.raises(ParameterError, match="lease"):
            issue(handles, Handle.new("oneaccess", {}), lease=lease)


class TestIssuing:
    def test_again_is_a_renewal(self, handles: Handles, clock: Clock) -> None:
        handle = Handle.new("oneaccess", {})
        first = issue(handles, handle, lease=10.0)
        clock.advance(20)
        assert issue(handles, handle, lease=30.0).ends_at == first.ends_at + 40
        clock.advance(29)
        asked(handles, handle, clock)

    def test_a_new_issuer_takes_it_as_it_was(self, clock: Clock) -> None:
        handle = Handle.new("oneaccess", {})
        issue(Handles(clock), handle)
        anew = Handles(clock)
        issue(anew, handle)
        asked(anew, handle, clock)

    @pytest.mark.parametrize(
        "other", [{"owner": BOB}, {"key": "0" * 64}, {"profile": "astra"}, {"params": {"account_id": "1"}}]
    )
    def test_an_id_stays_what_it_was(self, handles: Handles, clock: Clock, other: dict[str, Any]) -> None:
        handle = Handle.new("oneaccess", {})
        issue(handles, handle)
        with pytest.raises(HandleRefused):
            issue(handles, handle, **other)
        assert asked(handles, handle, clock).owner == ADA

    @pytest.mark.parametrize("other", [{"key": "c4n4ry"}, {"key": "A" * 64}, {"handle_id": "../x"}, {"handle_id": ""}])
    def test_keys_of_full_length(self, handles: Handles, other: dict[str, Any]) -> None:
        with pytest.raises(ParameterError) as caught:
            issue(handles, Handle.new("oneaccess", {}), **other)
        assert "c4n4ry" not in str(caught.value)

    def test_of_each_owner_so_many(self, handles: Handles, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(handles_module, "MAX_HANDLES", 2)
        for _ in range(2):
            issue(handles, Handle.new("oneaccess", {}), lease=10.0)
        with pytest.raises(Throttled):
            issue(handles, Handle.new("oneaccess", {}))
        issue(handles, Handle.new("oneaccess", {}), BOB)
        assert [len(handles.in_use(owner)) for owner in (ADA, BOB, None)] == [2, 1, 3]
        clock.advance(10)
        issue(handles, Handle.new("oneaccess", {}))

    def test_of_each_owner_so_many_are_kept_with_those_that_have_ended(
        self, handles: Handles, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handles_module, "MAX_STORED_HANDLES", 2)
        for _ in range(2):
            handle = Handle.new("oneaccess", {})
            issue(handles, handle, lease=10.0)
            handles.revoke(handle.id)
        with pytest.raises(Throttled, match="short time"):
            issue(handles, Handle.new("oneaccess", {}))
        issue(handles, Handle.new("oneaccess", {}), BOB)
        clock.advance(3610)
        issue(handles, Handle.new("oneaccess", {}))


class TestWhatItIsFor:
    @pytest.mark.parametrize(
        "params", [{}, {"TargetId": "dlc1"}, {"TargetId": "dlc1", "ExpireTime": "60"}, {"Tags": ["a", "b"]}]
    )
    def test_calls_with_its_parameters(self, handles: Handles, params: dict[str, Any]) -> None:
        given = {"TargetId": "dlc1", "ExpireTime": 60, "Tags": ["a", "b"]}
        issued = issue(handles, Handle.new("pai-dlc", given))
        assert issued.call_params("pai-dlc", params) == {**given, "ExpireTime": "60"}

    @pytest.mark.parametrize(
        ("profile", "params"),
        [
            ("astra", {}),
            ("pai-dlc", {"TargetId": "dlc2"}),
            ("pai-dlc", {"Other": "x"}),
            ("pai-dlc", {"TargetId": {"a": 1}}),
        ],
    )
    def test_no_others(self, handles: Handles, profile: str, params: dict[str, Any]) -> None:
        issued = issue(handles, Handle.new("pai-dlc", {"TargetId": "dlc1"}))
        with pytest.raises(HandleRefused):
            issued.call_params(profile, params)


def test_what_is_told_is_not_the_key(handles: Handles) -> None:
    handle = Handle.new("pai-dlc", {"Tags": ["a"]})
    told = json.dumps(handles.to_dict(issue(handles, handle)))
    assert handle.id in told
    assert handle.key.hex() not in told


def test_its_error_is_the_same_on_the_far_side() -> None:
    error = TokenError.from_dict(HandleRefused("m", hint="h", profile="p").to_dict())
    assert type(error) is HandleRefused
    assert str(error) == "p: m h"
