"""A cell that runs for much longer than its token lives: what the programs see that it starts on the way."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyter_tokens.client import Client
from jupyter_tokens.kernel import session as module
from jupyter_tokens.kernel.session import TokenSession
from jupyter_tokens.sandbox import Sandbox, running
from jupyter_tokens.sources.cache import Key, windows
from jupyter_tokens.transport import Transport

from ..doubles import Clock
from .shells import done
from .test_session import until

LIFE, SECONDS, STEP = 5.0, 60.0, 0.5
ONEACCESS = Key("oneaccess")

CELL = f"""
%gettoken oneaccess
at_once, later = [], []
for _ in range({int(SECONDS / STEP)}):
    clock.advance({STEP})
    # The refresher has not had the time to do anything.
    at_once.append(left(printed_by_a_child()))
    settle()
    later.append(left(printed_by_a_child()))
"""
PROGRAM = "import os; print(os.environ['ONEACCESS_TOKEN'], end='')"


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with running(Sandbox(clock=clock.now, life=LIFE)) as served:
        yield served


@pytest.fixture
def vendor(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.url) as asked:
        yield asked


@pytest.fixture
def session(
    bare: InteractiveShell, configured: dict[str, Any], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TokenSession]:
    """The shell's own, on the test's clock."""
    client = Client(clock=clock, transport=Transport(clock=clock, sleep=lambda _: None))
    session = TokenSession(bare.user_ns, client, clock=clock)
    monkeypatch.setattr(bare, module._SESSION, session, raising=False)
    # A timer of the machine's would ring by another clock: `look` rings.
    monkeypatch.setattr(session.refresher, "_wait", lambda condition, _seconds: threading.Condition.wait(condition, 60))
    yield session
    session.close()
    client.close()


def test_a_child_always_has_a_token_that_lives(
    bare: InteractiveShell, session: TokenSession, sandbox: Sandbox, clock: Clock, vendor: httpx.Client
) -> None:
    source, begun, calls = session.client.source, clock.elapsed(), []
    source.watch(lambda _key, _token: calls.append(clock.elapsed() - begun))

    def printed_by_a_child() -> str:
        return subprocess.run([sys.executable, "-IS", "-c", PROGRAM], capture_output=True, text=True, check=True).stdout

    def left(value: str) -> float:
        # Refused if it does not live at this moment.
        told = vendor.get("/_sandbox/whoami", headers={"Authorization": f"Bearer {value}"}).raise_for_status().json()
        return datetime.fromisoformat(told["expires_at"]).timestamp() - clock.now()

    def settle() -> None:
        def nothing_is_due() -> bool:
            held = source.held(ONEACCESS)
            return held is not None and clock.elapsed() < held.refresh_at

        session.refresher.wake()
        until(session, nothing_is_due)

    done(bare, "%load_ext jupyter_tokens")
    bare.push({"clock": clock, "printed_by_a_child": printed_by_a_child, "left": left, "settle": settle})
    done(bare, CELL)
    at_once, later = bare.user_ns["at_once"], bare.user_ns["later"]
    assert len(at_once) == len(later) == SECONDS / STEP
    # A refresh begins that much before the end: it is what a child has at least, if the API answers within it.
    early, _ = windows(LIFE)
    assert min(at_once) == early
    assert min(later) == early + STEP
    assert max(later) == LIFE
    # One call, and then one whenever the window begins.
    assert calls == [moment * (LIFE - early) for moment in range(int(SECONDS / (LIFE - early)) + 1)]
    assert sandbox.requests["oneaccess"] == len(calls) == 16
