"""`%tokens`: every row, every sentence below them, in text and in HTML."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.errors import ServerGone, Throttled, TimedOut, TokenError
from jupyter_tokens.kernel.card import as_of, local_time
from jupyter_tokens.kernel.injection import Place
from jupyter_tokens.kernel.listing import Listing, make_listing
from jupyter_tokens.kernel.status import Status
from jupyter_tokens.protocol.handles import Handle
from jupyter_tokens.protocol.proof import FILLED_VARIABLE, START_VARIABLE

from ..doubles import NOW
from .test_card import EVIL, Reader, html_of


def row(profile: str = "oneaccess", **changes: Any) -> Status:
    usual = Status(
        profile=profile,
        params={},
        title="Huawei Cloud OneAccess",
        sandbox=False,
        state="fresh",
        expires_at=utc(NOW) + timedelta(seconds=1719),
        places=(Place("env", "ONEACCESS_TOKEN"), Place("file", "/home/me/t")),
        kept_fresh=True,
        error=None,
        env="ONEACCESS_TOKEN",
    )
    return usual._replace(**changes)


def idle(profile: str, **changes: Any) -> Status:
    return row(profile, state="none", expires_at=None, places=(), kept_fresh=False, **changes)


class Session:
    """What a listing asks of a session."""

    def __init__(self, *rows: Status) -> None:
        self.rows = list(rows)
        self.error: TokenError | None = None
        self.connection_error: TokenError | None = None
        self.mode = "server"
        self.told: list[str] = []
        self.lent: list[Handle] = []

    def entries(self) -> list[Any]:
        if self.error is not None:
            raise self.error
        return []

    def statuses(self) -> list[Status]:
        return self.rows

    def handles(self) -> list[Handle]:
        return self.lent

    def notices(self) -> list[str]:
        return self.told


def listed(session: Session) -> Listing:
    return make_listing(session, utc(NOW))  # type: ignore[arg-type]


def test_a_row_tells_of_each_token_and_of_each_profile() -> None:
    failed = row(
        "pai-dlc",
        params={"TargetId": "dlc1"},
        state="expired",
        expires_at=utc(NOW - 5),
        kept_fresh=False,
        sandbox=True,
        error=Throttled("Too many calls.", profile="pai-dlc", request_id="r-1"),
    )
    lines = repr(listed(Session(row(), failed, idle("astra")))).splitlines()
    assert [line.split("  ")[0] for line in lines[:4]] == [
        "profile",
        "oneaccess",
        "pai-dlc TargetId=dlc1 (sandbox)",
        "astra",
    ]
    columns = [lines[0].index(head) for head in ("state", "expires", "where", "kept fresh")]
    told = [
        [line[at:].split("  ")[0].strip() for at in columns]
        for line in (lines[1], lines[2], f"{lines[3]:<{len(lines[1])}}")
    ]
    both = "$ONEACCESS_TOKEN, /home/me/t"
    assert told == [
        ["fresh", f"{local_time(utc(NOW + 1719), utc(NOW))} (in 29 min)", both, "yes"],
        ["expired", local_time(utc(NOW - 5), utc(NOW)), both, "no"],
        ["not fetched", "", "", ""],
    ]
    assert lines[4:] == ["pai-dlc: Too many calls. [request id r-1]", "source: Jupyter server", as_of(utc(NOW))]


def test_handles_of_workers_are_named_once() -> None:
    session = Session(row())
    session.lent = [Handle.new("oneaccess", {}), Handle.new("oneaccess", {}), Handle.new("pai-dlc", {"TargetId": "d1"})]
    assert "Handles for workers, valid while this kernel runs: oneaccess, pai-dlc TargetId=d1." in repr(listed(session))


def test_html_and_text_show_the_same_and_all_is_escaped() -> None:
    session = Session(row(EVIL, params={EVIL: EVIL}, error=Throttled(EVIL)), idle("astra"))
    session.told = [EVIL]
    shown = listed(session)
    page = Reader(html_of(shown))
    assert "script" not in page.tags
    text = "".join(page.texts)
    assert text.count(EVIL) == 5
    for word in ("astra", "not fetched", "fresh", "yes", "source: Jupyter server", "kept fresh"):
        assert word in text
        assert word in repr(shown)


def test_a_gone_server_is_told_and_what_lives_goes_on() -> None:
    session = Session(row())
    session.connection_error = session.error = ServerGone("the Jupyter server cannot be reached.")
    text = repr(listed(session))
    assert "The Jupyter server is not available: the Jupyter server cannot be reached." in text
    assert "Valid tokens are still used." in text
    session.rows = []
    assert "still used" not in repr(listed(session))


def test_a_server_that_hangs_is_not_called_gone() -> None:
    session = Session(row())
    session.connection_error = session.error = TimedOut("The Jupyter server does not answer.")
    text = repr(listed(session))
    assert "The Jupyter server does not answer. Valid tokens are still used." in text
    assert "not available" not in text


def test_a_configuration_that_cannot_be_read_is_told_below_what_is_held() -> None:
    session = Session(row())
    session.error = TokenError("The file is no JSON.")
    text = repr(listed(session))
    assert "The profiles cannot be listed: The file is no JSON." in text
    assert "$ONEACCESS_TOKEN" in text


def test_without_a_profile_it_says_what_to_do() -> None:
    shown = listed(Session())
    assert "No profile is configured" in repr(shown)
    assert "<table" not in html_of(shown)


def test_what_failed_in_the_background_is_told() -> None:
    session = Session(row())
    session.told = ["oneaccess could not be kept fresh."]
    assert "oneaccess could not be kept fresh." in repr(listed(session))


def test_what_the_server_did_at_the_kernels_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"oneaccess": "ok", "eiam": "ok", "astra": {"message": "No token within 5 s.", "reason": "timeout"}}
    monkeypatch.setenv(START_VARIABLE, json.dumps(told))
    monkeypatch.setenv(FILLED_VARIABLE, json.dumps({"MINE": {"profile": "eiam", "params": {}}}))
    monkeypatch.setenv("MINE", "of the start")
    text = repr(listed(Session(row(), idle("eiam"), idle("astra"))))
    assert "eiam was injected when the kernel started; the Jupyter server keeps it fresh unless" in text
    assert "astra was not injected when the kernel started: No token within 5 s." in text
    assert "oneaccess was injected" not in text
    # The notebook has deleted the variable.
    monkeypatch.delenv("MINE")
    text = repr(listed(Session(idle("eiam"))))
    assert "eiam was injected when the kernel started; its variable no longer contains it." in text
    assert "keeps it fresh" not in text
    monkeypatch.setenv(START_VARIABLE, json.dumps({"": {"message": "The file is no JSON."}}))
    assert "Nothing was injected when the kernel started: The file is no JSON." in repr(listed(Session()))


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"a": 1}', '{"a": {}}', "[" * 60_000])
def test_a_variable_that_holds_something_else_is_told(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(START_VARIABLE, text)
    assert f"{START_VARIABLE} does not hold" in repr(listed(Session()))
