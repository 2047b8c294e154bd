"""The one tree of exceptions that the package raises; knows nothing of HTTP clients, vendors or notebooks.

No exception here ever carries a token, a key or the body of a secret-bearing answer: only what a person needs to find
the cause (what was wrong, where it came from, what to do) and what a vendor's support asks for (code and request id).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

__all__ = [
    "REASONS",
    "ApiError",
    "Busy",
    "ConfigurationError",
    "Forbidden",
    "InvalidRequest",
    "NetworkError",
    "NoValue",
    "NotFound",
    "ParameterError",
    "ProfileRefused",
    "ResponseError",
    "SecretError",
    "ServerGone",
    "ServiceUnavailable",
    "Throttled",
    "TimedOut",
    "TokenError",
    "Unauthorized",
    "UnknownProfile",
    "UnusableToken",
]


class TokenError(Exception):
    """A token could not be had. Base of everything that `jupyter_tokens` raises.

    message : what was wrong, one sentence, no secret in it.
    hint : what to do about it, or "".
    code, request_id : the vendor's own error code and request id, or None where there is none.
    status : the HTTP status of the vendor's answer, or None if there was no answer.
    retryable : True if the same call may succeed later without a change by the user.
    retry_after : seconds that the vendor asked to wait, or None.
    unsent : True if it is certain that no request reached the vendor.
    provider, profile : whom it concerns, filled in on the way up.
    """

    reason: ClassVar[str] = "error"
    default_retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str | None = None,
        request_id: str | None = None,
        status: int | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
        unsent: bool = False,
        provider: str | None = None,
        profile: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.request_id = request_id
        self.status = status
        self.retryable = self.default_retryable if retryable is None else retryable
        self.retry_after = retry_after
        self.unsent = unsent
        self.provider = provider
        self.profile = profile

    def __str__(self) -> str:
        subject = f"{self.profile}: " if self.profile else ""
        facts = [
            f"HTTP {self.status}" if self.status is not None else "",
            f"code {self.code}" if self.code else "",
            f"request id {self.request_id}" if self.request_id else "",
        ]
        told = ", ".join(fact for fact in facts if fact)
        return subject + self.message + (f" [{told}]" if told else "") + (f" {self.hint}" if self.hint else "")

    def copy(self) -> TokenError:
        """The same error without its traceback, so that each of several waiters raises one of its own.

        A traceback keeps the frames of the call alive, and with them the credentials in their local variables, which
        IPython's verbose mode would print.
        """
        twin = type(self)(self.message)
        twin.__dict__.update(self.__dict__)
        return twin


class ConfigurationError(TokenError):
    """A profile is wrong: the message names file, profile and key."""

    reason = "configuration"


class ProfileRefused(ConfigurationError):
    """What was to become a profile is none, or holds what must not come this way; nothing was changed."""

    reason = "profile"


class UnknownProfile(ConfigurationError):
    """There is no profile of that name."""

    reason = "unknown_profile"


class ParameterError(TokenError):
    """A parameter of the call is unknown, missing or wrong; nothing was sent."""

    reason = "parameter"


class SecretError(TokenError):
    """A secret reference (`env:`, `file:`, `keyring:`, `command:`) could not be resolved; nothing was sent."""

    reason = "secret"


class NetworkError(TokenError):
    """The API could not be reached, or the connection broke."""

    reason = "network"
    default_retryable = True


class TimedOut(NetworkError):
    """No whole answer within the time limit."""

    reason = "timeout"


class Busy(TokenError):
    """Too many calls wait in this process already; nothing was sent."""

    reason = "busy"
    default_retryable = True


class ResponseError(TokenError):
    """The answer is not what the API documents: not JSON, cut off, too large, a redirect, a wrong type."""

    reason = "response"


class ApiError(TokenError):
    """The vendor refused the call."""

    reason = "refused"


class InvalidRequest(ApiError):
    """The vendor calls the request itself wrong."""

    reason = "invalid_request"


class Unauthorized(ApiError):
    """Signature, key or login was refused. Never retried: vendors lock a key after a few of these."""

    reason = "unauthorized"


class Forbidden(ApiError):
    """The credential is good, but it has no right to this."""

    reason = "forbidden"


class NotFound(ApiError):
    """What the parameters name does not exist."""

    reason = "not_found"


class Throttled(ApiError):
    """Too many calls."""

    reason = "throttled"
    default_retryable = True


class ServiceUnavailable(ApiError):
    """The vendor's side failed (5xx)."""

    reason = "unavailable"
    default_retryable = True


class UnusableToken(TokenError):
    """A token came back that is disabled or has already expired; it is not handed out."""

    reason = "unusable"


class NoValue(TokenError):
    """The token has no value to reveal: the API tells about it, but never returns it."""

    reason = "no_value"


class ServerGone(NetworkError):
    """The Jupyter server is not there, does not run the extension, or does not know this kernel."""

    reason = "server_gone"


def _family(kind: type[TokenError]) -> Iterator[type[TokenError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


REASONS: Mapping[str, type[TokenError]] = {kind.reason: kind for kind in _family(TokenError)}
"""The exceptions by their `reason`, for who rebuilds one from an answer."""
