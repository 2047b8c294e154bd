"""What a program may print in place of a token."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import TokenError
from jupyter_tokens.providers.base import Call
from jupyter_tokens.token import Secret

from ..doubles import CANARY, Clock, drive
from .conftest import Fuzz
from .strange import JSON, SCALARS, TEXTS, mutated, typed

RIGHT: tuple[dict[str, Any], ...] = (
    {"access_token": CANARY, "expires_in": 3600, "expires_on": "1768469400"},
    {"accessToken": CANARY, "expiresOn": "2026-01-15 09:30:00.000000", "expires_on": 1768469400},
    {"kind": "ExecCredential", "status": {"token": CANARY, "expirationTimestamp": "2026-01-15T09:30:00Z"}},
    {"credential": {"access_token": CANARY, "token_expiry": "2026-01-15T09:30:00Z"}},
    {"token": CANARY, "expiry": {"datetime": "2026-01-15 09:30:00"}},
    {"auth": {"client_token": CANARY, "lease_duration": 3600}},
    {"authorizationToken": CANARY, "expiration": 1768469400.5},
)


def test_whatever_a_program_prints_is_a_token_or_an_error_of_ours(fuzz: Fuzz) -> None:
    provider = Profiles.from_settings({"mine": {"provider": "command", "command": "p"}})["mine"].provider

    def check(printed: str) -> None:
        with typed(TokenError):
            credential = provider.credential({"command": Secret(printed)})
            _, token = drive(provider.retrieve(Call("mine", {}, credential, Clock())))
            assert token.reveal().isascii()
            assert " " not in token.headers()["Authorization"].removeprefix("Bearer ")

    def dumped(value: object) -> str:
        return json.dumps(value, default=str)

    ends = st.builds(lambda end: {"token": CANARY, "expiry": end, "expires_in": end}, SCALARS | JSON)
    texts = TEXTS.filter(lambda text: bool(text.strip()))
    near = st.sampled_from(RIGHT).flatmap(mutated)
    fuzz(check, texts | (near | ends | JSON).map(dumped), times=200, known=[(dumped(right),) for right in RIGHT])
