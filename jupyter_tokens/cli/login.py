"""`jupyter tokens login`, `logout` and `whoami`: a person's login to a profile. No token is printed."""

from __future__ import annotations

import sys
import webbrowser
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from traitlets import Bool

from ..clock import utc
from ..errors import LoginNeeded
from ..providers.login import login_needed
from ..sources.local import LocalSource
from ..sources.loopback import Loopback
from .command import Action
from .completion import profile_names
from .terminal import echo, one_line, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..sources.logins import Attempt, Logins

__all__ = ["LoginApp", "LogoutApp", "WhoamiApp"]

_SESSION = "this terminal"


class _ProfileAction(Action):
    """An action on the login of one profile."""

    completer = staticmethod(profile_names)

    def run(self) -> int:
        if len(self.extra_args) != 1:
            self.fail(2, "takes the NAME of one profile: see `jupyter tokens list`")
        with closing(LocalSource()) as source:
            return self.act(self.extra_args[0], source)

    def act(self, name: str, source: LocalSource) -> int:
        """Perform the action; return the exit code. Raises `TokenError`."""
        raise NotImplementedError


class LoginApp(_ProfileAction):
    """Log in with a browser on this machine, or on any other device."""

    name = "jupyter-tokens-login"
    description = """Log in to the profile NAME. Its provider must be oauth2 with grant authorization_code or
    device_code. A browser is opened, and after the login it is redirected to a port of this machine. On a machine
    without a browser, use --device: the command shows a URL and a code for a browser on any other device, and waits.

    Kernels, servers and programs of this user then get tokens until the login expires or you log out."""
    examples = "jupyter tokens login acme\njupyter tokens login acme --device"

    device = Bool(default_value=False, help="Log in with a browser on another device.").tag(flag="device")

    def act(self, name: str, source: LocalSource) -> int:
        if self.device or source.logins.uses_device_flow(name):
            who = source.log_in(name, _show)["who"]
        else:
            who = _log_in_with_browser(name, source.logins).who
        echo(f"Logged in to {name}{f' as {one_line(who)}' if who else ''}.")
        return 0


def _log_in_with_browser(name: str, logins: Logins) -> Attempt:

    with Loopback() as loopback:
        attempt = logins.start(name, session=_SESSION, redirect_uri=loopback.redirect_uri)
        assert attempt.url is not None
        loopback.redirect_to(attempt.url, lambda answer: logins.finish(answer, session=_SESSION))
        echo(f"Log in with the browser on this machine: {loopback.start.reveal()}")
        if not webbrowser.open(loopback.start.reveal()):
            echo(f"No browser could be opened. On a machine without one: jupyter tokens login {name} --device")
        return loopback.wait(attempt.seconds)


def _show(login: Mapping[str, Any]) -> None:
    echo(f"Open {one_line(login['verification_uri'])} in any browser, and type the code {login['user_code']}")


class LogoutApp(_ProfileAction):
    """Remove the stored login, and revoke it on the server if the server supports that."""

    name = "jupyter-tokens-logout"
    description = """Log out of the profile NAME: the login is removed from this user's configuration folder or
    keyring, and revoked on the server if the server supports that. Tokens in notebooks stay valid until they expire,
    unless the server revokes them too."""
    examples = "jupyter tokens logout acme"

    def act(self, name: str, source: LocalSource) -> int:
        revoked = source.logout(name)
        if revoked is None:
            echo(f"Nobody was logged in to {name}.")
        elif revoked:
            echo(f"Logged out of {name}; the server has revoked the login.")
        else:
            echo(f"Logged out of {name}. The login could not be revoked on the server.")
        return 0


class WhoamiApp(_ProfileAction):
    """Print the stored login, without a request to a server."""

    name = "jupyter-tokens-whoami"
    description = """Print who is logged in to the profile NAME, since when and where. Sends no request.
    The exit code is 1 if nobody is logged in."""
    examples = "jupyter tokens whoami acme\njupyter tokens whoami acme --json"

    as_json = Bool(default_value=False, help="Print one JSON object instead of a line.").tag(flag="json")

    def act(self, name: str, source: LocalSource) -> int:
        login = source.logins.get(name)
        if login is None:
            raise login_needed(name)
        ends = login.expires_at
        if ends is not None and utc(ends) <= datetime.now(UTC):
            raise LoginNeeded("The login has ended.", hint=login_needed(name).hint, profile=name)
        facts = {
            "profile": name,
            "who": login.who or None,
            "since": utc(login.since).isoformat(timespec="seconds"),
            "server": login.server,
            "client_id": login.client_id,
            "expires_at": None if ends is None else utc(ends).isoformat(timespec="seconds"),
            "renews": login.refresh_token is not None,
        }
        if self.as_json:
            write_json(facts)
        else:
            until = f", until {facts['expires_at']}" if ends is not None else ""
            who = one_line(login.who) or "a user whose name the server did not give"
            sys.stdout.write(f"{who}, since {facts['since']}{until}, at {one_line(login.server)}\n")
        return 0
