"""Reads secrets by reference, at the moment of use.

References are `env:NAME`, `file:PATH`, `keyring:SERVICE/USER`, `command:PROGRAM ARGUMENT …` and `profile:NAME`.
`profile:NAME` is the token of another profile, and only a fetch can read it. Anything else is a literal. In a hub's
service, `{user}` in a reference is replaced by the name of the requesting user.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import stat
import textwrap
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import ClassVar

from .._util.text_file import NotText, decode
from ..errors import SecretError, detached_errors
from ..token import Secret, Token
from .keyring_access import KEYRING_SECONDS, KeyringTimeout, call_keyring
from .program import MAX_BYTES, run

__all__ = ["OnValue", "SecretRef", "mode_hint", "mode_problem", "notify_watchers", "warn_once", "watch_values"]

OnValue = Callable[[str, Secret | Token], None]
"""A function to call with a profile's name, and a secret or token that a fetch brings into this process."""

_FORMS = {"env": "NAME", "file": "PATH", "keyring": "SERVICE/USER", "command": "PROGRAM ARGUMENT …", "profile": "NAME"}
_USER = "{user}"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")
_log = logging.getLogger(__name__)
_watchers: list[OnValue] = []


def watch_values(on_value: OnValue) -> Callable[[], None]:
    """Call `on_value` for each secret and token that a fetch brings into this process.

    Parameters
    ----------
    on_value : callable
        Called with the profile's name and the value, on any thread. It must be quick and must not pass the value on.

    Returns
    -------
    callable
        Unsubscribes `on_value`.
    """
    _watchers.append(on_value)
    return partial(_watchers.remove, on_value)


def notify_watchers(profile: str, values: Iterable[Secret | Token]) -> None:
    """Call the subscribers of `watch_values`. Without subscribers `values` is not iterated."""
    if _watchers:
        for value in values:
            for on_value in tuple(_watchers):
                on_value(profile, value)


def mode_problem(file: Path, mode: int) -> str:
    """Return why a file with this `st_mode` must not contain a secret; "" if it may, and always on Windows.

    A file that its group can read is allowed, with one warning: Kubernetes mounts secrets this way (`fsGroup`).
    """
    if os.name != "posix":
        return ""
    if mode & stat.S_IRWXO:
        return f"others can access (mode {stat.S_IMODE(mode):04o})"
    if mode & stat.S_IWGRP:
        # Anyone who can replace the secret decides which account this user signs in with.
        return f"its group can write (mode {stat.S_IMODE(mode):04o})"
    if mode & stat.S_IRGRP:
        command = f"chmod 600 {shlex.quote(str(file))}"
        warn_once(f"{file} contains a secret, and its group can read it. To prevent that: {command}")
    return ""


def mode_hint(file: Path) -> str:
    """Return the hint for an error about `mode_problem`."""
    return f"Run: chmod 600 {shlex.quote(str(file))} (in Kubernetes: set the volume's defaultMode to 0400)."


@cache
def warn_once(text: str) -> None:
    """Warn the user, once in this process for each text."""
    warnings.warn(text, UserWarning, stacklevel=3)


@dataclass(frozen=True, slots=True, repr=False)
class SecretRef:
    """A reference to a secret.

    Attributes
    ----------
    kind : str
        "env", "file", "keyring", "command", "profile" or "literal".
    target : str
        The part after the colon; for a literal, the value itself.
    origin : str
        The setting that holds the reference, for errors: "/path/of/config: profile 'x', key 'y'".
    base : Path or None
        The folder that a relative `file:` path starts from; None for the process's working directory.
    seconds : float
        How long, in seconds, a keyring may wait for a person, or a program may run.
    setting : str
        The setting's key, for errors.
    """

    kind: str
    target: str
    origin: str = "secret"
    base: Path | None = None
    seconds: float = KEYRING_SECONDS
    setting: str = ""

    KINDS: ClassVar = tuple(_FORMS)

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        origin: str = "secret",
        base: Path | None = None,
        seconds: float = KEYRING_SECONDS,
        setting: str = "",
    ) -> SecretRef:
        """Parse a reference. Text of any other form is a literal.

        Raises `SecretError` if the part after the colon is empty or contains control or other invisible characters.
        """
        kind, colon, target = text.partition(":")
        if not colon or kind not in _FORMS:
            return cls("literal", text, origin, base, seconds, setting)
        if not target.strip() or not target.isprintable():
            problem = "is incomplete" if not target.strip() else "contains control or other invisible characters"
            raise SecretError(f"{origin}: {kind}: {problem}.", hint=f"Write {kind}:{_FORMS[kind]}.")
        return cls(kind, target.strip(), origin, base, seconds, setting)

    @property
    def is_personal(self) -> bool:
        """Whether the reference contains `{user}`. False for a literal, which may contain this text by chance."""
        return self.kind != "literal" and _USER in self.target

    def for_user(self, user: str) -> SecretRef:
        """Return the reference with a user's name in place of `{user}`.

        Raises `SecretError` for a name that would change the meaning of the path or the command.
        """
        if not self.is_personal:
            return self
        if not _PLAIN_NAME.fullmatch(user):
            raise self.error(
                "cannot be used for this user: the user's name may only have the letters A to Z, digits and _.@+-, and "
                "must begin with a letter, a digit or _."
            )
        return replace(self, target=self.target.replace(_USER, user))

    @property
    def _name(self) -> str:
        """The reference as it may be shown: of a literal or command, only the kind."""
        return self.kind if self.kind in {"literal", "command"} else f"{self.kind}:{self.target}"

    def __repr__(self) -> str:
        return f"<SecretRef {self._name}>"

    def resolve(self) -> Secret:
        """Read the secret now. Blocks: for at most `seconds`, a keyring may wait for a person, or a program may run.

        Raises
        ------
        SecretError
            If the secret cannot be read. The error never contains any part of the secret.
        """
        _log.debug("%s: reading its %s reference", self.origin, self.kind)
        with detached_errors():
            return Secret(_checked(self, _READERS[self.kind](self)))

    def find(self) -> Secret | None:
        """Read the secret as `resolve` does, but return None if the variable, file or keyring entry does not exist."""
        try:
            return self.resolve()
        except SecretError as error:
            if not error.missing:
                raise
        return None

    def error(self, problem: str, hint: str = "", *, missing: bool = False) -> SecretError:
        """Return a `SecretError` that names the reference and its setting."""
        problem = f"{self._name} {problem}"
        return SecretError(
            f"{self.origin}: {problem}", hint=hint, setting=self.setting, problem=problem, missing=missing
        )


def _checked(ref: SecretRef, value: str | bytes) -> str:
    """Check and normalise a secret, by the same rules for all kinds of references."""
    if len(value) > MAX_BYTES:
        raise ref.error(f"has more than {MAX_BYTES} bytes, which is too long for a secret.")
    if isinstance(value, bytes):
        try:
            value = decode(value)
        except NotText as error:
            raise ref.error(f"{error}.") from None
    # Editors, `echo` and container platforms add line breaks at the end; they are not part of the secret.
    value = _pem(value.removeprefix("\ufeff").rstrip("\r\n"))
    if not value:
        raise ref.error("is empty.")
    if "\0" in value:
        raise ref.error("contains NUL characters; it may be UTF-16 text.", "Save it as UTF-8.")
    # Half of a surrogate pair cannot be sent. It comes from bytes in the environment that are not text, or from JSON.
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ref.error("is not UTF-8 text.")
    return value


_PEM = re.compile(r"(-----BEGIN [A-Z0-9 ]+-----)(.*?)(-----END [A-Z0-9 ]+-----)", re.DOTALL)
_BREAK = re.compile(r"\\+r\\+n|\\+[rn]|\r\n?")


def _pem(value: str) -> str:
    r"""Restore the line breaks of a PEM key: variables and .env files often have spaces or `\n` instead.

    Any other value is returned unchanged.
    """
    text = value.strip().strip("\"'").lstrip()
    if not text.startswith("-----BEGIN ") or not _PEM.search(text):
        return value
    # Replacing all escapes is safe, because PEM has no backslashes.
    return "\n".join(_pem_block(*found.groups()) for found in _PEM.finditer(_BREAK.sub("\n", text)))


def _pem_block(begin: str, body: str, end: str) -> str:
    # Old encrypted keys begin with headers, which contain colons and blanks.
    lines = body.strip("\n").split("\n") if ":" in body else body.split()
    if len(lines) == 1:
        lines = textwrap.wrap(lines[0], 64)
    return "\n".join([begin, *lines, end])


def _read_env(ref: SecretRef) -> str:
    try:
        return os.environ[ref.target]
    except KeyError:
        raise ref.error(
            "is not set.",
            f"Set {ref.target} in the environment that Jupyter, or this program, is started from.",
            missing=True,
        ) from None


def _read_file(ref: SecretRef) -> bytes:
    try:
        path = Path(ref.target).expanduser()
    except RuntimeError:
        raise ref.error("names the home folder of an unknown user.") from None
    if not path.is_absolute() and ref.base is not None:
        path = ref.base / path
    try:
        with open(path, "rb", opener=_open_nonblocking) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ref.error("is not a regular file.")
            problem = mode_problem(path, mode)
            if problem:
                raise ref.error(f"is a file that {problem}.", mode_hint(path))
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise ref.error(f"cannot be read ({error.strerror}).", missing=missing) from None


def _open_nonblocking(path: str, flags: int) -> int:
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_keyring(ref: SecretRef) -> str:
    service, slash, user = ref.target.rpartition("/")
    if not slash or not service or not user:
        raise ref.error("is not of the form keyring:SERVICE/USER.")
    try:
        value: str | None = call_keyring(
            lambda keyring: keyring.get_password(service, user), seconds=ref.seconds, share_key=(service, user)
        )
    except KeyringTimeout:
        raise ref.error(
            f"cannot be read: the keyring did not answer within {ref.seconds:.3g} s. It may be waiting to be unlocked.",
            "Unlock the keyring and try again, or raise the profile's timeout.",
        ) from None
    except Exception as error:
        # Only the type: the text of a backend's error may contain anything.
        kind = type(error).__name__
        if kind == "NoKeyringError":
            raise ref.error(
                "cannot be read: this machine has no keyring.",
                "Use file:PATH with a file of mode 0600, or install a keyring backend.",
            ) from None
        raise ref.error(f"cannot be read ({kind}).", "Check that the keyring works and is unlocked.") from None
    if value is None:
        hint = f"Store it: keyring set {shlex.quote(service)} {shlex.quote(user)}"
        raise ref.error("is not in the keyring.", hint, missing=True)
    return value


def _read_command(ref: SecretRef) -> bytes:
    try:
        argv = shlex.split(ref.target)
    except ValueError as error:
        raise ref.error(f"cannot be split into words ({error}).") from None
    program = argv[0]
    try:
        status, output = run(argv, ref.seconds)
    except OSError as error:
        raise ref.error(
            f"({program}) cannot be run ({error.strerror}).",
            "Install it, or give its full path: Jupyter's PATH may differ from your terminal's.",
        ) from None
    if status is None:
        raise ref.error(
            f"({program}) did not end within {ref.seconds:.3g} s.",
            "Use a program that asks for nothing on the terminal. If it is only slow, raise the profile's timeout.",
        )
    if status:
        raise ref.error(
            f"({program}) ended with status {status}.", "Run it in a terminal to see why; you may have to log in again."
        )
    if not output.strip():
        raise ref.error(f"({program}) ended, but its output is empty.", "Make it print the secret to standard output.")
    return output


def _read_profile(ref: SecretRef) -> str:
    raise ref.error("refers to the token of a profile. Such a reference can only be used in the settings of a profile.")


_READERS: dict[str, Callable[[SecretRef], str | bytes]] = {
    "literal": lambda ref: ref.target,
    "env": _read_env,
    "file": _read_file,
    "keyring": _read_keyring,
    "command": _read_command,
    "profile": _read_profile,
}
