"""One profile as a row with its state and buttons, and on demand its details below.

Actions run on a separate thread, so that a click does not block the kernel. The feed's thread renders the outcome.

A token's value is only sent to a front end that can show or copy the value without saving it. The value is sent over a
separate comm, because the state of widgets is saved with the notebook. The comm is opened without the value. The value
follows after the front end has confirmed that it can show or copy it. docs/widgets.md describes the protocol.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import comm
from ipywidgets import HTML, Button, HBox, Layout, ToggleButton, VBox

from ..errors import ParameterError, TokenError
from ..kernel.injection import Place, env_places
from ..kernel.redaction.revealing import revealing
from . import markup
from .form import Details
from .live import close_all

if TYPE_CHECKING:
    from datetime import datetime

    from ..kernel.status import Outcome, Status
    from ..protocol.messages import ProfileEntry
    from ..sources.cache import Key
    from ..token import Token
    from .live import Feed

__all__ = ["COMM_TARGET", "SHOW_SECONDS", "Action", "NotShown", "ProfileRow", "best", "hand_over"]

Action = Literal["show", "copy"]

COMM_TARGET = "jupyter_tokens.reveal"
"""Name of the comm target that the front end registers."""
SHOW_SECONDS = 20
"""Seconds for which a value is shown."""
_ANSWER_TIMEOUT_SECONDS = 2.0
_RANKS = ("fresh", "aging", "login", "failed", "expired", "none")
_log = logging.getLogger(__name__)


def best(statuses: Sequence[Status]) -> Status | None:
    """Return the status to show for a profile: that of a valid token if possible; None if there is no status."""
    return min(statuses, key=lambda status: _RANKS.index(status.state), default=None)


class ProfileRow:
    """The widgets of one profile.

    Parameters
    ----------
    feed : Feed
        The session's feed.
    entry : ProfileEntry
        The profile.
    given : mapping, optional
        Initial values of the parameters.
    opened : bool
        Whether the details are open from the start.

    Attributes
    ----------
    box : VBox
        Contains the widgets.
    """

    def __init__(
        self, feed: Feed, entry: ProfileEntry, given: Mapping[str, Any] | None = None, *, opened: bool = False
    ) -> None:
        self.entry = entry
        self._feed = feed
        self._given = dict(given or {})
        self._key: Key | None = None
        self._details_lock, self._actions_lock = threading.Lock(), threading.Lock()
        # Clicked actions that have not ended, the running action first. The key is the text shown while an action runs.
        self._actions: dict[str, Callable[[], Sequence[str]]] = {}
        self._message_html = ""
        self._failed = False
        self._expiry_at_failure: datetime | None = None
        self._status: Status | None = None
        self._details: Details | None = None
        self._state = HTML(layout=Layout(flex="0 0 8em", width="auto"))
        self._places = HTML(
            layout=Layout(flex="0 1 auto", max_width="16em", width="auto", margin="2px 12px", overflow="hidden")
        )
        self._message = HTML(layout=Layout(display="none", margin="0 0 4px 0", width="auto"))
        self._more = ToggleButton(
            description="More", tooltip=f"Parameters and further actions for {entry.name}", layout=Layout(width="auto")
        )
        self._more.observe(self._on_toggle, "value")
        head = HTML(
            markup.head(entry), layout=Layout(flex="1 1 12em", min_width="8em", width="auto", overflow="hidden")
        )
        line = [head] if entry.error else [head, self._places, self._state, HBox([*self._buttons(), self._more])]
        self._line = HBox(line, layout=Layout(align_items="center", flex_flow="row wrap", width="auto"))
        layout = Layout(padding="3px 8px", width="auto", overflow="hidden", border_top=markup.RULE)
        self.box = VBox([self._line, self._message], layout=layout)
        if opened and not entry.error:
            self._more.value = True

    def shows(self, entry: ProfileEntry) -> bool:
        """Whether these widgets fit this entry: nothing that they show has changed since they were created."""
        shown = self.entry
        if str(shown.error) != str(entry.error):
            return False
        # Errors are compared by their text, because each read creates new ones. The server's own state and failure are
        # not shown in a row.
        return shown._replace(error=None, state=entry.state, failing=entry.failing) == entry._replace(error=None)

    def close(self) -> None:
        """Remove the widgets from the page."""
        close_all(self.box)

    def render(self, statuses: Sequence[Status], now: float) -> bool:
        """Render the state of the profile's token, its places, and a message; return whether a countdown is running."""
        status = self._status = self._status_to_show(statuses)
        if self._has_recovered(status):
            self._message_html, self._failed = "", False
        self._state.value = markup.state(status, now, max(len(statuses) - 1, 0))
        self._places.value = markup.places(status)
        error = self.entry.error or (status.error if status is not None else None)
        message = self._message_html or (self._failure(error) if error is not None else "")
        self._message.value = message
        self._message.layout.display = None if message else "none"
        return status is not None and status.expires_at is not None and status.state in {"fresh", "aging"}

    def _status_to_show(self, statuses: Sequence[Status]) -> Status | None:
        if self._key is not None:
            params = dict(self._key.params)
            for status in statuses:
                if status.params == params:
                    return status
        return best(statuses)

    def _has_recovered(self, status: Status | None) -> bool:
        """Whether the row shows a failure, although the profile has a new token by now."""
        if not self._failed or status is None or status.state != "fresh":
            return False
        return status.expires_at != self._expiry_at_failure

    def _buttons(self) -> list[Button]:
        name = self.entry.name
        return [
            _button("Fetch", f"Fetch a token for {name}, unless a valid token is cached", self.fetch),
            _button("Inject", f"Put a token for {name} into a variable or file, and keep it fresh there", self.inject),
            _button("Refresh", f"Fetch a new token for {name} now", self.refresh),
        ]

    def _detail_buttons(self) -> list[Button]:
        forget = _button(
            "Forget", f"Forget the tokens of {self.entry.name}, and restore what their places held before", self.forget
        )
        if not self.entry.may_reveal:
            return [forget]
        condition = "if the page can do so without saving the token"
        return [
            _button("Show", f"Show the token for {SHOW_SECONDS} s, {condition}", self.show),
            _button("Copy", f"Copy the token, {condition}", self.copy),
            forget,
        ]

    def _on_toggle(self, change: Mapping[str, Any]) -> None:
        with self._details_lock:
            if self._details is None:
                self._details = Details(self.entry, self._given, self._detail_buttons())
                self.box.children = (self._line, self._message, self._details.box)
        self._details.box.layout.display = None if change["new"] else "none"

    # Actions of the buttons

    def fetch(self) -> None:
        """Fetch a token unless a valid token is cached. Does not inject it."""
        self._start_action("Fetching …", lambda: self._fetch().notes)

    def refresh(self) -> None:
        """Fetch a new token, which replaces the old token wherever it was injected."""
        self._start_action("Fetching a new token …", lambda: self._fetch(refresh=True).notes)

    def inject(self) -> None:
        """Put a token into the chosen place, by default the profile's variable, and keep it fresh there."""
        self._start_action("Injecting …", self._inject)

    def forget(self) -> None:
        """Forget the profile's tokens, and restore what their places held before."""
        self._start_action("Forgetting …", self._forget)

    def show(self) -> None:
        """Make the front end show the token's value for `SHOW_SECONDS` seconds. Fetches the token if necessary."""
        self._start_action("Asking the page to show the token …", lambda: self._reveal("show"))

    def copy(self) -> None:
        """Make the front end copy the token's value. Fetches the token if necessary."""
        self._start_action("Asking the page to copy the token …", lambda: self._reveal("copy"))

    def _start_action(self, progress: str, work: Callable[[], Sequence[str]]) -> None:
        with self._actions_lock:
            # A second click on the same button is ignored; clicks on other buttons are queued.
            if progress in self._actions:
                return
            self._actions[progress] = work
            if len(self._actions) == 1:
                self._start_thread()

    def _start_thread(self) -> None:
        name = f"jupyter_tokens widgets: {self.entry.name}"
        try:
            threading.Thread(target=self._run_actions, name=name, daemon=True).start()
        except RuntimeError:
            self._actions.clear()
            self._show_message(["The kernel has too many threads. Try again later."])

    def _run_actions(self) -> None:
        while True:
            progress, work = next(iter(self._actions.items()))
            self._show_message([progress])
            self._run_action(work)
            self._feed.read_now()
            with self._actions_lock:
                del self._actions[progress]
                if not self._actions:
                    return

    def _run_action(self, work: Callable[[], Sequence[str]]) -> None:
        try:
            self._show_message(work())
        except TokenError as error:
            self._expiry_at_failure = self._status.expires_at if self._status is not None else None
            self._message_html, self._failed = self._failure(error), True
            if isinstance(error, ParameterError):
                # Open the details, where the parameter can be corrected.
                self._more.value = True
        except Exception as error:
            # A bug in this package. The text of the error is left out, because it may contain a secret.
            _log.warning("An action of a widget failed: %s", type(error).__name__)
            self._show_message([f"The action failed: an unexpected error ({type(error).__name__})."])

    def _failure(self, error: TokenError) -> str:
        # The login button logs in at the Jupyter server. This does not help a kernel that fetches tokens itself.
        return markup.failure(error, offer_login=self._feed.session.mode == "server")

    def _show_message(self, lines: Sequence[str]) -> None:
        self._message_html, self._failed = markup.note(lines), False
        self._feed.render_now()

    def _params(self) -> Mapping[str, Any]:
        return self._given if self._details is None else self._details.params()

    def _fetch(self, places: Sequence[Place] = (), *, refresh: bool = False) -> Outcome:
        outcome = self._feed.session.fetch(self.entry.name, self._params(), places=places, refresh=refresh)
        self._key = outcome.key
        return outcome

    def _inject(self) -> Sequence[str]:
        if self._details is not None:
            places = self._details.places()
        elif self.entry.env:
            places = env_places(self.entry.env)
        else:
            raise ParameterError('Enter the variable or the file to put the token into, next to "Inject into".')
        return self._fetch(places).notes

    def _forget(self) -> Sequence[str]:
        places, notes = self._feed.session.forget(self.entry.name)
        self._key = None
        restored = [f"Restored: {', '.join(map(str, places))}."] if places else []
        return [*restored, *notes]

    def _reveal(self, action: Action) -> Sequence[str]:
        hand_over(self._fetch().token, action)
        return ["Copied."] if action == "copy" else [f"Shown for {SHOW_SECONDS} s."]


def _button(text: str, tooltip: str, act: Callable[[], None]) -> Button:
    button = Button(description=text, tooltip=tooltip, layout=Layout(width="auto"))
    button.on_click(lambda _button: act())
    return button


class NotShown(TokenError):
    """No connected front end has shown or copied the value."""


def hand_over(token: Token, action: Action, *, timeout: float = _ANSWER_TIMEOUT_SECONDS) -> None:
    """Make the front end show or copy a token's value. Blocks until the front end confirms that this is done.

    Parameters
    ----------
    token : Token
        The token.
    action : {"show", "copy"}
        What the front end has to do.
    timeout : float
        Seconds to wait for each of the front end's two answers.

    Raises
    ------
    NotShown
        No front end has confirmed in time that it has shown or copied the value without saving it.
    NoValue
        The token has no value.
    """
    body = {"profile": token.profile, "action": action, "seconds": SHOW_SECONDS}
    values = token.values()
    value = values.get("") or "\n".join(f"{field}={each}" for field, each in values.items())
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # Registered before the comm is opened, so that no answer can be missed.
    channel = comm.create_comm(target_name=COMM_TARGET, primary=False)
    channel.on_msg(lambda message: answers.put(message["content"].get("data")))
    closed = threading.Event()

    def on_close(message: dict[str, Any]) -> None:
        closed.set()
        # The message may contain the outcome. But a front end that has closed the comm accepts no value any more.
        answers.put({**(message["content"].get("data") or {}), "ready": False})

    channel.on_close(on_close)
    try:
        channel.open(data=body)
        _expect(answers, "ready", timeout)
        if closed.is_set():
            raise _not_shown()
        with revealing():
            channel.send({**body, "value": value})
        _expect(answers, "shown", timeout, unless=[*values.values()])
    finally:
        if not closed.is_set():
            channel.close()


def _expect(answers: queue.SimpleQueue[Any], word: str, timeout: float, *, unless: Sequence[str] = ()) -> None:
    """Wait for an answer in which `word` is true. Raise `NotShown` for any other answer, or without an answer.

    The message of `NotShown` is the answer's error text, unless that text contains a string in `unless`.
    """
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        answer = None
    if not isinstance(answer, dict):
        raise _not_shown()
    if answer.get(word) is not True:
        problem = str(answer.get("error") or "")
        raise _not_shown("" if any(value in problem for value in unless) else problem[:200])


def _not_shown(problem: str = "") -> NotShown:
    return NotShown(
        problem or "This page cannot show or copy a token without saving it, or did not answer in time.",
        hint="Install jupyter_tokens in JupyterLab's environment too, or run `jupyter tokens get` in a terminal.",
    )
