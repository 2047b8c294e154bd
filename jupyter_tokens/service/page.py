"""The page for people. It lists the user's tokens and handles; administrators see the tokens and handles of all users.

It is the only part of the service that accepts a browser's cookie, and it shows no token values. The hub logs people in
(OAuth).
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from http.client import responses
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated
from tornado import web

from .._util.threads import run_in_thread
from ..errors import Busy, TokenError
from ..server.base import Refused, http_status
from .handlers import OWNER, public_error

if TYPE_CHECKING:
    from ..protocol.handles import IssuedHandle
    from .activity import Holding
    from .app import TokenService
    from .callers import Caller

__all__ = ["LoggedInHandler", "PageHandler", "login"]

_STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; "
    f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # JupyterHub's check of a form reads the header Referer
    "X-Content-Type-Options": "nosniff",
}
_MAX_EVENTS = 50


def login(prefix: str, max_age: int) -> HubOAuth | None:
    """Return the hub's login for people, or None if the service has no hub token (JUPYTERHUB_API_TOKEN).

    Parameters
    ----------
    prefix : str
        The path before the routes.
    max_age : int
        How long the hub's answer about a user is cached, in seconds.
    """
    if not os.environ.get("JUPYTERHUB_API_TOKEN"):
        return None
    client = os.environ.get("JUPYTERHUB_CLIENT_ID") or "service-jupyter-tokens"
    return HubOAuth(base_url=prefix, oauth_client_id=client, cache_max_age=max_age, allow_token_in_url=False)


class _Page(HubOAuthenticated, web.RequestHandler):  # type: ignore[misc] # JupyterHub has no types
    caller: Caller | None = None

    @property
    def service(self) -> TokenService:
        return cast("TokenService", self.settings["service"])

    def initialize(self) -> None:
        # The callback's query contains a code. Without this line, tornado would log the query.
        self.request.uri = self.request.path
        self.hub_auth = self.settings["login"]
        # Otherwise error pages would ask the hub for the user too, which blocks the event loop.
        self.current_user = None

    def set_default_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    async def prepare(self) -> None:
        if self.settings["login"] is None:
            raise Refused(
                404,
                "Nobody can log in: the service has no hub token. Ask your administrator to set JUPYTERHUB_API_TOKEN.",
                "no_login",
            )

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None))[1]
        message = responses.get(status_code, "Unknown error")
        reason = "http"
        if isinstance(error, Refused):
            message, reason = error.message, error.error_reason
        elif isinstance(error, TokenError):
            status_code, message, reason = http_status(error), public_error(error).message, error.reason
        self.set_status(status_code)
        self.service.audit.refused(self.caller, None, reason)
        self.render("page.html", style=_STYLE, problem=message)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, TokenError | Refused):
            super().log_exception(typ, value, tb)


class PageHandler(_Page):
    """Shows the page, and handles its buttons."""

    async def prepare(self) -> None:
        """Identify the user who is logged in. Raises `Refused`."""
        await super().prepare()
        model = await self.hub_auth.get_user(self, sync=False)
        if model is not None:
            self.caller = self.service.callers.parse_model(model)
            if not self.caller.name:
                raise Refused(403, "This page is for people, but this token belongs to a service.", "no_user")
        self.current_user = self.caller

    @web.authenticated
    async def get(self) -> None:
        """Show the page."""
        caller, service = self._caller, self.service
        everybody = service.is_admin(caller)

        def load() -> tuple[list[Holding], list[IssuedHandle], list[Mapping[str, Any]]]:
            owner = None if everybody else OWNER + caller.name
            return service.audit.holdings(), service.handles.in_use(owner), service.audit.events()

        try:
            holdings, handles, events = await run_in_thread(load)
        except Busy as problem:
            raise Refused(503, problem.message, problem.reason) from None
        self.render(
            "page.html",
            style=_STYLE,
            problem=None,
            caller=caller,
            everybody=everybody,
            holdings=[held for held in holdings if everybody or held.user == caller.name],
            handles=sorted(handles, key=lambda handle: (handle.owner, handle.profile, handle.ends_at)),
            events=[event for event in events if everybody or event["user"] == caller.name][:_MAX_EVENTS],
            handle_to_dict=service.handles.to_dict,
            xsrf=self.xsrf_token,
            owner_of=lambda handle: handle.owner.removeprefix(OWNER),
        )

    @web.authenticated
    async def post(self) -> None:
        """Revoke a handle, or forget a profile's tokens."""
        caller, service = self._caller, self.service
        handle_id, profile = self.get_body_argument("revoke", ""), self.get_body_argument("forget", "")
        if handle_id:
            issued = await run_in_thread(lambda: service.handles.get(handle_id))
            if issued is None or (issued.owner != OWNER + caller.name and not service.is_admin(caller)):
                raise Refused(404, "There is no handle with this id, or it belongs to another user.", "handle")
            await run_in_thread(lambda: service.handles.revoke(handle_id))
            service.audit.handle("revoked", issued, caller)
        elif profile:
            user = self.get_body_argument("user", caller.name)
            if not service.is_admin(caller):
                if user != caller.name:
                    raise Refused(403, "Only administrators can forget a token of another user.", "not_admin")
                service.check_granted(caller, profile)
            await service.forget(user, profile)
            service.audit.forgotten(caller, profile)
        else:
            raise Refused(400, "The form has neither a handle to revoke nor a profile to forget.", "body")
        self.redirect(self.hub_auth.base_url, status=HTTPStatus.SEE_OTHER)

    @property
    def _caller(self) -> Caller:
        assert self.caller is not None
        return self.caller


class LoggedInHandler(_Page, HubOAuthCallbackHandler):  # type: ignore[misc] # as above
    """The callback to which the hub redirects a browser after a login."""
