"""Real browsers: Debian's chromium through Playwright. These tests come last, for Playwright keeps a loop running."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import Error, Page, Response

from jupyter_tokens.sandbox import Sandbox, running

from ..e2e.test_tutorials import leaks
from .page import Lab
from .served import Served, serving

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "tests/labextension/" in item.path.as_posix())


@pytest.fixture
def jp_asyncio_loop() -> None:
    """pytest-jupyter's would be one loop too many for Playwright."""


@pytest.fixture(autouse=True)
def jp_server_cleanup() -> None:
    """Likewise: the servers here are other processes."""


@pytest.fixture(scope="session")
def base_url() -> str:
    """pytest-base-url's is defined in a way that pytest warns of; there is more than one server here anyway."""
    return ""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    chromium = shutil.which("chromium")
    assert chromium is not None, "chromium is missing; the Makefile installs it"
    return {**browser_type_launch_args, "executable_path": chromium, "args": ARGUMENTS}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "viewport": {"width": 1280, "height": 860}}


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with running(Sandbox()) as found:
        yield found


@pytest.fixture(scope="session")
def extra(sandbox: Sandbox) -> dict[str, Any]:
    """Profiles besides the sandbox's five."""
    key, secret = next(iter(sandbox.accounts.alibaba.items()))
    return {
        "refused": {
            "provider": "pai-dlc",
            "endpoint": sandbox.url,
            "access_key_id": key,
            "access_key_secret": f"{secret}-wrong",
            "env": "REFUSED_TOKEN",
        },
        "short": {
            "provider": "pai-dlc",
            "endpoint": sandbox.url,
            "access_key_id": key,
            "access_key_secret": secret,
            "params": {"ExpireTime": 10},
            "env": "SHORT_TOKEN",
        },
    }


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox, extra: dict[str, Any]) -> Iterator[Served]:
    with serving("jupyterlab", tmp_path_factory.mktemp("lab"), sandbox, extra) as served:
        yield served


@pytest.fixture
def recording(page: Page, sandbox: Sandbox) -> Iterator[None]:
    """Fails each test in which a token's value reaches the browser, but for the answer to a reveal."""
    answers: list[Response] = []
    frames: list[str] = []

    def keep(frame: str | bytes) -> None:
        frames.append(frame if isinstance(frame, str) else frame.decode("latin-1"))

    page.on("websocket", lambda socket: socket.on("framereceived", keep))
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 (no method of C is taken)
    yield
    told = "".join(frames)
    for answer in answers:
        if "/jupyter-tokens/" in answer.url and "reveal" not in (answer.request.post_data or ""):
            # Of a page that was left, or a server that was stopped, there is none any more.
            with suppress(Error):
                told += answer.text()
    assert not leaks(told, sandbox)


@pytest.fixture
def lab(page: Page, jupyterlab: Served, recording: None) -> Lab:
    """JupyterLab with the panel open, and nothing fetched yet."""
    jupyterlab.forget_all()
    opened = Lab(page, jupyterlab)
    opened.open()
    opened.open_panel()
    return opened
