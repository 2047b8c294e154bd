"""Builds the JSON of responses field by field, so that no secret gets into a response by accident."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..clock import utc
from ..config.profiles import COMMON
from ..errors import TokenError
from ..protocol.messages import About, token_to_dict
from ..providers.catalogue import provider_class, provider_ids
from ..sdks import EXAMPLES, SDKS
from .base import error_facts

if TYPE_CHECKING:
    from ..config.profiles import Profile
    from ..sources.local import LocalSource
    from ..token import Token

__all__ = ["params_schemas", "profile_entry", "provider_entries", "token_answer"]

_log = logging.getLogger(__name__)


def profile_entry(source: LocalSource, name: str) -> dict[str, Any]:
    """Return the facts about a profile and the state of its token, for JSON.

    The result contains no secret, no reference to a secret, and no token value. For an invalid profile, it contains the
    error.

    Parameters
    ----------
    source : LocalSource
        The server's token source.
    name : str
        Name of an existing profile.
    """
    try:
        profile = source.profile(name)
    except TokenError as error:
        # Not only ConfigurationError: for a granted profile, the hub's service may report any error.
        nothing = ("provider", "title", "env", "base_url", "header", "scheme", "expires_at", "has_value", "login")
        empty = {"params": {}, "token_params": {}, "sandbox": False, "origin": "", "may_reveal": True, "sdks": []}
        return {"name": name, **dict.fromkeys(nothing), **empty, "state": "failed", "error": error_facts(error)}
    (state, token, failure), key = source.profile_standing(name)
    return {
        "name": name,
        "provider": profile.provider.id,
        "title": profile.provider.title,
        "env": profile.env,
        "base_url": profile.provider.api_url(),
        "header": profile.provider.header,
        "scheme": profile.provider.scheme,
        "params": dict(profile.params),
        "token_params": dict(key.params) if key is not None else {},
        "sandbox": profile.provider.sandbox,
        "origin": profile.origin,
        "may_reveal": profile.may_reveal,
        "state": state,
        "expires_at": token.expires_at.isoformat() if token is not None and token.expires_at else None,
        "has_value": token.has_value if token is not None else None,
        "login": _login(source, name) if profile.provider.logs_in else None,
        "sdks": _sdk_examples(profile),
        "error": error_facts(failure) if failure is not None else None,
    }


def _sdk_examples(profile: Profile) -> list[dict[str, Any]]:
    """Return example code for the profile's SDK, its provider's SDKs, and the SDKs that read the profile's variable."""
    provider, configured = profile.provider, [] if profile.sdk is None else [profile.sdk]
    readers = [name for name, sdk in SDKS.items() if profile.env in sdk.rivals]
    names = dict.fromkeys([*configured, *provider.sdks, *readers])
    base_url = provider.api_url()
    return [
        {
            "name": name,
            "title": example.title,
            "imports": example.imports,
            "code": example.code(base_url and base_url + provider.sdks.get(name, "")),
            "takes_token": example.takes_token,
        }
        for name in names
        if (example := EXAMPLES.get(name)) is not None
    ]


def _login(source: LocalSource, name: str) -> dict[str, Any]:
    login = source.logins.peek(name)
    return {
        "logged_in": login is not None,
        "who": login.who or None if login is not None else None,
        "since": utc(login.since).isoformat(timespec="seconds") if login is not None else None,
    }


def params_schemas(ids: Iterable[str]) -> dict[str, Any]:
    """Return JSON schemas of the providers' request parameters, by provider id.

    Providers that are unknown or cannot be loaded are left out.
    """
    # A profile that the hub's service grants may have a provider that is not installed here.
    known = set(provider_ids())
    return {
        provider_id: entry["params"]
        for provider_id in sorted(known.intersection(ids))
        if (entry := _provider_entry(provider_id)) is not None
    }


def provider_entries() -> list[dict[str, Any]]:
    """Return all providers that can be loaded, with JSON schemas of their settings and request parameters."""
    return [entry for provider_id in provider_ids() if (entry := _provider_entry(provider_id)) is not None]


def _provider_entry(provider_id: str) -> dict[str, Any] | None:
    try:
        kind = provider_class(provider_id)
        schema = kind.schema()
        return {
            "id": provider_id,
            "title": kind.title,
            "documentation": kind.documentation,
            "creates": bool(schema["create_params"]["properties"]),
            "fields": list(kind.token_fields),
            "settings": {
                "type": "object",
                "properties": {
                    **{name: field.schema() for name, field in COMMON.items()},
                    "provider": {"const": provider_id},
                    **schema["settings"],
                },
                "required": ["provider", *schema["required"]],
                "additionalProperties": False,
                "x-sign-in": schema["sign_in"],
            },
            "params": schema["params"],
            "create_params": schema["create_params"],
        }
    except Exception as error:
        # A provider of another package that cannot be loaded must not affect the other providers.
        _log.warning("jupyter_tokens: provider %s cannot be loaded (%s).", provider_id, type(error).__name__)
        return None


def token_answer(profile: Profile, token: Token, *, now: float, value: bool) -> str:
    """Return a token as JSON, with its value if `value` is true; `now` is in seconds since the epoch."""
    about = About(profile.provider.title, profile.env, sandbox=profile.provider.sandbox, sdk=profile.sdk)
    how = {"scheme": profile.provider.scheme, "header": profile.provider.header}
    return json.dumps(token_to_dict(token, about, **how, now=now, value=value))
