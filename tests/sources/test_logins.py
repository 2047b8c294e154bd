"""People log in to the sandbox's OpenID provider, which was written by the RFCs; the clients are ours."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import keyring
import pytest
from jupyter_core.paths import jupyter_config_dir

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import (
    ConfigurationError,
    Forbidden,
    LoginNeeded,
    NetworkError,
    ParameterError,
    ResponseError,
    TokenError,
)
from jupyter_tokens.sandbox import Sandbox, running
from jupyter_tokens.sources.base import TokenSource
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.sources.logins import LOGIN_SECONDS, Attempt
from jupyter_tokens.sources.stores.file import locked
from jupyter_tokens.transport import Transport

from ..doubles import Clock, answer
from ..person import Person, answer_in
from .conftest import write

REDIRECT = "http://127.0.0.1:4711/callback"
ME = "session of mine"


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with running(clock=clock.now) as served:
        yield served


@pytest.fixture
def settings(sandbox: Sandbox, tmp_path: Path) -> dict[str, Any]:
    return dict(sandbox.neighbours(tmp_path)["openid"])


Open = Callable[..., LocalSource]


@pytest.fixture
def opened(clock: Clock, settings: dict[str, Any]) -> Iterator[Open]:
    """Another process, so to say, with the profile `mine` and others."""
    made: list[LocalSource] = []

    def make(others: dict[str, dict[str, Any]] | None = None, **changed: Any) -> LocalSource:
        profiles = Profiles.from_settings({"mine": {**settings, **changed}, **(others or {})})
        made.append(LocalSource(profiles, clock=clock))
        return made[-1]

    yield make
    for source in made:
        source.close()


@pytest.fixture
def person() -> Person:
    return Person()


def begin(source: LocalSource, session: str = ME) -> tuple[Attempt, str]:
    attempt = source.logins.start("mine", session=session, redirect_uri=REDIRECT)
    assert attempt.url is not None
    return attempt, attempt.url.reveal()


def log_in(source: LocalSource, person: Person) -> Attempt:
    location = person.log_in(begin(source)[1])
    assert location.startswith(f"{REDIRECT}?")
    return source.logins.finish(answer_in(location), session=ME)


def token(source: LocalSource, **params: str) -> str:
    return source.get(source.key("mine", params)).reveal()


def record(name: str = "mine") -> Path:
    return Path(jupyter_config_dir()) / "jupyter_tokens_secrets" / f"{name}.login"


# Logging in


def test_nobody_is_logged_in_at_first(opened: Open) -> None:
    source = opened()
    with pytest.raises(LoginNeeded, match="Nobody is logged in") as caught:
        token(source)
    assert "jupyter tokens login mine" in caught.value.hint
    assert source.profile_standing("mine")[0].state == "login"
    assert caught.value.reason == "login"
    assert not caught.value.retryable


def test_a_person_logs_in_and_every_process_gets_tokens(opened: Open, person: Person, sandbox: Sandbox) -> None:
    source, other = opened(), opened()
    attempt = log_in(source, person)
    assert (attempt.state, attempt.who) == ("done", "demo")
    value = token(source)
    assert sandbox.issued[value].subject["sub"] == "demo-0001"
    assert source.profile_standing("mine")[0].state == "fresh"
    assert token(other) in sandbox.issued
    login = other.logins.get("mine")
    assert login is not None
    assert (login.who, login.refresh_token is not None) == ("demo", True)


def test_a_login_is_a_file_of_the_user_alone(opened: Open, person: Person) -> None:
    log_in(opened(), person)
    assert stat.S_IMODE(record().stat().st_mode) == 0o600
    assert stat.S_IMODE(record().parent.stat().st_mode) == 0o700


def test_a_login_in_the_keyring_leaves_no_file(opened: Open, person: Person) -> None:
    source = opened(login_store="keyring")
    with pytest.raises(LoginNeeded):
        token(source)
    log_in(source, person)
    assert not record().exists()
    assert token(source)
    assert token(source, scope="openid")
    source.logins.logout("mine")
    assert keyring.get_password("jupyter_tokens", "mine.login") is None


def test_a_login_in_the_keyring_is_seen_as_the_last_fetch_found_it(opened: Open, person: Person, clock: Clock) -> None:
    log_in(opened(login_store="keyring"), person)
    source = opened(login_store="keyring")
    assert source.logins.peek("mine") is None
    token(source)
    login = source.logins.peek("mine")
    assert login is not None
    clock.advance(3600)
    token(source)
    assert source.logins.peek("mine") not in (None, login)
    clock.advance(31 * 86400)
    with pytest.raises(LoginNeeded, match="has ended"):
        token(source)
    assert source.logins.peek("mine") is None


def test_refresh_tokens_rotate_and_the_login_goes_on(opened: Open, person: Person, clock: Clock) -> None:
    source = opened()
    log_in(source, person)
    seen = set()
    for _ in range(4):
        seen.add(json.loads(record().read_text())["refresh_token"])
        token(source)
        clock.advance(3600)
    assert len(seen) == 4


def test_a_login_that_has_ended_says_so_once_and_then_at_once(
    opened: Open, person: Person, clock: Clock, sandbox: Sandbox
) -> None:
    source = opened()
    log_in(source, person)
    token(source)
    clock.advance(31 * 86400)
    with pytest.raises(LoginNeeded, match="has ended") as caught:
        token(source)
    assert caught.value.code == "invalid_grant"
    calls = sandbox.requests["openid"]
    with pytest.raises(LoginNeeded, match="Nobody"):
        token(source)
    assert sandbox.requests["openid"] == calls
    log_in(source, person)
    assert token(source)


def test_a_device_waits_for_the_person(opened: Open, person: Person, clock: Clock, sandbox: Sandbox) -> None:
    source = opened(grant="device_code")
    attempt = source.logins.start("mine", session=ME)
    device = attempt.device
    assert device is not None
    assert attempt.seconds == 600
    before = sandbox.requests["openid"]
    assert source.logins.poll(attempt.id, session=ME) is attempt
    # Nobody is asked before the interval is over.
    assert (attempt.state, sandbox.requests["openid"]) == ("waiting", before)
    clock.advance(5)
    source.logins.poll(attempt.id, session=ME)
    assert (attempt.state, sandbox.requests["openid"]) == ("waiting", before + 1)
    person.type_code(device.verification_uri, device.user_code)
    clock.advance(5)
    source.logins.poll(attempt.id, session=ME)
    assert (attempt.state, attempt.who) == ("done", "demo")
    assert token(source)


@pytest.mark.parametrize(("decision", "kind"), [("deny", Forbidden), (None, LoginNeeded)])
def test_a_device_login_that_comes_to_nothing(
    opened: Open, person: Person, clock: Clock, decision: str | None, kind: type[TokenError]
) -> None:
    source = opened()
    attempt = source.logins.start("mine", session=ME, device=True)
    assert attempt.device is not None
    if decision:
        person.type_code(attempt.device.verification_uri_complete, attempt.device.user_code, decision)
    clock.advance(5 if decision else 600)
    source.logins.poll(attempt.id, session=ME)
    assert attempt.state == "failed"
    assert isinstance(attempt.error, kind)


def test_a_device_goes_on_waiting_while_the_network_is_away(opened: Open, clock: Clock, sandbox: Sandbox) -> None:
    source = opened()
    attempt = source.logins.start("mine", session=ME, device=True)
    sandbox.plan({"api": "openid", "kind": "reset", "times": 1})
    clock.advance(5)
    source.logins.poll(attempt.id, session=ME)
    assert attempt.state == "waiting"


def test_a_device_login_that_cannot_be_stored_is_over_because_its_code_is_used(
    opened: Open, person: Person, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(timeout=5)
    attempt = source.logins.start("mine", session=ME, device=True)
    assert attempt.device is not None
    person.type_code(attempt.device.verification_uri, attempt.device.user_code)
    clock.advance(5)
    lock = record().with_name(".mine.login.lock")
    lock.parent.mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setattr("jupyter_tokens.sources.stores.file.time.sleep", clock.advance)
    with locked(lock, seconds=1, clock=clock):
        source.logins.poll(attempt.id, session=ME)
    assert attempt.state == "failed"
    assert "is in use" in str(attempt.error)


def test_a_login_that_nothing_can_store_is_no_matter_of_trying_again(opened: Open, person: Person) -> None:
    record().with_name(".mine.login.lock").mkdir(mode=0o700, parents=True)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        log_in(opened(), person)


def test_a_login_without_a_refresh_token_has_one_token(opened: Open, person: Person, clock: Clock) -> None:
    source = opened(params={"scope": "openid"})
    log_in(source, person)
    value = token(source)
    assert token(opened(params={"scope": "openid"})) == value
    with pytest.raises(ParameterError):
        token(source, scope="openid read")
    clock.advance(3600)
    with pytest.raises(LoginNeeded, match="no refresh token"):
        token(source)


@pytest.mark.parametrize(("before", "after"), [("access_token", "id_token"), ("id_token", "access_token")])
def test_a_login_of_one_token_gives_no_token_of_another_kind(
    opened: Open, person: Person, before: str, after: str
) -> None:
    log_in(opened(params={"scope": "openid"}, token=before), person)
    with pytest.raises(LoginNeeded, match=f"has no {after}"):
        token(opened(params={"scope": "openid"}, token=after))
    assert token(opened(params={"scope": "openid"}, token=before))


def test_an_id_token_is_verified_at_login_and_at_refresh(opened: Open, person: Person, clock: Clock) -> None:
    source = opened(token="id_token")
    log_in(source, person)
    first = token(source)
    assert first.count(".") == 2
    clock.advance(3600)
    assert token(source) != first


def test_logging_out_revokes_and_drops(opened: Open, person: Person, sandbox: Sandbox) -> None:
    source = opened()
    log_in(source, person)
    value = token(source)
    assert source.logins.logout("mine") is True
    assert value not in sandbox.issued
    assert not record().exists()
    with pytest.raises(LoginNeeded):
        token(source)
    assert source.logins.logout("mine") is None


def test_a_logout_forgets_the_login_also_where_the_server_is_gone(opened: Open, person: Person) -> None:
    source = opened()
    with running() as other:
        pass
    log_in(source, person)
    gone = opened(issuer="", endpoint=f"{other.url}/t", authorization_endpoint=f"{other.url}/a")
    assert gone.logins.logout("mine") is False
    assert not record().exists()


def test_profiles_that_log_nobody_in_say_so(opened: Open) -> None:
    source = opened({"key": {"provider": "static", "token": "abc-0123456789"}})
    with pytest.raises(ConfigurationError, match="does not use a login"):
        source.logins.start("key", session=ME)


# Exchange


def test_a_token_is_exchanged_for_that_of_another_profile(
    opened: Open, person: Person, settings: dict[str, Any], sandbox: Sandbox
) -> None:
    exchanged = {
        **settings,
        "grant": "token_exchange",
        "subject": "profile:mine",
        "params": {"audience": "urn:other"},
    }
    source = opened({"other": exchanged}, params={"scope": "openid read offline_access"})
    with pytest.raises(LoginNeeded) as caught:
        source.get(source.key("other"))
    assert "login mine" in caught.value.hint
    log_in(source, person)
    value = source.get(source.key("other")).reveal()
    assert sandbox.issued[value].subject["aud"] == "urn:other"


def test_profiles_that_are_made_from_each_other_are_refused(opened: Open, settings: dict[str, Any]) -> None:
    def by(name: str) -> dict[str, Any]:
        return {**settings, "grant": "token_exchange", "subject": f"profile:{name}"}

    source = opened({"a": by("b"), "b": by("a")})
    with pytest.raises(ConfigurationError, match="would need its own token"):
        source.get(source.key("a"))


# Attacks


def attack_with(  # noqa: PLR0912 (a table of attacks)
    opened: Open, person: Person, clock: Clock, name: str
) -> tuple[LocalSource, dict[str, list[str]], str]:
    """What comes to the callback, and in which session."""
    source = opened()
    attempt, url = begin(source)
    answer, session = answer_in(person.log_in(url)), ME
    if name == "another session":
        session = "session of somebody else"
    elif name == "replay":
        source.logins.finish(answer, session=ME)
    elif name == "made up state":
        answer["state"] = ["x" * 43]
    elif name == "no state":
        del answer["state"]
    elif name == "too late":
        clock.advance(LOGIN_SECONDS)
    elif name == "mix-up":
        answer["iss"] = ["https://evil.example"]
    elif name == "no issuer":
        del answer["iss"]
    elif name == "a parameter twice":
        answer["code"].append("another")
    elif name == "after logout":
        source.logins.logout("mine")
    elif name == "code of another login":
        answer["code"] = answer_in(Person().log_in(begin(source)[1]))["code"]
    elif name == "code of another redirect":
        elsewhere = source.logins.start("mine", session=ME, redirect_uri=REDIRECT.replace("4711", "4712"))
        assert elsewhere.url is not None
        answer["code"] = answer_in(person.log_in(elsewhere.url.reveal()))["code"]
    elif name == "made up code":
        answer["code"] = ["c" * 43]
    elif name == "a device's":
        device = source.logins.start("mine", session=ME, device=True)
        answer["state"] = [device.id]
    else:
        assert attempt.state == "waiting"
        raise AssertionError(name)
    return source, answer, session


@pytest.mark.parametrize(
    "name",
    [
        *("another session", "replay", "made up state", "no state", "too late", "mix-up", "no issuer"),
        *("a parameter twice", "after logout", "code of another login", "code of another redirect"),
        *("made up code", "a device's"),
    ],
)
def test_an_answer_that_is_not_this_logins_is_refused(
    opened: Open, person: Person, clock: Clock, name: str, sandbox: Sandbox
) -> None:
    source, answer, session = attack_with(opened, person, clock, name)
    was = record().read_bytes() if record().exists() else None
    calls = sandbox.requests["openid"]
    with pytest.raises(TokenError) as caught:
        source.logins.finish(answer, session=session)
    assert (record().read_bytes() if record().exists() else None) == was
    shown = str(caught.value) + repr(caught.value.to_dict())
    assert not any(len(value) > 20 and value in shown for values in answer.values() for value in values)
    if "code of" not in name and name != "made up code":
        # It is not even sent.
        assert sandbox.requests["openid"] == calls
    # Nothing can be tried again with the same state.
    with pytest.raises(LoginNeeded):
        source.logins.finish(answer, session=ME)


def test_a_server_that_echoes_the_secrets_of_a_login_is_not_quoted(clock: Clock) -> None:
    sent: dict[str, str] = {}

    def echo(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/device":
            return answer(200, {"device_code": "d" * 20, "user_code": "AB", "verification_uri": "https://i.example/v"})
        form = parse_qs(request.content.decode())
        secrets = form.keys() & {"code", "code_verifier", "device_code"}
        sent.update({name: form[name][0] for name in secrets})
        echoed = " ".join(sent[name] for name in secrets)
        return answer(400, {"error": "invalid_request", "error_description": f"Wrong: {echoed}"})

    profile = {
        "provider": "oauth2",
        "grant": "authorization_code",
        "endpoint": "https://i.example/token",
        "authorization_endpoint": "https://i.example/authorize",
        "device_endpoint": "https://i.example/device",
        "client_id": "c",
        "auth_method": "none",
    }
    transport = Transport(clock=clock, transport=httpx.MockTransport(echo))
    with closing(LocalSource(Profiles.from_settings({"mine": profile}), clock=clock, transport=transport)) as source:
        state = answer_in(begin(source)[1])["state"]
        with pytest.raises(TokenError) as caught:
            source.logins.finish({"state": state, "code": ["c" * 20]}, session=ME)
        device = source.logins.start("mine", session=ME, device=True)
        clock.advance(5)
        source.logins.poll(device.id, session=ME)
    assert len(sent) == 3
    for error in (caught.value, device.error):
        assert error is not None
        assert error.message.startswith("Wrong: …")
        shown = str(error) + repr(vars(error)) + repr(error.to_dict())
        assert not any(value in shown for value in sent.values())


def test_a_logout_just_before_a_login_is_stored_leaves_no_login(
    opened: Open, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened()

    def after_a_logout(*args: Any, **how: Any) -> AbstractContextManager[int]:
        monkeypatch.undo()
        source.logout("mine")
        return locked(*args, **how)

    monkeypatch.setattr("jupyter_tokens.sources.login_store.locked", after_a_logout)
    with pytest.raises(LoginNeeded):
        log_in(source, person)
    assert source.logins.get("mine") is None


def test_another_session_cannot_look_at_a_login(opened: Open) -> None:
    source = opened()
    attempt = source.logins.start("mine", session=ME, device=True)
    assert source.logins.poll(attempt.id, session="other") is None
    assert source.logins.poll("0" * 32, session=ME) is None


def test_each_login_has_a_challenge_a_state_and_a_nonce_of_its_own(opened: Open) -> None:
    source = opened()
    first, second = ({n: v[0] for n, v in answer_in(begin(source)[1]).items()} for _ in range(2))
    assert first["code_challenge_method"] == second["code_challenge_method"] == "S256"
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 43
        assert first[name] != second[name]


def test_a_refresh_token_is_shown_to_no_other_server(opened: Open, person: Person) -> None:
    log_in(opened(), person)
    with running() as other:
        source = opened(issuer=f"{other.url}/openid")
        with pytest.raises(LoginNeeded, match="another server"):
            token(source)
        assert other.requests["openid"] == 0


def test_metadata_of_another_issuer_is_refused(opened: Open, sandbox: Sandbox) -> None:
    source = opened(issuer=f"{sandbox.url.replace('127.0.0.1', 'localhost')}/openid")
    with pytest.raises(ResponseError, match="another issuer"):
        begin(source)


# Several at once, and crashes


def test_threads_and_processes_that_refresh_at_once_never_use_a_refresh_token_twice(
    opened: Open, person: Person, sandbox: Sandbox
) -> None:
    log_in(opened(), person)
    sources = [opened() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        values = list(pool.map(token, sources))
    assert len(set(values)) == 6
    assert all(value in sandbox.issued for value in values)


def test_two_that_refresh_at_once_make_one_call_by_the_store(
    opened: Open, person: Person, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", f"file:{tmp_path}/store")
    log_in(opened(), person)
    before = sandbox.requests["openid"]
    start = threading.Barrier(2)
    sources = [opened(), opened()]

    def get(source: LocalSource) -> str:
        start.wait(60)
        return token(source)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(get, sources)
    assert first == second
    assert sandbox.requests["openid"] == before + 1


def test_a_crash_between_the_answer_and_its_write_back_is_not_silent(
    opened: Open, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(opened(), person)
    source = opened()
    pid = os.fork()
    if pid == 0:
        # Killed as it is about to write the rotated refresh token.
        monkeypatch.setattr("jupyter_tokens.config.secret_store.store", lambda *_: os.kill(os.getpid(), 9))
        token(opened())
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == 9
    with pytest.raises(LoginNeeded, match="has ended"):
        token(source)
    # The lock of the dead is free.
    log_in(source, person)
    assert token(source)


def test_a_login_that_is_used_elsewhere_is_waited_for_no_longer_than_the_call_may_take(
    opened: Open, person: Person
) -> None:
    log_in(opened(), person)
    source = opened(timeout=0.2)
    profile = source.profiles()["mine"]
    store = opened(timeout=0.2)._upstream.logins
    with store.using(profile), pytest.raises(NetworkError):
        LocalSource(source.profiles()).get(source.key("mine"))


def test_a_damaged_record_is_no_login(opened: Open, person: Person) -> None:
    log_in(opened(), person)
    record().write_text('{"server": 7}')
    with pytest.raises(LoginNeeded):
        token(opened())


def test_a_process_logs_in_for_itself_by_another_device(opened: Open, person: Person, clock: Clock) -> None:
    source = opened()
    begun = source.login("mine")
    assert (begun["state"], begun["flow"], begun["error"]) == ("waiting", "device_code", None)
    person.type_code(begun["verification_uri"], begun["user_code"])
    clock.advance(begun["interval"])
    assert source.login("mine", begun["id"])["state"] == "done"
    assert source.get(source.key("mine")).has_value
    assert source.logout("mine") is True
    assert source.logout("mine") is None
    with pytest.raises(LoginNeeded, match="no longer known"):
        source.login("mine", "0" * 32)


@pytest.mark.filterwarnings("ignore:.*literal secret")
def test_a_profile_that_is_removed_takes_its_login_along(
    settings: dict[str, Any], person: Person, clock: Clock, config_dir: Path
) -> None:
    write(config_dir, mine=settings)
    with closing(LocalSource(clock=clock)) as source:
        log_in(source, person)
        assert source.remove_profile("mine") is True
    assert not record().exists()


def test_a_source_without_logins_says_so(opened: Open) -> None:
    for act in (TokenSource.login, TokenSource.logout):
        with pytest.raises(ConfigurationError, match="You cannot log in or out in this process"):
            act(opened(), "mine")


def test_without_a_server_no_sdk_can_ask_for_a_token(opened: Open) -> None:
    source = opened()
    with pytest.raises(ConfigurationError, match="get tokens from a Jupyter server"):
        source.endpoint(source.key("mine"))


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_person_decides_on_the_other_device(opened: Open, person: Person, clock: Clock, decision: str) -> None:
    def decide(login: Any) -> None:  # a dict in fact, so that the wait can be cut short
        person.type_code(login["verification_uri"], login["user_code"], decision)
        clock.advance(login["interval"])
        login["interval"] = 0

    if decision == "allow":
        assert opened().log_in("mine", decide)["state"] == "done"
    else:
        with pytest.raises(TokenError) as caught:
            opened().log_in("mine", decide)
        assert caught.value.code == "access_denied"
