"""Sends the HTTP requests of a provider's flow, with a time limit, retries and a size limit, and without redirects.

A flow is a generator that yields requests and gets their responses. It runs on the thread that needs the token, or on a
background thread of the cache, so the transport is synchronous. httpx's requests go through httpcore's connections, not
through httpx's client, because cookies, redirects, hooks and log lines are not wanted here.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any, TypeVar
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from ._util.loopback import is_loopback
from ._util.text_file import stamp
from .clock import Clock, SystemClock
from .errors import ConfigurationError, NetworkError, ResponseError, TimedOut, TokenError
from .providers.answers import malformed, plain
from .providers.base import Driven

__all__ = [
    "MAX_ATTEMPTS",
    "MAX_BYTES",
    "Transport",
    "check_proxy",
    "connect_error",
    "open_route",
    "proxy_for",
]

CONNECT_SECONDS = 5.0
"""Time limit for opening a connection, in seconds."""
TOTAL_SECONDS = 30.0
"""Default time limit of a whole call with its retries, in seconds."""
MAX_BYTES = 1024 * 1024
"""Size limit of a response, in bytes."""
MAX_ATTEMPTS = 4
"""Maximum number of attempts at one call, including the first."""

_T = TypeVar("_T")

_BACKOFF_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 8.0
_KEEPALIVE_SECONDS = 60.0


class _Current(threading.local):
    """The deadline of this thread's current call, for the sockets and the log filter below."""

    deadline: float | None = None


_current = _Current()


class Transport:
    """Runs flows, and reuses connections. Thread-safe.

    Parameters
    ----------
    clock : Clock, optional
        Measures the deadline.
    sleep : callable
        Waits between attempts. It is called with the number of seconds.
    rng : callable
        Returns a random number from 0 to 1, for the jitter of the waits.
    transport : httpx.BaseTransport, optional
        Replaces the network in tests.

    Notes
    -----
    The environment and the state of the CA bundles are checked for each request, so that a corrected proxy or
    certificate is used from the next call on.
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
        self._transport = transport
        self._pools: dict[tuple[object, ...], httpx.BaseTransport] = {}
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
        """Run a flow to its end and return its result. Blocks.

        Parameters
        ----------
        start : callable
            Creates the flow. It is called for each attempt, so that each request has its own date and nonce.
        timeout : float, default 30
            Time limit of the whole call with its retries, in seconds.
        verify : bool or str, default True
            True, or the path of a CA bundle; False only for loopback.
        idempotent : bool, default True
            False if the call must not be made twice. Then it is only retried if no request can have reached the API.
        attempts : int, optional
            Maximum number of attempts, including the first; by default `MAX_ATTEMPTS`.

        Raises
        ------
        TokenError
            If the call failed and cannot be retried, or if all attempts failed.
        """
        deadline = self._clock.elapsed() + timeout
        attempt = 0
        previous: TokenError | None = None
        while True:
            try:
                return self._drive(start(), deadline, verify)
            except TokenError as error:
                retry = error.retryable and (idempotent or error.unsent)
                wait = self._backoff(attempt) if error.retry_after is None else error.retry_after
                attempt += 1
                if not retry or attempt == (attempts or MAX_ATTEMPTS) or self._clock.elapsed() + wait >= deadline:
                    if previous is not None and isinstance(error, TimedOut) and (error.unsent or not previous.unsent):
                        # This attempt had little time left, so the previous attempt's error is more useful.
                        raise previous from None
                    raise
                # The copy has no traceback, because the frames of a traceback contain credentials.
                previous = error.copy()
            self._sleep(wait)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()

    def _backoff(self, attempt: int) -> float:
        # Full jitter: many clients that failed at the same moment do not all retry at the same moment.
        return self._rng() * min(_MAX_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2.0**attempt)

    def _drive(self, flow: Driven[_T], deadline: float, verify: bool | str) -> _T:
        try:
            request = next(flow)
            while True:
                request = flow.send(self._send(request, deadline, verify))
        except StopIteration as stop:
            result: _T = stop.value
            return result
        except (httpx.InvalidURL, UnicodeError) as error:
            # Only the type, because the text may contain a secret.
            raise ConfigurationError(
                f"The request cannot be built ({type(error).__name__}).",
                hint="Check the endpoint, and the credential for characters that an HTTP header cannot contain.",
            ) from None
        finally:
            flow.close()

    def _send(self, request: httpx.Request, deadline: float, verify: bool | str) -> httpx.Response:
        remaining = deadline - self._clock.elapsed()
        if remaining <= 0:
            raise TimedOut(
                f"The time limit was reached before the next request to {request.url.host}.",
                hint="Try again, or raise the profile's timeout.",
                unsent=True,
            )
        limits = {"connect": min(CONNECT_SECONDS, remaining), "read": remaining, "write": remaining, "pool": remaining}
        request.extensions["timeout"] = limits
        host = request.url.host
        try:
            _current.deadline = time.monotonic() + remaining
            response = self._route(request.url, verify).handle_request(request)
            try:
                return _read(response, request)
            finally:
                response.close()
        except httpx.TimeoutException as error:
            connecting = isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout)
            what = f"{host} could not be reached in time" if connecting else f"{host} did not answer in time"
            raise TimedOut(f"{what}.", hint="Try again, or raise the profile's timeout.", unsent=connecting) from None
        except httpx.ConnectError as error:
            raise connect_error(host, error, proxy_for(request.url)) from None
        except httpx.ProxyError:
            raise NetworkError(
                f"The proxy did not pass on the call to {host}.",
                hint="Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, and the user and password in them.",
                unsent=True,
            ) from None
        except httpx.RemoteProtocolError:
            raise NetworkError(
                f"{host} broke the connection or does not speak HTTP.", hint="Try again later."
            ) from None
        except httpx.LocalProtocolError:
            raise ConfigurationError(
                f"The request to {host} is not valid HTTP.",
                hint="Check the credential for characters that an HTTP header cannot contain, such as a line break.",
            ) from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            # Only the type, because the text of an httpx error may contain the URL.
            raise NetworkError(
                f"The call to {host} failed ({type(error).__name__}).", hint="Try again later."
            ) from None
        finally:
            _current.deadline = None

    def _route(self, url: httpx.URL, verify: bool | str) -> httpx.BaseTransport:
        if self._transport is not None:
            return self._transport
        environment = tuple(map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")))
        bundles = (verify,) if isinstance(verify, str) else environment if verify else ()
        route = proxy_for(url), verify, environment, stamp(filter(None, bundles))
        with self._lock:
            # Earlier pools are kept for calls that are still running.
            if route not in self._pools:
                self._pools[route] = open_route(url, verify)
            return self._pools[route]


def proxy_for(url: httpx.URL) -> str | None:
    """Return the proxy for a URL, by the standard library's rules; None on loopback, or if no proxy is set for it."""
    # A call to this machine may be plain HTTP, so it must not go through a proxy.
    if is_loopback(str(url)):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(url.netloc.decode("ascii")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _ssl_context(verify: bool | str) -> ssl.SSLContext:
    """Return the TLS context for a profile's `verify`. If it is True, the environment can name the CA bundle.

    Raises `NetworkError` if the CA bundle cannot be loaded.
    """
    try:
        if isinstance(verify, str):
            return ssl.create_default_context(cafile=verify)
        return httpx.create_ssl_context(verify=verify)
    except (OSError, ValueError) as error:
        if not isinstance(verify, str):
            raise _unusable(type(error).__name__, "Check SSL_CERT_FILE and SSL_CERT_DIR.") from None
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise NetworkError(
            f"The CA bundle {verify} cannot be loaded ({reason}).",
            hint="Check the profile's verify.",
            retryable=False,
            unsent=True,
        ) from None


_PROXIES = ("http", "https", "socks5", "socks5h")


def check_proxy(proxy: str) -> None:
    """Raise `NetworkError` for an unknown kind of proxy, or for a SOCKS proxy if socksio is not installed."""
    kind = proxy.partition("://")[0].lower()
    if kind not in _PROXIES:
        known = ", ".join(f"{name}://" for name in _PROXIES)
        raise _unusable(f"{plain(kind, 20)}:// proxies are not supported, only {known}", _PROXY_HINT)
    if kind.startswith("socks") and find_spec("socksio") is None:
        hint = f"Install it: pip install 'jupyter-tokens[socks]'. {_PROXY_HINT}"
        raise _unusable("a SOCKS proxy needs the package socksio", hint)


def open_route(url: httpx.URL, verify: bool | str) -> httpx.BaseTransport:
    """Return a new connection pool for a URL, through its proxy if one is set.

    Raises `NetworkError` if the CA bundle or the proxy settings cannot be used.
    """
    context, proxy = _ssl_context(verify), proxy_for(url)
    if proxy is not None:
        check_proxy(proxy)
    try:
        return _Connections(context, proxy)
    except (httpx.InvalidURL, OSError, ValueError) as error:
        # Only the type, because a proxy's URL may contain a password.
        kind = type(error).__name__
    raise _unusable(kind, _PROXY_HINT)


def _unusable(problem: str, hint: str) -> NetworkError:
    return NetworkError(
        f"The environment's settings for proxies or certificates cannot be used ({problem}).",
        hint=hint,
        retryable=False,
        unsent=True,
    )


class _Connections(httpx.BaseTransport):
    """Sends httpx's requests over httpcore's connections, within the deadline of the current call.

    httpx limits the time of each read, but not of the whole response: a server that sends a byte now and then never
    exceeds the limit of a read.

    httpcore's pool opens the connections, but does not keep them: at each request it would ask the system for the state
    of every idle connection, which takes longer than the request itself if there are 50 of them.
    """

    def __init__(self, trust: ssl.SSLContext, proxy: str | None) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=trust,
            proxy=None if proxy is None else _proxy(proxy, trust),
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=_DeadlineBackend(httpcore.SyncBackend()),
        )
        self._lock = threading.Lock()
        self._closed = False
        self._idle: list[httpcore.ConnectionInterface] = []  # the connection that was used last is the last

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        if request.url.scheme not in {"http", "https"}:
            raise httpx.UnsupportedProtocol("The URL must begin with http:// or https://.")
        core_request = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        connection = self._take(core_request.url.origin)
        try:
            with _as_httpx():
                response = connection.handle_request(core_request)
        except BaseException:
            connection.close()
            raise
        stream = _Stream(response, lambda: self._keep(connection))
        return httpx.Response(response.status, headers=response.headers, stream=stream, extensions=response.extensions)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self, origin: httpcore.Origin) -> httpcore.ConnectionInterface:
        """Return the idle connection that was used last, or a new one."""
        while True:
            with self._lock:
                fitting = (kept for kept in reversed(self._idle) if kept.can_handle_request(origin))
                connection = next(fitting, None)
                if connection is None:
                    return self._pool.create_connection(origin)
                self._idle.remove(connection)
            if not connection.has_expired():
                return connection
            connection.close()

    def _keep(self, connection: httpcore.ConnectionInterface) -> None:
        """Keep a connection for another request if it can be used again, and close those that have expired.

        The connections that have been idle for the longest time are examined, up to the first that has not expired.
        """
        with self._lock:
            if connection.is_idle() and not self._closed:
                self._idle.append(connection)
            else:
                connection.close()
            while self._idle and self._idle[0].has_expired():
                self._idle.pop(0).close()


def _proxy(url: str, trust: ssl.SSLContext) -> httpcore.Proxy:
    parsed = httpx.Proxy(url)
    context = trust if parsed.url.scheme == "https" else None
    return httpcore.Proxy(str(parsed.url), auth=parsed.raw_auth, ssl_context=context)


class _Stream(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response, on_close: Callable[[], None]) -> None:
        self._response = response
        self._on_close = on_close
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._response.iter_stream()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._response.close()
            self._on_close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Convert errors of httpcore, and of socksio that httpcore lets through, to httpx's errors of the same name."""
    try:
        yield
    except Exception as error:
        kind = getattr(httpx, type(error).__name__, None)
        if kind is None:
            raise
        raise kind(str(error)) from error


def _read(response: httpx.Response, request: httpx.Request) -> httpx.Response:
    """Read the whole response.

    Raises `ResponseError` if the response is larger than `MAX_BYTES`, is a redirect, or is compressed.
    """
    response.request = request
    _check_head(response)
    assert isinstance(response.stream, httpx.SyncByteStream)
    body = bytearray()
    for chunk in response.stream:
        body += chunk
        if len(body) > MAX_BYTES:
            raise malformed(response, f"is larger than {MAX_BYTES} bytes")
    return httpx.Response(
        response.status_code,
        headers=response.headers,
        content=bytes(body),
        request=request,
        extensions=response.extensions,
    )


def _check_head(response: httpx.Response) -> None:
    """Raise `ResponseError` for a redirect, or for a compression that was not requested."""
    if response.has_redirect_location:
        raise ResponseError(
            f"{response.request.url.host} answered with a redirect to {_redirect_host(response)}, "
            "which is not followed.",
            hint="Check the URLs in the profile, such as endpoint or issuer.",
            status=response.status_code,
        )
    encodings = response.headers.get("content-encoding", "").lower().split(",")
    if any(encoding.strip() not in {"", "identity"} for encoding in encodings):
        raise malformed(response, "is compressed, although the request did not allow that")


def _redirect_host(response: httpx.Response) -> str:
    with suppress(httpx.InvalidURL, UnicodeError):  # idna raises UnicodeError
        return response.request.url.join(response.headers["location"]).host or "an invalid URL"
    return "an invalid URL"


_TLS_HINT = "Check the endpoint. For a private CA, set the profile's verify to the path of the CA bundle."
_CLOCK_HINT = "Check this machine's clock. If it is right, the certificate of the endpoint has to be renewed."
_NAME_HINT = "Check the endpoint: the certificate is not valid for its host."
# By OpenSSL's X509_V_ERR_*: not yet valid, expired, another host, another address.
_CERTIFICATE_HINTS = {9: _CLOCK_HINT, 10: _CLOCK_HINT, 62: _NAME_HINT, 64: _NAME_HINT}


def connect_error(host: str, error: BaseException, proxy: str | None = None) -> NetworkError:
    """Return the error for a connection that could not be opened. It reports the most specific cause that is known.

    Parameters
    ----------
    host : str
        The host of the endpoint.
    error : BaseException
        The httpx error, with its causes.
    proxy : str, optional
        The proxy of the call. With a proxy, the error says that the proxy cannot be reached, unless TLS failed.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            reason, hint = cause.reason, _TLS_HINT
            if isinstance(cause, ssl.SSLCertVerificationError):
                reason, hint = cause.verify_message.rstrip("."), _CERTIFICATE_HINTS.get(cause.verify_code, hint)
            return NetworkError(
                f"TLS with {host} failed: {reason}.",
                hint=hint,
                retryable=False,
                unsent=True,
            )
        if isinstance(cause, socket.gaierror) and proxy is None:
            return NetworkError(
                f"The host {host} cannot be found.", hint="Check the endpoint, the region and the network.", unsent=True
            )
        cause = cause.__cause__ or cause.__context__
    if proxy is not None:
        return NetworkError(
            f"The proxy {_without_password(proxy)} for {host} cannot be reached.", hint=_PROXY_HINT, unsent=True
        )
    return NetworkError(
        f"{host} cannot be reached.", hint="Check the endpoint, the network and the proxy settings.", unsent=True
    )


_PROXY_HINT = "Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY."


def _without_password(proxy: str) -> str:
    url = httpx.URL(proxy)
    return f"{url.scheme}://{url.host}" + ("" if url.port is None else f":{url.port}")


def _time_limit(timeout: float | None, timeout_error: type[Exception]) -> float | None:
    """Return the time limit of one socket operation: `timeout`, or the rest of the call's time if that is less.

    Raises `timeout_error` if no time is left.
    """
    if _current.deadline is None:
        return timeout
    remaining = _current.deadline - time.monotonic()
    if remaining <= 0:
        raise timeout_error
    return remaining if timeout is None else min(timeout, remaining)


class _DeadlineBackend(httpcore.NetworkBackend):
    """A network backend whose operations end at the deadline of the thread's current call."""

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
        limit = _time_limit(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._inner.connect_tcp(host, port, limit, local_address, socket_options))


class _DeadlineStream(httpcore.NetworkStream):
    """A network stream whose operations end at the deadline of the thread's current call."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _time_limit(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _time_limit(timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        limit = _time_limit(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, limit))

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _NoResponseHeaders(logging.Filter):
    """Drops httpcore's debug records of our calls: they contain response headers, and IAM returns a token in one."""

    def filter(self, record: logging.LogRecord) -> bool:
        return _current.deadline is None


for _name in ("connection", "http11", "http2", "proxy", "socks"):
    logging.getLogger(f"httpcore.{_name}").addFilter(_NoResponseHeaders())
