"""The harness itself: a kernel whose port is taken is started again, and a cell whose end nbclient misses is seen."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager

from . import notebook_runs
from .hearing import started
from .notebook_runs import PatientClient


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


def test_a_kernel_whose_port_is_taken_is_started_again(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[KernelManager] = []

    def first_with_a_port_that_is_taken(self: KernelManager, **options: Any) -> None:
        begun.append(self)
        if len(begun) == 1:
            self.cache_ports, self.shell_port = False, taken
        start(self, **options)

    start = KernelManager.start_kernel
    monkeypatch.setattr(KernelManager, "start_kernel", first_with_a_port_that_is_taken)
    manager, client = started(env=dict(os.environ))
    try:
        assert [each.is_alive() for each in begun] == [False, True]
        assert manager.shell_port != taken
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_another_death_at_the_start_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="died"):
        started(
            extra_arguments=["--no-such-option=1", "--KernelApp.nothing"], env={**os.environ, "PYTHONHASHSEED": "x"}
        )
    assert "PYTHONHASHSEED" in capfd.readouterr().err


def test_a_cell_may_take_longer_than_nbclients_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook_runs, "_LOOK_SECONDS", 1)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import time; time.sleep(2.5); print('end')")])
    client = PatientClient(notebook, kernel_name="python3")
    client.execute()
    assert notebook.cells[0].outputs[0].text == "end\n"
    assert client.looks >= 1
