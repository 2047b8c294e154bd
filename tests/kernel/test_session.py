"""The tokens of one session: where they go, how they are, what becomes of them; with the sandbox as vendor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_tokens.client import Client
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import (
    ConfigurationError,
    NetworkError,
    NoValue,
    ParameterError,
    ServerGone,
    Throttled,
    TokenError,
    Unauthorized,
    UnknownProfile,
)
from jupyter_tokens.kernel import session as module
from jupyter_tokens.kernel.at_start import outcomes
from jupyter_tokens.kernel.injection import env_place, file_place, var_place
from jupyter_tokens.kernel.refresher import Refresher
from jupyter_tokens.kernel.session import TokenSession, get_session
from jupyter_tokens.kernel.status import Status
from jupyter_tokens.protocol.proof import FILLED_VARIABLE, START_VARIABLE
from jupyter_tokens.sandbox import Sandbox, running
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.transport import Transport

from ..doubles import Clock
from .shells import undeletable, whoami

ATTENTION = 10.0
LIFE = 100.0
KEY = Key("oneaccess")
PAI_VALUES = {"TargetType": "job", "TargetId": "dlc1a2b3c4d5e6f7"}


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with running(Sandbox(clock=clock.now, life=LIFE)) as served:
        yield served


@pytest.fixture
def profiles(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    found = sandbox.profiles(tmp_path)
    for settings in found.values():
        if settings.get("env"):
            monkeypatch.setenv(settings["env"], "")
            monkeypatch.delenv(settings["env"])
    monkeypatch.setenv("MINE", "before")
    return found


@pytest.fixture
def client(profiles: dict[str, dict[str, Any]], clock: Clock) -> Iterator[Client]:
    made = Client(Profiles.from_settings(profiles), clock=clock, transport=Transport(clock=clock, sleep=lambda _: None))
    yield made
    made.close()


@pytest.fixture
def namespace() -> dict[str, Any]:
    return {}


@pytest.fixture
def session(client: Client, clock: Clock, namespace: dict[str, Any]) -> Iterator[TokenSession]:
    made = TokenSession(namespace, client, clock=clock)
    yield made
    made.close()


def flown(session: TokenSession, key: Key) -> None:
    """A refresh in the background has begun and ended."""
    session.client.source.start_fetch(key).exception(timeout=ATTENTION)


def status(session: TokenSession, profile: str = "oneaccess") -> Status:
    (found,) = [row for row in session.statuses() if row.profile == profile]
    return found


def until(session: TokenSession, seen: Callable[[], object]) -> None:
    """Waits on a state, which the session tells of."""
    changed = threading.Event()
    end = session.watch(changed.set)
    try:
        while not seen():
            assert changed.wait(ATTENTION)
            changed.clear()
    finally:
        end()


# Fetching


def test_a_fetch_fills_the_profiles_variable_and_keeps_it_fresh(session: TokenSession, sandbox: Sandbox) -> None:
    outcome = session.fetch("oneaccess")
    assert outcome.places == [env_place("ONEACCESS_TOKEN")]
    assert outcome.kept_fresh
    assert outcome.notes == []
    assert os.environ["ONEACCESS_TOKEN"] == outcome.token.reveal()
    assert whoami(sandbox, os.environ["ONEACCESS_TOKEN"])["api"] == "oneaccess"


def test_a_fetch_to_nowhere_leaves_what_is_kept_as_it_is(session: TokenSession) -> None:
    assert not session.fetch("oneaccess", places=[]).kept_fresh
    assert "ONEACCESS_TOKEN" not in os.environ
    session.fetch("oneaccess")
    assert session.fetch("oneaccess", places=[], refresh=True).kept_fresh


def test_what_is_fetched_once_is_not_kept(session: TokenSession) -> None:
    session.fetch("oneaccess")
    assert not session.fetch("oneaccess", keep=False).kept_fresh
    assert not status(session).kept_fresh


@pytest.mark.parametrize("place", ["env", "file"])
def test_a_value_that_is_never_told_is_put_nowhere(session: TokenSession, tmp_path: Path, place: str) -> None:
    places = [env_place("MINE")] if place == "env" else [file_place(str(tmp_path / "t"))]
    with pytest.raises(NoValue):
        session.fetch("astra", places=[var_place("stored"), *places])
    assert os.environ["MINE"] == "before"
    assert not (tmp_path / "t").exists()
    assert session.injections.keys() == []


def test_a_file_that_cannot_be_written_leaves_the_variables_alone(
    session: TokenSession, tmp_path: Path, namespace: dict[str, Any]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    place = file_place(str(folder / "t"))
    folder.rmdir()
    with pytest.raises(ParameterError, match="does not exist"):
        session.fetch("oneaccess", places=[env_place("MINE"), var_place("mine"), place])
    assert os.environ["MINE"] == "before"
    assert namespace == {}


# How they are


def test_statuses_tell_the_profiles_and_what_is_held_of_them(session: TokenSession, clock: Clock) -> None:
    assert session.statuses() == []
    session.entries()
    assert {row.profile: row.state for row in session.statuses()} == dict.fromkeys(
        ("modelarts", "pai-dlc", "oneaccess", "astra", "eiam"), "none"
    )
    session.fetch("oneaccess")
    held = status(session)
    assert (held.state, held.sandbox, held.env, held.error) == ("fresh", True, "ONEACCESS_TOKEN", None)
    assert held.title == "Huawei Cloud OneAccess"
    assert held.places == (env_place("ONEACCESS_TOKEN"),)
    assert held.expires_at is not None
    assert held.expires_at.timestamp() == pytest.approx(clock.now() + LIFE)
    session.refresher.stop()
    clock.advance(0.8 * LIFE)
    assert status(session).state == "aging"
    clock.advance(0.2 * LIFE)
    assert status(session).state == "expired"


def test_a_token_that_the_users_own_code_got_is_listed_too(session: TokenSession, client: Client) -> None:
    client.get("pai-dlc", PAI_VALUES)
    held = status(session, "pai-dlc")
    assert (held.state, held.places, held.kept_fresh) == ("fresh", (), False)
    assert held.params == PAI_VALUES


def test_each_set_of_parameters_is_a_row_of_its_own(session: TokenSession) -> None:
    session.entries()
    for target in ("dlc1a2b3c4d5e6f7", "dlc2a2b3c4d5e6f7"):
        session.fetch("pai-dlc", {"TargetType": "job", "TargetId": target}, places=[])
    rows = [row for row in session.statuses() if row.profile == "pai-dlc"]
    assert [row.params["TargetId"] for row in rows] == ["dlc1a2b3c4d5e6f7", "dlc2a2b3c4d5e6f7"]


def test_a_failure_is_over_once_the_server_has_a_token(
    session: TokenSession, client: Client, sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.plan({"api": "oneaccess", "kind": "reset", "times": 10})
    with pytest.raises(NetworkError):
        session.fetch("oneaccess")
    session.entries()
    assert status(session).state == "failed"
    entries = [entry._replace(state="fresh") for entry in client.source.entries()]
    monkeypatch.setattr(client.source, "entries", lambda: entries)
    clock.advance(1)
    session.entries()
    assert (status(session).state, status(session).error) == ("none", None)


def test_a_fetch_that_failed_is_told_until_one_succeeds(session: TokenSession, sandbox: Sandbox) -> None:
    sandbox.plan({"api": "oneaccess", "kind": "reset", "times": 10})
    with pytest.raises(NetworkError):
        session.fetch("oneaccess")
    assert status(session).state == "failed"
    assert isinstance(status(session).error, NetworkError)
    sandbox.clear_faults()
    session.fetch("oneaccess")
    assert (status(session).state, status(session).error) == ("fresh", None)
    assert session.notices() == []


def test_what_was_asked_wrongly_is_no_token_that_failed(session: TokenSession) -> None:
    source = session.client.source

    def refused(key: Key, *, refresh: bool) -> Any:
        raise ParameterError("There is no parameter.")

    # As in server mode, where it is the server that knows the parameters.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(source, "get", refused)
        with pytest.raises(ParameterError):
            session.fetch("oneaccess")
    assert session.statuses() == []


def test_a_wrong_profile_is_listed_with_what_is_wrong(clock: Clock) -> None:
    client = Client(Profiles.from_settings({"bad": {"provider": "oneaccess", "endpoint": "ftp://x"}}), clock=clock)
    session = TokenSession({}, client, clock=clock)
    told: list[int] = []
    session.watch(lambda: told.append(1))
    (entry,) = session.entries()
    assert isinstance(entry.error, ConfigurationError)
    clock.advance(1.0)
    (entry,) = session.entries()
    assert told == [1]
    assert (status(session, "bad").state, status(session, "bad").error) == ("failed", entry.error)


def test_a_look_at_the_profiles_holds_for_a_second(
    session: TokenSession, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    entries = session.client.source.entries

    def counted() -> Any:
        looks.append(1)
        return entries()

    monkeypatch.setattr(session.client.source, "entries", counted)
    first = session.entries()
    assert session.entries() is first
    clock.advance(1.0)
    assert session.entries() == first
    assert len(looks) == 2
    assert session.last_entries == first


def test_a_profile_that_is_gone_from_the_configuration_is_still_told_of(
    session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.fetch("oneaccess")

    def gone(_: str) -> Any:
        raise UnknownProfile("There is no profile.")

    monkeypatch.setattr(session.client.source, "about", gone)
    assert (status(session).title, status(session).state) == ("", "fresh")


def test_it_says_which_way_served_and_whether_the_server_is_gone(session: TokenSession) -> None:
    assert (session.mode, session.connection_error) == ("direct", None)
    session.client.source.connection_error = ServerGone("gone.")
    assert isinstance(session.connection_error, ServerGone)


# What happens in the background


def test_a_failed_refresh_is_noticed_once_and_the_old_token_stays(
    session: TokenSession, sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[Key] = []
    note = session.failures.add

    def noted(key: Key, error: TokenError) -> None:
        note(key, error)
        failed.append(key)

    def failed_again(failures: int, heard: int) -> bool:
        return len(failed) > heard and sandbox.requests["oneaccess"] > failures

    monkeypatch.setattr(session.failures, "add", noted)
    session.fetch("oneaccess")
    before = os.environ["ONEACCESS_TOKEN"]
    sandbox.plan({"api": "oneaccess", "kind": "429", "times": 100})
    told = []
    for _ in range(3):
        clock.advance(0.85 * LIFE if status(session).state == "fresh" else 4.0)
        again = partial(failed_again, sandbox.requests["oneaccess"], len(failed))
        session.refresher.wake()
        until(session, again)
        told += session.notices()
    assert os.environ["ONEACCESS_TOKEN"] == before
    assert status(session).state == "aging"
    assert isinstance(status(session).error, Throttled)
    (notice,) = told
    assert notice.startswith("oneaccess could not be kept fresh: ")
    assert before not in notice
    assert session.notices() == []
    sandbox.clear_faults()
    flown(session, KEY)
    assert (status(session).state, status(session).error) == ("fresh", None)
    assert os.environ["ONEACCESS_TOKEN"] != before


def test_a_credential_that_was_refused_in_the_background_is_sent_again_when_the_user_fetches(
    session: TokenSession, sandbox: Sandbox, clock: Clock
) -> None:
    session.fetch("oneaccess")
    before = os.environ["ONEACCESS_TOKEN"]
    sandbox.plan({"api": "oneaccess", "kind": "401", "times": 2})
    clock.advance(0.85 * LIFE)
    flown(session, KEY)
    assert isinstance(status(session).error, Unauthorized)
    # The valid token is enough for a single cell.
    with session.inject_temporarily("oneaccess"):
        assert sandbox.requests["oneaccess"] == 2
    with pytest.raises(Unauthorized):
        session.fetch("oneaccess")
    assert os.environ["ONEACCESS_TOKEN"] == before
    assert session.fetch("oneaccess").kept_fresh
    assert os.environ["ONEACCESS_TOKEN"] != before
    assert (status(session).state, status(session).error, sandbox.requests["oneaccess"]) == ("fresh", None, 4)


def test_a_file_that_cannot_be_written_in_the_background_is_a_notice_and_the_rest_is_filled(
    session: TokenSession, tmp_path: Path, namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "t"
    session.fetch("oneaccess", places=[file_place(str(file)), env_place("MINE"), var_place("mine")])
    first = os.environ["MINE"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, how: False)
        for _ in range(2):
            flown(session, KEY)
            assert os.environ["MINE"] != first
            assert namespace["mine"].reveal() == os.environ["MINE"]
    (notice,) = session.notices()
    assert "is not writable" in notice
    assert status(session).state == "fresh"
    assert "is not writable" in str(status(session).error)
    flown(session, KEY)
    assert file.read_text() == os.environ["MINE"]
    assert (status(session).error, session.notices()) == (None, [])


def test_a_refresh_that_overtakes_a_fetch_is_not_undone_by_it(
    session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = session.client.source
    get = source.get

    def overtaken(key: Key, *, refresh: bool) -> Any:
        older = get(key, refresh=refresh)
        flown(session, key)
        return older

    monkeypatch.setattr(source, "get", overtaken)
    outcome = session.fetch("oneaccess")
    held = source.held(KEY)
    assert held is not None
    assert outcome.token is held.token
    assert os.environ["ONEACCESS_TOKEN"] == held.token.reveal()


def test_whoever_watches_is_told_and_can_break_nothing(
    session: TokenSession, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def broken() -> None:
        raise ZeroDivisionError

    ends = [session.watch(broken), session.watch(lambda: told.append("told"))]
    session.entries()
    assert len(told) == 1
    session.fetch("oneaccess")
    seen = len(told)
    client.get("oneaccess", refresh=True)
    assert len(told) == seen + 1
    assert "ZeroDivisionError" in caplog.text
    for end in ends:
        end()
    session.forget("oneaccess")
    assert len(told) == seen + 1


# Forgetting


def test_forgetting_puts_back_what_was_there_and_keeps_nothing(
    session: TokenSession, tmp_path: Path, namespace: dict[str, Any], sandbox: Sandbox
) -> None:
    file = tmp_path / "t"
    namespace["mine"] = "before"
    places = [env_place("MINE"), var_place("mine"), file_place(str(file))]
    session.fetch("oneaccess", places=places)
    assert session.forget("oneaccess") == ([places[2], *places[:2]], [])
    assert (os.environ["MINE"], namespace) == ("before", {"mine": "before"})
    assert not file.exists()
    assert not session.refresher.keeps(KEY)
    assert session.client.source.keys() == []
    session.client.get("oneaccess")
    assert sandbox.requests["oneaccess"] == 2
    assert os.environ["MINE"] == "before"


def test_forgetting_takes_all_of_a_profile_or_the_one_that_is_named(session: TokenSession) -> None:
    targets = [{"TargetType": "job", "TargetId": f"dlc{number}a2b3c4d5e6f7"} for number in range(3)]
    for target in targets:
        session.client.get("pai-dlc", target)
    session.forget("pai-dlc", targets[0])
    assert len(session.client.source.keys()) == 2
    assert session.forget("pai-dlc") == ([], [])
    assert session.client.source.keys() == []


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, profiles: dict[str, dict[str, Any]]) -> None:
    """The server has put a token into this process before its first cell."""
    for variable in ("ONEACCESS_TOKEN", "PAI_DLC_TOKEN"):
        monkeypatch.setenv(variable, "of the start")
    told = {"oneaccess": "ok", "pai-dlc": "ok", "eiam": {"message": "No token within 5 s."}}
    monkeypatch.setenv(START_VARIABLE, json.dumps(told))
    filled = {"ONEACCESS_TOKEN": "oneaccess", "PAI_DLC_TOKEN": "pai-dlc"}
    notes = {variable: {"profile": profile, "params": {}} for variable, profile in filled.items()}
    monkeypatch.setenv(FILLED_VARIABLE, json.dumps(notes))


@pytest.mark.usefixtures("started")
class TestForgettingATokenOfTheKernelsStart:
    # The session is made when the process has started.
    @pytest.fixture
    def session(self, started: None, client: Client, clock: Clock) -> Iterator[TokenSession]:
        made = TokenSession({}, client, clock=clock)
        yield made
        made.close()

    @pytest.mark.parametrize("fetched", [True, False])
    def test_leaves_nothing_for_there_was_nothing_before(self, session: TokenSession, *, fetched: bool) -> None:
        if fetched:
            session.fetch("oneaccess")
            assert os.environ["ONEACCESS_TOKEN"] != "of the start"
        assert session.forget("oneaccess").places == [env_place("ONEACCESS_TOKEN")]
        assert "ONEACCESS_TOKEN" not in os.environ
        # And nothing tells of it any more.
        assert list(outcomes(os.environ)) == ["pai-dlc", "eiam"]
        assert session.forget("oneaccess").places == []

    def test_is_no_part_of_what_a_block_puts_back(self, session: TokenSession) -> None:
        with session.inject_temporarily("oneaccess"):
            assert os.environ["ONEACCESS_TOKEN"] != "of the start"
        assert os.environ["ONEACCESS_TOKEN"] == "of the start"
        with session.inject_temporarily("oneaccess"):
            session.forget("oneaccess")
        assert "ONEACCESS_TOKEN" not in os.environ

    def test_leaves_what_the_user_has_put_there_since(self, session: TokenSession) -> None:
        os.environ["ONEACCESS_TOKEN"] = "mine"
        session.fetch("oneaccess")
        session.forget("oneaccess")
        assert os.environ["ONEACCESS_TOKEN"] == "mine"

    def test_leaves_what_another_profile_has_put_on_top(self, session: TokenSession) -> None:
        session.fetch("eiam", places=[env_place("ONEACCESS_TOKEN")])
        session.forget("oneaccess")
        assert os.environ["ONEACCESS_TOKEN"] != "of the start"
        session.forget("eiam")
        assert "ONEACCESS_TOKEN" not in os.environ

    @pytest.mark.parametrize(
        ("profile", "params", "variable"),
        [("pai-dlc", PAI_VALUES, "PAI_DLC_TOKEN"), ("oneaccess", {}, "ONEACCESS_TOKEN")],
    )
    def test_is_not_meant_by_one_that_has_parameters(
        self, session: TokenSession, profile: str, params: dict[str, str], variable: str
    ) -> None:
        assert session.forget(profile, params).places == []
        assert os.environ[variable] == "of the start"

    def test_leaves_no_note_of_any_of_its_values(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        env = {"AccessKeyId": "MY_ID", "AccessKeySecret": "MY_SECRET", "SecurityToken": "MY_STS"}
        note = {"profile": "keys", "params": {}, "env": env}
        for variable in env.values():
            monkeypatch.setenv(variable, "of the start")
        monkeypatch.setenv(FILLED_VARIABLE, json.dumps(dict.fromkeys(env.values(), note)))
        session = TokenSession({}, client)
        assert session.forget("keys").places == [*map(env_place, env.values())]
        assert json.loads(os.environ[FILLED_VARIABLE]) == {}
        session.close()

    def test_one_that_cannot_be_fetched_keeps_no_other_from_being_kept_fresh(
        self, client: Client, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(type(client.source), "is_remote", True)
        names = {"EIAM_TOKEN": "eiam", "ONEACCESS_TOKEN": "oneaccess"}
        monkeypatch.setenv("EIAM_TOKEN", "of the start")
        notes = {variable: {"profile": profile, "params": {}} for variable, profile in names.items()}
        monkeypatch.setenv(FILLED_VARIABLE, json.dumps(notes))
        session = TokenSession({}, client)
        sandbox.plan({"api": "eiam", "kind": "401", "times": 1})
        session.take_over()
        until(session, lambda: session.refresher.keeps(KEY))
        assert os.environ["ONEACCESS_TOKEN"] != "of the start"
        assert os.environ["EIAM_TOKEN"] == "of the start"
        session.close()

    def test_is_not_done_for_what_failed_at_the_start(self, session: TokenSession) -> None:
        os.environ["EIAM_TOKEN"] = "mine"
        session.forget("eiam")
        assert os.environ["EIAM_TOKEN"] == "mine"

    @pytest.mark.parametrize("note", ["[]", "no JSON", '{"ONEACCESS_TOKEN": 1}', "[" * 60_000])
    def test_is_not_done_where_the_servers_note_is_damaged(self, client: Client, note: str) -> None:
        os.environ[FILLED_VARIABLE] = os.environ[START_VARIABLE] = note
        session = TokenSession({}, client)
        assert session.forget("oneaccess").places == []
        assert os.environ["ONEACCESS_TOKEN"] == "of the start"
        session.close()

    @pytest.mark.parametrize("note", ["[]", "no JSON", "[" * 60_000])
    def test_leaves_what_the_user_has_written_over_the_servers_note(self, session: TokenSession, note: str) -> None:
        os.environ[FILLED_VARIABLE] = os.environ[START_VARIABLE] = note
        assert session.forget("oneaccess").places == [env_place("ONEACCESS_TOKEN")]
        assert os.environ[FILLED_VARIABLE] == note


def test_forgetting_what_is_configured_and_not_held_is_no_error_and_else_it_is_one(session: TokenSession) -> None:
    assert session.forget("eiam").places == []
    with pytest.raises(UnknownProfile, match="eiam"):
        session.forget("eaim")


def test_an_error_is_forgotten_too(session: TokenSession, sandbox: Sandbox) -> None:
    sandbox.plan({"api": "oneaccess", "kind": "403", "times": 1})
    with pytest.raises(TokenError):
        session.fetch("oneaccess")
    session.forget("oneaccess")
    session.entries()
    assert (status(session).state, status(session).error) == ("none", None)


@pytest.mark.parametrize("is_lent", [False, True])
def test_a_file_that_cannot_be_put_back_is_told_when_all_else_is(
    session: TokenSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_lent: bool
) -> None:
    places = [file_place(str(tmp_path / "t")), env_place("MINE")]
    loan = session.inject_temporarily("oneaccess", {}, places)
    if is_lent:
        loan.__enter__()
    else:
        session.fetch("oneaccess", places=places)
    undeletable(monkeypatch)
    with pytest.raises(ParameterError, match="cannot be removed"):
        loan.close() if is_lent else session.forget("oneaccess")
    assert os.environ["MINE"] == "before"
    assert session.client.source.keys() == []


# What belongs to the notebook


def test_a_refresh_leaves_alone_what_the_notebook_has_changed_and_says_so_once(
    session: TokenSession, namespace: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "t"
    places = [env_place("MINE"), var_place("mine"), file_place(str(file))]
    session.fetch("oneaccess", places=places)
    os.environ["MINE"] = namespace["mine"] = "changed"
    file.write_text("changed")
    assert (status(session).places, set(status(session).changed)) == ((), set(places))
    for _ in range(2):
        flown(session, KEY)
    assert (os.environ["MINE"], namespace["mine"], file.read_text()) == ("changed", "changed", "changed")
    assert session.notices() == [
        f"{file} was changed; left as it is.",
        "$MINE was changed by the notebook; left as it is.",
        "mine was changed by the notebook; left as it is.",
    ]
    assert session.forget("oneaccess") == ([], [])
    assert (os.environ["MINE"], namespace["mine"], file.read_text()) == ("changed", "changed", "changed")


def test_forgetting_leaves_alone_what_the_notebook_has_changed_and_says_so(
    session: TokenSession, namespace: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "t"
    places = [env_place("MINE"), var_place("mine"), file_place(str(file))]
    session.fetch("oneaccess", places=places)
    os.environ["MINE"] = "changed"
    file.unlink()
    assert session.forget("oneaccess") == ([places[1]], ["$MINE was changed by the notebook; left as it is."])
    assert (os.environ["MINE"], namespace, file.exists()) == ("changed", {}, False)


def test_what_was_deleted_everywhere_is_not_kept_fresh_any_more(
    session: TokenSession, namespace: dict[str, Any], sandbox: Sandbox
) -> None:
    session.fetch("oneaccess", places=[env_place("MINE"), var_place("mine")])
    del os.environ["MINE"]
    flown(session, KEY)
    assert status(session).kept_fresh
    namespace.clear()
    flown(session, KEY)
    assert not status(session).kept_fresh
    assert ("MINE" in os.environ, namespace) == (False, {})
    assert session.notices() == [
        "$MINE was deleted by the notebook; left as it is.",
        "mine was deleted by the notebook; left as it is.",
    ]


def test_fetching_again_takes_the_place_again_and_keeps_it_fresh(session: TokenSession) -> None:
    session.fetch("oneaccess", places=[env_place("MINE")])
    os.environ["MINE"] = "changed"
    outcome = session.fetch("oneaccess", places=[env_place("MINE")], refresh=True)
    assert os.environ["MINE"] == outcome.token.reveal()
    assert session.notices() == []
    flown(session, KEY)
    assert os.environ["MINE"] not in {"changed", outcome.token.reveal()}
    session.forget("oneaccess")
    assert os.environ["MINE"] == "changed"


def test_what_a_block_puts_there_itself_stays(session: TokenSession, namespace: dict[str, Any]) -> None:
    namespace["mine"] = "before"
    with session.inject_temporarily("oneaccess", {}, [env_place("MINE"), var_place("mine")]):
        os.environ["MINE"] = "of the block"
        del namespace["mine"]
    assert (os.environ["MINE"], namespace) == ("of the block", {})
    assert session.notices() == [
        "$MINE was changed by the notebook; left as it is.",
        "mine was deleted by the notebook; left as it is.",
    ]


# Lending


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
def test_what_is_lent_goes_however_the_block_ends(
    session: TokenSession, namespace: dict[str, Any], tmp_path: Path, error: type[BaseException] | None
) -> None:
    file = tmp_path / "t"
    loan = session.inject_temporarily("oneaccess", {}, [env_place("MINE"), var_place("mine"), file_place(str(file))])

    def block() -> None:
        with loan as outcome:
            assert os.environ["MINE"] == outcome.token.reveal() == file.read_text()
            assert namespace["mine"] is outcome.token
            assert outcome.kept_fresh
            if error is not None:
                raise error

    if error is None:
        block()
    else:
        with pytest.raises(error):
            block()
    assert (os.environ["MINE"], namespace, file.exists()) == ("before", {}, False)
    assert session.client.source.keys() == []
    assert not session.refresher.keeps(KEY)
    loan.close()


def test_what_was_held_and_kept_before_stays_so(session: TokenSession) -> None:
    session.fetch("oneaccess")
    first = os.environ["ONEACCESS_TOKEN"]
    with session.inject_temporarily("oneaccess"), session.inject_temporarily("oneaccess"):
        assert os.environ["ONEACCESS_TOKEN"] == first
    assert os.environ["ONEACCESS_TOKEN"] == first
    assert status(session).kept_fresh


def test_what_lies_below_a_loan_is_kept_up_to_date(session: TokenSession) -> None:
    session.fetch("oneaccess")
    place = env_place("ONEACCESS_TOKEN")
    with session.inject_temporarily("pai-dlc", {}, [place]) as outcome:
        lent = outcome.token.reveal()
        flown(session, KEY)
        assert os.environ["ONEACCESS_TOKEN"] == lent
        flown(session, outcome.key)
        assert os.environ["ONEACCESS_TOKEN"] != lent
    held = session.client.source.held(KEY)
    assert held is not None
    assert os.environ["ONEACCESS_TOKEN"] == held.token.reveal()
    assert session.forget("oneaccess").places == [place]
    assert "ONEACCESS_TOKEN" not in os.environ


def test_what_the_block_itself_keeps_stays(session: TokenSession) -> None:
    with session.inject_temporarily("oneaccess", {}, [env_place("MINE")]):
        session.fetch("oneaccess")
    assert os.environ["MINE"] == "before"
    assert os.environ["ONEACCESS_TOKEN"]
    assert status(session).kept_fresh


def test_what_the_block_forgets_is_not_brought_back(session: TokenSession) -> None:
    with session.inject_temporarily("oneaccess", {}, [env_place("MINE")]):
        session.forget("oneaccess")
        assert os.environ["MINE"] == "before"
    assert os.environ["MINE"] == "before"


def test_a_loan_to_nowhere_is_an_error_and_leaves_nothing(session: TokenSession) -> None:
    for profile, places in (("oneaccess", []), ("astra", None)):
        with pytest.raises(ParameterError, match="nowhere"), session.inject_temporarily(profile, {}, places):
            pass
    assert session.client.source.keys() == []


def test_a_loan_of_what_cannot_be_had_leaves_nothing(session: TokenSession, sandbox: Sandbox) -> None:
    sandbox.plan({"api": "oneaccess", "kind": "403", "times": 1})
    with pytest.raises(TokenError), session.inject_temporarily("oneaccess", {}, [env_place("MINE")]):
        pass
    assert os.environ["MINE"] == "before"


def test_a_token_without_an_end_is_lent_and_starts_no_thread(session: TokenSession) -> None:
    with session.inject_temporarily("modelarts") as outcome:
        assert not outcome.kept_fresh
        assert os.environ["MODELARTS_TOKEN"]
    assert "MODELARTS_TOKEN" not in os.environ


# The session of a shell, and its end


def test_a_shell_has_one_session(session: TokenSession, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "shared_client", lambda: client)
    shell = SimpleNamespace(user_ns={})
    made = get_session(shell)
    assert get_session(shell) is made
    made.fetch("oneaccess", places=[var_place("mine")])
    assert shell.user_ns["mine"]
    made.close()


def test_a_closed_session_leaves_tokens_and_no_thread_and_can_be_used_again(session: TokenSession) -> None:
    session.fetch("oneaccess")
    first = os.environ["ONEACCESS_TOKEN"]
    session.close()
    session.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "jupyter_tokens refresher"]
    flown(session, KEY)
    assert os.environ["ONEACCESS_TOKEN"] == first
    session.fetch("oneaccess")
    assert os.environ["ONEACCESS_TOKEN"] != first
    session.forget("oneaccess")
    assert "ONEACCESS_TOKEN" not in os.environ


FORK = """
import os, sys, threading
from jupyter_tokens.client import shared_client
from jupyter_tokens.kernel.session import TokenSession

def refreshers():
    return [thread for thread in threading.enumerate() if thread.name == "jupyter_tokens refresher"]

session = TokenSession({})
key = session.fetch("oneaccess").key
first = os.environ["ONEACCESS_TOKEN"]
held, done = threading.Event(), threading.Event()

def hold():
    source = session.client.source
    with session._lock, session.injections._lock, session.refresher._changed, source._opening, source._lock:
        held.set()
        done.wait(30)

thread = threading.Thread(target=hold)
thread.start()
held.wait(30)
child = os.fork()
if not child:
    def checked():
        assert os.environ["ONEACCESS_TOKEN"] == first
        assert not refreshers() and not session.refresher.keeps(key)
        assert session.injections.keys()
        outcome = session.fetch("oneaccess", refresh=True)
        assert outcome.kept_fresh and len(refreshers()) == 1
        assert os.environ["ONEACCESS_TOKEN"] == outcome.token.reveal() != first
        session.forget("oneaccess")
        assert "ONEACCESS_TOKEN" not in os.environ
        session.close()
        return 0
    code = 1
    try:
        code = checked()
    finally:
        os._exit(code)
done.set()
thread.join()
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert code == 0, code
assert os.environ["ONEACCESS_TOKEN"] == first
assert len(refreshers()) == 1 and session.statuses()[0].kept_fresh
session.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_the_tokens_and_refreshes_none_of_the_parents(
    profiles: dict[str, dict[str, Any]], sandbox: Sandbox, config_dir: Path, clock: Clock
) -> None:
    from jupyter_tokens.cli.demo import write_config

    # The tokens must live by the child processes' clock.
    clock.wall = time.time()
    write_config(config_dir, profiles)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        check=False,
        capture_output=True,
        timeout=300,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stderr.decode()
    assert sandbox.requests["oneaccess"] == 2


def test_in_a_forked_child_nothing_is_watched_and_what_was_injected_is_known(session: TokenSession) -> None:
    # As a child does it; the thread, which a child has not, is ended first.
    session.fetch("oneaccess")
    session.refresher.stop()
    session.watch(lambda: None)
    module._after_fork()
    assert session._watchers == []
    assert session.injections.keys() == [KEY]
    assert session.fetch("oneaccess").kept_fresh
    assert session.forget("oneaccess").places
    assert "ONEACCESS_TOKEN" not in os.environ


def test_the_refresher_tells_the_session_of_failures(session: TokenSession) -> None:
    assert isinstance(session.refresher, Refresher)
    session._on_failure(Key("pai-dlc", (("TargetId", "x"),)), Throttled("Too many calls.", profile="pai-dlc"))
    assert session.notices() == ["pai-dlc TargetId=x could not be kept fresh: Too many calls."]
