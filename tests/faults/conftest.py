"""A real Jupyter server, the kernels that ask it by proof, an API that fails and one that is well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

# Fixtures of a conftest that is not the top one cannot come as a plugin.
from pytest_jupyter.jupyter_server import *  # noqa: F403

from jupyter_tokens.errors import TokenError
from jupyter_tokens.protocol.proof import Identity
from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.sources import upstream
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.sources.remote import RemoteSource
from jupyter_tokens.token import Token
from jupyter_tokens.transport import Transport

from ..leaks import Leaks
from ..server.conftest import Kernel, extension, jp_server_config, write_profiles  # noqa: F401 (fixtures)
from .vendor import WaitingClock


class Side:
    """A kernel's side: the client code of a kernel, which asks the server by proof, and holds what it got."""

    def __init__(self, source: RemoteSource, leaks: Leaks) -> None:
        self._source = source
        self._leaks = leaks

    async def ask(self, profile: str, *, refresh: bool = False) -> Token | TokenError:
        """What a user gets."""
        try:
            return await self._source.aget(Key(profile), refresh=refresh)
        except TokenError as error:
            self._leaks.told("error", f"{error} {vars(error)}")
            return error.copy()


@pytest.fixture
def clock() -> WaitingClock:
    """Of server, kernels and APIs alike."""
    return WaitingClock()


@pytest.fixture
def kernels(
    jp_serverapp: Any,
    http_server_client: Any,
    jp_base_url: str,
    extension: TokensExtension,  # noqa: F811 (the fixture)
    clock: WaitingClock,
    leaks: Leaks,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[], Side]]:
    """Starts kernels' sides, on the test's clock."""
    # Without jitter, each wait between two tries is the longest that it can be.
    limited = partial(Transport, sleep=clock.sleep, rng=lambda: 1.0)
    monkeypatch.setattr(upstream, "Transport", limited)
    extension.clock = clock
    with ExitStack() as started:

        def start() -> Side:
            kernel = Kernel()
            started.enter_context(kernel.started(jp_serverapp))
            url = f"http://127.0.0.1:{jp_serverapp.port}{jp_base_url}jupyter-tokens"
            source = RemoteSource(Identity(url, None, kernel.id, kernel.key), clock=clock)
            started.callback(source.close)
            return Side(source, leaks)

        yield start
