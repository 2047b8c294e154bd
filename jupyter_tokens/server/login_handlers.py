"""The routes for logging in and out, from browsers and from kernels, and the callback after a login.

A login that is started in a browser belongs to this user and this browser. A cookie that the server signs identifies
both. A kernel can only start a login on another device, because it does not know its user's browser. Such a login
belongs to the kernel.
"""

from __future__ import annotations

import json
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from tornado import web

from .._util.threads import run_in_thread
from ..sources.logins import attempt_to_dict
from ..sources.loopback import PAGE_HEADERS, page, success_text
from .base import LOGIN, TokensHandler
from .kernel_handlers import KernelHandler

if TYPE_CHECKING:
    from ..sources.logins import Attempt

__all__ = ["CallbackHandler", "KernelLoginHandler", "LoginHandler", "LoginStateHandler"]

CALLBACK = "jupyter-tokens/login/callback"
_COOKIE = "jupyter-tokens-login"


def _send_attempt(handler: TokensHandler, name: str, attempt: Attempt | None, where: str) -> None:
    if attempt is None or attempt.profile != name:
        problem = f"There is no such login {where}, or it is no longer known. Start the login again."
        handler.refuse(404, problem, "unknown_login")
    handler.finish(json.dumps(attempt_to_dict(attempt, handler.extensionapp.clock, handler.error_body)))


async def _log_out(handler: TokensHandler, name: str) -> None:
    extension = handler.extensionapp
    revoked = await run_in_thread(partial(extension.source.logins.logout, name), name)
    extension.renewals.forget(name)
    if revoked is not None:
        extension.activity.forgotten(handler, name)
        extension.activity.login(handler, name, "out")
    handler.finish(json.dumps({"was_logged_in": revoked is not None, "revoked": bool(revoked)}))


class _LoginHandler(TokensHandler):
    auth_resource = LOGIN

    def browser_session(self) -> str:
        """Return the user's session in this browser; "" if there is none yet."""
        given = self.get_secure_cookie(_COOKIE)
        user, _, value = (given or b"").decode().partition(" ")
        # A cookie set for another user does not count.
        return f"{user} {value}" if value and user == self._user() else ""

    def ensure_session(self) -> str:
        """Return the user's session in this browser. Sets the cookie if there is no session yet."""
        session = self.browser_session()
        if not session:
            session = f"{self._user()} {secrets.token_urlsafe(24)}"
            self.set_secure_cookie(
                _COOKIE,
                session,
                expires_days=None,
                path=self.base_url,
                httponly=True,
                samesite="Lax",
                secure=self.request.protocol == "https",
            )
        return session

    def _user(self) -> str:
        # In hexadecimal, because a blank ends the name in the cookie.
        return str(self.current_user.username).encode().hex()


class LoginHandler(_LoginHandler):
    """The route `jupyter-tokens/profiles/{name}/login`."""

    @web.authenticated
    @authorized(action="write", resource=LOGIN)
    async def post(self, name: str) -> None:
        """Start a login. Return the URL for the browser, or the code to type on another device."""
        device = self.body({"device": bool}).get("device", False)
        extension = self.extensionapp
        profile = extension.source.profile(name)
        redirect_uri = getattr(profile.provider, "redirect_uri", "") or self._callback()
        start = partial(
            extension.source.logins.start,
            name,
            session=self.ensure_session(),
            redirect_uri=redirect_uri,
            device=device,
            on_login=partial(extension.activity.login, self, name, "in"),
        )
        attempt = await run_in_thread(start, name)
        _send_attempt(self, name, attempt, "in this browser")

    @web.authenticated
    @authorized(action="write", resource=LOGIN)
    async def delete(self, name: str) -> None:
        """Log out here, revoke the login at the login server if possible, and forget the profile's tokens."""
        await _log_out(self, name)

    def _callback(self) -> str:
        """Return the callback's URL.

        If the header Origin names this host, its scheme is used: behind a proxy, only the browser knows the scheme.
        """
        origin = urlsplit(self.request.headers.get("Origin", ""))
        # An allowed origin may be another site, which must not get the code of the login.
        if origin.netloc != self.request.host:
            origin = urlsplit(f"{self.request.protocol}://{self.request.host}")
        return f"{origin.scheme}://{origin.netloc}{self.base_url}{CALLBACK}"


class LoginStateHandler(_LoginHandler):
    """The route `GET jupyter-tokens/profiles/{name}/login/{id}`."""

    @web.authenticated
    @authorized(action="read", resource=LOGIN)
    async def get(self, name: str, login_id: str) -> None:
        """Return the state of a login. For a login on another device, poll the login server first if a poll is due."""
        extension = self.extensionapp
        poll = partial(extension.source.logins.poll, login_id, session=self.browser_session())
        attempt = await run_in_thread(poll, name)
        _send_attempt(self, name, attempt, "in this browser")


class CallbackHandler(_LoginHandler):
    """The route `GET jupyter-tokens/login/callback`, to which the login server redirects the browser."""

    def check_site(self) -> None:
        """Check nothing: the browser always comes from another site. `state` and the cookie show whose login it is."""

    @web.authenticated
    @authorized(action="write", resource=LOGIN)
    async def get(self) -> None:
        """Finish the login."""
        extension = self.extensionapp
        given = self.request.query_arguments
        values = {name: [value.decode("utf-8", "replace") for value in every] for name, every in given.items()}
        finish = partial(extension.source.logins.finish, values, session=self.browser_session() or "nobody")
        attempt = await run_in_thread(finish)
        self.finish(self._page(*success_text(attempt)))

    def finish(self, chunk: Any = None) -> Any:
        """Send the answer. If the browser accepts HTML, an error in JSON is sent as a page."""
        if isinstance(chunk, str) and "text/html" in self.request.headers.get("Accept", ""):
            chunk = self._page("Not logged in", json.loads(chunk)["message"])
        return super().finish(chunk)

    def _page(self, title: str, text: str) -> bytes:
        for name, value in PAGE_HEADERS.items():
            self.set_header(name, value)
        return page(title, text)


class KernelLoginHandler(KernelHandler):
    """The route `jupyter-tokens/kernels/{id}/login`."""

    auth_resource = LOGIN

    @allow_unauthenticated
    async def post(self, kernel_id: str) -> None:
        """Start a login on another device for the kernel, return the state of a login, or log out."""
        kernel_id = await self.check_proof(kernel_id, "login")
        body = self.body({"profile": str, "id": str, "logout": bool}, "profile")
        name = body["profile"]
        extension, session = self.extensionapp, f"kernel {kernel_id}"
        await self.check_limits(name, kernel_id)
        logins = extension.source.logins
        if body.get("logout", False):
            await _log_out(self, name)
            return
        attempt: Attempt | None
        if "id" in body:
            attempt = await run_in_thread(partial(logins.poll, body["id"], session=session), name)
        else:
            on_login = partial(extension.activity.login, self, name, "in")
            start = partial(logins.start, name, session=session, device=True, on_login=on_login)
            attempt = await run_in_thread(start, name)
        _send_attempt(self, name, attempt, "of this kernel")
