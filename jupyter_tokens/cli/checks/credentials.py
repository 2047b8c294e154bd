"""Whether each profile's secrets are at hand, and whether a call can be signed with them; sends nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from ...clock import SystemClock
from ...errors import TokenError
from ...providers.base import Call, Program
from .finding import Finding, fail, ok, warn, within

if TYPE_CHECKING:
    from ...config.profiles import Profile
    from ...providers.params import Param, ParamValue

__all__ = ["signatures"]

SECONDS = 20.0
"""Time limit for each profile: a metadata service may be missing."""


def signatures(profiles: list[Profile], *, offline: bool) -> Iterator[Finding]:
    """For each profile. A keyring may ask for its password, commands are run, a vendor's chain may use the network."""
    for profile in profiles:
        unasked = _asks_network(profile) if offline else ""
        if unasked:
            yield warn("credential", f"profile {profile.name}: its {unasked} (--offline)", "run it without")
            continue
        # A keyring that waits for a person is named within the profile's own limit.
        [outcome] = within(max(SECONDS, profile.timeout), [partial(_sign, profile)])
        if isinstance(outcome, TokenError):
            do = outcome.hint.rstrip(".") or "correct the profile"
            yield fail("credential", f"profile {profile.name}: {_without(outcome, profile)}", do)
        elif outcome is None:
            yield fail("credential", f"profile {profile.name}: no credential in time", "see its source")
        else:
            yield ok("credential", f"profile {profile.name}: {outcome}")


def _asks_network(profile: Profile) -> str:
    """Return what is left out without a network, or "" if this profile's credential can be looked for."""
    if not profile.references:
        return "chain was not asked"
    programs = any(isinstance(trait, Program) for trait in profile.provider.settings().values())
    return "program was not run" if programs else ""


def _sign(profile: Profile) -> str:
    """Get to the point where the first request would be sent, and say what was found. Raises `TokenError`."""
    secrets = profile.secrets()
    credential = profile.provider.credential(secrets)
    missing = {name: param for name, param in profile.provider.params.items() if name not in profile.params}
    # What only a call gives; for a signature anything will do.
    fills = {name: _any(param) for name, param in missing.items() if param.required or param.identifier}
    call = Call(profile.name, profile.call_params(fills), credential, SystemClock())
    flow = profile.provider.retrieve(call)
    sends = True
    try:
        next(flow)
    except StopIteration:
        sends = False
    finally:
        flow.close()
    where = ", ".join(dict.fromkeys(ref.kind for ref in profile.references.values() if ref.kind != "literal"))
    source = "its own chain" if not profile.references else where or "the configuration"
    if not sends:
        return f"token from {source}"
    given = ", ".join(name for name, param in missing.items() if param.required)
    return f"credential from {source}, a call can be signed" + (f"; to be given in each call: {given}" if given else "")


def _any(param: Param) -> ParamValue:
    if param.choices:
        return param.choices[0]
    fills: dict[str, ParamValue] = {
        "string": "doctor",
        "boolean": False,
        "integer": param.minimum or 1,
        "array": ("doctor",),
    }
    return fills[param.type]


def _without(error: TokenError, profile: Profile) -> str:
    """The message; the profile is named in front of it already."""
    return error.message.removeprefix(f"profile {profile.name!r}, ").rstrip(".")
