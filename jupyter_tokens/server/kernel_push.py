"""Puts a token into a running kernel over the kernel's own channels; the browser that asks for it never sees it.

A Python kernel in which the extension is loaded is asked to fetch the token itself, so that no value is sent. Any other
kernel gets the value, and the server renews it there (`renewals.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from uuid import uuid4

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from tornado import web

from ..errors import ParameterError, TokenError
from .adopted import check_adopted
from .base import INJECT, TokensHandler
from .holdings import ROUTE as HOLDINGS_ROUTE
from .holdings import Holding, holdings_of, process_of
from .kernel_channel import KernelChannel, confirmed, evaluated
from .snippets import Snippet, ask, filled, snippet

if TYPE_CHECKING:
    from jupyter_client.manager import KernelManager

    from ..clock import Clock
    from ..sources.cache import Key
    from ..token import Token
    from .app import TokensExtension

__all__ = [
    "ROUTES",
    "Errand",
    "Failed",
    "Given",
    "InjectHandler",
    "Injection",
    "InjectionHandler",
    "Injections",
    "Patience",
]

MOST_FINISHED = 1000
"""Finished injections whose state can still be asked for; the oldest are forgotten first."""
MOST_QUEUED = 20
"""Injections that may wait for one kernel at once; each holds a socket."""
IDLE_SECONDS = 15.0
"""How long a kernel that is not known to be busy may take to answer."""
BUSY_SECONDS = 3600.0
"""How long an injection waits for a busy kernel."""
GRACE_SECONDS = 2.0
"""How long the answer waits for a kernel that is not known to be busy."""
BUSY_GRACE_SECONDS = 1.0
"""How long it waits for one that seems to be busy. After each request, an injection among them, a kernel seems so until
the server has heard that it is idle, which kernels send after their reply."""
LOOK_SECONDS = 0.5
"""How often a kernel that has not answered yet is looked at, whether it still lives."""
MOST_SENDINGS = 10
"""How often one injection is sent: again if a failing cell had the kernel drop it, or its token expired meanwhile."""


_ABORTED = {"aborted", "abort"}
"""In the words of ipykernel and IRkernel: a cell before the request failed, or was interrupted."""
MOST_TOLD = 500
"""Characters of what a kernel says that are passed on."""


class Failed(Exception):
    """The kernel cannot be given the token; the message is for the client."""


class Given(NamedTuple):
    """What a kernel has now.

    kept_by : who renews it there: "kernel", "server", or None for nobody.
    token : that the server has sent; None if the kernel has fetched it itself.
    """

    expires_at: datetime | None
    kept_by: str | None
    token: Token | None = None


@dataclass(slots=True)
class Injection:
    """One token on its way into a kernel.

    asked_by : who is to blame, for the activity log; None once that has been told.
    state : "queued", "done" or "failed"; message : why it failed. kept_by : see `Given`.
    """

    asked_by: TokensHandler | None = field(repr=False)
    kernel_id: str
    profile: str
    env: str
    language: str
    expires_at: datetime | None
    id: str = field(default_factory=lambda: uuid4().hex)
    kept_by: str | None = None
    state: str = "queued"
    message: str | None = None

    def told(self) -> dict[str, Any]:
        """What a client may know."""
        return {
            "id": self.id,
            "state": self.state,
            "kernel_id": self.kernel_id,
            "profile": self.profile,
            "env": self.env,
            "language": self.language,
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "kept_by": self.kept_by,
            "message": self.message,
        }


class Patience:
    """How long a kernel may leave a request unanswered: a while where it is idle, longer where it is busy."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = self._idle_since = clock.elapsed()

    def is_over(self, *, busy: bool) -> bool:
        """Whether to give up. busy : whether the kernel runs something else at this moment."""
        now = self._clock.elapsed()
        if busy:
            self._idle_since = now
        return now - self._idle_since >= IDLE_SECONDS or now - self._began >= BUSY_SECONDS


class Injections:
    """The injections of one server: those that wait, and the last ones that ended.

    ended : called with each that is done or failed.
    """

    def __init__(self, ended: Callable[[Injection], None] = lambda _: None) -> None:
        self._ended = ended
        self._known: OrderedDict[str, Injection] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[Given | None]] = {}

    def full(self, kernel_id: str) -> bool:
        """Whether no more can be queued for a kernel; what other kernels are busy with does not count."""
        return sum(self._known[each].kernel_id == kernel_id for each in self._tasks) >= MOST_QUEUED

    def get(self, injection_id: str) -> Injection | None:
        """An injection by its id, if it is still known."""
        return self._known.get(injection_id)

    def begin(self, injection: Injection, errand: Callable[[], Awaitable[Given]]) -> asyncio.Task[Given | None]:
        """Starts an injection; it goes on even if whoever asked for it has gone."""
        self._known[injection.id] = injection
        task = asyncio.create_task(self._run(injection, errand))
        self._tasks[injection.id] = task

        def over(_: asyncio.Task[Given | None]) -> None:
            del self._tasks[injection.id]
            self._known.move_to_end(injection.id)
            self._forget()
            self._ended(injection)
            injection.asked_by = None

        task.add_done_callback(over)
        return task

    async def close(self) -> None:
        """Gives up what is still queued."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, injection: Injection, errand: Callable[[], Awaitable[Given]]) -> Given | None:
        try:
            given = await errand()
            injection.expires_at, injection.kept_by = given.expires_at, given.kept_by
        except (Failed, TokenError) as error:
            injection.state, injection.message = "failed", str(error)
        except asyncio.CancelledError:
            injection.state, injection.message = "failed", "The server is shutting down."
            raise
        except Exception as error:
            # Whatever it is, its text may quote what was sent.
            problem = f"The kernel could not be talked to ({type(error).__name__})."
            injection.state, injection.message = "failed", problem
        else:
            injection.state = "done"
            return given
        return None

    def _forget(self) -> None:
        finished = [known.id for known in self._known.values() if known.state != "queued"]
        for injection_id in finished[:-MOST_FINISHED]:
            del self._known[injection_id]


class Errand:
    """One token, one kernel: asks or sends, and again where that is called for, until the kernel has it.

    params : besides those of the profile, which the kernel's own request gets too.

    Raises `TokenError`, for a language that tokens cannot be put into, or a wrong name of a variable or parameter.
    """

    def __init__(
        self, extension: TokensExtension, kernel: KernelManager, profile: str, params: Mapping[str, Any], env: str
    ) -> None:
        self.kernel = kernel
        self.key: Key = extension.source.key(profile, params)
        self.env = env
        self._params = dict(params)
        self.language = str(getattr(kernel.kernel_spec, "language", ""))
        self._extension = extension
        self._process = process_of(kernel)
        self._make("")

    async def run(self, token: Token, replaces: Token | None = None) -> Given:
        """Returns what the kernel has now. Raises `Failed` or `TokenError`.

        token : of this key, that is fresh. replaces : sent before; if the variable holds anything else by now, that is
        the notebook's own, and stays.
        """
        # One without a life is given as it is.
        lived = self._lives(token)
        channel = KernelChannel(self.kernel, self.kernel.connect_shell)
        try:
            given = await self._ask(channel, token, replaces) if self.language.lower() == "python" else None
            return given or await self._push(channel, token, replaces, lived=lived)
        finally:
            channel.close()

    async def _ask(self, channel: KernelChannel, token: Token, replaces: Token | None) -> Given | None:
        """Has the kernel fetch it itself; None if it cannot."""
        wanted = {
            "profile": self.key.profile,
            "params": self._params,
            "env": self.env,
            "obtained_at": token.obtained_at.isoformat(),
            "is_renewal": replaces is not None,
        }
        reply = await self._taken(channel, lambda: ask(wanted))
        return _given_of(evaluated(reply))

    async def _push(self, channel: KernelChannel, token: Token, replaces: Token | None, *, lived: bool) -> Given:
        expected = None if replaces is None else replaces.reveal()
        for _ in range(MOST_SENDINGS):
            if lived and not self._lives(token):
                # It has ended while the kernel was busy.
                token = await self._fresh()
                lived = self._lives(token)
            sent = self._make(token.reveal(), expected)
            reply = await self._answer(channel.execute(sent))
            if reply.get("status") not in _ABORTED:
                if not confirmed(reply, sent):
                    raise Failed("The kernel did not set the variable.")
                if self._lives(token) or not lived:
                    return Given(token.expires_at, "server", token)
        raise Failed("The kernel did not take the token: cells before it failed, or took longer than it lives.")

    async def _taken(self, channel: KernelChannel, make: Callable[[], Snippet]) -> dict[str, Any]:
        for _ in range(MOST_SENDINGS):
            reply = await self._answer(channel.execute(make()))
            if reply.get("status") not in _ABORTED:
                return reply
        raise Failed("The kernel did not take the token: cells before it failed.")

    def _make(self, value: str, expected: str | None = None) -> Snippet:
        sent = snippet(self.language, self.env, value, expected)
        if self.language.lower() != "python":
            return sent
        return filled(self.env, self.key.profile, self._params, sent)

    async def _fresh(self) -> Token:
        return await self._extension.source.aget(self.key)

    def _lives(self, token: Token) -> bool:
        return token.expires_at is None or token.expires_at.timestamp() > self._extension.clock.now()

    async def check(self) -> None:
        """Raises `Failed` if the kernel is not the one that it was."""
        if not await ensure_async(self.kernel.is_alive()):
            raise Failed("The kernel died.")
        if process_of(self.kernel) != self._process:
            raise Failed("The kernel was restarted.")

    async def _answer(self, reply: asyncio.Future[dict[str, Any]]) -> dict[str, Any]:
        patience = Patience(self._extension.clock)
        while not (await asyncio.wait({reply}, timeout=LOOK_SECONDS))[0]:
            if patience.is_over(busy=getattr(self.kernel, "execution_state", None) == "busy"):
                raise Failed("The kernel does not answer.")
            await self.check()
        return reply.result()


def _given_of(told: str) -> Given | None:
    """What a kernel says that it did itself; None if it did nothing. Raises `Failed` if it tried and could not."""
    try:
        outcome = json.loads(told)
        if outcome["state"] == "failed":
            raise Failed(str(outcome["message"])[:MOST_TOLD])
        ends = outcome["expires_at"]
        return Given(
            None if ends is None else datetime.fromisoformat(ends), "kernel" if outcome["kept_fresh"] is True else None
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        # It has no extension, one of another version, or something else of that name.
        return None


class _KernelHandler(TokensHandler):
    auth_resource = INJECT

    @property
    def injections(self) -> Injections:
        """Those of this server."""
        known: Injections = self.settings["jupyter_tokens_injections"]
        return known


class InjectHandler(_KernelHandler):
    """`POST jupyter-tokens/kernels/{id}/inject`: 200 if the kernel has it, 202 if it is queued, 409 if it failed."""

    FIELDS: ClassVar[dict[str, type]] = {"profile": str, "params": dict, "env": str, "refresh": bool}

    @web.authenticated
    @authorized("execute")
    async def post(self, kernel_id: str) -> None:
        """Fetches the token and hands it to the kernel."""
        body = self.body(self.FIELDS)
        if "profile" not in body:
            self.refuse(400, "The field 'profile' is missing.", "body")
        kernel = await self._kernel(kernel_id)
        name, params, extension = body["profile"], body.get("params", {}), self.extension
        profile = extension.source.profiles()[name]
        if not await extension.may_have(name, kernel_id):
            self.refuse(403, "This profile is limited to other kernels or notebooks.", "limited")
        env = body.get("env", profile.env)
        if env is None:
            raise ParameterError("The profile names no environment variable.", hint="Give `env`.")
        # A wrong language or name is refused before a token is fetched.
        errand = Errand(extension, kernel, name, params, env)
        self._check_place(kernel_id)
        token = (await extension.get_token(name, params, refresh=body.get("refresh", False))).token
        # Others may have taken the last place meanwhile.
        self._check_place(kernel_id)
        injection = Injection(self, kernel_id, name, env, errand.language.lower(), token.expires_at)
        task = self.injections.begin(injection, partial(errand.run, token))
        task.add_done_callback(partial(self._ended, injection, errand))
        is_busy = getattr(kernel, "execution_state", None) == "busy"
        await asyncio.wait({task}, timeout=BUSY_GRACE_SECONDS if is_busy else GRACE_SECONDS)
        if injection.state == "failed":
            self.refuse(409, str(injection.message), "kernel")
        self.set_status(200 if injection.state == "done" else 202)
        self.finish(json.dumps(injection.told()))

    def _check_place(self, kernel_id: str) -> None:
        if self.injections.full(kernel_id):
            self.refuse(429, "Too many injections wait for this kernel already.", "too_many", retry_after=5.0)

    def _ended(self, injection: Injection, errand: Errand, task: asyncio.Task[Given | None]) -> None:
        given = None if task.cancelled() else task.result()
        if given is not None:
            held = Holding(
                injection.kernel_id, injection.profile, injection.env, injection.expires_at, injection.kept_by
            )
            holdings_of(self.settings).note(held, self.kernel_manager)
            self.extension.renewals.note(injection.kernel_id, errand, given.token)
        else:
            self.log.warning("jupyter_tokens: an injection failed: %s", json.dumps(injection.told()))

    async def _kernel(self, kernel_id: str) -> KernelManager:
        if kernel_id not in self.kernel_manager:
            self.refuse(404, "There is no such kernel.", "kernel")
        await check_adopted(self.kernel_manager, kernel_id)
        kernel: KernelManager = self.kernel_manager.get_kernel(kernel_id)
        if not kernel.shell_port:
            self.refuse(409, "The kernel is still starting, or runs on another machine behind a gateway.", "kernel")
        if not await ensure_async(kernel.is_alive()):
            self.refuse(409, "The kernel has died.", "kernel")
        return kernel


class InjectionHandler(_KernelHandler):
    """`GET jupyter-tokens/kernels/{id}/inject/{injection id}`: the state of an injection."""

    @web.authenticated
    @authorized
    async def get(self, kernel_id: str, injection_id: str) -> None:
        """Tells the state."""
        injection = self.injections.get(injection_id)
        if injection is None or injection.kernel_id != kernel_id:
            self.refuse(404, "There is no such injection, or it was too long ago.", "unknown_injection")
        self.finish(json.dumps(injection.told()))


_KERNEL = r"jupyter-tokens/kernels/(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)/inject"
ROUTES: list[tuple[str, type[TokensHandler]]] = [
    HOLDINGS_ROUTE,
    (_KERNEL, InjectHandler),
    (_KERNEL + r"/(?P<injection_id>[0-9a-f]{32})", InjectionHandler),
]
"""Below the server's base URL."""
