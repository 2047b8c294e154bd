"""Fetches, injects, refreshes and forgets the tokens of one notebook session, for the magics and the widgets."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .._util.hints import closest
from ..client import Client, shared_client
from ..clock import Clock, SystemClock
from ..errors import LoginNeeded, ParameterError, ServerGone, TokenError, Unauthorized, UnknownProfile
from ..protocol.messages import About
from .at_start import FilledVariables
from .background import Failures, Reporter
from .injection import Injections, Place, env_place, env_places, sdk_place
from .refresher import Refresher
from .status import Forgotten, Outcome, Status, is_fixed_on_server, not_fetched

if TYPE_CHECKING:
    from datetime import datetime

    from ..protocol.handles import Handle
    from ..protocol.messages import Env, ProfileEntry
    from ..providers.base import Listed
    from ..sources.base import TokenSource
    from ..sources.cache import Held, Key, Standing
    from ..token import Token

__all__ = ["Loan", "TokenSession", "get_session"]

_NONE: Mapping[str, Any] = {}
_ENTRIES_SECONDS = 1.0
"""How long a list of the profiles is reused."""
_log = logging.getLogger(__name__)


class Loan:
    """Injects a token for the length of a `with` block. The block gets the `Outcome` of the fetch.

    The token is kept fresh during the block. Afterwards, even after an exception or an interrupt, the places get back
    what they held before. A token that was not held before is forgotten, unless the block itself has injected it to
    stay. Anything else that the block has put into a place stays too. `close` may be called several times, even
    before the block is entered.
    """

    def __init__(self, begin: Callable[[Loan], Outcome]) -> None:
        self._begin = begin
        self.cleanups: list[Callable[[], None]] = []

    def __enter__(self) -> Outcome:
        try:
            return self._begin(self)
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Restore what the places held before. Raises `TokenError` if a file could not be restored."""
        problem: TokenError | None = None
        while self.cleanups:
            try:
                self.cleanups[-1]()
            except TokenError as error:
                problem = error.copy()
            # Removed only now, so that the next call repeats a cleanup that was interrupted.
            self.cleanups.pop()
        if problem is not None:
            raise problem


class TokenSession:
    """The tokens of one notebook session. Thread-safe. Methods display nothing, and block only where documented.

    Parameters
    ----------
    namespace : mutable mapping
        The notebook's variables.
    client : Client, optional
        Fetches the tokens; by default the process's client.
    clock : Clock, optional
        By default the system's clock.
    """

    def __init__(
        self, namespace: MutableMapping[str, Any], client: Client | None = None, *, clock: Clock | None = None
    ) -> None:
        self.client = client or shared_client()
        self._filled = FilledVariables(os.environ)
        self.injections = Injections(namespace)
        self.refresher = Refresher(self.client, on_failure=self._on_failure, clock=clock)
        self._clock = clock or SystemClock()
        self._watchers: list[Callable[[], None]] = []
        self._reporter = Reporter(self._report)
        self._unwatch: Callable[[], None] | None = None
        self.failures = Failures()
        self._kept_fresh: set[Key] = set()
        self._loans: dict[Loan, Key] = {}
        self._entries: list[ProfileEntry] = []
        self._read_entries_at = 0.0
        self._lock = threading.Lock()
        _sessions.add(self)

    # Actions

    def fetch(
        self,
        profile: str,
        params: Mapping[str, Any] = _NONE,
        *,
        places: Sequence[Place] | None = None,
        keep: bool = True,
        refresh: bool = False,
    ) -> Outcome:
        """Fetch a token, put it where code looks for it, and keep it fresh there. Blocks.

        Parameters
        ----------
        profile : str
            Name of the profile.
        params : mapping, optional
            Request parameters, by the vendor's names.
        places : sequence of Place, optional
            Where to put the token; by default into the variable or SDK that the profile names. An empty sequence puts
            it nowhere.
        keep : bool
            Whether to keep the token fresh. A token without a known expiry is never kept fresh. If the token is put
            nowhere, True changes nothing.
        refresh : bool
            Whether to fetch a new token even if a fresh one is held. If the last refresh was refused, a new token is
            always fetched.

        Raises
        ------
        TokenError
            The token could not be fetched or injected.
        """
        key, token, about = self._get(profile, params, refresh=refresh, retry=True)
        filled, notes = self._choose_places(key, token, about, places)
        self.injections.put(key, token, filled)
        token, held = self._latest(key, token)
        if filled or keep is False:
            # A token that expired immediately (ExpireTime=0) is not held, and cannot be kept fresh.
            is_kept = keep and held is not None and token.expires_at is not None
            (self._kept_fresh.add if is_kept else self._kept_fresh.discard)(key)
            self._update_refresher(key)
        self._notify()
        return Outcome(key, token, about, filled, self.refresher.keeps(key), notes)

    def inject(self, profile: str, params: Mapping[str, Any], env: Env, obtained_at: datetime) -> Outcome | None:
        """Fetch a token and put it into environment variables, for the Jupyter server's Inject action. Blocks.

        Parameters
        ----------
        profile : str
            Name of the profile.
        params : mapping
            Request parameters, by the vendor's names.
        env : str or mapping of str to str
            The variable, or one for each of the token's fields.
        obtained_at : datetime
            When the server obtained its token. If the token that is held here is older, a newer token is fetched.

        Returns
        -------
        Outcome or None
            None if this session does not get its tokens from the server, or gets none because the server cannot be
            reached. The server then has to send the value itself.

        Raises
        ------
        TokenError
            The token could not be fetched or injected.
        """
        source = self._source()
        if not source.is_remote:
            return None
        try:
            key = source.key(profile, params)
            held = source.held(key)
            if held is not None and held.token.obtained_at < obtained_at:
                source.get(key, newer_than=held.token.obtained_at)
            return self.fetch(profile, params, places=env_places(env))
        except ServerGone:
            return None

    def is_as_filled(self, variable: str) -> bool:
        """Whether an environment variable still holds what the server had put there when this session began."""
        return self._filled.is_as_filled(variable, os.environ.get(variable))

    def take_over(self) -> None:
        """Take over the refresh of the tokens that the server has put into the environment. Returns immediately."""
        if self._filled.items():
            threading.Thread(target=self._take_over, name="jupyter_tokens start", daemon=True).start()

    def _take_over(self) -> None:
        for profile, params, env in self._filled.tokens():
            try:
                if not self._source().is_remote:
                    return
                self._get(profile, params)
                if all(map(self.is_as_filled, env.values())):
                    self.fetch(profile, params, places=env_places(env))
            except TokenError as error:
                # `%tokens` shows the error, and the server continues to keep the variables fresh.
                _log.debug("%s: the kernel does not keep fresh what the server has injected: %s", profile, error.reason)

    def inject_temporarily(
        self, profile: str, params: Mapping[str, Any] = _NONE, places: Sequence[Place] | None = None
    ) -> Loan:
        """Return a context manager that injects a token and restores what was there before. See `Loan`."""
        return Loan(partial(self._begin_loan, profile, params, places))

    def log_in(self, profile: str, show: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
        """Log a person in as `TokenSource.log_in` does. Blocks until the login has ended.

        Afterwards, tokens of the profile that should be kept fresh but are no longer held are fetched in the
        background.
        """
        login = self._source().log_in(profile, show)
        self.refresher.retry(profile)
        return login

    def forget(self, profile: str, params: Mapping[str, Any] | None = None) -> Forgotten:
        """Forget a profile's tokens everywhere in this session, and restore what was there before.

        Places that hold something else by now are left alone. Tokens that the server put into the environment are
        removed too, unless `params` are given. Blocks: it may request the profiles from the Jupyter server.

        Parameters
        ----------
        profile : str
            Name of the profile.
        params : mapping, optional
            Forget only the token with these parameters.

        Returns
        -------
        Forgotten
            The restored places, and sentences about the places that were left alone.

        Raises
        ------
        UnknownProfile
            The profile is not configured, and no token of it is held or `params` are given.
        ParameterError
            A parameter in `params` is invalid. Nothing has been forgotten.
        TokenError
            A file could not be restored; everything else has been forgotten. Or the profiles cannot be read; then
            nothing has been forgotten.
        """
        source = self._source()
        keys = {key for key in self._known_keys() if key.profile == profile}
        if params is not None:
            keys &= {source.key(profile, params)}
        if not keys and profile not in {filled.profile for _, filled in self._filled.items()}:
            self._check_configured(profile)
        places: list[Place] = []
        problem: TokenError | None = None
        for key in sorted(keys, key=repr):
            self._kept_fresh.discard(key)
            self.failures.discard(key)
            self.refresher.drop(key)
            self.client.source.forget(key)
            try:
                places += self.injections.remove(key)
            except TokenError as error:
                problem = error.copy()
        if params is None:
            places += [place for place in self._remove_filled(profile) if place not in places]
        self._notify()
        if problem is not None:
            raise problem
        return Forgotten(places, self.injections.pop_notices())

    # State

    def entries(self) -> list[ProfileEntry]:
        """Return the configured profiles, read at most a second ago. Blocks: may request them from the Jupyter server.

        Raises
        ------
        TokenError
            The configuration cannot be read, or the server does not answer.
        """
        if self._clock.elapsed() >= self._read_entries_at:
            source = self._source()
            source.expire_config()
            entries = source.entries()
            changed = list(map(_comparable, entries)) != list(map(_comparable, self._entries))
            self._entries, self._read_entries_at = entries, self._clock.elapsed() + _ENTRIES_SECONDS
            if changed:
                self._notify()
        return self._entries

    @property
    def last_entries(self) -> list[ProfileEntry]:
        """The last result of `entries`. Does not block."""
        return self._entries

    def list_values(self, profile: str, param: str, given: Mapping[str, Any]) -> list[Listed]:
        """List the values that a parameter can have, if the API can list them. Blocks: it sends a request to the API.

        For the parameters and errors see `TokenSource.list_values`.
        """
        return self._source().list_values(profile, param, given)

    def statuses(self) -> list[Status]:
        """Return a status for each token that is held, injected or failed, and for each other profile.

        The profiles are those in `last_entries`. Sends no request.

        Raises
        ------
        TokenError
            The configuration cannot be read.
        """
        source = self._source()
        entries = {entry.name: entry for entry in self._entries}
        rows = [self._status(key, source.standing(key), entries.get(key.profile)) for key in self._known_keys()]
        held = {row.profile for row in rows}
        rows += [not_fetched(entry) for entry in self._entries if entry.name not in held]
        order = {name: number for number, name in enumerate(entries)}
        return sorted(rows, key=lambda row: (order.get(row.profile, len(order)), row.profile, repr(row.params)))

    def notices(self) -> list[str]:
        """Return what happened in the background since the last call: failures, and places that were left alone."""
        return [*self.failures.pop_notices(), *self.injections.pop_notices()]

    def holdings(self) -> list[Mapping[str, Any]]:
        """Return which tokens are held and in which variables, for the server: without values and file paths."""
        source, now = self.client.source, self._clock.elapsed()
        found: list[Mapping[str, Any]] = []
        for key in sorted(self._known_keys(), key=repr):
            held, places = source.held(key), self.injections.places(key).filled
            if not places and (held is None or held.ends_at <= now):
                continue
            expires_at = None if held is None else held.token.expires_at
            fact = {
                "profile": key.profile,
                "expires_at": None if expires_at is None else expires_at.isoformat(),
                "kept_fresh": self.refresher.keeps(key),
            }
            variables: list[str | None] = [place.name for place in places if place.kind == "env"]
            found += [{**fact, "env": variable} for variable in variables or [None]]
        return found

    def handles(self) -> list[Handle]:
        """Return the handles that this kernel has requested for workers, and whose leases it still renews."""
        return self.client.leases.handles

    def watch(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Call `on_change`, on any thread, whenever a status may have changed; returns an unsubscribe function.

        `on_change` must be quick, and must not call methods of the session that block.
        """
        self._watchers.append(on_change)
        return partial(self._watchers.remove, on_change)

    @property
    def mode(self) -> str:
        """Where the tokens come from: "server", "direct", "direct (REASON)" or "handle". See `TokenSource.mode`."""
        return self._source().mode

    @property
    def connection_error(self) -> TokenError | None:
        """Why the Jupyter server did not answer the last request; None if it did, or if no server is used."""
        return self._source().connection_error

    def close(self) -> None:
        """Stop keeping tokens fresh. Injected tokens stay where they are."""
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        self.refresher.stop()
        self._kept_fresh.clear()
        self._notify()
        self._reporter.stop()
        self._reporter = Reporter(self._report)

    # Internals

    def _source(self) -> TokenSource:
        source = self.client.source
        if self._unwatch is None:
            with self._lock:
                if self._unwatch is None:  # pragma: no branch (another thread was faster)
                    # Not in `__init__`: this needs the open source, and opening it imports the providers.
                    self._unwatch = source.watch(self._on_token, self._on_tokens_lost)
        return source

    def _get(
        self, profile: str, params: Mapping[str, Any], *, refresh: bool = False, retry: bool = False
    ) -> tuple[Key, Token, About]:
        source = self._source()
        # A user waits for the result, so changes to the configuration must take effect immediately.
        source.expire_config()
        key = source.key(profile, params)
        held = source.held(key)
        if retry and held is not None and isinstance(held.error, Unauthorized | LoginNeeded):
            # In the background, a refused credential is not sent again. By now the user may have corrected it.
            refresh = True
        try:
            token = source.get(key, refresh=refresh)
        except TokenError:
            self._notify()
            raise
        return key, token, source.about(profile)

    def _latest(self, key: Key, token: Token) -> tuple[Token, Held | None]:
        held: Held | None = self._source().held(key)
        if held is not None and held.token is not token:
            # A refresh in the background was faster than this fetch.
            for problem in self.injections.update(key, held.token):
                self.failures.add(key, problem)
            return held.token, held
        return token, held

    def _update_refresher(self, key: Key) -> None:
        is_kept = key in self._kept_fresh or key in tuple(self._loans.values())
        (self.refresher.keep if is_kept else self.refresher.drop)(key)

    def _begin_loan(
        self, profile: str, params: Mapping[str, Any], places: Sequence[Place] | None, loan: Loan
    ) -> Outcome:
        # Each cleanup is registered before the step that it undoes, in case an interrupt comes in between.
        source = self._source()
        key = source.key(profile, params)
        if source.held(key) is None:
            loan.cleanups.append(partial(self._forget_loaned, key))
        key, token, about = self._get(profile, params)
        filled, notes = self._choose_places(key, token, about, places)
        if not filled:
            raise ParameterError(
                "There is nowhere to put the token for this cell: the profile sets no environment variable, or the "
                "token has no value.",
                hint="Give --var NAME or, if the token has a value, --env VAR or --file PATH.",
                profile=profile,
            )
        loan.cleanups.append(partial(self.injections.end_loan, loan))
        self.injections.put_temporarily(key, token, filled, loan)
        token, held = self._latest(key, token)
        if held is not None and token.expires_at is not None:
            loan.cleanups.append(partial(self._end_loan, loan, key))
            self._loans[loan] = key
            self._update_refresher(key)
        self._notify()
        return Outcome(key, token, about, filled, self.refresher.keeps(key), notes)

    def _choose_places(
        self, key: Key, token: Token, about: About, requested: Sequence[Place] | None
    ) -> tuple[list[Place], list[str]]:
        """Return the places for a token, and sentences about what the user should know."""
        if requested is None and about.sdk:
            requested = [sdk_place(about.sdk)]
        tools = [place.name for place in requested or () if place.kind == "sdk"]
        if not tools:
            return _choose_places(token, about, requested)
        from .sdk_places import conflict_notes, places_for  # noqa: PLC0415 (few need it)

        places, notes = _choose_places(token, about, [place for place in requested or () if place.kind != "sdk"])
        for tool in tools:
            places += places_for(tool, key, token, self._source())
            notes += conflict_notes(tool, os.environ)
        return places, notes

    def _end_loan(self, loan: Loan, key: Key) -> None:
        self._loans.pop(loan, None)
        self._update_refresher(key)

    def _forget_loaned(self, key: Key) -> None:
        # If the block itself has injected the token to stay, for example with `%gettoken`, it is not forgotten.
        if not self.injections.has(key) and not self.refresher.keeps(key):
            self.client.source.forget(key)
        self._notify()

    def _on_token(self, key: Key, token: Token) -> None:
        self.refresher.reschedule(key)
        problems = self.injections.update(key, token)
        for problem in problems:
            self.failures.add(key, problem)
        if not problems:
            self.failures.discard(key)
        if key in self._kept_fresh and not self.injections.has(key):
            # The notebook has deleted the token everywhere.
            self._kept_fresh.discard(key)
            self._update_refresher(key)
        self._notify()

    def _on_tokens_lost(self) -> None:
        self.refresher.reschedule_all()
        self._notify()

    def _on_failure(self, key: Key, error: TokenError) -> None:
        self.failures.add(key, error)
        self._notify()

    def _known_keys(self) -> set[Key]:
        return set(self._kept_fresh).union(self.failures.keys(), self.client.source.keys(), self.injections.keys())

    def _remove_filled(self, profile: str) -> list[Place]:
        places = [env_place(variable) for variable in self._filled.forget(profile)]
        return [
            place
            for place in places
            if self.injections.discard_earlier(place, partial(self._filled.is_as_filled, place.name))
        ]

    def _check_configured(self, profile: str) -> None:
        names = [entry.name for entry in self.entries()]
        if profile not in names:
            raise UnknownProfile(f"There is no profile {profile[:80]!r}.", hint=closest(profile, names))

    def _status(self, key: Key, standing: Standing, entry: ProfileEntry | None) -> Status:
        about = self._about(key.profile) if entry is None else entry
        places = self.injections.places(key)
        failure = self.failures.get(key)
        error = failure or standing.error
        if failure is None and is_fixed_on_server(key, standing, entry):
            standing, error = standing._replace(state="none"), None
        return Status(
            profile=key.profile,
            params=dict(key.params),
            title=about.title,
            sandbox=about.sandbox,
            state=standing.state,
            expires_at=standing.token.expires_at if standing.token is not None else None,
            places=places.filled,
            kept_fresh=self.refresher.keeps(key),
            error=error,
            env=about.env,
            changed=places.changed,
        )

    def _about(self, profile: str) -> About:
        try:
            return self._source().about(profile)
        except TokenError:
            # The profile is no longer configured, or its configuration has an error.
            return About("", None, sandbox=False)

    def _report(self, last: object) -> object:
        source = self.client.opened
        if source is None or not source.is_remote:
            return last
        held = self.holdings()
        if held != last:
            source.report(held)
        return held

    def _notify(self) -> None:
        self._reporter.notify()
        for on_change in tuple(self._watchers):
            try:
                on_change()
            except Exception as error:
                # A subscriber that fails must not affect the tokens.
                _log.warning("A subscriber to changes of the tokens failed: %s", type(error).__name__)

    def after_fork(self) -> None:
        """Reset the state in a forked child. Injected tokens stay, but only the parent keeps them fresh."""
        self._lock = threading.Lock()
        self._unwatch = None
        self._watchers.clear()
        self._kept_fresh.clear()
        self._loans.clear()
        self.injections.after_fork()
        self.refresher.after_fork()
        self._reporter = Reporter(self._report)


def _choose_places(token: Token, about: About, requested: Sequence[Place] | None) -> tuple[list[Place], list[str]]:
    """Return the places for a token, and sentences about what the user should know."""
    places = list(requested) if requested is not None else env_places(about.env)
    parts = {place.part for place in places if place.kind == "env"}
    if token.fields and parts and parts != set(token.fields):
        given = ",".join(f"{name}=VAR" for name in token.fields)
        raise ParameterError(
            f"Each of this token's {len(token.fields)} values needs a variable: {', '.join(token.fields)}.",
            hint=f"Name a variable for each: --env {given}",
            profile=token.profile,
        )
    if not token.has_value:
        if requested is not None and any(place.kind != "var" for place in requested):
            token.reveal()  # raises: this API never returns the value that a variable or a file needs
        # The profile's environment variable is left out, because the user did not ask for it.
        return [place for place in places if place.kind == "var"], [_describe_stored(token)]
    if requested is None and not places:
        return [], [
            "Not injected: the profile sets no environment variable. Give --env VAR, --var NAME or --file PATH."
        ]
    return places, []


def _describe_stored(token: Token) -> str:
    details = ", ".join(f"{name} {token.metadata[name]}" for name in ("name", "id") if name in token.metadata)
    return (
        f"Stored token{details and f': {details}'}. This API never returns the value of a stored token; "
        f"other facts are in get_token({token.profile!r}).metadata."
    )


def _comparable(entry: ProfileEntry) -> tuple[ProfileEntry, str]:
    """Return an entry in a form that can be compared: errors by their text, because each read creates new ones."""
    return entry._replace(error=None), str(entry.error)


_sessions: WeakSet[TokenSession] = WeakSet()
_SESSION = "_jupyter_tokens_session"


def get_session(shell: Any) -> TokenSession:
    """Return the session of an IPython shell. It is created at first use."""
    session: TokenSession | None = getattr(shell, _SESSION, None)
    if session is None:
        session = TokenSession(shell.user_ns)
        setattr(shell, _SESSION, session)
    return session


def _after_fork() -> None:
    for session in tuple(_sessions):
        session.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch (not on Windows)
    # Runs after the client's hook, which was registered earlier.
    os.register_at_fork(after_in_child=_after_fork)
