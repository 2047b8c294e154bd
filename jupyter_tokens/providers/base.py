"""The base class of providers. A provider has settings, parameters, and flows that call the API.

A flow is a generator without I/O. It yields `httpx.Request`s, is sent `httpx.Response`s and returns a result, usually a
`Token`. The transport runs the flow and handles sockets, time limits and retries. A retry creates a new flow, so that
every request has its own date and nonce.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, TypeVar

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
from .login import LoginInUse
from .params import Param, ParamValue, params_schema

__all__ = [
    "COMMON_HEADERS",
    "Call",
    "Documented",
    "Driven",
    "Endpoint",
    "Exchange",
    "Flow",
    "Listed",
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
"""A flow that returns any result."""
Flow = Generator[httpx.Request, httpx.Response, Token]
"""A flow that returns a token."""
Exchange = Generator[httpx.Request, httpx.Response, httpx.Response]
"""A flow that returns the API's own response, whether it is a success or a refusal."""


COMMON_HEADERS = {
    "User-Agent": f"jupyter_tokens/{__version__}",
    # Responses with tokens are small, so compression saves little; but it would allow a decompression bomb.
    "Accept-Encoding": "identity",
}
"""The headers of every request to an API."""


@dataclass(frozen=True, slots=True)
class Call:
    """The input of a flow.

    Attributes
    ----------
    profile : str
        The profile's name.
    params : Mapping
        The checked parameters of the call.
    credential : Any
        The result of `Provider.credential`.
    clock : Clock
        The clock for dates and expiry.
    path : str
        The path in `Documented` that a client of the proxy called; "" if the call does not come from the proxy.
    login : LoginInUse or None
        The person's login, if the provider `logs_in`.
    """

    profile: str
    params: Mapping[str, ParamValue]
    credential: Any
    clock: Clock
    path: str = ""
    login: LoginInUse | None = None


class Listed(NamedTuple):
    """One possible value of a parameter, from the API's list.

    Attributes
    ----------
    id : str
        The value.
    label : str
        Its display name or state.
    """

    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Documented:
    """The call of a token API as the vendor documents it; the proxy accepts this call and nothing else.

    Attributes
    ----------
    method : str
        The HTTP method.
    path : str
        The path, with `{name}` in place of each parameter.
    query : tuple of str
        The parameters in the query.
    headers : Mapping
        Headers, by lower-case name, with the only value that a client may send; a client may also leave them out.
    fixed : Mapping or None
        Fields with fixed values that the form or query must have in addition to the parameters; None if the API takes
        no form.
    dropped : tuple of str
        Fields of form or query for the client's own credential: the proxy accepts them, but does not send them on.
    others : tuple of str
        Other accepted paths, with the same parameters. `Call.path` is the path that the client called.
    arrays : tuple of str
        The list parameters in the query, sent as `NAME.1`, `NAME.2` and so on.
    """

    method: str
    path: str
    query: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] | None = None
    dropped: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()


class Provider:
    """Base class of providers. A subclass describes one token API: its settings, parameters, flow and errors."""

    id: ClassVar[str]
    """The name of the provider in profiles."""
    title: ClassVar[str]
    """The display name."""
    documentation: ClassVar[str]
    """The title of the vendor's page that the provider follows."""
    sign_in: ClassVar[tuple[SignIn, ...]] = ()
    """The ways to sign in, if there are several to choose from."""
    params: ClassVar[Mapping[str, Param]] = {}
    """The parameters of a call, by the vendor's names."""
    create_params: ClassVar[Mapping[str, Param]] = {}
    """Additional parameters of the call that creates a token, if the API has one."""
    lists: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The parameters whose values the API can list, each with the parameters that the listing call needs."""
    scheme: ClassVar[str] = "Bearer"
    """The authorisation scheme of the token: `Authorization: SCHEME …`. If empty, the header holds the token alone."""
    header: ClassVar[str] = "Authorization"
    """The HTTP header that a request sends the token in."""
    token_fields: Sequence[str] = ()
    """The names of a token's values, as the API spells them, if a token consists of several values.

    The names for an access key are in this order: id, secret, session token.
    """
    any_fields: ClassVar[bool] = False
    """Whether only the response shows whether a token has one value or several, and their names."""

    sdks: ClassVar[Mapping[str, str]] = {}
    """The SDKs that can use the tokens, by their names in `sdks.EXAMPLES`. The value is the path to append to `api_url`
    to get the SDK's base URL."""
    caches: ClassVar[bool] = False
    """Whether the vendor asks clients to cache the token; the proxy then answers from the cache."""

    endpoint = Endpoint("Base URL of the API.", example="https://api.example.com", required=True)

    def __init__(self, **settings: str) -> None:
        known = self.settings()
        for key, value in settings.items():
            if key not in known:
                raise TypeError(f"{type(self).__name__} has no setting {key!r}.")
            setattr(self, key, value)

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """Return the settings by name, in the order of their declaration, base classes first."""
        names = [name for kind in reversed(cls.__mro__) for name in vars(kind)]
        return {name: found for name in names if isinstance(found := getattr(cls, name), Setting)}

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Return JSON schemas of `settings`, `params` and `create_params`.

        `required` lists the settings that every profile must give, and `sign_in` describes the ways to sign in. A
        setting that only some profiles must give has `x-required-when`: it is required if one of the conditions holds.
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
            "params": cls._listed_in(params_schema(cls.params)),
            "create_params": params_schema(
                {**cls.params, **cls.create_params} if cls.create is not Provider.create else {}
            ),
        }

    @classmethod
    def _listed_in(cls, schema: dict[str, Any]) -> dict[str, Any]:
        """Add `x-listed-by` to each parameter in `lists`: the parameters that the listing call needs."""
        for name, needed in cls.lists.items():
            schema["properties"][name]["x-listed-by"] = list(needed)
        return schema

    @classmethod
    def _ways_of(cls, name: str) -> list[str]:
        return [way.id for way in cls.sign_in if name in (*way.required, *way.optional)]

    @classmethod
    def _required_when(cls, name: str, setting: Setting) -> list[dict[str, str]]:
        """Return the conditions under which a setting is required: any of them is enough, and {} always holds."""
        without = {"without": setting.unless} if setting.unless else {}
        if setting.required:
            return [without]
        return [{"sign_in": way.id, **without} for way in cls.sign_in if name in way.required]

    def check(self) -> None:
        """Check the settings together. Raises `SettingProblem`."""
        known = self.settings()
        self._need(*(name for name, setting in known.items() if setting.required))
        way = self.chosen_sign_in()
        if way is None:
            return
        self._need(*way.required)
        others = {name for other in self.sign_in for name in (*other.required, *other.optional)}
        for name, setting in known.items():
            if name in others.difference(way.required, way.optional) and getattr(self, name) != setting.default:
                raise SettingProblem(name, f"is not used with {' '.join(way.chosen_by or ('sign-in by', way.first))}")

    def chosen_sign_in(self) -> SignIn | None:
        """Return the way to sign in that the settings choose; None if `sign_in` is empty.

        Raises `SettingProblem` if the settings choose no way, or more than one.
        """
        chosen = {way.id: key for way in self.sign_in if (key := self._chooses(way))}
        if not self.sign_in:
            return None
        if not chosen:
            first, *others = dict.fromkeys(way.first for way in self.sign_in)
            raise SettingProblem(first, missing=True, alternatives=tuple(others), sign_in=self.sign_in)
        first, *others = chosen.values()
        if others:
            raise SettingProblem(others[0], f"and {first} cannot both be given")
        return next(way for way in self.sign_in if way.id in chosen)

    def _chooses(self, way: SignIn) -> str:
        """Return the setting by which this profile chooses `way`, or "" if it does not choose it."""
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
        """Return the credential for a flow, from the resolved references.

        May block: it can read files or run a vendor's credential chain.
        """
        raise NotImplementedError

    @property
    def logs_in(self) -> bool:
        """Whether a person has to log in. If so, `Call.login` is set."""
        return False

    def identity(self, secrets: Mapping[str, Secret], credential: Any) -> Any:
        """Return what identifies the credential. Processes with the same identity share tokens.

        The result may consist of strings, numbers, `Secret`s, and mappings, tuples and dataclasses of these. Dataclass
        fields with `compare=False` are ignored. None, or a result with any other type in it, means that the token is
        not shared. A part that differs from process to process prevents sharing. A missing part would mix up the tokens
        of different accounts.
        """
        return secrets, credential

    def retrieve(self, call: Call) -> Flow:
        """Return the flow that fetches a token."""
        raise NotImplementedError

    @cached_property
    def documented(self) -> Documented | None:
        """The call as the vendor documents it; None if the API is not available through the proxy."""
        return None

    def exchange(self, call: Call) -> Exchange:
        """Return the flow that makes the documented call, for the proxy; it returns the API's own response.

        The flow raises `TokenError` if it cannot make the call, for example after a refused login.
        """
        raise TokenError(f"{self.title} cannot be reached through the proxy.", unsent=True)

    def answer(self, token: Token, now: float) -> dict[str, Any]:
        """Return the response that the API would give for this token at `now`. Only called if `caches` is true."""
        raise TokenError(f"{self.title} does not ask to cache its tokens.", unsent=True)

    def create(self, call: Call) -> Flow:
        """Return the flow that creates a new token, if the API has such a call. It is not idempotent."""
        raise TokenError(f"Provider {self.id!r} cannot create tokens, only fetch them.", unsent=True)

    def list_values(self, call: Call, name: str) -> Driven[list[Listed]]:
        """Return the flow that lists the values of a parameter in `lists`. It fetches only the first page."""
        raise TokenError(f"{self.title} has no call that lists {name}.", unsent=True)

    def base(self) -> str:
        """Return the endpoint without a slash at its end."""
        return str(self.endpoint).rstrip("/")

    def api_url(self) -> str | None:
        """Return the base URL of the API that the tokens are for; None if the profile has none."""
        return self.base() or None

    @cached_property
    def sandbox(self) -> bool:
        """Whether the endpoint is on loopback."""
        return is_loopback(self.base())

    def issued(
        self,
        call: Call,
        value: str | Mapping[str, str] | None,
        asked: float,
        expires_at: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Token:
        """Make the token that a flow returns.

        Parameters
        ----------
        call : Call
            The input of the flow.
        value : str, Mapping or None
            The token's value, or its values by their names in `token_fields`; None if the API does not return it.
        asked : float
            When the call began, in seconds since the epoch.
        expires_at : datetime, optional
            When the token expires, if the API reports it.
        metadata : Mapping, optional
            Other facts from the response; secrets only as `Secret`.
        """
        return Token(
            value,
            profile=call.profile,
            provider=self.id,
            obtained_at=utc(asked),
            expires_at=expires_at,
            scheme=self.scheme,
            header=self.header,
            metadata=metadata,
            base_url=self.api_url(),
        )


def bodiless(method: str, url: httpx.URL, headers: Mapping[str, str]) -> httpx.Request:
    """Return a request without a body; `headers` must include the host.

    The request is built from a stream, so that httpx does not work out headers for a body. That saves 5 % of a cold
    call.
    """
    length = {} if method == "GET" else {"Content-Length": "0"}
    request = httpx.Request(method, url, headers={**headers, **length}, stream=httpx.ByteStream(b""))
    request.read()
    return request
