"""Real browsers: Debian's chromium through Playwright. These tests come last, for Playwright keeps a loop running."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any, Literal

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from pytest_playwright import CreateContextCallback

from jupyter_tokens.sandbox import Sandbox, running

from ..e2e.browser import FLAGS
from .page import PAGES, Lab, with_panel
from .recording import Recording, confidential
from .served import Served, serving

Serve = Callable[[str, Literal["known", "new"]], Served]

KEY = "an-api-key-that-the-tests-made-up"


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
    return {**browser_type_launch_args, "executable_path": chromium, "args": list(FLAGS)}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "viewport": {"width": 1280, "height": 860}}


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with running(Sandbox()) as found:
        yield found


@pytest.fixture(autouse=True)
def planned_faults(sandbox: Sandbox) -> Iterator[None]:
    """The sandbox is one for all tests: what one of them plans is not left to the next, whichever fixtures that has."""
    yield
    sandbox.clear_faults()


@pytest.fixture(scope="session")
def extra(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Profiles besides the sandbox's five."""
    key, secret = next(iter(sandbox.accounts.alibaba.items()))
    neighbours = sandbox.neighbours(tmp_path_factory.mktemp("secrets"))
    person = {
        "provider": "oauth2",
        "issuer": f"{sandbox.url}/openid",
        "client_id": "sandbox-app",
        "auth_method": "none",
    }
    return {
        # Tokens of three values.
        **{name: neighbours[name] for name in ("alibaba-sts", "huawei-sts")},
        "openid": {**person, "grant": "authorization_code", "env": "OPENID_TOKEN"},
        "openid-device": {**person, "grant": "device_code", "env": "OPENID_DEVICE_TOKEN"},
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
def serve(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox, extra: dict[str, Any]) -> Iterator[Serve]:
    """Starts each server once."""
    with ExitStack() as servers:

        @cache
        def start(application: str, user: Literal["known", "new"]) -> Served:
            folder = tmp_path_factory.mktemp(application)
            with pytest.MonkeyPatch.context() as patch:
                if user == "new":
                    patch.setenv("ACME_API_KEY", KEY)
                return servers.enter_context(serving(application, folder, sandbox, extra if user == "known" else {}))

        yield start


@pytest.fixture
def application(request: pytest.FixtureRequest) -> str:
    """JupyterLab, or what a test marked with `IN_BOTH` asks for."""
    return str(getattr(request, "param", "jupyterlab"))


@pytest.fixture
def served(serve: Serve, application: str) -> Served:
    """A server with the sandbox's profiles and a few more."""
    return serve(application, "known")


@pytest.fixture
def new_user(serve: Serve, application: str) -> Served:
    """A server whose user has no profile, but an API key in the environment."""
    found = serve(application, "new")
    (found.home / "config" / "jupyter_tokens_config.json").unlink(missing_ok=True)
    return found


@pytest.fixture(scope="session")
def searched() -> set[str]:
    """JupyterLab's own scripts are the same for each test: once is enough."""
    return set()


@pytest.fixture
def recording(tmp_path_factory: pytest.TempPathFactory, searched: set[str]) -> Recording:
    return Recording(tmp_path_factory.mktemp("recording"), searched)


@pytest.fixture
def context(new_context: CreateContextCallback, recording: Recording, sandbox: Sandbox) -> Iterator[BrowserContext]:
    """Where every page of these tests is opened: fails each test in which a secret or a token reaches the browser."""
    context = new_context(record_har_path=recording.archive, record_har_content="attach")
    recording.follow(context)
    yield context
    recording.end()
    assert recording.leaks(confidential(sandbox)) == []
    recording.done()


@pytest.fixture
def lab(page: Page, served: Served, application: str) -> Lab:
    """JupyterLab, or Notebook, with the panel open, and nothing fetched yet."""
    served.forget_all()
    return with_panel(PAGES[application](page, served))


@pytest.fixture
def empty(page: Page, new_user: Served, application: str) -> Lab:
    """The empty panel."""
    lab = with_panel(PAGES[application](page, new_user))
    expect(lab.panel).to_contain_text("No profiles yet")
    return lab
