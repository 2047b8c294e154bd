"""What a card shows, what it escapes, and that the value is never in it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html.parser import HTMLParser

import pytest
from IPython.core.formatters import HTMLFormatter

from jupyter_tokens.clock import utc
from jupyter_tokens.errors import NotFound, ParameterError, TokenError
from jupyter_tokens.kernel.card import Card, as_of, error_lines, local_time, remaining
from jupyter_tokens.kernel.injection import Place
from jupyter_tokens.kernel.status import Outcome
from jupyter_tokens.protocol.messages import About
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.token import Token

from ..doubles import CANARY, NOW

EVIL = "<script>alert(\"&')</script>"


def token(value: str | None = CANARY, life: float | None = 1719.0, profile: str = "oneaccess") -> Token:
    ends = None if life is None else utc(NOW + life)
    return Token(value, profile=profile, provider="oneaccess", obtained_at=utc(NOW), expires_at=ends)


def card(
    got: Token | None = None,
    *,
    title: str = "Huawei Cloud OneAccess",
    sandbox: bool = False,
    places: Sequence[str] = ("ONEACCESS_TOKEN",),
    kept_fresh: bool = True,
    notes: Sequence[str] = (),
    mode: str = "direct",
    now: float = NOW,
) -> Card:
    about, filled = About(title, None, sandbox), [Place("env", name) for name in places]
    return Card(Outcome(Key("any"), got or token(), about, filled, kept_fresh, [*notes]), mode, utc(now))


def html_of(shown: object) -> str:
    """As IPython asks for it."""
    html = HTMLFormatter()(shown)
    assert isinstance(html, str)
    return html


class Reader(HTMLParser):
    """The text of a page, and its tags in order; complains of what is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_it_shows_state_expiry_and_where_the_token_went() -> None:
    assert repr(card()).splitlines() == [
        "oneaccess · Huawei Cloud OneAccess",
        "  state: fresh",
        "  expires: 29 min after it was fetched",
        "  injected: $ONEACCESS_TOKEN",
        "  kept fresh: until the kernel ends",
        "  source: direct",
    ]


@pytest.mark.parametrize("life", [1719.0, 1720.4, 90.0])
def test_the_plain_form_is_the_same_at_any_time(life: float) -> None:
    now, later = card(token(life=life)), card(token(life=life), now=NOW + 70)
    assert repr(now) == repr(later)
    assert str(utc(NOW).year) not in repr(now)
    assert html_of(now) != html_of(later)


def test_html_and_text_show_the_same_but_for_the_time() -> None:
    shown = card(sandbox=True, places=["A", "b"], notes=["First.", "Second."])
    words = " ".join(Reader(html_of(shown).replace("<span>$</span>", "$")).texts)
    assert f"{local_time(utc(NOW + 1719), utc(NOW))} (in 29 min)" in words
    assert f"fresh as of {utc(NOW).astimezone():%H:%M}" in words
    for line in repr(shown).replace("29 min after it was fetched", "").splitlines():
        for part in line.replace(" · ", ": ").split(": "):
            assert part.strip() in words


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone is the process's own")
def test_times_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        monkeypatch.setenv("TZ", "CET-1CEST")
        time.tzset()
        assert local_time(utc(NOW + 1719), utc(NOW)) == "09:58:39 CET"
        assert local_time(utc(NOW + 86400), utc(NOW)) == "2026-01-16 09:30:00 CET"
        assert as_of(utc(NOW)) == "as of 09:30"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("got", [token(), token(life=None), token(life=-5.0)])
def test_the_value_is_in_no_form_of_it(got: Token) -> None:
    shown = card(got, notes=["A note."], sandbox=True)
    assert CANARY not in repr(shown) + str(shown) + html_of(shown) + f"{shown!s:>9}"


def test_whatever_it_is_told_is_escaped_in_html() -> None:
    shown = card(token(profile=EVIL), title=EVIL, places=[EVIL], mode=EVIL, notes=[EVIL])
    page = Reader(html_of(shown))
    assert "script" not in page.tags
    assert "".join(page.texts).count(EVIL) == 5
    assert EVIL not in html_of(shown)


def test_the_sandbox_has_a_badge_and_a_vendor_has_none() -> None:
    assert "sandbox" in repr(card(sandbox=True)).splitlines()[0]
    assert "sandbox" in Reader(html_of(card(sandbox=True))).texts
    assert "sandbox" not in repr(card()) + html_of(card())


def test_a_token_without_an_end_says_so_and_needs_no_refresh() -> None:
    shown = repr(card(token(life=None), kept_fresh=False))
    assert "expires: not reported by the API" in shown
    assert "kept fresh" not in shown


def test_a_stored_token_that_is_only_described_says_so() -> None:
    shown = repr(card(token(None, None), places=[], kept_fresh=False))
    assert "state: fresh" in shown
    assert "expires: does not expire" in shown
    assert "injected" not in shown
    assert "kept fresh" not in shown


def test_what_is_not_kept_fresh_says_no() -> None:
    assert "kept fresh: no" in repr(card(kept_fresh=False))


@pytest.mark.parametrize("life", [0.0, -5.0])
def test_a_token_that_is_over_is_not_called_fresh(life: float) -> None:
    shown = repr(card(token(life=life), kept_fresh=False))
    assert "state: expired" in shown
    assert "expired as of" in html_of(card(token(life=life)))
    assert "(in " not in html_of(card(token(life=life)))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (0, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (119, "119 s"),
        (120, "2 min"),
        (1719, "29 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (86400, "24 h"),
        (172800, "2 days"),
        (604800, "7 days"),
    ],
)
def test_a_span_of_time_is_told_in_the_unit_people_use(seconds: float, text: str) -> None:
    assert remaining(seconds) == text


def test_an_error_tells_whom_it_concerns_and_every_fact_there_is() -> None:
    error = NotFound(
        "The instance does not exist.",
        hint="Check instance_id.",
        code="ModelArts.6309",
        request_id="req-1",
        status=404,
        provider="modelarts",
        profile="mine",
    )
    assert error_lines(error) == [
        "TokenError: mine (modelarts): The instance does not exist.",
        "  HTTP status    404",
        "  vendor's code  ModelArts.6309",
        "  request id     req-1",
        "  what to do     Check instance_id.",
    ]


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (TokenError("Bad."), ["TokenError: Bad."]),
        (TokenError("Bad.", profile="mine"), ["TokenError: mine: Bad."]),
        (ParameterError("Bad.", provider="astra"), ["TokenError: (astra): Bad."]),
        (ParameterError("Bad.", profile="astra", provider="astra"), ["TokenError: astra: Bad."]),
    ],
)
def test_an_error_tells_no_fact_that_there_is_not(error: TokenError, lines: list[str]) -> None:
    assert error_lines(error) == lines
