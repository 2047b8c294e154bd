"""Finds credentials that the user already has, by variable and file names. Opens no file and returns no secret."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["FoundCredential", "find_credentials"]

_VARIABLE = re.compile(r"([A-Za-z][A-Za-z0-9_]*?)(_API_KEY|_API_TOKEN|_ACCESS_TOKEN|_TOKEN)", re.ASCII)
_JUPYTER_PREFIXES = ("JUPYTER", "JPY_")
"""Prefixes of Jupyter's own variables, which give access to the server."""


class FoundCredential(NamedTuple):
    """A credential that was found, and a suggested profile that would use it.

    Attributes
    ----------
    title : str
        The name of the variable, or the path of the file.
    profile : str
        A suggested name for the profile.
    settings : Mapping
        The profile's settings. They contain a reference to the variable or file, or a value of `credentials` with which
        the provider finds the file.
    """

    title: str
    profile: str
    settings: Mapping[str, str]


def find_credentials(environ: Mapping[str, str] = os.environ) -> list[FoundCredential]:
    """Return what was found: variables sorted by name, then existing files of the vendors' own tools."""
    # Unlike Path.home(), this does not raise if there is no home folder.
    home = Path(os.path.expanduser("~"))  # noqa: PTH111
    return [*_variables(environ), *_files(environ, home)]


def _variables(environ: Mapping[str, str]) -> Iterator[FoundCredential]:
    for name in sorted(environ):
        match = _VARIABLE.fullmatch(name)
        if match and environ[name] and not name.upper().startswith(_JUPYTER_PREFIXES):
            profile = match[1].lower().replace("_", "-")
            yield FoundCredential(name, profile, {"provider": "static", "token": f"env:{name}", "env": name})


def _files(environ: Mapping[str, str], home: Path) -> Iterator[FoundCredential]:
    cache = Path(environ.get("HF_HOME") or Path(environ.get("XDG_CACHE_HOME") or home / ".cache", "huggingface"))
    hugging_face = Path(environ.get("HF_TOKEN_PATH") or cache / "token")
    if hugging_face.is_file():
        settings = {"provider": "static", "token": f"file:{hugging_face}", "env": "HF_TOKEN"}
        yield FoundCredential(str(hugging_face), "hugging-face", settings)
    openstack = [home / ".config" / "openstack" / "clouds.yaml", Path("/etc/openstack/clouds.yaml")]
    places = (
        ("modelarts", "chain", [home / ".huaweicloud" / "credentials"]),
        ("pai-dlc", "chain", [home / ".aliyun" / "config.json", home / ".alibabacloud" / "credentials.ini"]),
        ("modelarts", "openstack", openstack),
    )
    for provider, credentials, files in places:
        for file in files:
            if file.is_file():
                yield FoundCredential(str(file), provider, {"provider": provider, "credentials": credentials})
