from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from typing import Any

import pytest

import jupyter_tokens
from jupyter_tokens._util.threads import MAX_PER_OWNER, THREADS, Threads, run_in_thread
from jupyter_tokens.protocol.proof import CERT_VARIABLE, URL_VARIABLE
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server.app import TokensExtension, public_url
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.sources.upstream import Share, Upstream
from jupyter_tokens.token import Token

from .conftest import SECRETS, Call, told


def test_jupyter_finds_it() -> None:
    assert jupyter_tokens._jupyter_server_extension_points() == [
        {"module": "jupyter_tokens.server.app", "app": TokensExtension}
    ]


def test_help_all_of_the_extension_describes_the_profiles_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    TokensExtension().print_help(classes=True)
    assert "TokenProfiles.profiles=" in capsys.readouterr().out


def test_loads_nothing_slow_that_only_some_profiles_need() -> None:
    slow = {"keyring", "cryptography", "jwt", "redis", "alibabacloud_credentials", "openstack"}
    code = "import sys, jupyter_tokens.server.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not slow & set(done.stdout.split())


def test_nothing_secret_in_the_settings(extension: TokensExtension, profiles: Any, jp_serverapp: Any) -> None:
    settings = jp_serverapp.web_app.settings
    settled = {"allow_reveal", "allow_edit", "edit_variables", "load_in_kernels", "scan_on_save", "service_url"}
    assert set(settings["jupyter_tokens_config"]) == settled
    extension.source.get(extension.source.key("oneaccess"))
    assert not [secret for secret in SECRETS.values() if secret in repr(settings)]


async def test_publishes_where_it_is_and_takes_that_back(
    extension: TokensExtension, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CERT_VARIABLE, "/of/an/outer/server")
    await extension._start_jupyter_server_extension(jp_serverapp)
    assert os.environ[URL_VARIABLE] == f"http://localhost:{jp_serverapp.port}/a%40b/jupyter-tokens"
    assert CERT_VARIABLE not in os.environ
    await extension.stop_extension()
    assert URL_VARIABLE not in os.environ


async def test_leaves_what_another_server_has_published_since(
    extension: TokensExtension, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await extension._start_jupyter_server_extension(jp_serverapp)
    monkeypatch.setenv(URL_VARIABLE, "http://127.0.0.1:1/jupyter-tokens")
    await extension.stop_extension()
    assert os.environ[URL_VARIABLE] == "http://127.0.0.1:1/jupyter-tokens"


async def test_publishes_the_certificate(
    extension: TokensExtension, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jp_serverapp, "certfile", "/etc/ssl/mine.pem")
    await extension._start_jupyter_server_extension(jp_serverapp)
    assert os.environ[URL_VARIABLE].startswith("https://")
    assert os.environ[CERT_VARIABLE] == "/etc/ssl/mine.pem"
    await extension.stop_extension()
    assert CERT_VARIABLE not in os.environ


@pytest.mark.parametrize(
    ("traits", "url"),
    [
        ({"ip": "0.0.0.0"}, "http://127.0.0.1:{port}/a%40b/jupyter-tokens"),
        ({"ip": "::"}, "http://[::1]:{port}/a%40b/jupyter-tokens"),
        ({"ip": "::1"}, "http://[::1]:{port}/a%40b/jupyter-tokens"),
        ({"ip": "0.0.0.0", "sock": "/run/j.sock"}, "http+unix://%2Frun%2Fj.sock/a%40b/jupyter-tokens"),
        ({"ip": "", "certfile": "x"}, "https://localhost:{port}/a%40b/jupyter-tokens"),
    ],
)
def test_where_kernels_reach_it(
    jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch, traits: dict[str, str], url: str
) -> None:
    for name, value in traits.items():
        monkeypatch.setattr(jp_serverapp, name, value)
    assert public_url(jp_serverapp) == url.format(port=jp_serverapp.port)


async def test_stopping_closes_the_connections(call: Call, extension: TokensExtension, profiles: Any) -> None:
    assert (await call("POST", "profiles/oneaccess/token")).code == 200
    closed: list[bool] = []
    transport = extension.source._upstream._transport
    real = transport.close

    def close() -> None:
        closed.append(True)
        real()

    transport.close = close  # type: ignore[method-assign]
    await extension.stop_extension()
    assert closed == [True]


async def test_the_whole_server_can_be_stopped(jp_serverapp: Any, extension: TokensExtension) -> None:
    await jp_serverapp.extension_manager.stop_all_extensions()
    assert "source" not in vars(extension)


async def test_blocking_work_tells_its_error() -> None:
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(lambda: 1 // 0)


async def test_who_waits_for_blocking_work_can_be_cancelled() -> None:
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        go_on.wait()
        ended.set()

    task = asyncio.create_task(run_in_thread(work))
    await asyncio.to_thread(began.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    assert await asyncio.to_thread(ended.wait, 10)


class TestUnderLoad:
    async def test_500_at_once_for_a_cold_profile_are_one_call(
        self, call: Call, http_server_client: Any, http_server_port: Any, sandbox: Sandbox, profiles: Any
    ) -> None:
        http_server_client.max_clients = 500
        # As many as are to connect at once; a test's own socket queues 128.
        http_server_port[0].listen(512)
        sandbox.plan({"api": "oneaccess", "kind": "slow", "interval": 0.01})
        responses = await asyncio.gather(
            *(call("POST", "profiles/oneaccess/token", {"reveal": True}) for _ in range(500))
        )
        assert {response.code for response in responses} == {200}
        assert len({told(response)["value"] for response in responses}) == 1
        assert sandbox.requests["oneaccess"] == 1

    @pytest.mark.parametrize(
        ("kind", "status", "reason", "retryable"),
        [
            ("hang", 504, "timeout", True),
            ("hang-mid", 504, "timeout", True),
            ("slow", 504, "timeout", True),
            ("reset", 502, "network", True),
            ("503", 503, "unavailable", True),
            ("garbage", 502, "response", False),
            ("huge", 502, "response", False),
        ],
    )
    async def test_others_are_served_while_one_vendor_fails(
        self,
        *,
        call: Call,
        sandbox: Sandbox,
        profiles: Any,
        write_profiles: Any,
        kind: str,
        status: int,
        reason: str,
        retryable: bool,
    ) -> None:
        write_profiles({**profiles, "oneaccess": {**profiles["oneaccess"], "timeout": 2}})
        sandbox.plan({"api": "oneaccess", "kind": kind, "times": None})
        loop = asyncio.get_running_loop()
        began = loop.time()
        failing = asyncio.create_task(call("POST", "profiles/oneaccess/token"))
        for name in ("pai-dlc", "eiam", "modelarts", "astra"):
            assert (await call("POST", f"profiles/{name}/token")).code == 200
        if kind.startswith("hang"):
            assert not failing.done()
        response = await failing
        assert loop.time() - began < 4
        answer = told(response)
        assert (response.code, answer["reason"], answer["retryable"]) == (status, reason, retryable)
        sandbox.clear_faults()


async def test_800_cold_calls_at_once_make_few_threads_and_are_all_served(
    extension: TokensExtension, profiles: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, fetch = set[int](), Upstream.fetch

    def noted(upstream: Upstream, key: Key, *share: Share) -> Token:
        used.add(threading.get_ident())
        return fetch(upstream, key, *share)

    monkeypatch.setattr(Upstream, "fetch", noted)
    calls = (extension.get_token("pai-dlc", {"ExpireTime": 1000 + number}) for number in range(800))
    served = await asyncio.gather(*calls)
    assert len({each.token for each in served}) == 800
    assert 1 < len(used) <= MAX_PER_OWNER


async def test_a_call_that_exits_fails_and_does_not_end_the_event_loop() -> None:
    with pytest.raises(RuntimeError, match="SystemExit"):
        await run_in_thread(sys.exit)


async def test_a_call_that_finds_no_thread_is_answered_503_with_when_to_come_back(
    call: Call, profiles: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Threads(max_threads=0, max_waiting=1)
    full.start("oneaccess", lambda: None)
    monkeypatch.setattr(THREADS, "start", full.start)
    response = await call("POST", "profiles/oneaccess/token")
    assert (response.code, response.headers["Retry-After"]) == (503, "5")
    assert (told(response)["reason"], told(response)["retryable"]) == ("busy", True)
