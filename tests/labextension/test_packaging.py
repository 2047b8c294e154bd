"""What is installed: built from the sources as they are, of one version, with nothing of the machine in it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import jupyter_tokens
from jupyter_tokens._version import __version__

ROOT = Path(jupyter_tokens.__file__).parents[1]
SHARE = "data/share/jupyter/labextensions/jupyter-tokens/"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """From an sdist, on a machine without node."""
    folder = tmp_path_factory.mktemp("dist")
    # The sdist builds what is not built yet; the wheel of it needs nobody to.
    _pack(folder, "sdist", ROOT, os.environ["PATH"])
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        packed.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    _pack(folder, "wheel", unpacked, "")
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as opened:
        yield opened


def _pack(folder: Path, kind: str, source: Path, path: str) -> None:
    command = f"from hatchling.build import build_{kind}; build_{kind}({str(folder)!r})"
    subprocess.run([sys.executable, "-c", command], cwd=source, env={**os.environ, "PATH": path}, check=True)


def _shared(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    return {name.partition(SHARE)[2]: wheel.read(name) for name in wheel.namelist() if SHARE in name}


def test_the_wheel_has_the_extension_once(wheel: zipfile.ZipFile) -> None:
    files = _shared(wheel)
    assert {"install.json", "package.json", "schemas/jupyter-tokens/plugin.json"} <= set(files)
    entry = json.loads(files["package.json"])["jupyterlab"]["_build"]["load"]
    assert entry in files
    assert len([name for name in files if "remoteEntry" in name]) == 1
    assert not [name for name in wheel.namelist() if name.startswith("jupyter_tokens/labextension")]


def test_the_version_is_the_packages(wheel: zipfile.ZipFile) -> None:
    assert json.loads(_shared(wheel)["package.json"])["version"] == __version__


def test_the_licences_of_what_is_bundled_come_along(wheel: zipfile.ZipFile) -> None:
    told = json.loads(_shared(wheel)["static/third-party-licenses.json"])["packages"]
    assert {package["name"] for package in told} >= {"css-loader", "style-loader"}
    assert all(package["extractedText"] for package in told)


def test_nothing_of_the_machine_is_in_it(wheel: zipfile.ZipFile) -> None:
    for name, content in _shared(wheel).items():
        assert not name.endswith(".map")
        assert not re.search(rb"sourceMappingURL=\S+\.map\s*$", content)
        assert str(ROOT).encode() not in content
        assert str(Path.home()).encode() not in content


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((ROOT / "labextension" / "package-lock.json").read_text())
    assert not any("resolved" in package for package in lock["packages"].values())
    assert re.search("omit-lockfile-registry-resolved=true", (ROOT / "labextension" / ".npmrc").read_text())


def test_what_is_installed_here_is_what_is_built_here() -> None:
    installed = Path(sys.prefix) / "share" / "jupyter" / "labextensions" / "jupyter-tokens" / "package.json"
    built = ROOT / "jupyter_tokens" / "labextension" / "package.json"
    assert json.loads(installed.read_text()) == json.loads(built.read_text()), "run: pip install -e ."
