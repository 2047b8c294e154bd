"""The credential helpers `git-credential-jupyter-tokens` and `docker-credential-jupyter-tokens`.

A token is only sent to a host in the profile's `hosts`, with one exception: if a profile has no `hosts`, git's own
configuration can name the profile for a host. The helpers store nothing that git or docker passes to them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from .._util.loopback import is_loopback
from ..config.files import remove_leftovers
from ..config.profiles import Profile, Profiles
from ..errors import ConfigurationError, ParameterError, TokenError
from ..sdks import DEFAULT_USER, PROGRAMS, SdkRequest
from ..sources.local import LocalSource
from ..sources.stores import TokenStore
from .get import param
from .terminal import one_line

__all__ = ["docker", "git", "parse_host"]

# docker recognises a missing login by this text, and then pulls without a login.
_DOCKER_NOT_FOUND = "credentials not found in native keychain\n"


def git() -> None:
    """Entry point: `git-credential-jupyter-tokens [PROFILE [name=value …]] get|store|erase`."""
    _run("git-credential-jupyter-tokens", _git)


def docker() -> None:
    """Entry point: `docker-credential-jupyter-tokens get|store|erase|list`."""
    _run("docker-credential-jupyter-tokens", _docker)


def parse_host(written: str) -> str:
    """Return the host of a URL in lower case, with its port if there is one. The URL may lack the scheme."""
    text = written.strip()
    return urlsplit(text if "://" in text else f"//{text}").netloc.rpartition("@")[2].lower()


def _run(name: str, helper: Callable[[LocalSource, list[str]], None]) -> None:
    source = LocalSource()
    try:
        remove_leftovers()
        helper(source, sys.argv[1:])
    except TokenError as error:
        sys.stderr.write(f"{name}: {one_line(str(error))}\n")
        sys.exit(1)
    finally:
        source.close()


# git


def _git(source: LocalSource, arguments: list[str]) -> None:
    if not arguments:
        raise ParameterError(
            "An argument is missing: git runs this program with [PROFILE [name=value …]] get|store|erase."
        )
    *args, operation = arguments
    if operation not in {"get", "erase"}:
        # git requires unknown operations to be ignored. `store` is ignored too: the next `get` returns a token anyway.
        return
    attributes = dict(line.rstrip("\n").split("=", 1) for line in sys.stdin if "=" in line)
    try:
        _answer_git(source, args, operation, attributes)
    except TokenError:
        # Otherwise git would prompt for a password.
        sys.stdout.write("quit=1\n" if operation == "get" else "")
        raise


def _answer_git(source: LocalSource, args: list[str], operation: str, attributes: Mapping[str, str]) -> None:
    protocol, host = attributes.get("protocol", ""), attributes.get("host", "").lower()
    if protocol != "https" and not (protocol == "http" and is_loopback(f"http://{host}")):
        raise ParameterError(
            f"Tokens are only sent over https, but {host[:200] or 'the host'} is used over {protocol[:20] or '?'}.",
            hint="Change the remote's URL: git remote set-url.",
        )
    profiles = source.profiles()
    profile = profiles[args[0]] if args else _profile_for(profiles, host)
    user = profile.username_for(host)
    if profile.hosts and user is None:
        raise ParameterError(
            f"The profile {profile.name!r} does not have {host[:200]} in its hosts.",
            hint="Add the host to the hosts of the profile.",
        )
    key = source.key(profile.name, dict(map(param, args[1:])))
    if operation == "get":
        user = attributes.get("username") or user or DEFAULT_USER
        sys.stdout.write(PROGRAMS["git"](source.get(key), SdkRequest(now=time.time(), server=host, user=user)))
    elif TokenStore.configured().url != "none" and source.get(key).reveal() == attributes.get("password"):
        # The host refused the token: the next run has to fetch a new token.
        source.forget(key)


# docker


def _docker(source: LocalSource, arguments: list[str]) -> None:
    operation = arguments[0] if len(arguments) == 1 else ""
    if operation == "list":
        sys.stdout.write("{}\n")
        return
    if operation not in {"get", "store", "erase"}:
        raise ParameterError(
            "The argument is missing or unknown: docker runs this program with one of get|store|erase|list."
        )
    server = sys.stdin.read().strip()
    if operation == "store":
        raise ParameterError(
            "This program does not store logins: it logs in with the token of a profile.",
            hint="In docker's config.json, name this program only in credHelpers, and only for hosts of profiles. To "
            "print these lines: jupyter tokens sdk docker NAME.",
        )
    if operation == "erase":
        return
    try:
        profile = _profile_for(source.profiles(), parse_host(server))
    except ParameterError:
        sys.stdout.write(_DOCKER_NOT_FOUND)
        raise
    user = profile.username_for(parse_host(server)) or DEFAULT_USER
    token = source.get(source.key(profile.name))
    sys.stdout.write(PROGRAMS["docker"](token, SdkRequest(now=time.time(), server=server, user=user)))


def _profile_for(profiles: Profiles, host: str) -> Profile:
    """Return the only profile for a host.

    Raises `ParameterError` if there is no such profile, or `ConfigurationError` if there are several.
    """
    found = []
    for name in profiles:
        try:
            profile = profiles[name]
        except ConfigurationError:
            # An error in another profile must not affect this host.
            continue
        if profile.username_for(host) is not None:
            found.append(profile)
    if not found:
        raise ParameterError(f"No profile has the host {host[:200]!r}.", hint="Add the host to the hosts of a profile.")
    if len(found) > 1:
        names = ", ".join(profile.name for profile in found)
        raise ConfigurationError(
            f"Several profiles have the host {host[:200]!r}: {names}.", hint="Keep the host in only one of them."
        )
    return found[0]
