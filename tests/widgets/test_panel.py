"""`TokenPanel`: what it shows, what its buttons do, and what never leaves the kernel."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ipywidgets import Button, Widget
from ipywidgets.widgets.widget import _instances

from jupyter_tokens import Token, TokenPanel
from jupyter_tokens.errors import ServerGone
from jupyter_tokens.kernel.session import TokenSession
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.widgets import live
from jupyter_tokens.widgets.live import _within
from jupyter_tokens.widgets.row import ProfileRow

from .conftest import FrontEnd, leaked, shown, threads, until

FIVE = ["modelarts", "pai-dlc", "oneaccess", "astra", "eiam"]
VALUED = ["modelarts", "pai-dlc", "oneaccess", "eiam"]


def row_of(panel: TokenPanel, profile: str) -> ProfileRow:
    return panel._rows[profile]


def click(row: ProfileRow, name: str) -> None:
    (button,) = (it for it in _within(row.box) if isinstance(it, Button) and it.description == name)
    button.click()


def says(row: ProfileRow, text: str) -> bool:
    return text in row._state.value + row._places.value + row._message.value


def is_at_rest(row: ProfileRow) -> bool:
    return not row._wanted


def clicked(row: ProfileRow, name: str, text: str) -> None:
    """Clicks, and waits for what is drawn then."""
    click(row, name)
    until(lambda: is_at_rest(row) and says(row, text))


@contextmanager
def held_up(monkeypatch: pytest.MonkeyPatch, session: TokenSession, method: str) -> Iterator[list[str]]:
    """A method of the session that does not return before the block ends; who has called it."""
    go_on, calls, real = threading.Event(), [], getattr(session, method)

    def slow(*arguments: Any, **options: Any) -> Any:
        calls.append(threading.current_thread().name)
        assert go_on.wait(30)
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(session, method, slow)
        try:
            yield calls
        finally:
            go_on.set()


def test_it_lists_the_profiles_in_their_order_with_what_is_held(session: TokenSession) -> None:
    session.fetch("oneaccess")
    panel = shown(TokenPanel(session=session))
    assert list(panel._rows) == FIVE
    assert "fresh" in row_of(panel, "oneaccess")._state.value
    assert "$ONEACCESS_TOKEN" in row_of(panel, "oneaccess")._places.value
    assert "not fetched" in row_of(panel, "eiam")._state.value


def test_where_no_widget_can_be_shown_there_is_a_table(session: TokenSession) -> None:
    session.fetch("oneaccess")
    bundle = TokenPanel(session=session)._repr_mimebundle_(include=None, exclude=None)
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] in _instances
    for text in (bundle["text/plain"], bundle["text/html"]):
        assert "$ONEACCESS_TOKEN" in text
        assert "fresh" in text
        assert all(name in text for name in FIVE)
    assert bundle["text/html"].count("<tr>") == 6


def test_no_action_puts_a_value_where_it_may_be_saved_or_sent(
    session: TokenSession, sandbox: Sandbox, front_end: FrontEnd, namespace: dict[str, Any], tmp_path: Path
) -> None:
    panel = shown(TokenPanel(session=session))
    for name in VALUED:
        row = row_of(panel, name)
        clicked(row, "Fetch", "fresh")
        clicked(row, "Inject", "_TOKEN")
        clicked(row, "Refresh", "fresh")
        row._more.value = True
        row._details._kind.value = "Python variable"
        row._details._name.value = "mine"
        clicked(row, "Inject", "mine")
        row._details._kind.value = "File"
        row._details._name.value = str(tmp_path / f"{name}.token")
        clicked(row, "Inject", f"{name}.token")
        assert isinstance(namespace["mine"], Token)
        front_end.closes = {"comm_open": {}}
        clicked(row, "Show", "no place to show")
        clicked(row, "Copy", "no place to show")
        assert not leaked(front_end, sandbox, repr(panel), str(panel._repr_mimebundle_()))
        clicked(row, "Forget", "not fetched")
        assert not leaked(front_end, sandbox, repr(panel), str(panel._repr_mimebundle_()))
    assert {token.api for token in sandbox._control._world.issued.values()} == set(VALUED)


def test_a_leak_would_be_found(session: TokenSession, sandbox: Sandbox, front_end: FrontEnd) -> None:
    panel = shown(TokenPanel(session=session))
    row_of(panel, "eiam")._message.value = session.fetch("oneaccess").token.reveal()
    assert "raw" in leaked(front_end, sandbox)


def test_what_is_injected_is_there_and_forgetting_puts_back_what_was_before(
    session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEACCESS_TOKEN", "before")
    panel = shown(TokenPanel(session=session))
    row = row_of(panel, "oneaccess")
    clicked(row, "Inject", "$ONEACCESS_TOKEN")
    assert os.environ["ONEACCESS_TOKEN"] == session.client.get("oneaccess").reveal()
    row._more.value = True
    clicked(row, "Forget", "As it was before: $ONEACCESS_TOKEN.")
    assert os.environ["ONEACCESS_TOKEN"] == "before"


def test_a_token_that_is_only_fetched_goes_nowhere(session: TokenSession, namespace: dict[str, Any]) -> None:
    panel = shown(TokenPanel(session=session))
    clicked(row_of(panel, "oneaccess"), "Fetch", "fresh")
    assert "ONEACCESS_TOKEN" not in os.environ
    assert not namespace


def test_a_profile_without_a_variable_asks_for_one(session: TokenSession, sandbox: Sandbox) -> None:
    row = row_of(shown(TokenPanel(session=session)), "astra")
    clicked(row, "Inject", "Choose the variable")
    assert row._more.value
    assert not sandbox.requests["astra"]
    row._details._name.value = "mine"
    clicked(row, "Inject", "never returns the value")


def test_an_error_is_shown_whole_and_is_gone_after_the_next_success(session: TokenSession, sandbox: Sandbox) -> None:
    row = row_of(shown(TokenPanel(session=session)), "modelarts")
    sandbox._control._plan.add({"api": "modelarts", "kind": "401"})
    clicked(row, "Fetch", "request id")
    assert says(row, "code ")
    assert says(row, "failed")
    clicked(row, "Fetch", "fresh")
    assert not row._message.value
    assert row._message.layout.display == "none"


def test_an_error_is_gone_when_somebody_else_gets_a_token(session: TokenSession, sandbox: Sandbox) -> None:
    row = row_of(shown(TokenPanel(session=session)), "oneaccess")
    sandbox._control._plan.add({"api": "oneaccess", "kind": "401"})
    clicked(row, "Fetch", "alert")
    session.fetch("oneaccess")
    until(lambda: says(row, "fresh") and not row._message.value)


def test_an_error_in_the_background_is_shown_too(session: TokenSession, sandbox: Sandbox) -> None:
    row = row_of(shown(TokenPanel(session=session)), "oneaccess")
    sandbox._control._plan.add({"api": "oneaccess", "kind": "500", "times": None})
    with pytest.raises(Exception, match="500"):
        session.fetch("oneaccess")
    until(lambda: says(row, "alert"))


def test_a_click_returns_at_once_and_a_second_one_is_the_same_as_the_first(
    session: TokenSession, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = row_of(shown(TokenPanel(session=session)), "oneaccess")
    with held_up(monkeypatch, session, "fetch") as calls:
        for _ in range(3):
            click(row, "Fetch")
        until(lambda: says(row, "Fetching …"))
        assert calls == ["jupyter_tokens widgets: oneaccess"]
    until(lambda: says(row, "fresh"))
    assert sandbox.requests["oneaccess"] == 1


def test_another_buttons_click_comes_after_the_first(
    session: TokenSession, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = row_of(shown(TokenPanel(session=session)), "oneaccess")
    with held_up(monkeypatch, session, "fetch") as calls:
        click(row, "Fetch")
        click(row, "Refresh")
        click(row, "Inject")
        click(row, "Refresh")
        assert len(until(lambda: calls)) == 1
    until(lambda: is_at_rest(row) and says(row, "$ONEACCESS_TOKEN"))
    assert sandbox.requests["oneaccess"] == 2


def test_several_panels_at_once_show_the_same_and_share_a_thread(session: TokenSession, sandbox: Sandbox) -> None:
    panels = [shown(TokenPanel(session=session)) for _ in range(3)]
    for panel in panels:
        click(row_of(panel, "oneaccess"), "Fetch")
    for panel in panels:
        until(lambda panel=panel: says(row_of(panel, "oneaccess"), "fresh"))
    assert sandbox.requests["oneaccess"] == 1
    until(lambda: threads() == ["jupyter_tokens widgets"])


def test_one_that_is_closed_while_it_fetches_ends_quietly(
    session: TokenSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    panel = shown(TokenPanel(session=session))
    with held_up(monkeypatch, session, "fetch") as calls:
        click(row_of(panel, "oneaccess"), "Inject")
        until(lambda: calls)
        panel.close()
        until(lambda: "jupyter_tokens widgets" not in threads())
    until(lambda: not threads())
    assert "ONEACCESS_TOKEN" in os.environ
    assert not [record for record in caplog.records if record.name.startswith("jupyter_tokens.widgets")]


def test_closing_it_leaves_no_widget_no_thread_and_no_watcher(session: TokenSession) -> None:
    before = len(_instances)
    panel = shown(TokenPanel(session=session))
    row_of(panel, "pai-dlc")._more.value = True
    assert session._watchers
    panel.close()
    panel.close()
    assert len(_instances) == before
    assert not session._watchers
    until(lambda: not threads())
    assert repr(panel) == "<TokenPanel closed>"


def test_the_thread_runs_only_while_a_view_is_there(session: TokenSession) -> None:
    panel = TokenPanel(session=session)
    until(lambda: not threads())
    shown(panel)
    assert "jupyter_tokens widgets" in threads()
    panel.set_state({"_view_count": 0})
    until(lambda: not threads())
    assert not session._watchers
    session.fetch("oneaccess")
    panel.set_state({"_view_count": 1})
    until(lambda: says(row_of(panel, "oneaccess"), "fresh"))


def test_a_cell_that_is_run_again_closes_what_it_showed(session: TokenSession, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ["cell-a", "1"]
    monkeypatch.setattr(live, "_running_cell", lambda: tuple(run))
    first, beside = shown(TokenPanel(session=session)), shown(TokenPanel(session=session))
    run[:] = ["cell-b", "2"]
    elsewhere = shown(beside)
    run[:] = ["cell-a", "3"]
    count = len(_instances)
    again = shown(TokenPanel(session=session))
    assert first._ended
    assert len(_instances) == count
    assert not elsewhere._ended
    assert not again._ended


def test_a_front_end_that_tells_no_cell_has_nothing_closed(session: TokenSession) -> None:
    first = shown(TokenPanel(session=session))
    shown(TokenPanel(session=session))
    assert not first._ended


@pytest.mark.parametrize("profiles", [{}])
def test_without_profiles_it_says_what_to_do(session: TokenSession) -> None:
    panel = shown(TokenPanel(session=session))
    assert "jupyter tokens add NAME" in panel._notes.value
    assert "jupyter tokens add NAME" in panel._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize("profiles", [{"broken": {"provider": "oneaccess"}}])
def test_a_wrong_profile_is_listed_with_what_is_wrong_and_has_no_buttons(session: TokenSession) -> None:
    panel = shown(TokenPanel(session=session))
    row = row_of(panel, "broken")
    assert says(row, "alert")
    assert not [it for it in _within(row.box) if isinstance(it, Button)]
    assert "failed: " in panel._repr_mimebundle_()["text/plain"]
    panel._feed.read_now()
    until(lambda: not panel._feed._reading)
    assert row_of(panel, "broken") is row


def test_a_thousand_profiles_are_found_by_a_part_of_their_name(
    profiles: dict[str, Any], namespace: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    profiles |= {f"more-{number:03}": profiles["oneaccess"] for number in range(995)}
    before = len(_instances)
    panel = shown(TokenPanel(session=request.getfixturevalue("session")))
    assert len(panel._rows) == 25
    assert "975 more" in panel._notes.value
    assert len(_instances) - before < 1000
    panel._filter.value = "-99"
    until(lambda: list(panel._rows) == [f"more-99{number}" for number in range(5)])
    panel._filter.value = ""
    until(lambda: len(panel._rows) == 25)
    assert len(_instances) - before < 1000


def test_a_profile_that_comes_or_goes_does_so_in_the_panel_and_the_others_keep_what_was_entered(
    session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = shown(TokenPanel(session=session))
    kept = row_of(panel, "oneaccess")
    entries = session.entries()
    monkeypatch.setattr(session, "entries", lambda: [*entries[1:], entries[2]._replace(name="new")])
    panel._feed.read_now()
    until(lambda: list(panel._rows) == [*FIVE[1:], "new"])
    assert row_of(panel, "oneaccess") is kept


def test_profiles_that_cannot_be_listed_are_an_error_and_the_last_known_stay(
    session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = shown(TokenPanel(session=session))

    def gone() -> Any:
        raise ServerGone("the Jupyter server cannot be reached.")

    with monkeypatch.context() as patch:
        patch.setattr(session, "entries", gone)
        panel._feed.read_now()
        until(lambda: "cannot be reached" in panel._notes.value)
        assert list(panel._rows) == FIVE
        assert "cannot be reached" in panel._repr_mimebundle_()["text/plain"]
    panel._feed.read_now()
    until(lambda: not panel._notes.value)


def test_a_server_that_hangs_holds_up_the_cell_for_a_moment_only(
    session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_PATIENCE_SECONDS", 0.05)
    with held_up(monkeypatch, session, "entries"):
        panel = shown(TokenPanel(session=session))
        assert "being asked for" in panel._notes.value
        assert "in time" in panel._repr_mimebundle_()["text/plain"]
    until(lambda: list(panel._rows) == FIVE)
    assert not panel._notes.value


def test_our_own_mistake_is_told_by_its_name_only(session: TokenSession, monkeypatch: pytest.MonkeyPatch) -> None:
    row = row_of(shown(TokenPanel(session=session)), "oneaccess")

    def mistaken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("s3cret")

    monkeypatch.setattr(session, "fetch", mistaken)
    clicked(row, "Fetch", "ZeroDivisionError")
    assert not says(row, "s3cret")


def test_a_process_with_too_many_threads_says_so(session: TokenSession, monkeypatch: pytest.MonkeyPatch) -> None:
    row = row_of(shown(TokenPanel(session=session)), "oneaccess")
    until(lambda: threads() == ["jupyter_tokens widgets"])

    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        clicked(row, "Fetch", "too many threads")
    clicked(row, "Fetch", "fresh")


def test_outside_ipython_it_says_what_to_use_instead() -> None:
    with pytest.raises(RuntimeError, match="get_token"):
        TokenPanel()
    assert not [it for it in _instances.values() if isinstance(it, TokenPanel)]


def test_each_control_has_a_name_and_a_tooltip(session: TokenSession) -> None:
    panel = shown(TokenPanel(session=session))
    for name in FIVE:
        row_of(panel, name)._more.value = True
    controls: list[Widget] = [it for it in _within(panel) if hasattr(it, "description") and not hasattr(it, "_unnamed")]
    for control in controls:
        if type(control).__name__ in {"Button", "ToggleButton", "Text", "Dropdown", "BoundedIntText", "Checkbox"}:
            assert control.tooltip
            assert control.description or control.placeholder
