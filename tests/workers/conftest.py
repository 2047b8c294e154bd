"""A real server, a kernel of it as the driver, and workers that the driver starts; tokens that live for seconds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

import pytest

from jupyter_tokens.protocol.handles import IssuedHandle
from jupyter_tokens.sandbox import Sandbox, running
from jupyter_tokens.server.app import TokensExtension

from ..server.conftest import *  # noqa: F403 (fixtures of a conftest that is not the top one cannot come as a plugin)
from ..server.kernels import started


class Pace(NamedTuple):
    """life : seconds that a token lives for. job : seconds that a long job takes."""

    life: float
    job: float

    @property
    def refresh(self) -> float:
        """Seconds after which a token is refreshed; its API reports whole seconds, so one less may be left."""
        return 0.8 * (self.life - 1)


AllIssued = Callable[[], list[IssuedHandle]]
Run = Callable[..., Coroutine[Any, Any, Any]]
Drive = Callable[[], AbstractAsyncContextManager[Run]]

_REPORT = """
import json as _json
try:
    {code}
    _result = {{"result": result}}
except Exception as _error:
    import traceback as _traceback
    _result = {{"error": type(_error).__name__, "text": str(_error), "where": _traceback.format_exc()}}
print("RESULT " + _json.dumps(_result))
"""


@pytest.fixture
def pace(*, full: bool) -> Pace:
    return Pace(10, 60) if full else Pace(6, 18)


@pytest.fixture  # type: ignore[no-redef]  # in the place of the server's
def sandbox(pace: Pace) -> Iterator[Sandbox]:
    with running(life=pace.life) as served:
        yield served


@pytest.fixture
def issued(extension: TokensExtension) -> AllIssued:
    """Returns all handles that the server has issued, also the ended ones, as they are now."""
    names: list[str] = []
    issue = extension.handles.issue

    def noted(*args: Any, **facts: Any) -> IssuedHandle:
        handle = issue(*args, **facts)
        names.append(handle.id)
        return handle

    extension.handles.issue = noted  # type: ignore[method-assign]
    return lambda: [handle for name in names if (handle := extension.handles.get(name)) is not None]


@pytest.fixture
def drive(
    jp_serverapp: Any,
    http_server_client: Any,
    extension: TokensExtension,
    profiles: Any,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> Drive:
    """Starts a kernel of the server, the process that starts workers.

    It runs programs, and returns what they call `result`; `url` is the sandbox's.
    """
    # What workers are to do is in `jobs`.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    @asynccontextmanager
    async def drive() -> AsyncIterator[Run]:
        # The hook that tells kernels where the server is; pytest-jupyter does not run it.
        await extension._start_jupyter_server_extension(jp_serverapp)
        async with started(jp_serverapp) as driver:

            async def run(program: str, **names: Any) -> Any:
                given = "".join(f"{name} = {value!r}\n" for name, value in {"url": sandbox.url, **names}.items())
                body = dedent(program).strip().replace("\n", "\n    ")
                printed = await driver.run(given + _REPORT.format(code=body))
                lines = [line for line in printed.splitlines() if line.startswith("RESULT ")]
                assert lines, printed
                answer = json.loads(lines[-1].removeprefix("RESULT "))
                assert "error" not in answer, answer["where"] + printed
                return answer["result"]

            run.kernel = driver  # type: ignore[attr-defined]
            yield run

    return drive
