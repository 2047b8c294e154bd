"""Whose kernel a process is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from jupyter_tokens.protocol.proof import Identity, identity, missing_identity

ID = "0b8e2a5e-6e0b-4c53-a0a1-6c3f1f2c7a11"


def kernel(
    monkeypatch: pytest.MonkeyPatch, file: str = f"/run/kernel-{ID}.json", *, key: bytes = b"key", running: bool = True
) -> None:
    app = SimpleNamespace(connection_file=file, session=SimpleNamespace(key=key))
    kind = SimpleNamespace(initialized=lambda: running, instance=lambda: app)
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", SimpleNamespace(IPKernelApp=kind))
    monkeypatch.setenv("JUPYTER_TOKENS_URL", "http://127.0.0.1:8888/jupyter-tokens")


def test_a_kernel_that_a_server_started_is_known_by_its_connection_file(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch)
    assert identity() == Identity("http://127.0.0.1:8888/jupyter-tokens", None, ID, b"key")
    assert missing_identity() == ""


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("JUPYTER_TOKENS_CERT", "/etc/cert.pem", ("/etc/cert.pem", False)),
        ("JUPYTER_TOKENS_CLIENT_CERT", "required", (None, True)),
    ],
)
def test_the_servers_certificate_and_whether_it_asks_for_one_go_along(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: tuple[str | None, bool]
) -> None:
    kernel(monkeypatch)
    monkeypatch.setenv(variable, value)
    found = identity()
    assert found is not None
    assert (found.cert, found.shows_cert) == expected


def test_without_a_published_url_it_is_no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch)
    monkeypatch.delenv("JUPYTER_TOKENS_URL")
    assert identity() is None
    assert missing_identity() == "no Jupyter server with jupyter_tokens started this process"


def test_a_process_that_runs_no_kernel_is_no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch)
    monkeypatch.delitem(sys.modules, "ipykernel.kernelapp")
    assert identity() is None
    assert missing_identity() == "this process is not itself a kernel of the Jupyter server"


def test_an_application_that_was_never_started_is_no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, running=False)
    assert identity() is None


@pytest.mark.parametrize("file", ["/run/tmp8x.json", "/run/kernel-.json", "/run/kernel-../x.json", ""])
def test_another_file_name_tells_no_kernel(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    kernel(monkeypatch, file)
    assert identity() is None
    assert missing_identity() == "a program other than the Jupyter server started this kernel, for example papermill"


def test_a_kernel_without_a_key_cannot_prove_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, key=b"")
    assert identity() is None
    assert missing_identity() == "this kernel has no key for its connections"


def test_its_repr_shows_no_key() -> None:
    assert "k3y" not in repr(Identity("http://127.0.0.1:1", None, ID, b"k3y"))


class TestAnotherKernelThanIpykernel:
    @pytest.fixture(autouse=True)
    def _of_a_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "ipykernel.kernelapp", raising=False)
        monkeypatch.setenv("JUPYTER_TOKENS_URL", "http://127.0.0.1:8888/jupyter-tokens")

    def test_is_known_by_the_connection_file_of_its_command_line(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        file = tmp_path / f"kernel-{ID}.json"
        file.write_text(json.dumps({"key": "k3y"}))
        monkeypatch.setattr(sys, "orig_argv", ["xpython", "-f", str(file)])
        assert identity() == Identity("http://127.0.0.1:8888/jupyter-tokens", None, ID, b"k3y")

    @pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"key": 1}'])
    def test_is_unknown_without_a_key_in_that_file(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
    ) -> None:
        file = tmp_path / f"kernel-{ID}.json"
        if content is not None:
            file.write_text(content)
        monkeypatch.setattr(sys, "orig_argv", ["xpython", "-f", str(file)])
        assert identity() is None

    @pytest.mark.parametrize("words", [["-f"], ["-f", "/etc/other.json"]])
    def test_is_unknown_without_a_connection_file(self, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
        monkeypatch.setattr(sys, "orig_argv", ["xpython", *words])
        assert identity() is None
