"""The tree of exceptions."""

from __future__ import annotations

import pickle
import sys
from types import TracebackType

import pytest

from jupyter_tokens import errors
from jupyter_tokens.errors import (
    ApiError,
    Busy,
    ConfigurationError,
    NetworkError,
    ServerGone,
    ServiceUnavailable,
    Throttled,
    TimedOut,
    TokenError,
    Unauthorized,
    UnknownProfile,
)

from .doubles import CANARY

KINDS = [getattr(errors, name) for name in errors.__all__ if name != "REASONS"]


def test_all_names_every_exception_of_the_module() -> None:
    here = {name for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, Exception)}
    assert set(errors.__all__) == here | {"REASONS"}


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_a_token_error(kind: type[TokenError]) -> None:
    assert issubclass(kind, TokenError)


def test_reasons_differ_and_lead_back_to_their_exception() -> None:
    assert len({kind.reason for kind in KINDS}) == len(KINDS)
    assert {kind.reason: kind for kind in KINDS} == errors.REASONS


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_may_pass_by_itself_is_retryable(kind: type[TokenError]) -> None:
    assert kind("x").retryable is (kind in {Busy, NetworkError, TimedOut, ServerGone, Throttled, ServiceUnavailable})
    assert kind("x", retryable=True).retryable is True
    assert kind("x", retryable=False).retryable is False


def test_a_family_can_be_caught_at_once() -> None:
    assert issubclass(TimedOut, NetworkError)
    assert issubclass(UnknownProfile, ConfigurationError)
    assert issubclass(Unauthorized, ApiError)


def test_text_tells_profile_facts_and_what_to_do() -> None:
    error = TokenError(
        "It failed.", hint="Do this.", code="X.1", request_id="rid", status=400, profile="mine", provider="astra"
    )
    assert str(error) == "mine: It failed. [HTTP 400, code X.1, request id rid] Do this."


def test_text_without_facts_is_the_message() -> None:
    assert str(TokenError("It failed.")) == "It failed."


def test_text_shows_a_status_of_zero() -> None:
    assert str(TokenError("It failed.", status=0)) == "It failed. [HTTP 0]"


@pytest.mark.parametrize("kind", KINDS)
def test_copy_is_the_same_but_for_traceback_and_causes(kind: type[TokenError]) -> None:
    facts = {"hint": "h", "code": "c", "request_id": "r", "status": 400, "retryable": True, "retry_after": 1.5}
    error = kind("m", **facts, unsent=True, provider="p", profile="q")
    try:
        try:
            raise ValueError(CANARY)
        except ValueError as cause:
            raise error from cause
    except TokenError:
        assert isinstance(sys.exc_info()[2], TracebackType)
    twin = error.copy()
    assert type(twin) is kind
    assert vars(twin) == vars(error)
    assert twin is not error
    assert twin.__traceback__ is twin.__cause__ is twin.__context__ is None
    assert str(twin) == str(error)


def test_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(Throttled("m", code="c", status=429, retry_after=2.0)))
    assert (type(error), error.code, error.status, error.retry_after) == (Throttled, "c", 429, 2.0)
