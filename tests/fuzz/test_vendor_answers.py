"""Whatever a vendor answers becomes a token or a typed error, and neither tells what is secret."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import strategies as st

from jupyter_tokens.cli.get import _FORMATS, _format
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import NoValue, ParameterError, TokenError
from jupyter_tokens.kernel.token_file import FORMATS, content
from jupyter_tokens.providers.answers import get_retry_after, jwt_expiry
from jupyter_tokens.sdks import PROGRAMS, SdkRequest
from jupyter_tokens.server.answers import token_answer
from jupyter_tokens.server.base import error_facts, http_status
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.token import Token
from jupyter_tokens.transport import Transport

from ..doubles import CANARY, NOW, Clock
from .conftest import Fuzz
from .strange import DATES, JSON, NUMBERS, TEXTS, bodies, say_enough, strict

pytestmark = pytest.mark.slow

VALUE = "v4lue-0f-the-t0ken"
HOST = "https://vendor.example.com"
ALIBABA = {"endpoint": HOST, "access_key_id": "LTAI-id", "access_key_secret": CANARY}
PROFILES: dict[str, dict[str, Any]] = {
    "modelarts": {
        "provider": "modelarts",
        "endpoint": HOST,
        "access_key": "HW",
        "secret_key": CANARY,
        "params": {"project_id": "p", "instance_id": "i"},
    },
    "login": {
        "provider": "modelarts",
        "endpoint": HOST,
        "iam_endpoint": HOST,
        "username": "ada",
        "password": CANARY,
        "domain_name": "acme",
        "params": {"project_id": "p", "instance_id": "i"},
    },
    "pai-dlc": {"provider": "pai-dlc", **ALIBABA, "params": {"TargetType": "job", "TargetId": "dlc1"}},
    "oneaccess": {"provider": "oneaccess", "endpoint": HOST, "client_id": "id", "client_secret": CANARY},
    "id_token": {
        "provider": "oneaccess",
        "endpoint": HOST,
        "client_id": "id",
        "client_secret": CANARY,
        "token": "id_token",
    },
    "astra": {
        "provider": "astra",
        "endpoint": HOST,
        "api_token": CANARY,
        "params": {"account_id": "a", "user_id": "u", "token_id": "t"},
    },
    "eiam": {
        "provider": "eiam",
        **ALIBABA,
        "params": {"InstanceId": "i", "ApplicationId": "a", "ApplicationTokenId": "t"},
    },
    "oauth2": {"provider": "oauth2", "endpoint": f"{HOST}/token", "client_id": "id", "client_secret": CANARY},
}
LOGIN = {"token": {"expires_at": "2026-01-16T08:30:00.000000Z", "methods": ["password"]}}
RIGHT: dict[str, dict[str, Any]] = {
    "modelarts": {
        "token": VALUE,
        "id": "i",
        "name": "n",
        "url": f"{HOST}/?token={VALUE}",
        "flavor": {"a": [1.5]},
        "status": "RUNNING",
        "lease": {"create_at": 1_768_465_800_000, "duration": 3_600_000, "enable": True, "type": "timing"},
    },
    "login": {"token": VALUE},
    "pai-dlc": {"Token": VALUE, "RequestId": "r"},
    "oneaccess": {"access_token": VALUE, "token_type": "Bearer", "expires_in": 1800, "scope": "s", "id_token": VALUE},
    "id_token": {"access_token": VALUE, "token_type": "Bearer", "expires_in": 1800, "scope": "s", "id_token": VALUE},
    "astra": {"type": "application/astra-token", "version": "1.0", "id": "t", "name": "n", "metadata": {"labels": []}},
    "eiam": {
        "RequestId": "r",
        "ApplicationToken": {
            "ApplicationToken": VALUE,
            "Status": "enabled",
            "ExpirationTime": 1_800_000_000_000,
            "CreateTime": 1_700_000_000_000,
        },
    },
    "oauth2": {"access_token": VALUE, "token_type": "bearer", "expires_in": 60, "scope": "s"},
}
# Every name under which one of them tells what went wrong.
ERROR: dict[str, Any] = {
    **dict.fromkeys(("Code", "error_code", "code", "type"), "SignatureDoesNotMatch"),
    **dict.fromkeys(("Message", "error_msg", "error_message", "error_description", "detail"), "It was refused."),
    "title": "Refused",
    "error": {"code": 401, "message": "It was refused."},
    "invalidParams": [{"name": "a", "reason": "b"}],
    "RequestId": "r",
}
STATUSES = st.sampled_from([200, 201, 200, 201, 204, 302, 400, 401, 403, 404, 418, 429, 500, 503, 599, 100, 999])
_VALUES = (TEXTS | DATES | NUMBERS.map(str)).map(lambda text: text.encode("latin-1", "replace"))
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [b"Content-Type", b"Retry-After", b"x-acs-retry-after", b"X-Request-Id", b"Location", b"X-Subject-Token"]
        ),
        _VALUES | st.sampled_from([b"application/json", b"text/html", b"120", b"/elsewhere"]),
    ),
    max_size=3,
)
every_profile = pytest.mark.parametrize("name", list(PROFILES))


class Vendor(httpx.BaseTransport):
    """Answers every call alike, and logins alike."""

    def __init__(self, call: Callable[[], httpx.Response], login: Callable[[], httpx.Response] | None = None) -> None:
        self._call, self._login = call, login

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._login is not None and request.url.path.endswith("/auth/tokens"):
            return self._login()
        return self._call()


def response(status: int, body: bytes, headers: Any = ()) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(status, headers=list(headers), content=body)


def logged_in() -> httpx.Response:
    return httpx.Response(201, headers={"X-Subject-Token": CANARY[::-1]}, json=LOGIN)


def fetched(name: str, vendor: Vendor, settings: dict[str, Any] | None = None) -> TokenError | None:
    """What is told where there is no token; the token is handed on as everyone does who has one."""
    profiles = Profiles.from_settings({name: settings or PROFILES[name]})
    clock = Clock()
    transport = Transport(clock=clock, sleep=clock.advance, transport=vendor)
    upstream = LocalSource(profiles, transport=transport, clock=clock)
    key = Key(name, tuple(profiles[name].call_params({}).items()))
    try:
        token = upstream.fetch(key)
    except TokenError as error:
        told_well(error)
        return error
    handed_on(profiles, token)
    return None


def told_well(error: TokenError) -> None:
    """As a kernel, a browser and a log are told."""
    say_enough(error, (CANARY, CANARY[::-1], VALUE))
    assert 400 <= http_status(error) < 600
    assert error.retry_after is None or 0 <= error.retry_after < 1e13
    strict(json.dumps(error_facts(error)))


def handed_on(profiles: Profiles, token: Token) -> None:
    """To the kernel, to a file, to a terminal."""
    assert VALUE not in repr(token) + str(token) + f"{token}"
    shown = strict(token_answer(profiles[token.profile], token, now=NOW, value=False))
    assert VALUE not in json.dumps({**shown, "metadata": None})
    strict(token_answer(profiles[token.profile], token, now=NOW, value=True))
    for form in _FORMATS:
        with suppress(NoValue):
            printed = _format(token, form, "X")
            assert strict(printed) if form == "json" else printed.encode()
    for program in PROGRAMS.values():
        with suppress(NoValue, ParameterError):
            assert program(token, SdkRequest(now=NOW)).encode()
    for written in FORMATS:
        with suppress(NoValue):
            assert content(token, written)


@every_profile
def test_an_answer_nearly_as_documented(fuzz: Fuzz, name: str) -> None:
    def check(body: bytes) -> None:
        fetched(name, Vendor(response(200, body), logged_in))

    fuzz(check, bodies(RIGHT[name]), times=25)


@every_profile
def test_an_answer_as_documented(name: str) -> None:
    """Or nothing above would get as far as a token."""
    assert fetched(name, Vendor(response(200, json.dumps(RIGHT[name]).encode()), logged_in)) is None


@every_profile
def test_an_error_nearly_as_documented(fuzz: Fuzz, name: str) -> None:
    def check(status: int, headers: Any, body: bytes) -> None:
        fetched(name, Vendor(response(status, body, headers), logged_in))

    fuzz(check, STATUSES, HEADERS, bodies(ERROR) | bodies(RIGHT[name]), times=25)


def test_a_login_nearly_as_documented(fuzz: Fuzz) -> None:
    right = response(200, json.dumps(RIGHT["login"]).encode())

    def check(status: int, headers: Any, body: bytes) -> None:
        login = response(status, body, [*headers, (b"X-Subject-Token", CANARY[::-1].encode())])
        fetched("login", Vendor(right, login))

    fuzz(check, st.just(201) | STATUSES, HEADERS, bodies(LOGIN) | bodies(ERROR))


def test_the_end_of_a_login_in_every_form(fuzz: Fuzz) -> None:
    right = response(200, json.dumps(RIGHT["login"]).encode())

    def check(ends: Any) -> None:
        body = json.dumps({"token": {"expires_at": ends}}).encode()
        fetched("login", Vendor(right, response(201, body, [(b"X-Subject-Token", CANARY[::-1].encode())])))

    fuzz(check, TEXTS | DATES | NUMBERS)


_PAYLOADS = st.dictionaries(st.just("exp") | TEXTS, JSON, max_size=3).map(lambda claims: json.dumps(claims).encode())


def test_the_end_of_a_jwt_in_every_form(fuzz: Fuzz) -> None:
    def check(payload: bytes, header: str) -> None:
        value = f"{header}.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.{VALUE}"
        found = jwt_expiry(value)
        assert found is None or isinstance(found, float)
        fetched("pai-dlc", Vendor(response(200, json.dumps({"Token": value}).encode())))

    known = [(b'{"exp": ' + text + b"}", "eyJ") for text in (b"[" * 3000, b"9" * 5000, b"1e999", b"NaN", b'"\xff"')]
    fuzz(check, _PAYLOADS | st.binary(max_size=30), TEXTS, known=known)


@pytest.mark.parametrize("name", ["oneaccess", "oauth2"])
def test_a_life_in_every_form(fuzz: Fuzz, name: str) -> None:
    def check(life: Any) -> None:
        body = json.dumps({**RIGHT[name], "expires_in": life}).encode()
        fetched(name, Vendor(response(200, body)))

    fuzz(check, NUMBERS | TEXTS | NUMBERS.map(str))


def test_how_long_to_wait_in_every_form(fuzz: Fuzz) -> None:
    def check(text: str, milliseconds: str) -> None:
        headers = {b"retry-after": text.encode("latin-1", "replace"), b"x-acs-retry-after": milliseconds.encode()}
        wait = get_retry_after(httpx.Response(429, headers=list(headers.items())), NOW)
        assert wait is None or 0 <= wait < 1e13

    dates = st.datetimes(timezones=st.timezones()).map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S %z"))
    shuffled = st.lists(
        st.sampled_from(
            ["Thu", "Thu,", "01", "Jan", "1970", "70", "00:00:00", "00:00", "GMT", "+0000", "-", ":", ",", "."]
        ),
        max_size=7,
    ).map(" ".join)
    numbers = NUMBERS.map(str) | TEXTS.filter(str.isascii)
    fuzz(check, dates | shuffled | numbers | TEXTS, numbers, times=60)


# A colon would make a reference of some.
_SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=8, max_size=40)
_SETTINGS = {"modelarts": "secret_key", "login": "password", "astra": "api_token"} | dict.fromkeys(
    ("oneaccess", "id_token", "oauth2"), "client_secret"
)


@every_profile
def test_a_vendor_who_echoes_the_secret(fuzz: Fuzz, name: str) -> None:
    key = _SETTINGS.get(name, "access_key_secret")

    def check(status: int, before: str, secret: str, after: str) -> None:
        said = before + secret + after
        told = {field: said for field in ERROR if isinstance(ERROR[field], str)}
        inner = said if name == "oauth2" else {"code": said, "message": said}
        vendor = Vendor(response(status, json.dumps({**told, "error": inner}).encode()))
        error = fetched(name, vendor, {**PROFILES[name], key: secret})
        assert error is not None
        say_enough(error, [secret])

    plain = st.text(st.characters(categories=["L", "N", "P"]), max_size=400)
    fuzz(check, st.sampled_from([400, 401, 404, 500]), plain, _SECRETS, plain, times=15)
