"""The magics. Each parses its line, calls the session and shows the result. The session does the work on tokens."""

from __future__ import annotations

import json
import shlex
import threading
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from datetime import UTC, datetime
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from IPython import get_ipython
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import MagicArgumentParser, argument, magic_arguments
from IPython.display import DisplayHandle, Pretty, display
from traitlets import Bool, List, Unicode

from ..errors import LoginNeeded, TokenError, UnknownProfile
from ..protocol.messages import env_variables
from . import redaction
from ._compat import set_traceback, unregister, wrap
from .card import Card, Notice, error_lines
from .cells import Cells
from .completion import Completion
from .injection import Place, env_places, file_place, sdk_place, var_place
from .session import get_session
from .token_file import FORMATS

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["TokenMagics", "forget", "inject", "load", "unload"]

_PLACES = (
    argument(
        "--env",
        metavar="VAR",
        help="Environment variable (default: the profile's); FIELD=VAR,FIELD=VAR for a token with several values.",
    ),
    argument("--var", metavar="NAME", help="Python variable to put the opaque Token into."),
    argument("--file", metavar="PATH", help="File to write, readable by you alone (mode 0600)."),
    argument(
        "--sdk",
        metavar="TOOL",
        help="Make this unmodified SDK use the token: aws, alibaba, huawei, google, azure, databricks, …",
    ),
    argument(
        "--format",
        choices=FORMATS,
        help="Format of the file: the value alone (default), JSON with the expiry, or a header line for curl -H @PATH.",
    ),
)


def _with_profile_arguments(magic: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments shared by all magics that fetch a token."""
    for place in reversed(_PLACES):
        magic = place(magic)
    magic = argument(
        "params", nargs="*", default=[], metavar="name=value", help="Request parameters, by the vendor's names."
    )(magic)
    return argument("profile", help="Name of a profile in jupyter_tokens_config.")(magic)  # type: ignore[no-any-return]


def _parses_line(method: Callable[[TokenMagics, Namespace], None]) -> Callable[..., None]:
    """Turn a method that takes parsed arguments into a magic that takes a line.

    A `TokenError` or an interrupt fails the cell, so "run all" and papermill stop. No traceback is shown, because it
    would only show our code. The error that is raised is a copy, which does not keep the method's frames alive.
    """

    @wraps(method)
    def magic(self: TokenMagics, line: str, cell: str | None = None) -> None:
        arguments = _parse_arguments(magic.parser, line)  # type: ignore[attr-defined]
        error: BaseException | None = None
        try:
            method(self, arguments)
        except TokenError as caught:
            error, lines = caught.copy(), error_lines(caught)
        except KeyboardInterrupt:
            error, lines = KeyboardInterrupt(), ["KeyboardInterrupt: cancelled"]
        if error is not None:
            set_traceback(error, lines)
            if "params" in arguments:
                # The magic fetches a token.
                self._offer_login(error)
            raise error
        if cell is not None:
            # Only for programs that call the magic themselves: in a cell, `Cells` has turned it into a line magic.
            self.cells.run(cell)

    return magic


@magics_class
class TokenMagics(Magics):
    """The magics of jupyter_tokens in one shell.

    Parameters
    ----------
    shell : InteractiveShell
        The shell.
    """

    redact = Bool(
        default_value=True, help="Whether to redact known tokens and secrets in everything that the kernel sends."
    ).tag(config=True)
    redact_variables = List(
        Unicode(),
        ["*_TOKEN", "*_KEY", "*_SECRET", "*PASSWORD*"],
        help="Patterns for names of environment variables, in capital letters. The values that matching variables had "
        "when the extension was loaded are redacted too if they look like secrets: at least 16 characters, 8 of them "
        "different, and not a path, a URL, a version or a reference such as env:NAME.",
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.session = get_session(shell)
        self.cells = Cells(shell, self.session)
        self.completion = Completion(shell, self.session)
        self.hooks: list[Callable[[], None]] = []

    @magic_arguments()
    @_with_profile_arguments
    @argument("--once", action="store_true", help="Do not keep the token fresh.")
    @argument("--refresh", action="store_true", help="Fetch a new token even if the token that is held is fresh.")
    @line_magic
    @_parses_line
    def gettoken(self, arguments: Namespace) -> None:
        """Fetch a token, put it where code looks for it, and keep it fresh there.

        %gettoken oneaccess                           fills the profile's variable, such as $ONEACCESS_TOKEN
        %gettoken oneaccess --env API_TOKEN           fills another variable; !curl and subprocesses see it
        %gettoken oneaccess --var token               token.headers(), requests.get(url, auth=token.auth)
        %gettoken oneaccess --file t --format header  !curl -H @t https://…
        %gettoken oneaccess --sdk azure               an unmodified SDK finds the token, and requests it again if needed
        %gettoken pai-dlc TargetType=job TargetId={job_id} ExpireTime=3600

        Parameters have the vendor's own names and are added to the profile's parameters; {job_id} is the value of a
        Python variable. Tab completes profiles, parameters and their values. The magic shows a card with state and
        expiry, never the token. It takes no secrets: secrets come from the configuration, or stay on the Jupyter
        server.

        A program that read the variable before a refresh still has the old value: read the variable for each use, or
        use token.auth. With --refresh a new token is fetched even if the token that is held is fresh. The token stays
        where it was put until %deltoken, and without --once it is kept fresh there as long as the kernel runs. If you
        change or delete the variable or the file, it is left as it is: run %gettoken again to put the token back.
        """
        params, places = _parse_params(arguments.params), _parse_places(arguments)
        with _Progress(arguments.profile) as progress:
            outcome = self.session.fetch(
                arguments.profile, params, places=places, keep=not arguments.once, refresh=arguments.refresh
            )
            progress.replace(Card(outcome, self.session.mode, datetime.now(UTC)))

    @magic_arguments()
    @line_magic
    @_parses_line
    def tokens(self, _arguments: Namespace) -> None:
        """List the tokens of this session and the configured profiles.

        Shows where each token is, when it expires, whether it is kept fresh, and what failed in the background. Sends
        no request to an API.
        """
        from .listing import make_listing  # noqa: PLC0415 (loads the cache and asyncio, which %load_ext does without)

        display(make_listing(self.session, datetime.now(UTC)))

    @magic_arguments()
    @argument("profile", help="Name of a profile.")
    @line_magic
    @_parses_line
    def deltoken(self, arguments: Namespace) -> None:
        """Forget a profile's tokens everywhere in this session, and restore what was there before.

        Variables and files get back what they held before the first %gettoken; variables and files that the notebook
        has changed since are left alone. The token is not revoked: any copy of it stays valid until it expires. The
        Jupyter server keeps its own copy for other notebooks.
        """
        profile = arguments.profile
        places, notes = self.session.forget(profile)
        restored = f"Removed, or restored to what was there before: {', '.join(str(place) for place in places)}."
        display(Notice(f"The tokens of {profile} are forgotten.", [*([restored] if places else []), *notes]))

    @magic_arguments()
    @argument("profile", help="Name of a profile.")
    @argument(
        "--device",
        action="store_true",
        help="Has no effect: a notebook always uses a code. Accepted because `jupyter tokens login` has this option.",
    )
    @line_magic
    @_parses_line
    def tokenlogin(self, arguments: Namespace) -> None:
        """Log in to a profile as yourself, in a browser on this or any other device.

        Shows a URL and a code to type there, and waits until you have logged in; interrupt the kernel to stop waiting.
        To log in without a code, use the panel in JupyterLab, or `jupyter tokens login` in a terminal.
        """
        profile = arguments.profile

        def show(login: Mapping[str, Any]) -> None:
            where = f"Open {login['verification_uri']} in any browser, and type the code {login['user_code']}."
            display(Notice(f"Log in to {profile}.", [where]))

        if _is_unattended(self.shell):
            raise LoginNeeded(
                "This notebook runs unattended, so nobody would see the code to type.",
                hint=f"Log in before it runs: jupyter tokens login {profile} in a terminal.",
                profile=profile,
            )
        login = self.session.log_in(profile, show)
        display(Notice(f"Logged in to {profile}" + (f" as {login['who']}." if login["who"] else ".")))

    @magic_arguments()
    @argument("profile", help="Name of a profile.")
    @line_magic
    @_parses_line
    def tokenlogout(self, arguments: Namespace) -> None:
        """Log out of a profile, and revoke the login if the login server supports this.

        Tokens that were fetched before may stay valid until they expire; %deltoken removes them from this session.
        """
        profile = arguments.profile
        revoked = self.session.client.source.logout(profile)
        messages = {
            None: f"Nobody was logged in to {profile}.",
            True: f"Logged out of {profile}; the login server has revoked the login.",
            False: f"Logged out of {profile}. The login could not be revoked on the login server.",
        }
        display(Notice(messages[revoked]))

    @magic_arguments()
    @_with_profile_arguments
    @line_cell_magic
    @_parses_line
    def withtoken(self, arguments: Namespace) -> None:
        """Inject a token for one cell only, and restore what was there before when the cell ends, even with an error.

        Anything that the cell itself puts into the same place stays.

        %%withtoken oneaccess --env API_TOKEN
        !curl -H "Authorization: Bearer $API_TOKEN" https://…

        The token is kept fresh while the cell runs. The cell behaves as it would without this line: its last expression
        is shown, its errors are its own, and it may use await. As a line magic, %withtoken injects the token until the
        end of its cell.
        """
        params, places = _parse_params(arguments.params), _parse_places(arguments)
        with _Progress(arguments.profile):
            self.cells.open_loan(self.session.inject_temporarily(arguments.profile, params, places))

    def _offer_login(self, error: BaseException) -> None:
        """Show a login button after a `LoginNeeded` error, if the tokens come from the Jupyter server.

        The button logs in at that server. Without the button, the error's hint still says how to log in.
        """
        if not isinstance(error, LoginNeeded) or error.profile is None:
            return
        if self.session.mode == "server" and not _is_unattended(self.shell):
            display(Notice(f"Log in to {error.profile}.", ["Then run this cell again."], login=error.profile))


class _Progress:
    """Shows a line if a fetch takes longer than a second, and replaces the line when the fetch ends.

    Another thread shows the line, in the context of the cell, so that it appears below that cell.
    """

    def __init__(self, profile: str) -> None:
        self._profile = profile
        self._line: DisplayHandle | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(_PROGRESS_AFTER_SECONDS, copy_context().run, [self._show])
        self._timer.daemon = True
        self._has_ended = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def _show(self) -> None:
        with self._lock:
            if not self._has_ended:
                text = f"{self._profile}: fetching the token … (to cancel, interrupt the kernel)"
                self._line = display(Pretty(text), display_id=True)

    def replace(self, output: object) -> None:
        """Show an object, in place of the line if there is one."""
        self._end()
        if self._line is None:
            display(output)
        else:
            self._line.update(output)
            self._line = None

    def _end(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._has_ended = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()
        if self._line is not None:
            failed = "cancelled" if kind is KeyboardInterrupt else "not fetched"
            self._line.update(Pretty(f"{self._profile}: {'fetched' if kind is None else failed}"))


_PROGRESS_AFTER_SECONDS = 1.0


def _is_unattended(shell: Any) -> bool:
    """Whether no person is present, because the client allows no input: nbclient, also in papermill and nbconvert."""
    get_parent = getattr(getattr(shell, "kernel", None), "get_parent", None)
    return get_parent is not None and get_parent().get("content", {}).get("allow_stdin") is False


def _parse_arguments(parser: MagicArgumentParser, line: str) -> Namespace:
    try:
        # Split as a shell does: IPython's own splitting keeps the quotes.
        arguments = parser.parse_args(shlex.split(line))
    except ValueError as error:
        raise UsageError(
            f'{error}. Put a value that contains an apostrophe or a space into quotes: name="a b".'
        ) from None
    if getattr(arguments, "format", None) is not None and arguments.file is None:
        raise UsageError("--format needs --file PATH.")
    return arguments


def _parse_params(words: Sequence[str]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"Parameter {word!r} is not of the form name=value.")
        if name in params:
            raise UsageError(f"Parameter {name} is given twice.")
        params[name] = value
    return params


def _parse_places(arguments: Namespace) -> list[Place] | None:
    places = [] if arguments.var is None else [var_place(arguments.var)]
    if arguments.env is not None:
        places += env_places(arguments.env)
    if arguments.file is not None:
        places.append(file_place(arguments.file, arguments.format or "raw"))
    if arguments.sdk is not None:
        places.append(sdk_place(arguments.sdk))
    return places or None


_PACKAGE = "jupyter_tokens"
_LOADED = "_jupyter_tokens_magics"
_UNLOADED = (
    "jupyter_tokens is unloaded: tokens are no longer kept fresh, and outputs are no longer redacted. "
    "Variables and files keep the tokens that they hold."
)


def load(shell: InteractiveShell) -> None:
    """Load the extension into a shell; do nothing if it is already loaded.

    Registers the magics, starts the redaction, and begins to refresh the tokens that the server has injected.
    """
    if getattr(shell, _LOADED, None) is None:
        magics = TokenMagics(shell)
        shell.register_magics(magics)
        magics.cells.open()
        magics.completion.open()
        redaction.start(shell, magics.session.client, lambda: magics.redact, variables=magics.redact_variables)
        magics.hooks = _ignore_reload(shell)
        magics.session.take_over()
        setattr(shell, _LOADED, magics)


def inject(request: str) -> object:
    """Fetch a token into environment variables. The Jupyter server runs this in the kernel to inject or renew a token.

    Parameters
    ----------
    request : str
        The request that was passed to `server.snippets.inject_snippet`: JSON, as hexadecimal digits.

    Returns
    -------
    object
        Its `repr` is the outcome as JSON, without the token's value. None if the server has to send the value itself.
    """
    magics: TokenMagics | None = getattr(get_ipython(), _LOADED, None)
    if magics is None:
        return None
    body = json.loads(bytes.fromhex(request))
    is_renewal = body.get("is_renewal", False)
    if is_renewal and not all(map(magics.session.is_as_filled, env_variables(body["env"]).values())):
        # The notebook has changed the variable, or the server has. The server can tell which: if the variable does not
        # contain what the server sent last, it is left alone.
        return None
    try:
        outcome = magics.session.inject(
            body["profile"], body["params"], body["env"], datetime.fromisoformat(body["obtained_at"])
        )
    except TokenError as error:
        if is_renewal and error.retryable:
            # Nobody waits for this error, and a failure would end the renewal. The server has a newer token already.
            return None
        return _Reply({"state": "failed", "message": str(error), "reason": error.reason})
    if outcome is None:
        return None
    expires_at = outcome.token.expires_at
    return _Reply(
        {
            "state": "done",
            "expires_at": None if expires_at is None else expires_at.isoformat(),
            "kept_fresh": outcome.kept_fresh,
        }
    )


def forget(profile: str) -> object:
    """Remove a profile's tokens from this kernel. The Jupyter server runs this in the kernel for its Forget action.

    Parameters
    ----------
    profile : str
        Hexadecimal digits of the profile's name in UTF-8.

    Returns
    -------
    object
        Its `repr` is the outcome as JSON. None if the extension is not loaded in this kernel.
    """
    magics: TokenMagics | None = getattr(get_ipython(), _LOADED, None)
    if magics is None:
        return None
    try:
        magics.session.forget(bytes.fromhex(profile).decode())
    except UnknownProfile:
        # This kernel holds no token of the profile, so there is nothing to remove.
        pass
    except TokenError as error:
        return _Reply({"state": "failed", "message": str(error), "reason": error.reason})
    return _Reply({"state": "done"})


class _Reply:
    """An outcome whose `repr` is JSON, because the kernel replies to the server with the `repr`."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts

    def __repr__(self) -> str:
        return json.dumps(self._facts)


def unload(shell: InteractiveShell) -> None:
    """Remove the magics from the shell, stop the threads and the redaction, and print what no longer works."""
    magics = getattr(shell, _LOADED, None)
    if magics is not None:
        for unhook in magics.hooks:
            unhook()
        magics.completion.close()
        magics.cells.close()
        magics.session.close()
        redaction.stop(shell)
        unregister(shell, magics)
        setattr(shell, _LOADED, None)
        print(_UNLOADED)  # noqa: T201 (an answer to %unload_ext)


def _ignore_reload(shell: InteractiveShell) -> list[Callable[[], None]]:
    """Make `%load_ext` and `%reload_ext` leave a loaded extension as it is. Return functions that undo this.

    IPython reloads an extension by unloading it, which the extension cannot tell from `%unload_ext`. Reloading would
    load no new code either: it reloads only the package's top module. Portable notebooks contain `%load_ext`, and
    IPython would advise users whose server has loaded the extension to reload it.
    """
    manager: Any = shell.extension_manager

    def unless_loaded(load: Callable[[str], Any], name: str) -> Any:
        return None if name == _PACKAGE and name in manager.loaded else load(name)

    return [wrap(manager, name, unless_loaded) for name in ("load_extension", "reload_extension")]
