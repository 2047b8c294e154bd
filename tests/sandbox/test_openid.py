"""The sandbox's OpenID provider: what it gives, and what it refuses as a good real one would. No client of ours."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sandbox.openid import PUBLIC_CLIENT

from .client import PROGRAM, PROGRAM_SECRET, Answer, Clock, call, form, login, openid

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
REDIRECT = "http://127.0.0.1:4711/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ASKED = {
    "response_type": "code",
    "client_id": PUBLIC_CLIENT,
    "redirect_uri": REDIRECT,
    "scope": "openid profile offline_access",
    "prompt": "consent",
    "state": "st4te",
    "nonce": "n0nce",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
PUBLIC = {"client_id": PUBLIC_CLIENT, "client_secret": ""}
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"


@dataclass
class Browser:
    """A browser: it keeps cookies and presses buttons."""

    url: str
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **params: str) -> Answer:
        return self._kept(call(self.url, "GET", f"{path}?{urlencode(params)}", self._headers()))

    def press(self, page: Answer, decision: str = "allow", **fields: str) -> Answer:
        text = page.body.decode()
        action = re.search(r'action="([^"]+)"', text)
        assert action is not None, text
        hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]+)"', text))
        body = form(**hidden, **fields, **({"decision": decision} if hidden else {}))
        return self._kept(call(self.url, "POST", action[1], {**self._headers(), **FORM}, body))

    def authorize(self, **params: str) -> Answer:
        return self.get("/openid/authorize", **{name: value for name, value in {**ASKED, **params}.items() if value})

    def code(self, **params: str) -> str:
        return back(self.press(self.authorize(**params)))["code"]

    def _headers(self) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Cookie": cookies} if cookies else {}

    def _kept(self, answer: Answer) -> Answer:
        name, equals, value = answer.headers.get("set-cookie", "").partition(";")[0].partition("=")
        if equals:
            self.cookies[name] = value
        return answer


def back(answer: Answer) -> dict[str, str]:
    """What a redirect to the client says."""
    assert answer.status == 303, answer
    to = urlsplit(answer.headers["location"])
    assert to._replace(query="").geturl() == REDIRECT
    return dict(parse_qsl(to.query))


def redeem(url: str, code: str, **fields: str) -> Answer:
    given = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
    return openid(url, **{**given, **PUBLIC, **fields})


def refresh(url: str, value: str, **fields: str) -> Answer:
    return openid(url, **{"grant_type": "refresh_token", "refresh_token": value, **PUBLIC, **fields})


def userinfo(url: str, token: str) -> Answer:
    return call(url, "GET", "/openid/userinfo", {"Authorization": f"Bearer {token}"})


def post(url: str, path: str, **fields: str) -> Answer:
    return call(url, "POST", f"/openid{path}", FORM, form(**{**fields, "client_id": PUBLIC_CLIENT}))


@pytest.fixture
def browser(url: str) -> Browser:
    return Browser(url)


def test_the_metadata_is_at_both_addresses(url: str) -> None:
    metadata = call(url, "GET", "/openid/.well-known/openid-configuration").json()
    assert metadata == call(url, "GET", "/.well-known/oauth-authorization-server/openid").json()
    assert metadata["issuer"] == f"{url}/openid"
    assert metadata["code_challenge_methods_supported"] == ["S256"]


def test_a_code_gives_tokens_and_an_id_token_that_its_key_verifies(browser: Browser, url: str) -> None:
    told = back(browser.press(browser.authorize()))
    assert (told["state"], told["iss"]) == ("st4te", f"{url}/openid")
    given = redeem(url, told["code"]).json()
    assert (given["expires_in"], given["scope"]) == (3600, "openid profile offline_access")
    keys = KeySet.import_key_set(call(url, "GET", "/openid/jwks").json())
    claims = jwt.decode(given["id_token"], keys, algorithms=["RS256"]).claims
    expected = {"iss": f"{url}/openid", "aud": PUBLIC_CLIENT, "nonce": "n0nce", "preferred_username": "demo"}
    assert claims.items() >= expected.items()
    assert userinfo(url, given["access_token"]).json()["sub"] == claims["sub"]


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain", "code_challenge": VERIFIER}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "openid admin"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_a_request_that_is_not_right_goes_back_to_the_client(
    browser: Browser, params: dict[str, str], error: str
) -> None:
    assert back(browser.authorize(**params))["error"] == error


@pytest.mark.parametrize(
    "params",
    [
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1.evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1:4711/elsewhere"},
        {"redirect_uri": "http://x@127.0.0.1:4711/callback"},
        {"redirect_uri": "http://127.0.0.1:4711/callback?next=https://evil.example"},
        {"client_id": "nobody"},
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_the_clients(browser: Browser, params: dict[str, str]) -> None:
    answer = browser.authorize(**params)
    assert answer.status == 400
    assert "location" not in answer.headers


def test_a_page_is_for_one_answer_in_the_browser_that_it_was_shown_in(browser: Browser, url: str) -> None:
    page = browser.authorize()
    assert Browser(url).press(page).status == 400
    page = browser.authorize()
    assert browser.press(page).status == 303
    assert browser.press(page).status == 400
    assert back(browser.press(browser.authorize(), "deny"))["error"] == "access_denied"


@pytest.mark.parametrize(
    "fields",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:4712/callback"},
        {"redirect_uri": ""},
        {"client_id": PROGRAM, "client_secret": PROGRAM_SECRET},
    ],
)
def test_a_code_is_for_the_client_that_asked_for_it(browser: Browser, url: str, fields: dict[str, str]) -> None:
    answer = redeem(url, browser.code(), **fields)
    assert (answer.status, answer.code) == (400, "invalid_grant")


def test_a_code_is_good_once_and_for_a_minute(browser: Browser, url: str, clock: Clock) -> None:
    code = browser.code()
    given = redeem(url, code).json()
    assert redeem(url, code).code == "invalid_grant"
    assert userinfo(url, given["access_token"]).status == 401
    assert refresh(url, given["refresh_token"]).code == "invalid_grant"
    code = browser.code()
    clock.now += 60
    assert redeem(url, code).code == "invalid_grant"


def test_a_refresh_token_rotates_and_one_that_is_shown_again_ends_the_login(browser: Browser, url: str) -> None:
    first = redeem(url, browser.code()).json()
    second = refresh(url, first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert refresh(url, second["refresh_token"], scope="openid write").code == "invalid_scope"
    assert refresh(url, first["refresh_token"]).code == "invalid_grant"
    assert refresh(url, second["refresh_token"]).code == "invalid_grant"
    assert userinfo(url, second["access_token"]).status == 401


def test_a_token_of_less_scope_opens_only_that(browser: Browser, url: str) -> None:
    first = redeem(url, browser.code(scope="openid read write offline_access")).json()
    narrow = refresh(url, first["refresh_token"], scope="read").json()["access_token"]
    answer = userinfo(url, narrow)
    assert (answer.status, answer.code) == (403, "insufficient_scope")
    assert "insufficient_scope" in answer.headers["www-authenticate"]
    assert userinfo(url, first["access_token"]).status == 200
    asked = {"grant_type": EXCHANGE, "subject_token": narrow, "subject_token_type": ACCESS, "audience": "urn:other"}
    assert openid(url, **asked, scope="read write").code == "invalid_scope"
    assert openid(url, **asked).json()["scope"] == "read"


def test_without_offline_access_and_consent_there_is_no_refresh_token(browser: Browser, url: str) -> None:
    for params in ({"scope": "openid"}, {"prompt": ""}):
        assert "refresh_token" not in redeem(url, browser.code(**params)).json()


def test_a_device_waits_for_the_person(browser: Browser, url: str, clock: Clock) -> None:
    started = post(url, "/device_authorization", scope="openid offline_access").json()

    def poll() -> Answer:
        return openid(url, grant_type=DEVICE, device_code=started["device_code"], **PUBLIC)

    assert poll().code == "authorization_pending"
    assert poll().code == "slow_down"
    page = browser.get("/openid/device", user_code=started["user_code"])
    assert browser.press(page, user_code="WRNG-CDXX").status == 400
    asked, elsewhere = browser.press(page, user_code=started["user_code"].lower()), Browser(url)
    asked_elsewhere = elsewhere.press(page, user_code=started["user_code"])
    assert browser.press(asked).status == 200
    assert elsewhere.press(asked_elsewhere, "deny").status == 400
    clock.now += 10
    assert poll().json()["refresh_token"]
    clock.now += 10
    assert poll().code == "invalid_grant"
    late = post(url, "/device_authorization").json()["device_code"]
    clock.now += 600
    assert openid(url, grant_type=DEVICE, device_code=late, **PUBLIC).code == "expired_token"


def test_wrong_codes_are_limited_for_a_codes_life(browser: Browser, url: str, clock: Clock) -> None:
    page = browser.get("/openid/device")
    answers = [browser.press(page, user_code="WRNG-CDXX").status for _ in range(21)]
    assert answers == [400] * 20 + [429]
    clock.now += 600
    started = post(url, "/device_authorization").json()
    assert browser.press(browser.press(page, user_code=started["user_code"])).status == 200


def test_a_token_is_exchanged_for_one_with_another_audience(browser: Browser, url: str, sandbox: Sandbox) -> None:
    subject = redeem(url, browser.code(scope="openid read")).json()["access_token"]
    asked = {"grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": ACCESS, "audience": "urn:other"}
    given = openid(url, **asked).json()
    assert given["issued_token_type"] == ACCESS
    assert sandbox.issued[given["access_token"]].subject["aud"] == "urn:other"
    assert openid(url, **asked, scope="write").code == "invalid_scope"
    assert openid(url, **{**asked, "audience": ""}).code == "invalid_target"
    assert openid(url, **{**asked, "subject_token": "made-up"}).code == "invalid_request"


def test_revoking_a_refresh_token_ends_the_login(browser: Browser, url: str) -> None:
    given = redeem(url, browser.code()).json()
    assert post(url, "/revoke", token=given["refresh_token"]).status == 200
    assert post(url, "/revoke", token="unknown").status == 200
    assert refresh(url, given["refresh_token"]).code == "invalid_grant"
    assert userinfo(url, given["access_token"]).status == 401


def test_a_client_revokes_its_own_tokens_alone(url: str, sandbox: Sandbox) -> None:
    own, other = openid(url).json()["access_token"], login(url).headers["x-subject-token"]
    assert post(url, "/revoke", token=own).code == "invalid_grant"
    assert post(url, "/revoke", token=other).status == 200
    assert {own, other} <= sandbox.issued.keys()
    mine = form(token=own, client_id=PROGRAM, client_secret=PROGRAM_SECRET)
    assert call(url, "POST", "/openid/revoke", FORM, mine).status == 200
    assert own not in sandbox.issued


def test_the_oldest_logins_are_forgotten(browser: Browser, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_tokens.sandbox.api.MAX_ISSUED", 2)
    pages = [browser.authorize(), *(Browser(url).authorize() for _ in range(2))]
    assert browser.press(pages[0]).status == 400
    codes = [browser.code() for _ in range(3)]
    assert redeem(url, codes[0]).code == "invalid_grant"
    values = [redeem(url, codes[1]).json()["refresh_token"]]
    values += [redeem(url, browser.code()).json()["refresh_token"] for _ in range(2)]
    assert [refresh(url, value).status for value in values] == [400, 200, 200]
    devices = [post(url, "/device_authorization").json()["device_code"] for _ in range(3)]
    polls = [openid(url, grant_type=DEVICE, device_code=code, **PUBLIC).code for code in devices]
    assert polls == ["invalid_grant", "authorization_pending", "authorization_pending"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({**PUBLIC}, "unauthorized_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
        ({"scope": "everything"}, "invalid_scope"),
    ],
)
def test_a_program_is_refused_by_the_codes_of_the_rfc(url: str, fields: dict[str, Any], code: str) -> None:
    answer = openid(url, **fields)
    assert (answer.status, answer.code) == (400, code)
    assert answer.headers["cache-control"] == "no-store"


def test_basic_has_its_id_and_secret_form_encoded(url: str) -> None:
    pair = base64.b64encode(urlencode({"": PROGRAM_SECRET}).replace("=", f"{PROGRAM}:", 1).encode()).decode()
    headers = {**FORM, "Authorization": f"Basic {pair}"}
    assert call(url, "POST", "/openid/token", headers, "grant_type=client_credentials").json()["access_token"]
    assert call(url, "POST", "/openid/token", headers, "grant_type=client_credentials&client_secret=x").status == 400
    wrong = {**FORM, "Authorization": "Basic " + base64.b64encode(b"a:b").decode()}
    answer = call(url, "POST", "/openid/token", wrong, "grant_type=client_credentials")
    assert (answer.status, answer.code) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic")
