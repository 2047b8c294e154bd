"""The exceptions of the package's public functions. All are subclasses of `TokenError`.

They never contain a token, a key or the body of a response. They describe what was wrong, where, and what to do, and
they contain the code and request id that a vendor's support asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import UnionType
from typing import Any, ClassVar, Self

__all__ = [
    "REASONS",
    "ApiError",
    "Busy",
    "ConfigurationError",
    "Forbidden",
    "HandleRefused",
    "InvalidRequest",
    "KernelUnknown",
    "LoginNeeded",
    "NetworkError",
    "NoValue",
    "NotFound",
    "NotGranted",
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
        What was wrong, without any secret.
    hint : str
        What the user can do, or "".
    code, request_id : str or None
        The API's own error code and request id.
    status : int or None
        The HTTP status of the API's response; None if there was no response.
    retryable : bool
        True if the same call may succeed later without a change by the user.
    retry_after : float or None
        Seconds to wait before the next call, usually from the API's response; None if not known.
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
        """Status, code and request id in one line, for the vendor's support; "" if all are missing."""
        facts = [
            f"HTTP {self.status}" if self.status is not None else "",
            f"code {self.code}" if self.code else "",
            f"request id {self.request_id}" if self.request_id else "",
        ]
        return ", ".join(fact for fact in facts if fact)

    def to_dict(self) -> dict[str, Any]:
        """Return the error as a JSON-compatible dict, from which `from_dict` restores it in another process.

        Returns
        -------
        dict
            Always has the keys `message`, `reason`, `code`, `request_id`, `retryable`, `retry_after`, `hint`, `status`,
            `provider` and `profile`. `reason` names the class.
        """
        return {"reason": self.reason, **{name: getattr(self, name) for name in _IN_JSON}}

    @staticmethod
    def from_dict(facts: Mapping[str, Any]) -> TokenError:
        """Restore an error from its JSON, the result of `to_dict`.

        Parameters
        ----------
        facts : Mapping
            The JSON from another process. Missing fields and fields of a wrong type get their defaults, so that the
            error itself is never lost.

        Returns
        -------
        TokenError
            An instance of the class that `reason` names; for an unknown `reason`, a plain `TokenError`.
        """
        fields = {
            name: facts[name]
            for name, kind in _IN_JSON.items()
            # In Python a bool is also an int.
            if isinstance(facts.get(name), kind) and isinstance(facts[name], bool) == (kind is bool)
        }
        reason = facts.get("reason")
        kind = REASONS.get(reason, TokenError) if isinstance(reason, str) else TokenError
        return kind(fields.pop("message", "") or "The other process reported an error without a message.", **fields)

    def __str__(self) -> str:
        subject = f"{self.profile}: " if self.profile else ""
        facts = f" [{self.facts}]" if self.facts else ""
        return subject + self.message + facts + (f" {self.hint}" if self.hint else "")

    def copy(self) -> Self:
        """Return a copy without the traceback. If several callers wait for one call, each raises its own copy.

        A traceback keeps the frames of the call alive, and local variables of these frames contain credentials.
        IPython's verbose mode would print these variables.
        """
        clone = type(self)(self.message)
        clone.__dict__.update(self.__dict__)
        return clone


class ConfigurationError(TokenError):
    """A profile or another setting is wrong, or does not allow the call.

    The message names the file, the profile and the setting, as far as they are known.

    Attributes
    ----------
    setting : str
        The name of the wrong setting, or "".
    """

    reason = "configuration"
    default_unsent = True

    def __init__(self, message: str, *, setting: str = "", **facts: Any) -> None:
        super().__init__(message, **facts)
        self.setting = setting


class ProfileRefused(ConfigurationError):
    """A profile was not saved, because it is invalid or contains something that is not allowed. Nothing was changed."""

    reason = "profile"


class UnknownProfile(ConfigurationError):
    """There is no profile with this name."""

    reason = "unknown_profile"


class ParameterError(TokenError):
    """A parameter of the call is unknown, missing or invalid."""

    reason = "parameter"
    default_unsent = True


class SecretError(TokenError):
    """A secret is missing or cannot be read, for example from a reference (`env:`, `file:`, `keyring:`, `command:`).

    Attributes
    ----------
    setting : str
        The setting that contains the reference, or "".
    problem : str
        The message without the file, profile and setting at its beginning; "" if the message does not begin with these.
    missing : bool
        True if the variable, file or keyring entry that the reference names does not exist.
    """

    reason = "secret"
    default_unsent = True

    def __init__(
        self, message: str, *, setting: str = "", problem: str = "", missing: bool = False, **facts: Any
    ) -> None:
        super().__init__(message, **facts)
        self.setting = setting
        self.problem = problem
        self.missing = missing


class NotGranted(TokenError):
    """The hub's token service does not grant the profile to the user."""

    reason = "not_granted"
    default_unsent = True


class NetworkError(TokenError):
    """The API could not be reached, or the connection broke."""

    reason = "network"
    default_retryable = True


class TimedOut(NetworkError):
    """The time limit was reached before there was a complete response."""

    reason = "timeout"


class Busy(TokenError):
    """Too many calls are waiting in this process, or a token service cannot reach its replicas' shared records."""

    reason = "busy"
    default_retryable = True


class ResponseError(TokenError):
    """The response is not what the API documents, for example not JSON, cut off, too large or a redirect."""

    reason = "response"


class ApiError(TokenError):
    """The API refused the call. Base class of the errors for specific refusals."""

    reason = "refused"


class InvalidRequest(ApiError):
    """The API rejected the request as invalid."""

    reason = "invalid_request"


class Unauthorized(ApiError):
    """The signature, key or login was refused. Not retried automatically: vendors lock a key after a few refusals."""

    reason = "unauthorized"


class Forbidden(ApiError):
    """The credential is valid, but lacks the permission for this call."""

    reason = "forbidden"


class HandleRefused(Forbidden):
    """A handle was refused, for example because it is revoked, its lease has ended, or it is for another profile."""

    reason = "handle"


class NotFound(ApiError):
    """The resource that the parameters name does not exist."""

    reason = "not_found"


class LoginNeeded(TokenError):
    """The user has to log in, for the first time or because the previous login has ended. Retrying does not help."""

    reason = "login"


class Throttled(ApiError):
    """A rate limit or a quota was exceeded."""

    reason = "throttled"
    default_retryable = True


class ServiceUnavailable(ApiError):
    """The API failed or is not available, usually with HTTP 5xx."""

    reason = "unavailable"
    default_retryable = True


class UnusableToken(TokenError):
    """A token cannot be used, for example because it is disabled or has already expired."""

    reason = "unusable"


class NoValue(TokenError):
    """The token has no value to reveal: the API describes the token, but never returns its value."""

    reason = "no_value"


class ServerGone(NetworkError):
    """The Jupyter server, or another issuer, cannot be reached, lacks the extension, or does not know this process."""

    reason = "server_gone"


class KernelUnknown(ServerGone):
    """The Jupyter server, or another issuer, runs jupyter_tokens, but does not know this process."""

    reason = "kernel_unknown"


class ServerUntrusted(ServerGone):
    """The Jupyter server, or another issuer, is running, but a certificate is missing or refused, or TLS failed."""

    reason = "server_untrusted"
    default_retryable = False


_IN_JSON: Mapping[str, type | UnionType] = {
    "message": str,
    "code": str,
    "request_id": str,
    "retryable": bool,
    "retry_after": int | float,
    "hint": str,
    "status": int,
    "provider": str,
    "profile": str,
}
"""The fields of an error's JSON except `reason`, and their types if they are not null."""


@contextmanager
def detached_errors() -> Iterator[None]:
    """Re-raise a `TokenError` of the `with` block as a copy, without the frames of the calls in the block.

    A traceback keeps these frames alive, and their local variables contain credentials. IPython's verbose mode would
    print these variables.
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
        # Python has chained the original error to the copy here. The original's traceback would keep the frames alive.
        error.__context__ = None


def _subclasses(kind: type[TokenError]) -> Iterator[type[TokenError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _subclasses(child)


REASONS: Mapping[str, type[TokenError]] = {kind.reason: kind for kind in _subclasses(TokenError)}
"""Exception classes by their `reason`."""
