"""Stores the secrets of a profile in the keyring or a file, so that the profile itself only contains references.

A client sends a new secret as `{"value": …, "store": "keyring" | "file"}`, and `{"keep": true}` to keep the current
secret. A profile's new secret does not overwrite the current secret: if the process is stopped before the profile is
written, the current secret is still there. Logins are stored here too, by `sources.login_store`, and a new login
overwrites the old login. No function here reads a secret.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._util.atomic_file import replace_file
from ..errors import ConfigurationError, ProfileRefused
from ..token import Secret
from .keyring_access import KEYRING_SECONDS, KeyringTimeout, backend, call_keyring

__all__ = [
    "FOLDER",
    "SERVICE",
    "NewSecret",
    "discard",
    "erase",
    "extract_secrets",
    "login_reference",
    "store",
    "usable",
]

_log = logging.getLogger(__name__)

SERVICE = "jupyter_tokens"
"""The service name of this package's entries in the keyring."""
FOLDER = "jupyter_tokens_secrets"
"""The folder for secrets in files, next to the configuration."""

NewSecret = tuple[str, Secret]
"""A reference, and the secret to store under it."""
_PROBE_SECONDS = 5.0


def usable() -> list[str]:
    """Return the stores for secrets that work on this machine, the best first: "keyring" and "file". Blocks."""
    try:
        found = call_keyring(lambda _: backend(), seconds=_PROBE_SECONDS, share_key="backend")
    except Exception as error:  # A missing package, a backend that cannot be loaded, no answer in time, no thread.
        _log.debug("no keyring for secrets: %s", type(error).__name__)
        return ["file"]
    _log.debug("the keyring for secrets: %s", found.name)
    return ["keyring", "file"] if found.usable else ["file"]


def extract_secrets(
    name: str, settings: Mapping[str, Any], before: Mapping[str, Any]
) -> tuple[dict[str, Any], list[NewSecret]]:
    """Return the settings with references in place of secrets, and the secrets to store. Stores nothing.

    Parameters
    ----------
    name : str
        The profile's name.
    settings : Mapping
        The new profile, as the client sent it.
    before : Mapping
        The profile as it is currently written.

    Raises
    ------
    ProfileRefused
        A field is an object, but neither a new secret nor the mark to keep a current secret.
    """
    after: dict[str, Any] = {}
    new_secrets: list[NewSecret] = []
    for key, given in settings.items():
        if not isinstance(given, dict) or key in {"params", "env"}:
            after[key] = given
        elif given == {"keep": True} and isinstance(before.get(key), str):
            after[key] = before[key]
        else:
            value, place = given.get("value"), given.get("store")
            if (
                set(given) != {"value", "store"}
                or not (isinstance(place, str) and place in _STORES)
                or not (isinstance(value, str) and value)
            ):
                raise ProfileRefused(
                    f"The field {key[:80]!r} must be a string, "
                    '{"value": SECRET, "store": "keyring" or "file"}, or, if the profile already has this field, '
                    '{"keep": true}.',
                    setting=key,
                )
            after[key] = next(unused for unused in _references(place, name, key) if unused != before.get(key))
            new_secrets.append((after[key], Secret(value)))
    return after, new_secrets


def store(new_secrets: list[NewSecret], folder: Path) -> None:
    """Store the secrets under their references. Blocks. Raises `ConfigurationError`.

    `folder` is the folder of the configuration. Relative `file:` references start from it.
    """
    for reference, secret in new_secrets:
        kind, _, target = reference.partition(":")
        if kind == "keyring":
            why = _keyring_problem("set_password", target, secret)
            if why:
                raise ConfigurationError(
                    f"The keyring did not store the secret ({why}).",
                    hint="Unlock or install a keyring, or store the secret in a file.",
                )
        else:
            _write_file(folder / target, secret)


def login_reference(place: str, name: str) -> str:
    """Return the reference to a profile's login; `place` is "file" or "keyring"."""
    return f"{_STORES[place]}{name}.login"


def erase(reference: str, folder: Path) -> None:
    """Remove one stored secret. Blocks.

    Raises `ConfigurationError` if the secret cannot be removed, or is not in the keyring. A missing file is no error.
    """
    kind, _, target = reference.partition(":")
    if kind == "keyring":
        place, why = reference, _keyring_problem("delete_password", target)
    else:
        file = folder / target
        place, why = f"in {file}", ""
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            why = str(error.strerror)
    if why:
        raise ConfigurationError(
            f"The secret {place} is no longer needed, but could not be removed ({why}).", hint="Remove it by hand."
        )


def discard(name: str, before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Remove secrets that were stored here and that the profile no longer refers to. Blocks.

    Raises `ConfigurationError`.
    """
    for key in {**before, **now}:
        for reference in _references("file", name, key):
            if now.get(key) != reference:
                # Also removes what a killed process has stored without writing the reference, or has failed to remove.
                erase(reference, folder)
        stored = before.get(key)
        if stored != now.get(key) and stored in _references("keyring", name, key):
            erase(str(stored), folder)


_STORES = {"keyring": f"keyring:{SERVICE}/", "file": f"file:{FOLDER}/"}


def _references(store: str, name: str, key: str) -> tuple[str, str]:
    """Return the two references for a secret. The current secret uses one of them, a new secret gets the other."""
    first = f"{_STORES[store]}{name}.{key}"
    return first, f"{first}.2"


def _keyring_problem(method: str, target: str, *secrets: Secret) -> str:
    """Call a method of the keyring for an entry. Return why it failed, or ""."""
    service, _, user = target.partition("/")
    try:
        call_keyring(
            lambda keyring: getattr(keyring, method)(service, user, *(secret.reveal() for secret in secrets)),
            seconds=KEYRING_SECONDS,
        )
    except KeyringTimeout:
        return f"no answer within {KEYRING_SECONDS:g} s; the keyring may be waiting to be unlocked"
    except Exception as error:
        # Only the type: the text of a backend's error may contain anything.
        return type(error).__name__
    return ""


def _write_file(file: Path, secret: Secret) -> None:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(file, secret.reveal().encode())
    except OSError as error:
        problem = ConfigurationError(f"{file} cannot be written ({error.strerror}).")
    else:
        return
    raise problem
