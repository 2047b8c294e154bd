"""Opaque values: `Secret` for credentials and other confidential strings, `Token` for the tokens that APIs return.

Neither is a `str`. A masked `str` leaks through join, slices, `json.dumps` and `encode`; an object that is not a string
leaks only through the methods defined here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from .clock import SystemClock
from .errors import NoValue, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from datetime import datetime

    from .auth import TokenAuth

__all__ = ["Secret", "Token"]

_SINGLE = ""
"""The field name under which a token stores its value if it has only one value."""


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
        problem = f"A {type(self).__name__} cannot be pickled: its value would end up in a file or another process."
        raise TypeError(problem + self._pickle_hint())

    def _pickle_hint(self) -> str:
        """Return a hint, with a leading space, about what to send to another process instead; "" for none."""
        return ""

    def __getstate__(self) -> NoReturn:
        # The default would return the values of the slots, and serialisers other than pickle call `__getstate__`.
        raise TypeError(f"A {type(self).__name__} cannot be serialised: its state is not accessible.")


class Secret(_Opaque):
    """A confidential string. Only `reveal()` gives access to its value."""

    __slots__ = ("_Secret__value",)
    __value: Callable[[], str]

    def __init__(self, value: str) -> None:
        # In a closure: a debugger or variable inspector that lists attributes shows only a function.
        object.__setattr__(self, "_Secret__value", lambda: value)

    def reveal(self) -> str:
        """Return the value."""
        return self.__value()

    def __repr__(self) -> str:
        return "<Secret …>"


class Token(_Opaque):
    """A short-lived token. It is frozen, and printing or formatting it does not show its value.

    Only `reveal()`, `values()`, `headers()`, `auth` and the functions from `as_callable()` and `as_async_callable()`
    give access to the value.

    Most tokens have one value. A temporary access key has several values that are only valid together: `fields` names
    them, and `reveal(FIELD)` returns one of them.

    Parameters
    ----------
    value : str, Mapping or None
        The value, or several values by field name; None if the API never returns the value.
    scheme, header : str
        For `headers`: the authorization scheme before the value ("" for none), and the header's name.
    renew, params
        See the method `renewed_by`.

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
        Base URL of the API that the token is for, without a trailing slash; None if the profile does not give
        it.
    """

    __slots__ = (
        "_Token__header",
        "_Token__params",
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
    __value: Callable[[], str | dict[str, str] | None]
    __scheme: str
    __header: str
    __renew: Callable[[Token | None], Token] | None
    __params: tuple[tuple[str, Any], ...]
    profile: str
    provider: str
    obtained_at: datetime
    expires_at: datetime | None
    metadata: Mapping[str, Any]
    base_url: str | None

    def __init__(
        self,
        value: str | Mapping[str, str] | None,
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
        params: Iterable[tuple[str, Any]] = (),
    ) -> None:
        set_field = object.__setattr__
        kept = dict(value) if isinstance(value, Mapping) else value
        set_field(self, "_Token__value", lambda: kept)
        set_field(self, "_Token__scheme", scheme)
        set_field(self, "_Token__header", header)
        set_field(self, "_Token__renew", renew)
        set_field(self, "_Token__params", tuple(params))
        set_field(self, "profile", profile)
        set_field(self, "provider", provider)
        set_field(self, "obtained_at", obtained_at)
        set_field(self, "expires_at", expires_at)
        set_field(self, "metadata", MappingProxyType(dict(metadata or {})))
        set_field(self, "base_url", base_url)

    def reveal(self, field: str = _SINGLE) -> str:
        """Return the value as a string. Prefer `auth` or `headers()` where they fit.

        Parameters
        ----------
        field : str, optional
            Name of the value, for a token with several values.

        Raises
        ------
        NoValue
            If the API never returns the value (Astra Control's stored tokens).
        ParameterError
            If the token has several values and `field` is not the name of one of them, or if the token has a single
            value and `field` is given.
        """
        value = self.__values().get(field)
        if value is None:
            self._check_value()
            raise self._field_error(field)
        return value

    def values(self) -> dict[str, str]:
        """Return all values by field name. The field name of a single value is the empty string.

        Raises
        ------
        NoValue
            If the API never returns the value.
        """
        self._check_value()
        return dict(self.__values())

    def __values(self) -> dict[str, str]:
        value = self.__value()
        return value if isinstance(value, dict) else {} if value is None else {_SINGLE: value}

    def _check_value(self) -> None:
        if not self.has_value:
            raise NoValue(
                "This API describes a stored token but never returns its value.",
                hint="Read .metadata, or create a new token: create_token(profile, name=…).",
                provider=self.provider,
                profile=self.profile,
            )

    def _field_error(self, field: str) -> ParameterError:
        names = self.fields
        if not names:
            problem, hint = f"This token has a single value, and no field {field[:80]!r}.", "Omit the field name."
        else:
            missing = f"This token has no field {field[:80]!r}. " if field else ""
            problem = f"{missing}This token has {len(names)} values that belong together: {', '.join(names)}."
            hint = f"Name one value, as in reveal({names[-1]!r}), or map each value to a variable in the profile's env."
        return ParameterError(problem, hint=hint, provider=self.provider, profile=self.profile)

    @property
    def fields(self) -> tuple[str, ...]:
        """The field names of a token with several values, as the API spells them; empty for a single value."""
        return tuple(name for name in self.__values() if name)

    @property
    def has_value(self) -> bool:
        """Whether the token has a value that can be revealed."""
        return bool(self.__values())

    @property
    def expires_in(self) -> float | None:
        """Seconds until the token expires, 0 if it has expired; None if no expiry is known."""
        return None if self.expires_at is None else max(0.0, self.expires_at.timestamp() - SystemClock().now())

    @property
    def is_expired(self) -> bool:
        """Whether the token has expired; False if no expiry is known."""
        return self.expires_in == 0

    def headers(self) -> dict[str, str]:
        """Return the HTTP headers that authorise a request. They contain the token's value: do not print them.

        Raises
        ------
        NoValue
            If the API never returns the value.
        ParameterError
            If the token has several values: they are used to sign requests, and do not fit into a header.
        """
        value = self.reveal()
        return {self.__header: f"{self.__scheme} {value}" if self.__scheme else value}

    @property
    def auth(self) -> TokenAuth:
        """Authentication for httpx, httpx2 and requests: pass it as `auth=`.

        Each request gets a fresh token. After a 401, the request is sent once more, with a newer token, if its body can
        be sent again. A token from `create_token` cannot be renewed: it is sent as it is, and its `auth` cannot be
        pickled.

        A pickled `auth` contains only the profile's name and the parameters. The process that unpickles `auth` fetches
        its own token.
        """
        from .auth import TokenAuth  # noqa: PLC0415 (imports httpx)

        return TokenAuth(self.profile, dict(self.__params), self.__renew, self)

    def as_callable(self, field: str = _SINGLE) -> Callable[[], str]:
        """Return a function that returns the value of a fresh token: `OpenAI(api_key=token.as_callable())`.

        The function uses the cached token, and blocks only while a token is fetched. For `field` and the errors, see
        `reveal`.
        """
        self.reveal(field)  # an error is raised now instead of at the first call
        return lambda: self.__fresh().reveal(field)

    def as_async_callable(self, field: str = _SINGLE) -> Callable[[], Coroutine[Any, Any, str]]:
        """Return a coroutine function that returns the value of a fresh token.

        For example `AsyncOpenAI(api_key=token.as_async_callable())`.

        A fetch runs on a thread and does not block the event loop. For `field` and the errors, see `reveal`.
        """
        self.reveal(field)

        async def value() -> str:
            from asyncio import to_thread  # noqa: PLC0415 (loaded wherever a loop runs)

            return (await to_thread(self.__fresh)).reveal(field)

        return value

    def __fresh(self) -> Token:
        return self if self.__renew is None else self.__renew(None)

    def renewed_by(self, renew: Callable[[Token | None], Token], params: Iterable[tuple[str, Any]] = ()) -> Token:
        """Return a copy of the token. Its `auth` and its callables call `renew` to get a fresh token.

        Parameters
        ----------
        renew : callable
            `renew(None)` returns a fresh token, and `renew(token)` a token newer than `token`.
        params : iterable
            Names and values of the call's parameters. With them, another process can fetch the token.
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
            params=params,
        )

    def _pickle_hint(self) -> str:
        if self.__renew is None:
            return ""
        return f" Send token.auth, which is pickled without its value, or a handle: issue_handle({self.profile!r})."

    def __repr__(self) -> str:
        # The "…" is on purpose: a header cannot contain it. So a request with the header f"Bearer {token}" fails
        # immediately in httpx and requests, instead of being sent and refused.
        until = f" until {self.expires_at:%Y-%m-%d %H:%M:%S}Z" if self.expires_at else ""
        return f"<Token {self.profile} …{until}>"
