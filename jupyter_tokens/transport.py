"""Drives a provider's flow over httpx: time limits, retries, size cap, no redirects, every httpx error wrapped.

Knows no vendor. It is synchronous on purpose: a flow runs on the thread that needs its token (or on one of the
broker's), where it costs half of what `httpx.AsyncClient` needs for the same call; see benchmarks/. It talks to httpx's
transports, not to its client: there are no cookies, redirects, hooks or log lines to have here.
"""

from __future__ import annotations

import logging
import random
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from .clock import Clock, SystemClock
from .errors import ConfigurationError, NetworkError, ResponseError, TimedOut, TokenError
from .providers.answers import malformed
from .providers.base import Driven, is_loopback
from .threads import MOST_OF_ONE

__all__ = [
    "CONNECT_SECONDS",
    "MOST_ATTEMPTS",
    "MOST_BYTES",
    "TOTAL_SECONDS",
    "Transport",
    "check_head",
    "connect_error",
    "proxy_for",
    "trust_of",
    "unwritable",
]

CONNECT_SECONDS = 5.0
"""Time limit of a connection, seconds."""
TOTAL_SECONDS = 30.0
"""Default time limit of a whole call with its retries, seconds."""
MOST_BYTES = 1024 * 1024
"""The most of an answer that is read, bytes."""
MOST_ATTEMPTS = 4
"""The most tries of one call."""

_T = TypeVar("_T")

_BACKOFF_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 8.0


class _Current(threading.local):
    """What the thread's present call is bound by: read by the sockets and the log filter below."""

    deadline: float | None = None


_current = _Current()


class Transport:
    """Runs flows, and keeps connections to each host for the next ones. Thread-safe.

    clock : for the deadline. sleep : waits between tries, seconds. rng : the jitter, from 0 to 1.
    transport : in place of the network, for tests.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
        rng: Callable[[], float] = random.random,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._rng = rng
        self._fixed = transport
        self._trust: dict[bool | str, ssl.SSLContext] = {}
        self._routes: dict[tuple[str, bytes, bool | str], _Route] = {}
        self._lock = threading.Lock()

    def run(
        self,
        start: Callable[[], Driven[_T]],
        *,
        timeout: float = TOTAL_SECONDS,
        verify: bool | str = True,
        idempotent: bool = True,
        attempts: int | None = None,
    ) -> _T:
        """What the flow returns. Blocks for at most about `timeout` seconds. Raises `TokenError`.

        start : makes the flow; called again for each try, so that each has a date and a nonce of its own.
        verify : True, or the path of a CA bundle; False only ever for loopback.
        idempotent : False for a call that must not be made twice: then only a connection that was never made is tried
            again.
        attempts : the most tries, by default `MOST_ATTEMPTS`; 1 for a caller that is to see each answer.
        """
        deadline = self._clock.elapsed() + timeout
        attempt = 0
        while True:
            try:
                return self._drive(start(), deadline, verify)
            except TokenError as error:
                again = error.retryable and (idempotent or error.unsent)
                wait = self._backoff(attempt) if error.retry_after is None else error.retry_after
                attempt += 1
                if not again or attempt == (attempts or MOST_ATTEMPTS) or self._clock.elapsed() + wait >= deadline:
                    raise
            self._sleep(wait)

    def close(self) -> None:
        """Closes the connections."""
        with self._lock:
            routes, self._routes = list(self._routes.values()), {}
        for route in routes:
            route.close()

    def _backoff(self, attempt: int) -> float:
        # Full jitter: many clients that failed together do not come back together.
        return self._rng() * min(_LONGEST_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2.0**attempt)

    def _drive(self, flow: Driven[_T], deadline: float, verify: bool | str) -> _T:
        try:
            request = next(flow)
            while True:
                request = flow.send(self._send(request, deadline, verify))
        except StopIteration as stop:
            result: _T = stop.value
            return result
        except (httpx.InvalidURL, UnicodeError) as error:
            raise unwritable(error) from None
        finally:
            flow.close()

    def _send(self, request: httpx.Request, deadline: float, verify: bool | str) -> httpx.Response:
        left = deadline - self._clock.elapsed()
        if left <= 0:
            raise TimedOut("No time is left for the call.", hint="Raise the profile's timeout.", retryable=True)
        limits = {"connect": min(CONNECT_SECONDS, left), "read": left, "write": left, "pool": left}
        request.extensions["timeout"] = limits
        host = request.url.host
        try:
            _current.deadline = time.monotonic() + left
            with self._connection(request.url, verify) as connection:
                answer = connection.handle_request(request)
                try:
                    return _read(answer, request)
                finally:
                    answer.close()
        except httpx.TimeoutException as error:
            connecting = isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout)
            what = f"{host} could not be reached in time" if connecting else f"{host} did not answer in time"
            raise TimedOut(f"{what}.", hint="Try again, or raise the profile's timeout.", unsent=connecting) from None
        except httpx.ConnectError as error:
            raise connect_error(host, error) from None
        except httpx.RemoteProtocolError:
            raise NetworkError(
                f"{host} broke the connection or does not speak HTTP.", hint="Try again later."
            ) from None
        except httpx.LocalProtocolError:
            raise ConfigurationError(
                f"The request to {host} cannot be sent as it is.",
                hint="Check the credential for characters that no header can hold, such as a line break.",
                unsent=True,
            ) from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            # Only the kind: the text of an httpx error may hold the URL.
            raise NetworkError(
                f"The call to {host} failed ({type(error).__name__}).", hint="Try again later."
            ) from None
        finally:
            _current.deadline = None

    @contextmanager
    def _connection(self, url: httpx.URL, verify: bool | str) -> Iterator[httpx.BaseTransport]:
        """A connection for one exchange; no other thread has it meanwhile."""
        if self._fixed is not None:
            yield self._fixed
            return
        place = url.scheme, url.netloc, verify
        route = self._routes.get(place)
        if route is None:
            with self._lock:
                route = self._routes.setdefault(place, _Route(self._trust_of(verify), proxy_for(url)))
        connection = route.take()
        try:
            yield connection
        finally:
            route.give_back(connection)

    def _trust_of(self, verify: bool | str) -> ssl.SSLContext:
        if verify not in self._trust:
            self._trust[verify] = _context(verify)
        return self._trust[verify]


class _Route:
    """The kept connections to one host, each in a transport of its own.

    httpx's own pool looks at every connection that it has for each request, and under a lock: with fifty at once that
    costs as much as the request.
    """

    def __init__(self, trust: ssl.SSLContext, proxy: str | None) -> None:
        self._trust = trust
        self._proxy = proxy
        # Ends and begins are atomic, so this takes no lock.
        self._kept: deque[tuple[float, httpx.HTTPTransport]] = deque()
        self._closed = False

    def take(self) -> httpx.HTTPTransport:
        """The connection that was used last, or a new one."""
        try:
            return self._kept.pop()[1]
        except IndexError:
            return _open(self._trust, self._proxy)

    def give_back(self, connection: httpx.HTTPTransport) -> None:
        """Keeps a connection for the next call, and closes those that none has needed for a while."""
        now = time.monotonic()
        self._kept.append((now, connection))
        with suppress(IndexError):  # another thread was first
            while self._closed or len(self._kept) > _MOST_KEPT or self._kept[0][0] < now - _KEPT_SECONDS:
                self._kept.popleft()[1].close()

    def close(self) -> None:
        """Closes those that are kept now, and each that is still in use when it is given back."""
        self._closed = True
        with suppress(IndexError):
            while True:
                self._kept.popleft()[1].close()


def proxy_for(url: httpx.URL) -> str | None:
    """The proxy that the environment names for a URL, by the rules of the standard library."""
    # Plain http is allowed for this machine alone, and must not leave it by way of a proxy.
    if is_loopback(str(url)):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(url.netloc.decode("ascii")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def trust_of(verify: bool | str) -> ssl.SSLContext | bool:
    """What httpx takes as `verify`. Raises `NetworkError` for a CA bundle that cannot be loaded."""
    try:
        return ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify
    except (OSError, ValueError) as error:
        raise NetworkError(
            f"The CA bundle {verify} cannot be loaded ({getattr(error, 'strerror', None) or type(error).__name__}).",
            hint="Check the profile's verify.",
            retryable=False,
            unsent=True,
        ) from None


def _context(verify: bool | str) -> ssl.SSLContext:
    trust = trust_of(verify)
    try:
        # The authorities that httpx trusts.
        return httpx.create_ssl_context(trust)
    except (OSError, ValueError) as error:
        raise _environment(error) from None


def _environment(error: Exception) -> NetworkError:
    # Only the kind: a proxy's URL may hold a password.
    return NetworkError(
        f"The environment's settings for proxies or certificates cannot be used ({type(error).__name__}).",
        hint="Check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR.",
        retryable=False,
        unsent=True,
    )


def _open(trust: ssl.SSLContext, proxy: str | None) -> httpx.HTTPTransport:
    try:
        opened = httpx.HTTPTransport(verify=trust, proxy=proxy, limits=_LIMITS)
    except (httpx.InvalidURL, OSError, ValueError, ImportError) as error:
        raise _environment(error) from None
    # httpx has no limit for a whole answer: a server that sends a byte now and then holds each read's limit for ever.
    # There is no public way to hand httpx a network backend, so this reaches inside; test_transport would notice.
    pool: Any = opened._pool
    pool._network_backend = _DeadlineBackend(pool._network_backend)
    return opened


_KEPT_SECONDS = 60.0
# As many as one profile may have calls at once: with fewer, connections would be closed and opened again for each call.
_MOST_KEPT = MOST_OF_ONE
_LIMITS = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEPT_SECONDS)


def _read(answer: httpx.Response, request: httpx.Request) -> httpx.Response:
    """The whole answer, held to its size."""
    answer.request = request
    check_head(answer)
    assert isinstance(answer.stream, httpx.SyncByteStream)
    chunks: list[bytes] = []
    size = 0
    for chunk in answer.stream:
        size += len(chunk)
        if size > MOST_BYTES:
            raise malformed(answer, f"is larger than {MOST_BYTES} bytes")
        chunks.append(chunk)
    # As `answer.read()` leaves it, without its search for a compression that there is none of: a tenth of a cold call.
    answer._content = b"".join(chunks)
    return answer


def check_head(answer: httpx.Response) -> None:
    """Raises `ResponseError` for an answer that leads elsewhere, or comes in a form that was not asked for."""
    if answer.has_redirect_location:
        raise ResponseError(
            f"{answer.request.url.host} answered with a redirect to {_host_of(answer)}, which is not followed.",
            hint="Check the profile's endpoint.",
            status=answer.status_code,
        )
    # Asked for in two steps: httpx finds out that a header is absent far faster than it makes a default of it.
    if "content-encoding" in answer.headers and answer.headers["content-encoding"].lower() != "identity":
        raise malformed(answer, "is compressed, which was not asked for")


def _host_of(answer: httpx.Response) -> str:
    with suppress(httpx.InvalidURL, UnicodeError):  # idna's errors are of the latter kind
        return answer.request.url.join(answer.headers["location"]).host or "nowhere"
    return "nowhere"


def unwritable(error: Exception) -> ConfigurationError:
    """A request that no flow could write. Only the kind is told, as the text may hold the URL or the credential."""
    return ConfigurationError(
        f"The request cannot be written ({type(error).__name__}).",
        hint="Check the endpoint, and the credential for characters that no header can hold.",
        unsent=True,
    )


_TLS_HINT = "Check the endpoint; for a private CA set the profile's verify to its bundle."
_CLOCK_HINT = "Check this machine's clock; if it is right, tell who runs the endpoint."
_NAME_HINT = "Check the endpoint: it has to be the name that the certificate is for."
# By OpenSSL's X509_V_ERR_*: not yet valid, expired, another host, another address.
_CERTIFICATE_HINTS = {9: _CLOCK_HINT, 10: _CLOCK_HINT, 62: _NAME_HINT, 64: _NAME_HINT}


def connect_error(host: str, error: BaseException) -> NetworkError:
    """What a connection that was never made becomes; looks for the cause among the causes."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            why, hint = cause.reason, _TLS_HINT
            if isinstance(cause, ssl.SSLCertVerificationError):
                why, hint = cause.verify_message.rstrip("."), _CERTIFICATE_HINTS.get(cause.verify_code, hint)
            return NetworkError(
                f"TLS with {host} failed: {why}.",
                hint=hint,
                retryable=False,
                unsent=True,
            )
        if isinstance(cause, socket.gaierror):
            return NetworkError(f"There is no host {host}.", hint="Check endpoint and region.", unsent=True)
        cause = cause.__cause__ or cause.__context__
    return NetworkError(
        f"{host} cannot be reached.", hint="Check the endpoint, the network and the proxy settings.", unsent=True
    )


def _within(timeout: float | None, late: type[Exception]) -> float | None:
    """The time that a single socket operation may take: what httpcore says, or what is left of the call."""
    if _current.deadline is None:
        return timeout
    left = _current.deadline - time.monotonic()
    if left <= 0:
        raise late
    return left if timeout is None else min(timeout, left)


class _DeadlineBackend(httpcore.NetworkBackend):
    """A network backend whose streams end with the call that uses them."""

    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        limit = _within(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._inner.connect_tcp(host, port, limit, local_address, socket_options))


class _DeadlineStream(httpcore.NetworkStream):
    """A network stream each of whose operations is held to what is left of the thread's present call."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _within(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _within(timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        limit = _within(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, limit))

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _NoAnswerHeaders(logging.Filter):
    """Keeps httpcore's debug log out of our calls: it prints the headers of answers, and IAM's token is one."""

    def filter(self, record: logging.LogRecord) -> bool:
        return _current.deadline is None


for _name in ("connection", "http11", "http2", "proxy", "socks"):
    logging.getLogger(f"httpcore.{_name}").addFilter(_NoAnswerHeaders())
