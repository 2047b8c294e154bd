"""The vendors' own calls: method and path as the vendor documents them, authenticated by the server.

A request is only read, never passed on: ids and parameters are parsed against what the profile's provider declares, and
what goes out is written anew from them. So no other host, path, method or header can be reached, whatever a client
sends; its own credentials (Authorization, X-Auth-Token, cookies, signatures, client secrets) end here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes

from jupyter_server.auth.decorator import authorized
from tornado import web

from ..errors import ApiError, ParameterError, TokenError
from .base import MOST_BODY_BYTES, PROXY, Refused, TokensHandler
from .metrics import count_fetch

if TYPE_CHECKING:
    import httpx

    from ..profiles import Profile
    from ..providers.base import Documented
    from ..providers.params import ParamValue
    from .vendor_wire import Wire

__all__ = ["CACHE_HEADER", "ROUTE", "VendorProxyHandler", "close_wire"]

ROUTE = r"jupyter-tokens/proxy/(?P<name>[^/]+)(?P<path>/.*)"
"""Below the server's base URL."""
CACHE_HEADER = "X-Jupyter-Tokens-Cache"
"""`hit` or `miss` where the vendor asks to cache its token, `pass` where each call is made."""

_WIRE = "jupyter_tokens_wire"
_MARK = "/jupyter-tokens/proxy/"
# Ids are letters, digits and these at every vendor's: no escape is needed, and none is taken.
_ID = r"[A-Za-z0-9_][A-Za-z0-9._~-]*"
# The server's own login by query: see jupyter_server's IdentityProvider.
_LOGIN = "token"
_FORM = "application/x-www-form-urlencoded"
_NO_BODY = (b"", b"{}")
_TOLD_HEADERS = frozenset(
    (
        b"retry-after",
        b"x-acs-retry-after",
        b"x-acs-request-id",
        b"x-acs-trace-id",
        b"x-request-id",
        b"x-openstack-request-id",
        b"x-correlation-id",
    )
)


class _Asked(NamedTuple):
    """A vendor's call as a client made it. path : as it was written. headers : by any spelling of their names."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class VendorProxyHandler(TokensHandler):
    """`jupyter-tokens/proxy/{profile}/{the vendor's path}`.

    The profile's `params` are not mixed in: a call says what it wants. But it cannot say anything else than they do:
    a parameter that the profile gives has to be given here, and be the same, or the call is refused with 403. An
    administrator who configures a profile for one instance does not open the others.

    It hands out values, so it is closed where the administrator does not allow to reveal tokens.
    """

    auth_resource = PROXY
    _allowed = ""

    @web.authenticated
    @authorized(action="read", resource=PROXY)
    async def get(self, name: str, path: str) -> None:
        """A documented GET."""
        await self._pass(name)

    @web.authenticated
    @authorized(action="write", resource=PROXY)
    async def post(self, name: str, path: str) -> None:
        """A documented POST."""
        await self._pass(name)

    def set_default_headers(self) -> None:
        """See `tornado.web.RequestHandler`, which asks for them anew where an error drops all others."""
        super().set_default_headers()
        if self._allowed:
            self.set_header("Allow", self._allowed)

    def compute_etag(self) -> None:
        """See `tornado.web.RequestHandler`: a token is never answered with 304."""

    async def _pass(self, name: str) -> None:
        extension = self.extension
        if not extension.allow_reveal:
            self.refuse(403, "The administrator does not allow to reveal tokens.", "reveal_off")
        profile = extension.source.profiles()[name]
        path, params = self._call(profile)
        if profile.provider.caches:
            await self._cached(profile)
            return
        began = extension.clock.elapsed()
        try:
            response = await self._wire().exchange(profile, params, path)
        except TokenError as error:
            # There is no answer to the call, or a login before it was refused.
            self._tell(profile, params, extension.clock.elapsed() - began, error)
            raise
        seconds = extension.clock.elapsed() - began
        self._answer(response)
        # When the answer is on its way already: it need not wait for those who count.
        self._tell(profile, params, seconds, _error_of(response, extension.clock.now()))

    def _call(self, profile: Profile) -> tuple[str, dict[str, ParamValue]]:
        """Documented path and parameters of the call. Refuses a call that the vendor does not document."""
        from ..providers.params import parse_params  # noqa: PLC0415 (with the providers, which load httpx)

        documented = profile.provider.documented
        if documented is None:
            problem = (
                f"{profile.provider.title} cannot be reached through the proxy: it has no documented call of its own."
            )
            self.refuse(404, problem, "no_proxy")
        request = self.request
        # As it was written: what tornado hands to `get` is decoded.
        path = "/" + request.path.partition(_MARK)[2].partition("/")[2]
        asked = _Asked(request.method or "", path, request.query, request.headers, request.body)
        paths = documented.path, *documented.others
        matches = ((path, _match(path, asked.path)) for path in paths)
        call, found = next(((path, found) for path, found in matches if found is not None), ("", None))
        if found is None:
            taken = " and ".join(f"{documented.method} {path}" for path in paths)
            self.refuse(404, f"The proxy takes {taken} and no other path.", "no_such_call")
        if asked.method != documented.method:
            self._allowed = documented.method
            self.refuse(405, f"The vendor's method is {documented.method}.", "method")
        params = parse_params(profile.provider.params, {**found, **_said(documented, asked)})
        self._check_pinned(profile, params)
        return call, params

    def _check_pinned(self, profile: Profile, params: Mapping[str, ParamValue]) -> None:
        known = profile.provider.params
        for name, value in profile.params.items():
            if value is not None and params.get(name) != known[name].parse(name, value):
                self.refuse(403, f"The profile is for one {name}, and the call names another or none.", "pinned")

    async def _cached(self, profile: Profile) -> None:
        extension = self.extension
        try:
            served = await extension.get_token(profile.name)
        except ApiError as error:
            self.set_header(CACHE_HEADER, "miss")
            self.set_status(error.status or HTTPStatus.BAD_GATEWAY, "Refused")
            # The vendor's form; its own words may be in another of the two that it documents.
            self.finish(json.dumps({"error_code": error.code, "error_msg": error.message}))
            return
        extension.activity.served(self, profile.name, to="proxy", cached=served.cached)
        self.set_header(CACHE_HEADER, "hit" if served.cached else "miss")
        self.finish(json.dumps(served.profile.provider.answer(served.token, extension.clock.now())))

    def _answer(self, response: httpx.Response) -> None:
        self.set_status(response.status_code, response.reason_phrase or "Unknown")
        self.set_header(CACHE_HEADER, "pass")
        # A body of no kind is not for a browser to guess.
        kind = "application/octet-stream"
        for raw_name, raw_value in response.headers.raw:
            name, value = raw_name.lower(), raw_value.decode("latin-1")
            if not (value.isascii() and value.isprintable()):
                continue
            if name == b"content-type":
                kind = value
            elif name in _TOLD_HEADERS:
                self.set_header(raw_name.decode("ascii"), value)
        self.finish(response.content or None, set_content_type=kind)

    def _wire(self) -> Wire:
        wire: Wire | None = self.settings.get(_WIRE)
        if wire is None:
            from .vendor_wire import Wire  # noqa: PLC0415 (loads httpx and aiohttp, which no server should start with)

            wire = self.settings[_WIRE] = Wire(self.extension.clock, self.extension.on_a_thread)
        return wire

    def _tell(self, profile: Profile, params: Mapping[str, ParamValue], seconds: float, error: Any) -> None:
        from ..broker import Key  # noqa: PLC0415 (see above)
        from ..source import Fetched  # noqa: PLC0415 (see above)

        extension = self.extension
        fetched = Fetched(Key(profile.name, tuple(params.items())), profile.provider.id, seconds, error)
        if error is None:
            # Counted, and told of as served: a second line in the log for each call would cost a tenth of the call.
            count_fetch(fetched, refresh=False)
            extension.activity.served(self, profile.name, to="proxy", cached=False)
        else:
            extension.source.tell(fetched)


async def close_wire(settings: Mapping[str, Any]) -> None:
    """Closes the connections that the handlers of a server opened. settings : its web application's."""
    wire: Wire | None = settings.get(_WIRE)
    if wire is not None:
        await wire.close()


def _match(documented: str, path: str) -> dict[str, str] | None:
    """The ids in a path; None for any other path, and for ids with a character that needs an escape."""
    found = _pattern(documented).fullmatch(path)
    return None if found is None else found.groupdict()


@cache
def _pattern(documented: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", rf"(?P<\1>{_ID})", re.escape(documented)), re.ASCII)


def _said(documented: Documented, asked: _Asked) -> dict[str, str]:
    """The parameters in query and form. Raises `Refused` for what the call does not have."""
    for name, value in documented.headers.items():
        if asked.headers.get(name, value) != value:
            raise Refused(404, f"{name} must be {value}.", "no_such_call")
    if len(asked.body) > MOST_BODY_BYTES:
        raise Refused(413, f"The body must not be larger than {MOST_BODY_BYTES} bytes.", "too_large")
    pairs = [pair for pair in _pairs(asked.query) if pair[0] != _LOGIN]
    if documented.fixed is not None and asked.headers.get("Content-Type", "").partition(";")[0].strip() == _FORM:
        pairs += _pairs(asked.body.decode("latin-1"))
    elif asked.body.strip() not in _NO_BODY:
        raise Refused(400, "The call has no body of this kind.", "body")
    fixed = documented.fixed or {}
    said: dict[str, str] = {}
    for name, value in pairs:
        if name not in (*documented.query, *fixed, *documented.dropped):
            raise ParameterError(f"There is no parameter {name[:80]!r} in this call.", unsent=True)
        if name in said:
            raise ParameterError(f"Parameter {name} is given twice.", unsent=True)
        said[name] = value
    for name, value in fixed.items():
        if said.pop(name, None) != value:
            raise ParameterError(f"Parameter {name} must be {value}.", unsent=True)
    return {name: value for name, value in said.items() if name not in documented.dropped}


def _pairs(encoded: str) -> list[tuple[str, str]]:
    parts = (part.replace("+", " ").partition("=") for part in encoded.split("&") if part)
    return [(_text(name), _text(value)) for name, _, value in parts]


def _text(encoded: str) -> str:
    if "%" not in encoded and encoded.isascii():
        return encoded
    try:
        return unquote_to_bytes(encoded).decode()
    except ValueError:
        raise Refused(400, "Query and form must be UTF-8.", "parameter") from None


def _error_of(response: httpx.Response, now: float) -> ApiError | None:
    """What a refusal that is passed on is to those who count and log."""
    from ..providers.answers import refusal  # noqa: PLC0415 (loads httpx)

    if response.status_code < HTTPStatus.BAD_REQUEST:
        return None
    return refusal(response, now=now, body=None, code=None, message=None, meanings={})
