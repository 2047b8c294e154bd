"""The base class of providers. A provider has settings, parameters, and flows that call the API.

A flow is a generator without I/O. It yields `httpx.Request`s, is sent `httpx.Response`s and returns a result, usually a
`Token`. The transport runs the flow and handles sockets, time limits and retries. A retry creates a new flow, so that
every request has its own date and nonce.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, TypeVar

import httpx

from .._util.loopback import is_loopback
from .._version import __version__
from ..clock import Clock, utc
from ..errors import ApiError, TokenError
from ..token import Secret, Token
from .answers import Meaning, json_object, refusal, require_list, require_str, try_json_object
from .fields import (
    Endpoint,
    Program,
    Reference,
    Region,
    Setting,
    SettingProblem,
    SignIn,
    parsed_url,
)
from .login import LoginInUse
from .params import Param, ParamValue, params_schema
from .regions import Hosts

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
    "RegionalProvider",
    "Setting",
    "SettingProblem",
    "SignIn",
    "parse_list",
    "parsed_url",
    "raw_request",
]

_T = TypeVar("_T")
Driven = Generator[httpx.Request, httpx.Response, _T]
"""A flow that returns a result of any type."""
Flow = Generator[httpx.Request, httpx.Response, Token]
"""A flow that returns a token."""
Exchange = Generator[httpx.Request, httpx.Response, httpx.Response]
"""A flow that returns the API's own response, whether it is a success or a refusal."""


COMMON_HEADERS = {
    "User-Agent": f"jupyter_tokens/{__version__}",
    # Responses with tokens are small: compression would save little, and would allow a decompression bomb.
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
        The person's login, if `Provider.logs_in`; None in the flows that log a person in or out.
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
        Its name or description, and its state, for display; "" if the API reports neither.
    """

    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Documented:
    """The call of a token API as the vendor documents it. The proxy accepts only calls of this form.

    Attributes
    ----------
    method : str
        The HTTP method.
    path : str
        The path, with `{name}` in place of each parameter that is part of it.
    query : tuple of str
        The parameters in the query, apart from those in `arrays`.
    headers : Mapping
        Headers by lower-case name, with the only value that the proxy accepts. A client may leave these headers out.
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
    """The page to read about the API: its title, or a description of it."""
    sign_in: ClassVar[tuple[SignIn, ...]] = ()
    """The ways to sign in, if there are several to choose from."""
    params: ClassVar[Mapping[str, Param]] = {}
    """The parameters of a call, by the vendor's names."""
    create_params: ClassVar[Mapping[str, Param]] = {}
    """Additional parameters of the call that creates a token, if the API has such a call."""
    meanings: ClassVar[Mapping[str, Meaning]] = {}
    """The meanings of the API's error codes. For any other code, the HTTP status decides which error is raised."""
    lists: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The parameters whose values the API can list, each with the parameters that the listing call needs."""
    scheme: ClassVar[str] = "Bearer"
    """The scheme before the token in the header: `Authorization: SCHEME …`. If empty, the header has only the token."""
    header: ClassVar[str] = "Authorization"
    """The HTTP header that a request sends the token in."""
    token_fields: Sequence[str] = ()
    """The names of a token's values, as the API spells them, if a token consists of several values.

    For an access key, the order of the names is: id, secret, session token.
    """
    any_fields: ClassVar[bool] = False
    """Whether the number of a token's values, and their names, are known only after the token has been fetched."""

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
    @cache
    def settings(cls) -> Mapping[str, Setting]:
        """Return the settings by name, in the order of their declaration, base classes first."""
        names = [name for kind in reversed(cls.__mro__) for name in vars(kind)]
        return MappingProxyType({name: found for name in names if isinstance(found := getattr(cls, name), Setting)})

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Return JSON schemas of `settings`, `params` and `create_params`.

        The schema of `create_params` contains all parameters of the call that creates a token, also those in `params`.
        Without such a call, it contains none.

        `required` lists the settings that every profile must give, and `sign_in` describes the ways to sign in. A
        setting that only some profiles must give has `x-required-when`, a list of conditions: the setting is required
        if any of them holds. A condition names a way to sign in (`sign_in`), a setting that is not given (`without`),
        or both. `x-sign-in` names the ways to sign in that use a setting. A parameter whose values the API can list has
        `x-listed-by`, the parameters that the listing call needs.
        """
        conditions = {name: cls._required_when(name, setting) for name, setting in cls.settings().items()}
        params = params_schema(cls.params)
        for name, listed_by in cls.lists.items():
            params["properties"][name]["x-listed-by"] = list(listed_by)
        return {
            "settings": {
                name: {
                    **setting.schema(),
                    **({"x-sign-in": ways} if (ways := cls._sign_in_ids(name)) else {}),
                    **({"x-required-when": needed} if (needed := conditions[name]) and {} not in needed else {}),
                }
                for name, setting in cls.settings().items()
            },
            "required": [name for name, needed in conditions.items() if {} in needed],
            "sign_in": [way.schema() for way in cls.sign_in],
            "params": params,
            "create_params": params_schema(
                {**cls.params, **cls.create_params} if cls.create is not Provider.create else {}
            ),
        }

    @classmethod
    def _sign_in_ids(cls, name: str) -> list[str]:
        return [way.id for way in cls.sign_in if name in (*way.required, *way.optional)]

    @classmethod
    def _required_when(cls, name: str, setting: Setting) -> list[dict[str, str]]:
        """Return the conditions of `x-required-when` (see `schema`). The condition {} always holds."""
        without = {"without": setting.unless} if setting.unless else {}
        if setting.required:
            return [without]
        return [{"sign_in": way.id, **without} for way in cls.sign_in if name in way.required]

    def check(self) -> None:
        """Raise `SettingProblem` if a setting is missing, or if settings contradict each other."""
        known = self.settings()
        self._require(*(name for name, setting in known.items() if setting.required))
        way = self.chosen_sign_in()
        if way is None:
            return
        self._require(*way.required)
        others = {name for other in self.sign_in for name in (*other.required, *other.optional)}
        for name, setting in known.items():
            if name in others.difference(way.required, way.optional) and getattr(self, name) != setting.default:
                raise SettingProblem(
                    name, f"is not used with {' '.join(way.chosen_by or ('sign-in by', way.first))}: leave it out"
                )

    def chosen_sign_in(self) -> SignIn | None:
        """Return the way to sign in that the settings choose; None if `sign_in` is empty.

        Raises `SettingProblem` if the settings choose no way, or more than one.
        """
        if not self.sign_in:
            return None
        chosen = [(way, key) for way in self.sign_in if (key := self._chooses(way))]
        if not chosen:
            first, *others = dict.fromkeys(way.first for way in self.sign_in)
            raise SettingProblem(first, missing=True, alternatives=tuple(others), sign_in=self.sign_in)
        if len(chosen) > 1:
            raise SettingProblem(chosen[1][1], f"and {chosen[0][1]} cannot both be given")
        return chosen[0][0]

    def _chooses(self, way: SignIn) -> str:
        """Return the name of the setting by which this profile chooses `way`; "" if it does not choose `way`."""
        if way.chosen_by:
            key, value = way.chosen_by
            return key if getattr(self, key) == value else ""
        unique = (name for name in way.required if self._sign_in_ids(name) == [way.id])
        return next((name for name in unique if getattr(self, name)), "")

    def _require(self, *names: str) -> None:
        for name in names:
            unless = self.settings()[name].unless
            if not getattr(self, name) and not (unless and getattr(self, unless)):
                raise SettingProblem(name, missing=True, alternatives=(unless,) if unless else ())

    def credential(self, secrets: Mapping[str, Secret]) -> Any:
        """Return the credential for a flow. `secrets` are the values of the profile's references, by setting.

        May block: it can read files or run a vendor's credential chain.

        The caller removes secrets from error messages: those in `secrets`, and each `Secret` in the credential. The
        credential can be a `Secret`, or a mapping or dataclass with a `Secret` at any depth. Tuples and lists are not
        searched.
        """
        raise NotImplementedError

    @property
    def logs_in(self) -> bool:
        """Whether a person has to log in before a token can be fetched. The flow gets the login as `Call.login`."""
        return False

    def identity(self, secrets: Mapping[str, Secret], credential: Any) -> Any:
        """Return what identifies the credential. Processes with the same identity share tokens.

        The result may consist of strings, numbers, None, `Secret`s, and mappings, lists, tuples and dataclasses of
        these. Dataclass fields with `compare=False` are ignored. If the whole result is None, or has a part of any
        other type, the token is not shared. The result must be the same in all processes, otherwise nothing is shared,
        and must differ from account to account, otherwise one account gets the token of another.
        """
        return secrets, credential

    def retrieve(self, call: Call) -> Flow:
        """Return the flow that fetches a token."""
        raise NotImplementedError

    @property
    def documented(self) -> Documented | None:
        """The call as the vendor documents it; None if the API is not available through the proxy."""
        return None

    def exchange(self, call: Call) -> Exchange:
        """Return the flow that makes the documented call for the proxy. The flow returns the API's own response.

        Raises `TokenError` if the API is not available through the proxy. The flow raises `TokenError` if it cannot
        make the call, for example after a refused login.
        """
        raise TokenError(f"{self.title} cannot be reached through the proxy.", unsent=True)

    def answer(self, token: Token, now: float) -> dict[str, Any]:
        """Return the response that the API would give for this token at `now`. Called only if `caches` is true."""
        raise TokenError(f"{self.title} does not ask to cache its tokens.", unsent=True)

    def success_body(self, call: Call, response: httpx.Response, status: int = httpx.codes.OK) -> dict[str, Any]:
        """Return the body of a successful response, which must have this status and be a JSON object.

        Raises the error of `error_for` for any other status, and `ResponseError` if the body is not a JSON object.
        """
        if response.status_code != status:
            raise self.error_for(call, response)
        return json_object(response)

    def error_for(self, call: Call, response: httpx.Response) -> ApiError:
        """Return the error for a refused call. Raises `ResponseError` if the response is not a refusal."""
        body = try_json_object(response) or {}
        code, message = self.code_and_message(response, body)
        meanings = self.meanings_for(code, response.status_code)
        return refusal(response, now=call.clock.now(), body=body, code=code, message=message, meanings=meanings)

    def code_and_message(self, response: httpx.Response, body: Mapping[str, Any]) -> tuple[object, object]:
        """Return the code and the message of a refusal: `code` and `message` of its body, or of `error` in the body."""
        error = inner if isinstance(inner := body.get("error"), dict) else body
        return error.get("code"), error.get("message")

    def meanings_for(self, code: object, status: int) -> Mapping[str, Meaning]:
        """Return the meanings that apply to a refusal with this code and HTTP status."""
        return self.meanings

    def create(self, call: Call) -> Flow:
        """Return the flow that creates a new token. Each run of the flow creates another token.

        Raises `TokenError` if the API has no call that creates tokens.
        """
        raise TokenError(f"Provider {self.id!r} cannot create tokens, only fetch them.", unsent=True)

    def list_values(self, call: Call, name: str) -> Driven[list[Listed]]:
        """Return the flow that lists the values of a parameter in `lists`. Only the API's first page is fetched.

        Raises `TokenError` if the API cannot list the parameter's values.
        """
        raise TokenError(f"{self.title} has no call that lists {name}.", unsent=True)

    def base(self) -> str:
        """Return the endpoint without a slash at its end."""
        return str(self.endpoint).rstrip("/")

    def api_url(self) -> str | None:
        """Return the base URL of the API that the tokens are for; None if the profile does not give it."""
        return self.base() or None

    @cached_property
    def sandbox(self) -> bool:
        """Whether the endpoint is on loopback."""
        return is_loopback(self.base())

    def make_token(
        self,
        call: Call,
        value: str | Mapping[str, str] | None,
        requested_at: float,
        expires_at: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Token:
        """Make the token that a flow returns.

        Parameters
        ----------
        call : Call
            The input of the flow.
        value : str, Mapping or None
            The token's value, or its several values by name; None if the API does not return the value.
        requested_at : float
            When the call began, in seconds since the epoch.
        expires_at : datetime, optional
            When the token expires; None if the expiry is not known.
        metadata : Mapping, optional
            Other facts from the response; secrets only as `Secret`.
        """
        return Token(
            value,
            profile=call.profile,
            provider=self.id,
            obtained_at=utc(requested_at),
            expires_at=expires_at,
            scheme=self.scheme,
            header=self.header,
            metadata=metadata,
            base_url=self.api_url(),
        )


class RegionalProvider(Provider):
    """Base class of providers whose API has known endpoints in regions."""

    hosts: ClassVar[Hosts]
    """The endpoints of the API by region."""

    endpoint = Endpoint("Base URL of the API.", example="https://api.example.com", required=True, unless="region")
    region = Region("Region id; selects the API's endpoint there.")

    def check(self) -> None:
        """Check the settings as `Provider.check` does. Without `endpoint`, the region must have a known endpoint."""
        super().check()
        self.base()

    def base(self) -> str:
        """Return the endpoint, or else the region's endpoint, without a slash at its end."""
        return super().base() or f"https://{self.host()}"

    def host(self) -> str:
        """Return the host in the profile's region. Raises `SettingProblem` if no host is known there."""
        return self.hosts.host(self.region)


def parse_list(response: httpx.Response, body: Mapping[str, Any], field: str, key: str, *labels: str) -> list[Listed]:
    """Return the entries of the list in the body's `field`.

    `key` is the name of the field with an entry's id. `labels` are the names of the fields that make up its label;
    empty fields are left out. Raises `ResponseError` if `field` is not a list of objects, or if an entry has no id.
    """
    return [
        Listed(require_str(response, entry, key), ", ".join(str(entry[name]) for name in labels if entry.get(name)))
        for entry in require_list(response, body, field)
    ]


def raw_request(method: str, url: httpx.URL, headers: Mapping[str, str], body: bytes = b"") -> httpx.Request:
    """Return a request; `headers` must include the host.

    The request is built from a stream, so that httpx does not compute headers for a body. This saves 5 % of the time of
    a call.
    """
    length = {} if method == "GET" else {"Content-Length": str(len(body))}
    request = httpx.Request(method, url, headers={**headers, **length}, stream=httpx.ByteStream(body))
    request.read()
    return request
