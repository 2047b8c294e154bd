"""The pass-through proxy: accepts calls as a vendor documents them, and makes them with the profile's credential.

A client's request is never forwarded. Ids and parameters are read from it, checked against the declarations of the
profile's provider, and put into a new request. So a client can only reach the documented hosts, paths and methods, and
none of its headers are sent. The client's own credentials (Authorization, X-Auth-Token, cookies, signatures, client
secrets) are not passed on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from http.client import responses
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from jupyter_server.auth.decorator import authorized
from tornado import web

from .._util.threads import run_in_thread
from ..errors import ApiError, ParameterError, TokenError
from ..providers.params import parse_params
from ..sources.cache import Key
from ..sources.local import Fetched
from .activity import count_fetch
from .base import PROXY, Refused, TokensHandler

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

    from ..config.profiles import Profile
    from ..providers.base import Documented
    from ..providers.params import ParamValue
    from ..sources.upstream import Answer

__all__ = ["CACHE_HEADER", "VendorProxyHandler"]

CACHE_HEADER = "X-Jupyter-Tokens-Cache"
"""The header that says `hit` or `miss` if the API's tokens are cached, and `pass` if every call goes to the API."""

_MARK = "/jupyter-tokens/proxy/"
# All vendors' ids consist of letters, digits and these characters, so percent-encoding is not needed and not accepted.
_ID = r"[A-Za-z0-9_][A-Za-z0-9._~-]*"
_NUMBER = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)
# The query parameter that authenticates a client at this server: see jupyter_server's IdentityProvider.
_LOGIN = "token"
_FORM = "application/x-www-form-urlencoded"
_NO_BODY = (b"", b"{}")
_STATUS = range(200, 600)
# JSON, with at most a charset: the only kind of body that no browser shows as a page or runs as a script.
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


class VendorProxyHandler(TokensHandler):
    """The route `jupyter-tokens/proxy/{profile}/{the vendor's path}`.

    The profile's `params` are not added: a call must be complete. A parameter that the profile sets must have the same
    value in the call; otherwise the call is refused with 403. So a profile for one instance gives no access to other
    instances.

    The proxy returns token values, so it is off if the administrator does not allow tokens to be revealed.
    """

    auth_resource = PROXY
    _allowed = ""

    @web.authenticated
    @authorized(action="read", resource=PROXY)
    async def get(self, name: str, path: str) -> None:
        """Make a GET call that the vendor documents for this API."""
        await self._proxy(name)

    @web.authenticated
    @authorized(action="write", resource=PROXY)
    async def post(self, name: str, path: str) -> None:
        """Make a POST call that the vendor documents for this API."""
        await self._proxy(name)

    def set_default_headers(self) -> None:
        """Also set `Allow` if a method was refused. After an error, tornado clears the headers and calls this again."""
        super().set_default_headers()
        if self._allowed:
            self.set_header("Allow", self._allowed)

    def compute_etag(self) -> None:
        """Return no ETag, so that the answer is never 304 instead of a token."""

    async def _proxy(self, name: str) -> None:
        extension = self.extensionapp
        if not extension.allow_reveal:
            self.refuse(
                403, "The proxy is off, because the administrator does not allow tokens to be revealed.", "reveal_off"
            )
        profile = extension.source.profile(name)
        path, params = self._parse_call(profile)
        if profile.provider.caches:
            await self._send_cached(profile)
            return
        started_at = extension.clock.elapsed()
        source = extension.source
        try:
            answer = await run_in_thread(lambda: source.exchange(profile, params, path), name)
        except TokenError as error:
            # The call could not be made, for example because the login before it failed, or the API did not answer.
            self._report(profile, params, extension.clock.elapsed() - started_at, error)
            raise
        seconds = extension.clock.elapsed() - started_at
        self._send_answer(answer)
        # Only now, so that the answer does not wait for the report.
        self._report(profile, params, seconds, answer.error)

    def _parse_call(self, profile: Profile) -> tuple[str, dict[str, ParamValue]]:
        """Return the documented path and the parameters of the call; refuse calls that the vendor does not document."""
        documented = profile.provider.documented
        if documented is None:
            self.refuse(404, f"The proxy does not support {profile.provider.title}.", "no_proxy")
        request, body = self.request, self.raw_body
        # The undecoded path. The argument of `get` and `post` is decoded.
        path = "/" + request.path.partition(_MARK)[2].partition("/")[2]
        paths = documented.path, *documented.others
        for call in paths:
            found = _pattern(call).fullmatch(path)
            if found is not None:
                break
        else:
            accepted = " and ".join(f"{documented.method} {call}" for call in paths)
            self.refuse(404, f"The proxy only accepts {accepted} for this profile.", "no_such_call")
        if request.method != documented.method:
            self._allowed = documented.method
            self.refuse(405, f"The vendor documents this call with the method {documented.method}.", "method")
        sent = {**found.groupdict(), **_parse_params(documented, request, body)}
        params = parse_params(profile.provider.params, sent)
        self._check_pinned(profile, params)
        return call, params

    def _check_pinned(self, profile: Profile, params: Mapping[str, ParamValue]) -> None:
        known = profile.provider.params
        for name in profile.params.keys() | (profile.fixed_params & known.keys()):
            value = profile.params.get(name)
            pinned = None if value is None else known[name].parse(name, value)
            if params.get(name) != pinned and (value is not None or name in profile.fixed_params):
                self.refuse(403, f"The profile fixes {name}, and the call has a different value or none.", "pinned")

    async def _send_cached(self, profile: Profile) -> None:
        extension = self.extensionapp
        try:
            served = await extension.get_token(profile.name)
        except ApiError as error:
            self.set_header(CACHE_HEADER, "miss")
            status = error.status or 0
            self.set_status(status if status in _STATUS else HTTPStatus.BAD_GATEWAY, "Refused")
            # The vendor documents two forms of error answers. This one is sent even if the vendor has sent the other.
            self.finish(json.dumps({"error_code": error.code, "error_msg": error.message}))
            return
        extension.activity.served(self, profile.name, to="proxy", cached=served.cached)
        self.set_header(CACHE_HEADER, "hit" if served.cached else "miss")
        self.finish(json.dumps(served.profile.provider.answer(served.token, extension.clock.now())))

    def _send_answer(self, answer: Answer) -> None:
        # The vendor's reason phrase is left out: it may contain anything.
        self.set_status(answer.status, responses.get(answer.status, "Unknown"))
        self.set_header(CACHE_HEADER, "pass")
        for name, value in answer.headers:
            if name in _PASSED_HEADERS and value.isascii() and value.isprintable():
                self.set_header(name.title(), value)
        kinds = [value for name, value in answer.headers if name == "content-type"]
        if len(kinds) == 1 and _JSON.fullmatch(kinds[0]):
            self.finish(answer.body or None, set_content_type=kinds[0])
        else:
            # Anything but JSON must not become a page of this server's origin.
            self.set_header("Content-Disposition", "attachment")
            self.finish(answer.body or None, set_content_type="application/octet-stream")

    @property
    def content_security_policy(self) -> str:
        """The policy of `APIHandler`, with a sandbox: if a browser shows a body as a page, the page runs no scripts."""
        return f"{super().content_security_policy}; sandbox"

    def _report(
        self, profile: Profile, params: Mapping[str, ParamValue], seconds: float, error: TokenError | None
    ) -> None:
        extension = self.extensionapp
        fetched = Fetched(Key(profile.name, tuple(params.items())), profile.provider.id, seconds, error)
        if error is None:
            # Counted as a fetch, but only reported as served: a second log record would cost a tenth of the call.
            count_fetch(fetched, refresh=False)
            extension.activity.served(self, profile.name, to="proxy", cached=False)
        else:
            extension.source.notify_observers(fetched)


@cache
def _pattern(documented: str) -> re.Pattern[str]:
    """Return the pattern of a documented path, with a group for each id."""
    return re.compile(re.sub(r"\\{(\w+)\\}", rf"(?P<\1>{_ID})", re.escape(documented)), re.ASCII)


def _parse_params(documented: Documented, request: HTTPServerRequest, body: bytes) -> dict[str, str | list[str]]:
    """Return the parameters in the query and the form. Raises `Refused` or `ParameterError` if one is undocumented."""
    for name, value in documented.headers.items():
        if request.headers.get(name, value) != value:
            raise Refused(404, f"The header {name} must be {value}.", "no_such_call")
    pairs = [pair for pair in _parse_form(request.query) if pair[0] != _LOGIN]
    if documented.fixed is not None and request.headers.get("Content-Type", "").partition(";")[0].strip() == _FORM:
        pairs += _parse_form(body.decode("latin-1"))
    elif body.strip() not in _NO_BODY:
        wanted = "no body" if documented.fixed is None else f"a body of the type {_FORM}"
        raise Refused(400, f"This call takes {wanted}.", "body")
    fixed = documented.fixed or {}
    sent: dict[str, str] = {}
    for name, value in pairs:
        if name not in (*documented.query, *fixed, *documented.dropped) and not _is_item(name, documented.arrays):
            raise ParameterError(f"{name[:80]!r} is not a parameter of this call.")
        if name in sent:
            raise ParameterError(f"Parameter {name} is given twice.")
        sent[name] = value
    for name, value in fixed.items():
        if sent.pop(name, None) != value:
            raise ParameterError(f"Parameter {name} must be {value}.")
    arrays = {name: _items(name, sent) for name in documented.arrays}
    plain = {name: value for name, value in sent.items() if name in documented.query}
    return {**plain, **{name: items for name, items in arrays.items() if items}}


def _is_item(name: str, arrays: tuple[str, ...]) -> bool:
    """Whether a parameter is an element of an array, such as ScopeValues.1."""
    array, _, number = name.rpartition(".")
    return array in arrays and _NUMBER.fullmatch(number) is not None


def _items(array: str, sent: Mapping[str, str]) -> list[str]:
    """Return the elements of an array in order. Raises `ParameterError` if an element is missing."""
    count = sum(_is_item(name, (array,)) for name in sent)
    try:
        return [sent[f"{array}.{number}"] for number in range(1, count + 1)]
    except KeyError as missing:
        raise ParameterError(
            f"Parameter {missing.args[0]} is missing, although a later element of the array is given."
        ) from None


def _parse_form(encoded: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(encoded, keep_blank_values=True, errors="strict")
    except ValueError:
        raise Refused(400, "The query and the form must be encoded in UTF-8.", "parameter") from None
