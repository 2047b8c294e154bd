"""The one tree of exceptions that the package raises; knows nothing of HTTP clients, vendors or notebooks.

No exception here ever carries a token, a key or the body of a secret-bearing answer: only what a person needs to find
the cause (what was wrong, where it came from, what to do) and what a vendor's support asks for (code and request id).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Self

__all__ = [
    "REASONS",
    "ApiError",
    "Busy",
    "ConfigurationError",
    "Forbidden",
    "InvalidRequest",
    "KernelUnknown",
    "NetworkError",
    "NoValue",
    "NotFound",
    "ParameterError",
    "ProfileRefused",
    "ResponseError",
    "SecretError",
    "ServerGone",
    "ServerUntrusted",
    "ServiceUnavailable",
    "Throttled",
    "TimedOut",
    "TokenError",
    "Unauthorized",
    "UnknownProfile",
    "UnusableToken",
    "detached_errors",
]


class TokenError(Exception):
    """Base class of all jupyter_tokens errors.

    Attributes
    ----------
    message : str
        What was wrong, in one sentence. No secret is in it.
    hint : str
        What to do about it, or "".
    code, request_id : str or None
        The API's own error code and request id.
    status : int or None
        The HTTP status of the API's answer; None if there was no answer.
    retryable : bool
        True if the same call may succeed later without a change by the user.
    retry_after : float or None
        Seconds that the API asked to wait.
    unsent : bool
        True if it is certain that no request reached the API.
    provider, profile : str or None
        The provider and the profile of the call.
    """

    reason: ClassVar[str] = "error"
    default_retryable: ClassVar[bool] = False
    default_unsent: ClassVar[bool] = False

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
        unsent: bool | None = None,
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
        self.unsent = self.default_unsent if unsent is None else unsent
        self.provider = provider
        self.profile = profile

    @property
    def facts(self) -> str:
        """Status, code and request id in one line, for the vendor's support; empty if there is none of them."""
        facts = [
            f"HTTP {self.status}" if self.status is not None else "",
            f"code {self.code}" if self.code else "",
            f"request id {self.request_id}" if self.request_id else "",
        ]
        return ", ".join(fact for fact in facts if fact)

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON takes it; `from_dict` reads it in another process.

        Returns
        -------
        dict
            `message`, `reason`, `code`, `request_id`, `retryable`, `hint`, `status`, `provider`, `profile`: always all
            of them. `reason` names the class.
        """
        return {"reason": self.reason, **{name: getattr(self, name) for name in _IN_JSON}}

    @staticmethod
    def from_dict(facts: Mapping[str, Any]) -> TokenError:
        """The error that `to_dict` wrote.

        Parameters
        ----------
        facts : Mapping
            What another process sent. A missing field, or one of another type, is taken as not given: an error must
            not hide behind another one. An unknown `reason` gives a plain `TokenError`.
        """
        given = {
            name: facts[name]
            for name, kind in _IN_JSON.items()
            # To Python a bool is an int as well.
            if isinstance(facts.get(name), kind) and isinstance(facts[name], bool) == (kind is bool)
        }
        reason = facts.get("reason")
        kind = REASONS.get(reason, TokenError) if isinstance(reason, str) else TokenError
        return kind(given.pop("message", "") or "The error has no message.", **given)

    def __str__(self) -> str:
        subject = f"{self.profile}: " if self.profile else ""
        facts = f" [{self.facts}]" if self.facts else ""
        return subject + self.message + facts + (f" {self.hint}" if self.hint else "")

    def copy(self) -> Self:
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
    default_unsent = True


class ProfileRefused(ConfigurationError):
    """What was to become a profile is none, or holds what must not come this way; nothing was changed."""

    reason = "profile"


class UnknownProfile(ConfigurationError):
    """There is no profile of that name."""

    reason = "unknown_profile"


class ParameterError(TokenError):
    """A parameter of the call is unknown, missing or wrong."""

    reason = "parameter"
    default_unsent = True


class SecretError(TokenError):
    """A secret reference (`env:`, `file:`, `keyring:`, `command:`) could not be resolved.

    Attributes
    ----------
    setting : str
        The setting that holds the reference, or "".
    problem : str
        The message without the file, the profile and the setting that it names; "" where it names none of them.
    """

    reason = "secret"
    default_unsent = True

    def __init__(self, message: str, *, setting: str = "", problem: str = "", **facts: Any) -> None:
        super().__init__(message, **facts)
        self.setting = setting
        self.problem = problem


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


class KernelUnknown(ServerGone):
    """The Jupyter server answers, but does not know this kernel: another server started it, or the extension is off."""

    reason = "kernel_unknown"


class ServerUntrusted(ServerGone):
    """The Jupyter server is there, but kernel and server do not accept each other's certificates."""

    reason = "server_untrusted"
    default_retryable = False


_IN_JSON: Mapping[str, type] = {
    "message": str,
    "code": str,
    "request_id": str,
    "retryable": bool,
    "hint": str,
    "status": int,
    "provider": str,
    "profile": str,
}
"""The fields of an error's JSON form, besides `reason`, and their types where they are not null."""


@contextmanager
def detached_errors() -> Iterator[None]:
    """Raise a `TokenError` of the block as a copy, without the frames of the block's calls.

    A traceback keeps those frames alive, and with them the credentials in their local variables, which IPython's
    verbose mode would print.
    """
    try:
        yield
    except TokenError as caught:
        error = caught.copy()
    else:
        return
    try:
        raise error
    finally:
        # Python has just chained the original, and its frames with it.
        error.__context__ = None


def _family(kind: type[TokenError]) -> Iterator[type[TokenError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


REASONS: Mapping[str, type[TokenError]] = {kind.reason: kind for kind in _family(TokenError)}
"""The exceptions by their `reason`."""
