"""Finds and reads `jupyter_tokens_config.py` and `.json` on Jupyter's configuration path."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jupyter_core.paths import jupyter_config_dir, jupyter_config_path
from traitlets import Dict, Enum
from traitlets.config.configurable import Configurable
from traitlets.config.loader import Config, LazyConfigValue, PyFileConfigLoader

from .._util import atomic_file
from .._util.text_file import NotText, decode, refuse_utf_16
from ..errors import ConfigurationError
from .secret_store import FOLDER
from .secrets import warn_once

if TYPE_CHECKING:
    from .profiles import Profiles

__all__ = [
    "CONFIG_NAME",
    "RawProfiles",
    "TokenProfiles",
    "config_files",
    "load_mode",
    "load_profiles",
    "load_raw_profiles",
    "load_settings",
    "remove_leftovers",
]

_log = logging.getLogger(__name__)

CONFIG_NAME = "jupyter_tokens_config"
MODES = ("auto", "server", "direct")


class TokenProfiles(Configurable):
    """The profiles. They are in jupyter_tokens_config.py or jupyter_tokens_config.json on Jupyter's configuration path.

    Server, kernels and commands read the same files. These options cannot be given on a command line, which other users
    of the machine can see.
    """

    profiles = Dict(
        help="The profiles by name. Each is a mapping of settings: its provider, the provider's settings, which "
        "`jupyter tokens providers` lists, and params, env, timeout and so on. Secrets are references, such as "
        "keyring:SERVICE/USER. If several files define a profile, the file with the highest priority is used.",
    ).tag(config=True)
    mode = Enum(
        MODES,
        default_value=MODES[0],
        help="How a kernel gets its tokens: server (the Jupyter server that started the kernel fetches them), direct "
        "(the kernel fetches them itself, with its own configuration), or auto (server if possible, else direct).",
    ).tag(config=True)


class RawProfiles(NamedTuple):
    """Unchecked profiles, each with its file, and the errors of files that cannot be read."""

    profiles: dict[str, tuple[Any, Path]]
    problems: dict[Path, ConfigurationError]


def config_files(path: Sequence[str | os.PathLike[str]] | None = None) -> list[Path]:
    """Return the existing configuration files. Later files override earlier files.

    If a folder cannot be searched, the files that may be in it are returned too.

    Parameters
    ----------
    path : sequence of str, optional
        Folders, in order of decreasing priority; by default Jupyter's configuration path.
    """
    folders = [Path(folder) for folder in (jupyter_config_path() if path is None else path)]
    candidates = [folder / f"{CONFIG_NAME}.{suffix}" for folder in reversed(folders) for suffix in ("json", "py")]
    return [file for file in candidates if _may_exist(file)]


def _may_exist(file: Path) -> bool:
    try:
        # Not `is_file`: from Python 3.14 on, it returns False if the folder cannot be searched.
        return stat.S_ISREG(file.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        # The folder cannot be searched. Reading the file will raise the error.
        return True


def remove_leftovers() -> None:
    """Remove temporary files that a killed process left next to the user's profiles and secrets. Never fails."""
    folder = Path(jupyter_config_dir())
    with suppress(OSError, RuntimeError):  # a loop of symbolic links
        # If the file is a link, the temporary files are next to its target.
        file = (folder / f"{CONFIG_NAME}.json").resolve()
        atomic_file.remove_leftovers(file.parent, file.name)
    atomic_file.remove_leftovers(folder / FOLDER)


def load_profiles(files: Sequence[Path] | None = None) -> Profiles:
    """Read the profiles of all files. If several files define a profile, the last of these files counts.

    Each profile is checked when it is looked up. A file that cannot be read is left out, with one warning.
    """
    from .profiles import Profiles, Raw  # noqa: PLC0415 (loads httpx, which `jupyter tokens list` does without)

    written = load_raw_profiles(files)
    for problem in written.problems.values():
        # The other files are used even if warnings are errors.
        with suppress(UserWarning):
            warn_once(f"{problem} The profiles of the other files are used.")
    raw = {name: Raw(settings, file) for name, (settings, file) in written.profiles.items()}
    return Profiles(raw, written.problems)


def load_raw_profiles(files: Sequence[Path] | None = None) -> RawProfiles:
    """Read the profiles of all files without checking them."""
    written = RawProfiles({}, {})
    for file in config_files() if files is None else files:
        try:
            found = _read_profiles(file)
        except ConfigurationError as problem:
            _log.debug("%s cannot be read", file)
            written.problems[file] = problem.copy()
        else:
            _log.debug("%s: read, %d profiles", file, len(found))
            written.profiles.update({name: (settings, file) for name, settings in found.items()})
    return written


def load_mode(files: Sequence[Path] | None = None) -> str:
    """Read `TokenProfiles.mode`: how a kernel gets its tokens.

    Returns
    -------
    str
        "server": the Jupyter server that started the kernel fetches them. "direct": the kernel's own process does.
        "auto" (default): "server" if possible, else "direct".

    Raises
    ------
    ConfigurationError
        If the mode is unknown. Files that cannot be read are ignored.
    """
    for file in reversed(config_files() if files is None else files):
        try:
            mode = _section(file, "TokenProfiles").get("mode")
        except ConfigurationError:
            # `load_profiles` warns about this file.
            continue
        if mode is None:
            continue
        if mode not in MODES:
            raise ConfigurationError(
                f"{file}: TokenProfiles.mode must be one of {', '.join(MODES)}.", hint="Correct the file."
            )
        return str(mode)
    return "auto"


def load_settings(name: str, files: Sequence[Path] | None = None) -> dict[str, Any]:
    """Return the settings of class `name` from all files; later files override earlier files.

    Ignores files that cannot be read.
    """
    settings: dict[str, Any] = {}
    for file in config_files() if files is None else files:
        # `load_profiles` warns about this file.
        with suppress(ConfigurationError):
            settings |= _section(file, name)
    return settings


def _read_profiles(file: Path) -> Mapping[str, Any]:
    profiles = _section(file, "TokenProfiles").get("profiles", {})
    if isinstance(profiles, LazyConfigValue):
        # `c.TokenProfiles.profiles.update({…})`, which traitlets keeps until the trait's default is known.
        with suppress(TypeError, ValueError):
            profiles = profiles.get_value({})
    if not isinstance(profiles, Mapping):
        raise ConfigurationError(f"{file}: TokenProfiles.profiles must be a mapping of names to profiles.")
    return profiles


def _section(file: Path, name: str) -> Mapping[str, Any]:
    try:
        config = _read(file)
    except NotText as error:
        raise ConfigurationError(f"{file} cannot be read: it {error}.") from None
    except (Exception, SystemExit) as error:
        # A line of the file may hold a secret, so only the place of a syntax error is shown.
        line = getattr(error, "lineno", None)
        place = f"error in line {line}" if line else getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(
            f"{file} cannot be read: {place}.", hint="Correct the file or its permissions."
        ) from None
    section = config.get(name, Config())
    if not isinstance(section, Mapping):
        raise ConfigurationError(f"{file}: {name} must be a mapping.", hint="Correct the file.")
    return section


def _read(file: Path) -> Config:
    if file.suffix == ".json":
        # traitlets' own loader depends on the locale, and rejects a byte order mark.
        written = json.loads(decode(file.read_bytes()))
        if not isinstance(written, dict):
            raise TypeError("an object is expected")
        return Config(written)
    with file.open("rb") as stream:
        refuse_utf_16(stream.read(2))
    # Python itself handles all other encodings.
    return PyFileConfigLoader(file.name, str(file.parent)).load_config()
