"""What a server and a kernel without one share: keys, watchers, observers, and profiles that change."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import ConfigurationError, NotFound, ParameterError, TokenError, UnknownProfile
from jupyter_tokens.protocol.messages import About, ProfileEntry
from jupyter_tokens.sandbox import Sandbox, eiam, modelarts
from jupyter_tokens.sandbox.pai_dlc import DSW_INSTANCES
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.sources.local import Fetched, LocalSource
from jupyter_tokens.token import Token
from jupyter_tokens.transport import Transport

from ..doubles import CANARY, Clock, told
from .conftest import write

KEYS = {"access_key_id": "id", "access_key_secret": CANARY}
DLC = {"provider": "pai-dlc", "endpoint": "http://127.0.0.1:1", **KEYS, "env": "DLC"}
ASTRA = {
    "allow_create": True,
    "provider": "astra",
    "endpoint": "https://astra.example.com",
    "api_token": CANARY,
    "params": {"account_id": "a", "user_id": "u", "token_id": "t"},
}


class Vendor:
    """Answers each call with a token of its own."""

    def __init__(self) -> None:
        self.calls: list[httpx.Request] = []
        self.status = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        if request.url.path.startswith("/accounts/"):
            body: dict[str, Any] = {"type": "application/astra-token", "id": "t", "token": "made"}
            return httpx.Response(201 if request.method == "POST" else 200, json=body)
        if self.status != 200:
            return httpx.Response(self.status, json={"Code": "x", "Message": f"echoes {CANARY}"})
        return httpx.Response(200, json={"RequestId": "r", "Token": f"token-{len(self.calls)}"})


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def source(vendor: Vendor, clock: Clock) -> LocalSource:
    transport = Transport(clock=clock, transport=httpx.MockTransport(vendor))
    return LocalSource(Profiles.from_settings({"dlc": DLC, "astra": ASTRA}), clock=clock, transport=transport)


def test_a_key_is_the_profile_and_its_parameters_in_the_providers_order(source: LocalSource) -> None:
    key = source.key("dlc", {"ExpireTime": "60", "TargetType": "job"})
    assert key == Key("dlc", (("TargetType", "job"), ("ExpireTime", 60)))
    assert source.key("dlc", {"ExpireTime": "60", "TargetType": "job"}) is key


def test_true_is_no_number_though_python_calls_them_equal(source: LocalSource) -> None:
    source.key("dlc", {"ExpireTime": 1})
    with pytest.raises(ParameterError, match="ExpireTime must be a whole number"):
        source.key("dlc", {"ExpireTime": True})


@pytest.mark.parametrize("value", [["x"], {"a": 1}, ("x", ["y"]), 10**5000], ids=["list", "dict", "tuple", "huge"])
def test_a_value_of_no_use_is_a_parameter_error(source: LocalSource, value: object) -> None:
    with pytest.raises(ParameterError):
        source.key("dlc", {"ExpireTime": value})


def test_keys_are_remembered_within_bounds(source: LocalSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_tokens.sources.local._MAX_KEYS", 3)
    for number in range(10):
        source.key("dlc", {"ExpireTime": number})
        assert len(source._keys) <= 3


def test_an_unknown_profile_is_told(source: LocalSource) -> None:
    with pytest.raises(UnknownProfile):
        source.key("nobody")
    with pytest.raises(UnknownProfile):
        source.about("nobody")


def test_about_tells_title_variable_and_sandbox(source: LocalSource) -> None:
    assert source.about("dlc") == About("Alibaba Cloud PAI-DLC", "DLC", sandbox=True)
    assert source.about("astra") == About("NetApp Astra Control", None, sandbox=False)


def test_observers_are_told_of_each_call_with_its_seconds_and_error(
    source: LocalSource, vendor: Vendor, clock: Clock
) -> None:
    told: list[Fetched] = []
    leave = source.observe(told.append)
    key = source.key("dlc")
    source.get(key)
    source.get(key)
    vendor.status = 404
    with pytest.raises(NotFound):
        source.get(key, refresh=True)
    assert [(fetched.key, fetched.provider, fetched.seconds) for fetched in told] == [(key, "pai-dlc", 0.0)] * 2
    assert told[0].error is None
    assert isinstance(told[1].error, NotFound)
    assert CANARY not in str(told[1].error)
    leave()
    vendor.status = 200
    source.get(key, refresh=True)
    assert len(told) == 2


def test_an_observer_that_fails_does_not_fail_the_fetch(source: LocalSource, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Fetched) -> None:
        raise OSError(CANARY)

    source.observe(fail)
    with caplog.at_level(logging.DEBUG):
        assert source.get(source.key("dlc")).reveal() == "token-1"
    assert "An observer of a fetch failed: OSError" in caplog.text
    assert CANARY not in caplog.text


def test_watchers_are_told_of_tokens_and_of_losses_until_they_leave(source: LocalSource) -> None:
    seen: list[Token] = []
    losses: list[int] = []
    source.watch(lambda _key, _token: None)
    leave = source.watch(lambda _key, token: seen.append(token), lambda: losses.append(1))
    key = source.key("dlc")
    token = source.start_fetch(key).result(10)
    source.forget(key)
    assert (seen, losses) == ([token], [1])
    leave()
    source.get(key)
    source.forget(key)
    assert (seen, losses) == ([token], [1])


def test_an_exchange_is_past_the_cache_and_one_that_fails_shows_no_frame_of_the_call(
    source: LocalSource, vendor: Vendor
) -> None:
    profile = source.profiles()["dlc"]
    assert [json.loads(source.exchange(profile, {}).body)["Token"] for _ in range(2)] == ["token-1", "token-2"]
    vendor.status = 700
    with pytest.raises(TokenError) as caught:
        source.exchange(profile, {})
    assert caught.value.profile == "dlc"
    assert CANARY not in told(caught.value)


def test_creating_is_for_apis_that_have_it_and_is_not_held(source: LocalSource) -> None:
    made = source.create("astra", {"name": "n"})
    assert made.reveal() == "made"
    with pytest.raises(TokenError, match="cannot create tokens") as caught:
        source.create("dlc", {})
    assert caught.value.profile == "dlc"


def test_closing_twice_is_fine(source: LocalSource) -> None:
    source.get(source.key("dlc"))
    source.close()
    source.close()


@pytest.mark.filterwarnings("ignore:.*literal secret")
def test_a_profile_that_changes_loses_its_tokens_and_the_others_keep_theirs(
    vendor: Vendor, clock: Clock, config_dir: Path
) -> None:
    write(config_dir, dlc=DLC, other=DLC)
    source = LocalSource(clock=clock, transport=Transport(clock=clock, transport=httpx.MockTransport(vendor)))
    losses: list[int] = []
    source.watch(lambda _key, _token: None, lambda: losses.append(1))
    one, other = source.get(source.key("dlc")), source.get(source.key("other"))
    write(config_dir, dlc={**DLC, "timeout": 12.5}, other=DLC)
    source.expire_config()
    assert source.get(source.key("dlc")) is not one
    assert source.get(source.key("other")) is other
    assert losses == [1]
    write(config_dir, dlc={**DLC, "timeout": 12.5}, other=DLC, third=DLC | {"timeout": 3})
    source.key("third")
    assert source.held(source.key("other")) is not None


@pytest.mark.filterwarnings("ignore:.*literal secret")
def test_what_was_read_and_called_is_logged_at_debug_and_no_value_is(
    vendor: Vendor, clock: Clock, config_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = LocalSource(clock=clock, transport=Transport(clock=clock, transport=httpx.MockTransport(vendor)))
    with caplog.at_level(logging.DEBUG, "jupyter_tokens"):
        write(config_dir, dlc=DLC)
        token = source.get(source.key("dlc"))
        write(config_dir, dlc={**DLC, "timeout": 12.5})
        source.expire_config()
        source.key("dlc")
    file = config_dir / "jupyter_tokens_config.json"
    for message in (
        f"{file}: read, 1 profiles",
        "dlc: calling the API of provider pai-dlc",
        "the configuration files changed",
        "changed profiles, whose tokens are forgotten: dlc",
    ):
        assert message in caplog.messages
    assert any("reading its literal reference" in message for message in caplog.messages)
    assert CANARY not in caplog.text
    assert token.reveal() not in caplog.text


def test_a_fetch_without_a_key_before_it_reads_the_configuration(
    vendor: Vendor, clock: Clock, config_dir: Path
) -> None:
    write(config_dir, dlc={**DLC, "access_key_secret": "env:SECRET"})
    source = LocalSource(clock=clock, transport=Transport(clock=clock, transport=httpx.MockTransport(vendor)))
    with pytest.raises(TokenError, match="env:SECRET is not set"):
        source.get(Key("dlc"))
    assert vendor.calls == []


def test_a_look_at_the_files_holds_for_as_long_as_it_is_told(clock: Clock, config_dir: Path) -> None:
    write(config_dir, dlc=DLC)
    source = LocalSource(clock=clock, check_seconds=1.0)
    assert list(source.profiles()) == ["dlc"]
    write(config_dir, dlc=DLC, other=DLC)
    clock.advance(0.5)
    assert list(source.profiles()) == ["dlc"]
    clock.advance(0.5)
    assert list(source.profiles()) == ["dlc", "other"]
    write(config_dir, third=DLC)
    source.expire_config()
    assert list(source.profiles()) == ["third"]


def test_entries_tell_what_a_form_needs_and_what_is_wrong(clock: Clock) -> None:
    wrong = {"provider": "astra", "endpoint": "ftp://x", "api_token": CANARY}
    source = LocalSource(
        Profiles.from_settings({"dlc": {**DLC, "params": {"TargetType": "job"}}, "wrong": wrong}), clock=clock
    )
    dlc, bad = source.entries()
    assert dlc._replace(schema={}) == ProfileEntry(
        "dlc",
        title="Alibaba Cloud PAI-DLC",
        provider="pai-dlc",
        env="DLC",
        sandbox=True,
        params={"TargetType": "job"},
    )
    assert dlc.schema["properties"]["ExpireTime"]["type"] == "integer"
    assert dlc.may_reveal
    assert isinstance(bad.error, ConfigurationError)
    assert (bad.name, bad.provider, bad.schema) == ("wrong", None, {})
    assert CANARY not in repr(bad) + repr(dlc)


@pytest.mark.filterwarnings("ignore:.*cannot be read:UserWarning")
def test_the_list_of_profiles_names_a_broken_file_where_it_is_the_only_one(config_dir: Path, tmp_path: Path) -> None:
    broken = config_dir / "jupyter_tokens_config.json"
    broken.write_text("{")
    source = LocalSource()
    with pytest.raises(ConfigurationError, match=re.escape(f"{broken} cannot be read: error in line 1")):
        source.entries()
    with pytest.raises(ConfigurationError, match=re.escape(str(broken))):
        source.key("any")
    (config_dir / "jupyter_tokens_config.py").write_text("c.TokenProfiles.profiles = {'a': {'provider': 'eiam'}}")
    source.expire_config()
    assert [entry.name for entry in source.entries()] == ["a"]


def test_served_tells_whether_a_call_was_made(source: LocalSource, vendor: Vendor) -> None:
    key = source.key("dlc")

    async def ask(**given: Any) -> tuple[str, bool]:
        token, cached = await source.serve(key, **given)
        return token.reveal(), cached

    assert asyncio.run(ask()) == ("token-1", False)
    assert asyncio.run(ask()) == ("token-1", True)
    assert asyncio.run(ask(refresh=True)) == ("token-2", False)


def test_it_asks_nobody_by_itself_and_issues_its_own_handles(source: LocalSource) -> None:
    assert not source.refresh_due
    assert source.issuer_url("dlc") == ""


def test_a_profile_is_removed_with_its_tokens(vendor: Vendor, clock: Clock, config_dir: Path) -> None:
    write(config_dir, dlc={**DLC, **{key: f"env:{key}" for key in KEYS}}, wrong={"provider": "nobody"})
    source = LocalSource(clock=clock, transport=Transport(clock=clock, transport=httpx.MockTransport(vendor)))
    assert [source.remove_profile(name) for name in ("dlc", "wrong")] == [None, None]
    assert list(source.profiles()) == []
    with pytest.raises(UnknownProfile):
        source.key("dlc")


@pytest.fixture
def lists(sandbox: Sandbox, tmp_path: Path) -> Iterator[LocalSource]:
    """Profiles whose APIs list the values of a parameter."""
    known = {**sandbox.profiles(tmp_path), **sandbox.neighbours(tmp_path)}
    source = LocalSource(
        Profiles.from_settings({name: known[name] for name in ("modelarts", "eiam", "pai-dsw", "oneaccess")})
    )
    yield source
    source.close()


@pytest.mark.parametrize(
    ("profile", "param", "found"),
    [
        ("modelarts", "instance_id", modelarts.INSTANCE),
        ("eiam", "ApplicationTokenId", eiam.DISABLED),
        ("pai-dsw", "InstanceId", next(iter(DSW_INSTANCES))),
    ],
)
def test_values_that_the_api_lists(lists: LocalSource, profile: str, param: str, found: str) -> None:
    values = lists.list_values(profile, param, {})
    assert found in {value.id for value in values}
    assert any(value.label for value in values)


def test_what_cannot_be_listed_names_the_profile_and_what_can(lists: LocalSource) -> None:
    for profile, param, hint in [("oneaccess", "scope", ""), ("modelarts", "project_id", "It can list: instance_id.")]:
        with pytest.raises(ParameterError, match="has no list of values") as caught:
            lists.list_values(profile, param, {})
        assert (caught.value.profile, caught.value.hint) == (profile, hint)
    with pytest.raises(ParameterError, match="project_id") as caught:
        lists.list_values("modelarts", "instance_id", {"project_id": "a/b"})
    assert caught.value.profile == "modelarts"
