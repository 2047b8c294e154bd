"""`TokenPanel`: what it shows, what its buttons do, and what never leaves the kernel."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ipywidgets import Widget

from jupyter_tokens import Token, TokenPanel
from jupyter_tokens.errors import ServerGone
from jupyter_tokens.kernel.session import TokenSession
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.widgets import live
from jupyter_tokens.widgets.live import get_feed

from .conftest import FrontEnd, Row, Viewer, bundle, leaked, models, rows, shown, text_of, threads, until, within

FIVE = ["modelarts", "pai-dlc", "oneaccess", "astra", "eiam"]
VALUED = ["modelarts", "pai-dlc", "oneaccess", "eiam"]


def row_of(panel: TokenPanel, profile: str) -> Row:
    return rows(panel)[profile]


def notes_of(panel: TokenPanel) -> str:
    return text_of(*panel.children)


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
    assert list(rows(panel)) == FIVE
    assert row_of(panel, "oneaccess").says("fresh")
    assert row_of(panel, "oneaccess").says("$ONEACCESS_TOKEN")
    assert row_of(panel, "eiam").says("not fetched")


def test_where_no_widget_can_be_shown_there_is_a_table(session: TokenSession) -> None:
    session.fetch("oneaccess")
    data = bundle(TokenPanel(session=session))
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] in models()
    for text in (data["text/plain"], data["text/html"]):
        assert "ONEACCESS_TOKEN" in text
        assert "fresh" in text
        assert all(name in text for name in FIVE)
    assert data["text/html"].count("<tr>") == 6


def test_no_action_puts_a_value_where_it_may_be_saved_or_sent(
    session: TokenSession, sandbox: Sandbox, front_end: FrontEnd, namespace: dict[str, Any], tmp_path: Path
) -> None:
    panel = shown(TokenPanel(session=session))
    for name in VALUED:
        row = row_of(panel, name)
        row.clicked("Fetch", "fresh")
        row.clicked("Inject", "_TOKEN")
        row.clicked("Refresh", "fresh")
        row["More"].value = True
        row["Inject into"].value = "Python variable"
        row["name"].value = "mine"
        row.clicked("Inject", "mine")
        row["Inject into"].value = "File"
        row["name"].value = str(tmp_path / f"{name}.token")
        row.clicked("Inject", f"{name}.token")
        assert isinstance(namespace["mine"], Token)
        front_end.closes = {"comm_open": {}}
        row.clicked("Show", "cannot show")
        row.clicked("Copy", "cannot show")
        assert not leaked(front_end, sandbox, repr(panel), str(bundle(panel)))
        row.clicked("Forget", "not fetched")
        assert not leaked(front_end, sandbox, repr(panel), str(bundle(panel)))
    assert {token.api for token in sandbox.issued.values()} == set(VALUED)


def test_a_leak_would_be_found(session: TokenSession, sandbox: Sandbox, front_end: FrontEnd) -> None:
    panel = shown(TokenPanel(session=session))
    panel.children[0].value = session.fetch("oneaccess").token.reveal()
    assert "raw" in leaked(front_end, sandbox)


def test_what_is_injected_is_there_and_forgetting_puts_back_what_was_before(
    session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEACCESS_TOKEN", "before")
    panel = shown(TokenPanel(session=session))
    row = row_of(panel, "oneaccess")
    row.clicked("Inject", "$ONEACCESS_TOKEN")
    assert os.environ["ONEACCESS_TOKEN"] == session.client.get("oneaccess").reveal()
    row["More"].value = True
    row.clicked("Forget", "Restored: $ONEACCESS_TOKEN.")
    assert os.environ["ONEACCESS_TOKEN"] == "before"


def test_a_token_that_is_only_fetched_goes_nowhere(session: TokenSession, namespace: dict[str, Any]) -> None:
    panel = shown(TokenPanel(session=session))
    row_of(panel, "oneaccess").clicked("Fetch", "fresh")
    assert "ONEACCESS_TOKEN" not in os.environ
    assert not namespace


def test_a_profile_without_a_variable_asks_for_one(session: TokenSession, sandbox: Sandbox) -> None:
    row = row_of(shown(TokenPanel(session=session)), "astra")
    row.clicked("Inject", "Enter the variable")
    assert row["More"].value
    assert not sandbox.requests["astra"]
    row["name"].value = "mine"
    row.clicked("Inject", "never returns the value")


def test_an_error_is_shown_whole_and_is_gone_after_the_next_success(session: TokenSession, sandbox: Sandbox) -> None:
    row = row_of(shown(TokenPanel(session=session)), "modelarts")
    sandbox.plan({"api": "modelarts", "kind": "401"})
    row.clicked("Fetch", "request id")
    assert row.says("code ")
    assert row.says("failed")
    row.clicked("Fetch", "fresh")
    assert not row.says("request id")
    assert not row.says("code ")


def test_an_error_is_gone_when_somebody_else_gets_a_token(session: TokenSession, sandbox: Sandbox) -> None:
    row = row_of(shown(TokenPanel(session=session)), "oneaccess")
    sandbox.plan({"api": "oneaccess", "kind": "401"})
    row.clicked("Fetch", "alert")
    session.fetch("oneaccess")
    until(lambda: row.says("fresh") and not row.says("alert"))


def test_an_error_in_the_background_is_shown_too(session: TokenSession, sandbox: Sandbox) -> None:
    row = row_of(shown(TokenPanel(session=session)), "oneaccess")
    sandbox.plan({"api": "oneaccess", "kind": "500", "times": None})
    with pytest.raises(Exception, match="500"):
        session.fetch("oneaccess")
    until(lambda: row.says("alert"))


def test_a_click_returns_at_once_and_a_second_one_is_the_same_as_the_first(
    session: TokenSession, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = row_of(shown(TokenPanel(session=session)), "oneaccess")
    with held_up(monkeypatch, session, "fetch") as calls:
        for _ in range(3):
            row["Fetch"].click()
        until(lambda: row.says("Fetching …"))
        assert until(lambda: calls) == ["jupyter_tokens widgets: oneaccess"]
    until(lambda: row.says("fresh"))
    assert sandbox.requests["oneaccess"] == 1


def test_another_buttons_click_comes_after_the_first(
    session: TokenSession, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = row_of(shown(TokenPanel(session=session)), "oneaccess")
    with held_up(monkeypatch, session, "fetch") as calls:
        row["Fetch"].click()
        row["Refresh"].click()
        row["Inject"].click()
        row["Refresh"].click()
        assert len(until(lambda: calls)) == 1
    until(lambda: row.is_at_rest() and row.says("$ONEACCESS_TOKEN"))
    assert sandbox.requests["oneaccess"] == 2


def test_several_panels_at_once_show_the_same_and_share_a_thread(session: TokenSession, sandbox: Sandbox) -> None:
    panels = [shown(TokenPanel(session=session)) for _ in range(3)]
    for panel in panels:
        row_of(panel, "oneaccess")["Fetch"].click()
    until(lambda: all(row_of(panel, "oneaccess").says("fresh") for panel in panels))
    assert sandbox.requests["oneaccess"] == 1
    until(lambda: threads() == ["jupyter_tokens widgets"])


def test_one_that_is_closed_while_it_fetches_ends_quietly(
    session: TokenSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    panel = shown(TokenPanel(session=session))
    with held_up(monkeypatch, session, "fetch") as calls:
        row_of(panel, "oneaccess")["Inject"].click()
        until(lambda: calls)
        panel.close()
        until(lambda: "jupyter_tokens widgets" not in threads())
    until(lambda: not threads())
    assert "ONEACCESS_TOKEN" in os.environ
    assert not [record for record in caplog.records if record.name.startswith("jupyter_tokens.widgets")]


@pytest.fixture
def watchers(session: TokenSession, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Who is told of the session's news."""
    told: list[Callable[[], None]] = []
    watch = session.watch

    def noted(changed: Callable[[], None]) -> Callable[[], None]:
        told.append(changed)
        end = watch(changed)

        def ended() -> None:
            told.remove(changed)
            end()

        return ended

    monkeypatch.setattr(session, "watch", noted)
    return told


def test_closing_it_leaves_no_widget_no_thread_and_no_watcher(
    session: TokenSession, watchers: list[Callable[[], None]]
) -> None:
    before = len(models())
    panel = shown(TokenPanel(session=session))
    row_of(panel, "pai-dlc")["More"].value = True
    assert watchers
    panel.close()
    panel.close()
    assert len(models()) == before
    assert not watchers
    until(lambda: not threads())
    assert repr(panel) == "<TokenPanel closed>"


def test_the_thread_runs_only_while_a_view_is_there(session: TokenSession, watchers: list[Callable[[], None]]) -> None:
    panel = TokenPanel(session=session)
    until(lambda: not threads())
    shown(panel)
    assert "jupyter_tokens widgets" in threads()
    panel.set_state({"_view_count": 0})
    until(lambda: not threads())
    assert not watchers
    session.fetch("oneaccess")
    panel.set_state({"_view_count": 1})
    until(lambda: row_of(panel, "oneaccess").says("fresh"))


def test_a_cell_that_is_run_again_closes_what_it_showed(session: TokenSession, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ["cell-a", "1"]
    kernel = SimpleNamespace(get_parent=lambda: {"metadata": {"cellId": run[0]}, "header": {"msg_id": run[1]}})
    monkeypatch.setattr(live, "get_ipython", lambda: SimpleNamespace(kernel=kernel))
    first, beside = shown(TokenPanel(session=session)), shown(TokenPanel(session=session))
    run[:] = ["cell-b", "2"]
    elsewhere = shown(beside)
    run[:] = ["cell-a", "3"]
    count = len(models())
    again = shown(TokenPanel(session=session))
    assert repr(first) == "<TokenPanel closed>"
    assert len(models()) == count
    assert repr(elsewhere) == repr(again) == "<TokenPanel>"


def test_a_front_end_that_tells_no_cell_has_nothing_closed(session: TokenSession) -> None:
    first = shown(TokenPanel(session=session))
    shown(TokenPanel(session=session))
    assert repr(first) == "<TokenPanel>"


@pytest.mark.parametrize("profiles", [{}])
def test_without_profiles_it_says_what_to_do(session: TokenSession) -> None:
    panel = shown(TokenPanel(session=session))
    assert "jupyter tokens add NAME" in notes_of(panel)
    assert "jupyter tokens add NAME" in bundle(panel)["text/html"]


@pytest.mark.parametrize("profiles", [{"broken": {"provider": "oneaccess"}}])
def test_a_wrong_profile_is_listed_with_what_is_wrong_and_has_no_buttons(session: TokenSession) -> None:
    panel = shown(TokenPanel(session=session))
    row = row_of(panel, "broken")
    assert row.says("alert")
    assert not row.buttons()
    assert "failed: " in bundle(panel)["text/plain"]
    # Read and drawn again, the panel before who came after it.
    feed, after = get_feed(session), Viewer()
    feed.read(30)
    feed.add(after)
    until(lambda: after.drawn)
    feed.remove(after)
    assert row_of(panel, "broken").box is row.box


def test_a_thousand_profiles_are_found_by_a_part_of_their_name(
    profiles: dict[str, Any], namespace: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    profiles |= {f"more-{number:03}": profiles["oneaccess"] for number in range(995)}
    before = len(models())
    panel = shown(TokenPanel(session=request.getfixturevalue("session")))
    assert len(rows(panel)) == 25
    assert "975 more" in notes_of(panel)
    assert len(models()) - before < 1000
    panel.children[0].value = "-99"
    until(lambda: list(rows(panel)) == [f"more-99{number}" for number in range(5)])
    panel.children[0].value = ""
    until(lambda: len(rows(panel)) == 25)
    assert len(models()) - before < 1000


def test_a_profile_that_comes_or_goes_does_so_in_the_panel_and_the_others_keep_what_was_entered(
    session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = shown(TokenPanel(session=session))
    kept = row_of(panel, "oneaccess")
    # The server's last fetch for oneaccess failed, which its row does not show.
    others = [entry._replace(failing=entry.name == "oneaccess") for entry in session.entries()[1:]]
    new = others[1]._replace(name="new")
    monkeypatch.setattr(session, "entries", lambda: [*others, new])
    get_feed(session).read_now()
    until(lambda: list(rows(panel)) == [*FIVE[1:], "new"])
    assert row_of(panel, "oneaccess").box is kept.box


def test_profiles_that_cannot_be_listed_are_an_error_and_the_last_known_stay(
    session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = shown(TokenPanel(session=session))

    def gone() -> Any:
        raise ServerGone("the Jupyter server cannot be reached.")

    with monkeypatch.context() as patch:
        patch.setattr(session, "entries", gone)
        get_feed(session).read_now()
        until(lambda: "cannot be reached" in notes_of(panel))
        assert list(rows(panel)) == FIVE
        assert "cannot be reached" in bundle(panel)["text/plain"]
    get_feed(session).read_now()
    until(lambda: not notes_of(panel))


def test_a_server_that_hangs_holds_up_the_cell_for_a_moment_only(
    session: TokenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "READ_TIMEOUT_SECONDS", 0.05)
    with held_up(monkeypatch, session, "entries"):
        panel = shown(TokenPanel(session=session))
        assert "Reading the profiles" in notes_of(panel)
        assert "in time" in bundle(panel)["text/plain"]
    until(lambda: list(rows(panel)) == FIVE)
    assert not notes_of(panel)


def test_our_own_mistake_is_told_by_its_name_only(session: TokenSession, monkeypatch: pytest.MonkeyPatch) -> None:
    row = row_of(shown(TokenPanel(session=session)), "oneaccess")

    def mistaken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("s3cret")

    monkeypatch.setattr(session, "fetch", mistaken)
    row.clicked("Fetch", "ZeroDivisionError")
    assert not row.says("s3cret")


def test_a_process_with_too_many_threads_says_so(session: TokenSession, monkeypatch: pytest.MonkeyPatch) -> None:
    row = row_of(shown(TokenPanel(session=session)), "oneaccess")
    until(lambda: threads() == ["jupyter_tokens widgets"])

    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        row.clicked("Fetch", "too many threads")
    row.clicked("Fetch", "fresh")


def test_outside_ipython_it_says_what_to_use_instead() -> None:
    with pytest.raises(RuntimeError, match="get_token"):
        TokenPanel()
    assert not [it for it in models().values() if isinstance(it, TokenPanel)]


def test_each_control_has_a_name_and_a_tooltip(session: TokenSession) -> None:
    panel = shown(TokenPanel(session=session))
    for name in FIVE:
        row_of(panel, name)["More"].value = True
    controls: list[Widget] = [it for it in within(panel) if hasattr(it, "description") and not hasattr(it, "_unnamed")]
    for control in controls:
        if type(control).__name__ in {"Button", "ToggleButton", "Text", "Dropdown", "BoundedIntText", "Checkbox"}:
            assert control.tooltip
            assert control.description or control.placeholder
