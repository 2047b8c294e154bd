"""What a user does in a kernel of the server, and what a program does at the server's routes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import nbformat
from jupyter_client.blocking.client import BlockingKernelClient

from jupyter_tokens.protocol.proof import HEADER, prove

from ..e2e.test_escapes import PREPARE
from ..e2e.test_server_mode import run, text
from ..e2e.ways_out import STOPPED
from ..hearing import until_heard
from ..labextension.served import DEADLINE
from ..person import Person
from ..server.test_vendor_proxy import CALLS
from .house import House, Server
from .places import MESSAGE
from .vendors import Vendors

CELLS = (
    "%gettoken modelarts --file kept.token",
    "%gettoken eiam --file put-back.token --format json",
    "%gettoken iam --env IAM_TOKEN",
    "%gettoken oneaccess --var other --refresh",
    "%gettoken short",
    "%gettoken openid --var mine",
    "%gettoken astra",
    "%tokens",
    "%%withtoken eiam --env LENT\nimport os; print(os.environ['LENT'])",
    "%deltoken eiam",
    "%gettoken wrong",
    "%gettoken modelarts instance_id=nobody",
    "%gettoken pai-dlc TargetType=nothing",
    "from jupyter_tokens import get_token\n[get_token('literal'), get_token('command').headers()]",
    "import subprocess; child = subprocess.Popen(['sleep', '600'])",
)
WRONG = {"%gettoken wrong", "%gettoken modelarts instance_id=nobody", "%gettoken pai-dlc TargetType=nothing"}
OK = 200
FAULTS = {"truncated": OK, "500": OK, "html": 502, "wrong-types": 502, "403": 502, "redirect": 502}
"""What goes wrong at the vendor, and how the server answers: some calls are made again."""
_UNKNOWN_HERE = "secret of the profile, read in this process"
"""On a server the kernel has no secret."""
_REFRESHED = 6
_LAST = "child.kill(); print('the end')"


@contextmanager
def kernel(house: House, server: Server, vendors: Vendors) -> Iterator[None]:
    """A kernel with tokens in it. What it sends is kept."""
    started = server.ask("POST", "api/kernels", {"name": "python3"}).json()
    file = house.home / "runtime" / f"kernel-{started['id']}.json"
    client = BlockingKernelClient()
    client.load_connection_file(str(file))
    # Not by its heartbeat, which on a busy machine is late before the kernel is up.
    client.start_channels(hb=False)
    try:
        until_heard(client, DEADLINE)
        _cells(house, vendors, client)
        by_proof(server, started["id"], file)
        yield
        house.note(MESSAGE, "the end", text(run(client, _LAST)))
    finally:
        client.stop_channels()


def _cells(house: House, vendors: Vendors, client: BlockingKernelClient) -> None:
    ways = [(way.name, part) for way in STOPPED if way.name != _UNKNOWN_HERE for part in way.code.split("\n---\n")]
    for name, cell in [("prepare", PREPARE.replace("SECRET", "''")), *((cell, cell) for cell in CELLS), *ways]:
        shown = text(run(client, cell))
        assert ("TokenError: " in shown) == (cell in WRONG), shown
        house.note(MESSAGE, name, shown)
    for kind, status in FAULTS.items():
        vendors.fails("oneaccess", kind)
        shown = text(run(client, "%gettoken oneaccess --refresh"))
        assert ("TokenError: " in shown) == (status != OK), shown
        house.note(MESSAGE, kind, shown)


def by_proof(server: Server, kernel_id: str, file: Path) -> None:
    """The kernel's own route, asked with the key of its connection file."""
    key = json.loads(file.read_text(encoding="utf-8"))["key"].encode()
    body = json.dumps({"profile": "oneaccess"}).encode()
    proof = prove(key, kernel_id, "token", body, time=int(time.time()), nonce=uuid4().hex)
    url = f"{server.url}/jupyter-tokens/kernels/{kernel_id}/token"
    answer = httpx.post(url, content=body, headers={HEADER: proof}, trust_env=False).raise_for_status()
    server.keep(answer)
    # A proof is good for once.
    again = httpx.post(url, content=body, headers={HEADER: proof}, trust_env=False)
    assert again.status_code == 403, again.text
    server.keep(again, "again")


def routes(house: House, server: Server, vendors: Vendors) -> None:
    """Every route of the extension, as a program with a login asks them."""
    token = "jupyter-tokens/profiles/oneaccess/token"

    def asked(method: str, path: str, body: object = None, *, status: int = 200, note: str = "") -> httpx.Response:
        answer = server.ask(method, path, body, note=note)
        assert answer.status_code == status, answer.text
        return answer

    asked("GET", "jupyter-tokens/providers")
    asked("POST", token, {})
    asked("POST", token, {"refresh": True}, note="refresh")
    value = asked("POST", token, {"reveal": True}, note="reveal").json()["value"]
    asked("POST", token, {"params": {"value": value}}, status=400, note="a token in the wrong place")
    asked("POST", "jupyter-tokens/profiles/wrong/token", {}, status=502)
    for kind, status in FAULTS.items():
        vendors.fails("oneaccess", kind)
        asked("POST", token, {"refresh": True}, status=status, note=kind)
    for profile in ("modelarts", "pai-dlc", "eiam"):
        method, path, _ = CALLS[profile]
        asked(method, f"jupyter-tokens/{path}")
    client = {"provider": "oneaccess", "endpoint": vendors.url, "client_id": "client-edited", "env": "EDITED_TOKEN"}
    for store in ("keyring", "file"):
        secret = {"client_secret": {"value": house.made["edited"], "store": store}}
        asked("PUT", "jupyter-tokens/profiles/edited", {**client, **secret}, status=201 if store == "keyring" else 200)
        asked("POST", "jupyter-tokens/profiles/edited/token", {"refresh": True})
    nowhere = {"client_secret": {"value": house.made["edited"], "store": "nowhere"}}
    asked("PUT", "jupyter-tokens/profiles/edited", {**client, **nowhere}, status=400, note="refused")
    asked("GET", "jupyter-tokens/profiles/edited")
    logins(server)
    asked("GET", "jupyter-tokens/profiles")
    asked("GET", "jupyter-tokens/history")
    asked("GET", "jupyter-tokens/holdings")
    asked("GET", "metrics")
    saved(server, value)


def logins(server: Server) -> None:
    """A person logs in by a browser, and by another device after a logout; each login is refreshed, so it rotates."""
    path = "jupyter-tokens/profiles/openid/login"
    for device in (False, True):
        begun = server.ask("POST", path, {"device": device}, note="device" if device else "").json()
        if device:
            Person().type_code(begun["verification_uri"], begun["user_code"])
        else:
            query = urlsplit(Person().log_in(begun["url"])).query
            answer = server.ask("GET", f"jupyter-tokens/login/callback?{query}")
            assert answer.status_code == OK, answer.text
            # It is good for once.
            assert server.ask("GET", f"jupyter-tokens/login/callback?{query}").status_code != OK
        until = time.monotonic() + DEADLINE
        while server.ask("GET", f"{path}/{begun['id']}").json()["state"] != "done":
            assert time.monotonic() < until
            time.sleep(begun["interval"])
        for _ in range(2):
            body = {"refresh": True}
            assert server.ask("POST", "jupyter-tokens/profiles/openid/token", body).status_code == OK
        if not device:
            assert server.ask("DELETE", path).json()["revoked"]


def saved(server: Server, value: str) -> None:
    """A notebook with a token in an output, which the save hook takes out of it."""
    output = nbformat.v4.new_output("stream", text=f"{value}\n")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    path = "api/contents/redacted.ipynb"
    answer = server.ask("PUT", path, {"type": "notebook", "content": notebook})
    assert answer.status_code == 201, answer.text
    assert server.ask("POST", f"{path}/checkpoints").status_code == 201
    assert "[token oneaccess]" in server.ask("GET", path).text


def until_refreshed(vendors: Vendors) -> None:
    """Waits until the short token, which a kernel keeps fresh, has been fetched again and again."""
    until = time.monotonic() + DEADLINE
    while vendors.calls("pai-dlc") < _REFRESHED:
        assert time.monotonic() < until
        time.sleep(0.1)
