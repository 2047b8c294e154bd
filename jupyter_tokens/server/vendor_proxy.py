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
from http.client import responses
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from jupyter_server.auth.decorator import authorized
from tornado import web

from ..errors import ApiError, ParameterError, TokenError
from .activity import count_fetch
from .base import PROXY, Refused, TokensHandler

if TYPE_CHECKING:
    from ..config.profiles import Profile
    from ..providers.base import Documented
    from ..providers.params import ParamValue
    from ..sources.upstream import Answer

__all__ = ["CACHE_HEADER", "VendorProxyHandler"]

CACHE_HEADER = "X-Jupyter-Tokens-Cache"
"""`hit` or `miss` where the vendor asks to cache its token, `pass` where each call is made."""

_MARK = "/jupyter-tokens/proxy/"
# Ids are letters, digits and these at every vendor's: no escape is needed, and none is taken.
_ID = r"[A-Za-z0-9_][A-Za-z0-9._~-]*"
_NUMBER = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)
# The server's own login by query: see jupyter_server's IdentityProvider.
_LOGIN = "token"
_FORM = "application/x-www-form-urlencoded"
_NO_BODY = (b"", b"{}")
_STATUS = range(200, 600)
# With a charset at most: the one kind of body that no browser shows as a page or runs as a script.
_JSON = re.compile(r"application/([a-z0-9.+-]+\+)?json( *; *charset=\"?[a-z0-9-]+\"?)?", re.ASCII | re.IGNORECASE)
_PASSED_HEADERS = frozenset(
    (
        "retry-after",
        "x-acs-retry-after",
        "x-acs-request-id",
        "x-acs-trace-id",
        "x-request-id",
        "x-openstack-request-id",
        "x-correlation-id",
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
        extension = self.extensionapp
        if not extension.allow_reveal:
            self.refuse(403, "The administrator does not allow to reveal tokens.", "reveal_off")
        profile = extension.source.profiles()[name]
        path, params = self._call(profile)
        if profile.provider.caches:
            await self._cached(profile)
            return
        began = extension.clock.elapsed()
        source = extension.source
        try:
            answer = await extension.on_a_thread(lambda: source.exchange(profile, params, path), name)
        except TokenError as error:
            # There is no answer to the call, or a login before it was refused.
            self._tell(profile, params, extension.clock.elapsed() - began, error)
            raise
        seconds = extension.clock.elapsed() - began
        self._answer(answer)
        # When the answer is on its way already: it need not wait for those who count.
        self._tell(profile, params, seconds, answer.error)

    def _call(self, profile: Profile) -> tuple[str, dict[str, ParamValue]]:
        """Documented path and parameters of the call. Refuses a call that the vendor does not document."""
        from ..providers.params import parse_params  # noqa: PLC0415 (with the providers, which load httpx)

        documented = profile.provider.documented
        if documented is None:
            self.refuse(404, f"The proxy takes no call of {profile.provider.title}.", "no_proxy")
        request = self.request
        # As it was written: what tornado hands to `get` is decoded.
        path = "/" + request.path.partition(_MARK)[2].partition("/")[2]
        asked = _Asked(request.method or "", path, request.query, request.headers, self.raw_body)
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
        for name in profile.params.keys() | (profile.fixed_params & known.keys()):
            value = profile.params.get(name)
            pinned = None if value is None else known[name].parse(name, value)
            if params.get(name) != pinned and (value is not None or name in profile.fixed_params):
                self.refuse(403, f"The profile is for one {name}, and the call names another or none.", "pinned")

    async def _cached(self, profile: Profile) -> None:
        extension = self.extensionapp
        try:
            served = await extension.get_token(profile.name)
        except ApiError as error:
            self.set_header(CACHE_HEADER, "miss")
            status = error.status or 0
            self.set_status(status if status in _STATUS else HTTPStatus.BAD_GATEWAY, "Refused")
            # The vendor's form; its own words may be in another of the two that it documents.
            self.finish(json.dumps({"error_code": error.code, "error_msg": error.message}))
            return
        extension.activity.served(self, profile.name, to="proxy", cached=served.cached)
        self.set_header(CACHE_HEADER, "hit" if served.cached else "miss")
        self.finish(json.dumps(served.profile.provider.answer(served.token, extension.clock.now())))

    def _answer(self, answer: Answer) -> None:
        # The vendor's words for the status are left out: they may hold anything.
        self.set_status(answer.status, responses.get(answer.status, "Unknown"))
        self.set_header(CACHE_HEADER, "pass")
        for name, value in answer.headers:
            if name in _PASSED_HEADERS and value.isascii() and value.isprintable():
                self.set_header(name.title(), value)
        kinds = [value for name, value in answer.headers if name == "content-type"]
        if len(kinds) == 1 and _JSON.fullmatch(kinds[0]):
            self.finish(answer.body or None, set_content_type=kinds[0])
        else:
            # Not a page of this server's own origin, whatever it is.
            self.set_header("Content-Disposition", "attachment")
            self.finish(answer.body or None, set_content_type="application/octet-stream")

    @property
    def content_security_policy(self) -> str:
        """See `APIHandler`; a body that a browser opens all the same has no origin and runs nothing."""
        return f"{super().content_security_policy}; sandbox"

    def _tell(
        self, profile: Profile, params: Mapping[str, ParamValue], seconds: float, error: TokenError | None
    ) -> None:
        from ..sources.cache import Key  # noqa: PLC0415 (see above)
        from ..sources.local import Fetched  # noqa: PLC0415 (see above)

        extension = self.extensionapp
        fetched = Fetched(Key(profile.name, tuple(params.items())), profile.provider.id, seconds, error)
        if error is None:
            # Counted, and told of as served: a second line in the log for each call would cost a tenth of the call.
            count_fetch(fetched, refresh=False)
            extension.activity.served(self, profile.name, to="proxy", cached=False)
        else:
            extension.source.note(fetched)


def _match(documented: str, path: str) -> dict[str, str] | None:
    """The ids in a path; None for any other path, and for ids with a character that needs an escape."""
    found = _pattern(documented).fullmatch(path)
    return None if found is None else found.groupdict()


@cache
def _pattern(documented: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", rf"(?P<\1>{_ID})", re.escape(documented)), re.ASCII)


def _said(documented: Documented, asked: _Asked) -> dict[str, str | list[str]]:
    """The parameters in query and form. Raises `Refused` for what the call does not have."""
    for name, value in documented.headers.items():
        if asked.headers.get(name, value) != value:
            raise Refused(404, f"{name} must be {value}.", "no_such_call")
    pairs = [pair for pair in _pairs(asked.query) if pair[0] != _LOGIN]
    if documented.fixed is not None and asked.headers.get("Content-Type", "").partition(";")[0].strip() == _FORM:
        pairs += _pairs(asked.body.decode("latin-1"))
    elif asked.body.strip() not in _NO_BODY:
        raise Refused(400, "The call has no body of this kind.", "body")
    fixed = documented.fixed or {}
    said: dict[str, str] = {}
    for name, value in pairs:
        if name not in (*documented.query, *fixed, *documented.dropped) and not _is_item(name, documented.arrays):
            raise ParameterError(f"{name[:80]!r} is not a parameter of this call.")
        if name in said:
            raise ParameterError(f"Parameter {name} is given twice.")
        said[name] = value
    for name, value in fixed.items():
        if said.pop(name, None) != value:
            raise ParameterError(f"Parameter {name} must be {value}.")
    arrays = {name: _items(name, said) for name in documented.arrays}
    plain = {name: value for name, value in said.items() if name in documented.query}
    return {**plain, **{name: items for name, items in arrays.items() if items}}


def _is_item(name: str, arrays: tuple[str, ...]) -> bool:
    """Whether it is the name of one value of an array, such as ScopeValues.1."""
    array, _, number = name.rpartition(".")
    return array in arrays and _NUMBER.fullmatch(number) is not None


def _items(array: str, said: Mapping[str, str]) -> list[str]:
    """The values of an array in their order. Raises `ParameterError` where one is left out."""
    count = sum(_is_item(name, (array,)) for name in said)
    try:
        return [said[f"{array}.{number}"] for number in range(1, count + 1)]
    except KeyError as missing:
        raise ParameterError(f"Parameter {missing.args[0]} is missing, and a later one is given.") from None


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
