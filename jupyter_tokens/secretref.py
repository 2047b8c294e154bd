"""Where a secret is, and how to get it at the moment of use; knows nothing of who needs it.

`env:NAME`, `file:PATH`, `keyring:SERVICE/USER` and `command:PROGRAM ARGUMENT …` are references; anything else is a
literal.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from .errors import SecretError
from .token import Secret, Token

__all__ = ["COMMAND_SECONDS", "SecretRef", "Seen", "open_to_others", "tell_seen", "watch_seen"]

COMMAND_SECONDS = 15.0
"""Time limit of a `command:`, seconds."""

_MOST_BYTES = 64 * 1024

Seen = Callable[[str, Secret | Token], None]
"""Told of a value that is in this process now: the name of its profile, and the value."""

_watchers: list[Seen] = []


def watch_seen(seen: Seen) -> Callable[[], None]:
    """Has `seen` told of each secret and token that a fetch brings into this process; returns what ends that.

    It must be quick, may be called on any thread, and keeps what it is told to itself.
    """
    _watchers.append(seen)
    return partial(_watchers.remove, seen)


def tell_seen(profile: str, values: Iterable[Secret | Token]) -> None:
    """Tells those who watch. Where nobody does, `values` is not even looked through."""
    if _watchers:
        for value in values:
            for seen in tuple(_watchers):
                seen(profile, value)


def open_to_others(mode: int) -> bool:
    """Whether a file of this `st_mode` can be read or written by its group or by everyone."""
    return os.name == "posix" and bool(mode & (stat.S_IRWXG | stat.S_IRWXO))


@dataclass(frozen=True, slots=True, repr=False)
class SecretRef:
    """A reference to a secret.

    kind : "env", "file", "keyring", "command" or "literal".
    target : what follows the colon; for a literal, the secret itself.
    origin : who asks, for errors: "profile 'x', key 'y' in /path/of/config".
    base : the folder that a relative `file:` starts from.
    """

    kind: str
    target: str
    origin: str = "secret"
    base: Path | None = None

    KINDS: ClassVar[tuple[str, ...]] = ("env", "file", "keyring", "command")

    @classmethod
    def parse(cls, text: str, *, origin: str = "secret", base: Path | None = None) -> SecretRef:
        """A reference from its text. Raises `SecretError` if there is nothing behind the colon."""
        kind, colon, target = text.partition(":")
        if not colon or kind not in cls.KINDS:
            return cls("literal", text, origin, base)
        if not target.strip() or not target.isprintable():
            problem = "names nothing" if not target.strip() else "holds control characters"
            raise SecretError(f"{origin}: {kind}: {problem}.", hint=f"Write {kind}:{_FORMS[kind]}.", unsent=True)
        return cls(kind, target.strip(), origin, base)

    def __repr__(self) -> str:
        return f"<SecretRef {self.kind}{'' if self.kind in {'literal', 'command'} else ':' + self.target}>"

    def resolve(self) -> Secret:
        """The secret, read now. Raises `SecretError`, which never holds any part of it. Blocks."""
        try:
            return Secret(_checked(self, _READERS[self.kind](self)))
        except SecretError as caught:
            # The frames of its traceback hold what was read.
            error = caught.copy()
        raise error

    def error(self, problem: str, hint: str = "") -> SecretError:
        """A `SecretError` that says which reference of whom."""
        name = self.kind if self.kind in {"literal", "command"} else f"{self.kind}:{self.target}"
        return SecretError(f"{self.origin}: {name} {problem}", hint=hint, unsent=True)


def _checked(ref: SecretRef, value: str) -> str:
    if not value:
        raise ref.error("is empty.")
    # Bytes of the environment that are no text, and "\ud800" in JSON: neither can be sent.
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ref.error("is not UTF-8 text.")
    return value


def _read_literal(ref: SecretRef) -> str:
    return ref.target


def _read_env(ref: SecretRef) -> str:
    try:
        return os.environ[ref.target]
    except KeyError:
        raise ref.error("is not set.", f"Set {ref.target} in the environment that Jupyter is started from.") from None


def _read_file(ref: SecretRef) -> str:
    try:
        path = Path(ref.target).expanduser()
    except RuntimeError:
        raise ref.error("names the home of a user who has none.") from None
    if not path.is_absolute() and ref.base is not None:
        path = ref.base / path
    try:
        with open(path, "rb", opener=_at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ref.error("is not a regular file.")
            if open_to_others(mode):
                raise ref.error(
                    f"can be read by others (mode {stat.S_IMODE(mode):04o}).",
                    f"Run: chmod 600 {shlex.quote(str(path))}",
                )
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ref.error(f"cannot be read ({error.strerror}).") from None
    return _text(ref, data)


def _at_once(path: str, flags: int) -> int:
    # Opening a pipe would wait for who writes into it.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_keyring(ref: SecretRef) -> str:
    import keyring  # noqa: PLC0415 (loads its backends at import)
    import keyring.errors  # noqa: PLC0415

    service, slash, user = ref.target.rpartition("/")
    if not slash or not service or not user:
        raise ref.error("is not of the form keyring:SERVICE/USER.")
    try:
        value = keyring.get_password(service, user)
    except keyring.errors.NoKeyringError:
        raise ref.error(
            "cannot be read: this machine has no keyring.",
            "Use file:PATH with a file of mode 0600, or install a keyring backend.",
        ) from None
    except Exception as error:
        # Only the kind: the text of a backend's error is not ours to vouch for.
        raise ref.error(f"cannot be read ({type(error).__name__}).", "Unlock the keyring.") from None
    if value is None:
        raise ref.error("is not in the keyring.", f"Store it: keyring set {shlex.quote(service)} {shlex.quote(user)}")
    return value


def _read_command(ref: SecretRef) -> str:
    try:
        argv = shlex.split(ref.target)
    except ValueError as error:
        raise ref.error(f"cannot be split into words ({error}).") from None
    program = argv[0]
    import subprocess  # noqa: PLC0415 (a tenth of the time that %load_ext takes)

    # What the program prints on stderr is dropped: it may hold the secret.
    try:
        done = subprocess.run(  # noqa: S603 (no shell; the user's own configuration names the program)
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ref.error(
            f"({program}) did not end within {COMMAND_SECONDS:g} s.", "It must not ask for anything on the terminal."
        ) from None
    except OSError as error:
        raise ref.error(f"({program}) cannot be run ({error.strerror}).") from None
    if done.returncode:
        raise ref.error(f"({program}) ended with status {done.returncode}.", "Run it in a terminal to see why.")
    return _text(ref, done.stdout)


def _text(ref: SecretRef, data: bytes) -> str:
    if len(data) > _MOST_BYTES:
        raise ref.error(f"holds more than {_MOST_BYTES} bytes, which no secret does.")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ref.error("is not UTF-8 text.") from None
    # Editors and `echo` end a file with a line break, which is no part of the secret.
    return text.removesuffix("\n").removesuffix("\r")


_READERS = {
    "literal": _read_literal,
    "env": _read_env,
    "file": _read_file,
    "keyring": _read_keyring,
    "command": _read_command,
}
_FORMS = {"env": "NAME", "file": "PATH", "keyring": "SERVICE/USER", "command": "PROGRAM ARGUMENT …"}
