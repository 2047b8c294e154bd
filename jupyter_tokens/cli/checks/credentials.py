"""Whether each profile's secrets are at hand, and whether a call can be signed with them; sends nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from ...clock import SystemClock
from ...errors import TokenError
from ...providers.base import Call
from .finding import Finding, fail, ok, warn, within

if TYPE_CHECKING:
    from ...profiles import Profile
    from ...providers.params import Param, ParamValue

__all__ = ["signatures"]

SECONDS = 20.0
"""For each profile: more than a `command:` may take, or a metadata service that is not there."""


def signatures(profiles: list[Profile], *, offline: bool) -> Iterator[Finding]:
    """For each profile. A keyring may ask for its password, commands are run, a vendor's chain may use the network."""
    for profile in profiles:
        if offline and not profile.references:
            yield warn("credential", f"profile {profile.name}: its chain was not asked (--offline)", "run it without")
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


def _sign(profile: Profile) -> str:
    """Gets to the point where the first request would be sent. Raises `TokenError`."""
    secrets = profile.secrets()
    credential = profile.provider.credential(secrets)
    missing = {name: param for name, param in profile.provider.params.items() if name not in profile.params}
    # What only a call gives; for a signature anything will do.
    fills = {name: _any(param) for name, param in missing.items() if param.required or param.identifier}
    call = Call(profile.name, profile.call_params(fills), credential, SystemClock())
    flow = profile.provider.retrieve(call)
    try:
        next(flow)
    finally:
        flow.close()
    where = ", ".join(dict.fromkeys(ref.kind for ref in profile.references.values() if ref.kind != "literal"))
    source = "its own chain" if not profile.references else where or "the configuration"
    given = ", ".join(name for name, param in missing.items() if param.required)
    return f"credential from {source}, a call can be signed" + (f"; to be given in each call: {given}" if given else "")


def _any(param: Param) -> ParamValue:
    if param.choices:
        return param.choices[0]
    fills: dict[str, ParamValue] = {"string": "doctor", "boolean": False, "integer": param.minimum or 1}
    return fills[param.type]


def _without(error: TokenError, profile: Profile) -> str:
    """The message; the profile is named in front of it already."""
    return error.message.removeprefix(f"profile {profile.name!r}, ").rstrip(".")
