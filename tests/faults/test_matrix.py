"""Each fault of each API: what a user gets, what it cost, what is held goes on being served, and so do the others.

A real server, real APIs on loopback, and the client code of a kernel, which asks by proof: the same runs in a kernel's
own process, see test_real_kernel. Direct mode has the same cache and transport, see tests/test_transport.
"""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.errors import TokenError, Unauthorized
from jupyter_tokens.sandbox import FaultError
from jupyter_tokens.token import Token

from ..server.kernels import until
from .cells import APIS, Gets, Planned, Row
from .conftest import Side
from .table import EXPIRING, ROWS
from .vendor import BRIEF, MOST_BYTES, Vendor, WaitingClock


class Bench:
    """An API that fails, another one that is well, and a kernel for each."""

    def __init__(self, failing: Vendor, well: Vendor, clock: WaitingClock, start: Callable[[], Side]) -> None:
        self.failing, self.well, self.clock = failing, well, clock
        self._start = start
        self.one, self.other = start(), start()
        self._before = 0

    async def asked(self, row: Row, expected: Gets, *, refresh: bool = False) -> Token | TokenError:
        """What one kernel gets while another profile is asked for; the calls and waits are held to the table."""
        self._before, self.clock.waits[:] = self.failing.calls, []
        well = self.well.calls
        with self.failing.failing():
            began = self.clock.run() if row.silent else self.clock.elapsed()
            got, beside = await asyncio.gather(
                self.one.ask(self.failing.api, refresh=refresh), self.other.ask(self.well.api, refresh=True)
            )
            took = self.clock.stop() - began
            # The limit counts from the moment that the server makes the call; a busy machine is late, never early.
            assert 0.9 * BRIEF < took < 60 * BRIEF if row.silent else took == pytest.approx(sum(expected.waits))
            assert isinstance(beside, Token)
            assert self.well.calls == well + 1
            assert (self.calls, self.clock.waits) == (expected.calls, list(expected.waits))
            if isinstance(got, Token):
                await self.served(got)
        return got

    async def served(self, token: Token) -> None:
        """Who asks again at once, here or in a kernel that has just started, is given what is held, without a call."""
        calls = self.calls
        assert await self.one.ask(self.failing.api) is token
        elsewhere = await self._start().ask(self.failing.api)
        assert isinstance(elsewhere, Token)
        assert seen(elsewhere) == seen(token)
        assert self.calls == calls

    @property
    def calls(self) -> int:
        """Those to the API that fails, since it was last asked."""
        return self.failing.calls - self._before


def seen(token: Token) -> object:
    # Astra tells no value.
    return (token.reveal() if token.has_value else None, token.obtained_at)


def told(got: Token | TokenError) -> Gets:
    """What can be told of it without the API: all but calls and waits."""
    if isinstance(got, Token):
        return Gets()
    return Gets(type(got), got.status, got.code, bool(got.request_id), got.hint)


@pytest.fixture
def bench(
    row: Row,
    api: str,
    tmp_path: Path,
    clock: WaitingClock,
    kernels: Callable[[], Side],
    write_profiles: Callable[[dict[str, Any]], Path],
) -> Iterator[Bench]:
    well = APIS[(APIS.index(api) + 1) % len(APIS)]
    failing = Vendor(api, row.fault, clock.now, tmp_path / "failing")
    good = Vendor(well, Planned("none"), clock.now, tmp_path / "well")
    with ExitStack() as served:
        served.enter_context(failing.serving())
        served.enter_context(good.serving())
        write_profiles({api: failing.profile(), well: good.profile()})
        yield Bench(failing, good, clock, kernels)


def cells(rows: tuple[Row, ...], apis: tuple[str, ...] = APIS) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("row", "api"), [pytest.param(row, api, id=f"{row.title}-{api}") for row in rows for api in apis]
    )


def sampled(rows: tuple[Row, ...]) -> pytest.MarkDecorator:
    """All cells in the nightly run; always each fault at one API, another one from row to row."""
    return pytest.mark.parametrize(
        ("row", "api"),
        [
            pytest.param(
                row,
                api,
                id=f"{row.title}-{api}",
                # Each provider looks at the type in a line of its own.
                marks=[]
                if api == row.only[number % len(row.only)] or row.fault == Planned("token-type")
                else pytest.mark.nightly,
            )
            for number, row in enumerate(rows)
            for api in APIS
        ],
    )


def rows(*kinds: str) -> tuple[Row, ...]:
    return tuple(row for row in ROWS if isinstance(row.fault, Planned) and row.fault.kind in kinds)


@sampled(ROWS)
async def test_what_a_user_gets(row: Row, api: str, bench: Bench) -> None:
    if api not in row.only:
        return await cannot_have_it(row, bench)
    expected = row.of(api)
    assert bool(expected.hint) == (expected.error is not None)

    # At first nothing is held.
    got = await bench.asked(row, expected)
    assert told(got) == replace(expected, calls=1, waits=())

    # The fault ends: nobody has to do anything for that.
    held = await bench.one.ask(api)
    assert isinstance(held, Token)
    if held.expires_at is None:
        # Nothing is ever due, so that only who asks for a new one is told.
        got = await bench.asked(row, expected, refresh=True)
        assert told(got) == replace(expected, calls=1, waits=())
        after = await bench.one.ask(api)
    else:
        # Half a minute before its end everybody waits for the new one.
        bench.clock.advance(held.expires_at.timestamp() - bench.clock.now() - 30)
        after = await bench.asked(row, expected)
    assert isinstance(after, Token)
    assert (after is held) == (expected.error is not None)
    await bench.served(after)
    if expected.error is Unauthorized:
        # Until it ends: a vendor may lock the key.
        bench.clock.advance(20)
        await bench.served(after)

    # And again it ends.
    assert isinstance(await bench.one.ask(api, refresh=True), Token)
    return None


async def cannot_have_it(row: Row, bench: Bench) -> None:
    assert isinstance(row.fault, Planned)
    with pytest.raises(FaultError, match="is not possible"):
        bench.failing.sandbox.plan({"api": bench.failing.api, "kind": row.fault.kind})
    token = await bench.one.ask(bench.failing.api)
    assert isinstance(token, Token)
    assert token.expires_at is None


@cells(rows("huge", "gzip-bomb"))
async def test_a_large_answer_is_not_kept_in_memory(row: Row, api: str, bench: Bench) -> None:
    # What is loaded at first use is loaded.
    assert isinstance(await bench.one.ask(api), Token)
    tracemalloc.start()
    try:
        with bench.failing.failing():
            assert isinstance(await bench.one.ask(api, refresh=True), TokenError)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_BYTES


# With all the time that a profile has by default: what ends the silence is that the fault ends.
@cells(tuple(replace(row, fault=Planned("hang")) for row in rows("hang")))
async def test_an_api_that_is_silent_holds_up_no_other(row: Row, api: str, bench: Bench) -> None:
    with bench.failing.failing():
        waiting = asyncio.create_task(bench.one.ask(api))
        await until(lambda: bench.failing.calls)
        assert isinstance(await bench.one.ask(bench.well.api), Token)
        assert isinstance(await bench.other.ask(bench.well.api, refresh=True), Token)
        assert not waiting.done()
    # Its silence has ended by a broken connection, and the call is made once more.
    assert isinstance(await waiting, Token)
    assert bench.failing.calls == 2


@cells(rows("stalled"), EXPIRING)
async def test_an_expiry_that_does_not_advance_is_asked_about_twice_and_not_all_the_time(
    row: Row, api: str, bench: Bench
) -> None:
    held = await bench.one.ask(api)
    assert isinstance(held, Token)
    assert held.expires_at is not None
    bench.clock.advance(held.expires_at.timestamp() - bench.clock.now() - 40)
    with bench.failing.failing():
        for left, calls in ((40, 2), (30, 2), (21, 2), (19, 3), (11, 3), (9, 4)):
            bench.clock.advance(held.expires_at.timestamp() - bench.clock.now() - left)
            assert isinstance(await bench.one.ask(api), Token)
            assert bench.failing.calls == calls, left
