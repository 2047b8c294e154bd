"""Makes one vendor's call for the proxy and returns the vendor's own answer; caches no token, never tries twice.

aiohttp drives the flows here: on the server's loop it takes a third of the time that httpx takes, either httpx's client
for tasks or the project's transport on threads, see benchmarks/proxy.py. What is asked and what an answer may be is as
in `transport`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
from yarl import URL

from ..clock import Clock
from ..errors import NetworkError, TimedOut, TokenError
from ..forms import forms_of
from ..providers.answers import malformed
from ..providers.base import Call, Exchange
from ..signing.canonical import AccessKey
from ..transport import CONNECT_SECONDS, MOST_BYTES, check_head, connect_error, proxy_for, trust_of, unwritable

if TYPE_CHECKING:
    from ..profiles import Profile
    from ..providers.params import ParamValue
    from ..token import Secret

__all__ = ["SECRETS_SECONDS", "Wire"]

SECRETS_SECONDS = 1.0
"""How long a profile's resolved secrets are used: a `command:` is not run for each of a hundred calls at once."""
_KEPT_SECONDS = 15.0
_MOST_FIELD_BYTES = 64 * 1024
_REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True)
class _Ready:
    """What a profile's calls are made with. hidden : what no answer may hold."""

    credential: Any
    hidden: frozenset[bytes]
    trust: ssl.SSLContext | bool


class Wire:
    """The vendors, past the broker; for one event loop.

    on_a_thread : runs what blocks.
    """

    def __init__(self, clock: Clock, on_a_thread: Callable[[Callable[[], _Ready]], Awaitable[_Ready]]) -> None:
        self._clock = clock
        self._on_a_thread = on_a_thread
        self._session: aiohttp.ClientSession | None = None
        self._ready: dict[str, tuple[Profile, float, asyncio.Future[_Ready]]] = {}
        self._trust: dict[bool | str, ssl.SSLContext] = {}

    async def exchange(self, profile: Profile, params: Mapping[str, ParamValue], path: str = "") -> httpx.Response:
        """The vendor's answer, whatever its status, without the profile's secrets should it echo them.

        Raises `TokenError` where there is none within the profile's timeout, or one that leads elsewhere.
        """
        try:
            return await self._exchange(profile, params, path)
        except TokenError as caught:
            # Without the frames that the credential stands in; several calls may share an error of the secrets'.
            error = caught.copy()
        error.profile, error.provider = profile.name, profile.provider.id
        raise error

    async def close(self) -> None:
        """Closes the connections."""
        session, self._session = self._session, None
        self._ready.clear()
        if session is not None:
            await session.close()

    async def _exchange(self, profile: Profile, params: Mapping[str, ParamValue], path: str) -> httpx.Response:
        sent: list[httpx.Request] = []
        try:
            async with asyncio.timeout(profile.timeout):
                ready = await self._secrets(profile)
                call = Call(profile.name, params, ready.credential, self._clock, path)
                response = await self._drive(profile.provider.exchange(call), ready.trust, sent)
        except TimeoutError:
            where = sent[-1].url.host if sent else "The source of the profile's secrets"
            raise TimedOut(
                f"{where} did not answer in time.",
                hint="Try again, or raise the profile's timeout.",
                unsent=not sent,
            ) from None
        # What a login yields opens more than the one call that it is for.
        login = response.request.headers.get("X-Auth-Token")
        return _without(response, ready.hidden if login is None else ready.hidden | _hidden(login))

    async def _secrets(self, profile: Profile) -> _Ready:
        now = self._clock.elapsed()
        known = self._ready.get(profile.name)
        if known is None or known[0] is not profile or now >= known[1]:
            coming: asyncio.Future[_Ready] = asyncio.ensure_future(self._on_a_thread(lambda: self._resolve(profile)))
            coming.add_done_callback(lambda _: self._forget_failed(profile.name, coming))
            known = self._ready[profile.name] = profile, now + SECRETS_SECONDS, coming
        ready = known[2]
        # One caller that gives up does not end it for the others.
        return ready.result() if ready.done() else await asyncio.shield(ready)

    def _forget_failed(self, name: str, coming: asyncio.Future[_Ready]) -> None:
        failed = coming.cancelled() or coming.exception() is not None
        if failed and name in self._ready and self._ready[name][2] is coming:
            del self._ready[name]

    def _resolve(self, profile: Profile) -> _Ready:
        secrets = profile.secrets()
        credential = profile.provider.credential(secrets)
        hidden = (_hidden(secret.reveal()) for secret in _long_lived(profile, secrets, credential))
        return _Ready(credential, frozenset().union(*hidden), self._trust_of(profile.verify))

    def _trust_of(self, verify: bool | str) -> ssl.SSLContext:
        trust = self._trust.get(verify)
        if trust is None:
            trust = self._trust[verify] = trust_of(verify)
        return trust

    async def _drive(self, flow: Exchange, trust: ssl.SSLContext | bool, sent: list[httpx.Request]) -> httpx.Response:
        try:
            request = next(flow)
            while True:
                sent.append(request)
                request = flow.send(await self._send(request, trust))
        except StopIteration as stop:
            response: httpx.Response = stop.value
            return response
        except (httpx.InvalidURL, UnicodeEncodeError, ValueError) as error:
            raise unwritable(error) from None
        finally:
            flow.close()

    async def _send(self, request: httpx.Request, trust: ssl.SSLContext | bool) -> httpx.Response:
        host = request.url.host
        try:
            return await self._ask(request, trust)
        except aiohttp.ServerTimeoutError:
            raise TimedOut(
                f"{host} could not be reached in time.", hint="Try again, or raise the profile's timeout.", unsent=True
            ) from None
        except aiohttp.ClientConnectorError as error:
            # Its own class of a wrong certificate is an SSLError that says nothing.
            raise connect_error(host, error.__cause__ or error) from None
        except aiohttp.ClientResponseError:
            raise NetworkError(f"{host} does not speak HTTP.", hint="Check the profile's endpoint.") from None
        except aiohttp.ClientError:
            raise NetworkError(f"{host} broke the connection.", hint="Try again later.") from None

    async def _ask(self, request: httpx.Request, trust: ssl.SSLContext | bool) -> httpx.Response:
        asked = self._opened().request(
            request.method,
            # As it was signed: yarl would write some escapes in another way.
            URL(str(request.url), encoded=True),
            headers=[(name.decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw],
            data=request.content or None,
            allow_redirects=False,
            ssl=trust,
            proxy=proxy_for(request.url),
        )
        async with asked as answer:
            if answer.status in _REDIRECTS or "Content-Encoding" in answer.headers:
                check_head(httpx.Response(answer.status, headers=answer.raw_headers, request=request))
            body = b""
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > MOST_BYTES:
                    head = httpx.Response(answer.status, headers=answer.raw_headers, request=request)
                    raise malformed(head, f"is larger than {MOST_BYTES} bytes")
            return _whole(answer.status, answer.raw_headers, body, request)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # No limit of all: a vendor who hangs does not keep the others waiting.
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=100, keepalive_timeout=_KEPT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                auto_decompress=False,
                # A token of IAM is a header of some kilobytes.
                max_field_size=_MOST_FIELD_BYTES,
            )
            # aiohttp sends a GET again, nonce and all, if a kept connection breaks; there is no public way to stop it,
            # and aiohttp's own test client does it so.
            self._session._retry_connection = False
        return self._session


def _long_lived(profile: Profile, secrets: Mapping[str, Secret], credential: Any) -> Iterable[Secret]:
    """What authenticates; ids are none of it, and vendors name them in errors."""
    known = profile.provider.settings()
    yield from (secret for key, secret in secrets.items() if getattr(known[key], "secret", True))
    if isinstance(credential, AccessKey):
        # Of a chain's key the profile itself knows nothing.
        yield credential.secret
        if credential.security_token is not None:
            yield credential.security_token


def _hidden(secret: str) -> frozenset[bytes]:
    """A secret as it could stand in an answer."""
    return frozenset(form.encode() for form in forms_of(secret))


def _whole(status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, request: httpx.Request) -> httpx.Response:
    response = httpx.Response(status, headers=headers, request=request, stream=httpx.ByteStream(body))
    # What read() would set, after a detour over decoders and iterators that costs 3 % of a whole proxied request.
    response._content = body
    return response


def _without(response: httpx.Response, hidden: Iterable[bytes]) -> httpx.Response:
    """The answer, in whose body an echo of our own secrets is replaced."""
    body = response.content
    for form in hidden:
        if form in body:
            body = body.replace(form, b"***")
    if body is response.content:
        return response
    headers = [pair for pair in response.headers.raw if pair[0].lower() != b"content-length"]
    return _whole(response.status_code, headers, body, response.request)
