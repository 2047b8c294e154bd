"""Puts tokens into running kernels and removes them, over the kernels' channels, so that no browser sees a token.

A Python kernel with the extension loaded is asked to fetch the token itself, so that no value is sent. To any other
kernel the server sends the value, and later each newer value (`holdings.Renewals`).
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from uuid import uuid4

from jupyter_client.session import Session
from jupyter_core.utils import ensure_async

from ..errors import TokenError
from ..protocol.messages import Env, env_variables
from .snippets import EXPRESSION, Snippet, forget_snippet, inject_snippet, snippet, unset, with_record

if TYPE_CHECKING:
    from jupyter_client.manager import KernelManager

    from ..clock import Clock
    from ..sources.cache import Key
    from ..token import Secret, Token
    from .app import TokensExtension

__all__ = [
    "Failed",
    "Injection",
    "InjectionQueue",
    "Injector",
    "KernelChannel",
    "Outcome",
    "Removal",
    "ReplyDeadline",
    "expression_result",
    "is_confirmed",
    "kernel_process",
]

MAX_FINISHED = 1000
"""Maximum number of finished injections whose state is kept for clients; the oldest are dropped first."""
MAX_QUEUED = 20
"""Maximum number of injections that may wait for one kernel at the same time; each uses a socket."""
IDLE_SECONDS = 15.0
"""How long an injection waits for the answer of a kernel that does not seem busy, in seconds."""
BUSY_SECONDS = 3600.0
"""How long an injection waits for the answer of a busy kernel, in seconds."""
POLL_SECONDS = 0.5
"""Seconds between two checks whether the kernel is still alive, while an injection waits for its answer."""
MAX_SENDS = 10
"""Maximum number of times that an injection is sent. It is sent again if a failed cell made the kernel drop it, or if
the token expired meanwhile."""

_NOTHING: Mapping[str, str] = {}
_ABORTED = {"aborted", "abort"}
"""The status of requests that ipykernel and IRkernel drop, because a cell before them failed or was interrupted."""
MAX_MESSAGE = 500
"""Maximum number of characters of a kernel's message that are passed on to clients."""


class Failed(Exception):
    """The token cannot be put into the kernel, or cannot be removed from it. The message is for the client."""


class Outcome(NamedTuple):
    """The outcome of an injection.

    Attributes
    ----------
    kept_by : {"kernel", "server"} or None
        What keeps the token fresh in the kernel; None if nothing does.
    token : Token or None
        The token that the server has sent; None if the kernel has fetched it itself.
    """

    expires_at: datetime | None
    kept_by: str | None
    token: Token | None = None


@dataclass(slots=True)
class Injection:
    """The injection of one token into a kernel, or its removal.

    Attributes
    ----------
    state : {"queued", "done", "failed"}
        "queued" until the kernel has answered.
    message : str or None
        Why the injection failed; None in other states.
    kept_by : {"kernel", "server"} or None
        See `Outcome`.
    """

    kernel_id: str
    profile: str
    env: Env
    language: str
    expires_at: datetime | None
    id: str = field(default_factory=lambda: uuid4().hex)
    kept_by: str | None = None
    state: str = "queued"
    message: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the facts that clients get, for JSON."""
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


class ReplyDeadline:
    """Decides how long to wait for a kernel's answer: longer if the kernel is busy."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_at = self._idle_since = clock.elapsed()

    def is_over(self, *, busy: bool) -> bool:
        """Whether to give up; `busy` is true if the kernel seems busy now."""
        now = self._clock.elapsed()
        if busy:
            self._idle_since = now
        return now - self._idle_since >= IDLE_SECONDS or now - self._started_at >= BUSY_SECONDS


class InjectionQueue:
    """The waiting injections of one server, and the last finished ones."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Injection] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def is_full(self, kernel_id: str) -> bool:
        """Whether the queue of a kernel is full. Each kernel has its own queue."""
        waiting = [one for one in self._known.values() if (one.kernel_id, one.state) == (kernel_id, "queued")]
        return len(waiting) >= MAX_QUEUED

    def get(self, injection_id: str) -> Injection | None:
        """Return an injection by its id; None if it is unknown or has been dropped."""
        return self._known.get(injection_id)

    def start(self, injection: Injection, work: Callable[[], Awaitable[Outcome]]) -> asyncio.Task[None]:
        """Start an injection, which continues even if the client disconnects. Return its task."""
        self._known[injection.id] = injection
        task = asyncio.create_task(self._run(injection, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Cancel the injections that are still queued."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, injection: Injection, work: Callable[[], Awaitable[Outcome]]) -> None:
        try:
            outcome = await work()
            injection.expires_at, injection.kept_by, injection.state = outcome.expires_at, outcome.kept_by, "done"
        except (Failed, TokenError) as error:
            injection.state, injection.message = "failed", str(error)
        except asyncio.CancelledError:
            injection.state, injection.message = "failed", "The server is shutting down."
            raise
        except Exception as error:
            # Only the type: the error's text may quote what was sent.
            problem = f"Unexpected error in the exchange with the kernel ({type(error).__name__})."
            injection.state, injection.message = "failed", problem
        finally:
            self._known.move_to_end(injection.id)
            finished = [known.id for known in self._known.values() if known.state != "queued"]
            for injection_id in finished[:-MAX_FINISHED]:
                del self._known[injection_id]


class KernelChannel:
    """A separate connection to a channel of a kernel, so that no other client sees the request or the reply.

    The connection has its own session, because a shared session may print what it sends.

    Parameters
    ----------
    kernel : KernelManager
        The kernel.
    connect : callable
        The kernel's `connect_shell`, or its `connect_control` for requests that a busy kernel has to answer.
    """

    def __init__(self, kernel: Any, connect: Callable[..., Any]) -> None:
        self._session = Session(key=kernel.session.key, signature_scheme=kernel.session.signature_scheme)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        # `connect` returns a ZMQStream, because jupyter_server's managers run on tornado's loop.
        self._stream = connect(identity=self._session.bsession)
        self._stream.on_recv(self._received)

    def execute(self, wanted: Snippet) -> asyncio.Future[dict[str, Any]]:
        """Run a snippet silently. Return a future with the content of the reply."""
        content = {
            "code": wanted.code,
            "silent": True,
            "store_history": False,
            "user_expressions": {EXPRESSION: wanted.expression} if wanted.expression else {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        return self.request("execute_request", content)

    def request(self, kind: str, content: dict[str, Any]) -> asyncio.Future[dict[str, Any]]:
        """Send a request of any type in Jupyter's protocol. Return a future with the content of the reply."""
        reply = asyncio.get_running_loop().create_future()
        message = self._session.msg(kind, content)
        self._waiting[message["header"]["msg_id"]] = reply
        self._session.send(self._stream, message)
        return reply

    def close(self) -> None:
        """Close the socket; unsent messages are dropped."""
        self._stream.close(linger=0)

    def _received(self, frames: list[bytes]) -> None:
        try:
            message: Any = self._session.deserialize(self._session.feed_identities(frames)[1])
        except (ValueError, IndexError, KeyError, TypeError):
            # Ignore messages that are unsigned, wrongly signed or malformed.
            return
        reply = self._waiting.pop(message["parent_header"].get("msg_id"), None)
        if reply is not None:
            reply.set_result(message["content"])


def is_confirmed(reply: dict[str, Any], sent: Snippet) -> bool:
    """Whether the reply confirms that the snippet ran without an error."""
    if reply.get("status") != "ok" or not sent.expression:
        return reply.get("status") == "ok"
    found = reply.get("user_expressions", {}).get(EXPRESSION, {})
    payload_sources = [payload.get("source") for payload in reply.get("payload", [])]
    return found.get("status") == "ok" or EXPRESSION in payload_sources


def expression_result(reply: dict[str, Any]) -> str:
    """Return the result of the snippet's expression as text; empty if the expression could not be evaluated."""
    try:
        return str(reply["user_expressions"][EXPRESSION]["data"]["text/plain"])
    except (KeyError, TypeError):
        return ""


def kernel_process(kernel: Any) -> object:
    """Return an identifier of a kernel's process, which changes with a restart; None if the provisioner has no pid."""
    return getattr(getattr(kernel, "provisioner", None), "pid", None)


class _KernelOperation:
    """Base class of the operations on one kernel."""

    _failure_message: ClassVar[str]

    def __init__(self, extension: TokensExtension, kernel: KernelManager) -> None:
        self.kernel = kernel
        self.language = str(getattr(kernel.kernel_spec, "language", ""))
        self._extension = extension
        self._process = kernel_process(kernel)

    async def check(self) -> None:
        """Raise `Failed` if the kernel has died or was restarted."""
        if not await ensure_async(self.kernel.is_alive()):
            raise Failed("The kernel died.")
        if kernel_process(self.kernel) != self._process:
            raise Failed("The kernel was restarted.")

    async def _execute(self, channel: KernelChannel, wanted: Snippet) -> dict[str, Any]:
        for _ in range(MAX_SENDS):
            reply = await self._await_reply(channel.execute(wanted))
            if reply.get("status") not in _ABORTED:
                return reply
        raise Failed(f"{self._failure_message}: earlier cells failed. Try again.")

    async def _await_reply(self, reply: asyncio.Future[dict[str, Any]]) -> dict[str, Any]:
        deadline = ReplyDeadline(self._extension.clock)
        while not (await asyncio.wait({reply}, timeout=POLL_SECONDS))[0]:
            if deadline.is_over(busy=getattr(self.kernel, "execution_state", None) == "busy"):
                raise Failed("The kernel does not answer.")
            await self.check()
        return reply.result()


class Injector(_KernelOperation):
    """Puts one token into one kernel: asks the kernel to fetch the token, or sends the token.

    `params` are the parameters of the client's request; the profile's own parameters are added. The constructor raises
    `TokenError` for an unsupported kernel language, or an invalid profile, parameter or variable.
    """

    _failure_message = "The kernel did not take the token"

    def __init__(
        self, extension: TokensExtension, kernel: KernelManager, profile: str, params: Mapping[str, Any], env: Env
    ) -> None:
        super().__init__(extension, kernel)
        self.key: Key = extension.source.key(profile, params)
        self.env = env
        self.variables = env_variables(env)
        self._params = dict(params)
        self._build_snippet(dict.fromkeys(self.variables.values(), ""))

    async def run(self, token: Token, replaces: Token | None = None) -> Outcome:
        """Put the token into the kernel.

        Parameters
        ----------
        token : Token
            A fresh token.
        replaces : Token, optional
            The token that was sent before. If the variable contains anything else by now, the variable is left alone,
            and `Failed` is raised.

        Raises
        ------
        Failed
            The kernel did not take the token.
        TokenError
            A token could not be fetched.
        """
        was_valid = self._is_valid(token)
        with closing(KernelChannel(self.kernel, self.kernel.connect_shell)) as channel:
            outcome = await self._ask_kernel(channel, token, replaces) if self.language.lower() == "python" else None
            return outcome or await self._push(channel, token, replaces, was_valid=was_valid)

    async def _ask_kernel(self, channel: KernelChannel, token: Token, replaces: Token | None) -> Outcome | None:
        """Ask the kernel to fetch the token itself. Return None if the kernel cannot."""
        wanted = {
            "profile": self.key.profile,
            "params": self._params,
            "env": self.env,
            "obtained_at": token.obtained_at.isoformat(),
            "is_renewal": replaces is not None,
        }
        reply = await self._execute(channel, inject_snippet(wanted))
        return _parse_outcome(expression_result(reply))

    async def _push(self, channel: KernelChannel, token: Token, replaces: Token | None, *, was_valid: bool) -> Outcome:
        expected = {} if replaces is None else self.values(replaces)
        for _ in range(MAX_SENDS):
            if was_valid and not self._is_valid(token):
                # The token has expired while the kernel was busy.
                token = await self._extension.source.aget(self.key)
                was_valid = self._is_valid(token)
            sent = self._build_snippet(self.values(token), expected)
            reply = await self._await_reply(channel.execute(sent))
            if reply.get("status") not in _ABORTED:
                if not is_confirmed(reply, sent):
                    raise Failed(f"The kernel did not set the variable{'s' if len(self.variables) > 1 else ''}.")
                if self._is_valid(token) or not was_valid:
                    return Outcome(token.expires_at, "server", token)
        raise Failed(
            f"{self._failure_message}: earlier cells failed, or took longer than the token is valid. Try again."
        )

    def values(self, token: Token) -> dict[str, str]:
        """Return the token's value for each variable."""
        return {variable: token.reveal(field) for field, variable in self.variables.items()}

    def _build_snippet(self, values: Mapping[str, str], expected: Mapping[str, str] = _NOTHING) -> Snippet:
        sent = snippet(self.language, values, expected)
        if self.language.lower() != "python":
            return sent
        return with_record(self.env, self.key.profile, self._params, sent)

    def _is_valid(self, token: Token) -> bool:
        return token.expires_at is None or token.expires_at.timestamp() > self._extension.clock.now()


class Removal(_KernelOperation):
    """Removes a profile's tokens from a kernel.

    `sent` maps each variable that was filled to the value that the server has sent. A variable that contains another
    value by now is left alone. If the server does not know the value, `sent` has None: then the variable is removed,
    whatever it contains, unless the kernel removes the token itself.
    """

    _failure_message = "The kernel did not remove the token"

    def __init__(
        self, extension: TokensExtension, kernel: KernelManager, profile: str, sent: Mapping[str, Secret | None]
    ) -> None:
        super().__init__(extension, kernel)
        self._profile = profile
        self._sent = sent

    async def run(self) -> Outcome:
        """Remove the tokens. Raises `Failed` or `TokenError`."""
        with closing(KernelChannel(self.kernel, self.kernel.connect_shell)) as channel:
            itself = self.language.lower() == "python" and await self._ask_kernel(channel)
            for env, value in self._sent.items():
                # A kernel that has removed the token itself has restored the variable's earlier value.
                if value is not None or not itself:
                    await self._unset(channel, env, value)
        return Outcome(None, None)

    async def _unset(self, channel: KernelChannel, env: str, value: Secret | None) -> None:
        wanted = unset(self.language, env, None if value is None else value.reveal())
        if not is_confirmed(await self._execute(channel, wanted), wanted):
            raise Failed(f"The kernel did not remove the variable {env}.")

    async def _ask_kernel(self, channel: KernelChannel) -> bool:
        """Ask the kernel to forget the tokens itself. Return whether it has done so."""
        reply = await self._execute(channel, forget_snippet(self._profile))
        return _parse_report(expression_result(reply)) is not None


def _parse_report(text: str) -> dict[str, Any] | None:
    """Return the outcome that a kernel reports; None if it did nothing. Raises `Failed` if it reports a failure."""
    try:
        report: dict[str, Any] = json.loads(text)
        if report["state"] == "failed":
            raise Failed(str(report["message"])[:MAX_MESSAGE])
    except (ValueError, TypeError, KeyError, RecursionError):
        # The kernel does not have the extension, or has another version of it.
        return None
    return report


def _parse_outcome(text: str) -> Outcome | None:
    """Return the outcome of an injection that a kernel reports; None if the kernel did nothing."""
    report = _parse_report(text)
    with suppress(ValueError, TypeError, KeyError):
        if report is not None:
            ends, kept_by = report["expires_at"], "kernel" if report["kept_fresh"] is True else None
            return Outcome(None if ends is None else datetime.fromisoformat(ends), kept_by)
    return None
