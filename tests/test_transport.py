"""The transport, on real sockets where only they can tell, with scripted answers elsewhere."""

from __future__ import annotations

import gc
import gzip
import logging
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest
import trustme

from jupyter_tokens import transport as module
from jupyter_tokens.clock import utc
from jupyter_tokens.errors import (
    ConfigurationError,
    Forbidden,
    NetworkError,
    ResponseError,
    ServiceUnavailable,
    Throttled,
    TimedOut,
    TokenError,
    Unauthorized,
)
from jupyter_tokens.providers.answers import json_object, refusal, require_token
from jupyter_tokens.providers.base import Flow
from jupyter_tokens.token import Token
from jupyter_tokens.transport import MAX_ATTEMPTS, MAX_BYTES, Transport

from .doubles import CANARY, NOW, Clock, Loopback, Script, answer, loopback, raw_answer, together, told

URL = "https://api.example.com/token"
BRIEF = 0.3
GOOD = b'{"token": "t0k3n"}'


def asking(url: str = URL, **headers: str) -> Callable[[], Flow]:
    """Starts a flow of one request."""

    def flow() -> Flow:
        response = yield httpx.Request("GET", url, headers=headers)
        if response.status_code != 200:
            raise refusal(response, now=NOW, body={}, code=None, message="Refused.", meanings={})
        return Token(
            require_token(response, json_object(response), "token"),
            profile="mine",
            provider="example",
            obtained_at=utc(NOW),
        )

    return flow


def good() -> httpx.Response:
    return answer(200, {"token": "t0k3n"})


class Bench:
    """A transport with a scripted vendor; sleeping moves the clock."""

    def __init__(self, *answers: httpx.Response | Exception, clock: Clock | None = None, rng: float = 1.0) -> None:
        self.clock = clock or Clock()
        self.script = Script(*answers)
        self.slept: list[float] = []
        self.transport = Transport(clock=self.clock, sleep=self.sleep, rng=lambda: rng, transport=self.script)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)

    def fails(self, **options: Any) -> TokenError:
        with pytest.raises(TokenError) as caught:
            self.transport.run(asking(), **options)
        return caught.value


@pytest.fixture
def real() -> Iterator[Transport]:
    made = Transport(sleep=lambda seconds: None, rng=lambda: 0.0)
    yield made
    made.close()


def failed(transport: Transport, url: str, **options: Any) -> TokenError:
    began = time.monotonic()
    with pytest.raises(TokenError) as caught:
        transport.run(asking(url), **{"timeout": 50, **options})
    assert time.monotonic() - began < 200 * BRIEF
    assert "/token" not in str(caught.value)
    return caught.value


# Retries


def test_success_is_one_request() -> None:
    bench = Bench(good())
    assert bench.transport.run(asking()).reveal() == "t0k3n"
    assert (len(bench.script.requests), bench.slept) == (1, [])


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_retried_with_exponential_backoff(status: int) -> None:
    bench = Bench(*(answer(status, {}) for _ in range(MAX_ATTEMPTS - 1)), good())
    assert bench.transport.run(asking()).reveal() == "t0k3n"
    assert bench.slept == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("status", [429, 503])
def test_retries_end(status: int) -> None:
    bench = Bench(*(answer(status, {}) for _ in range(MAX_ATTEMPTS)))
    assert bench.fails().status == status
    assert len(bench.script.requests) == MAX_ATTEMPTS


def test_jitter_is_full() -> None:
    bench = Bench(answer(503, {}), answer(503, {}), good(), rng=0.25)
    bench.transport.run(asking())
    assert bench.slept == [0.125, 0.25]


def test_backoff_has_a_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ATTEMPTS", 8)
    bench = Bench(*(answer(503, {}) for _ in range(7)), good())
    bench.transport.run(asking(), timeout=600)
    assert bench.slept == [0.5, 1, 2, 4, 8, 8, 8]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (httpx.ConnectError("x"), NetworkError),
        (httpx.ConnectTimeout("x"), TimedOut),
        (httpx.PoolTimeout("x"), TimedOut),
        (httpx.ReadTimeout("x"), TimedOut),
        (httpx.WriteTimeout("x"), TimedOut),
        (httpx.ReadError("x"), NetworkError),
        (httpx.WriteError("x"), NetworkError),
        (httpx.CloseError("x"), NetworkError),
        (httpx.RemoteProtocolError("x"), NetworkError),
        (httpx.ProxyError("x"), NetworkError),
        (httpx.UnsupportedProtocol("x"), NetworkError),
        (httpx.StreamClosed(), NetworkError),
    ],
)
def test_connection_errors_are_retried_and_told_by_their_kind(failure: Exception, kind: type[TokenError]) -> None:
    bench = Bench(failure, good())
    assert bench.transport.run(asking()).reveal() == "t0k3n"
    bench = Bench(*[failure] * MAX_ATTEMPTS)
    error = bench.fails()
    assert type(error) is kind
    assert error.retryable
    assert "api.example.com" in error.message
    assert len(bench.script.requests) == MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("status", "kind"), [(400, TokenError), (401, Unauthorized), (403, Forbidden), (501, ServiceUnavailable)]
)
def test_a_refused_signature_or_credential_is_never_retried(status: int, kind: type[TokenError]) -> None:
    bench = Bench(answer(status, {}, retry_after="1"))
    assert isinstance(bench.fails(), kind)
    assert (len(bench.script.requests), bench.slept) == (1, [])


def test_a_malformed_answer_is_not_retried() -> None:
    bench = Bench(answer(200, "<html>"))
    assert isinstance(bench.fails(), ResponseError)
    assert len(bench.script.requests) == 1


@pytest.mark.parametrize(("asked", "slept"), [("3", 3.0), ("0", 0.0)])
def test_retry_after_is_honoured(asked: str, slept: float) -> None:
    bench = Bench(answer(429, {}, retry_after=asked), good())
    bench.transport.run(asking())
    assert bench.slept == [slept]


def test_retry_after_in_milliseconds_is_honoured() -> None:
    bench = Bench(answer(429, {}, x_acs_retry_after="1500"), good())
    bench.transport.run(asking())
    assert bench.slept == [1.5]


def test_retry_after_as_a_date_is_honoured() -> None:
    date = datetime.fromtimestamp(NOW + 4, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    bench = Bench(answer(503, {}, retry_after=date), good())
    bench.transport.run(asking())
    assert bench.slept == [4.0]


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    bench = Bench(answer(429, {}, retry_after="30"))
    error = bench.fails(timeout=30)
    assert isinstance(error, Throttled)
    assert (error.retry_after, bench.slept) == (30.0, [])


def test_the_deadline_bounds_all_tries_together() -> None:
    bench = Bench(*(answer(503, {}) for _ in range(MAX_ATTEMPTS)))
    bench.fails(timeout=1.2)
    assert bench.slept == [0.5]
    assert len(bench.script.requests) == 2


@pytest.mark.parametrize("late", [httpx.ConnectTimeout("x"), httpx.ReadTimeout("x")])
def test_a_try_that_has_little_time_left_does_not_hide_why_the_one_before_it_failed(late: Exception) -> None:
    bench = Bench(answer(503, {}), late)
    assert bench.fails(timeout=0.6).status == 503
    assert len(bench.script.requests) == 2


def test_a_call_that_may_have_been_made_is_not_told_of_as_one_that_was_not() -> None:
    bench = Bench(httpx.ConnectError("x"), httpx.ReadTimeout("x"))
    error = bench.fails(timeout=0.6)
    assert isinstance(error, TimedOut)
    assert not error.unsent


def test_a_sleep_that_ends_after_the_deadline_does_not_hide_why_the_try_before_it_failed() -> None:
    bench = Bench(answer(503, {}))
    bench.transport = Transport(
        clock=bench.clock, sleep=lambda _: bench.clock.advance(1), rng=lambda: 0.5, transport=bench.script
    )
    assert bench.fails(timeout=0.6).status == 503
    assert len(bench.script.requests) == 1


def test_each_try_is_given_what_is_left() -> None:
    bench = Bench(answer(429, {}, retry_after="27"), good())
    bench.transport.run(asking())
    limits = [request.extensions["timeout"] for request in bench.script.requests]
    assert limits[0] == {"connect": 5.0, "read": 30.0, "write": 30.0, "pool": 30.0}
    assert limits[1] == {"connect": 3.0, "read": 3.0, "write": 3.0, "pool": 3.0}


def test_a_second_request_for_which_no_time_is_left_is_not_sent() -> None:
    bench = Bench(good())

    def slow() -> Flow:
        yield httpx.Request("GET", URL)
        bench.clock.advance(30)
        yield httpx.Request("GET", URL)
        raise AssertionError

    with pytest.raises(TimedOut, match="time limit was reached before the next request to") as caught:
        bench.transport.run(slow)
    assert caught.value.retryable
    assert len(bench.script.requests) == 1


def test_each_try_starts_the_flow_anew() -> None:
    bench = Bench(answer(503, {}), answer(503, {}), good())
    started: list[int] = []

    def start() -> Flow:
        started.append(1)
        return asking()()

    bench.transport.run(start)
    assert len(started) == 3


@pytest.mark.parametrize("failure", [httpx.ReadTimeout("x"), httpx.ReadError("x"), answer(503, {}), answer(429, {})])
def test_what_must_not_be_made_twice_is_not_retried_once_it_may_have_been_made(
    failure: httpx.Response | Exception,
) -> None:
    bench = Bench(failure, good())
    bench.fails(idempotent=False)
    assert len(bench.script.requests) == 1


@pytest.mark.parametrize("failure", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")])
def test_what_must_not_be_made_twice_is_retried_where_no_connection_was_made(failure: Exception) -> None:
    bench = Bench(failure, good())
    assert bench.transport.run(asking(), idempotent=False).reveal() == "t0k3n"


def test_a_flow_is_closed_whatever_happens() -> None:
    closed: list[int] = []

    def flow() -> Flow:
        try:
            yield httpx.Request("GET", URL)
        finally:
            closed.append(1)
        raise AssertionError

    with pytest.raises(NetworkError):
        Bench(httpx.UnsupportedProtocol("x")).transport.run(flow, timeout=0.1)
    assert closed == [1]


@pytest.mark.parametrize("url", ["https://h/\x01", "https://h:x/"])
def test_a_url_that_httpx_refuses_is_the_configurations_fault_and_shows_no_credential(url: str) -> None:
    bench = Bench()
    with pytest.raises(ConfigurationError) as caught:
        bench.transport.run(asking(url, authorization=CANARY))
    assert caught.value.unsent
    assert CANARY not in told(caught.value.copy())
    assert bench.script.requests == []


def test_a_credential_that_no_header_takes_is_told_without_it() -> None:
    bench = Bench()
    with pytest.raises(ConfigurationError, match="cannot be built") as caught:
        bench.transport.run(asking(authorization=f"Bearer {CANARY}é"))
    assert CANARY not in str(caught.value) + repr(caught.value)
    assert bench.script.requests == []


def test_a_credential_with_a_line_break_is_told_without_it_and_not_retried(real: Transport) -> None:
    with loopback(lambda connection, request: None) as served, pytest.raises(ConfigurationError) as caught:
        real.run(asking(served.url, authorization=f"{CANARY}\nx"))
    assert CANARY not in str(caught.value) + repr(caught.value)
    assert (caught.value.unsent, served.requests) == (True, [])


# Answers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://evil.example.com/?x=1", "evil.example.com"),
        ("/elsewhere", "api.example.com"),
        ("https://h:x/", "an invalid URL"),
        ("mailto:x", "an invalid URL"),
        ("https://xn--a/", "an invalid URL"),
    ],
)
def test_a_redirect_is_not_followed(status: int, location: str, host: str) -> None:
    bench = Bench(answer(status, b"", location=location))
    error = bench.fails()
    assert isinstance(error, ResponseError)
    assert error.status == status
    assert f"redirect to {host}," in error.message
    assert len(bench.script.requests) == 1


def test_an_answer_of_the_largest_size_is_read(real: Transport) -> None:
    body = GOOD + b" " * (MAX_BYTES - len(GOOD))
    with loopback(lambda connection, request: connection.sendall(raw_answer(body))) as served:
        assert real.run(asking(served.url)).reveal() == "t0k3n"


@pytest.mark.parametrize("announced", [True, False], ids=["length", "chunks"])
def test_an_answer_that_is_too_large_is_told_with_status_type_and_request_id(real: Transport, announced: bool) -> None:
    body = b" " * (MAX_BYTES - 1) + CANARY.encode()
    headers = {"Content_Type": "application/json", "X_Request_Id": "rid"}

    def handle(connection: socket.socket, request: bytes) -> None:
        if announced:
            connection.sendall(raw_answer(body, **headers))
            return
        head = raw_answer(b"", Transfer_Encoding="chunked", **headers).replace(b"Content-Length: 0\r\n", b"")
        connection.sendall(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    with loopback(handle) as served:
        error = failed(real, served.url)
    assert isinstance(error, ResponseError)
    assert "is larger than 1048576 bytes (content type application/json)" in error.message
    assert (error.status, error.request_id) == (200, "rid")
    assert CANARY not in str(error)


def test_a_compressed_answer_is_not_unpacked(real: Transport) -> None:
    body = gzip.compress(b"\0" * 10_000_000)

    def handle(connection: socket.socket, request: bytes) -> None:
        connection.sendall(raw_answer(body, Content_Encoding="gzip", X_Request_Id="rid"))

    with loopback(handle) as served:
        error = failed(real, served.url)
    assert isinstance(error, ResponseError)
    assert "is compressed" in error.message
    assert error.request_id == "rid"


def test_an_answer_that_says_it_is_not_compressed_is_read() -> None:
    assert Bench(answer(200, GOOD, content_encoding="Identity")).transport.run(asking()).reveal() == "t0k3n"


# Real sockets


def test_a_connection_is_kept(real: Transport) -> None:
    with loopback(lambda connection, request: connection.sendall(raw_answer(GOOD))) as served:
        for _ in range(3):
            assert real.run(asking(served.url)).reveal() == "t0k3n"
        assert served.connections == 1
        real.close()
        assert real.run(asking(served.url)).reveal() == "t0k3n"
        assert served.connections == 2
        real.close()


def trickle(data: bytes) -> Callable[[socket.socket, bytes], None]:
    """A byte now and then, each well within a read's own time limit."""

    def handle(connection: socket.socket, request: bytes) -> None:
        gone = threading.Event()
        for place in range(len(data)):
            connection.sendall(data[place : place + 1])
            gone.wait(0.02)

    return handle


@pytest.mark.parametrize(
    "data", [raw_answer(GOOD, X_Long="x" * 500), raw_answer(GOOD + b" " * 500)], ids=["head", "body"]
)
def test_a_trickled_answer_ends_with_the_deadline(real: Transport, data: bytes) -> None:
    prefix = data[: data.index(b"\r\n\r\n") + 4] if data.endswith(b" ") else b""

    def handle(connection: socket.socket, request: bytes) -> None:
        connection.sendall(prefix)
        trickle(data[len(prefix) :])(connection, request)

    with loopback(handle) as served:
        error = failed(real, served.url, timeout=BRIEF)
    assert isinstance(error, TimedOut)
    assert not error.unsent
    assert len(served.requests) == 1


def test_a_server_that_hangs_ends_with_the_deadline(real: Transport) -> None:
    with loopback(lambda connection, request: None) as served:
        error = failed(real, served.url, timeout=BRIEF)
    assert isinstance(error, TimedOut)
    assert "did not answer in time" in error.message


def reset(connection: socket.socket, request: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def truncate(connection: socket.socket, request: bytes) -> None:
    connection.sendall(raw_answer(GOOD)[:-3])
    connection.shutdown(socket.SHUT_RDWR)


Handle = Callable[[socket.socket, bytes], None]
BROKEN: dict[str, Handle] = {
    "reset": reset,
    "closed": lambda connection, request: connection.shutdown(socket.SHUT_RDWR),
    "truncated": truncate,
    "no HTTP": lambda connection, request: connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n"),
}


@pytest.mark.parametrize("handle", BROKEN.values(), ids=BROKEN)
def test_a_broken_connection_is_a_network_error_and_retried(real: Transport, handle: Handle) -> None:
    with loopback(handle) as served:
        error = failed(real, served.url)
    assert type(error) is NetworkError
    assert (error.retryable, error.unsent) == (True, False)
    assert served.connections == MAX_ATTEMPTS


def test_a_connection_that_was_closed_while_it_was_idle_is_made_anew(real: Transport) -> None:
    def once(connection: socket.socket, request: bytes) -> None:
        connection.sendall(raw_answer(GOOD))
        connection.shutdown(socket.SHUT_RDWR)

    with loopback(once) as served:
        for _ in range(3):
            assert real.run(asking(served.url)).reveal() == "t0k3n"
        assert served.connections == 3


def test_nobody_listens(real: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failed(real, f"http://127.0.0.1:{port}/")
    assert type(error) is NetworkError
    assert (error.retryable, error.unsent) == (True, True)
    assert "127.0.0.1 cannot be reached" in error.message


def test_a_host_that_does_not_exist(real: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    error = failed(real, "https://nowhere.invalid/")
    assert "The host nowhere.invalid cannot be found" in error.message
    assert error.unsent


def test_a_connection_that_is_not_accepted_ends_with_the_deadline(
    real: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def fail(address: object, timeout: float, **options: object) -> None:
        given.append(timeout)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", fail)
    error = failed(real, "https://api.example.com/", timeout=BRIEF)
    assert isinstance(error, TimedOut)
    assert "could not be reached in time" in error.message
    assert error.unsent
    assert all(0 < limit <= BRIEF for limit in given)


def test_outside_of_a_call_the_sockets_have_httpcores_limits() -> None:
    assert module._time_limit(None, TimeoutError) is None
    assert module._time_limit(5.0, TimeoutError) == 5.0


def test_within_a_call_the_shorter_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(module._current, "deadline", 103.0)
    assert module._time_limit(None, TimeoutError) == 3.0
    assert module._time_limit(5.0, TimeoutError) == 3.0
    assert module._time_limit(2.0, TimeoutError) == 2.0
    monkeypatch.setattr(module._current, "deadline", 100.0)
    with pytest.raises(TimeoutError):
        module._time_limit(5.0, TimeoutError)


# The log


def test_no_log_shows_the_headers_of_an_answer(real: Transport, caplog: pytest.LogCaptureFixture) -> None:
    def handle(connection: socket.socket, request: bytes) -> None:
        connection.sendall(raw_answer(GOOD, X_Subject_Token=CANARY))

    with loopback(handle) as served, caplog.at_level(logging.DEBUG):
        real.run(asking(served.url, authorization=CANARY))
        assert CANARY not in caplog.text
        with httpx.Client(trust_env=False) as other:
            other.get(served.url)
    assert CANARY in caplog.text, "the log of other clients is left alone, and this test can fail"


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return str(file)


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def serve(connection: socket.socket, request: bytes) -> None:
    connection.sendall(raw_answer(GOOD))


def test_a_ca_bundle_is_trusted(authority: trustme.CA, bundle: str, real: Transport) -> None:
    with loopback(serve, tls=serving(authority.issue_cert("localhost")), host="localhost") as served:
        assert real.run(asking(served.url), verify=bundle).reveal() == "t0k3n"
        assert real.run(asking(served.url), verify=bundle).reveal() == "t0k3n"
        assert served.connections == 1
        real.close()


def test_verification_can_be_off(authority: trustme.CA, real: Transport) -> None:
    with loopback(serve, tls=serving(authority.issue_cert("other.example.com"))) as served:
        assert real.run(asking(served.url), verify=False).reveal() == "t0k3n"
        real.close()


def expired(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))


Issue = Callable[[trustme.CA], trustme.LeafCert]
CERTIFICATES: dict[str, tuple[Issue, bool, str]] = {
    "wrong name": (lambda authority: authority.issue_cert("other.example.com"), True, "Hostname mismatch"),
    "unknown CA": (lambda authority: authority.issue_cert("localhost"), False, "unable to get local issuer"),
    "expired": (expired, True, "certificate has expired"),
}


@pytest.mark.parametrize(("issue", "known", "words"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_a_wrong_certificate_is_refused_and_not_retried(
    *, authority: trustme.CA, bundle: str, real: Transport, issue: Issue, known: bool, words: str
) -> None:
    with loopback(serve, tls=serving(issue(authority)), host="localhost") as served:
        error = failed(real, served.url, verify=bundle if known else True)
    assert type(error) is NetworkError
    assert (error.retryable, error.unsent) == (False, True)
    assert error.message.startswith("TLS with localhost failed: ")
    assert words in error.message
    assert (served.connections, served.requests) == (1, [])


def test_a_server_without_tls_is_told(real: Transport) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(1024)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.recv(1024)

    thread = threading.Thread(target=accept)
    thread.start()
    error = failed(real, f"https://127.0.0.1:{listener.getsockname()[1]}/")
    thread.join()
    listener.close()
    assert error.message.startswith("TLS with 127.0.0.1 failed")
    assert not error.retryable


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_ca_bundle_that_cannot_be_loaded(tmp_path: Path, real: Transport, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    error = failed(real, "https://127.0.0.1:1/", verify=str(file))
    assert type(error) is NetworkError
    assert error.message.startswith(f"The CA bundle {file} cannot be loaded")
    assert (error.retryable, error.unsent) == (False, True)


def test_a_ca_bundle_whose_name_is_no_path(real: Transport) -> None:
    assert "cannot be loaded (ValueError)" in failed(real, "https://127.0.0.1:1/", verify="a\0b").message


def test_certificates_of_the_environment_that_are_not_there(real: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/none")
    error = failed(real, "https://127.0.0.1:1/")
    assert "cannot be used (FileNotFoundError)" in error.message
    assert (error.retryable, error.unsent) == (False, True)


# Proxies


def proxied(connection: socket.socket, request: bytes) -> None:
    if not request.startswith(b"CONNECT"):
        connection.sendall(raw_answer(GOOD))
        return
    connection.sendall(raw_answer(b"", "403 Forbidden"))
    connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("form", ["http://127.0.0.1:{}", "127.0.0.1:{}"])
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
def test_the_environments_proxy_is_used(real: Transport, monkeypatch: pytest.MonkeyPatch, name: str, form: str) -> None:
    with loopback(proxied) as proxy:
        monkeypatch.setenv(name, form.format(proxy.port))
        error = failed(real, URL)
    assert proxy.requests[0].startswith(b"CONNECT api.example.com:443 ")
    assert type(error) is NetworkError
    assert error.message == "The proxy did not pass on the call to api.example.com."


def test_a_route_of_its_own_takes_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback(serve) as served, module.open_route(httpx.URL(served.url), verify=True) as route:
        response = route.handle_request(httpx.Request("GET", served.url))
        assert response.status_code == 200
        response.close()
    monkeypatch.setenv("HTTPS_PROXY", "http://[::1")
    with pytest.raises(NetworkError):
        module.open_route(httpx.URL(URL), verify=True)


def test_the_environment_may_exempt_a_host(real: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", ".example.com")
    assert module.proxy_for(httpx.URL("https://api.example.com/")) is None
    assert module.proxy_for(httpx.URL("https://api.example.org/")) == "http://127.0.0.1:9"


def test_loopback_never_goes_by_way_of_a_proxy(real: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:9")
    with loopback(serve) as served:
        assert real.run(asking(served.url)).reveal() == "t0k3n"


@pytest.mark.parametrize("proxy", [f"odd://u:{CANARY}@h:1", f"http://u:{CANARY}@h:x"])
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(
    real: Transport, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    error = failed(real, URL)
    assert "settings for proxies or certificates cannot be used" in error.message
    assert (error.retryable, error.unsent) == (False, True)
    assert CANARY not in str(error) + repr(error)


def test_a_proxy_that_is_set_changed_or_removed_counts_from_the_next_call_on(
    real: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_host(*args: object, **options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    resolve = socket.getaddrinfo
    by_host = {"api.example.com": no_host}
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more, **how: by_host.get(host, resolve)(host, *more, **how)
    )
    with loopback(proxied) as first, loopback(proxied) as second:
        assert "cannot be found" in failed(real, URL).message
        for proxy in (first, second):
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            failed(real, URL, timeout=10 * BRIEF)
        calls = len(first.requests), len(second.requests)
        assert all(calls)
        monkeypatch.setenv("NO_PROXY", "api.example.com")
        assert "cannot be found" in failed(real, URL).message
        assert (len(first.requests), len(second.requests)) == calls


def test_certificates_that_are_corrected_count_from_the_next_call_on(
    *, authority: trustme.CA, bundle: str, real: Transport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, good = tmp_path / "of-the-company.pem", Path(bundle).read_bytes()
    file.write_bytes(trustme.CA().cert_pem.bytes())
    with loopback(serve, tls=serving(authority.issue_cert("localhost")), host="localhost") as served:
        # By the environment.
        assert "TLS with localhost failed" in failed(real, served.url, timeout=5).message
        monkeypatch.setenv("SSL_CERT_FILE", "/none")
        assert "Check SSL_CERT_FILE and SSL_CERT_DIR" in failed(real, served.url).hint
        monkeypatch.setenv("SSL_CERT_FILE", bundle)
        assert real.run(asking(served.url)).reveal() == "t0k3n"
        monkeypatch.delenv("SSL_CERT_FILE")
        assert "TLS with localhost failed" in failed(real, served.url, timeout=5).message
        # By the profile's own bundle, which is replaced under its name.
        assert "TLS with localhost failed" in failed(real, served.url, verify=str(file), timeout=5).message
        file.write_bytes(good)
        assert real.run(asking(served.url), verify=str(file)).reveal() == "t0k3n"
        real.close()


@pytest.mark.parametrize("kind", ["socks5", "socks5h", "SOCKS5"])
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", "The proxy did not pass on the call"),  # connection refused
        (b"rubbish", "failed (ProtocolError)"),
        (b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", "api.example.com"),  # connected, and gone
    ],
)
# httpcore leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_socks_proxy(real: Transport, monkeypatch: pytest.MonkeyPatch, kind: str, reply: bytes, words: str) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        # httpcore may keep the other end of a call that came too late.
                        connection.settimeout(10)
                        connection.recv(64)
                        connection.sendall(b"\x05\x00")
                        asked.append(connection.recv(512))
                        connection.sendall(reply)

        thread = threading.Thread(target=accept)
        thread.start()
        monkeypatch.setenv("ALL_PROXY", f"{kind}://127.0.0.1:{listener.getsockname()[1]}")
        message = failed(real, URL, timeout=10 * BRIEF).message
        gc.collect()
        real.close()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert words in message
    # The proxy looks the name up.
    assert b"api.example.com" in asked[0]


@pytest.mark.parametrize("proxy", ["http://u:{}@127.0.0.1:{}", "socks5://127.0.0.1:{1}", "http://proxy.invalid:1"])
def test_a_proxy_that_cannot_be_reached_is_named(real: Transport, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", proxy.format(CANARY, port))
    error = failed(real, URL, timeout=10 * BRIEF)
    place = "http://proxy.invalid:1" if "invalid" in proxy else f"{proxy.partition(':')[0]}://127.0.0.1:{port}"
    assert error.message == f"The proxy {place} for api.example.com cannot be reached."
    assert CANARY not in str(error)


def test_a_socks_proxy_without_its_package_names_what_to_install(
    real: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", f"socks5://u:{CANARY}@127.0.0.1:9")
    error = failed(real, URL)
    assert "needs the package socksio" in error.message
    assert "pip install 'jupyter-tokens[socks]'" in error.hint
    assert (error.retryable, error.unsent) == (False, True)
    assert CANARY not in str(error)


@pytest.mark.parametrize("kind", ["socks", "socks4", "odd"])
def test_a_proxy_of_an_unknown_kind(real: Transport, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("ALL_PROXY", f"{kind}://u:{CANARY}@127.0.0.1:9")
    error = failed(real, URL)
    assert f"{kind}:// proxies are not supported, only http://, https://, socks5://, socks5h://" in error.message
    assert "ALL_PROXY" in error.hint
    assert CANARY not in str(error)


def test_an_error_that_is_not_the_networks_is_raised_as_it_is(real: Transport) -> None:
    def body() -> Iterator[bytes]:
        yield bytes(1 // 0)

    def flow() -> Flow:
        yield httpx.Request("POST", served.url, content=body())
        raise AssertionError

    with loopback(serve) as served, pytest.raises(ZeroDivisionError):
        real.run(flow)


@pytest.mark.parametrize("encoding", ["", "identity", "Identity", "identity, identity", " "])
def test_an_encoding_that_is_none(encoding: str) -> None:
    bench = Bench(answer(200, {"token": "t0k3n"}, Content_Encoding=encoding))
    assert bench.transport.run(asking()).reveal() == "t0k3n"


def test_threads_share_connections(real: Transport) -> None:
    with loopback(serve) as served:
        values = together(8, lambda: [real.run(asking(served.url)).reveal() for _ in range(3)])
        assert served.connections <= 8
        before = served.connections
        assert real.run(asking(served.url)).reveal() == "t0k3n"
        assert served.connections == before
    assert values == [["t0k3n"] * 3] * 8


Burst = tuple[Loopback, list[socket.socket]]


@pytest.fixture
def burst(real: Transport) -> Iterator[Burst]:
    """A server with 8 idle connections of `real`, and the connections in the order in which they are used later."""
    used: list[socket.socket] = []
    all_there = threading.Barrier(8)

    def handle(connection: socket.socket, request: bytes) -> None:
        if not all_there.broken:
            all_there.wait()
        used.append(connection)
        serve(connection, request)

    with loopback(handle) as served:
        together(8, lambda: real.run(asking(served.url)))
        all_there.abort()
        assert served.connections == 8
        used.clear()
        yield served, used
        real.close()


def test_the_connection_that_was_used_last_is_used_again_and_few_others_are_examined(
    real: Transport, burst: Burst, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, used = burst
    examined: list[httpcore.HTTPConnection] = []
    has_expired = httpcore.HTTPConnection.has_expired

    def counted(connection: httpcore.HTTPConnection) -> bool:
        examined.append(connection)
        return has_expired(connection)

    monkeypatch.setattr(httpcore.HTTPConnection, "has_expired", counted)
    for _ in range(3):
        real.run(asking(served.url))
    assert served.connections == 8
    # With each call, the one that is used and the one that is idle for the longest time.
    assert (len(set(used)), len(examined)) == (1, 6)


def test_connections_that_have_expired_are_closed_with_the_next_call(
    real: Transport, burst: Burst, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, used = burst
    now = time.monotonic()
    for seconds in (50, 61):
        monkeypatch.setattr(time, "monotonic", lambda seconds=seconds: now + seconds)
        real.run(asking(served.url))
    for _ in range(7):
        served.ended.get(timeout=30)
    assert (served.connections, len(set(used))) == (8, 1)
    monkeypatch.setattr(time, "monotonic", lambda: now + 122)
    real.run(asking(served.url))
    assert served.connections == 9


def test_each_server_has_its_connection(real: Transport) -> None:
    with loopback(serve) as one, loopback(serve) as other:
        for url in (one.url, other.url) * 3:
            real.run(asking(url))
        assert (one.connections, other.connections) == (1, 1)
        real.close()


def test_a_connection_whose_call_outlasts_close_is_closed_after_it(real: Transport) -> None:
    def handle(connection: socket.socket, request: bytes) -> None:
        real.close()
        serve(connection, request)

    with loopback(handle) as served:
        assert real.run(asking(served.url)).reveal() == "t0k3n"
        served.ended.get(timeout=30)


def test_idle_connections_that_the_server_has_closed_are_closed_with_the_next_call_to_any_server(
    real: Transport,
) -> None:
    with loopback(serve) as other:
        with loopback(serve) as one:
            together(4, lambda: real.run(asking(one.url)))
            opened = one.connections
        real.run(asking(other.url))
        for _ in range(opened):
            one.ended.get(timeout=30)
        assert real.run(asking(other.url)).reveal() == "t0k3n"
        real.close()


def test_a_response_that_is_closed_twice_gives_its_connection_back_once() -> None:
    with loopback(serve) as served, module.open_route(httpx.URL(served.url), verify=True) as route:
        responses = [route.handle_request(httpx.Request("GET", served.url)) for _ in range(2)]
        for response in responses:
            response.read()
            response.stream.close()  # type: ignore[union-attr]
            response.stream.close()  # type: ignore[union-attr]
        again = [route.handle_request(httpx.Request("GET", served.url)) for _ in range(3)]
        assert served.connections == 3
        for response in again:
            response.read()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "127.0.0.1/x"])
def test_a_url_of_another_scheme_is_a_network_error(real: Transport, url: str) -> None:
    error = failed(real, url)
    assert type(error) is NetworkError
    assert "UnsupportedProtocol" in error.message
