"""Converts tokens to JSON and back, and profiles from JSON, for the communication between processes.

Errors are converted by `TokenError.to_dict` and `TokenError.from_dict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ..clock import utc
from ..errors import ResponseError, TokenError
from ..token import Secret, Token

__all__ = [
    "About",
    "Env",
    "ProfileEntry",
    "entries_from_dict",
    "env_variables",
    "format_env",
    "parse_env",
    "token_from_dict",
    "token_to_dict",
    "token_value",
    "unexpected_response",
]

Env = str | Mapping[str, str] | None
"""A profile's `env`: the environment variable to fill; for a token with several values, a variable for each field."""

_NONE: Mapping[str, Any] = {}


class About(NamedTuple):
    """The facts about a profile that a card shows.

    Attributes
    ----------
    title : str
        The provider's display name.
    env : str, mapping or None
        The environment variable that the profile fills; for a token with several values, a variable for each field.
    sandbox : bool
        True if the profile's endpoint is on loopback.
    sdk : str or None
        The SDK that the profile's tokens are for, by its name in `sdks.SDKS`; None if the profile names no SDK.
    """

    title: str
    env: Env
    sandbox: bool
    sdk: str | None = None


class ProfileEntry(NamedTuple):
    """A configured profile, for lists and forms.

    Attributes
    ----------
    name, title, provider : str
        The profile's name, the provider's display name, and the provider's id (None if the profile is invalid).
    env : str, mapping or None
        The environment variable that the profile fills; for a token with several values, a variable for each field.
    sandbox : bool
        True if the profile's endpoint is on loopback.
    params : mapping
        The parameters that the profile sets.
    schema : mapping
        JSON schema of the parameters.
    error : TokenError or None
        What is wrong with the profile.
    may_reveal : bool
        False if the administrator does not allow the value of a token to be shown.
    origin : str
        "the hub's token service" if this service fetches the profile's tokens, else "".
    state : str
        The state of the Jupyter server's token, as in `sources.cache.State`; "none" if the entry is not from a server.
    failing : bool
        Whether the Jupyter server's last fetch failed, or the profile is invalid. The server may still have an earlier
        token.
    """

    name: str
    title: str = ""
    provider: str | None = None
    env: Env = None
    sandbox: bool = False
    params: Mapping[str, Any] = _NONE
    schema: Mapping[str, Any] = _NONE
    error: TokenError | None = None
    may_reveal: bool = True
    origin: str = ""
    state: str = "none"
    failing: bool = False


def env_variables(env: Env) -> dict[str, str]:
    """Return the variables in an `env`, by the fields of the token. The field of a single value is the empty string."""
    if isinstance(env, str):
        env = parse_env(env)
    return dict(env) if isinstance(env, Mapping) else {} if env is None else {"": env}


def parse_env(text: str) -> str | dict[str, str]:
    """Parse an `env` that is written on one line: `VAR`, or `FIELD=VAR,FIELD=VAR`."""
    if "=" not in text:
        return text
    return {field.strip(): name.strip() for field, _, name in (part.partition("=") for part in text.split(","))}


def format_env(env: Env) -> str:
    """Return an `env` on one line, as `parse_env` parses it; "" for None."""
    return ",".join(f"{field}={name}" if field else name for field, name in env_variables(env).items())


def token_value(token: Token) -> str | dict[str, str] | None:
    """Return a token's value for JSON: a string, several strings by field, or None if the API never returns a value."""
    values = token.values() if token.has_value else {}
    return values.get("", values or None)


def token_to_dict(
    token: Token, about: About, *, scheme: str, header: str = "Authorization", now: float, value: bool
) -> dict[str, Any]:
    """Convert a token to JSON.

    Parameters
    ----------
    token : Token
        The token.
    about : About
        Facts about the token's profile.
    scheme : str
        The authorization scheme, for example "Bearer"; empty if the header contains only the token.
    header : str
        The HTTP header that a request sends the token in.
    now : float
        Seconds since the epoch, for `expires_in`.
    value : bool
        Whether to include the token's value: a string, several strings by field, or null if the API never returns the
        value.
    """
    ends = token.expires_at
    facts = {
        "profile": token.profile,
        "provider": token.provider,
        **about._asdict(),
        "scheme": scheme,
        "header": header,
        "has_value": token.has_value,
        **({"fields": list(token.fields)} if token.fields else {}),
        "expires_at": ends.isoformat() if ends is not None else None,
        # Rounded to milliseconds, because a floating-point error could make it longer than the token's lifetime.
        "expires_in": max(0.0, round(ends.timestamp() - now, 3)) if ends is not None else None,
        "obtained_at": token.obtained_at.isoformat(),
        "metadata": _plain(token.metadata),
        "base_url": token.base_url,
    }
    return {**facts, "value": token_value(token)} if value else facts


def token_from_dict(facts: Mapping[str, Any], *, now: float) -> tuple[Token, About]:
    """Convert the JSON of `token_to_dict` to a token with its value, and to the facts about its profile.

    The expiry is computed from the remaining time, not from the other machine's clock. Raises `ResponseError` for JSON
    of any other form.
    """
    try:
        remaining = facts["expires_in"]
        token = Token(
            facts["value"],
            profile=facts["profile"],
            provider=facts["provider"],
            obtained_at=datetime.fromisoformat(facts["obtained_at"]),
            expires_at=None if remaining is None else utc(now) + timedelta(seconds=remaining),
            scheme=facts["scheme"],
            header=facts["header"],
            metadata=facts["metadata"],
            base_url=facts["base_url"],
        )
        return token, About(facts["title"], facts["env"], sandbox=facts["sandbox"], sdk=facts.get("sdk"))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise unexpected_response() from None


def entries_from_dict(facts: Mapping[str, Any]) -> list[ProfileEntry]:
    """Return the profiles in the JSON of another process. Raises `ResponseError` for JSON of any other form."""
    try:
        schemas, may_reveal = facts["params"], facts["may_reveal"]
        return [
            ProfileEntry(
                profile["name"],
                title=profile["title"] or "",
                provider=profile["provider"],
                env=profile["env"],
                sandbox=profile["sandbox"],
                params=profile["params"],
                schema=schemas.get(profile["provider"], {}),
                # If there is a provider, the profile is valid, and the error comes from a fetch by the server. Such an
                # error does not concern this process's token.
                error=None if profile["provider"] else _profile_error(profile["name"], profile["error"]),
                may_reveal=may_reveal and profile.get("may_reveal", True),
                origin=profile.get("origin", ""),
                state=profile.get("state", "none"),
                failing=profile.get("error") is not None,
            )
            for profile in facts["profiles"]
        ]
    except (KeyError, TypeError, AttributeError):
        raise unexpected_response() from None


def _profile_error(profile: str, facts: Mapping[str, Any]) -> TokenError:
    error = TokenError.from_dict(facts)
    error.profile = profile
    return error


def unexpected_response() -> ResponseError:
    """Return the error for a response that this version does not understand."""
    return ResponseError(
        "The answer of the Jupyter server, or of the hub's token service, does not have the form that this version of "
        "jupyter_tokens expects.",
        hint="Install the same version of jupyter_tokens for both processes, and restart them.",
    )


def _plain(value: Any) -> Any:
    """Return the JSON-compatible parts of a value, without secrets."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items() if not isinstance(part, Secret)}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value if not isinstance(part, Secret)]
    return value if isinstance(value, str | int | float | bool | None) else None
