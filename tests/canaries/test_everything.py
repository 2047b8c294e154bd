"""One run through all features, each secret of its own, and a search of every byte that it leaves behind.

`-s` prints what was found where; it is also written to build/canaries.md.
"""

from __future__ import annotations

import re
import resource
import stat
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from ..e2e.browser import jp_asyncio_loop, jp_server_cleanup
from . import kernels, vendors
from .browsing import Browsing
from .commands import Commands
from .house import House, Server
from .places import ALLOWED, ARGUMENTS, ENVIRONMENT, FILE, KINDS, unexpected
from .processes import Processes
from .report import report
from .traces import Found, Search, files

__all__ = ["jp_asyncio_loop", "jp_server_cleanup"]  # fixtures

pytestmark = pytest.mark.nightly

REPORT = Path(__file__).parents[2] / "build" / "canaries.md"
# A run that left none of these behind has not used what writes them.
LEFT = (
    "home/.bash_history", "home/server.log", "home/ipython/profile_default/history.sqlite",
    "home/config/jupyter_tokens_config.json", "home/runtime/jupyter_cookie_secret",
    "logs/addresses.txt", "logs/events.log", "logs/ipykernel.log", "logs/libraries.log", "logs/vendors.log",
    "work/panel.ipynb", "work/.ipynb_checkpoints/panel-checkpoint.ipynb",
    "work/redacted.ipynb", "work/.ipynb_checkpoints/redacted-checkpoint.ipynb",
    "work/ways.html", "work/report-done.ipynb",
    "browser/Default/History", "browser/Default/Local Storage/leveldb/LOG",
)  # fmt: skip


class Left(NamedTuple):
    """What a run left, and what of it is a value. cores : limits of core files, by what sort of process."""

    house: House
    found: Found
    cores: dict[str, set[str]]
    told: str


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    house = House(tmp_path_factory.mktemp("everything"))
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in house.variables.items():
            patch.setenv(name, value)
        patch.chdir(house.work)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
        try:
            return _searched(house)
        finally:
            resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def _searched(house: House) -> Left:
    processes = Processes(house.home)
    processes.start()
    try:
        issued = _run(house)
    finally:
        house.traces += processes.end()
    house.traces += files(FILE, house.folder)
    values = {value: f"secret of {name}" for name, value in house.made.items()}
    values |= {value: f"token of {api}" for value, api in issued.items()}
    found = Search(values).found(house.traces)
    told = report(values, found, processes.core_limits)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(told, encoding="utf-8")
    print(told)
    return Left(house, found, processes.core_limits, told)


def _run(house: House) -> dict[str, str]:
    """Everything, once; all tokens that there were, and whose each is."""
    with vendors.serving(house.accounts(), house.logs, house.variables) as sandbox:
        house.configure(sandbox)
        server = Server(house, sandbox)
        with server.running():
            kernels.routes(house, server, sandbox)
            with kernels.kernel(house, server, sandbox):
                Browsing(house, server, sandbox).all()
                Commands(house, sandbox).all()
                kernels.until_refreshed(sandbox)
                # Also what is there only for as long as a kernel lives; the browser's files come at the end.
                for folder in (house.home, house.work, house.secrets, house.logs):
                    house.traces += files(FILE, folder, below=house.folder)
        return sandbox.issued()


def test_no_value_is_where_none_may_be(left: Left) -> None:
    assert not unexpected(left.found.places), left.told


def test_a_value_is_wherever_one_may_be(left: Left) -> None:
    """Or the run does not do what it says, or a place is allowed for nothing."""
    assert {place for place, allowed in ALLOWED.items() if allowed.seen} <= set(left.found.places)


def test_each_kind_of_place_was_searched(left: Left) -> None:
    assert set(left.found.sizes) == set(KINDS)
    assert all(size for _, size in left.found.sizes.values())
    searched = {trace.name for trace in left.house.traces if trace.kind == FILE and trace.data}
    assert set(LEFT) <= searched
    assert any(name.startswith("home/runtime/kernel-") for name in searched)
    assert any(name.startswith("browser/Default/Cache/") for name in searched)
    roles = {trace.name.partition(":")[0] for trace in left.house.traces if trace.kind == ENVIRONMENT}
    assert roles >= {"server", "vendors", "kernel", "child of a kernel", "command", "bash"}
    programs = {trace.name for trace in left.house.traces if trace.kind == ARGUMENTS}
    assert {"chromium", Path(sys.executable).name} <= programs


def test_the_saved_notebook_has_the_state_of_widgets(left: Left) -> None:
    assert "application/vnd.jupyter.widget-state+json" in (left.house.work / "panel.ipynb").read_text(encoding="utf-8")


def test_a_file_with_a_value_is_its_owners_alone(left: Left) -> None:
    for place in left.found.places:
        # These two logs are opened by the test; there the umask decides.
        if place.kind == FILE and place.name not in ("logs/ipykernel.log", "home/server.log"):
            mode = (left.house.folder / place.name).stat().st_mode
            assert not stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO), place


def test_nothing_is_left_in_the_folder_for_temporary_files(left: Left) -> None:
    assert not [path for path in (left.house.home / "tmp").rglob("*") if path.is_file() and path.stat().st_size]


def test_no_process_can_leave_a_core_file(left: Left) -> None:
    assert {limit for limits in left.cores.values() for limit in limits} == {"0"}
    assert not [path for path in left.house.folder.rglob("core*") if re.fullmatch(r"core(\.\d+)?", path.name)]
