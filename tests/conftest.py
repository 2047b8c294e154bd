"""No test sees this machine's configuration, keyring or cloud credentials, or depends on how the tests were started."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import keyring
import keyring.backend
import pytest
from jupyter_client.connect import LocalPortCache
from keyrings.alt.file import PlaintextKeyring
from traitlets.config import Application

from jupyter_tokens import client
from jupyter_tokens.sandbox import Sandbox, running

from .doubles import Clock
from .hearing import free_port
from .leaks import Leaks, watching

_CLOUDS = ("ALIBABA", "HUAWEICLOUD_", "OS_", "JUPYTER_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


_OURS = ("COLUMNS", "LINES", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "NO_COLOR", "FORCE_COLOR", "CLICOLOR")
_LIKEWISE = (
    "CONDA_",
    "GIT_",
    "IPYTHON",
    "JPY_",
    "JUPYTER_",
    "KERNEL_",
    "NBVAL_",
    "PYTHONSTARTUP",
    "PYTHONWARNINGS",
    "MPLBACKEND",
    # Of another environment than that of the tests.
    "VIRTUAL_ENV",
)
_FILES = 4096


def _unheard(_number: int, _frame: FrameType | None) -> None:
    """For a signal that is to be ignored here, but not in the processes that the tests start."""


def _clean_surroundings() -> None:
    """Undoes what a terminal, `make`, `nohup`, a job in the background of a script or a notebook's kernel hands on."""
    for name in list(os.environ):
        if name in _OURS or name.startswith(_LIKEWISE):
            del os.environ[name]
    os.environ["TERM"] = "xterm"
    os.umask(0o022)
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            # What is ignored stays so over exec; what has a handler starts there with its default.
            signal.signal(number, _unheard)
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


# Before anything else of the tests: some servers are started for a whole session.
_clean_surroundings()
# Tests count the calls of each process; those of the store itself switch it on.
os.environ["JUPYTER_TOKENS_STORE"] = "none"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="the slow tests as often, or as long, as it takes to be sure, and the nightly ones",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what only the nightly run needs."""
    if not config.getoption("--full"):
        left_out = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """Exempt what is imported from garbage collection, which IPython runs whenever a shell ends."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What a test needs, CI installs: there a skipped test is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True, scope="session")
def _ports_of_their_own() -> Iterator[None]:
    """jupyter_client would choose ports that the system may assign to others before the kernel binds them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalPortCache, "find_available_port", lambda *_: free_port())
        yield


@pytest.fixture(autouse=True)
def leaks() -> Iterator[Leaks]:
    """Fails each test that lets a secret or a token out into a log (at DEBUG), an event or an error's body."""
    with watching() as leaks:
        yield leaks
    assert not leaks.found()


@pytest.fixture(autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # pytest's `mktemp` would read the whole folder for the next number, and each test has a home in it.
    home = Path(tempfile.mkdtemp(prefix="home-", dir=tmp_path_factory.getbasetemp()))
    for name in list(os.environ):
        if name.startswith(_CLOUDS) or name.upper() in _PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        folder = home / name.lower()
        folder.mkdir(mode=0o700)
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "")
    monkeypatch.setenv("JUPYTER_NO_CONFIG", "")
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", "none")
    monkeypatch.setattr(client, "_shared", client.Client())
    yield
    client._shared.close()
    # A process has one application at a time: the next test's is another.
    if Application.initialized():
        type(Application.instance()).clear_instance()


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether a slow test runs with its full count, not with the small one that CI has time for."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def config_dir() -> Path:
    """Where Jupyter looks for configuration first."""
    return Path(os.environ["JUPYTER_CONFIG_DIR"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The five APIs, with the documents' accounts and the true time."""
    with running() as served:
        yield served


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[keyring.backend.KeyringBackend]:
    """A keyring of this test alone."""
    before = keyring.get_keyring()
    backend = PlaintextKeyring()
    backend.file_path = str(tmp_path / "keyring.cfg")
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)
