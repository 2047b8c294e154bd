"""Calls of flows, without any I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import ConfigurationError, ParameterError, TokenError
from jupyter_tokens.providers.base import Call
from jupyter_tokens.token import Secret, Token

from ..doubles import Clock, drive


class Prepare:
    """Calls of a provider with checked settings and parameters. Each reference resolves to its own text."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(
        self, settings: Mapping[str, Any], params: Mapping[str, object], *, create: bool = False
    ) -> tuple[Any, Call]:
        """The provider and the call."""
        profile = Profiles.from_settings({"mine": {**settings, "allow_create": True}})["mine"]
        given = profile.create_params(params) if create else profile.call_params(params)
        secrets = {key: Secret(reference.target) for key, reference in profile.references.items()}
        return profile.provider, Call("mine", given, profile.provider.credential(secrets), self._clock)

    def fetch(
        self, settings: Mapping[str, Any], params: Mapping[str, object], *answers: httpx.Response
    ) -> tuple[list[httpx.Request], Token]:
        """The requests, and the token."""
        provider, call = self(settings, params)
        return drive(provider.retrieve(call), *answers)

    def request(self, settings: Mapping[str, Any], params: Mapping[str, object]) -> httpx.Request:
        """The first request."""
        provider, call = self(settings, params)
        request: httpx.Request = next(provider.retrieve(call))
        return request

    def refused(
        self,
        kind: type[TokenError],
        settings: Mapping[str, Any],
        params: Mapping[str, object],
        *answers: httpx.Response,
        match: str | None = None,
    ) -> TokenError:
        """The error of the fetch; one for a call that is never made is unsent."""
        provider, call = self(settings, params)
        with pytest.raises(kind, match=match) as caught:
            drive(provider.retrieve(call), *answers)
        assert caught.value.unsent is not bool(answers)
        return caught.value


@pytest.fixture
def prepared(clock: Clock) -> Prepare:
    return Prepare(clock)


def refuse_params(settings: Mapping[str, Any], params: Mapping[str, object], words: str | None = None) -> None:
    """The profile refuses these parameters before anything is sent."""
    with pytest.raises(ParameterError, match=words) as caught:
        Profiles.from_settings({"mine": settings})["mine"].call_params(params)
    assert caught.value.unsent


def refuse_settings(settings: Mapping[str, Any], match: str | None = None) -> ConfigurationError:
    """The error of settings that make no profile."""
    with pytest.raises(ConfigurationError, match=match) as caught:
        Profiles.from_settings({"mine": settings})["mine"]
    return caught.value
