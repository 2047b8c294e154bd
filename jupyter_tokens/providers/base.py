"""What a provider is: settings as attributes, parameters as a table, and one sans-I/O flow from request to `Token`.

A flow is a generator: it yields `httpx.Request`s, already signed, is sent `httpx.Response`s and returns a `Token`. Who
drives it decides on sockets, time limits and retries. A retry runs the flow again from its start, so that every
request has a date and a nonce of its own.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import httpx

from .._version import __version__
from ..clock import Clock, utc
from ..errors import TokenError
from ..token import Secret, Token
from .fields import (
    Endpoint,
    Program,
    Reference,
    Region,
    Setting,
    SettingProblem,
    SignIn,
    is_loopback,
    parsed_url,
)
from .params import Param, ParamValue, params_schema

__all__ = [
    "COMMON_HEADERS",
    "Call",
    "Documented",
    "Driven",
    "Endpoint",
    "Exchange",
    "Flow",
    "Program",
    "Provider",
    "Reference",
    "Region",
    "Setting",
    "SettingProblem",
    "SignIn",
    "bodiless",
    "parsed_url",
]

_T = TypeVar("_T")
Driven = Generator[httpx.Request, httpx.Response, _T]
"""What a transport drives: requests out, answers in, and what becomes of them in the end."""
Flow = Generator[httpx.Request, httpx.Response, Token]
Exchange = Generator[httpx.Request, httpx.Response, httpx.Response]
"""The part of a flow that ends with the vendor's own answer, whatever that says."""


COMMON_HEADERS = {
    "User-Agent": f"jupyter_tokens/{__version__}",
    # A token's answer is small: compression would only open the door to a bomb.
    "Accept-Encoding": "identity",
}
"""What every request to a vendor says."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a flow is given: whose call it is, with which parameters and credential, at what time.

    credential : what `Provider.credential` made.
    path : the `Documented` path that a client of the proxy called; empty where the provider chooses.
    """

    profile: str
    params: Mapping[str, ParamValue]
    credential: Any
    clock: Clock
    path: str = ""


@dataclass(frozen=True, slots=True)
class Documented:
    """The call of a token API as the vendor documents it, for the proxy that takes it and nothing else.

    path : with `{name}` where a parameter stands. query : the parameters that stand in the query.
    others : further paths that take the same parameters; `Call.path` says which one a client called.
    headers : by lower-case names, what they must say where a client sends them.
    fixed : what form or query must say beside the parameters; None for an API that takes no form.
    dropped : the client's own credential in form or query, which is taken and never sent on.
    """

    method: str
    path: str
    query: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] | None = None
    dropped: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class Provider:
    """One vendor's token API. Subclasses are complete descriptions: settings, parameters, flow, errors."""

    id: ClassVar[str]
    """Its name in profiles."""
    title: ClassVar[str]
    """Its name for people."""
    documentation: ClassVar[str]
    """The title of the vendor's page that it follows."""
    sign_in: ClassVar[tuple[SignIn, ...]] = ()
    """The ways to sign in, where there are several to choose from."""
    params: ClassVar[Mapping[str, Param]] = {}
    """What a call may say, by the vendor's names."""
    create_params: ClassVar[Mapping[str, Param]] = {}
    """What creating a token takes beyond `params`, where the API has such a call."""
    scheme: ClassVar[str] = "Bearer"
    """The authorisation scheme under which the token is used."""

    caches: ClassVar[bool] = False
    """Whether the vendor asks to cache the token: the proxy then answers from the cache."""

    endpoint = Endpoint("Base URL of the API.", example="https://api.example.com", required=True)

    def __init__(self, **settings: str) -> None:
        known = self.settings()
        for key, value in settings.items():
            if key not in known:
                raise TypeError(f"{type(self).__name__} has no setting {key!r}.")
            setattr(self, key, value)

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """The settings by name, as they are declared: those of the base classes first."""
        names = [name for kind in reversed(cls.__mro__) for name in vars(kind)]
        return {name: found for name in names if isinstance(found := getattr(cls, name), Setting)}

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON schemas of `settings`, `params` and `create_params`.

        `required` names the settings that every profile gives, and `sign_in` describes the ways to sign in. A setting
        that some profiles must give says when: it is required if one of the conditions in `x-required-when` holds.
        """
        conditions = {name: cls._required_when(name, setting) for name, setting in cls.settings().items()}
        return {
            "settings": {
                name: {
                    **setting.schema(),
                    **({"x-sign-in": ways} if (ways := cls._ways_of(name)) else {}),
                    **({"x-required-when": needed} if (needed := conditions[name]) and {} not in needed else {}),
                }
                for name, setting in cls.settings().items()
            },
            "required": [name for name, needed in conditions.items() if {} in needed],
            "sign_in": [way.schema() for way in cls.sign_in],
            "params": params_schema(cls.params),
            "create_params": params_schema(
                {**cls.params, **cls.create_params} if cls.create is not Provider.create else {}
            ),
        }

    @classmethod
    def _ways_of(cls, name: str) -> list[str]:
        return [way.id for way in cls.sign_in if name in (*way.required, *way.optional)]

    @classmethod
    def _required_when(cls, name: str, setting: Setting) -> list[dict[str, str]]:
        """The conditions of which one has to hold; an empty one always does."""
        without = {"without": setting.unless} if setting.unless else {}
        if setting.required:
            return [without]
        return [{"sign_in": way.id, **without} for way in cls.sign_in if name in way.required]

    def check(self) -> None:
        """Looks at the settings together. Raises `SettingProblem`."""
        known = self.settings()
        self._need(*(name for name, setting in known.items() if setting.required))
        way = self.chosen_sign_in()
        if way is None:
            return
        self._need(*way.required)
        others = {name for other in self.sign_in for name in (*other.required, *other.optional)}
        for name, setting in known.items():
            if name in others.difference(way.required, way.optional) and getattr(self, name) != setting.default:
                raise SettingProblem(name, f"is not for {' '.join(way.chosen_by or ('sign-in by', way.first))}")

    def chosen_sign_in(self) -> SignIn | None:
        """The way to sign in that the settings choose; None where there is no choice. Raises `SettingProblem`."""
        chosen = {way.id: key for way in self.sign_in if (key := self._chooses(way))}
        if not self.sign_in:
            return None
        if not chosen:
            first, *others = dict.fromkeys(way.first for way in self.sign_in)
            raise SettingProblem(first, missing=True, alternatives=tuple(others), sign_in=self.sign_in)
        first, *others = chosen.values()
        if others:
            raise SettingProblem(others[0], f"and {first} exclude each other")
        return next(way for way in self.sign_in if way.id in chosen)

    def _chooses(self, way: SignIn) -> str:
        """The setting by which this profile chooses a way to sign in, or ""."""
        if way.chosen_by:
            key, value = way.chosen_by
            return key if getattr(self, key) == value else ""
        own = (name for name in way.required if self._ways_of(name) == [way.id])
        return next((name for name in own if getattr(self, name)), "")

    def _need(self, *names: str) -> None:
        for name in names:
            unless = self.settings()[name].unless
            if not getattr(self, name) and not (unless and getattr(self, unless)):
                raise SettingProblem(name, missing=True, alternatives=(unless,) if unless else ())

    def credential(self, secrets: Mapping[str, Secret]) -> Any:
        """What a flow authenticates with, from the resolved references. May block, and read files or a chain."""
        raise NotImplementedError

    def retrieve(self, call: Call) -> Flow:
        """The flow that gets a token."""
        raise NotImplementedError

    @cached_property
    def documented(self) -> Documented | None:
        """The call as the vendor documents it, or None: then nothing of this API can be reached through the proxy."""
        return None

    def exchange(self, call: Call) -> Exchange:
        """The part of `retrieve` up to the vendor's answer. Raises where a login that the call needs is refused."""
        raise TokenError(f"{self.title} cannot be reached through the proxy.", unsent=True)

    def answer(self, token: Token, now: float) -> dict[str, Any]:
        """The vendor's answer that holds this token at this time, where `caches` is true."""
        raise TokenError(f"{self.title} does not ask to cache its tokens.", unsent=True)

    def create(self, call: Call) -> Flow:
        """The flow that creates a new token, where the API has such a call. Not idempotent."""
        raise TokenError(f"{self.title} has no call that creates a token.", unsent=True)

    def base(self) -> str:
        """The endpoint without a slash at its end."""
        return str(self.endpoint).rstrip("/")

    @cached_property
    def sandbox(self) -> bool:
        """Whether the endpoint is on loopback."""
        return is_loopback(self.base())

    def issued(
        self,
        call: Call,
        value: str | None,
        asked: float,
        expires_at: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Token:
        """The token that a flow returns.

        value : None if the API does not return it. asked : when the call began, seconds since the epoch.
        """
        return Token(
            value,
            profile=call.profile,
            provider=self.id,
            obtained_at=utc(asked),
            expires_at=expires_at,
            scheme=self.scheme,
            metadata=metadata,
        )


def bodiless(method: str, url: httpx.URL, headers: Mapping[str, str]) -> httpx.Request:
    """A request without a body, whose headers name its host.

    Made of a stream, which spares httpx the search for what headers a body would need: a twentieth of a cold call.
    """
    length = {} if method == "GET" else {"Content-Length": "0"}
    request = httpx.Request(method, url, headers={**headers, **length}, stream=httpx.ByteStream(b""))
    request.read()
    return request
