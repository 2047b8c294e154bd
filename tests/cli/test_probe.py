"""One look at an endpoint: what comes back, and each way in which nothing does."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import trustme

from jupyter_tokens.cli.checks.network import probe
from jupyter_tokens.errors import NetworkError

from ..doubles import loopback, raw_answer


@pytest.mark.parametrize("date", [{}, {"Date": "tomorrow"}])
def test_an_api_that_tells_no_time(date: dict[str, str]) -> None:
    with loopback(lambda connection, _: connection.sendall(raw_answer(b"", **date))) as server:
        found = probe(server.url)
    assert (found.check, found.status, "reports no time" in found.what) == ("clock", "warn", True)


def test_holds_no_credential_and_follows_nothing() -> None:
    moved = raw_answer(b"", "302 Found", Location="https://elsewhere.example")
    with loopback(lambda connection, _: connection.sendall(moved)) as server:
        assert f"{server.url} answers" in probe(server.url).what
    [request] = server.requests
    assert request.startswith(b"HEAD / HTTP/1.1\r\n")
    assert b"authorization" not in request.lower()


def test_trusts_what_the_profile_trusts(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    answer = raw_answer(b"")
    with loopback(lambda connection, _: connection.sendall(answer), tls=context, host="localhost") as server:
        assert f"{server.url} answers, TLS is good" in probe(server.url, verify=str(bundle)).what
        with pytest.raises(NetworkError, match="TLS with localhost failed") as refused:
            probe(server.url)
    assert "bundle" in refused.value.hint


def test_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1 cannot be reached"):
        probe(f"http://127.0.0.1:{port}")


def test_no_such_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NetworkError, match=r"The host acme\.example cannot be found"):
        probe("https://acme.example")


def test_who_does_not_answer_is_not_waited_for() -> None:
    with loopback(lambda connection, _: None) as server, pytest.raises(NetworkError, match="ReadTimeout"):
        probe(server.url, seconds=0.2)


def test_a_proxy_and_no_password_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback(
        lambda connection, _: connection.sendall(raw_answer(b"", "407 Proxy Authentication Required"))
    ) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:c4n4ry-passw0rd@127.0.0.1:{server.port}")
        with pytest.raises(NetworkError) as refused:
            probe("https://acme.example")
    assert "c4n4ry" not in str(refused.value)
    assert server.requests[0].startswith(b"CONNECT acme.example:443")


def test_says_that_it_went_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback(lambda connection, _: connection.sendall(raw_answer(b""))) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        assert "http://acme.example answers through the proxy" in probe("http://acme.example").what
        assert f"{server.url} answers, " in probe(server.url).what
