"""Handles at the server: issued to a kernel or a user, used by a worker, renewed by their owner, revoked by anybody."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from tornado.httpclient import HTTPResponse

from jupyter_tokens.protocol.handles import Handle
from jupyter_tokens.protocol.proof import HEADER
from jupyter_tokens.server.app import TokensExtension

from ..doubles import Clock
from .conftest import Call, Kernel, told

Work = Callable[..., Awaitable[HTTPResponse]]


@pytest.fixture
def clock(extension: TokensExtension) -> Clock:
    clock = Clock()
    # The sandbox has the true time, which signatures are checked by.
    clock.wall = time.time()
    extension.clock = clock
    return clock


@pytest.fixture
def work(call: Call, clock: Clock) -> Work:
    """Asks for a token as the holder of a handle."""

    async def work(handle: Handle, headers: dict[str, str] | None = None, **body: Any) -> HTTPResponse:
        written = json.dumps(body).encode()
        proof = {HEADER: handle.prove("token", written, time=int(clock.now()), nonce=uuid4().hex)}
        return await call("POST", f"handles/{handle.id}/token", written, headers={**proof, **(headers or {})})

    return work


def told_to_issuer(handle: Handle, **more: Any) -> dict[str, Any]:
    facts = {"id": handle.id, "key": handle.key.hex(), "profile": handle.profile, "params": dict(handle.params)}
    return {**facts, **more}


@pytest.fixture
def by_kernel(call: Call, kernel: Kernel, clock: Clock) -> Work:
    async def ask(action: str, body: dict[str, Any], speaker: Kernel = kernel) -> HTTPResponse:
        written = json.dumps(body).encode()
        headers = speaker.proof(action, written, time=clock.now())
        return await call("POST", f"kernels/{speaker.id}/{action}", written, headers=headers)

    return ask


async def test_from_a_kernel_to_a_worker(*, by_kernel: Work, work: Work, profiles: Any, sandbox: Any) -> None:
    handle = Handle.new("oneaccess", {})
    issued = told(await by_kernel("handles", told_to_issuer(handle, lease=60)))
    assert (issued["id"], issued["lease"], issued["certificate"]) == (handle.id, 60, None)
    assert issued["url"].endswith("/jupyter-tokens")
    first, second = [told(await work(handle, profile="oneaccess")) for _ in range(2)]
    assert first["value"] == second["value"]
    assert sandbox.requests["oneaccess"] == 1


async def test_the_lease_is_the_drivers(*, by_kernel: Work, work: Work, profiles: Any, clock: Clock) -> None:
    handle = Handle.new("oneaccess", {})
    await by_kernel("handles", told_to_issuer(handle, lease=10))
    for _ in range(3):
        clock.advance(9)
        assert (await by_kernel(f"handles/{handle.id}/renew", {})).code == 200
    assert (await work(handle)).code == 200
    clock.advance(10)
    response = await work(handle)
    assert (response.code, told(response)["reason"]) == (403, "handle")
    assert "lease" in told(response)["message"]


async def test_revoked_by_its_driver(*, by_kernel: Work, work: Work, profiles: Any) -> None:
    handle = Handle.new("oneaccess", {})
    await by_kernel("handles", told_to_issuer(handle))
    assert (await by_kernel(f"handles/{handle.id}/revoke", {})).code == 200
    assert "revoked" in told(await work(handle))["message"]
    assert (await by_kernel(f"handles/{handle.id}/renew", {})).code == 403
    # There is nothing left to do.
    assert (await by_kernel(f"handles/{uuid4().hex}/revoke", {})).code == 200


async def test_listed_and_revoked_by_a_user(*, by_kernel: Work, work: Work, call: Call, profiles: Any) -> None:
    handle = Handle.new("oneaccess", {})
    await by_kernel("handles", told_to_issuer(handle))
    await work(handle)
    response = await call("GET", "handles")
    [listed] = told(response)["handles"]
    assert (listed["id"], listed["profile"], listed["uses"]) == (handle.id, "oneaccess", 1)
    assert handle.key.hex() not in response.body.decode()
    # The panel asks for both at once.
    assert told(await call("GET", "holdings"))["handles"] == [listed]
    assert (await call("DELETE", f"handles/{handle.id}")).code == 204
    assert told(await call("GET", "handles")) == {"handles": []}
    assert (await work(handle)).code == 403
    assert (await call("DELETE", f"handles/{uuid4().hex}")).code == 404


async def test_issued_to_a_user(*, call: Call, work: Work, profiles: Any, clock: Clock) -> None:
    handle = Handle.new("astra", {})
    assert (await call("POST", "handles", told_to_issuer(handle, lease=10))).code == 200
    clock.advance(9)
    assert (await call("POST", f"handles/{handle.id}/renew", {})).code == 200
    clock.advance(9)
    assert (await work(handle)).code == 200


async def test_only_its_owner_renews_it(
    *, by_kernel: Work, call: Call, profiles: Any, jp_serverapp: Any, work: Work
) -> None:
    handle, other = Handle.new("oneaccess", {}), Kernel(key=b"the key of the other kernel")
    await by_kernel("handles", told_to_issuer(handle))
    assert (await call("POST", f"handles/{handle.id}/renew", {})).code == 403
    with other.started(jp_serverapp):
        for action in ("renew", "revoke"):
            assert (await by_kernel(f"handles/{handle.id}/{action}", {}, other)).code == 403
        assert (await by_kernel("handles", told_to_issuer(handle), other)).code == 403
    assert (await work(handle)).code == 200


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"profile": "pai-dlc", "params": {"TargetId": "dlc1"}}, 403),
        ({"profile": "astra"}, 403),
        ({"profile": "oneaccess", "create": True}, 400),
        ({"newer_than": "yesterday"}, 400),
    ],
)
async def test_good_for_its_profile_alone(
    *, by_kernel: Work, work: Work, profiles: Any, sandbox: Any, asked: dict[str, Any], status: int
) -> None:
    handle = Handle.new("oneaccess", {})
    await by_kernel("handles", told_to_issuer(handle))
    assert (await work(handle, **asked)).code == status
    assert sum(sandbox.requests.values()) == 0


async def test_its_parameters_are_those_of_the_call(
    *, by_kernel: Work, work: Work, profiles: Any, sandbox: Any
) -> None:
    handle = Handle.new("pai-dlc", {"TargetType": "job", "TargetId": "dlc1a2b3", "ExpireTime": "60"})
    assert (await by_kernel("handles", told_to_issuer(handle))).code == 200
    assert told(await work(handle, profile="pai-dlc"))["expires_in"] <= 60
    assert (await work(handle, params={"ExpireTime": 60})).code == 200
    assert (await work(handle, params={"ExpireTime": 3600})).code == 403
    assert sandbox.requests["pai-dlc"] == 1


@pytest.mark.parametrize("limit", [{"kernels": ["another"]}, {"notebooks": ["*.ipynb"]}])
async def test_a_limited_profile(
    *, by_kernel: Work, call: Call, profiles: Any, write_profiles: Callable[..., Any], limit: dict[str, Any]
) -> None:
    write_profiles({"oneaccess": {**profiles["oneaccess"], **limit}})
    for response in (
        await by_kernel("handles", told_to_issuer(Handle.new("oneaccess", {}))),
        await call("POST", "handles", told_to_issuer(Handle.new("oneaccess", {}))),
    ):
        assert (response.code, told(response)["reason"]) == (403, "limited")


async def test_a_limit_set_since_then_holds_from_the_next_renewal(
    *, by_kernel: Work, profiles: Any, write_profiles: Callable[..., Any], extension: TokensExtension
) -> None:
    handle = Handle.new("oneaccess", {})
    await by_kernel("handles", told_to_issuer(handle))
    write_profiles({"oneaccess": {**profiles["oneaccess"], "kernels": ["another"]}})
    extension.source.expire_config()
    assert told(await by_kernel(f"handles/{handle.id}/renew", {}))["reason"] == "limited"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"profile": "nobody"}, 404),
        ({"profile": "wrong"}, 409),
        ({"params": {"no_such": "x"}}, 400),
        ({"key": "c4n4ry-key"}, 400),
        ({"lease": 0}, 400),
        ({"lease": 1e9}, 400),
        ({"lease": 10**400}, 400),
        ({"lease": True}, 400),
        ({"id": None}, 400),
        ({"value": "x"}, 400),
    ],
)
async def test_what_is_not_issued(
    *, by_kernel: Work, profiles: Any, extension: TokensExtension, change: dict[str, Any], status: int
) -> None:
    response = await by_kernel("handles", told_to_issuer(Handle.new("oneaccess", {}), **change))
    assert response.code == status
    assert "c4n4ry" not in response.body.decode()
    assert extension.handles.in_use() == []


@pytest.mark.parametrize("missing", ["id", "key", "profile"])
async def test_what_is_missing_is_named(*, by_kernel: Work, profiles: Any, missing: str) -> None:
    body = told_to_issuer(Handle.new("oneaccess", {}))
    del body[missing]
    assert repr(missing) in told(await by_kernel("handles", body))["message"]


async def test_a_browser_cannot_use_one(*, by_kernel: Work, work: Work, profiles: Any) -> None:
    handle = Handle.new("oneaccess", {})
    await by_kernel("handles", told_to_issuer(handle))
    response = await work(handle, {"Sec-Fetch-Site": "same-origin"})
    assert (response.code, told(response)["reason"]) == (403, "browser")


async def test_not_without_the_key(*, by_kernel: Work, work: Work, call: Call, profiles: Any, sandbox: Any) -> None:
    handle = Handle.new("oneaccess", {})
    await by_kernel("handles", told_to_issuer(handle))
    for response in (
        await call("POST", f"handles/{handle.id}/token", {}),
        await work(Handle(handle.profile, handle.params, handle.id, b"0" * 32)),
    ):
        assert (response.code, told(response)["reason"]) == (403, "handle")
    assert sum(sandbox.requests.values()) == 0


async def test_a_vendors_trouble_comes_whole(*, by_kernel: Work, work: Work, profiles: Any, sandbox: Any) -> None:
    handle = Handle.new("oneaccess", {})
    await by_kernel("handles", told_to_issuer(handle))
    sandbox.plan({"api": "oneaccess", "kind": "500", "times": None})
    response = await work(handle)
    assert (response.code, told(response)["reason"]) == (503, "unavailable")
    assert {"hint", "status", "profile"} <= told(response).keys()


async def test_the_certificate_goes_along_and_not_its_key(
    *, by_kernel: Work, profiles: Any, jp_serverapp: Any, tmp_path: Any
) -> None:
    certificate = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----"
    file = tmp_path / "both.pem"
    file.write_text(f"-----BEGIN PRIVATE KEY-----\nc4n4ry\n-----END PRIVATE KEY-----\n{certificate}\n")
    jp_serverapp.certfile = str(file)
    try:
        issued = told(await by_kernel("handles", told_to_issuer(Handle.new("oneaccess", {}))))
    finally:
        jp_serverapp.certfile = ""
    assert issued["certificate"] == certificate
