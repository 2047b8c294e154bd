"""No test sees this machine's configuration, keyring or cloud credentials."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import pytest
from keyrings.alt.file import PlaintextKeyring

from jupyter_tokens.kernel import client

from .doubles import Clock

_CLOUDS = ("ALIBABA", "HUAWEICLOUD_", "OS_", "JUPYTER_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
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
    monkeypatch.setattr(client, "_shared", None)


@pytest.fixture
def config_dir() -> Path:
    """Where Jupyter looks for configuration first."""
    return Path(os.environ["JUPYTER_CONFIG_DIR"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[keyring.backend.KeyringBackend]:
    """A keyring of this test alone."""
    before = keyring.get_keyring()
    backend = PlaintextKeyring()
    backend.file_path = str(tmp_path / "keyring.cfg")
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)
