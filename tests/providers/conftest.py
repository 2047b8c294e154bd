"""Calls of flows, without any I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.providers.base import Call
from jupyter_tokens.token import Secret

from ..doubles import Clock

Prepare = Callable[..., tuple[Any, Call]]


@pytest.fixture
def prepared(clock: Clock) -> Prepare:
    """A checked provider and a call of it: settings, parameters, secrets that the references resolve to."""

    def prepare(settings: Mapping[str, Any], params: Mapping[str, object], *, create: bool = False) -> tuple[Any, Call]:
        profile = Profiles.of({"mine": {**settings, "allow_create": True}})["mine"]
        given = profile.create_params(params) if create else profile.call_params(params)
        secrets = {key: Secret(reference.target) for key, reference in profile.references.items()}
        return profile.provider, Call("mine", given, profile.provider.credential(secrets), clock)

    return prepare
