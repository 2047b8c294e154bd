"""A port of this process, to which a browser on this machine returns after a login.

Source: RFC 8252, sections 7.3 and 8.3. The browser is started with a single-use URL, which redirects to the
authorization server. Other users of the machine can read the URL in the browser's command line, but it works only once.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from html import escape
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from ..errors import LoginNeeded, TokenError
from ..token import Secret
from .logins import Attempt

__all__ = ["PAGE_HEADERS", "Loopback", "page", "success_text"]

_CALLBACK = "/callback"
_COOKIE = "jupyter_tokens_login"
PAGE_HEADERS: Mapping[str, str] = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""The headers of the page that the browser shows at the end of a login."""


def page(title: str, text: str) -> bytes:
    """Return the page that the browser shows at the end of a login."""
    style = "body{font:16px sans-serif;max-width:32em;margin:4em auto;padding:0 1em}"
    body = f"<h1>{escape(title)}</h1><p>{escape(text)}</p>"
    return f'<!doctype html><html lang="en"><title>{escape(title)}</title><style>{style}</style>{body}</html>'.encode()


class Loopback:
    """Waits for the browser on a free port of 127.0.0.1. A context manager.

    Attributes
    ----------
    redirect_uri : str
        The URL to which the authorization server redirects the browser.
    start : Secret
        The URL to open in the browser after a call of `redirect_to`.
    """

    def __init__(self) -> None:
        self._once, self._cookie = secrets.token_urlsafe(24), Secret(secrets.token_urlsafe(32))
        self._target: Secret | None = None
        self._lock = threading.Lock()
        self._result: Future[Attempt] = Future()
        self._finish: Callable[[Mapping[str, Sequence[str]]], Attempt] | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._host = f"127.0.0.1:{self._server.server_address[1]}"
        self.redirect_uri = f"http://{self._host}{_CALLBACK}"
        self.start = Secret(f"http://{self._host}/{self._once}")

    def __enter__(self) -> Self:
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(0.1,), name="jupyter_tokens login", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def redirect_to(self, url: Secret, finish: Callable[[Mapping[str, Sequence[str]]], Attempt]) -> None:
        """Redirect the first browser that opens `start` to `url`. `finish` gets the query when the browser returns."""
        self._target, self._finish = url, finish

    def wait(self, seconds: float) -> Attempt:
        """Wait for at most `seconds` until the browser returns, and return the finished login. Raises `TokenError`."""
        try:
            return self._result.result(seconds)
        except TimeoutError:
            pass
        raise LoginNeeded(f"Nobody logged in within {seconds:g} s.", hint="Start the login again.")

    def answer(self, target: str, host: str, cookies: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body for a request of a browser."""
        parts = urlsplit(target)
        # Any other host name belongs to another site (DNS rebinding).
        if host == self._host and parts.path == f"/{self._once}":
            with self._lock:
                location, self._target = self._target, None
            if location is not None:
                cookie = f"{_COOKIE}={self._cookie.reveal()}; Path={_CALLBACK}; HttpOnly; SameSite=Lax"
                return 302, {"Location": location.reveal(), "Set-Cookie": cookie, "Cache-Control": "no-store"}, b""
        if host != self._host or parts.path != _CALLBACK or not self._has_cookie(cookies):
            return _error_page(
                403, "This link was opened before, or its login was not started in this browser. Start the login again."
            )
        return self._finish_login(parse_qs(parts.query, keep_blank_values=True))

    def _finish_login(self, answer: Mapping[str, Sequence[str]]) -> tuple[int, dict[str, str], bytes]:
        with self._lock:
            finish, self._finish = self._finish, None
        if finish is None:
            return _error_page(403, "This login has already ended. Start it again.")
        try:
            attempt = finish(answer)
        except TokenError as error:
            self._result.set_exception(error.copy())
            return _error_page(400, f"{error.message} {error.hint}")
        except Exception as error:
            self._result.set_exception(error)
            return _error_page(500, "The login has failed. The terminal in which you started it shows the reason.")
        self._result.set_result(attempt)
        return 200, dict(PAGE_HEADERS), page(*success_text(attempt))

    def _has_cookie(self, cookies: str) -> bool:
        try:
            found = SimpleCookie(cookies).get(_COOKIE)
        except CookieError:
            return False
        return found is not None and secrets.compare_digest(found.value.encode(), self._cookie.reveal().encode())


def success_text(attempt: Attempt) -> tuple[str, str]:
    """Return the title and the text of the page that is shown after a login."""
    return f"Logged in{f' as {attempt.who}' if attempt.who else ''}", "You can close this page."


def _error_page(status: int, text: str) -> tuple[int, dict[str, str], bytes]:
    return status, dict(PAGE_HEADERS), page("Not logged in", text)


def _handler(loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host, cookies = self.headers.get("Host", ""), self.headers.get("Cookie", "")
            status, headers, body = loopback.answer(self.path, host, cookies)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base's)
            """Log nothing: the path contains the code."""

    return Handler
