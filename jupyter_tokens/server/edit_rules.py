"""Rules for profiles written over REST: users who may write profiles must not get to run code or read secrets.

Users who may execute code in kernels can read the files and the environment of the server's user anyway, so only the
first two rules apply to them:

- The name of a variable that a profile fills must look like the name of a secret, unless the administrator allows the
  variable. Variables such as `PYTHONSTARTUP` make a program load code, and a profile's token is whatever its endpoint
  returns.
- `inject_at_start` cannot be switched on, and `hosts` can only be removed.
- Secrets must be sent by value. A reference would make the server read any file, variable or keyring entry, and send it
  to an endpoint of the user's choice.
- While the profile keeps a secret that it already has, or has `inject_at_start`, the place that its secrets are sent to
  cannot change, and `allow_create` cannot be switched on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from ..config.secrets import SecretRef
from ..errors import ProfileRefused
from ..protocol.messages import variables_of
from ..providers.catalogue import provider_class
from ..providers.fields import Endpoint, Reference

__all__ = ["check_change"]

_VARIABLE = re.compile(r"[A-Za-z0-9_]+_(TOKEN|KEY|KEY_ID|AK|SK|SECRET|PASSWORD|CREDENTIALS)", re.ASCII)


def check_change(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    sent: Collection[str],
    *,
    variables: Iterable[str],
    trusted: bool,
) -> None:
    """Check that a change of a profile is allowed over REST.

    Parameters
    ----------
    before : mapping
        The profile as it is now; empty for a new profile.
    after : mapping
        The new profile, already validated.
    sent : collection of str
        The references under which the secrets that were sent by value will be stored.
    variables : iterable of str
        Names, or patterns with ``*``, of further variables that the administrator allows.
    trusted : bool
        Whether the user may execute code in kernels.

    Raises
    ------
    ProfileRefused
        The change is not allowed.
    """
    for variable in variables_of(after.get("env")).values():
        if not _VARIABLE.fullmatch(variable) and not any(fnmatchcase(variable, allowed) for allowed in variables):
            raise _refused(
                "env",
                f"The variable {variable[:80]!r} cannot be filled by a profile that is written over REST",
                "Its name has to end in _TOKEN, _KEY, _KEY_ID, _AK, _SK, _SECRET, _PASSWORD or _CREDENTIALS, or the "
                "administrator has to allow it in c.TokensExtension.edit_variables.",
            )
    at_start = after.get("inject_at_start", False)
    if at_start and not before.get("inject_at_start", False):
        raise _refused("inject_at_start", "The field 'inject_at_start' can only be set in the configuration file", "")
    if after.get("hosts") and after["hosts"] != before.get("hosts"):
        raise _refused("hosts", "The field 'hosts' can only be set in the configuration file", "")
    if trusted:
        return
    references = _references(after)
    for key in references:
        if after[key] not in sent and after[key] != before.get(key):
            raise _refused(
                key,
                f"The field {key!r} cannot be a reference: you may not execute code in this server's kernels",
                'Send the secret as {"value": SECRET, "store": "keyring" or "file"}.',
            )
    kept = any(after[key] not in sent for key in references)
    if (kept or at_start) and (moved := _moved(before, after)):
        raise _refused(
            moved,
            f"The field {moved!r} cannot change while the profile has inject_at_start, or a secret that was not sent "
            "again",
            "Send all secrets again, or change the configuration file.",
        )


def _references(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of the settings whose values are references."""
    known = provider_class(settings["provider"]).settings()
    return [
        key
        for key, value in settings.items()
        if isinstance(known.get(key), Reference) and SecretRef.parse(value).kind != "literal"
    ]


def _moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return the first changed setting that would send a secret to another place, or use it for something else."""
    known = provider_class(after["provider"]).settings()
    where = ("provider", "region", "verify", *(key for key, setting in known.items() if isinstance(setting, Endpoint)))
    moved = next((key for key in where if before.get(key) != after.get(key)), None)
    return moved or ("allow_create" if after.get("allow_create") and not before.get("allow_create") else None)


def _refused(setting: str, problem: str, hint: str) -> ProfileRefused:
    return ProfileRefused(f"{problem}.", hint=hint, setting=setting)
