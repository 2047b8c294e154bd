"""How it reads: escaped, in words as well as colours, the same in text and in HTML."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.errors import ApiError, LoginNeeded, ParameterError
from jupyter_tokens.kernel.injection import env_place
from jupyter_tokens.kernel.status import Status
from jupyter_tokens.protocol.messages import ProfileEntry
from jupyter_tokens.sources.cache import STATE_LABELS, State
from jupyter_tokens.widgets import markup

from ..doubles import NOW

EVIL = "<img src=x onerror=alert(1)>\"'&"


def status(state: State, left: float | None = None, **changes: Any) -> Status:
    ends = None if left is None else utc(NOW) + timedelta(seconds=left)
    facts = {"title": "A vendor", "sandbox": False, "places": (), "kept_fresh": False, "error": None, "env": None}
    return Status(profile="mine", params={}, state=state, expires_at=ends, **{**facts, **changes})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0:00"), (0, "0:00"), (59.9, "0:59"), (61, "1:01"), (3599, "59:59"), (3600, "1 h 0 min"),
        (86_399, "23 h 59 min"), (172_799, "47 h 59 min"), (172_800, "2 days"), (604_800, "7 days"),
    ],
)  # fmt: skip
def test_a_countdown_is_as_fine_as_one_can_see_it_move(seconds: float, text: str) -> None:
    assert markup.countdown(seconds) == text


@pytest.mark.parametrize("state", ["none", "fresh", "aging", "expired", "failed"])
def test_each_state_is_a_word_and_not_only_a_colour(state: State) -> None:
    assert f"</span> {STATE_LABELS[state]}" in markup.state(status(state), NOW)


def test_a_token_whose_end_has_come_is_expired_before_anybody_looks_again() -> None:
    html = markup.state(status("fresh", 10), NOW + 10)
    assert "expired" in html
    assert "fresh" not in html


def test_nothing_that_others_wrote_is_taken_for_html() -> None:
    entry = ProfileEntry(EVIL, title=EVIL, sandbox=True)
    known = status("fresh", 60, places=(env_place("A"),))
    error = ApiError(EVIL, hint=EVIL, code=EVIL, request_id=EVIL, status=500)
    pieces = [
        markup.head(entry),
        markup.failure(error),
        markup.note([EVIL]),
        markup.static_html([(entry, known)], NOW, [EVIL]),
        markup.static_html([(entry._replace(error=error), None)], NOW),
    ]
    for piece in pieces:
        assert "<img" not in piece
        assert "&lt;img" in piece


def test_an_error_has_all_that_a_vendors_support_asks_for() -> None:
    html = markup.failure(ApiError("Refused.", hint="Do this.", code="X.1", request_id="r-1", status=403))
    assert "HTTP 403 · code X.1 · request id r-1" in html
    assert "Do this." in html
    assert markup.failure(ParameterError("Wrong.")).count("<div") == 2


def test_a_login_is_offered_where_it_helps_and_only_pages_that_can_begin_it_show_it() -> None:
    needed = LoginNeeded("Nobody is logged in.", profile=EVIL)
    offered = markup.failure(needed, offer_login=True)
    assert 'data-commandlinker-command="jupyter-tokens:log-in"' in offered
    assert 'style="display:none"' in offered
    assert "<img" not in offered
    assert "<button" not in markup.failure(needed)
    assert "<button" not in markup.failure(ApiError("Refused.", profile="mine"), offer_login=True)


def test_places_say_whether_they_are_kept_fresh() -> None:
    there = status("fresh", 60, places=(env_place("A"), env_place("B")))
    assert "$A, $B" in markup.places(there)
    assert "not kept fresh" in markup.places(there)
    assert "not kept fresh" not in markup.places(there._replace(kept_fresh=True))
    assert markup.places(status("none")) == markup.places(None) == ""


def test_the_table_is_the_same_in_text_and_in_html() -> None:
    rows = [
        (ProfileEntry("a", title="One", sandbox=True), status("fresh", 60, places=(env_place("A"),))),
        (ProfileEntry("b", title="Two"), None),
        (ProfileEntry("c", title="Three"), status("failed", error=ApiError("Refused."))),
    ]
    text, html = markup.static_text(rows, NOW), markup.static_html(rows, NOW).replace("<span>$</span>", "$")
    assert text.splitlines()[0].split() == ["profile", "provider", "state", "expires", "where"]
    for cell in (
        "One (sandbox)",
        f"{utc(NOW + 60).astimezone():%Y-%m-%d %H:%M:%S %Z}",
        "$A",
        "not fetched",
        "failed: Refused.",
    ):
        assert cell in text
        assert cell in html
    assert markup.static_text([], NOW, ["Nothing."]) == "Nothing."
    assert markup.static_html([], NOW, ["Nothing."]) == "<div>Nothing.</div>"
