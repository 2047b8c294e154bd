"""Opaque values: `Secret` for a long-lived credential, `Token` for the short-lived value that an API returns.

Neither is a `str`. A masked `str` leaks through join, slices, `json.dumps` and `encode`; an object that is not a string
leaks only through the methods defined here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from .errors import NoValue

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .auth import TokenAuth

__all__ = ["Secret", "Token"]

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class _Opaque:
    """A frozen object whose repr, formatting, comparison, copy and pickle reveal nothing."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set.")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be deleted.")

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"A {type(self).__name__} cannot be pickled: its value would end in a file or another process.")

    def __getstate__(self) -> NoReturn:
        # The default lists the values of the slots, and serialisers other than pickle call it.
        raise TypeError(f"A {type(self).__name__} shows its state to no one.")


class Secret(_Opaque):
    """A long-lived secret, from the moment it is read until the request that needs it."""

    __slots__ = ("_Secret__value",)
    __value: Callable[[], str]

    def __init__(self, value: str) -> None:
        # In a closure: a debugger or variable inspector that lists attributes shows a function.
        object.__setattr__(self, "_Secret__value", lambda: value)

    def reveal(self) -> str:
        """Return the value."""
        return self.__value()

    def __repr__(self) -> str:
        return "<Secret …>"


def _frozen(metadata: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if isinstance(metadata, MappingProxyType):
        return metadata
    return MappingProxyType(dict(metadata)) if metadata else _EMPTY


class Token(_Opaque):
    """A short-lived token. It is frozen, and only `reveal()`, `headers()` and `auth` give access to its value.

    Attributes
    ----------
    profile : str
        The profile that the token was fetched for.
    provider : str
        The id of the profile's provider.
    expires_at : datetime or None
        When the token expires (aware); None if the API reports no expiry or the token has none.
    obtained_at : datetime
        When the token was requested (aware).
    metadata : Mapping
        Other facts from the response, such as ids, scope and request id; never the value.
    base_url : str or None
        Base URL of the API that the token is for, without a slash at its end; None if the profile names none.
    """

    __slots__ = (
        "_Token__header",
        "_Token__renew",
        "_Token__scheme",
        "_Token__value",
        "__weakref__",
        "base_url",
        "expires_at",
        "metadata",
        "obtained_at",
        "profile",
        "provider",
    )
    __value: Callable[[], str | None]
    __scheme: str
    __header: str
    __renew: Callable[[Token | None], Token] | None
    profile: str
    provider: str
    obtained_at: datetime
    expires_at: datetime | None
    metadata: Mapping[str, Any]
    base_url: str | None

    def __init__(
        self,
        value: str | None,
        *,
        profile: str,
        provider: str,
        obtained_at: datetime,
        expires_at: datetime | None = None,
        scheme: str = "Bearer",
        header: str = "Authorization",
        metadata: Mapping[str, Any] | None = None,
        base_url: str | None = None,
        renew: Callable[[Token | None], Token] | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "_Token__value", lambda: value)
        put(self, "_Token__scheme", scheme)
        put(self, "_Token__header", header)
        put(self, "_Token__renew", renew)
        put(self, "profile", profile)
        put(self, "provider", provider)
        put(self, "obtained_at", obtained_at)
        put(self, "expires_at", expires_at)
        put(self, "metadata", _frozen(metadata))
        put(self, "base_url", base_url)

    def reveal(self) -> str:
        """Return the value as a string. Prefer `auth` or `headers()` where they fit.

        Raises
        ------
        NoValue
            If the API never returns the value (Astra Control's stored tokens).
        """
        value = self.__value()
        if value is None:
            raise NoValue(
                "This API describes a stored token but never returns its value.",
                hint="Read .metadata, or create a new token: create_token(profile, name=…).",
                provider=self.provider,
                profile=self.profile,
            )
        return value

    @property
    def has_value(self) -> bool:
        """Whether the token has a value that can be revealed."""
        return self.__value() is not None

    def headers(self) -> dict[str, str]:
        """Return the HTTP headers that authorise a request with this token. They hold its value: do not print them.

        Raises
        ------
        NoValue
            If the API never returns the value.
        """
        value = self.reveal()
        return {self.__header: f"{self.__scheme} {value}" if self.__scheme else value}

    @property
    def auth(self) -> TokenAuth:
        """Pass this as `auth=` to httpx, httpx2 or requests.

        Each request gets a fresh token. After a 401 the request is sent once more, with a newer token.
        """
        from .auth import TokenAuth  # noqa: PLC0415 (imports httpx)

        return TokenAuth(self, self.__renew)

    def renewed_by(self, renew: Callable[[Token | None], Token]) -> Token:
        """Return the same token with another way for `auth` to keep it fresh.

        Parameters
        ----------
        renew : callable
            Returns a token: a fresh one if called with None, one newer than `token` if called with `token`.
        """
        return Token(
            self.__value(),
            profile=self.profile,
            provider=self.provider,
            obtained_at=self.obtained_at,
            expires_at=self.expires_at,
            scheme=self.__scheme,
            header=self.__header,
            metadata=self.metadata,
            base_url=self.base_url,
            renew=renew,
        )

    def __repr__(self) -> str:
        # The "…" is on purpose: it cannot be encoded into a header. So `f"Bearer {token}"` fails at once in httpx and
        # requests, instead of being sent and refused.
        until = f" until {self.expires_at:%Y-%m-%d %H:%M:%S}Z" if self.expires_at else ""
        return f"<Token {self.profile} …{until}>"
