"""A sandbox on loopback for each test, with known accounts and a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jupyter_tokens.sandbox import Accounts, Sandbox, running

from . import client


@pytest.fixture
def clock() -> client.Clock:
    return client.Clock()


@pytest.fixture
def accounts() -> Accounts:
    return Accounts(
        alibaba={client.ALIBABA: client.ALIBABA_SECRET},
        huawei={client.HUAWEI: client.HUAWEI_SECRET},
        iam={client.USER: client.PASSWORD},
        oneaccess={client.CLIENT: client.CLIENT_SECRET},
        astra=[client.BEARER],
        dashscope=[client.API_KEY],
        id_tokens={"sandbox-idp": client.ID_TOKEN},
        openid={client.PROGRAM: client.PROGRAM_SECRET},
    )


@pytest.fixture
def sandbox(accounts: Accounts, clock: client.Clock) -> Iterator[Sandbox]:
    with running(accounts=accounts, clock=clock) as served:
        yield served


@pytest.fixture
def url(sandbox: Sandbox) -> str:
    return sandbox.url
