"""A keyring that waits for a person who does not come: each command says so, and which profile needs it, and ends."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from .machine import Machine, write_profiles

RING = """
import time
from keyring.backend import KeyringBackend

class Ring(KeyringBackend):
    priority = 1
    def get_password(self, service, user):
        time.sleep(3600)
    set_password = delete_password = None
"""
ACME = {"provider": "oneaccess", "endpoint": "https://127.0.0.1:1", "client_id": "a", "timeout": 1}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path, {"PYTHON_KEYRING_BACKEND": "waiting_ring.Ring", "PYTHONPATH": str(tmp_path)})
    (tmp_path / "waiting_ring.py").write_text(RING)
    profiles = {name: {**ACME, "client_secret": f"keyring:svc/{name}"} for name in "abcdef"}
    write_profiles(made.config, profiles)
    return made


@pytest.mark.parametrize(
    ("command", "code", "named"),
    [
        (["get", "a"], 2, ["a"]),
        (["scan", "--profiles", "notebook.ipynb"], 0, list("abcdef")),
        (["doctor", "--offline"], 1, list("abcdef")),
    ],
    ids=["get", "scan", "doctor"],
)
def test_it_is_named(machine: Machine, command: list[str], code: int, named: list[str]) -> None:
    (machine.home / "notebook.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    began = time.monotonic()
    done = machine.run(*command)
    assert done.returncode == code
    said = done.stdout + done.stderr
    for name in named:
        assert f"keyring:svc/{name} cannot be read: the keyring did not answer within 0.9 s" in said
    # Six profiles do not wait six times. (Starting a command takes its time as well.)
    assert time.monotonic() - began < 20
