"""The tree of exceptions."""

from __future__ import annotations

import json
import pickle
import sys
from types import TracebackType
from typing import Any

import pytest

from jupyter_tokens import errors
from jupyter_tokens.errors import (
    ApiError,
    Busy,
    ConfigurationError,
    KernelUnknown,
    NetworkError,
    NotGranted,
    ParameterError,
    ProfileRefused,
    SecretError,
    ServerGone,
    ServiceUnavailable,
    Throttled,
    TimedOut,
    TokenError,
    Unauthorized,
    UnknownProfile,
    detached_errors,
)

from .doubles import CANARY, told

OTHERS = {"REASONS", "detached_errors"}
KINDS = [getattr(errors, name) for name in errors.__all__ if name not in OTHERS]


def test_all_names_every_exception_of_the_module() -> None:
    here = {name for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, Exception)}
    assert set(errors.__all__) == here | OTHERS


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_a_token_error(kind: type[TokenError]) -> None:
    assert issubclass(kind, TokenError)


def test_reasons_differ_and_lead_back_to_their_exception() -> None:
    assert len({kind.reason for kind in KINDS}) == len(KINDS)
    assert {kind.reason: kind for kind in KINDS} == errors.REASONS


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_may_pass_by_itself_is_retryable(kind: type[TokenError]) -> None:
    passing = {Busy, KernelUnknown, NetworkError, TimedOut, ServerGone, Throttled, ServiceUnavailable}
    assert kind("x").retryable is (kind in passing)
    assert kind("x", retryable=True).retryable is True
    assert kind("x", retryable=False).retryable is False


BEFORE_A_REQUEST = {ConfigurationError, NotGranted, ProfileRefused, UnknownProfile, ParameterError, SecretError}


@pytest.mark.parametrize("kind", KINDS)
def test_errors_that_come_up_before_a_request_are_unsent(kind: type[TokenError]) -> None:
    assert kind("x").unsent is (kind in BEFORE_A_REQUEST)
    assert kind("x", unsent=True).unsent is True
    assert kind("x", unsent=False).unsent is False


FACTS: dict[str, Any] = {
    "message": "It failed.",
    "hint": "Do this.",
    "code": "X.1",
    "request_id": "rid",
    "status": 400,
    "retryable": True,
    "retry_after": 30.0,
    "provider": "astra",
    "profile": "mine",
}


@pytest.mark.parametrize("kind", KINDS)
def test_json_and_back_is_the_same_error(kind: type[TokenError]) -> None:
    error = kind(**FACTS)
    written = json.loads(json.dumps(error.to_dict()))
    assert written == {**FACTS, "reason": kind.reason}
    again = TokenError.from_dict(written)
    assert type(again) is kind
    assert vars(again) == vars(error)
    assert str(again) == str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_json_has_all_fields_of_an_error_that_has_few(kind: type[TokenError]) -> None:
    error = kind("It failed.")
    written = error.to_dict()
    assert set(written) == {*FACTS, "reason"}
    assert vars(TokenError.from_dict(written)) == vars(error)


@pytest.mark.parametrize("reason", [None, "of a later version", 5, ["secret"], {}])
def test_json_of_an_unknown_reason_is_a_plain_error(reason: object) -> None:
    error = TokenError.from_dict({**FACTS, "reason": reason})
    assert type(error) is TokenError
    assert error.message == "It failed."


@pytest.mark.parametrize("wrong", [None, [], {}, b"x"])
def test_fields_of_another_type_are_taken_as_not_given(wrong: object) -> None:
    error = TokenError.from_dict({**dict.fromkeys(FACTS, wrong), "reason": "throttled"})
    plain = Throttled("The other process reported an error without a message.")
    assert vars(error) == vars(plain)
    assert vars(TokenError.from_dict({"reason": "throttled"})) == vars(plain)


def test_numbers_and_truth_are_not_mixed_up() -> None:
    error = TokenError.from_dict({"message": "m", "status": True, "retryable": 1, "retry_after": True})
    assert (error.status, error.retryable, error.retry_after) == (None, False, None)
    error = TokenError.from_dict({"message": "m", "status": 1.5, "retry_after": 30})
    assert (error.status, error.retry_after) == (None, 30)


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
    facts: dict[str, Any] = {
        "hint": "h",
        "code": "c",
        "request_id": "r",
        "status": 400,
        "retryable": True,
        "retry_after": 1.5,
    }
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
    assert (twin.__traceback__, twin.__cause__, twin.__context__) == (None, None, None)
    assert str(twin) == str(error)


def test_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(Throttled("m", code="c", status=429, retry_after=2.0)))
    assert (type(error), error.code, error.status, error.retry_after) == (Throttled, "c", 429, 2.0)


def test_detached_errors_have_no_frames_of_the_block() -> None:
    def fetch() -> str:
        secret_in_a_frame = CANARY
        raise Unauthorized(f"{len(secret_in_a_frame)} characters were refused.", code="c")

    def call() -> str:
        with detached_errors():
            return fetch()

    with pytest.raises(Unauthorized, match="characters were refused") as caught:
        call()
    assert caught.value.code == "c"
    assert caught.value.__context__ is None
    assert CANARY not in told(caught.value)


def test_detached_errors_leave_the_rest_alone() -> None:
    with detached_errors():
        value = "v"
    assert value == "v"
    with pytest.raises(ZeroDivisionError), detached_errors():
        _ = 1 // 0
