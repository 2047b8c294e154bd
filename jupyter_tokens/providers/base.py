"""The base class of providers: settings as traits, parameters as a table, and a flow from request to `Token`.

A flow is a generator without I/O. It yields signed `httpx.Request`s, is sent `httpx.Response`s and returns a `Token`.
The transport that runs it handles sockets, time limits and retries. A retry runs the flow again from its start, so that
every request has its own date and nonce.
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
"""A generator that a transport runs: it yields requests, is sent responses, and returns a result."""
Flow = Generator[httpx.Request, httpx.Response, Token]
Exchange = Generator[httpx.Request, httpx.Response, httpx.Response]
"""The part of a flow that returns the API's own response, whether it is a success or a refusal."""


_REGION = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")

COMMON_HEADERS = {
    "User-Agent": f"jupyter_tokens/{__version__}",
    # Responses with tokens are small: compression would only allow a decompression bomb.
    "Accept-Encoding": "identity",
}
"""The headers of every request to an API."""


@lru_cache(maxsize=512)
def parsed_url(url: str) -> httpx.URL:
    """Parse a URL, cached: refreshes use the same one again, and parsing costs as much as a signature."""
    return httpx.URL(url)


def is_url(url: str) -> bool:
    """Whether a request can be sent to a URL: `urlsplit` accepts hosts that cannot exist, such as "xn--a"."""
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
        Settings that can be given instead, one of them.
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
    """A string setting of a provider, such as an endpoint or an id. Empty means not given."""

    def __init__(self, help: str, *, choices: tuple[str, ...] = (), default: str = "") -> None:  # noqa: A002 (traitlets' word)
        super().__init__(default, help=help)
        self.choices = choices

    def validate(self, obj: Any, value: Any) -> str:
        """Check type and choices. Raises `SettingProblem` with a message for the person who edits the configuration."""
        if not isinstance(value, str):
            raise SettingProblem(self.name or "", f"must be a string, not {type(value).__name__}")
        if self.choices and value not in self.choices:
            raise SettingProblem(self.name or "", f"must be one of {', '.join(self.choices)}")
        return value

    def schema(self) -> dict[str, Any]:
        """Return the setting as JSON schema."""
        schema: dict[str, Any] = {"type": "string", "description": self.help}
        if self.choices:
            schema["enum"] = list(self.choices)
        if self.default_value:
            schema["default"] = self.default_value
        return schema


class Endpoint(Setting):
    """A base URL: https, or http on loopback only. `config.profiles` checks it, because its error names the file."""

    def schema(self) -> dict[str, Any]:
        """Return the setting as JSON schema, with `"format": "uri"`."""
        return {**super().schema(), "format": "uri"}


class Reference(Setting):
    """A setting that may be a secret reference; with `secret=True` a literal value must be protected."""

    def __init__(self, help: str, *, secret: bool) -> None:  # noqa: A002 (traitlets' word)
        super().__init__(help)
        self.secret = secret

    def schema(self) -> dict[str, Any]:
        """Return the setting as JSON schema; a secret is `writeOnly`."""
        return {**super().schema(), **({"writeOnly": True} if self.secret else {})}


class Program(Reference):
    """A program and its arguments, read like a `command:` reference: `credential` gets what the program prints."""

    def __init__(self, help: str) -> None:  # noqa: A002 (traitlets' word)
        # The command itself is not secret, but its output is.
        super().__init__(help, secret=False)


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
        The `Documented` path that a client of the proxy called; "" if the provider chooses.
    """

    profile: str
    params: Mapping[str, ParamValue]
    credential: Any
    clock: Clock
    path: str = ""


@dataclass(frozen=True, slots=True)
class Documented:
    """The call of a token API as the vendor documents it; the proxy accepts this call and nothing else.

    Attributes
    ----------
    method : str
        The HTTP method.
    path : str
        The path, with `{name}` for each parameter in it.
    query : tuple of str
        The parameters in the query.
    headers : Mapping
        Values that these headers (lower-case names) must have if a client sends them.
    fixed : Mapping or None
        Values that form or query must have in addition to the parameters; None if the API takes no form.
    dropped : tuple of str
        Fields with the client's own credential in form or query: they are accepted, but not sent on.
    others : tuple of str
        Other paths with the same parameters; `Call.path` is the one that a client called.
    """

    method: str
    path: str
    query: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] | None = None
    dropped: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class Provider(HasTraits):
    """Base class of providers. A subclass describes one token API: its settings, parameters, flow and errors."""

    id: ClassVar[str]
    """The name of the provider in profiles."""
    title: ClassVar[str]
    """The display name."""
    documentation: ClassVar[str]
    """The title of the vendor's page that documents the API."""
    params: ClassVar[Mapping[str, Param]] = {}
    """The parameters of a call, by the vendor's names."""
    create_params: ClassVar[Mapping[str, Param]] = {}
    """Additional parameters of the call that creates a token, if the API has one."""
    scheme: ClassVar[str] = "Bearer"
    """The authorisation scheme of the token: `Authorization: SCHEME …`."""

    caches: ClassVar[bool] = False
    """Whether the vendor asks clients to cache the token; the proxy then answers from the cache."""

    endpoint = Endpoint("Base URL of the API.")

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """Return the settings by name."""
        return {name: trait for name, trait in cls.class_traits().items() if isinstance(trait, Setting)}

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Return the JSON schemas of `settings`, `params` and `create_params`."""
        return {
            "settings": {name: trait.schema() for name, trait in cls.settings().items()},
            "params": params_schema(cls.params),
            "create_params": params_schema(
                {**cls.params, **cls.create_params} if cls.create is not Provider.create else {}
            ),
        }

    def check(self) -> None:
        """Check the settings together. Raises `SettingProblem`."""
        if not self.endpoint:
            raise SettingProblem("endpoint", missing=True)

    def credential(self, secrets: Mapping[str, Secret]) -> Any:
        """Return the credential of a flow, from the resolved references. May block, and read files or a chain."""
        raise NotImplementedError

    def retrieve(self, call: Call) -> Flow:
        """Return the flow that fetches a token."""
        raise NotImplementedError

    @cached_property
    def documented(self) -> Documented | None:
        """The call as the vendor documents it; None if the API is not available through the proxy."""
        return None

    def exchange(self, call: Call) -> Exchange:
        """Return the part of `retrieve` up to the API's response. It raises if a necessary login is refused."""
        raise TokenError(f"{self.title} cannot be reached through the proxy.", unsent=True)

    def answer(self, token: Token, now: float) -> dict[str, Any]:
        """Return the response that the API would give with this token now, if `caches` is true."""
        raise TokenError(f"{self.title} does not ask to cache its tokens.", unsent=True)

    def create(self, call: Call) -> Flow:
        """Return the flow that creates a new token, if the API has such a call. It is not idempotent."""
        raise TokenError(f"{self.title} has no call that creates a token.", unsent=True)

    def base(self) -> str:
        """Return the endpoint without a slash at its end."""
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
        """Make the token that a flow returns.

        Parameters
        ----------
        call : Call
            The input of the flow.
        value : str or None
            The token's value; None if the API does not return it.
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
            metadata=metadata,
        )


def bodiless(method: str, url: httpx.URL, headers: Mapping[str, str]) -> httpx.Request:
    """Return a request without a body; `headers` must include the host.

    It is made from a stream, so that httpx does not look for the headers of a body: that saves 5 % of a cold call.
    """
    length = {} if method == "GET" else {"Content-Length": "0"}
    request = httpx.Request(method, url, headers={**headers, **length}, stream=httpx.ByteStream(b""))
    request.read()
    return request


def need(provider: Provider, *keys: str) -> None:
    """Raise `SettingProblem` for the first of `keys` that is not given."""
    for key in keys:
        if not getattr(provider, key):
            raise SettingProblem(key, missing=True)


def endpoint_or_region(provider: Provider, region: str) -> None:
    """Raise `SettingProblem` unless there is an endpoint, or a region that is valid in a host name."""
    if not provider.endpoint and not region:
        raise SettingProblem("endpoint", missing=True, alternatives=("region",))
    if region and not _REGION.fullmatch(region):
        raise SettingProblem("region", "must be a region's id, such as eu-central-1")
