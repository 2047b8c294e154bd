from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_tokens.errors import Busy, NetworkError
from jupyter_tokens.server import holdings as holdings_module
from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.server.holdings import Holding, Holdings
from jupyter_tokens.server.kernel_push import Outcome
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.token import Token

from .conftest import Call, Kernel, told
from .kernels import until

END = datetime(2126, 1, 1, tzinfo=UTC)


class Kernels:
    """A manager, as far as holdings ask it."""

    def __init__(self, **pids: int) -> None:
        self.pids = pids

    def __contains__(self, kernel_id: str) -> bool:
        return kernel_id in self.pids

    def get_kernel(self, kernel_id: str) -> Any:
        return SimpleNamespace(provisioner=SimpleNamespace(pid=self.pids[kernel_id]))


def unheard(kernel_id: str, profiles: list[str]) -> None:
    """For those who need not know what changed."""


def test_says_what_changed_and_nothing_else() -> None:
    heard: list[tuple[str, list[str]]] = []
    holdings = Holdings(Kernels(a=1), lambda *change: heard.append(change))
    held = Holding("a", "acme", "X", END, "server")
    holdings.record(held)
    holdings.record(held)
    assert heard == [("a", ["acme"])]
    holdings.mark_not_renewed("a", "X")
    holdings.mark_not_renewed("a", "X")
    assert heard[1:] == [("a", ["acme"])]
    holdings.report("a", [Holding("a", "other", "Y", END)])
    holdings.report("a", [])
    holdings.report("a", [])
    assert heard[2:] == [("a", ["other"]), ("a", [])]


def test_a_token_that_was_put_into_a_variable_is_listed_once() -> None:
    holdings = Holdings(Kernels(a=1), unheard)
    holdings.record(Holding("a", "acme", None, END))
    holdings.record(Holding("a", "acme", "X", END, "kernel"))
    assert [(holding.env, holding.kept_by) for holding in holdings.current()] == [("X", "kernel")]
    # One that the kernel itself keeps fresh elsewhere is another holding.
    holdings.report("a", [Holding("a", "acme", None, END, "kernel"), Holding("a", "acme", "X", END, "kernel")])
    assert [holding.env for holding in holdings.current()] == [None, "X"]


def names(holdings: Holdings) -> list[tuple[str, str]]:
    return [(holding.kernel_id, holding.profile) for holding in holdings.current()]


def test_the_last_token_of_each_variable_counts() -> None:
    holdings = Holdings(Kernels(a=1), unheard)
    for env, end in (("X", None), ("Y", END), ("X", END)):
        holdings.record(Holding("a", "acme", env, end))
    assert [(holding.env, holding.expires_at) for holding in holdings.current()] == [("X", END), ("Y", END)]


def test_a_kernel_that_ended_holds_nothing() -> None:
    kernels = Kernels(a=1, b=2)
    holdings = Holdings(kernels, unheard)
    for kernel_id in ("a", "b"):
        holdings.record(Holding(kernel_id, "acme", "X", END))
    del kernels.pids["a"]
    assert names(holdings) == [("b", "acme")]
    kernels.pids["a"] = 1
    assert names(holdings) == [("b", "acme")]


def test_a_restarted_kernel_holds_only_what_its_new_start_was_given() -> None:
    kernels = Kernels(a=1)
    holdings = Holdings(kernels, unheard)
    holdings.record(Holding("a", "acme", "X", END))
    kernels.pids["a"] = 2
    holdings.record(Holding("a", "at-start", "Y", END))
    assert names(holdings) == [("a", "at-start")]


class Injector:
    """Takes tokens to a kernel, as far as a renewal asks it. The first one that is taken is the last."""

    env = "X"
    variables: Mapping[str, str] = {"": "X"}

    def __init__(self, key: Key, *errors: Exception) -> None:
        self.key = key
        self.taken: list[Token] = []
        self._errors = [*errors]

    async def check(self) -> None:
        """The kernel is there."""

    def values(self, token: Token) -> dict[str, str]:
        return {"X": token.reveal()}

    async def run(self, token: Token, replaces: Token) -> Outcome:
        if self._errors:
            raise self._errors.pop()
        self.taken.append(token)
        return Outcome(token.expires_at, "kernel", None)


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), Busy("1000 calls are waiting.")])
async def test_a_renewal_that_gets_no_thread_goes_on(
    profiles: Any, extension: TokensExtension, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    source, errors = extension.source, [error] * 2
    key, start_fetch = source.key("oneaccess"), source.start_fetch

    def crowded(key: Key) -> Future[Token]:
        if errors:
            raise errors.pop()
        return start_fetch(key)

    monkeypatch.setattr(holdings_module, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(source, "start_fetch", crowded)
    sent = await source.aget(key)
    injector = Injector(key)
    extension.renewals.start("a", injector, sent)  # type: ignore[arg-type]
    # Now a token has to be fetched.
    source.forget(key)
    await until(lambda: injector.taken)
    assert injector.taken != [sent]
    await extension.renewals.close()


async def test_a_renewal_goes_on_if_the_token_expires_on_its_way_and_there_is_no_other_yet(
    profiles: Any, extension: TokensExtension, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = extension.source
    monkeypatch.setattr(holdings_module, "RETRY_SECONDS", 0.0)
    key = source.key("oneaccess")
    sent = await source.aget(key)
    injector = Injector(key, NetworkError("The network is down."))
    extension.renewals.start("a", injector, sent)  # type: ignore[arg-type]
    newer = source.get(key, refresh=True)
    await until(lambda: injector.taken or extension.renewals.sent_value("a", "X") is None)
    assert injector.taken == [newer]
    await extension.renewals.close()


@pytest.mark.usefixtures("profiles")
class TestRoute:
    async def test_tells_what_a_kernel_fetched_by_itself(self, call: Call, by_proof: Call, kernel: Kernel) -> None:
        assert told(await call("GET", "holdings")) == {"holdings": [], "handles": []}
        fetched = told(await by_proof("token", {"profile": "oneaccess"}))
        (holding,) = told(await call("GET", "holdings"))["holdings"]
        assert holding == {
            "kernel_id": kernel.id,
            "profile": "oneaccess",
            "env": None,
            "expires_at": fetched["expires_at"],
            "kept_by": None,
        }

    async def test_holds_no_token(self, call: Call, by_proof: Call, extension: TokensExtension) -> None:
        value = told(await by_proof("token", {"profile": "oneaccess"}))["value"]
        assert value not in (await call("GET", "holdings")).body.decode()
        assert value not in repr(vars(extension.holdings))

    async def test_takes_a_kernels_own_report(self, call: Call, by_proof: Call, kernel: Kernel) -> None:
        await by_proof("token", {"profile": "oneaccess"})
        fact = {"expires_at": END.isoformat(), "kept_fresh": True}
        reported = [
            {"profile": "eiam", "env": "X", **fact},
            {"profile": "eiam", "env": None, **fact, "kept_fresh": False},
            {"profile": "of the kernel's own", "env": "Y", **fact},
        ]
        assert told(await by_proof("holdings", {"holdings": reported})) == {}
        held = told(await call("GET", "holdings"))["holdings"]
        assert [(h["kernel_id"], h["profile"], h["env"], h["kept_by"]) for h in held] == [
            (kernel.id, "eiam", "X", "kernel"),
            (kernel.id, "eiam", None, None),
        ]
        assert told(await by_proof("holdings", {"holdings": []})) == {}
        assert told(await call("GET", "holdings"))["holdings"] == []

    @pytest.mark.parametrize(
        "wrong",
        [
            "x",
            {"holdings": {}},
            {"holdings": [1]},
            {"holdings": [{"profile": "eiam"}]},
            {"holdings": [{"profile": "eiam", "env": "A B", "expires_at": None, "kept_fresh": True}]},
            {"holdings": [{"profile": "eiam", "env": "X", "expires_at": "soon", "kept_fresh": True}]},
        ],
    )
    async def test_refuses_a_report_of_another_form(self, by_proof: Call, call: Call, wrong: Any) -> None:
        answer = await by_proof("holdings", wrong)
        assert (answer.code, told(answer)["reason"]) == (400, "body")
        assert told(await call("GET", "holdings"))["holdings"] == []


def test_what_the_server_renews_stays_until_the_kernel_names_its_variable() -> None:
    holdings = Holdings(Kernels(a=1), unheard)
    holdings.record(Holding("a", "acme", "X", END, "server"))
    holdings.record(Holding("a", "other", "Y", END))
    holdings.report("a", [])
    assert [(h.profile, h.kept_by) for h in holdings.current()] == [("acme", "server")]
    holdings.report("a", [Holding("a", "mine", "X", END, "kernel")])
    assert [(h.profile, h.kept_by) for h in holdings.current()] == [("mine", "kernel")]
