"""`%gettoken`: parses a magic's line, asks the client, injects, shows a card; decides nothing about tokens."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import MagicArgumentParser, argument, magic_arguments
from IPython.display import display

from ..errors import TokenError
from .client import Client, shared_client
from .injection import Injections, Place, env_place, var_place
from .refresher import Refresher

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..source import About
    from ..token import Token

__all__ = ["TokenMagics", "load", "unload"]


@magics_class
class TokenMagics(Magics):
    """The magics of one shell.

    client, refresher : for tests; by default those of the process.
    """

    def __init__(self, shell: InteractiveShell, client: Client | None = None) -> None:
        super().__init__(shell)
        self.client = client or shared_client()
        self.injections = Injections(shell.user_ns)
        self.refresher = Refresher(self.client)
        self._unwatch: Callable[[], None] | None = None

    def close(self) -> None:
        """Stops keeping tokens fresh; what was injected stays."""
        if self._unwatch is not None:
            self._unwatch()
        self.refresher.stop()

    @magic_arguments()
    @argument("profile", help="Name of a profile in jupyter_tokens_config.")
    @argument("params", nargs="*", metavar="name=value", help="The vendor's parameters, such as ExpireTime=60.")
    @argument("--env", metavar="VAR", help="Environment variable to fill (default: the profile's).")
    @argument("--var", metavar="NAME", help="Python variable to put the opaque Token into.")
    @argument("--once", action="store_true", help="Do not keep it fresh.")
    @argument("--refresh", action="store_true", help="Fetch a new one even if the one held is fresh.")
    @line_magic
    def gettoken(self, line: str) -> None:
        """Fetch a token, put it where code looks for it, and keep it fresh there.

        Shows a card with state and expiry, never the token. A parameter may come from a Python variable:
        %gettoken pai-dlc TargetType=job TargetId={job_id}
        """
        arguments = _arguments_of(self.gettoken.parser, line)
        try:
            self._get(arguments)
        except TokenError as caught:
            error = caught.copy()
        else:
            return
        # The cell fails, so that "run all" and papermill stop, but without a traceback, which would only show our code.
        from .card import error_lines  # noqa: PLC0415 (not needed to load the extension)

        lines = error_lines(error)
        error._render_traceback_ = lambda: lines  # type: ignore[attr-defined]
        raise error

    def _get(self, arguments: Namespace) -> None:
        params = _params_of(arguments.params)
        source = self.client.source
        if self._unwatch is None:
            # Not before it is needed: the client's source loads the broker and the providers.
            self._unwatch = source.watch(self.injections.arrived)
        places = _places(arguments)
        key = source.key(arguments.profile, params)
        # Past the client's own table, which does not look whether a profile has changed in the configuration.
        token = source.get(key, refresh=arguments.refresh)
        about = source.about(arguments.profile)
        if not places and about.env:
            places = [env_place(about.env)]
        notes = []
        if not token.has_value:
            notes.append(_describe(token))
            if arguments.env is not None:
                token.reveal()  # raises: this API never returns the value that --env asks for
            places = [place for place in places if place.kind != "env"]
        elif not places:
            notes.append("Not injected: the profile names no environment variable; give --env VAR or --var NAME.")
        self.injections.put(key, token, places)
        held = source.held(key)
        if held is not None and held.token is not token:
            # A refresh in the background was faster than this line.
            self.injections.arrived(key, token := held.token)
        # What is not held had no life at all (ExpireTime=0), and cannot be kept fresh.
        keep = bool(places) and not arguments.once and held is not None and token.expires_at is not None
        (self.refresher.keep if keep else self.refresher.drop)(key)
        self._show(about, token, places, keep=keep, notes=notes)

    def _show(self, about: About, token: Token, places: list[Place], *, keep: bool, notes: list[str]) -> None:
        from .card import Card  # noqa: PLC0415 (not needed to load the extension)

        display(
            Card(
                token=token,
                title=about.title,
                places=[str(place) for place in places],
                kept_fresh=keep,
                mode=self.client.source.mode,
                sandbox=about.sandbox,
                now=datetime.now(UTC),
                notes=notes,
            )
        )


def _arguments_of(parser: MagicArgumentParser, line: str) -> Namespace:
    try:
        # As a shell would: IPython's own splitting leaves quotes where they stand.
        return parser.parse_args(shlex.split(line))
    except ValueError as error:
        raise UsageError(f'{error}: quote a value with an apostrophe or a space in it, name="a b".') from None


def _params_of(words: Sequence[str]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"{word!r} is not of the form name=value.")
        if name in params:
            raise UsageError(f"Parameter {name} is given twice.")
        params[name] = value
    return params


def _places(arguments: Namespace) -> list[Place]:
    places = [] if arguments.var is None else [var_place(arguments.var)]
    return places if arguments.env is None else [*places, env_place(arguments.env)]


def _describe(token: Token) -> str:
    told = ", ".join(f"{name} {token.metadata[name]}" for name in ("name", "id") if name in token.metadata)
    return (
        f"{told}. This API never returns the value of a stored token: read .metadata of get_token({token.profile!r})."
    )


_LOADED = "_jupyter_tokens_magics"


def load(shell: InteractiveShell) -> None:
    """Registers the magics, once."""
    if getattr(shell, _LOADED, None) is None:
        magics = TokenMagics(shell)
        shell.register_magics(magics)
        setattr(shell, _LOADED, magics)


def unload(shell: InteractiveShell) -> None:
    """Takes the magics out of the shell and ends their thread."""
    magics = getattr(shell, _LOADED, None)
    if magics is not None:
        magics.close()
        setattr(shell, _LOADED, None)
        for name in magics.magics["line"]:
            shell.magics_manager.magics["line"].pop(name, None)
