"""Sends calls to another process that runs jupyter_tokens: proof, certificates, reused connections, time limits."""

from __future__ import annotations

import http.client
import logging
import os
import secrets
import selectors
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ..clock import Clock
from ..errors import ServerGone, ServerUntrusted, TimedOut

if TYPE_CHECKING:
    from ..protocol.proof import Caller, Trust

__all__ = ["Connection", "tls_context"]

_log = logging.getLogger(__name__)
_QUIET_SECONDS = 3.0
"""Seconds without a response after which the caller checks whether the server hangs. Also the limit for connecting."""
_READ_SECONDS = 60.0
"""Time limit for one read or write of a socket, in seconds."""
_MAX_BYTES = 2 * 1024 * 1024
_HUB_CERT, _HUB_KEY = "JUPYTERHUB_SSL_CERTFILE", "JUPYTERHUB_SSL_KEYFILE"
"""The variables with the client certificate and key that JupyterHub sets with `internal_ssl`; kernels inherit them."""
_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""Raised if the other side has closed the connection. The errors of TLS are not subclasses of `ConnectionError`."""


class Connection:
    """The connections to one server. Thread-safe: no two calls share a connection at the same time."""

    def __init__(self, caller: Caller, clock: Clock) -> None:
        self._caller = caller
        self._clock = clock
        self._idle: list[http.client.HTTPConnection] = []

    def send(
        self,
        action: str,
        body: bytes,
        *,
        seconds: float,
        on_wait: Callable[[], object] | None = None,
        fresh: bool = False,
    ) -> tuple[int, bytes]:
        """Send one call with its proof; return status and body. Blocks.

        Parameters
        ----------
        action : str
            The part of the URL's path that comes after the caller's route.
        body : bytes
            The request's body, as JSON.
        seconds : float
            Time limit for the response.
        on_wait : callable, optional
            Called every few seconds while there is no response. If it raises, the wait ends.
        fresh : bool
            Use a new connection, so that the call never has to be sent twice.

        Raises
        ------
        TimedOut
            The server did not answer in time.
        ServerGone
            The server cannot be reached.
        ServerUntrusted
            A certificate is missing or not accepted by the other process, or TLS fails in another way.
        """
        reused: http.client.HTTPConnection | None = None
        if not fresh:
            with suppress(IndexError):
                reused = self._idle.pop()
        reached = reused is not None
        try:
            if reused is not None:
                # The server may have closed this connection in the meantime. Then the call goes over a new connection.
                with suppress(http.client.HTTPException, *_CLOSED):
                    return self._exchange(reused, action, body, seconds, on_wait)
                _log.debug("%s has closed a kept connection; connecting again", self._caller.peer)
            # The limit for connecting is short, because connecting only takes time if the server hangs.
            connection = _connected(self._caller, min(seconds, _QUIET_SECONDS))
            reached = True
            return self._exchange(connection, action, body, seconds, on_wait)
        except TimeoutError:
            problem = f"{_capitalized(self._caller.peer)} does not answer."
            raise TimedOut(problem, hint="Try again later.", unsent=not reached) from None
        except (http.client.HTTPException, OSError) as error:
            raise _failure(error, self._caller, reached=reached) from None

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        action: str,
        body: bytes,
        seconds: float,
        on_wait: Callable[[], object] | None,
    ) -> tuple[int, bytes]:
        caller = self._caller
        path = f"{urlsplit(caller.url).path.rstrip('/')}/{caller.route}/{action}"
        is_complete = False
        try:
            connection.sock.settimeout(min(seconds, _READ_SECONDS))
            nonce, now = secrets.token_hex(16), int(self._clock.now())
            proof = caller.prove(action, body, time=now, nonce=nonce)
            connection.request("POST", path, body, {caller.header: proof, "Content-Type": "application/json"})
            if on_wait is not None:
                _wait_for_response(connection.sock, seconds, on_wait)
            response = connection.getresponse()
            raw = response.read(_MAX_BYTES)
            is_complete = response.isclosed() and not response.will_close
        finally:
            if is_complete:
                self._idle.append(connection)
            else:
                connection.close()
        return response.status, raw


def _wait_for_response(sock: socket.socket, seconds: float, on_wait: Callable[[], object]) -> None:
    # TLS may send data of its own after the handshake, which looks like a response here. The caller then waits for the
    # response for up to `_READ_SECONDS`, without calls of `on_wait`.
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        for _ in range(int(seconds / _QUIET_SECONDS)):
            if selector.select(_QUIET_SECONDS):
                return
            on_wait()
    raise TimeoutError


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _failure(error: Exception, caller: Caller, *, reached: bool) -> ServerGone:
    name, unsent, peer = type(error).__name__, not reached, caller.peer
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = (
            "If the certificate was replaced, restart this kernel, or issue a new handle for the workers. "
            "A hub's token service needs a certificate that this system trusts."
        )
        return ServerUntrusted(
            f"{_capitalized(peer)} cannot be reached: its certificate is not trusted ({name}).",
            hint=hint,
            unsent=unsent,
        )
    closed = isinstance(error, _CLOSED)
    if caller.shows_cert and (isinstance(error, ssl.SSLError) or (closed and reached)):
        # The TLS alert that refuses the certificate is often lost, because the server closes the connection immediately
        # after the alert.
        return ServerUntrusted(
            f"{_capitalized(peer)} asks for a client certificate, and probably refuses the certificate in {_HUB_CERT} "
            f"({name}).",
            hint="The certificate must be signed by the server's client_ca (JUPYTERHUB_SSL_CLIENT_CA).",
            unsent=unsent,
        )
    if isinstance(error, ssl.SSLError) and not closed:
        return ServerUntrusted(f"{_capitalized(peer)} cannot be reached over TLS ({name}).", unsent=unsent)
    return ServerGone(f"{peer} cannot be reached ({name}).", unsent=unsent)


def _connected(caller: Caller, seconds: float) -> http.client.HTTPConnection:
    connection = _connection(caller, seconds)
    try:
        connection.connect()
    except BaseException:
        connection.close()
        raise
    return connection


def _connection(caller: Caller, seconds: float) -> http.client.HTTPConnection:
    parts = urlsplit(caller.url)
    if parts.scheme == "http+unix":
        return _UnixConnection(unquote(parts.netloc), seconds)
    host = parts.hostname or "localhost"
    if parts.scheme == "https":
        context = tls_context(caller.trust, shows_cert=caller.shows_cert)
        return http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=context)
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=seconds)
    raise http.client.InvalidURL


def tls_context(trust: Trust | None, *, shows_cert: bool) -> ssl.SSLContext:
    """Return the TLS context for connections to a server. See `Caller` for the arguments.

    Raises `ServerUntrusted` if the client certificate to show is missing or cannot be read, and OSError for an unusable
    `trust`.
    """
    context = ssl.create_default_context() if trust is None else ssl.create_default_context(**trust._asdict())
    if trust is not None:
        # The certificate is trusted even if its issuer is not. This is Python's default from 3.13 on.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # A pinned certificate contains the server's public name, not the name used here.
    context.check_hostname = trust is None
    if shows_cert:
        _load_client_certificate(context)
    return context


def _load_client_certificate(context: ssl.SSLContext) -> None:
    cert, key = os.environ.get(_HUB_CERT), os.environ.get(_HUB_KEY)
    hint = (
        f"Pass the variables {_HUB_CERT} and {_HUB_KEY}, which JupyterHub sets with internal_ssl, to the kernels. "
        "Or set TokenProfiles.mode to 'direct': then the kernel itself reads the secrets."
    )
    if not cert or not key:
        raise ServerUntrusted(
            "The Jupyter server asks for a client certificate, and this process has none.", hint=hint, unsent=True
        )
    try:
        context.load_cert_chain(cert, key)
    except OSError as error:
        problem = f"The client certificate in {_HUB_CERT} and {_HUB_KEY} cannot be read ({type(error).__name__})."
        raise ServerUntrusted(problem, hint=hint, unsent=True) from None
