"""Credential endpoints over several lives of a token, by a clock of the test's own, for SDKs that ask all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from jupyter_tokens.sandbox import Accounts, Sandbox, running
from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.sources.cache import windows

from ..doubles import Clock
from .conftest import SECRETS
from .kernels import until
from .test_endpoints import ONE_VALUE, Ask, ask, by_tool, neighbours, secret  # noqa: F401 (fixtures)

LIVES, ASKS_A_LIFE = 3, 40


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    accounts = Accounts(
        alibaba={"LTAI-sandbox": SECRETS["alibaba"]}, oneaccess={"client-sandbox": SECRETS["oneaccess"]}
    )
    with running(accounts=accounts, clock=clock.now) as served:
        yield served


@by_tool
async def test_one_call_a_life_however_often_the_sdk_asks(
    tool: str,
    ask: Ask,  # noqa: F811
    secret: Any,  # noqa: F811
    sandbox: Sandbox,
    extension: TokensExtension,
    clock: Clock,
) -> None:
    extension.clock = clock
    profile, name, life = (
        ("pai-dlc", "ExpireTime", 60) if tool in ONE_VALUE else ("alibaba-sts", "DurationSeconds", 900)
    )
    params = {name: life}
    shown = await secret(profile, **params)
    key, source = extension.source.key(profile, params), extension.source
    values = set()
    for _ in range(LIVES * ASKS_A_LIFE):
        # Several at once, as the threads of a program ask.
        answers = await asyncio.gather(*(ask(tool, shown, profile) for _ in range(3)))
        assert {answer.code for answer in answers} == {200}
        held = source.held(key)
        assert held is not None
        assert held.token.expires_at is not None
        assert held.token.expires_at.timestamp() > clock.now()
        # Until a refresh in the background is over, as it is long before the next ask.
        await until(lambda: source.standing(key).state == "fresh")
        values.add(tuple(held.token.values().values()))
        clock.advance(life / ASKS_A_LIFE)
    advisory, _ = windows(life)
    # The token is renewed at the first ask within the advisory window.
    between = life - advisory + life / ASKS_A_LIFE
    assert LIVES * life // between <= sandbox.requests[profile] <= LIVES * life // (life - advisory) + 1
    assert sandbox.requests.total() == sandbox.requests[profile]
    assert len(values) >= sandbox.requests[profile] - 1
