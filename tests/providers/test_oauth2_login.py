"""The steps of a login, each answer of the server by itself; a whole login is in tests/sources/test_logins.py."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from jupyter_tokens.errors import ApiError, ConfigurationError, Forbidden, LoginNeeded, ParameterError, ResponseError
from jupyter_tokens.providers.login import Login
from jupyter_tokens.providers.oauth2_login import (
    Authorization,
    DeviceCode,
    authorization_url,
    poll_device,
    redeem,
    revoke,
    start_device,
)
from jupyter_tokens.token import Secret

from ..doubles import NOW, answer
from .conftest import Prepare, refuse_settings
from .test_issuer import ISSUER, METADATA, run
from .test_oauth2 import GOOD, SETTINGS, URL

BROWSER = {
    "provider": "oauth2",
    "grant": "authorization_code",
    "endpoint": URL,
    "authorization_endpoint": "https://login.example.com/authorize",
    "client_id": "me",
    "auth_method": "none",
}
DEVICE = {
    **BROWSER,
    "grant": "device_code",
    "authorization_endpoint": "",
    "device_endpoint": "https://login.example.com/device",
}
FROM_ISSUER = {**BROWSER, "endpoint": "", "authorization_endpoint": "", "issuer": ISSUER}
CODE = {
    "device_code": "d",
    "user_code": "ABCD",
    "verification_uri": "https://login.example.com/activate?lang=en",
    "expires_in": 60,
}
REVOKE = "https://login.example.com/revoke"
LOGIN = Login(URL, "me", NOW, refresh_token=Secret("refresh-1"), revocation=REVOKE)


@dataclass
class Used:
    """A login that is used, and what is kept of it."""

    login: Login
    kept: list[Login | None] = field(default_factory=list)

    def save(self, login: Login | None) -> None:
        self.kept.append(login)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {**BROWSER, "grant": "client_credentials", "authorization_endpoint": ""},
            "cannot be none with grant client_credentials",
        ),
        ({**SETTINGS, "grant": "token_exchange"}, "key 'subject' is missing"),
        ({**SETTINGS, "grant": "token_exchange", "subject": "mine"}, "must be profile:NAME"),
        ({**SETTINGS, "subject": "profile:another"}, "is only used with grant token_exchange"),
        ({**BROWSER, "authorization_endpoint": ""}, "key 'authorization_endpoint' is missing"),
        ({**DEVICE, "device_endpoint": ""}, "key 'device_endpoint' is missing"),
        ({**BROWSER, "token": "id_token"}, "cannot be id_token for a login"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, str], words: str) -> None:
    assert words in refuse_settings(settings).message


def test_a_server_without_the_endpoint_that_a_login_needs(prepared: Prepare) -> None:
    provider, call = prepared(FROM_ISSUER, {})
    asked = Authorization("https://here/callback", Secret("state"), Secret("verifier"), Secret("nonce"))
    with pytest.raises(ConfigurationError, match="no authorization endpoint"):
        run(authorization_url(provider, call, asked), answer(200, METADATA))
    with pytest.raises(ConfigurationError, match="no device authorization endpoint"):
        run(start_device(provider, call))


def test_an_issuer_without_keys_gets_neither_code_nor_refresh_token_for_an_id_token(prepared: Prepare) -> None:
    provider, call = prepared({**FROM_ISSUER, "token": "id_token"}, {})
    asked = Authorization("https://here/callback")
    flows = (authorization_url(provider, call, asked), redeem(provider, call, asked, {"code": "c"}))
    used: Any = Used(LOGIN)
    for flow in (*flows, provider.retrieve(replace(call, login=used))):
        with pytest.raises(ConfigurationError, match="no jwks_uri") as caught:
            run(flow, answer(200, {**METADATA, "jwks_uri": ""}))
        assert not caught.value.retryable


@pytest.mark.parametrize(
    ("extra", "scope", "prompt"),
    [
        ("", "openid", None),
        ("", "openid offline_access", ["consent"]),
        ("prompt=select_account consent", "openid offline_access", ["select_account consent"]),
    ],
)
def test_the_profile_chooses_the_prompt(prepared: Prepare, extra: str, scope: str, prompt: list[str] | None) -> None:
    provider, call = prepared({**BROWSER, "extra_params": extra}, {"scope": scope})
    _, url = run(authorization_url(provider, call, Authorization("https://here/callback")))
    assert parse_qs(urlsplit(url).query).get("prompt") == prompt


def test_what_a_person_types(prepared: Prepare) -> None:
    provider, call = prepared(DEVICE, {})
    _, code = run(start_device(provider, call), answer(200, CODE))
    assert (code.user_code, code.verification_uri, code.interval) == ("ABCD", CODE["verification_uri"], 5)
    with pytest.raises(ResponseError, match="invalid verification URL"):
        run(start_device(provider, call), answer(200, {**CODE, "verification_uri": "http://login.example.com/a"}))


@pytest.mark.parametrize(
    ("given", "interval", "life"),
    [
        ({}, 5, 60),
        ({"interval": 0, "expires_in": 0}, 1, 0),
        ({"interval": -1, "expires_in": -1}, 1, 0),
        ({"interval": 1e10, "expires_in": 1e10}, 60, 3600),
        ({"interval": 7, "expires_in": None}, 7, 600),
    ],
)
def test_how_often_and_how_long_a_device_is_asked_for(
    prepared: Prepare, given: dict[str, Any], interval: float, life: float
) -> None:
    provider, call = prepared(DEVICE, {})
    _, code = run(start_device(provider, call), answer(200, {**CODE, **given}))
    assert (code.interval, code.expires_in) == (interval, life)


@pytest.mark.parametrize(("word", "interval"), [("authorization_pending", 5), ("slow_down", 10)])
def test_a_person_who_has_not_decided(prepared: Prepare, word: str, interval: float) -> None:
    provider, call = prepared(DEVICE, {})
    code = DeviceCode(Secret("d"), "ABCD", "https://login.example.com/activate", "", 60, 5)
    assert run(poll_device(provider, call, code), answer(400, {"error": word}))[1] is None
    assert code.interval == interval
    _, login = run(poll_device(provider, call, code), answer(200, {**GOOD, "refresh_token": "r"}))
    assert (login.refresh_token.reveal(), login.token) == ("r", None)


@pytest.mark.parametrize(
    ("settings", "login", "asked"),
    [
        (BROWSER, LOGIN, False),
        ({**BROWSER, "revocation_endpoint": REVOKE}, LOGIN, True),
        ({**BROWSER, "revocation_endpoint": REVOKE}, replace(LOGIN, refresh_token=None, token=Secret("t")), True),
        (
            {**BROWSER, "revocation_endpoint": REVOKE},
            replace(LOGIN, server="https://another.example.com/token"),
            False,
        ),
        ({**BROWSER, "revocation_endpoint": "https://another.example.com/revoke"}, LOGIN, False),
    ],
)
def test_a_login_is_revoked_where_it_was_made(
    prepared: Prepare, settings: dict[str, str], login: Login, asked: bool
) -> None:
    provider, call = prepared(settings, {})
    addresses, revoked = run(revoke(provider, call, login), *[answer(200)] * asked)
    assert (bool(addresses), revoked) == (asked, asked)


def fetched(prepared: Any, used: Used, *answers: Any, **params: str) -> Any:
    provider, call = prepared(BROWSER, params)
    return run(provider.retrieve(replace(call, login=used)), *answers)[1]


def test_a_refresh_token_rotates_and_what_is_given_once_is_kept(prepared: Prepare) -> None:
    used = Used(LOGIN)
    fetched(prepared, used, answer(200, {**GOOD, "refresh_token": "refresh-2"}))
    assert [login.refresh_token and login.refresh_token.reveal() for login in used.kept if login] == ["refresh-2"]
    fetched(prepared, used, answer(200, GOOD))
    assert len(used.kept) == 1


def test_a_refused_refresh_token_ends_the_login_and_another_error_does_not(prepared: Prepare) -> None:
    used = Used(LOGIN)
    with pytest.raises(ApiError):
        fetched(prepared, used, answer(503, {"error": "temporarily_unavailable"}))
    assert used.kept == []
    with pytest.raises(LoginNeeded, match="The login has ended"):
        fetched(prepared, used, answer(400, {"error": "invalid_grant"}))
    assert used.kept == [None]


def test_an_id_token_of_somebody_else(prepared: Prepare) -> None:
    another = {**GOOD, "id_token": "a.eyJzdWIiOiAiNDMifQ.c"}
    with pytest.raises(ResponseError, match="another person"):
        fetched(prepared, Used(replace(LOGIN, subject="42")), answer(200, another))
    assert fetched(prepared, Used(replace(LOGIN, subject="43")), answer(200, another)).has_value


def test_a_login_of_one_token(prepared: Prepare) -> None:
    once = replace(LOGIN, refresh_token=None, token=Secret("t0ken"), expires_at=NOW + 60)
    assert fetched(prepared, Used(once)).reveal() == "t0ken"
    with pytest.raises(ParameterError, match="no refresh token"):
        fetched(prepared, Used(once), scope="more")
    with pytest.raises(LoginNeeded, match="has ended"):
        fetched(prepared, Used(replace(once, expires_at=NOW)))
    with pytest.raises(LoginNeeded, match="another server or client"):
        fetched(prepared, Used(replace(once, client_id="another")))
    with pytest.raises(LoginNeeded, match="has no access_token"):
        fetched(prepared, Used(replace(once, kind="id_token")))


@pytest.mark.parametrize(
    ("back", "words", "code"),
    [
        (
            {"error": "access_denied", "error_description": "Not you."},
            "did not complete the login: Not you.",
            "access_denied",
        ),
        ({}, "did not complete the login.", None),
    ],
)
def test_a_redirect_without_a_code(prepared: Prepare, back: dict[str, str], words: str, code: str | None) -> None:
    provider, call = prepared(BROWSER, {})
    with pytest.raises(Forbidden) as caught:
        run(redeem(provider, call, Authorization("https://here/callback"), back))
    assert (words in caught.value.message, caught.value.code) == (True, code)
