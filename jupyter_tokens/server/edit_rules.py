"""Rules for profiles written over REST. They keep users who may write profiles from running code and reading secrets.

Users who may execute code in kernels can read the files and the environment of the server's user anyway, so only the
first two of these rules apply to them:

- The name of a variable that a profile fills must look like the name of a secret, unless the administrator allows the
  variable. Variables such as `PYTHONSTARTUP` make a program load code, and a profile's token is whatever its endpoint
  returns.
- `inject_at_start` cannot be switched on, and `hosts` can only be removed.
- New secrets must be sent by value. With a reference, a user could make the server read any file, variable or keyring
  entry, and send the content to an endpoint of the user's choice. The same applies to a way to sign in for which the
  server finds the credential itself, such as a vendor's credential chain.
- While the profile keeps a secret that it already has, uses a person's login, or has `inject_at_start`, the settings
  that decide where its secrets are sent (provider, region, endpoints, `verify`) or how they are used (`grant`,
  `login_store`) cannot change, and `allow_create` cannot be switched on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ..config.profiles import Profiles
from ..errors import ConfigurationError, ProfileRefused
from ..protocol.messages import env_variables
from ..providers.fields import Endpoint, Reference

if TYPE_CHECKING:
    from ..providers.base import Provider

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
    for variable in env_variables(after.get("env")).values():
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
    profile = Profiles.from_settings({"new": after})["new"]
    references = [key for key, one in profile.references.items() if key in after and one.kind != "literal"]
    unsent = [*(key for key in references if after[key] not in sent), *_ambient_credential_settings(profile.provider)]
    for key in unsent:
        if after.get(key) != before.get(key):
            raise _refused(
                key,
                f"The field {key!r} cannot make the server read a secret, because you are not allowed to execute "
                "code in this server's kernels",
                'Send the secret as {"value": SECRET, "store": "keyring" or "file"}.',
            )
    if (unsent or at_start or _logs_in(before)) and (changed := _changed_destination(profile.provider, before, after)):
        raise _refused(
            changed,
            f"The field {changed!r} cannot change while the profile has inject_at_start, a person's login, or a secret "
            "that was not sent again",
            "Send all secrets again and leave out inject_at_start, or change the configuration file. If the profile "
            "uses a login, remove the profile and add it again.",
        )


def _ambient_credential_settings(provider: Provider) -> list[str]:
    """Return the names of the settings that make the server find the credential itself, on its own machine.

    The server does so if the chosen way to sign in needs no setting that can be a reference: for example, a vendor's
    credential chain, or the provider `jupyterhub`.
    """
    known, sign_in = provider.settings(), provider.chosen_sign_in()
    needed = [*(key for key, setting in known.items() if setting.required), *(sign_in.required if sign_in else ())]
    if any(isinstance(known[key], Reference) for key in needed):
        return []
    return [sign_in.first, *sign_in.required, *sign_in.optional] if sign_in else ["provider"]


def _logs_in(settings: Mapping[str, Any]) -> bool:
    """Whether a profile with these settings uses a person's login. Returns False if the settings are invalid."""
    try:
        return Profiles.from_settings({"old": settings})["old"].provider.logs_in
    except ConfigurationError:
        return False


def _changed_destination(provider: Provider, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return the first changed setting that would send a secret elsewhere or use it in a new way, or None."""
    endpoints = (key for key, setting in provider.settings().items() if isinstance(setting, Endpoint))
    # Without `grant` and `login_store`, a profile with a login could change in several steps.
    destinations = ("provider", "region", "verify", "grant", "login_store", *endpoints)
    changed = next((key for key in destinations if before.get(key) != after.get(key)), None)
    return changed or ("allow_create" if after.get("allow_create") and not before.get("allow_create") else None)


def _refused(setting: str, problem: str, hint: str) -> ProfileRefused:
    return ProfileRefused(f"{problem}.", hint=hint, setting=setting)
