"""Kernels that the server has adopted by their connection files: whose they are, and whether they answer."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import KernelManager
from tornado.httpclient import HTTPResponse

from jupyter_tokens.protocol.proof import HEADER, prove
from jupyter_tokens.server import kernel_proof
from jupyter_tokens.server.app import TokensExtension

from .conftest import Call, told

Ask = Callable[..., Any]


class Stranger:
    """A kernel that the server has not started."""

    def __init__(self, folder: Path) -> None:
        self.id = str(uuid4())
        self.file = folder / f"kernel-{self.id}.json"
        self.manager = KernelManager(connection_file=str(self.file), kernel_name="python3")

    @property
    def key(self) -> bytes:
        return bytes(json.loads(self.file.read_text())["key"], "ascii")

    def change(self, **facts: Any) -> None:
        self.file.write_text(json.dumps({**json.loads(self.file.read_text()), **facts}))


@pytest.fixture
def folder(tmp_path: Path, jp_serverapp: Any) -> Path:
    folder = tmp_path / "external_kernels"
    folder.mkdir(mode=0o755)
    jp_serverapp.kernel_manager.external_connection_dir = str(folder)
    return folder


@pytest.fixture
def stranger(folder: Path) -> Iterator[Stranger]:
    stranger = Stranger(folder)
    stranger.manager.start_kernel()
    client = stranger.manager.client()
    client.start_channels(hb=False)
    client.wait_for_ready(timeout=60)
    client.stop_channels()
    yield stranger
    stranger.manager.shutdown_kernel(now=True)


@pytest.fixture
def ask(call: Call, stranger: Stranger, extension: TokensExtension, profiles: Any) -> Ask:
    async def ask(action: str = "token", key: bytes | None = None) -> HTTPResponse:
        body = json.dumps({"profile": "oneaccess"} if action == "token" else {}).encode()
        now = int(extension.clock.now())
        proof = prove(key or stranger.key, stranger.id, action, body, time=now, nonce=uuid4().hex)
        return await call("POST", f"kernels/{stranger.id}/{action}", body, headers={HEADER: proof})

    return ask


async def test_the_servers_own_that_answers_is_served(
    ask: Ask, call: Call, stranger: Stranger, jp_serverapp: Any
) -> None:
    # Nobody has listed the kernels since its file is there.
    assert (await ask("profiles")).code == 200
    assert (await ask()).code == 200
    assert told(await ask(key=b"wrong"))["reason"] == "proof"
    # The server calls it otherwise, and lists what it holds under that name.
    (here,) = jp_serverapp.kernel_manager.list_kernel_ids()
    assert here != stranger.id
    held = jp_serverapp.web_app.settings["jupyter_tokens"].holdings.current()
    assert [each.kernel_id for each in held] == [here]
    history = told(await call("GET", "history"))["history"]
    assert {event["kernel_id"] for event in history if event["kind"] in {"served", "refused"}} == {here}
    stranger.file.rename(stranger.file.with_suffix(".away"))
    jp_serverapp.kernel_manager.list_kernel_ids()
    assert (await ask(key=b"x")).code == 403


def others(stranger: Stranger, monkeypatch: pytest.MonkeyPatch, what: Path) -> None:
    """Makes a path another user's: for real where the tests may, else by being another user."""
    if os.geteuid() == 0:
        os.chown(what, 65534, 65534)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)


FAULTS: dict[str, tuple[Callable[[Stranger, pytest.MonkeyPatch], object], str]] = {
    "written by all": (lambda s, _: s.file.chmod(0o666), "chmod 600"),
    "read by the group": (lambda s, _: s.file.chmod(0o640), "chmod 600"),
    "folder written by all": (lambda s, _: s.file.parent.chmod(0o1777), "chmod go-w"),
    "folder written by the group": (lambda s, _: s.file.parent.chmod(0o775), "chmod go-w"),
    "of another user": (lambda s, m: others(s, m, s.file), "another user"),
    "folder of another user": (lambda s, m: others(s, m, s.file.parent), "another user"),
    "changed since": (lambda s, _: s.change(shell_port=1), "has changed since"),
    "another form": (lambda s, _: s.file.write_text("[]"), "has changed since"),
    "no JSON": (lambda s, _: s.file.write_text("{"), "cannot be read"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_file_that_others_could_have_made_gets_no_token(
    *, ask: Ask, stranger: Stranger, call: Call, jp_serverapp: Any, sandbox: Any, monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:  # fmt: skip
    (here,) = jp_serverapp.kernel_manager.list_kernel_ids()
    key = stranger.key
    spoil, words = FAULTS[fault]
    spoil(stranger, monkeypatch)
    for response in (
        await ask(key=key),
        await ask("profiles", key=key),
        await call("POST", f"kernels/{here}/inject", {"profile": "oneaccess"}),
    ):
        assert (response.code, told(response)["reason"]) == (403, "adopted")
        assert words in told(response)["message"]
    assert sandbox.requests["oneaccess"] == 0


async def test_a_link_counts_as_what_it_leads_to(ask: Ask, stranger: Stranger, tmp_path: Path) -> None:
    elsewhere = tmp_path / "shared"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    real = stranger.file.rename(elsewhere / "kernel.json")
    stranger.file.symlink_to(real)
    assert told(await ask())["reason"] == "adopted"
    elsewhere.chmod(0o700)
    assert (await ask()).code == 200


async def test_with_nothing_behind_it_there_is_no_token(
    ask: Ask, stranger: Stranger, jp_serverapp: Any, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jp_serverapp.kernel_manager.list_kernel_ids()
    monkeypatch.setattr(kernel_proof, "ANSWER_SECONDS", 0.3)
    # Its process is gone, and its file is left.
    stranger.manager.provisioner.process.kill()  # type: ignore[union-attr]
    stranger.manager.provisioner.process.wait()  # type: ignore[union-attr]
    response = await ask()
    assert (response.code, told(response)["reason"]) == (403, "adopted")
    assert "no kernel that answers" in told(response)["message"]
    # Somebody else has its port now.
    facts = json.loads(stranger.file.read_text())
    with socket.create_server((facts["ip"], facts["control_port"])):
        assert told(await ask())["reason"] == "adopted"
    assert sandbox.requests["oneaccess"] == 0


async def test_one_that_has_another_key_than_its_file_does_not_answer(
    ask: Ask, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_proof, "ANSWER_SECONDS", 0.3)
    stranger.change(key="of-somebody-else")
    response = await ask()
    assert (response.code, told(response)["reason"]) == (403, "adopted")
    assert "no kernel that answers" in told(response)["message"]


async def test_a_busy_one_answers(ask: Ask, stranger: Stranger, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    client = AsyncKernelClient(connection_file=str(stranger.file))
    client.load_connection_file()
    client.start_channels(hb=False)
    client.execute(f"open({str(tmp_path / 'gate')!r}).read()")
    while (await client.get_iopub_msg(timeout=60))["content"].get("execution_state") != "busy":
        pass
    assert (await ask()).code == 200
    (tmp_path / "gate").write_text("")
    client.stop_channels()
