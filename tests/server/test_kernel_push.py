from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyter_client.session import Session

from jupyter_tokens.clock import SystemClock
from jupyter_tokens.errors import NetworkError
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server import kernel_push
from jupyter_tokens.server.app import Served, TokensExtension
from jupyter_tokens.server.kernel_push import Injection, InjectionQueue, Outcome
from jupyter_tokens.server.snippets import Snippet
from jupyter_tokens.token import Token

from ..doubles import Clock
from .conftest import Call, Kernel, told, value_of
from .kernels import Client, started, until

pytestmark = pytest.mark.usefixtures("as_sent", "profiles")

IR = Path("/usr/share/jupyter/kernels/ir")
"""Where Debian puts IRkernel's specification."""
HOSTILE = "c4n4ry \"'`\\ $HOME ${x} $(id) %s {0}\n\r\t\x01é漢🔑 end"


def give(monkeypatch: pytest.MonkeyPatch, extension: TokensExtension, *tokens: Token) -> list[Token]:
    """Has the extension hand out these tokens, one after the other."""
    left = list(tokens)

    async def get_token(name: str, params: object = None, *, refresh: bool = False) -> Served:
        return Served(extension.source.profiles()[name], left.pop(0), cached=False)

    async def aget(key: object) -> Token:
        return left.pop(0)

    monkeypatch.setattr(extension, "get_token", get_token)
    monkeypatch.setattr(extension.source, "aget", aget)
    return left


def token(value: str, ends_in: float | None = 3600) -> Token:
    now = datetime.now(UTC)
    ends = None if ends_in is None else now + timedelta(seconds=ends_in)
    return Token(value, profile="oneaccess", provider="oneaccess", obtained_at=now, expires_at=ends)


async def busy(client: Client, fifo: Path, then: str = "") -> str:
    """Keeps the kernel busy until someone opens the pipe for writing."""
    os.mkfifo(fifo)
    message_id = client.begin(f"open({str(fifo)!r}).read()\n{then}")
    await until(lambda: client.manager.execution_state == "busy")
    return message_id


RUBBISH = """\
session = get_ipython().kernel.session
def send(stream, kind, content=None, parent=None, ident=None, *, plain=session.send, **more):
    if kind == "execute_reply":
        return stream.send_multipart([*(ident or []), b"rubbish"])
    return plain(stream, kind, content, parent, ident, **more)
session.send = send
"""
"""From now on the kernel's answers are no messages."""


async def ended(call: Call, path: str) -> Any:
    async with asyncio.timeout(300):
        while (state := told(await call("GET", path)))["state"] == "queued":
            pass
    return state


class TestPython:
    async def test_the_kernel_has_the_token_and_no_one_else_hears_of_it(
        self, call: Call, jp_serverapp: Any, extension: TokensExtension, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        async with started(jp_serverapp) as client:
            look = "print(sorted(globals()), In, Out, len(get_ipython().history_manager.input_hist_raw))"
            before = await client.run(look, store_history=False)
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"})
            given = told(answer)
            value = value_of(extension)
            assert answer.code == 200
            assert {**given, "id": "", "expires_at": ""} == {
                "id": "",
                "state": "done",
                "kernel_id": client.id,
                "profile": "oneaccess",
                "env": "ONEACCESS_TOKEN",
                "language": "python",
                "expires_at": "",
                "kept_by": "server",
                "message": None,
            }
            assert datetime.fromisoformat(given["expires_at"]) > datetime.now(UTC)
            assert await client.run(look, store_history=False) == before
            heard = client.all_heard()
            seen = await client.run("import os; print(os.environ['ONEACCESS_TOKEN'])")
            assert seen.strip() == value
            assert told(await call("GET", f"kernels/{client.id}/inject/{given['id']}")) == given
        for place in (heard, caplog.text, answer.body.decode()):
            assert value not in place
            assert value.encode().hex() not in place
        assert "jupyter_tokens injected" in caplog.text

    async def test_a_hostile_value_arrives_as_it_is_even_past_shadowed_names(
        self, call: Call, jp_serverapp: Any, extension: TokensExtension, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        give(monkeypatch, extension, token(HOSTILE))
        async with started(jp_serverapp) as client:
            await client.run("os = bytes = str = getattr = None")
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess", "env": "OTHER"})
            assert told(answer)["state"] == "done"
            seen = await client.run("import os, json; print(json.dumps(os.environ['OTHER']))")
        assert json.loads(seen) == HOSTILE

    async def test_a_kernel_that_cannot_set_it_is_told_of_without_the_value(
        self, call: Call, jp_serverapp: Any, extension: TokensExtension
    ) -> None:
        async with started(jp_serverapp) as client:
            await client.run("__import__ = None")
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"})
            assert value_of(extension).encode().hex() not in client.all_heard() + answer.body.decode()
        assert answer.code == 409
        assert told(answer)["message"] == "The kernel did not set the variable."


class TestBusyKernel:
    async def test_is_answered_at_once_and_gets_it_later(
        self,
        call: Call,
        jp_serverapp: Any,
        tmp_path: Path,
        extension: TokensExtension,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(kernel_push, "POLL_SECONDS", 0.001)
        async with started(jp_serverapp) as client:
            message_id = await busy(client, tmp_path / "gate")
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"})
            path = f"kernels/{client.id}/inject/{told(answer)['id']}"
            assert (answer.code, told(answer)["state"]) == (202, "queued")
            assert told(await call("GET", path))["state"] == "queued"
            (tmp_path / "gate").write_text("")
            assert (await client.reply(message_id))["status"] == "ok"
            assert (await ended(call, path))["state"] == "done"
            seen = await client.run("import os; print(os.environ['ONEACCESS_TOKEN'])")
        assert seen.strip() == value_of(extension)

    @pytest.mark.parametrize(
        ("most", "outcome", "words"),
        [(kernel_push.MAX_SENDS, "done", ""), (1, "failed", "The kernel did not take the token:")],
    )
    async def test_gets_it_although_the_cell_before_fails_unless_that_never_ends(
        self, *, call: Call, jp_serverapp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int,
        outcome: str, words: str,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(kernel_push, "MAX_SENDS", most)
        async with started(jp_serverapp) as client:
            await busy(client, tmp_path / "gate", "1 / 0")
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"})
            (tmp_path / "gate").write_text("")
            state = await ended(call, f"kernels/{client.id}/inject/{told(answer)['id']}")
        assert state["state"] == outcome
        assert (state["message"] or "").startswith(words)

    async def test_gets_a_new_token_if_the_first_expired_meanwhile(
        self,
        call: Call,
        jp_serverapp: Any,
        tmp_path: Path,
        extension: TokensExtension,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        first, second = token("c4n4ry-first", 600), token("c4n4ry-second", 7200)
        give(monkeypatch, extension, first, second)
        async with started(jp_serverapp) as client:
            await busy(client, tmp_path / "gate")
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"})
            later = SimpleNamespace(now=lambda: datetime.now(UTC).timestamp() + 3600, elapsed=extension.clock.elapsed)
            monkeypatch.setattr(extension, "clock", later)
            (tmp_path / "gate").write_text("")
            state = await ended(call, f"kernels/{client.id}/inject/{told(answer)['id']}")
            seen = await client.run("import os; print(os.environ['ONEACCESS_TOKEN'])")
        assert (state["state"], state["expires_at"]) == ("done", second.expires_at.isoformat())  # type: ignore[union-attr]
        assert seen.strip() == "c4n4ry-second"

    async def test_no_more_than_so_many_may_wait_for_one_kernel_and_others_are_not_kept_waiting(
        self, call: Call, jp_serverapp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kernel_push, "MAX_QUEUED", 2)
        async with started(jp_serverapp) as client, started(jp_serverapp) as idle:
            await busy(client, tmp_path / "gate")
            # All at once, before there is a token.
            asked = [call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"}) for _ in range(6)]
            answers = await asyncio.gather(*asked)
            other = await call("POST", f"kernels/{idle.id}/inject", {"profile": "oneaccess"})
            (tmp_path / "gate").write_text("")
            for answer in answers:
                if answer.code == 202:
                    await ended(call, f"kernels/{client.id}/inject/{told(answer)['id']}")
            later = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"})
        assert sorted(answer.code for answer in answers) == [202, 202, 429, 429, 429, 429]
        refused = next(answer for answer in answers if answer.code == 429)
        assert (told(refused)["reason"], told(refused)["retryable"], refused.headers["Retry-After"]) == (
            "too_many", True, "5",
        )  # fmt: skip
        assert (other.code, later.code) == (200, 200)

    async def test_a_kernel_that_answers_rubbish_does_not_keep_its_places(
        self, call: Call, jp_serverapp: Any, extension: TokensExtension, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Late(SystemClock):
            later = 0.0

            def elapsed(self) -> float:
                return super().elapsed() + self.later

        monkeypatch.setattr(extension, "clock", Late())
        async with started(jp_serverapp) as client:
            await client.hears(lambda m: m["content"].get("execution_state") == "idle", client.begin(RUBBISH))
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"})
            assert answer.code == 202
            extension.clock.later = kernel_push.IDLE_SECONDS  # type: ignore[attr-defined]
            state = await ended(call, f"kernels/{client.id}/inject/{told(answer)['id']}")
            assert not extension.injections.is_full(client.id)
        assert (state["state"], state["message"]) == ("failed", "The kernel does not answer.")

    def test_an_idle_kernel_has_less_time_than_a_busy_one(self) -> None:
        clock = Clock()
        patience = kernel_push.ReplyDeadline(clock)
        clock.advance(kernel_push.IDLE_SECONDS - 1)
        assert not patience.is_over(busy=False)
        clock.advance(kernel_push.IDLE_SECONDS)
        assert not patience.is_over(busy=True)
        clock.advance(kernel_push.IDLE_SECONDS)
        assert patience.is_over(busy=False)
        assert not patience.is_over(busy=True)
        clock.advance(kernel_push.BUSY_SECONDS)
        assert patience.is_over(busy=True)

    async def test_what_waits_ends_with_the_server(
        self, call: Call, jp_serverapp: Any, tmp_path: Path, extension: TokensExtension
    ) -> None:
        async with started(jp_serverapp) as client:
            await busy(client, tmp_path / "gate")
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"})
            await extension.injections.close()
            state = told(await call("GET", f"kernels/{client.id}/inject/{told(answer)['id']}"))
            (tmp_path / "gate").write_text("")
        assert (state["state"], state["message"]) == ("failed", "The server is shutting down.")


class TestDeadKernel:
    async def test_one_that_is_killed_while_it_waits_fails(
        self, call: Call, jp_serverapp: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with started(jp_serverapp) as client:
            await busy(client, tmp_path / "gate")
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"})
            client.manager.stop_restarter()
            os.kill(client.manager.provisioner.pid, signal.SIGKILL)
            state = await ended(call, f"kernels/{client.id}/inject/{told(answer)['id']}")
            assert (state["state"], state["message"]) == ("failed", "The kernel died.")
            again = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"})
            assert (again.code, told(again)["message"]) == (409, "The kernel has died.")
        assert "an injection failed" in caplog.text

    async def test_one_that_is_restarted_while_it_waits_fails(
        self, call: Call, jp_serverapp: Any, tmp_path: Path
    ) -> None:
        async with started(jp_serverapp) as client:
            await busy(client, tmp_path / "gate")
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"})
            # Another process by its number, as after a restart that was faster than the look at it.
            client.manager.provisioner.pid += 1
            state = await ended(call, f"kernels/{client.id}/inject/{told(answer)['id']}")
            (tmp_path / "gate").write_text("")
        assert (state["state"], state["message"]) == ("failed", "The kernel was restarted.")

    async def test_an_unknown_one_is_not_found(self, call: Call, kernel: Kernel) -> None:
        unknown = "0b2d9a5c-0000-0000-0000-000000000000"
        answer = await call("POST", f"kernels/{unknown}/inject", {"profile": "oneaccess"})
        assert (answer.code, told(answer)["reason"]) == (404, "kernel")

    async def test_one_without_channels_here_is_refused(self, call: Call, kernel: Kernel) -> None:
        kernel.known.shell_port = 0
        answer = await call("POST", f"kernels/{kernel.id}/inject", {"profile": "oneaccess"})
        assert (answer.code, told(answer)["reason"]) == (409, "kernel")

    async def test_one_that_cannot_be_talked_to_fails_without_quoting_why(self, call: Call, kernel: Kernel) -> None:
        kernel.reachable()
        answer = await call("POST", f"kernels/{kernel.id}/inject", {"profile": "oneaccess"})
        assert (answer.code, told(answer)["message"]) == (
            409,
            "Unexpected error in the exchange with the kernel (AttributeError).",
        )


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "status", "words"),
        [
            ({}, 400, "profile"),
            ({"profile": "nowhere"}, 404, "nowhere"),
            ({"profile": "oneaccess", "token": "x"}, 400, "token"),
            ({"profile": "astra"}, 400, "environment variable"),
            ({"profile": "oneaccess", "env": "A B"}, 400, "A B"),
            ({"profile": "oneaccess", "params": {"x": 1}}, 400, "x"),
            ({"profile": "wrong"}, 409, "endpoint"),
        ],
    )
    async def test_a_wrong_request_is_told_what_is_wrong(
        self, call: Call, kernel: Kernel, body: dict[str, Any], status: int, words: str
    ) -> None:
        kernel.reachable()
        answer = await call("POST", f"kernels/{kernel.id}/inject", body)
        assert answer.code == status
        assert words in told(answer)["message"]

    async def test_an_unknown_language_is_told_the_known_ones(
        self, call: Call, kernel: Kernel, sandbox: Sandbox
    ) -> None:
        kernel.reachable("cobol")
        answer = await call("POST", f"kernels/{kernel.id}/inject", {"profile": "oneaccess"})
        assert answer.code == 400
        assert "python, r, julia" in told(answer)["message"]
        assert sandbox.requests["oneaccess"] == 0

    async def test_a_profile_for_other_kernels_is_refused(
        self, call: Call, kernel: Kernel, profiles: dict[str, Any], write_profiles: Any
    ) -> None:
        write_profiles({"oneaccess": {**profiles["oneaccess"], "kernels": ["ir"]}})
        kernel.reachable()
        answer = await call("POST", f"kernels/{kernel.id}/inject", {"profile": "oneaccess"})
        assert (answer.code, told(answer)["reason"]) == (403, "limited")

    async def test_an_api_that_fails_is_told_of(self, call: Call, sandbox: Sandbox, jp_serverapp: Any) -> None:
        sandbox.plan({"api": "oneaccess", "kind": "401"})
        async with started(jp_serverapp) as client:
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"})
        assert (answer.code, told(answer)["reason"]) == (502, "unauthorized")

    async def test_an_unknown_injection_is_not_found(self, call: Call, extension: TokensExtension) -> None:
        other = Injection("0b2d9a5c-0000-0000-0000-000000000001", "oneaccess", "X", "python", None)
        extension.injections._known[other.id] = other
        for injection_id in ("0" * 32, other.id):
            path = f"kernels/0b2d9a5c-0000-0000-0000-000000000000/inject/{injection_id}"
            answer = await call("GET", path)
            assert (answer.code, told(answer)["reason"]) == (404, "unknown_injection")


class Stream:
    """A kernel's shell channel, played by the test."""

    def __init__(self) -> None:
        self.sent: list[list[bytes]] = []

    def on_recv(self, received: Any) -> None:
        self.received = received

    def send_multipart(self, frames: list[bytes], **options: Any) -> None:
        self.sent.append(frames)


class TestChannel:
    @pytest.mark.parametrize(
        ("snippet", "reply", "confirmed"),
        [
            (Snippet("", "x"), {"status": "ok", "user_expressions": {"jupyter_tokens": {"status": "ok"}}}, True),
            (Snippet("", "x"), {"status": "ok", "user_expressions": {"jupyter_tokens": {"status": "error"}}}, False),
            (Snippet("x", "x"), {"status": "ok", "payload": [{"source": "jupyter_tokens"}]}, True),
            (Snippet("x", "x"), {"status": "ok", "payload": [{"source": "page"}]}, False),
            (Snippet("x", "x"), {"status": "error"}, False),
            (Snippet("x", ""), {"status": "ok"}, True),
            (Snippet("x", ""), {"status": "error"}, False),
        ],
    )
    def test_done_is_what_the_kernel_confirmed(self, snippet: Snippet, reply: dict[str, Any], confirmed: bool) -> None:
        assert kernel_push.is_confirmed(reply, snippet) is confirmed

    async def test_only_the_reply_to_the_request_counts(self) -> None:
        stream, session = Stream(), Session(key=b"key")
        kernel = SimpleNamespace(session=session, connect_shell=lambda identity: stream)
        reply = kernel_push.KernelChannel(kernel, kernel.connect_shell).execute(Snippet("code", "expression"))
        frames = [part if isinstance(part, bytes) else bytes(part) for part in stream.sent[0]]
        request = session.deserialize(session.feed_identities(frames)[1])
        assert request["content"] == {
            "code": "code",
            "silent": True,
            "store_history": False,
            "user_expressions": {"jupyter_tokens": "expression"},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        for parent, content in ((None, {"status": "other"}), (request, {"status": "ok"})):
            stream.received(session.serialize(session.msg("execute_reply", content, parent=parent)))
        assert await reply == {"status": "ok"}


async def given() -> Outcome:
    return Outcome(None, None)


async def broken() -> Outcome:
    raise NetworkError("No way there.")


class TestInjectionQueue:
    async def test_only_the_last_ones_that_ended_are_remembered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kernel_push, "MAX_FINISHED", 2)
        injections = InjectionQueue()
        all_of_them = [Injection("k", "p", "E", "python", None) for _ in range(4)]
        for injection in all_of_them:
            await injections.start(injection, given)
        assert [injections.get(injection.id) for injection in all_of_them] == [None, None, *all_of_them[2:]]

    async def test_an_api_that_fails_while_it_waits_ends_it(self) -> None:
        injections = InjectionQueue()
        injection = Injection("k", "p", "E", "python", None)
        await injections.start(injection, broken)
        assert (injection.state, injection.message) == ("failed", "No way there.")


@pytest.mark.skipif(not IR.is_dir(), reason="needs R and IRkernel: apt-get install r-cran-irkernel")
class TestR:
    @pytest.fixture(autouse=True)
    def _spec(self, jp_data_dir: Path) -> None:
        # The test's server looks for kernels in folders of its own alone.
        shutil.copytree(IR, jp_data_dir / "kernels" / "ir")

    async def test_the_kernel_has_the_token_and_no_one_else_hears_of_it(
        self, call: Call, jp_serverapp: Any, extension: TokensExtension, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        async with started(jp_serverapp, "ir") as client:
            await client.run("c <- nchar <- Sys.setenv <- list <- NULL")
            before = await client.run("cat(sort(ls(all.names = TRUE)))")
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"})
            value = value_of(extension)
            assert (answer.code, told(answer)["state"], told(answer)["language"]) == (200, "done", "r")
            assert await client.run("cat(sort(ls(all.names = TRUE)))") == before
            heard = client.all_heard()
            assert "base::local" in heard, "IRkernel tells its clients the code even of silent requests"
            assert await client.run("cat(Sys.getenv('ONEACCESS_TOKEN'))") == value
        for place in (heard, caplog.text, answer.body.decode()):
            assert value not in place
            assert value.encode().hex() not in place

    async def test_a_hostile_value_arrives_as_it_is(
        self, call: Call, jp_serverapp: Any, extension: TokensExtension, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        give(monkeypatch, extension, token(HOSTILE), token(""))
        async with started(jp_serverapp, "ir") as client:
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess", "env": "OTHER"})
            assert told(answer)["state"] == "done"
            seen = await client.run("cat(format(charToRaw(Sys.getenv('OTHER'))), sep = '')")
            assert bytes.fromhex(seen).decode() == HOSTILE
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess", "env": "OTHER"})
            assert told(answer)["state"] == "done"
            assert await client.run("cat(nchar(Sys.getenv('OTHER')))") == "0"

    async def test_a_kernel_that_cannot_set_it_is_found_out(
        self, call: Call, jp_serverapp: Any, extension: TokensExtension
    ) -> None:
        async with started(jp_serverapp, "ir") as client:
            # IRkernel calls a silent request that failed "ok".
            spoil = "e <- baseenv(); unlockBinding('Sys.setenv', e); assign('Sys.setenv', function(...) stop('no'), e)"
            await client.run(spoil)
            answer = await call("POST", f"kernels/{client.id}/inject", {"profile": "oneaccess"})
        assert (answer.code, told(answer)["message"]) == (409, "The kernel did not set the variable.")
