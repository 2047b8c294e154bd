"""What a provider is: settings as traits, parameters as a table, and one sans-I/O flow from request to `Token`.

A flow is a generator: it yields `httpx.Request`s, already signed, is sent `httpx.Response`s and returns a `Token`. Who
drives it decides on sockets, time limits and retries. A retry runs the flow again from its start, so that every
request has a date and a nonce of its own.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from ipaddress import ip_address
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

import httpx
from traitlets import HasTraits, Unicode

from .._version import __version__
from ..clock import Clock, utc
from ..errors import TokenError
from ..token import Secret, Token
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
    "Setting",
    "SettingProblem",
    "bodiless",
    "is_loopback",
    "is_url",
    "parsed_url",
]

_T = TypeVar("_T")
Driven = Generator[httpx.Request, httpx.Response, _T]
"""What a transport drives: requests out, answers in, and what becomes of them in the end."""
Flow = Generator[httpx.Request, httpx.Response, Token]
Exchange = Generator[httpx.Request, httpx.Response, httpx.Response]
"""The part of a flow that ends with the vendor's own answer, whatever that says."""


_REGION = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")

COMMON_HEADERS = {
    "User-Agent": f"jupyter_tokens/{__version__}",
    # A token's answer is small: compression would only open the door to a bomb.
    "Accept-Encoding": "identity",
}
"""What every request to a vendor says."""


@lru_cache(maxsize=512)
def parsed_url(url: str) -> httpx.URL:
    """A URL, parsed once: refreshes ask the same one again, and parsing costs as much as a signature."""
    return httpx.URL(url)


def is_url(url: str) -> bool:
    """Whether a request can go there: `urlsplit` takes hosts that no name service knows, such as "xn--a"."""
    try:
        return bool(parsed_url(url).host)
    except (httpx.InvalidURL, ValueError):
        return False


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine by name or address."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class SettingProblem(ValueError):
    """A setting is wrong or missing.

    Attributes
    ----------
    key : str
        The setting.
    problem : str
        What is wrong, as the rest of a sentence that begins with the key.
    missing : bool
        True if the setting has to be given.
    alternatives : tuple of str
        Settings of which one can be given in its place.
    """

    def __init__(
        self, key: str, problem: str = "", *, missing: bool = False, alternatives: tuple[str, ...] = ()
    ) -> None:
        if missing:
            problem = "is missing" + (f" (or give {' or '.join(alternatives)})" if alternatives else "")
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem
        self.missing = missing
        self.alternatives = alternatives


class Setting(Unicode):  # type: ignore[type-arg]
    """A text that says where or as whom. Empty means not given."""

    def __init__(self, help: str, *, choices: tuple[str, ...] = (), default: str = "") -> None:  # noqa: A002 (traitlets' word)
        super().__init__(default, help=help)
        self.choices = choices

    def validate(self, obj: Any, value: Any) -> str:
        """See `traitlets.TraitType`; the text of the error is for a person who edits a configuration."""
        if not isinstance(value, str):
            raise SettingProblem(self.name or "", f"must be text, not {type(value).__name__}")
        if self.choices and value not in self.choices:
            raise SettingProblem(self.name or "", f"must be one of {', '.join(self.choices)}")
        return value

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""
        schema: dict[str, Any] = {"type": "string", "description": self.help}
        if self.choices:
            schema["enum"] = list(self.choices)
        if self.default_value:
            schema["default"] = self.default_value
        return schema


class Endpoint(Setting):
    """A base URL: https, or http on loopback only; the check is `profiles`', which knows the file to name."""

    def schema(self) -> dict[str, Any]:
        """See `Setting.schema`."""
        return {**super().schema(), "format": "uri"}


class Reference(Setting):
    """A setting that may be a secret reference; `secret` tells whether a literal has to be protected."""

    def __init__(self, help: str, *, secret: bool) -> None:  # noqa: A002 (traitlets' word)
        super().__init__(help)
        self.secret = secret

    def schema(self) -> dict[str, Any]:
        """See `Setting.schema`; a secret is written, and never read back."""
        return {**super().schema(), **({"writeOnly": True} if self.secret else {})}


class Program(Reference):
    """A program and its arguments: read like a `command:` reference, so `credential` gets what the program prints."""

    def __init__(self, help: str) -> None:  # noqa: A002 (traitlets' word)
        # The command itself is no secret; what it prints is.
        super().__init__(help, secret=False)


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
    arrays : the parameters that stand in the query as NAME.1, NAME.2 and so on.
    """

    method: str
    path: str
    query: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] | None = None
    dropped: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()


class Provider(HasTraits):
    """One vendor's token API. Subclasses are complete descriptions: settings, parameters, flow, errors."""

    id: ClassVar[str]
    """Its name in profiles."""
    title: ClassVar[str]
    """Its name for people."""
    documentation: ClassVar[str]
    """The title of the vendor's page that it follows."""
    params: ClassVar[Mapping[str, Param]] = {}
    """What a call may say, by the vendor's names."""
    create_params: ClassVar[Mapping[str, Param]] = {}
    """What creating a token takes beyond `params`, where the API has such a call."""
    scheme: ClassVar[str] = "Bearer"
    """The authorisation scheme under which the token is used; empty if the header holds the token alone."""
    header: ClassVar[str] = "Authorization"
    """The HTTP header that a request sends the token in."""

    caches: ClassVar[bool] = False
    """Whether the vendor asks to cache the token: the proxy then answers from the cache."""

    endpoint = Endpoint("Base URL of the API.")

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """The settings by name."""
        return {name: trait for name, trait in cls.class_traits().items() if isinstance(trait, Setting)}

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON schemas of `settings`, `params` and `create_params`."""
        return {
            "settings": {name: trait.schema() for name, trait in cls.settings().items()},
            "params": params_schema(cls.params),
            "create_params": params_schema(
                {**cls.params, **cls.create_params} if cls.create is not Provider.create else {}
            ),
        }

    def check(self) -> None:
        """Looks at the settings together. Raises `SettingProblem`."""
        if not self.endpoint:
            raise SettingProblem("endpoint", missing=True)

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
            header=self.header,
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


def need(provider: Provider, *keys: str) -> None:
    """Raises `SettingProblem` for the first of `keys` that is not given."""
    for key in keys:
        if not getattr(provider, key):
            raise SettingProblem(key, missing=True)


def one_of(provider: Provider, *keys: str) -> str:
    """The one of `keys` that is given. Raises `SettingProblem` for none and for two."""
    given = [key for key in keys if getattr(provider, key)]
    if not given:
        raise SettingProblem(keys[0], missing=True, alternatives=keys[1:])
    if len(given) > 1:
        raise SettingProblem(given[1], f"and {given[0]} exclude each other")
    return given[0]


def endpoint_or_region(provider: Provider, region: str) -> None:
    """Raises `SettingProblem` unless there is an endpoint or a region that can be part of a host's name."""
    if not provider.endpoint and not region:
        raise SettingProblem("endpoint", missing=True, alternatives=("region",))
    if region and not _REGION.fullmatch(region):
        raise SettingProblem("region", "must be a region's id, such as eu-central-1")
