"""Checks of configuration files, profiles, the keyring, credentials, and, with --live, real calls."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...clock import SystemClock
from ...config.code_variables import loads_code
from ...config.keyring_access import backend
from ...errors import ConfigurationError, ParameterError, SecretError, TokenError, Unauthorized
from ...kernel.card import remaining
from ...protocol.messages import env_variables
from ...providers.base import Call
from ...providers.fields import Program
from ...sources.local import LocalSource
from . import CheckResult, fail, ok, warn, within

if TYPE_CHECKING:
    from ...config.profiles import Profile, Profiles
    from ...providers.params import Param, ParamValue

__all__ = ["files", "keyring", "live", "profiles", "signatures"]

SECONDS = 20.0
"""Shortest time limit for getting a profile's credential, in seconds: a metadata service may not answer."""
_MORE_SECONDS = 5.0
"""Added to the profiles' `timeout` for reading the configuration and the secrets, in seconds."""


def files(found: list[Path]) -> Iterator[CheckResult]:
    """Check each configuration file, and who can write to the file or its folder."""
    if os.environ.get("JUPYTER_NO_CONFIG"):
        yield fail("configuration", "JUPYTER_NO_CONFIG is set: no profile is read or saved", "unset JUPYTER_NO_CONFIG")
    elif not found:
        yield warn("configuration", "no configuration file was found", "run `jupyter tokens add NAME`")
    for file in found:
        try:
            mode = _mode(file)
        except OSError:
            # Loading the file fails as well, and that error is reported.
            continue
        yield ok("configuration", f"{file} (mode {mode:04o})")
        for path in (file, file.parent):
            # Users who can write the file decide where secrets are sent.
            if os.name == "posix" and _mode(path) & stat.S_IWOTH:
                yield fail("file mode", f"{path} can be written by everyone", f"chmod go-w {shlex.quote(str(path))}")
            elif os.name == "posix" and _mode(path) & stat.S_IWGRP:
                what = f"{path} can be written by its group"
                yield warn("file mode", what, f"chmod g-w {shlex.quote(str(path))}")


def profiles(known: Profiles) -> Iterator[CheckResult]:
    """Check each profile, and whether it contains literal secrets."""
    for name in known:
        try:
            profile = known[name]
        except ConfigurationError as error:
            yield fail("profile", error.message.rstrip("."), error.hint.rstrip(".") or "correct it in its file")
            continue
        for variable in filter(loads_code, env_variables(profile.env).values()):
            what = f"profile {name}: programs load or start code from the variable {variable}"
            yield warn("variable", what, "choose another name for env")
        settings = profile.provider.settings()
        literal = [key for key, ref in profile.references.items() if ref.kind == "literal" and settings[key].secret]
        if literal:
            what = f"profile {name}: in plain text in {known.file(name)}: {', '.join(literal)}"
            yield warn(
                "literal secret", what, "use a reference: keyring:SERVICE/USER, file:PATH, env:NAME or command:…"
            )
        else:
            yield ok("profile", f"{name} ({profile.provider.title})")


def keyring(known: list[Profile]) -> Iterator[CheckResult]:
    """Check the keyring's backend, and whether profiles need a keyring."""
    found = backend()
    needed = [profile.name for profile in known if any(ref.kind == "keyring" for ref in profile.references.values())]
    if found.usable and found.encrypts:
        yield ok("keyring", found.name)
    elif found.usable:
        yield warn("keyring", f"{found.name} stores secrets in plain text", "use a backend that encrypts")
    elif needed:
        yield fail(
            "keyring",
            f"this machine has no keyring, and these profiles need one: {', '.join(needed)}",
            "install a keyring backend, or add them again with --store file",
        )
    else:
        yield warn(
            "keyring", "this machine has no keyring", "store secrets with `add --store file`, or install a backend"
        )


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def signatures(profiles: list[Profile], *, offline: bool) -> Iterator[CheckResult]:
    """Check whether each profile's credential is complete enough to sign a call.

    A keyring may ask for its password, commands are run, and a vendor's credential chain may use the network.
    """
    for profile in profiles:
        skipped = _skipped_offline(profile) if offline else ""
        if skipped:
            yield warn("credential", f"profile {profile.name}: its {skipped} (--offline)", "leave out --offline")
            continue
        # If the keyring waits for its password, it raises its own error within the profile's `timeout`.
        seconds = max(SECONDS, profile.timeout)
        timeout_error = TokenError(f"no credential within {seconds:g} s", hint="check that its source answers")
        [outcome] = within(seconds, [partial(_sign, profile)], timeout_error)
        if isinstance(outcome, TokenError):
            do = outcome.hint.rstrip(".") or "correct the profile"
            yield fail("credential", f"profile {profile.name}: {_problem(outcome)}", do)
        else:
            yield ok("credential", f"profile {profile.name}: {outcome}")


def _skipped_offline(profile: Profile) -> str:
    """Return what --offline leaves out, for a message; "" if this profile's credential can be checked offline."""
    if not profile.references:
        return "credential chain was not used"
    programs = any(isinstance(setting, Program) for setting in profile.provider.settings().values())
    return "program was not run" if programs else ""


def _sign(profile: Profile) -> str:
    """Prepare a call up to its first request; return a text about the credential. Raises `TokenError`."""
    if profile.subjects:
        return f"made from the token of profile {' and '.join(profile.subjects.values())}, which --live fetches"
    secrets = profile.secrets()
    credential = profile.provider.credential(secrets)
    if profile.provider.logs_in:
        return "a person logs in; --live fetches a token with the stored login"
    missing = {name: param for name, param in profile.provider.params.items() if name not in profile.params}
    # Any value will do for required parameters, since only a signature is made.
    placeholders = {name: _any(param) for name, param in missing.items() if param.required or param.identifier}
    call = Call(profile.name, profile.call_params(placeholders), credential, SystemClock())
    flow = profile.provider.retrieve(call)
    sends = True
    try:
        next(flow)
    except StopIteration:
        sends = False
    finally:
        flow.close()
    where = ", ".join(dict.fromkeys(ref.kind for ref in profile.references.values() if ref.kind != "literal"))
    source = "the vendor's credential chain" if not profile.references else where or "the configuration"
    if not sends:
        return f"token from {source}"
    given = ", ".join(name for name, param in missing.items() if param.required)
    return f"credential from {source}, a call can be signed" + (f"; each call must give {given}" if given else "")


def live(profiles: list[Profile]) -> Iterator[CheckResult]:
    """Fetch a token with each profile, concurrently. Blocks for at most the longest `timeout` plus `_MORE_SECONDS`."""
    if not profiles:
        return
    max_timeout = max(profile.timeout for profile in profiles)
    timeout_error = TokenError(f"no token within {max_timeout:g} s", hint="check the network")
    with closing(LocalSource()) as source:
        calls = [partial(_fetch, source, profile) for profile in profiles]
        outcomes = within(max_timeout + _MORE_SECONDS, calls, timeout_error)
    for profile, outcome in zip(profiles, outcomes, strict=True):
        if isinstance(outcome, TokenError):
            facts = f" [{outcome.facts}]" if outcome.facts else ""
            yield fail("token", f"profile {profile.name}: {_problem(outcome)}{facts}", _advice(profile, outcome))
        else:
            yield outcome


def _fetch(source: LocalSource, profile: Profile) -> CheckResult:
    known = profile.provider.params
    missing = [name for name, param in known.items() if param.required and name not in profile.params]
    if missing:
        what = f"profile {profile.name}: not fetched, because each call must give {', '.join(missing)}"
        example = " ".join(f"{name}=…" for name in missing)
        return warn("token", what, f"try it with: jupyter tokens get {profile.name} {example}")
    try:
        token = source.get(source.key(profile.name), refresh=True)
    except ParameterError as error:
        # Which parameters a call needs can depend on the others.
        what = f"profile {profile.name}: not fetched: {error.message.rstrip('.')}"
        return warn("token", what, error.hint.rstrip(".") or "see the provider's documentation")
    expiry = "" if token.expires_in is None else f", which expires in {remaining(token.expires_in)}"
    return ok("token", f"profile {profile.name}: {profile.provider.title} returned a token{expiry}")


def _advice(profile: Profile, error: TokenError) -> str:
    hint = error.hint.rstrip(".")
    if not isinstance(error, Unauthorized):
        return hint or "see docs/troubleshooting.md"
    known = profile.provider.settings()
    secrets = [key for key in profile.references if known[key].secret]
    change = "; ".join(f"jupyter tokens set-secret {profile.name} {key}" for key in secrets)
    return "; ".join(filter(None, [hint, change and f"to enter it again: {change}"])) or "check the credential"


def _any(param: Param) -> ParamValue:
    if param.choices:
        return param.choices[0]
    placeholders: dict[str, ParamValue] = {
        "string": "doctor",
        "boolean": False,
        "integer": param.minimum or 1,
        "array": ("doctor",),
    }
    return placeholders[param.type]


def _problem(error: TokenError) -> str:
    """Return what is wrong, without the profile's name."""
    if isinstance(error, SecretError) and error.problem:
        return f"key {error.setting!r}: {error.problem}".rstrip(".")
    return error.message.rstrip(".")
