"""How long SDKs in a kernel wait for their credential at the server's endpoints, each asking as its SDK does."""

from __future__ import annotations

import json
import statistics
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import uuid4

from jupyter_tokens.protocol.proof import HEADER, prove

from .load import interleaved
from .measure import Row
from .served import TOKEN, Served, serving
from .vendors import profiles, sandboxed

_PROMISE_SECONDS = 0.050


class _Way(NamedTuple):
    """How an SDK asks. profile : a token that it can use. query, header, form : with the secret in place of `{}`."""

    profile: str
    method: str = "GET"
    query: str = ""
    header: str = ""
    form: str = ""


_EXCHANGE = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token={}"
_WAYS = {
    "aws": _Way("alibaba-sts", header="Authorization: {}"),
    "alibaba": _Way("alibaba-sts", query="?key={}"),
    "huawei": _Way("alibaba-sts", "POST", header="Authorization: {}"),
    "google": _Way("oneaccess", "POST", form=_EXCHANGE),
    "azure": _Way("oneaccess", query="?api-version=2019-08-01&resource=r", header="X-IDENTITY-HEADER: {}"),
    "databricks": _Way("oneaccess", query="?key={}"),
}


def answered(rounds: int, seconds: float) -> Iterator[Row]:
    """For one SDK that asks 50 ms are promised; ten at once are beside it. All of them cost a call for each token."""
    with sandboxed() as url, serving(url, profiles(url)) as server, _kernel(server) as kernel:
        secrets = {name: _secret(server, kernel, name) for name in {way.profile for way in _WAYS.values()}}
        asked = {tool: _request(kernel, tool, way, secrets[way.profile]) for tool, way in _WAYS.items()}
        taken = interleaved(server.port, asked, rounds, (1, 10), seconds)
        calls = sum(_json(f"{url}/_sandbox/requests").values())
    for (tool, clients), rows in sorted(taken.items(), key=lambda each: each[0][1]):
        p99 = statistics.median(row.p99 for row in rows)
        limit = 1.0 if clients == 1 else None
        name = f"{tool}, {clients} clients, p99, of {_PROMISE_SECONDS * 1000:.0f} ms"
        yield Row("endpoint", name, p99, p99 / _PROMISE_SECONDS, limit)
    yield Row("endpoint", "upstream calls of two tokens", 0.0, calls / len(secrets), 1.0, count=calls)


@contextmanager
def _kernel(server: Served) -> Iterator[str]:
    """The id of a kernel of the server."""
    kernels = f"http://127.0.0.1:{server.port}/api/kernels"
    kernel: str = _json(kernels, "POST", {"name": "python3"})["id"]
    yield kernel
    _json(f"{kernels}/{kernel}", "DELETE")


def _secret(server: Served, kernel: str, profile: str) -> str:
    """What `%gettoken --sdk` gets in the kernel, by the key of its connection file."""
    key = json.loads((server.home / f"kernel-{kernel}.json").read_text())["key"].encode()
    asked = {"profile": profile, "params": {}}
    proof = prove(key, kernel, "sdk", json.dumps(asked).encode(), time=int(time.time()), nonce=uuid4().hex)
    url = f"http://127.0.0.1:{server.port}/jupyter-tokens/kernels/{kernel}/sdk"
    return str(_json(url, "POST", asked, {HEADER: proof})["secret"])


def _request(kernel: str, tool: str, way: _Way, secret: str) -> bytes:
    form = way.form.format(secret)
    head = [
        f"{way.method} /jupyter-tokens/kernels/{kernel}/sdk/{tool}/{way.profile}{way.query.format(secret)} HTTP/1.1",
        "Host: localhost",
        *([way.header.format(secret)] if way.header else []),
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(form)}",
    ]
    return "\r\n".join([*head, "", form]).encode()


def _json(url: str, method: str = "GET", body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
    shown = headers or {"Authorization": f"token {TOKEN}"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **shown}, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or "null")
