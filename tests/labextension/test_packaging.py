"""What is installed: built from the sources as they are, of one version, with nothing of the machine in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import NamedTuple

import pytest

import jupyter_tokens
from jupyter_tokens._version import __version__

ROOT = Path(jupyter_tokens.__file__).parents[1]
# What tools leave behind; .gitignore keeps it out.
NO_SOURCES = {"__pycache__", "node_modules", "lib", ".pytest_cache", ".hypothesis", ".eslintcache"}
SHARE = "data/share/jupyter/labextensions/jupyter-tokens/"


class Packed(NamedTuple):
    """What a release consists of. sdist : unpacked."""

    sdist: Path
    wheel_of_sdist: Path
    wheel_of_checkout: Path


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """An sdist, the wheel of it as built without node, and the wheel of the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    path = os.environ["PATH"]
    # The sdist builds what is not built yet; the wheel of it needs nobody to.
    sdist = _pack(folder, "sdist", ROOT, path)
    with tarfile.open(sdist) as opened:
        opened.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return Packed(unpacked, _pack(folder / "of-sdist", "wheel", unpacked, ""), _pack(folder, "wheel", ROOT, path))


@pytest.fixture
def wheel(packed: Packed) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(packed.wheel_of_sdist) as opened:
        yield opened


def _pack(folder: Path, kind: str, source: Path, path: str) -> Path:
    command = f"from hatchling.build import build_{kind}; print(build_{kind}({str(folder)!r}))"
    folder.mkdir(exist_ok=True)
    told = subprocess.check_output([sys.executable, "-c", command], cwd=source, env={**os.environ, "PATH": path})
    return folder / told.decode().split()[-1]


def _shared(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    return {name.partition(SHARE)[2]: wheel.read(name) for name in wheel.namelist() if SHARE in name}


def test_the_sdist_has_what_it_is_built_from_tested_and_documented_with(packed: Packed) -> None:
    files = {file.relative_to(packed.sdist).as_posix() for file in packed.sdist.rglob("*") if file.is_file()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]
    wanted = {"PKG-INFO", "pyproject.toml", "README.md", "LICENSE", ".gitignore"}
    for name in (*project["include"], *project["artifacts"]):
        wanted.update(file.relative_to(ROOT).as_posix() for file in _sources(ROOT / name.removeprefix("/")))
    assert files == wanted
    assert {"jupyter_tokens/labextension/package.json", "labextension/src/index.ts", "hatch_build.py"} <= files


def _sources(top: Path) -> Iterator[Path]:
    if top.is_file():
        yield top
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if name not in NO_SOURCES]
        yield from (Path(folder, name) for name in files if name not in NO_SOURCES)


def test_checkout_and_sdist_make_the_same_wheel(packed: Packed) -> None:
    contents = []
    for path in (packed.wheel_of_checkout, packed.wheel_of_sdist):
        with zipfile.ZipFile(path) as opened:
            contents.append({name: opened.read(name) for name in opened.namelist()})
    here, there = contents
    assert here.keys() == there.keys()
    # RECORD, with the digest of each file, too.
    assert [name for name in here if here[name] != there[name]] == []


@pytest.mark.slow
def test_it_installs_without_node(packed: Packed, tmp_path: Path, full: bool) -> None:
    """full : with all that it depends on from the package index; else beside what is installed here."""
    python = tmp_path / "venv" / "bin" / "python"
    venv.create(tmp_path / "venv", with_pip=full)
    environment = {**os.environ, "PATH": str(python.parent), "HOME": str(tmp_path)}
    assert shutil.which("node", path=environment["PATH"]) is None
    wheel = f"{packed.wheel_of_sdist}[demo]"
    if full:
        command: list[str | Path] = [python, "-m", "pip", "install", wheel]
    else:
        packages = sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")})
        # Of a folder that comes so, no editable install counts: what is imported is the wheel's.
        Path(packages, "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
        command = [sys.executable, "-m", "pip", f"--python={python}", "install", "--no-deps", "--no-index", wheel]
        command.append("--ignore-installed")
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    jupyter = ("jupyter", "labextension") if full else ("python", "-m", "jupyterlab.labextensions")
    told = _output([python.with_name(jupyter[0]), *jupyter[1:], "list"], tmp_path, environment)
    ours = rf"^ *jupyter-tokens v{re.escape(__version__)} .*enabled.* OK.*\(python, jupyter_tokens\)"
    assert re.search(ours, told, re.MULTILINE)
    told = _output([python, "-m", "jupyter_server.extension.serverextension", "list"], tmp_path, environment)
    assert re.search(rf"^ *jupyter_tokens {re.escape(__version__)} .*OK", told, re.MULTILINE)
    assert str(tmp_path) in _output(
        [python, "-c", "import jupyter_tokens as it; print(it.__file__)"], tmp_path, environment
    )


def _output(command: list[str | Path], folder: Path, environment: dict[str, str]) -> str:
    ran = subprocess.run(command, cwd=folder, env=environment, check=False, text=True, stdout=PIPE, stderr=STDOUT)
    assert ran.returncode == 0, ran.stdout
    return re.sub(r"\x1b\[[0-9;]*m", "", ran.stdout)


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
