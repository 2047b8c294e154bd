"""Redacts known tokens and secrets in what a kernel sends. Protects against accidents, not against an adversary.

Everything that a kernel sends to its clients passes through its session and is searched there (`message_hooks.py`).
Plain IPython and other kinds of kernels have no such session; there, narrower hooks are used (`narrow_hooks.py`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from math import inf
from typing import TYPE_CHECKING, Any

from ...config.secrets import watch_values
from ...scan.values import is_reference
from ...token import Secret, Token
from .._compat import DELIMITER, kernel_session, wrap
from ..at_start import filled_variables
from .known_values import KnownValues
from .message_hooks import MessageHooks
from .narrow_hooks import NarrowHooks
from .records import Records
from .revealing import is_revealing, revealing
from .search import RUN, Search

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ...client import Client
    from ...clock import Clock
    from ...sources.cache import Key

__all__ = ["Redaction", "revealing", "start", "stop"]

_STARTED = "_jupyter_tokens_redaction"
# `EXPRESSION` of server/snippets.py, which the kernel does not import: the name of the server's user expressions.
_PUSH = "jupyter_tokens"
_MIN_DISTINCT = 8
"""A variable's value is taken for a secret only if it has at least this many different characters."""


class Redaction:
    """Redacts known values in what one shell sends, from `open` until `close`.

    Parameters
    ----------
    shell : InteractiveShell
        The shell.
    client : Client
        The client whose tokens are redacted.
    enabled : callable
        Called for each message; returns whether to redact.
    variables : iterable of str
        Patterns for names of environment variables. Their current values are redacted if they look like secrets.
    clock : Clock, optional
        By default the system's clock.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        client: Client,
        enabled: Callable[[], bool],
        *,
        variables: Iterable[str] = (),
        clock: Clock | None = None,
    ) -> None:
        self._shell = shell
        self._client = client
        self._enabled = enabled
        self._variables = tuple(variables)
        self._clock = clock
        self._known = KnownValues(clock)
        self._source: object = None
        self._cleanups: list[Callable[[], None]] = []

    def open(self) -> None:
        """Install the hooks. Warns if the kernel's messages cannot be searched."""
        self._cleanups.append(watch_values(self._add_values))
        self._add_variables()
        # After the variables, so that the label names the profile instead of its variable.
        self._add_filled()
        self._cleanups += [Records(self._shell, self.search).close, self._hook_pushes()]
        session = kernel_session(self._shell)
        problem = self._hook_messages(session) if session is not None else None
        if session is None or problem:
            self._cleanups.append(NarrowHooks(self._shell, self.search).close)
        if problem:
            warnings.warn(
                f"jupyter_tokens cannot search all messages of this kernel ({problem}). Known tokens are redacted only "
                "in what is printed, displayed and raised: see docs/redaction.md.",
                UserWarning,
                stacklevel=2,
            )

    def close(self) -> None:
        """Remove the hooks, and forget all values."""
        while self._cleanups:
            self._cleanups.pop()()
        self._known = KnownValues(self._clock)

    def search(self) -> Search | None:
        """Return the search for the values to redact now; None if redaction is off."""
        if is_revealing() or not self._enabled():
            return None
        if self._client.opened is not self._source:
            self._watch_source()
        return self._known.search()

    def _hook_messages(self, session: Any) -> str | None:
        """Hook into the session's messages. Return what is wrong if that does not work, else None."""
        hooks = MessageHooks(session, self.search)
        problem = self._self_test(session)
        if problem:
            hooks.close()
            return problem
        self._cleanups.append(hooks.close)
        return None

    def _self_test(self, session: Any) -> str | None:
        """Send a made-up value to a dummy socket, and check that it is redacted. Return what is wrong, or None."""
        others = {getattr(part, "session", session) for part in (self._shell.displayhook, self._shell.display_pub)}
        if others != {session}:
            return "it sends through several sessions"
        # Long, because short values slow down the search.
        value = f"canary-{os.urandom(32).hex()}"
        sent, enabled = _Sent(), self._enabled
        self._known.add(value, "canary")
        self._enabled = lambda: True
        try:
            session.send(sent, "display_data", {"data": {"text/plain": f"<{value}>"}}, buffers=[value.encode()])
            session.send(sent, "stream", {"name": "stdout", "text": value})
            leaked = any(self._known.search().may_hold(part) for parts in sent.messages for part in parts)
        except Exception as error:
            return f"a message could not be sent: {type(error).__name__}"
        finally:
            self._enabled = enabled
            self._known.discard(value)
        if leaked or len(sent.messages) != 2:  # noqa: PLR2004
            return "a test value was not redacted"
        for parts in sent.messages:
            at = parts.index(DELIMITER) + 1
            if parts[at] != session.sign(parts[at + 1 : at + 5]):
                return "a message had a wrong signature"
        return None

    # The values to redact

    def add(self, value: str, profile: str, ends_at: float = inf) -> None:
        """Redact a token from now on, for example one that the server has put into a variable.

        Parameters
        ----------
        value : str
            The value to redact.
        profile : str
            Name of the token's profile, for the label that replaces the value.
        ends_at : float
            Expiry in seconds since the epoch; infinity if it is not known.
        """
        self._known.add(value, f"token {profile}", ends_at)

    def _add_values(self, profile: str, value: Secret | Token) -> None:
        if isinstance(value, Secret):
            self._known.add(value.reveal(), f"secret {profile}")
        else:
            if value.has_value:
                ends_at = inf if value.expires_at is None else value.expires_at.timestamp()
                for each in value.values().values():
                    self.add(each, profile, ends_at)
            for part in value.metadata.values():
                if isinstance(part, Secret):
                    self._add_values(profile, part)

    def _on_token(self, key: Key, token: Token) -> None:
        self._add_values(key.profile, token)

    def _watch_source(self) -> None:
        # Only when something else has opened the source: opening it imports the sources and the providers.
        source = self._source = self._client.opened
        if source is not None:
            self._cleanups.append(source.watch(self._on_token))
            for held in map(source.held, source.keys()):
                if held is not None:
                    self._add_values(held.token.profile, held.token)

    def _add_variables(self) -> None:
        """Redact the values of variables that match a pattern and look like secrets."""
        for name, value in os.environ.items():
            named = any(fnmatchcase(name.upper(), pattern) for pattern in self._variables)
            if named and len(value) >= RUN and len(set(value)) >= _MIN_DISTINCT and not is_reference(value, uuid=True):
                self._known.add(value, f"variable {name}")

    def _add_filled(self) -> None:
        """Redact the tokens that the server has put into this kernel's environment."""
        for name, filled in filled_variables(os.environ).items():
            self.add(os.environ[name], filled.profile)

    def _hook_pushes(self) -> Callable[[], None]:
        """Redact the tokens that the server puts into a running kernel's environment. Return an undo function."""

        def evaluate_and_add(evaluate: Callable[..., Any], expressions: Mapping[str, str]) -> Any:
            results = evaluate(expressions)
            if _PUSH in expressions:
                self._add_filled()
            return results

        # IPython fires no event for user expressions.
        return wrap(self._shell, "user_expressions", evaluate_and_add)


class _Sent:
    """A dummy socket that records what is sent."""

    def __init__(self) -> None:
        self.messages: list[list[bytes]] = []

    def send_multipart(self, parts: list[bytes], **_options: Any) -> None:
        self.messages.append(parts)


def start(
    shell: InteractiveShell,
    client: Client,
    enabled: Callable[[], bool] = lambda: True,
    *,
    variables: Iterable[str] = (),
    clock: Clock | None = None,
) -> None:
    """Start to redact known values in what a shell sends, if not started yet. For the parameters see `Redaction`."""
    if getattr(shell, _STARTED, None) is None:
        redaction = Redaction(shell, client, enabled, variables=variables, clock=clock)
        redaction.open()
        setattr(shell, _STARTED, redaction)


def stop(shell: InteractiveShell) -> None:
    """Stop redacting, and remove the hooks."""
    redaction = getattr(shell, _STARTED, None)
    if redaction is not None:
        redaction.close()
        setattr(shell, _STARTED, None)
