"""Two sources that share a store, as two processes do: who calls, who is served, and what the store holds."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import ConfigurationError, Forbidden, TimedOut, Unauthorized
from jupyter_tokens.sources.local import Fetched, LocalSource
from jupyter_tokens.sources.stores import TokenStore
from jupyter_tokens.token import Secret
from jupyter_tokens.transport import Transport

from ..doubles import CANARY, Clock
from .conftest import warnings

ONE = {
    "provider": "oneaccess",
    "endpoint": "https://one.example.com",
    "client_id": "c",
    "client_secret": CANARY,
}
ASTRA = {
    "provider": "astra",
    "endpoint": "https://astra.example.com",
    "api_token": CANARY,
    "params": {"account_id": "a", "user_id": "u", "token_id": "t"},
}
MODELARTS = {
    "provider": "modelarts",
    "endpoint": "https://modelarts.example.com",
    "iam_endpoint": "https://iam.example.com",
    "username": "u",
    "password": CANARY,
    "domain_name": "d",
    "api": "demanager",
    "params": {"project_id": "p", "instance_id": "i"},
}
ALIBABA = {"endpoint": "https://alibaba.example.com", "access_key_id": "i", "access_key_secret": CANARY}
SINGLE_VALUES: dict[str, dict[str, Any]] = {
    "pai-dsw": {**ALIBABA, "params": {"InstanceId": "dsw-1", "ExpireTime": 3600}},
    "eiam-oauth": {
        **ALIBABA,
        "subject_token": CANARY,
        "params": {"InstanceId": "i", "ApplicationId": "a", "Audience": "https://x", "ScopeValues": ["r", "w"]},
    },
    "dashscope": {"endpoint": "https://dashscope.example.com", "api_key": CANARY},
    "huawei-iam": {
        "endpoint": "https://iam.example.com",
        "username": "u",
        "password": CANARY,
        "domain_name": "d",
    },
}
STS = {
    "provider": "huawei-sts",
    "endpoint": "https://sts.example.com",
    "access_key": "i",
    "secret_key": CANARY,
    "params": {"agency_urn": "iam::d:agency:a", "agency_session_name": "me"},
}
LIFE = 3600


class Vendor:
    """Answers each call with another token."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.status = 200
        self.before: Callable[[], object] = lambda: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request.url.path)
        self.before()
        if self.status != 200:
            return httpx.Response(self.status, json={"error_code": "x", "error_msg": f"echoes {CANARY}"})
        if request.url.path == "/v3/auth/tokens":
            body: dict[str, Any] = {"token": {"expires_at": "2026-01-16T08:30:00Z"}}
            return httpx.Response(201, json=body, headers={"X-Subject-Token": f"iam-token-{len(self.calls)}"})
        names = ("access_key_id", "secret_access_key", "security_token")
        key = {name: f"{self.token}-{name}" for name in names}
        single = {
            "/": {"TokenResponse": {"AccessToken": self.token, "TokenType": "Bearer"}},
            "/api/v2/tokens": {"Token": self.token},
            "/api/v1/tokens": {"token": self.token},
            "/v5/agencies/assume": {"credentials": {**key, "expiration": "2026-01-15T09:30:00.158Z"}},
        }
        if request.url.path in single:
            return httpx.Response(200, json=single[request.url.path])
        if request.url.path.startswith("/accounts/"):
            return httpx.Response(200, json={"type": "application/astra-token", "id": "t"})
        if "demanager" in request.url.path or "instances" in request.url.path:
            return httpx.Response(200, json={"token": self.token, "expires_at": 1_768_465_800_000 + LIFE * 1000})
        body = {"access_token": self.token, "id_token": f"id-{self.token}", "token_type": "Bearer"}
        return httpx.Response(200, json={**body, "expires_in": LIFE})

    @property
    def token(self) -> str:
        return f"c4n4ry-t0ken-{len(self.calls)}"


@dataclass
class Machine:
    """Opens sources that have nothing in common but the store."""

    vendor: Vendor
    folder: Path

    def source(self, clock: Clock, **profiles: dict[str, Any]) -> LocalSource:
        transport = Transport(clock=clock, transport=httpx.MockTransport(self.vendor))
        return LocalSource(Profiles.from_settings(profiles or {"one": ONE}), clock=clock, transport=transport)

    def slots(self) -> list[Path]:
        return sorted(self.folder.glob("*.slot"))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    folder = tmp_path / "store"
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", f"file:{folder}")
    yield Machine(Vendor(), folder)
    for file in folder.rglob("*"):
        # Neither a secret nor a token, of whatever the test has fetched.
        held = file.name.encode() + file.read_bytes()
        assert b"c4n4ry" not in held
        assert b"iam-token" not in held


def value(source: LocalSource, profile: str = "one", **asked: Any) -> str:
    return source.get(source.key(profile), **asked).reveal()


def test_the_second_process_is_served_what_the_first_has_fetched(machine: Machine, clock: Clock) -> None:
    first, second = machine.source(clock), machine.source(clock)
    fetched: list[Fetched] = []
    second.observe(fetched.append)
    token, same = first.get(first.key("one")), second.get(second.key("one"))
    assert same.reveal() == token.reveal()
    assert abs((same.expires_at - token.expires_at).total_seconds()) < 0.001  # type: ignore[operator]
    assert abs((same.obtained_at - token.obtained_at).total_seconds()) < 0.001
    assert same.headers() == token.headers()
    other = same.metadata["id_token"]
    assert isinstance(other, Secret)
    assert other.reveal() == token.metadata["id_token"].reveal()
    assert len(machine.vendor.calls) == 1
    # A metric of calls does not count what was no call.
    assert fetched == []


def test_files_and_folder_are_this_users_alone(machine: Machine, clock: Clock) -> None:
    value(machine.source(clock))
    assert machine.folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in machine.folder.iterdir()} == {0o600}
    key = Path(os.environ["JUPYTER_DATA_DIR"]) / "jupyter_tokens_store.key"
    assert key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "changed",
    [
        {"client_secret": f"{CANARY}-2"},
        {"client_id": "d"},
        {"endpoint": "https://two.example.com"},
        {"verify": "/x.pem"},
    ],
    ids=["secret", "reference", "setting", "verify"],
)
def test_another_credential_or_place_is_another_slot(machine: Machine, clock: Clock, changed: dict[str, Any]) -> None:
    first, second = machine.source(clock), machine.source(clock, one={**ONE, **changed})
    assert value(first) != value(second)
    assert len(machine.slots()) == 2


def test_where_a_secret_comes_from_and_what_the_profile_is_called_does_not_matter(
    machine: Machine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_ONE", CANARY)
    first = machine.source(clock)
    second = machine.source(clock, other={**ONE, "client_secret": "env:SECRET_OF_ONE", "env": "X", "timeout": 5})
    token = first.get(first.key("one"))
    same = second.get(second.key("other"))
    assert (same.reveal(), same.profile) == (token.reveal(), "other")


def test_params_have_slots_of_their_own(machine: Machine, clock: Clock) -> None:
    oauth = {"provider": "oauth2", "endpoint": "https://one.example.com/t", "client_id": "c", "client_secret": CANARY}
    first, second = machine.source(clock, one=oauth), machine.source(clock, one={**oauth, "params": {"scope": "x"}})
    assert value(first) != value(second)


def test_a_login_is_known_by_its_user_and_not_by_the_tokens_it_has_got(machine: Machine, clock: Clock) -> None:
    first, second = machine.source(clock, ma=MODELARTS), machine.source(clock, ma=MODELARTS)
    key = first.key("ma")
    token = first.get(key)
    assert second.get(key).reveal() == token.reveal()
    calls = len(machine.vendor.calls)
    # This one's login has tokens by now.
    first.get(key, refresh=True)
    assert second.get(key, newer_than=token.obtained_at).reveal() == first.get(key).reveal() != token.reveal()
    assert len(machine.vendor.calls) == calls + 1


@pytest.mark.parametrize(
    ("provider", "changed"),
    [
        ("pai-dsw", {"access_key_id": "j"}),
        ("pai-dsw", {"access_key_secret": f"{CANARY}-2"}),
        ("eiam-oauth", {"subject_token": f"{CANARY}-2"}),
        ("eiam-oauth", {"params": {**SINGLE_VALUES["eiam-oauth"]["params"], "ScopeValues": ["r"]}}),
        ("dashscope", {"api_key": f"{CANARY}-2"}),
        ("huawei-iam", {"username": "v"}),
        ("huawei-iam", {"password": f"{CANARY}-2"}),
        ("huawei-iam", {"username": "", "password": "", "domain_name": "", "auth_token": CANARY}),
    ],
)
def test_a_token_is_shared_with_its_header_by_those_who_have_the_same_credential(
    machine: Machine, clock: Clock, provider: str, changed: dict[str, Any]
) -> None:
    settings = {"provider": provider, **SINGLE_VALUES[provider]}
    first, second = machine.source(clock, one=settings), machine.source(clock, one=settings)
    token = first.get(first.key("one"))
    assert second.get(second.key("one")).headers() == token.headers()
    assert len(machine.vendor.calls) == 1
    assert value(machine.source(clock, one={**settings, **changed})) != token.reveal()


def test_the_values_of_a_key_are_shared_all_at_once(machine: Machine, clock: Clock) -> None:
    first, second = machine.source(clock, one=STS), machine.source(clock, one=STS)
    key = first.key("one")
    values = first.get(key).values()
    assert len(set(values.values())) == 3
    assert second.get(key).values() == values
    assert len(machine.vendor.calls) == 1
    renewed = first.get(key, refresh=True)
    assert second.get(key, newer_than=second.get(key).obtained_at).values() == renewed.values()
    assert not set(renewed.values().values()) & set(values.values())
    other = machine.source(clock, one={**STS, "secret_key": f"{CANARY}-2"})
    assert not set(other.get(key).values().values()) & set(renewed.values().values())


def test_a_refresh_calls_and_the_others_take_its_token(machine: Machine, clock: Clock) -> None:
    first, second = machine.source(clock), machine.source(clock)
    old = first.get(first.key("one"))
    assert value(second) == old.reveal()
    new = value(first, refresh=True)
    # In the same second as the old one: it is newer by its fence.
    assert value(second, newer_than=old.obtained_at) == new != old.reveal()
    assert len(machine.vendor.calls) == 2


def test_a_refused_token_is_not_served_again(machine: Machine, clock: Clock) -> None:
    first, second = machine.source(clock), machine.source(clock)
    old = first.get(first.key("one"))
    # A process that has never seen it, as a new server that a kernel asks.
    assert value(second, newer_than=old.obtained_at) != old.reveal()


def test_a_token_in_its_last_moments_is_not_served(machine: Machine, clock: Clock) -> None:
    old = value(machine.source(clock))
    clock.advance(LIFE - 61)
    assert value(machine.source(clock)) == old
    clock.advance(2)
    assert value(machine.source(clock)) != old


def test_what_has_expired_is_swept(machine: Machine, clock: Clock) -> None:
    value(machine.source(clock))
    (before,) = machine.slots()
    clock.advance(LIFE)
    value(machine.source(clock, one={**ONE, "client_id": "another"}))
    assert before not in machine.slots()


def test_the_fence_goes_up_as_long_as_there_is_a_slot(machine: Machine, clock: Clock) -> None:
    store = TokenStore.configured().open(clock)
    assert store is not None

    def fill(name: str, days: int) -> int:
        with store.lock(name, seconds=0) as fence:
            store.put(name, b"", life=days * 86_400, fence=fence)
        os.utime(machine.folder / f"{name}.lock", (clock.now(), clock.now()))
        return fence

    assert [fill("long", 30), fill("long", 30)] == [1, 2]
    clock.advance(2 * 86_400)
    fill("short", 1)
    assert fill("long", 3) == 3
    clock.advance(4 * 86_400)
    fill("short", 1)
    assert not (machine.folder / "long.lock").exists()


def test_a_refused_credential_is_shown_once_by_all_for_a_while(machine: Machine, clock: Clock) -> None:
    machine.vendor.status = 401
    for _ in range(3):
        source = machine.source(clock)
        with pytest.raises(Unauthorized) as caught:
            value(source)
        assert CANARY not in str(caught.value)
        assert caught.value.profile == "one"
    assert len(machine.vendor.calls) == 1
    with pytest.raises(Unauthorized):
        value(machine.source(clock), refresh=True)
    assert len(machine.vendor.calls) == 2
    machine.vendor.status = 200
    clock.advance(10)
    value(machine.source(clock))
    assert len(machine.vendor.calls) == 3


def test_a_success_ends_the_refusal(machine: Machine, clock: Clock) -> None:
    source = machine.source(clock)
    machine.vendor.status = 401
    with pytest.raises(Unauthorized):
        value(source)
    machine.vendor.status = 200
    token = source.get(source.key("one"), refresh=True)
    assert value(machine.source(clock), newer_than=token.obtained_at) != token.reveal()


def test_a_changed_secret_does_not_wait_for_the_refusal_of_the_old_one(machine: Machine, clock: Clock) -> None:
    machine.vendor.status = 401
    with pytest.raises(Unauthorized):
        value(machine.source(clock))
    machine.vendor.status = 200
    assert value(machine.source(clock, one={**ONE, "client_secret": "right"}))


def test_a_refusal_takes_no_living_token_from_the_others(machine: Machine, clock: Clock) -> None:
    old = value(machine.source(clock))
    machine.vendor.status = 401
    with pytest.raises(Unauthorized):
        value(machine.source(clock), refresh=True)
    assert value(machine.source(clock)) == old


@pytest.mark.parametrize(("status", "kind"), [(403, Forbidden), (0, TimedOut)], ids=["forbidden", "timed out"])
def test_other_failures_are_shared_by_those_who_waited_and_not_kept(
    machine: Machine, clock: Clock, status: int, kind: type[Exception]
) -> None:
    under_way, waiting = threading.Event(), threading.Event()

    def hold() -> None:
        under_way.set()
        assert waiting.wait(60)
        if not status:
            raise httpx.ReadTimeout("slow")

    machine.vendor.status, machine.vendor.before = status, hold
    failed: list[Exception] = []
    fetched: list[Fetched] = []
    waiter = machine.source(clock)
    waiter.observe(fetched.append)

    def ask(source: LocalSource) -> None:
        try:
            value(source)
        except kind as error:
            failed.append(error)

    first = threading.Thread(target=ask, args=[machine.source(clock)])
    first.start()
    assert under_way.wait(60)
    second = threading.Thread(target=ask, args=[waiter])
    looks = clock.looks
    second.start()
    while clock.looks < looks + 20:
        # It asks for the time while it waits for the lock.
        assert second.is_alive()
    waiting.set()
    first.join(60)
    second.join(60)
    assert [type(error) for error in failed] == [kind, kind]
    assert fetched == []
    machine.vendor.status, machine.vendor.before = 200, lambda: None
    assert value(waiter)


def test_a_holder_that_hangs_is_waited_for_no_longer_than_a_call(
    machine: Machine, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    source = machine.source(clock)
    value(source)
    (slot,) = machine.slots()
    settings = TokenStore.configured()
    other = settings.open(clock)
    assert other is not None
    with other.lock(slot.stem, seconds=0):
        waiting = threading.Thread(target=value, args=[source], kwargs={"refresh": True})
        waiting.start()
        while waiting.is_alive():
            clock.advance(1)
    assert "was not free" in warnings(caplog)[0]
    assert len(machine.vendor.calls) == 2


def test_a_token_without_a_value_is_not_shared(machine: Machine, clock: Clock) -> None:
    for _ in range(2):
        source = machine.source(clock, stored=ASTRA)
        assert not source.get(source.key("stored")).has_value
    assert len(machine.vendor.calls) == 2
    assert machine.slots() == []


def test_a_token_that_is_the_profiles_own_secret_is_not_copied(machine: Machine, clock: Clock) -> None:
    source = machine.source(clock, own={"provider": "static", "token": CANARY})
    assert value(source, "own") == CANARY
    assert not machine.folder.exists()


def test_forgetting_empties_the_slot(machine: Machine, clock: Clock) -> None:
    first, second = machine.source(clock), machine.source(clock)
    old = value(first)
    first.forget(first.key("one"))
    assert machine.slots() == []
    assert (new := value(second)) != old
    second.forget_profile("one")
    assert value(first) != new


def test_a_forgotten_token_is_not_taken_from_a_slot_that_this_process_has_never_used(
    machine: Machine, clock: Clock
) -> None:
    first, second = machine.source(clock), machine.source(clock)
    old = value(first)
    second.forget_profile("one")
    assert (new := value(second)) != old
    third = machine.source(clock)
    clock.advance(2)
    third.forget(third.key("one"))
    assert value(third) not in {old, new}
    assert len(machine.vendor.calls) == 3


def test_what_was_fetched_since_a_token_was_forgotten_is_shared(machine: Machine, clock: Clock) -> None:
    first, second = machine.source(clock), machine.source(clock)
    second.forget_profile("one")
    clock.advance(2)
    token = value(first)
    assert value(second) == token
    assert len(machine.vendor.calls) == 1


DAMAGES = {
    "empty": b"",
    "no line": b"x" * 100,
    "not JSON": b"{\nx",
    "no facts": b"{}\nx",
    "a list": b"[]\nx",
    "fence": b'{"fence": "1", "put_at": 0, "ends_at": 9e9}\nx',
    "NUL": b"\0" * 5000,
    "endless": b'{"fence": 1, "put_at": 0, "ends_at": 9e99}\nx',
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_slot_is_replaced(machine: Machine, clock: Clock, damage: bytes) -> None:
    old = value(machine.source(clock))
    (slot,) = machine.slots()
    slot.write_bytes(damage)
    new = value(machine.source(clock))
    assert new != old
    assert value(machine.source(clock)) == new


def test_a_slot_that_was_moved_made_younger_or_cut_off_is_not_taken(machine: Machine, clock: Clock) -> None:
    one, two = {"one": ONE}, {"one": {**ONE, "client_id": "d"}}
    first = value(machine.source(clock, **one))
    (slot,) = machine.slots()
    value(machine.source(clock, **two))
    (other,) = (file for file in machine.slots() if file != slot)
    whole = slot.read_bytes()
    other.write_bytes(whole)
    assert value(machine.source(clock, **two)) != first
    head, _, sealed = whole.partition(b"\n")
    slot.write_bytes(json.dumps({**json.loads(head), "fence": 99}).encode() + b"\n" + sealed)
    assert value(machine.source(clock, **one)) != first
    slot.write_bytes(whole[:-10])
    assert value(machine.source(clock, **one)) != first


def test_a_new_key_seals_and_the_old_one_opens(machine: Machine, clock: Clock) -> None:
    old = value(machine.source(clock))
    (before,) = machine.slots()
    file = TokenStore.configured().rekey()
    assert len(file.read_text().split()) == 2
    assert file.stat().st_mode & 0o777 == 0o600
    assert value(machine.source(clock)) == old
    # It is sealed with the new one now, under another name.
    (after,) = machine.slots()
    assert after.name != before.name
    file.write_text(file.read_text().split()[0])
    assert value(machine.source(clock)) == old
    assert len(machine.vendor.calls) == 1
    file.write_text("another-key-of-at-least-32-characters")
    assert value(machine.source(clock)) != old


def test_only_a_few_old_keys_are_kept(machine: Machine) -> None:
    for _ in range(9):
        file = TokenStore.configured().rekey()
    assert len(file.read_text().split()) == 4


def test_no_key_is_lost_when_several_are_made_at_once(machine: Machine) -> None:
    at_once = threading.Barrier(3)

    def rekey() -> None:
        at_once.wait(60)
        TokenStore.configured().rekey()

    before = TokenStore.configured().sealing_keys()
    threads = [threading.Thread(target=rekey) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    after = TokenStore.configured().sealing_keys()
    assert len(set(after)) == 4
    assert after[3:] == before


def configure(config_dir: Path, **settings: Any) -> None:
    text = json.dumps({"TokenStore": settings, "TokenProfiles": {"profiles": {"one": ONE}}})
    file = config_dir / "jupyter_tokens_config.json"
    file.write_text(text)
    file.chmod(0o600)


def test_keys_and_place_are_configured_beside_the_profiles(
    machine: Machine, clock: Clock, config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRST_KEY", "f" * 32)
    monkeypatch.setenv("SECOND_KEY", "s" * 32)
    configure(config_dir, url=f"file:{tmp_path / 'elsewhere'}", keys=["env:FIRST_KEY"])
    old = value(machine.source(clock))
    assert not machine.folder.exists()
    assert list((tmp_path / "elsewhere").glob("*.slot"))
    assert not (Path(os.environ["JUPYTER_DATA_DIR"]) / "jupyter_tokens_store.key").exists()
    configure(config_dir, url=f"file:{tmp_path / 'elsewhere'}", keys=["env:SECOND_KEY", "env:FIRST_KEY"])
    assert value(machine.source(clock)) == old
    with pytest.raises(ConfigurationError, match="cannot be changed here"):
        TokenStore.configured().rekey()


def test_none_switches_it_off(machine: Machine, clock: Clock, config_dir: Path) -> None:
    configure(config_dir, url="none")
    assert value(machine.source(clock)) != value(machine.source(clock))
    assert not machine.folder.exists()


@pytest.mark.parametrize("url", ["memcached://:pa55word@host", "file:relative", "", 5], ids=str)
def test_a_wrong_url_is_said_without_quoting_it(machine: Machine, clock: Clock, config_dir: Path, url: Any) -> None:
    configure(config_dir, url=url)
    with pytest.raises(ConfigurationError, match=r"TokenStore\.url") as caught:
        value(machine.source(clock))
    assert "pa55word" not in str(caught.value)


@pytest.mark.parametrize("keys", [["short"], ["env:NOT_SET"], ["file:/nowhere/at/all"]], ids=str)
def test_without_a_key_each_process_fetches_by_itself(
    machine: Machine, clock: Clock, config_dir: Path, keys: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    configure(config_dir, url=f"file:{machine.folder}", keys=keys)
    source = machine.source(clock)
    assert value(source) != value(source, refresh=True)
    assert len(warnings(caplog)) == 1
    assert not machine.folder.exists()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777], ids=oct)
def test_a_folder_that_others_can_write_to_is_refused(
    machine: Machine, clock: Clock, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    machine.folder.mkdir()
    machine.folder.chmod(mode)
    source = machine.source(clock)
    assert value(source) != value(source, refresh=True)
    (said,) = warnings(caplog)
    assert f"others can write to {machine.folder}" in said
    assert list(machine.folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_a_folder_of_another_user_is_refused(machine: Machine, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    machine.folder.mkdir(mode=0o700)
    os.chown(machine.folder, 65534, 65534)
    assert value(machine.source(clock))
    assert "belongs to another user" in warnings(caplog)[0]


def test_a_folder_that_cannot_be_made_costs_only_the_sharing(
    machine: Machine, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", f"file:{tmp_path}/file/below")
    assert value(machine.source(clock))
    assert "cannot be" in warnings(caplog)[0]


def test_without_a_named_place_it_is_in_the_runtime_folder(
    machine: Machine, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", "file:")
    value(machine.source(clock))
    assert list((Path(os.environ["JUPYTER_RUNTIME_DIR"]) / "jupyter_tokens").glob("*.slot"))
    monkeypatch.delenv("JUPYTER_RUNTIME_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "session"))
    value(machine.source(clock))
    assert list((tmp_path / "session" / "jupyter_tokens").glob("*.slot"))
