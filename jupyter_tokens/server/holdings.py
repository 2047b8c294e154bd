"""Tracks which kernels hold which tokens, and renews tokens that a kernel cannot keep fresh itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Any

from ..errors import Busy, ConfigurationError, ParameterError, TokenError, Unauthorized
from ..token import Secret
from .kernel_push import Failed, Injector, kernel_process

if TYPE_CHECKING:
    from ..sources.cache import Key
    from ..token import Token
    from .app import TokensExtension

__all__ = ["Holding", "Holdings", "Renewals"]

MAX_SLEEP_SECONDS = 30.0
"""Longest time between two checks of the kernel and the clock, in seconds. Timers stop while a machine is suspended."""
MAX_RETRY_SECONDS = 60.0
"""The longest pause between two attempts to fetch a token that is no longer cached, in seconds."""
RETRY_SECONDS = 1.0
"""The pause before the next attempt, in seconds, if a fetch could not start, or if a token expired before the kernel
took it and no other token could be fetched."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A token that a kernel holds, as far as this server knows.

    Attributes
    ----------
    env : str or None
        The environment variable that contains the token; None if the token is in none.
    kept_by : {"kernel", "server"} or None
        What keeps the token fresh in the kernel; None if nothing does.
    process : object
        An identifier of the kernel's process, which changes when the kernel restarts; None if it is unknown.
    """

    kernel_id: str
    profile: str
    env: str | None
    expires_at: datetime | None
    kept_by: str | None = None
    process: object = None

    def to_dict(self) -> dict[str, Any]:
        """Return the facts that clients get, for JSON."""
        return {
            "kernel_id": self.kernel_id,
            "profile": self.profile,
            "env": self.env,
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "kept_by": self.kept_by,
        }


class Holdings:
    """The last token of each profile and variable in each kernel.

    Parameters
    ----------
    kernels : MappingKernelManager
        The server's kernel manager.
    changed : callable
        Called when a kernel's holdings change, with the kernel's id and the profiles whose tokens the kernel holds. Not
        called when `current` drops holdings.
    """

    def __init__(self, kernels: Any, changed: Callable[[str, list[str]], None]) -> None:
        self._kernels = kernels
        self._known: dict[tuple[str, str, str | None], Holding] = {}
        self._changed = changed

    def record(self, holding: Holding) -> None:
        """Record a token that a kernel got. For a kernel that the manager knows, `holding.process` is filled in."""
        with self._change(holding.kernel_id):
            self._store(holding)

    def report(self, kernel_id: str, held: Iterable[Holding]) -> None:
        """Replace a kernel's holdings with the holdings in its report.

        Holdings that the server renews stay, unless the report contains the same variable.
        """
        with self._change(kernel_id):
            for key, known in list(self._known.items()):
                if known.kernel_id == kernel_id and known.kept_by != "server":
                    del self._known[key]
            for holding in held:
                self._store(holding)

    def variables(self, kernel_id: str, profile: str) -> list[str]:
        """Return the variables of a kernel that contain a profile's tokens."""
        return [held.env for held in self._in_kernel(kernel_id) if held.profile == profile and held.env is not None]

    def remove(self, kernel_id: str, profile: str) -> None:
        """Drop a kernel's holdings of a profile."""
        with self._change(kernel_id):
            for key, known in list(self._known.items()):
                if (known.kernel_id, known.profile) == (kernel_id, profile):
                    del self._known[key]

    def mark_not_renewed(self, kernel_id: str, env: str) -> None:
        """Record that the server no longer renews a kernel's variable."""
        with self._change(kernel_id):
            for key, known in self._known.items():
                if (known.kernel_id, known.env, known.kept_by) == (kernel_id, env, "server"):
                    self._known[key] = replace(known, kept_by=None)

    @contextmanager
    def _change(self, kernel_id: str) -> Iterator[None]:
        before = self._in_kernel(kernel_id)
        yield
        after = self._in_kernel(kernel_id)
        if after != before:
            self._changed(kernel_id, sorted({holding.profile for holding in after}))

    def _in_kernel(self, kernel_id: str) -> list[Holding]:
        return [holding for holding in self._known.values() if holding.kernel_id == kernel_id]

    def _store(self, holding: Holding) -> None:
        own_key = holding.kernel_id, holding.profile, holding.env
        if holding.env is not None:
            # A variable only contains the token that was put there last.
            for key, known in list(self._known.items()):
                if key != own_key and (known.kernel_id, known.env) == (holding.kernel_id, holding.env):
                    del self._known[key]
            # Drop the entry without a variable: it was made when the kernel fetched this token.
            fetched = self._known.get((holding.kernel_id, holding.profile, None))
            if fetched is not None and fetched.kept_by is None:
                del self._known[holding.kernel_id, holding.profile, None]
        if holding.kernel_id in self._kernels:
            holding = replace(holding, process=kernel_process(self._kernels.get_kernel(holding.kernel_id)))
        self._known[own_key] = holding

    def current(self) -> list[Holding]:
        """Return the holdings of running kernels. Drop holdings of ended kernels, and those from before a restart."""
        kernels = self._kernels
        self._known = {
            key: holding
            for key, holding in self._known.items()
            if holding.kernel_id in kernels and holding.process == kernel_process(kernels.get_kernel(holding.kernel_id))
        }
        return list(self._known.values())


class Renewals:
    """The variables in kernels that this server renews. Call the methods on the server's event loop."""

    def __init__(self, extension: TokensExtension) -> None:
        self._extension = extension
        self._running: dict[tuple[str, str], _Renewal] = {}

    def start(self, kernel_id: str, injector: Injector, sent: Token | None) -> None:
        """Start renewing the variables that an injection has filled, in place of any earlier renewal.

        `sent` is the token that the server has put into the variables. If `sent` is None, the kernel has fetched the
        token itself, and the server renews nothing.
        """
        self.release(kernel_id, injector.variables.values())
        if sent is None:
            return
        renewal = _Renewal(self._extension, kernel_id, injector, sent)
        places = [(kernel_id, variable) for variable in injector.variables.values()]
        self._running.update(dict.fromkeys(places, renewal))
        renewal.task = asyncio.create_task(renewal.run())

        def on_done(_: asyncio.Task[None]) -> None:
            for place in places:
                if self._running.get(place) is renewal:
                    del self._running[place]

        renewal.task.add_done_callback(on_done)

    def release(self, kernel_id: str, variables: Iterable[str]) -> None:
        """Stop renewing variables of a kernel, because it renews them itself, or their token is replaced or removed.

        If a token fills several variables, releasing one variable releases all of them.
        """
        released = set(variables)
        for env in released:
            renewal = self._stop((kernel_id, env))
            for other in () if renewal is None else renewal.variables.difference(released):
                self._extension.holdings.mark_not_renewed(kernel_id, other)

    def sent_value(self, kernel_id: str, env: str) -> Secret | None:
        """Return the value that the server has put into a kernel's variable; None if it does not renew the variable."""
        renewal = self._running.get((kernel_id, env))
        return None if renewal is None else renewal.sent_value(env)

    def forget(self, profile: str) -> None:
        """Stop renewing the tokens of a profile. The tokens stay in the kernels' variables."""
        for place, renewal in list(self._running.items()):
            if renewal.key.profile == profile:
                self._stop(place)
                self._extension.holdings.mark_not_renewed(*place)

    async def close(self) -> None:
        """Stop all renewals."""
        tasks = [renewal.task for renewal in self._running.values() if renewal.task is not None]
        for place in list(self._running):
            self._stop(place)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _stop(self, place: tuple[str, str]) -> _Renewal | None:
        renewal = self._running.pop(place, None)
        if renewal is not None and renewal.task is not None:
            renewal.task.cancel()
        return renewal

    def on_token(self, key: Key) -> None:
        """Wake the renewals of a token, because a newer one is cached."""
        for renewal in self._running.values():
            if renewal.key == key:
                renewal.new_token.set()


class _Renewal:
    """Renews one token in one kernel. A token with several values fills several variables."""

    def __init__(self, extension: TokensExtension, kernel_id: str, injector: Injector, sent: Token) -> None:
        self.key = injector.key
        self.variables = frozenset(injector.variables.values())
        self.new_token = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._extension = extension
        self._kernel_id = kernel_id
        self._injector = injector
        self._sent: Token | None = sent
        self._failures = 0
        # When to fetch if the cache holds no token. If the cache holds the token now, it drops the token only when the
        # profile changes: then fetch immediately. Otherwise the token had expired when it arrived: do not fetch again.
        self._retry_at = inf if extension.source.held(injector.key) is None else -inf

    def sent_value(self, variable: str) -> Secret | None:
        """Return the value that was put into the variable last; None once the kernel renews the variable itself."""
        return None if self._sent is None else Secret(self._injector.values(self._sent)[variable])

    async def run(self) -> None:
        """Renew the token until the kernel ends, does not take a new token, or renews the token itself."""
        try:
            while await self._renew():
                pass
        except Exception as error:
            # Only the type of other errors: their messages may quote a value.
            reason = str(error) if isinstance(error, Failed) else type(error).__name__
            self._log(f"ends: {reason}")
            for variable in self.variables:
                self._extension.holdings.mark_not_renewed(self._kernel_id, variable)

    async def _renew(self) -> bool:
        """Wait for a newer token and put it into the kernel. Return whether to go on."""
        await self._wait_until_due()
        token = self._newer_token() or await self._fetch()
        if token is None or token is self._sent:
            return True
        self._log("sends a newer token")
        try:
            outcome = await self._injector.run(token, replaces=self._sent)
        except TokenError as error:
            if not error.retryable:
                raise
            # The token expired while the kernel was busy, and the next one could not be fetched.
            self._log(f"could not fetch ({type(error).__name__})")
            await asyncio.sleep(RETRY_SECONDS)
            return True
        self._sent, self._failures = outcome.token, 0
        for variable in self.variables:
            held = Holding(self._kernel_id, self.key.profile, variable, outcome.expires_at, outcome.kept_by)
            self._extension.holdings.record(held)
        return outcome.token is not None

    async def _wait_until_due(self) -> None:
        """Wait until there is a newer token or a refresh is due. Raises `Failed` if the kernel died or restarted."""
        while True:
            await self._injector.check()
            self.new_token.clear()
            left = self._due_at() - self._extension.clock.elapsed()
            if self._newer_token() is not None or left <= 0:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self.new_token.wait(), min(left, MAX_SLEEP_SECONDS))

    def _newer_token(self) -> Token | None:
        """Return the cached token; None if the kernel already has it, or nothing is cached."""
        held = self._extension.source.held(self.key)
        return None if held is None or held.token is self._sent else held.token

    def _due_at(self) -> float:
        held = self._extension.source.held(self.key)
        if held is None:
            return self._retry_at
        # A refused credential is not tried again automatically.
        return inf if isinstance(held.error, Unauthorized) else held.refresh_at

    async def _fetch(self) -> Token | None:
        """Fetch a token. Return None if that failed."""
        try:
            flight = asyncio.wrap_future(self._extension.source.start_fetch(self.key))
        except (RuntimeError, Busy) as problem:
            # The process has too many threads, or too many calls of this profile are waiting for a thread.
            self._log(f"could not fetch ({type(problem).__name__})")
            await asyncio.sleep(RETRY_SECONDS)
            return None
        # Not `await flight`, which would cancel the fetch with this task: other callers may be waiting for the fetch.
        await asyncio.wait({flight})
        error = flight.exception()
        if error is None:
            # A token that has expired when it arrives is not cached. The next one would expire too: do not fetch again.
            self._retry_at = inf if self._extension.source.held(self.key) is None else -inf
            return flight.result()
        permanent = not isinstance(error, TokenError) or isinstance(
            error, Unauthorized | ConfigurationError | ParameterError
        )
        self._failures += 1
        pause = inf if permanent else min(2.0**self._failures, MAX_RETRY_SECONDS)
        self._retry_at = self._extension.clock.elapsed() + pause
        self._log(f"could not fetch ({type(error).__name__})")
        return None

    def _log(self, what: str) -> None:
        # As JSON, so that a name cannot forge a line of the log.
        facts = {"profile": self.key.profile, "env": self._injector.env, "kernel_id": self._kernel_id}
        self._extension.server.log.debug("jupyter_tokens renewal %s: %s", json.dumps(facts), what)
