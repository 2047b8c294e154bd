"""Who gets in: every route and method, against every way of asking, on a server that lets no one in by default."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse
from traitlets.config import Config

from jupyter_tokens.protocol.handles import Handle
from jupyter_tokens.protocol.proof import HEADER, WINDOW_SECONDS
from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.server.base import MAX_BODY_BYTES

from .conftest import Call, Kernel, Permissions, told
from .kernels import started
from .test_rest_api import documented

LogIn = Callable[[], Awaitable[str]]
INJECTION = "0" * 32
HANDLE = Handle("oneaccess", (), "0" * 32, b"k" * 32)


@dataclass(frozen=True)
class Row:
    """One method of one route. needs : action and resource. status : of an answer to who may."""

    method: str
    path: str
    needs: tuple[str, str] | None = None
    status: int = 200
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def action(self) -> str:
        """What a kernel's proof is for."""
        return self.path.partition("{kernel_id}/")[2].format(handle_id=HANDLE.id, action="renew")


NEW_HANDLE = {"id": "1" * 32, "key": "2" * 64, "profile": "oneaccess"}
# What who may is answered with, where that is not 200, and what has to be sent along.
ANSWERS: dict[tuple[str, str], dict[str, Any]] = {
    ("get", "/jupyter-tokens/profiles/{name}"): {"status": 403},
    ("put", "/jupyter-tokens/profiles/{name}"): {"status": 403, "body": {"provider": "x"}},
    ("delete", "/jupyter-tokens/profiles/{name}"): {"status": 403},
    ("get", "/jupyter-tokens/import"): {"status": 403},
    ("delete", "/jupyter-tokens/profiles/{name}/token"): {"status": 204},
    ("post", "/jupyter-tokens/kernels/{kernel_id}/inject"): {"status": 400},
    ("delete", "/jupyter-tokens/kernels/{kernel_id}/inject"): {"status": 404},
    ("get", "/jupyter-tokens/kernels/{kernel_id}/inject/{injection_id}"): {"status": 404},
    # A profile of a program, and a login that nobody has begun.
    # This API lists nothing.
    ("post", "/jupyter-tokens/profiles/{name}/values"): {"status": 400, "body": {"param": "x"}},
    ("post", "/jupyter-tokens/profiles/{name}/login"): {"status": 409},
    ("delete", "/jupyter-tokens/profiles/{name}/login"): {"status": 409},
    ("get", "/jupyter-tokens/profiles/{name}/login/{login_id}"): {"status": 404},
    ("get", "/jupyter-tokens/login/callback"): {"status": 409},
    ("post", "/jupyter-tokens/kernels/{kernel_id}/login"): {"status": 409, "body": {"profile": "oneaccess"}},
    ("post", "/jupyter-tokens/kernels/{kernel_id}/values"): {
        "status": 400,
        "body": {"profile": "oneaccess", "param": "x"},
    },
    ("get", "/jupyter-tokens/proxy/{name}/{path}"): {"status": 405},
    ("post", "/jupyter-tokens/proxy/{name}/{path}"): {"status": 400},
    ("post", "/jupyter-tokens/kernels/{kernel_id}/token"): {"body": {"profile": "oneaccess"}},
    ("post", "/jupyter-tokens/kernels/{kernel_id}/handles"): {"body": NEW_HANDLE},
    ("post", "/jupyter-tokens/handles"): {"body": NEW_HANDLE},
    ("delete", "/jupyter-tokens/handles/{handle_id}"): {"status": 204},
    # It is a kernel's.
    ("post", "/jupyter-tokens/handles/{handle_id}/renew"): {"status": 403},
    ("post", "/jupyter-tokens/kernels/{kernel_id}/sdk"): {"body": {"profile": "oneaccess"}},
}
ROWS = [
    Row(method, path, needs, **ANSWERS.get((method, path), {}))
    for path, methods in documented().items()
    for method, needs in methods.items()
]
BROWSER = [row for row in ROWS if row.needs is not None]
# Who asks a credential endpoint shows a secret of the kernel's: test_endpoints.
KERNEL = [row for row in ROWS if row.needs is None and "{kernel_id}" in row.path and "/sdk/" not in row.path]

by_name = pytest.mark.parametrize("row", BROWSER, ids=lambda row: f"{row.method} {row.path}")
by_kernel = pytest.mark.parametrize("row", KERNEL, ids=lambda row: row.action)


@pytest.fixture
def jp_server_config(jp_server_config: Config) -> Config:
    jp_server_config.ServerApp.authorizer_class = Permissions
    Permissions.allowed, Permissions.asked = set(), []
    return jp_server_config


@pytest.fixture
def ask(call: Call, kernel: Kernel, profiles: Any, extension: TokensExtension) -> Callable[..., Any]:
    key = HANDLE.key.hex()
    extension.handles.issue(f"kernel {kernel.id}", handle_id=HANDLE.id, key=key, profile=HANDLE.profile, params={})

    async def ask(row: Row, headers: dict[str, str] | None = None, **facts: Any) -> HTTPResponse:
        path = row.path.format(
            name="oneaccess", kernel_id=kernel.id, injection_id=INJECTION, login_id=INJECTION,
            path="api/v2/tenant/token", handle_id=HANDLE.id, action="renew", tool="google", **facts
        )  # fmt: skip
        body = json.dumps(row.body).encode() if row.method in {"post", "put"} else None
        return await call(row.method.upper(), path.removeprefix("/jupyter-tokens/"), body, headers=headers)

    return ask


def test_no_one_gets_in_by_default(extension: TokensExtension) -> None:
    assert {(row.method, row.path) for row in ROWS} >= set(ANSWERS)
    assert extension.server.allow_unauthenticated_access is False


@by_name
async def test_no_login(ask: Any, row: Row) -> None:
    response = await ask(row, {})
    assert (response.code, told(response)["reason"]) == (403, "http")
    assert Permissions.asked == []


@by_name
async def test_wrong_login(ask: Any, row: Row) -> None:
    response = await ask(row, {"Authorization": "token wrong"})
    assert response.code == 403
    assert Permissions.asked == []


@by_name
async def test_login_without_permission(ask: Any, row: Row, sandbox: Any) -> None:
    Permissions.allowed = {other.needs for other in BROWSER if other.needs} - {row.needs}
    response = await ask(row)
    assert (response.code, told(response)["reason"]) == (403, "http")
    assert Permissions.asked[0] == row.needs
    assert sum(sandbox.requests.values()) == 0


@by_name
async def test_login_with_permission(ask: Any, row: Row) -> None:
    Permissions.allowed = {row.needs}
    response = await ask(row)
    assert response.code == row.status
    # Nothing else was asked for on the way.
    assert Permissions.asked[0] == row.needs
    if row.status == 403:
        assert told(response)["reason"] == ("handle" if "handle" in row.path else "edit_off")


@by_name
async def test_kernels_proof_is_no_login(ask: Any, row: Row, kernel: Kernel, extension: TokensExtension) -> None:
    Permissions.allowed = {row.needs} - {None}
    response = await ask(row, kernel.proof("token", b"{}", time=extension.clock.now()))
    assert response.code == 403
    # It was not even asked what somebody of that name may do.
    assert Permissions.asked == []


@pytest.fixture
def cookies(jp_serverapp: Any, jp_base_url: str, http_server_client: Any) -> LogIn:
    """Logs a browser in, and returns its cookies."""

    async def cookies() -> str:
        url = f"{jp_base_url}login?token={jp_serverapp.identity_provider.token}"
        response = await http_server_client.fetch(url, follow_redirects=False, raise_error=False)
        login = "; ".join(cookie.partition(";")[0] for cookie in response.headers.get_list("Set-Cookie"))
        # A page, which sets the XSRF cookie of who is logged in.
        page = await http_server_client.fetch(f"{jp_base_url}nothing", headers={"Cookie": login}, raise_error=False)
        xsrf = [cookie for cookie in page.headers.get_list("Set-Cookie") if cookie.startswith("_xsrf=")]
        return f"{login}; {xsrf[0].partition(';')[0]}"

    return cookies


def _xsrf(kept: str) -> str:
    return next(cookie.partition("=")[2] for cookie in kept.split("; ") if cookie.startswith("_xsrf="))


@by_name
async def test_cookie_and_xsrf(ask: Any, row: Row, cookies: LogIn) -> None:
    Permissions.allowed = {row.needs}
    kept = await cookies()
    xsrf = _xsrf(kept)
    version, mask, masked, moment = xsrf.split("|")
    other = "|".join((version, mask, masked[::-1], moment))
    for wrong in ({}, {"X-XSRFToken": "wrong"}, {"X-XSRFToken": other}):
        response = await ask(row, {"Cookie": kept, **wrong})
        # What reads needs none, as elsewhere in Jupyter: no other site can see the answer.
        assert response.code == (row.status if row.method == "get" else 403)
        assert row.method == "get" or told(response)["reason"] == "http"
    assert row.method == "get" or Permissions.asked == []
    response = await ask(row, {"Cookie": kept, "X-XSRFToken": xsrf})
    assert response.code == row.status


@by_name
async def test_another_origin(ask: Any, row: Row, cookies: LogIn, http_server_client: Any) -> None:
    Permissions.allowed = {row.needs}
    kept = await cookies()
    # All else is right.
    headers = {"Cookie": kept, "X-XSRFToken": _xsrf(kept)}
    response = await ask(row, {**headers, "Origin": "https://evil.example"})
    assert (response.code, told(response)["reason"]) == (404, "http")
    assert "Access-Control-Allow-Origin" not in response.headers
    assert Permissions.asked == []
    response = await ask(row, {**headers, "Origin": http_server_client.get_url("").rstrip("/")})
    assert response.code == row.status
    assert Permissions.asked[0] == row.needs


@pytest.mark.parametrize(
    "row",
    # From the server of a login the browser comes from another site.
    [row for row in BROWSER if not row.path.endswith("/callback")],
    ids=lambda row: f"{row.method} {row.path}",
)
@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
async def test_what_another_site_has_the_browser_ask(
    *, ask: Any, row: Row, cookies: LogIn, jp_serverapp: Any, sandbox: Any, jp_auth_header: dict[str, str], site: str
) -> None:
    Permissions.allowed = {row.needs}
    kept = await cookies()
    headers = {"Cookie": kept, "X-XSRFToken": _xsrf(kept)}
    response = await ask(row, {**headers, "Sec-Fetch-Site": site})
    assert (response.code, told(response)["reason"]) == (403, "cross_site")
    assert Permissions.asked == []
    assert sum(sandbox.requests.values()) == 0
    for own in ("same-origin", "none"):
        assert (await ask(row, {**headers, "Sec-Fetch-Site": own})).code == row.status
    # No other site has the browser send a token.
    assert (await ask(row, {**jp_auth_header, "Sec-Fetch-Site": site})).code == row.status
    # With any origin allowed nothing was said of this one; with this one it was.
    origin = {"Origin": "https://lab.example", "Sec-Fetch-Site": site}
    for allowed, status in (("*", 403), ("https://lab.example", row.status)):
        jp_serverapp.web_app.settings["allow_origin"] = allowed
        assert (await ask(row, {**headers, **origin})).code == status


async def test_a_cross_site_get_makes_no_call(call: Call, cookies: LogIn, sandbox: Any, profiles: Any) -> None:
    Permissions.allowed = {("read", "jupyter_tokens:proxy")}
    kept = await cookies()
    params = profiles["astra"]["params"]
    path = f"accounts/{params['account_id']}/core/v1/users/{params['user_id']}/tokens/{params['token_id']}"
    for site, status, calls in (("cross-site", 403, 0), ("same-origin", 200, 1)):
        headers = {"Cookie": kept, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
        assert (await call("GET", f"proxy/astra/{path}", headers=headers)).code == status
        assert sandbox.requests["astra"] == calls


@pytest.mark.parametrize("row", [row for row in ROWS if row.method in {"post", "put"}], ids=lambda row: row.path)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
async def test_a_body_that_is_too_large_is_not_looked_at(
    *, ask: Any, row: Row, call: Call, kernel: Kernel, extension: TokensExtension, chunked: bool,
    jp_auth_header: dict[str, str], http_server_client: Any, jp_base_url: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    Permissions.allowed = {other.needs for other in BROWSER if other.needs}
    extension.allow_edit = True
    hashed: list[int] = []
    sha256 = hashlib.sha256

    def counted(data: bytes = b"", **how: Any) -> Any:
        hashed.append(len(data))
        return sha256(data, **how)

    monkeypatch.setattr("hashlib.sha256", counted)
    facts = {"name": "oneaccess", "kernel_id": kernel.id, "handle_id": HANDLE.id, "action": "renew", "tool": "google"}
    path = row.path.format(path="api/v2/tenant/token", **facts)
    body, headers = b" " * 20_000_000, kernel.proof("token", b"", time=0, key=b"wrong") if row in KERNEL else {}
    sending: dict[str, Any] = {"body": body}
    if chunked:

        async def produce(write: Any) -> None:
            for start in range(0, len(body), 1_000_000):
                await write(body[start : start + 1_000_000])

        sending = {"body_producer": produce}
    response = await http_server_client.fetch(
        f"{jp_base_url}{path[1:]}", method=row.method.upper(), headers={**jp_auth_header, **headers},
        raise_error=False, **sending,
    )  # fmt: skip
    assert (response.code, told(response)["reason"]) == (413, "too_large")
    assert max(hashed, default=0) <= MAX_BODY_BYTES


@pytest.mark.parametrize(
    "name", ["client_secret", "Client_Secret", "CLIENT_SECRET", "clientSecret", "client%5fsecre%74"]
)
async def test_a_secret_in_a_query_is_in_no_log(
    call: Call, jp_auth_header: dict[str, str], profiles: Any, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level("DEBUG")
    Permissions.allowed = {other.needs for other in BROWSER if other.needs}
    for path in ("profiles", "proxy/oneaccess/api/v2/tenant/token", "proxy/nobody/x", "kernels/x/inject"):
        await call("GET", f"{path}?{name}=c4n4ry-of-a-client", headers={**jp_auth_header})
        await call("GET", f"{path}?{name}=c4n4ry-of-a-client", headers={})
    assert "jupyter-tokens/proxy/oneaccess/api/v2/tenant/token?[query]" in caplog.text
    # A path that is none of ours is logged by Jupyter, which compares names as they are spelt.
    ours = [line for line in caplog.text.splitlines() if "kernels/x/inject" not in line]
    assert not [line for line in ours if "c4n4ry-of-a-client" in line]


@by_kernel
async def test_a_kernel_gets_in_without_login(ask: Any, row: Row, kernel: Kernel, extension: TokensExtension) -> None:
    headers = kernel.proof(row.action, json.dumps(row.body).encode(), time=extension.clock.now())
    assert (await ask(row, headers)).code == row.status
    response = await ask(row, headers)
    assert (response.code, told(response)["reason"]) == (403, "replayed")
    assert Permissions.asked == []


@by_kernel
@pytest.mark.parametrize("login", [False, True], ids=["no login", "login"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"none": True}, "proof"),
        ({"key": b"wrong"}, "proof"),
        ({"action": "another"}, "proof"),
        ({"body": b'{"profile": "astra"}'}, "proof"),
        ({"kernel_id": "11111111-2222-3333-4444-555555555555"}, "proof"),
        ({"ago": WINDOW_SECONDS + 5}, "expired"),
        ({"ago": -WINDOW_SECONDS - 5}, "expired"),
        ({"ago": WINDOW_SECONDS + 5, "key": b"wrong"}, "proof"),
    ],
)
async def test_a_kernel_that_proves_nothing(
    *,
    ask: Any,
    row: Row,
    kernel: Kernel,
    extension: TokensExtension,
    jp_auth_header: dict[str, str],
    login: bool,
    change: dict[str, Any],
    reason: str,
    sandbox: Any,
) -> None:
    facts = {"action": row.action, "body": json.dumps(row.body).encode(), **change}
    time = extension.clock.now() - facts.pop("ago", 0)
    headers = (
        {} if facts.pop("none", False) else kernel.proof(facts.pop("action"), facts.pop("body"), time=time, **facts)
    )
    # The server's own login is no proof either.
    response = await ask(row, {**headers, **(jp_auth_header if login else {})})
    assert (response.code, told(response)["reason"]) == (403, reason)
    assert sum(sandbox.requests.values()) == 0


@by_kernel
async def test_a_kernel_that_this_server_does_not_run(
    call: Call, row: Row, extension: TokensExtension, profiles: Any
) -> None:
    stranger = Kernel()
    headers = stranger.proof(row.action, b"{}", time=extension.clock.now())
    response = await call("POST", f"kernels/{stranger.id}/{row.action}", b"{}", headers=headers)
    assert (response.code, told(response)["reason"]) == (403, "unknown_kernel")


@by_kernel
async def test_a_proof_is_for_its_kernel_alone(
    call: Call, row: Row, kernel: Kernel, extension: TokensExtension, jp_serverapp: Any
) -> None:
    other = Kernel(key=b"the key of the other kernel")
    with other.started(jp_serverapp):
        headers = other.proof(row.action, b"{}", time=extension.clock.now())
        response = await call("POST", f"kernels/{kernel.id}/{row.action}", b"{}", headers=headers)
        assert (response.code, told(response)["reason"]) == (403, "proof")


@by_kernel
async def test_a_browser_cannot_speak_for_a_kernel(
    *, ask: Any, row: Row, kernel: Kernel, extension: TokensExtension, cookies: LogIn, http_server_client: Any
) -> None:
    kept = await cookies()
    proof = kernel.proof(row.action, json.dumps(row.body).encode(), time=extension.clock.now())
    response = await ask(row, {**proof, "Cookie": kept, "Origin": http_server_client.get_url("")})
    assert (response.code, told(response)["reason"]) == (403, "browser")
    assert HEADER not in response.headers.get("Access-Control-Allow-Headers", "")


class TestReveal:
    async def test_needs_a_permission_of_its_own(self, call: Call, profiles: Any, sandbox: Any) -> None:
        fetch, reveal = ("write", "jupyter_tokens:tokens"), ("read", "jupyter_tokens:reveal")
        Permissions.allowed = {fetch}
        response = await call("POST", "profiles/oneaccess/token", {"reveal": True})
        assert (response.code, told(response)["reason"]) == (403, "reveal")
        assert sandbox.requests["oneaccess"] == 0
        assert Permissions.asked == [fetch, reveal]
        assert (await call("POST", "profiles/oneaccess/token")).code == 200
        Permissions.allowed = {fetch, reveal}
        assert told(await call("POST", "profiles/oneaccess/token", {"reveal": True}))["value"]
        Permissions.allowed = {reveal}
        assert (await call("POST", "profiles/oneaccess/token", {"reveal": True})).code == 403


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.path}")
async def test_other_methods_are_none_of_its(ask: Any, row: Row, extension: TokensExtension) -> None:
    known = {other.method for other in ROWS if other.path == row.path}
    for method in {"get", "post", "put", "patch", "delete"} - known:
        response = await ask(Row(method, row.path))
        assert response.code == 405
        assert told(response)["message"] == "Method Not Allowed"


class TestParamsOfAProfile:
    """Each door: the browser's token route, the kernel's own, injection and the proxy."""

    @pytest.fixture(autouse=True)
    def _allowed(self, jp_serverapp: Any) -> None:
        self._serverapp = jp_serverapp
        Permissions.allowed = {other.needs for other in BROWSER if other.needs} | {("execute", "jupyter_tokens:create")}

    @pytest.mark.parametrize("fixed", [True, ["user_id"]])
    async def test_fixed_ones_are_changed_through_no_door(
        self, *, call: Call, by_proof: Call, profiles: Any, write_profiles: Callable[..., Any], sandbox: Any, fixed: Any
    ) -> None:
        write_profiles({"astra": {**profiles["astra"], "fixed_params": fixed, "env": "ASTRA_TOKEN"}})
        params = {"user_id": "00000000-0000-4000-8000-000000000000"}
        asked = {"profile": "astra", "params": params}
        account, token = (profiles["astra"]["params"][name] for name in ("account_id", "token_id"))
        doors = [
            await call("POST", "profiles/astra/token", {"params": params}),
            await by_proof("token", asked),
            await by_proof("token", {**asked, "create": True, "params": {**params, "name": "n"}}),
            await call("GET", f"proxy/astra/accounts/{account}/core/v1/users/{params['user_id']}/tokens/{token}"),
        ]
        assert [response.code for response in doors] == [400, 400, 400, 403]
        async with started(self._serverapp) as client:
            injected = await call("POST", f"kernels/{client.id}/inject", asked)
        assert (injected.code, told(injected)["reason"]) == (400, "parameter")
        assert sum(sandbox.requests.values()) == 0
        assert (await by_proof("token", {"profile": "astra"})).code == 200

    async def test_a_token_is_created_only_if_the_profile_and_the_authorizer_allow_it(
        self, *, by_proof: Call, kernel: Kernel, profiles: Any, write_profiles: Callable[..., Any], sandbox: Any,
        extension: TokensExtension,
    ) -> None:  # fmt: skip
        extension.allow_reveal = False
        asked = {"profile": "astra", "create": True, "params": {"name": "n"}}
        right = ("execute", "jupyter_tokens:create")
        seen = []
        for allow, rights in ((None, {right}), (False, {right}), (True, set()), (True, {right})):
            settings = {**profiles["astra"], "allow_create": allow}
            write_profiles({"astra": {key: value for key, value in settings.items() if value is not None}})
            extension.source.expire_config()
            Permissions.allowed = rights
            response = await by_proof("token", asked)
            seen.append((response.code, told(response).get("reason"), sandbox.requests["astra"]))
        assert seen == [(403, "create_off", 0), (403, "create_off", 0), (403, "create", 0), (200, None, 1)]
        assert Permissions.asked == [right, right]
        # Another user's, where the profile says whose.
        fixed = {**profiles["astra"], "allow_create": True, "fixed_params": True}
        write_profiles({"astra": fixed})
        extension.source.expire_config()
        other = {**asked, "params": {"name": "n", "user_id": "00000000-0000-4000-8000-000000000000"}}
        assert (await by_proof("token", other)).code == 400
        assert sandbox.requests["astra"] == 1
