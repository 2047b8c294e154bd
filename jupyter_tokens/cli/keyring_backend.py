"""The keyring that this machine offers; reads and stores nothing."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Backend", "backend"]

_PLAIN = ("Plaintext", "Uncrypted")
"""What keyrings.alt calls those that do not encrypt."""


class Backend(NamedTuple):
    """name : of its class. usable : whether it keeps anything. encrypts : False if it is known to store plain text."""

    name: str
    usable: bool
    encrypts: bool


def backend() -> Backend:
    """The backend that keyring has chosen."""
    import keyring  # noqa: PLC0415 (loads its backends at import)
    from keyring.backends import fail, null  # noqa: PLC0415 (as above)

    try:
        chosen = keyring.get_keyring()
    except Exception as error:
        # One that is named in the environment or in keyring's own configuration, and cannot be loaded.
        return Backend(f"none that can be loaded ({type(error).__name__})", usable=False, encrypts=False)
    name = f"{type(chosen).__module__}.{type(chosen).__name__}"
    usable = not isinstance(chosen, fail.Keyring | null.Keyring)
    return Backend(name, usable, not type(chosen).__name__.startswith(_PLAIN))
