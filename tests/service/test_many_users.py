"""1,000 users, 4 replicas of the service that share a store, 5 minutes by a clock of the test's own."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.sandbox import Accounts, Sandbox, running
from jupyter_tokens.service.app import TokenService
from jupyter_tokens.sources.cache import Key, windows

from ..doubles import Clock
from .conftest import Hub, write

pytestmark = pytest.mark.slow

LIFE, SECONDS, REPLICAS, SHARED = 60, 300, 4, 5
EACH = 30
"""How often each user's server asks for each profile, in seconds."""


@pytest.fixture
def users(full: bool) -> list[str]:
    return [f"user-{number}" for number in range(1000 if full else 60)]


@pytest.fixture
def sandbox(clock: Clock, users: list[str]) -> Iterator[Sandbox]:
    clients = {f"client-{number}": f"c4n4ry-secret-{number:08}" for number in range(SHARED)}
    keys = {f"LTAI-{user}": f"c4n4ry-secret-of-{user}" for user in users}
    with running(accounts=Accounts(oneaccess=clients, alibaba=keys), clock=clock.now, life=LIFE) as served:
        yield served


@pytest.fixture
def replicas(
    sandbox: Sandbox, config_dir: Path, hub: Hub, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[TokenService]]:
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", f"file:{tmp_path / 'store'}")
    one: dict[str, Any] = {"provider": "oneaccess", "endpoint": sandbox.url}
    for name, text in {**sandbox.accounts.oneaccess, **sandbox.accounts.alibaba}.items():
        for end, said in ((".id", name), (".secret", text)):
            file = tmp_path / f"{name}{end}"
            file.write_text(said)
            file.chmod(0o600)
    profiles = {
        f"shared-{number}": {**one, "client_id": client, "client_secret": f"file:{tmp_path}/{client}.secret"}
        for number, client in enumerate(sandbox.accounts.oneaccess)
    }
    of_user = f"file:{tmp_path}/LTAI-{{user}}"
    mine = {"access_key_id": f"{of_user}.id", "access_key_secret": f"{of_user}.secret"}
    profiles["mine"] = {"provider": "pai-dlc", "endpoint": sandbox.url, **mine}
    write(config_dir, profiles, {})
    with ExitStack() as stack:
        made = []
        for _ in range(REPLICAS):
            service = TokenService.configured()
            service.clock = clock
            stack.callback(service.close)
            made.append(service)
        yield made


class Seen:
    dead = 0
    asks = 0


def run(replicas: list[TokenService], clock: Clock, asks: list[tuple[Key, int]]) -> Seen:
    """asks : each key with the second of its first ask; then it is asked for each `EACH` s, of any replica."""
    dice, seen = random.Random(1), Seen()
    for second in range(SECONDS):
        due: list[tuple[TokenService, Key]] = []
        for key, first in asks:
            if second % EACH == first:
                service = dice.choice(replicas)
                token = service.source.get(key)
                seen.asks += 1
                seen.dead += token.expires_at is None or token.expires_at.timestamp() <= clock.now()
                if service.source.standing(key).state != "fresh":
                    due.append((service, key))
        # Until the refreshes are over that were begun in the background, as they are long before the next second.
        deadline = time.monotonic() + 60
        for service, key in due:
            while service.source.standing(key).state != "fresh":
                assert time.monotonic() < deadline
                time.sleep(0.001)
        clock.advance(1)
    return seen


def test_shared_profiles(replicas: list[TokenService], sandbox: Sandbox, clock: Clock, users: list[str]) -> None:
    dice = random.Random(2)
    keys = [replicas[0].key(user, f"shared-{number}", {}) for user in users for number in range(SHARED)]
    seen = run(replicas, clock, [(key, dice.randrange(EACH)) for key in keys])
    assert seen.dead == 0
    assert seen.asks == len(users) * SHARED * SECONDS // EACH
    # One a life, as long as a life is used: 7 for each profile.
    assert sandbox.requests["oneaccess"] <= 40
    advisory, _ = windows(LIFE)
    assert sandbox.requests["oneaccess"] >= SHARED * SECONDS // LIFE
    assert sandbox.requests["oneaccess"] <= SHARED * (SECONDS / (LIFE - advisory) + 1)


def test_keys_of_each_user(replicas: list[TokenService], sandbox: Sandbox, clock: Clock, users: list[str]) -> None:
    dice = random.Random(3)
    seen = run(replicas, clock, [(replicas[0].key(user, "mine", {}), dice.randrange(EACH)) for user in users])
    assert seen.dead == 0
    assert seen.asks == len(users) * SECONDS // EACH
    lives = len(users) * SECONDS / LIFE
    assert lives <= sandbox.requests["pai-dlc"] <= 1.02 * lives
