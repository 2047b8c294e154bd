"""Finds and reads `jupyter_tokens_config.{py,json}` on Jupyter's configuration path; the one place that does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_core.paths import jupyter_config_dir, jupyter_config_path
from traitlets.config.loader import Config, JSONFileConfigLoader, LazyConfigValue, PyFileConfigLoader

from . import whole_file
from .errors import ConfigurationError
from .secret_store import FOLDER

if TYPE_CHECKING:
    from .profiles import Profiles

__all__ = [
    "CONFIG_NAME",
    "MODES",
    "config_files",
    "load_mode",
    "load_profiles",
    "load_written",
    "remove_leftovers",
    "stamp",
]

CONFIG_NAME = "jupyter_tokens_config"
MODES = ("auto", "server", "direct")

_T = TypeVar("_T")
Stamp = tuple[tuple[str, int, int], ...]


def config_files(path: Sequence[str | os.PathLike[str]] | None = None) -> list[Path]:
    """The files that are there, the one that counts most last.

    path : folders, the one that counts most first; by default Jupyter's.
    """
    folders = [Path(folder) for folder in (jupyter_config_path() if path is None else path)]
    candidates = [folder / f"{CONFIG_NAME}.{end}" for folder in reversed(folders) for end in ("json", "py")]
    return [file for file in candidates if file.is_file()]


def remove_leftovers() -> None:
    """Removes what a process that was killed has left beside the user's own profiles and their secrets; never fails."""
    folder = Path(jupyter_config_dir())
    with suppress(OSError, RuntimeError):  # of links that lead in a circle
        # Where the file is a link, it was written beside what the link leads to.
        file = (folder / f"{CONFIG_NAME}.json").resolve()
        whole_file.remove_leftovers(file.parent, file.name)
    whole_file.remove_leftovers(folder / FOLDER)


def stamp(files: Sequence[Path]) -> Stamp:
    """What changes when one of the files does: path, time and size of each."""
    told = []
    for file in files:
        try:
            state = file.stat()
        except FileNotFoundError:
            continue
        told.append((str(file), state.st_mtime_ns, state.st_size))
    return tuple(told)


def load_profiles(files: Sequence[Path] | None = None) -> Profiles:
    """The profiles of all files, profile by profile the last one that names it. Raises `ConfigurationError`."""
    from .profiles import Profiles, Raw  # noqa: PLC0415 (loads httpx, which `jupyter tokens list` does without)

    return Profiles({name: Raw(settings, file) for name, (settings, file) in load_written(files).items()})


def load_written(files: Sequence[Path] | None = None) -> dict[str, tuple[Any, Path]]:
    """The profiles as they are written, checked by nobody, and the file of each. Raises `ConfigurationError`."""
    written: dict[str, tuple[Any, Path]] = {}
    for file in config_files() if files is None else files:
        written |= {name: (settings, file) for name, settings in _of(file, _profiles_in).items()}
    return written


def load_mode(files: Sequence[Path] | None = None) -> str:
    """How a kernel gets its tokens, `TokenProfiles.mode`: "auto" (the default), "server" or "direct".

    auto : from the server that started the kernel where there is one, else by the profiles in the kernel's process.
    Raises `ConfigurationError`.
    """
    modes = [_of(file, _mode_in) for file in (config_files() if files is None else files)]
    return next((mode for mode in reversed(modes) if mode is not None), "auto")


def _of(file: Path, read: Callable[[Path, Mapping[str, Any]], _T]) -> _T:
    try:
        return read(file, _section(file))
    except ConfigurationError as caught:
        # The frames of its traceback hold the file's content, literal secrets among it.
        error = caught.copy()
    raise error


def _profiles_in(file: Path, section: Mapping[str, Any]) -> Mapping[str, Any]:
    profiles = section.get("profiles", {})
    if isinstance(profiles, LazyConfigValue):
        # `c.TokenProfiles.profiles.update({…})`, which traitlets keeps until the trait's default is known.
        with suppress(TypeError, ValueError):
            profiles = profiles.get_value({})
    if not isinstance(profiles, Mapping):
        raise ConfigurationError(f"{file}: TokenProfiles.profiles must be a mapping by name.", unsent=True)
    return profiles


def _mode_in(file: Path, section: Mapping[str, Any]) -> str | None:
    mode = section.get("mode")
    if mode not in (None, *MODES):
        raise ConfigurationError(
            f"{file}: TokenProfiles.mode must be one of {', '.join(MODES)}.", hint="Correct the file.", unsent=True
        )
    return mode


def _section(file: Path) -> Mapping[str, Any]:
    loader = JSONFileConfigLoader if file.suffix == ".json" else PyFileConfigLoader
    try:
        config = loader(file.name, str(file.parent)).load_config()
    except (Exception, SystemExit) as error:
        # A line of the file may hold a secret, so of a syntax error only the place is told.
        line = getattr(error, "lineno", None)
        place = f"line {line}" if line else type(error).__name__
        raise ConfigurationError(f"{file} cannot be read: {place}.", hint="Correct the file.", unsent=True) from None
    section = config.get("TokenProfiles", Config())
    if not isinstance(section, Mapping):
        raise ConfigurationError(f"{file}: TokenProfiles must be a mapping.", hint="Correct the file.", unsent=True)
    return section
