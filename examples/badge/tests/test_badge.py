"""The badge office's provider, without a network: a flow is given answers as its API documents them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest

from jupyter_tokens.clock import SystemClock
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import ApiError, ConfigurationError, Forbidden, ParameterError, ResponseError, Unauthorized
from jupyter_tokens.providers.base import Call
from jupyter_tokens.token import Token

PROFILE = {
    "provider": "badge",
    "endpoint": "https://badges.example.com",
    "api_key": "the-key-of-the-office",
    "params": {"door": "lab"},
}
ISSUED = {"badge": "0pen-5esame", "valid_for": 600}


def drive(answer: httpx.Response, **params: object) -> tuple[httpx.Request, Token]:
    """Runs the flow of a profile against one answer."""
    profile = Profiles.from_settings({"door": PROFILE})["door"]
    credential = profile.provider.credential(profile.secrets())
    flow = profile.provider.retrieve(Call("door", profile.call_params(params), credential, SystemClock()))
    request = next(flow)
    with pytest.raises(StopIteration) as stop:
        flow.send(answer)
    return request, stop.value.value


def test_asks_for_a_badge_and_hands_it_out() -> None:
    """The request as the API documents it, and a token with its end."""
    request, token = drive(httpx.Response(httpx.codes.CREATED, json=ISSUED), minutes=5)
    assert (request.method, str(request.url)) == ("POST", "https://badges.example.com/v1/badges")
    assert request.headers["x-api-key"] == PROFILE["api_key"]
    assert json.loads(request.content) == {"kind": "visitor", "door": "lab", "minutes": 5}
    assert token.headers() == {"Authorization": "Badge 0pen-5esame"}
    assert token.expires_at is not None
    assert token.expires_at - token.obtained_at == timedelta(seconds=600)


@pytest.mark.parametrize(
    ("status", "code", "kind"), [(401, "unknown_key", Unauthorized), (403, "door_closed", Forbidden)]
)
def test_a_refusal_says_what_to_do(status: int, code: str, kind: type[ApiError]) -> None:
    """The API's code is kept, and the hint is for a person."""
    with pytest.raises(kind) as caught:
        drive(httpx.Response(status, json={"code": code, "text": "No."}))
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize("body", [{}, {"badge": "x"}, {**ISSUED, "valid_for": 0}, {**ISSUED, "badge": "two words"}])
def test_an_answer_that_is_not_as_documented(body: Mapping[str, Any]) -> None:
    """Nothing half is handed out."""
    with pytest.raises(ResponseError):
        drive(httpx.Response(httpx.codes.CREATED, json=dict(body)))


def test_wrong_settings_and_parameters_are_named() -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError, match="api_key"):
        Profiles.from_settings({"door": {**PROFILE, "api_key": ""}})["door"]
    with pytest.raises(ParameterError, match="minutes"):
        drive(httpx.Response(httpx.codes.CREATED), minutes=0)
