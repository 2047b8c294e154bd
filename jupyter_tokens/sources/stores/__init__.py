"""The store through which processes share tokens, and its configuration."""

from __future__ import annotations

import logging
import os
import secrets
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_core.paths import jupyter_data_dir, jupyter_runtime_dir
from traitlets import List, TraitError, Unicode, default
from traitlets.config import Config, Configurable

from ..._util.atomic_file import replace_file
from ...clock import Clock, SystemClock
from ...config.files import load_settings
from ...config.secrets import SecretRef
from ...errors import ConfigurationError
from ...protocol.records import MemoryRecords
from .base import LockTaken, Slot, SlotContent, Store, StoreUnavailable
from .file import FileStore, can_lock, locked
from .records import RedisRecords
from .redis import RedisStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...protocol.records import Records

__all__ = ["LockTaken", "Slot", "SlotContent", "Store", "StoreUnavailable", "TokenStore"]

VARIABLE = "JUPYTER_TOKENS_STORE"
_FOLDER = "jupyter_tokens"
_KEY_FILE = "jupyter_tokens_store.key"
_KEY_CHARACTERS = 32
_MAX_KEYS = 4
"""Maximum number of keys in the default file: the first encrypts, the others decrypt older entries."""
_KEY_SECONDS = 10.0
_REDIS = {"redis", "rediss", "unix"}
_log = logging.getLogger(__name__)


class TokenStore(Configurable):
    """Configures the store through which the processes of a user share tokens."""

    url = Unicode(
        help="Where the store is: file: (a folder of this user), file:/absolute/folder, redis://…, rediss://…, "
        f"unix://…, or none. The default is the environment variable {VARIABLE}, or file: if it is not set.",
    ).tag(config=True)
    keys = List(
        Unicode(),
        help="References (file:, env:, keyring:, command:) to the encryption keys. The first key encrypts, all keys "
        "decrypt. By default a key file in Jupyter's data folder, which is created at first use.",
    ).tag(config=True)

    @default("url")
    def _url_default(self) -> str:
        return os.environ.get(VARIABLE) or "file:"

    @classmethod
    def configured(cls, files: Sequence[Path] | None = None) -> TokenStore:
        """Create the settings from the configuration files. Raises `ConfigurationError`."""
        try:
            return cls(config=Config({cls.__name__: load_settings(cls.__name__, files)}))
        except TraitError:
            # The original error's text would quote the value.
            problem = ConfigurationError("TokenStore.url must be a string, and TokenStore.keys a list of strings.")
        raise problem

    def open(self, clock: Clock | None = None) -> Store | None:
        """Open the store; None for "none", and for a folder if files cannot be locked. Raises `ConfigurationError`."""
        clock = clock or SystemClock()
        kind, _, place = self.url.partition(":")
        if self.url == "none":
            return None
        if kind == "file":
            if not can_lock:
                _log.debug("no store: this system has no flock")
                return None
            folder = Path(place) if place else _runtime_folder()
            if not folder.is_absolute():
                raise ConfigurationError(
                    f"TokenStore.url (or {VARIABLE}): the path of the folder after file: must be absolute."
                )
            return FileStore(folder, clock)
        if kind in _REDIS:
            return RedisStore(self.url, clock)
        # Not quoted, because the URL may contain a password.
        raise ConfigurationError(
            f"TokenStore.url (or {VARIABLE}) must be file:, file:/absolute/folder, redis://…, rediss://…, unix://… or "
            "none."
        )

    def open_records(self, clock: Clock) -> Records:
        """Open the records of a service: in Redis if the store is there, so that replicas share them; else in memory.

        Raises `TokenError`, `OSError` or `StoreUnavailable`.
        """
        if self.url.partition(":")[0] not in _REDIS:
            return MemoryRecords(clock)
        return RedisRecords(RedisStore(self.url, clock), self.sealing_keys())

    def sealing_keys(self) -> list[bytes]:
        """Return the encryption keys: the first key encrypts, all keys decrypt.

        Raises `TokenError`, `OSError` or `StoreUnavailable`.
        """
        references = self.keys or [f"file:{_default_key_file()}"]
        found = [
            word.encode()
            for reference in references
            for word in SecretRef.parse(reference, origin="TokenStore.keys").resolve().reveal().split()
        ]
        if not found or any(len(key) < _KEY_CHARACTERS for key in found):
            raise ConfigurationError(
                f"A key of the token store is missing, or shorter than {_KEY_CHARACTERS} characters.",
                hint=f"Correct the keys that TokenStore.keys refers to, by default those in the file {_KEY_FILE} in "
                "Jupyter's data folder.",
            )
        return found

    def rekey(self) -> Path:
        """Insert a new key before the others in the default file, and return the file's path.

        Raises the same errors as `sealing_keys`.
        """
        if self.keys:
            raise ConfigurationError(
                "The keys come from TokenStore.keys, so they cannot be changed here.",
                hint="Insert a reference to a new key before the others in TokenStore.keys.",
            )
        file = _default_key_file()
        with _write_lock(file):
            replace_file(file, b"\n".join([_new_key(), *self.sealing_keys()[: _MAX_KEYS - 1]]) + b"\n")
        return file


def _runtime_folder() -> Path:
    """Return a folder in JUPYTER_RUNTIME_DIR if set, else in XDG_RUNTIME_DIR (in memory), else in Jupyter's default."""
    named = os.environ.get("JUPYTER_RUNTIME_DIR")
    session = os.environ.get("XDG_RUNTIME_DIR")
    return Path(session if session and not named else jupyter_runtime_dir()) / _FOLDER


def _default_key_file() -> Path:
    file = Path(jupyter_data_dir()) / _KEY_FILE
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _write_lock(file):
            # Another process may have created the file in the meantime.
            if not file.exists():
                replace_file(file, _new_key() + b"\n")
    return file


def _new_key() -> bytes:
    return secrets.token_urlsafe(32).encode()


def _write_lock(file: Path) -> AbstractContextManager[int]:
    return locked(file.with_name(f".{file.name}.lock"), seconds=_KEY_SECONDS, clock=SystemClock())
