"""`TokenCard`: one profile, its parameters open."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens import TokenCard
from jupyter_tokens.kernel.session import TokenSession
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.widgets.live import get_feed

from ..doubles import Clock
from .conftest import FrontEnd, Row, bundle, leaked, models, rows, shown, state, text_of, until


def row_of(card: TokenCard) -> Row:
    (row,) = rows(card).values()
    return row


def says(card: TokenCard, text: str) -> bool:
    return row_of(card).says(text)


def buttons(card: TokenCard) -> set[str]:
    return {name for row in rows(card).values() for name in row.buttons()}


def test_what_is_given_is_asked_for(session: TokenSession) -> None:
    card = shown(TokenCard("pai-dlc", session=session, ExpireTime=90, TargetId="dlc9"))
    row_of(card)["Fetch"].click()
    until(lambda: says(card, "fresh"))
    (status,) = [status for status in session.statuses() if status.profile == "pai-dlc"]
    assert status.params["ExpireTime"] == 90
    assert status.params["TargetId"] == "dlc9"


def test_the_token_of_its_own_parameters_is_the_one_it_shows(session: TokenSession) -> None:
    session.fetch("pai-dlc", {"TargetId": "other"}, places=())
    card = shown(TokenCard("pai-dlc", session=session, ExpireTime=90))
    until(lambda: says(card, "7 days"))
    row_of(card)["Fetch"].click()
    until(lambda: says(card, "1:") and not says(card, "7 days"))
    assert says(card, "+1")


@pytest.mark.parametrize("name", ["alibaba-sts", "huawei-sts"])
def test_several_values_are_named_and_injected_together_and_none_is_shown(
    name: str,
    profiles: dict[str, Any],
    sandbox: Sandbox,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    front_end: FrontEnd,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    profiles[name] = sandbox.neighbours(tmp_path)[name]
    env: dict[str, str] = profiles[name]["env"]
    for variable in env.values():
        # Set and deleted, so that monkeypatch puts back what is injected.
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    session: TokenSession = request.getfixturevalue("session")
    card = shown(TokenCard(name, session=session))
    row_of(card)["Inject"].click()
    named = ", ".join(f"${variable} ({field})" for field, variable in env.items())
    until(lambda: says(card, "fresh") and says(card, named))
    token = session.fetch(name, {}, places=()).token
    assert {field: os.environ[variable] for field, variable in env.items()} == dict(token.values())
    assert token.fields == tuple(env)
    told = "\n".join([front_end.text(), state(), *map(str, bundle(card).values())])
    assert not [value for value in token.values().values() if value in told]
    assert leaked(front_end, sandbox) == set()
    row_of(card)["Forget"].click()
    until(lambda: not any(variable in os.environ for variable in env.values()))


def test_a_key_and_a_program_are_cards_like_the_others(
    profiles: dict[str, Any], request: pytest.FixtureRequest, front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "a-key-of-mine")
    profiles["key"] = {"provider": "static", "token": "env:MINE"}
    profiles["program"] = {"provider": "command", "command": "printf a-token-of-mine"}
    session: TokenSession = request.getfixturevalue("session")
    for name, title in (("key", "API key or personal access token"), ("program", "Program that prints a token")):
        card = shown(TokenCard(name, session=session))
        row_of(card)["Fetch"].click()
        until(partial(says, card, "fresh"))
        entry = next(entry for entry in session.entries() if entry.name == name)
        assert (entry.title, entry.sandbox) == (title, False)
    seen = front_end.text() + state()
    assert "a-key-of-mine" not in seen
    assert "a-token-of-mine" not in seen


def test_the_countdown_moves_with_the_clock_and_ends_as_expired(session: TokenSession) -> None:
    clock = Clock()
    feed = get_feed(session, clock)
    ends = session.fetch("oneaccess", places=()).token.expires_at
    assert ends is not None
    clock.wall = ends.timestamp() - 61
    card = shown(TokenCard("oneaccess", session=session))
    for left, text in ((61, "1:01"), (60, "1:00"), (1, "0:01"), (0, "expired")):
        ends = session.client.get("oneaccess").expires_at
        assert ends is not None
        clock.wall = ends.timestamp() - left
        feed.render_now()
        until(partial(says, card, text))


def test_an_unknown_profile_is_named_with_the_nearest_there_is(session: TokenSession) -> None:
    card = shown(TokenCard("oneacess", session=session))
    assert "There is no profile" in text_of(*card.children)
    assert "Did you mean oneaccess?" in text_of(*card.children)
    assert "Did you mean oneaccess?" in bundle(card)["text/plain"]
    assert not buttons(card)


def test_a_parameter_that_there_is_not_is_refused_by_name(session: TokenSession, sandbox: Sandbox) -> None:
    card = shown(TokenCard("oneaccess", session=session, Wrong=1))
    row_of(card)["Fetch"].click()
    until(lambda: says(card, "is not a parameter"))
    assert not sandbox.requests["oneaccess"]


def test_where_revealing_is_not_allowed_there_are_no_buttons_for_it(
    session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {"Show", "Copy"} <= buttons(TokenCard("oneaccess", session=session))
    entries = [entry._replace(may_reveal=False) for entry in session.entries()]
    monkeypatch.setattr(session, "entries", lambda: entries)
    assert not {"Show", "Copy"} & buttons(TokenCard("oneaccess", session=session))


def test_a_profile_that_changes_gets_a_new_form_and_the_old_one_is_closed(
    session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = shown(TokenCard("oneaccess", session=session))
    count, before = len(models()), row_of(card).box
    entries = [entry._replace(env="OTHER") for entry in session.entries()]
    monkeypatch.setattr(session, "entries", lambda: entries)
    get_feed(session).read_now()
    until(lambda: rows(card) and row_of(card).box is not before)
    # The old one is closed after the new one is shown.
    until(lambda: len(models()) == count)


def test_a_value_goes_to_a_front_end_that_is_ready_for_it_and_into_no_widget(
    session: TokenSession, sandbox: Sandbox, front_end: FrontEnd
) -> None:
    card = shown(TokenCard("oneaccess", session=session))
    front_end.answers = {"comm_open": {"ready": True}, "comm_msg": {"shown": True}}
    row_of(card)["Show"].click()
    until(lambda: says(card, "Shown for 20 s."))
    row_of(card)["Copy"].click()
    until(lambda: says(card, "Copied."))
    to_widgets: list[Any] = [told for told in front_end.heard if told[0] == "jupyter.widget"]
    revealed = [told for told in front_end.heard if told[0] != "jupyter.widget"]
    front_end.heard = to_widgets
    assert not leaked(front_end, sandbox)
    front_end.heard = revealed
    assert "raw" in leaked(front_end, sandbox)


def test_a_token_that_has_no_value_has_nothing_to_show(session: TokenSession, front_end: FrontEnd) -> None:
    card = shown(TokenCard("astra", session=session))
    row_of(card)["Show"].click()
    until(lambda: says(card, "never returns its value"))
    assert not [told for told in front_end.heard if told[0] != "jupyter.widget"]
