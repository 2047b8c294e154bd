"""Reads and writes profiles in the user's `jupyter_tokens_config.json`. `secret_store` stores the new secrets."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.paths import jupyter_config_dir

from .._util.atomic_file import replace_file
from .._util.text_file import NotText, decode
from ..errors import ConfigurationError, ProfileRefused, UnknownProfile
from ..providers.catalogue import provider_class
from . import secret_store
from .files import CONFIG_NAME
from .profiles import COMMON, Profiles, Raw

if TYPE_CHECKING:
    from .profiles import Profile
    from .secret_store import NewSecret
    from .secrets import SecretRef

__all__ = ["Change", "check", "draft", "editable", "path", "put", "remove"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_lock = threading.Lock()


def path() -> Path:
    """Return the path of the file to edit. Raises `ConfigurationError` if JUPYTER_NO_CONFIG is set."""
    if os.environ.get("JUPYTER_NO_CONFIG"):
        # With this variable, Jupyter's configuration folder is a temporary folder.
        raise ConfigurationError(
            "JUPYTER_NO_CONFIG is set: Jupyter reads no configuration, so profiles cannot be changed.",
            hint="Unset JUPYTER_NO_CONFIG.",
        )
    return Path(jupyter_config_dir()) / f"{CONFIG_NAME}.json"


def check(name: str, settings: Mapping[str, Any], *, owner: bool = False) -> None:
    """Check a profile before it is written.

    Parameters
    ----------
    name : str
        Name of the profile.
    settings : mapping
        Its settings.
    owner : bool
        Whether the owner of the file makes the change, on the command line. A client of the server may write neither
        literal secrets nor programs (`command:` references and settings of type `Program`).

    Raises
    ------
    ProfileRefused
        The profile is invalid, or contains a literal secret or a program that is not allowed.
    """
    if not _NAME.fullmatch(name):
        raise ProfileRefused(
            "The name of a profile must have 1 to 80 letters (A to Z, a to z), digits, dots, hyphens and underscores, "
            "and begin with a letter or digit."
        )
    try:
        profile = Profiles.from_settings({name: settings})[name]
    except ConfigurationError as error:
        raise ProfileRefused(error.message, hint=error.hint, setting=error.setting) from None
    if not owner:
        for key, reference in profile.references.items():
            _check_reference(profile, key, reference)


def _check_reference(profile: Profile, key: str, reference: SecretRef) -> None:
    if reference.kind == "literal" and profile.provider.settings()[key].secret:
        raise ProfileRefused(
            f"The field {key!r} must be a reference, such as keyring:SERVICE/USER, file:PATH or env:NAME. Over REST it "
            'can also be {"value": SECRET, "store": "keyring" or "file"}; the server then stores the secret.',
            setting=key,
        )
    if reference.kind == "command":
        # Otherwise, users who may write profiles could run programs as the server.
        raise ProfileRefused(
            f"The field {key!r} names a program, so it cannot be set over REST.",
            hint="Add this profile with `jupyter tokens add`, or write it into the configuration file.",
            setting=key,
        )


def editable(name: str, profiles: Profiles) -> dict[str, Any]:
    """Return a profile for a form: its settings without secrets, and the keys of its secrets. Blocks.

    Raises `UnknownProfile`, or `ConfigurationError` if the file cannot be read, another file defines the profile, or
    the provider is not installed.
    """
    with _lock:
        _, written = _read(name, profiles)
    settings = _settings(written, name)
    if settings is None:
        raise UnknownProfile(f"There is no profile {name[:80]!r} in {path()}.")
    try:
        known = provider_class(settings["provider"]).settings()
    except (KeyError, TypeError):
        raise ConfigurationError(
            f"The profile {name!r} names no installed provider.", hint=f"Edit the profile in {path()}."
        ) from None
    secret = {key for key, setting in known.items() if setting.secret}
    # Only known settings: an unknown setting may be a misplaced secret.
    shown = (COMMON.keys() | known.keys()) - secret
    return {
        "name": name,
        "settings": {key: value for key, value in settings.items() if key in shown},
        "secrets": [key for key in settings if key in secret],
    }


Change = Callable[[Mapping[str, Any], Mapping[str, Any], Collection[str]], None]
"""A function that checks a change of a profile. It raises an error to refuse the change.

Its arguments are the settings before the change, the settings after it, and the references to the new secrets.
"""


def put(
    name: str,
    settings: Mapping[str, Any],
    profiles: Profiles,
    allow: Change | None = None,
    *,
    owner: bool = False,
) -> bool:
    """Check a profile, store its new secrets and write it. Blocks.

    Parameters
    ----------
    name : str
        Name of the profile.
    settings : mapping
        Its settings, with new and kept secrets as described in `secret_store`.
    profiles : Profiles
        The current profiles.
    allow : callable, optional
        Called before anything is stored or written. Raises an error if the user may not make this change.
    owner : bool
        See `check`.

    Returns
    -------
    bool
        Whether the profile is new.

    Raises
    ------
    ProfileRefused, ConfigurationError
        If the profile was not written: the file is then unchanged. Also `ConfigurationError` if the profile was written
        but an old secret could not be removed; the message then names this secret.
    """
    folder = path().parent
    with _lock:
        config, written = _read(name, profiles)
        before, after, new_secrets = _plan(name, settings, written, allow, owner=owner)
        created = name not in written
        written[name] = after
        try:
            secret_store.store(new_secrets, folder)
            _write(config)
        except ConfigurationError:
            # Report the first error, not an error of the clean-up.
            with suppress(ConfigurationError):
                secret_store.discard(name, after, before, folder)
            raise
        secret_store.discard(name, before, after, folder)
    return created


def draft(name: str, settings: Mapping[str, Any], profiles: Profiles, allow: Change | None = None) -> Profile:
    """Return the profile that `put` would write, including the new secrets. Writes and stores nothing. Blocks.

    Parameters and errors are as in `put`.
    """
    with _lock:
        _, written = _read(name, profiles)
    _, after, new_secrets = _plan(name, settings, written, allow)
    secret_values = dict(new_secrets)
    profile = Profiles({name: Raw(after, path())})[name]
    references = {
        key: replace(reference, kind="literal", target=secret_values[after[key]].reveal())
        if after[key] in secret_values
        else reference
        for key, reference in profile.references.items()
    }
    return replace(profile, references=references)


def remove(name: str, profiles: Profiles, before_removal: Callable[[], object] = lambda: None) -> None:
    """Remove a profile and the secrets that were stored for it. Blocks.

    Parameters
    ----------
    name : str
        Name of the profile.
    profiles : Profiles
        The current profiles.
    before_removal : callable
        Called immediately before the removal, after all checks. If it raises, nothing is removed.

    Raises
    ------
    UnknownProfile
        If the file does not define the profile.
    ConfigurationError
        If another file defines the profile, or the file cannot be read or written: the file is then unchanged. Also if
        a secret cannot be removed: the profile has then been removed already.
    """
    with _lock:
        config, written = _read(name, profiles)
        if name not in written:
            raise UnknownProfile(f"There is no profile {name[:80]!r} in {path()}.")
        before = _settings(written, name) or {}
        # If the file cannot be written, this raises an error before the caller logs the person out.
        _write(config)
        before_removal()
        del written[name]
        _write(config)
        # Also remove a login that was stored in a file, whatever the provider was.
        secret_store.discard(name, {**before, "login": None}, {}, path().parent)


def _plan(
    name: str, settings: Mapping[str, Any], written: Mapping[str, Any], allow: Change | None, *, owner: bool = False
) -> tuple[dict[str, Any], dict[str, Any], list[NewSecret]]:
    """Check a change. Return the settings before the change, the settings after it, and the secrets to store."""
    before = _settings(written, name) or {}
    after, new_secrets = secret_store.extract_secrets(name, settings, before)
    check(name, after, owner=owner)
    if allow is not None:
        allow(before, after, [reference for reference, _ in new_secrets])
    return before, after, new_secrets


def _settings(written: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    settings = written.get(name)
    return settings if isinstance(settings, dict) else None


def _read(name: str, profiles: Profiles) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the content of the file, and its section with the profiles.

    Raises `ConfigurationError` if another file defines the profile `name`.
    """
    file, elsewhere = path(), profiles.file(name)
    if elsewhere not in {None, file}:
        raise ConfigurationError(f"The profile {name!r} is defined in {elsewhere}.", hint="Change it there.")
    try:
        config = json.loads(decode(file.read_bytes()))
    except FileNotFoundError:
        config = {}
    except NotText as error:
        raise ConfigurationError(f"{file} cannot be read: it {error}.") from None
    except (OSError, ValueError, RecursionError) as error:
        # Only the type: the error's text may contain a line of the file.
        raise ConfigurationError(f"{file} cannot be read as JSON ({type(error).__name__}).") from None
    section = config.setdefault("TokenProfiles", {}) if isinstance(config, dict) else None
    written = section.setdefault("profiles", {}) if isinstance(section, dict) else None
    if not isinstance(written, dict):
        raise ConfigurationError(f"{file}: TokenProfiles.profiles must be a mapping of names to profiles.")
    return config, written


def _write(config: Mapping[str, Any]) -> None:
    # If the file is a link, write its target and keep the link.
    file = path().resolve()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(file, json.dumps(config, indent=2).encode())
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written ({error.strerror}).") from None
    except RecursionError:
        # JSON that can be read may still be too deeply nested to be written with indentation.
        raise ConfigurationError(f"{file} is nested too deeply to be written.") from None
