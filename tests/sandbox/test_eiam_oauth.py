"""EIAM GenerateOauthToken: arrays in the query, the two grants and the token's end in seconds."""

from __future__ import annotations

import pytest

from jupyter_tokens.sandbox.eiam import APPLICATION, INSTANCE

from .client import NOW, eiam_oauth

OAUTH = {
    "InstanceId": INSTANCE,
    "ApplicationId": APPLICATION,
    "Audience": "https://example.com",
    "ScopeValues.1": "User:Read:ALL",
}
EXCHANGE = {
    "GrantType": "urn:ietf:params:oauth:grant-type:token-exchange",
    "SubjectToken": "header.claims.signature",
    "SubjectTokenType": "urn:ietf:params:oauth:token-type:access_token",
}


@pytest.mark.parametrize("extra", [{}, {"GrantType": "client_credentials"}, EXCHANGE])
def test_a_token_of_twenty_minutes(url: str, extra: dict[str, str]) -> None:
    token = eiam_oauth(url, {**OAUTH, **extra}).json()["TokenResponse"]
    assert token.pop("AccessToken").startswith("AT")
    assert token == {
        "TokenType": "Bearer",
        "ExpiresIn": 1200,
        "ExpiresAt": NOW + 1200,
        "IssuedTokenType": "urn:ietf:params:oauth:token-type:access_token",
    }


def test_scopes_are_numbered_from_one(url: str) -> None:
    many = {f"ScopeValues.{number}": f"scope {number}" for number in range(1, 12)}
    assert eiam_oauth(url, {**OAUTH, **many}).status == 200


@pytest.mark.parametrize("name", OAUTH)
def test_a_missing_parameter_is_named(url: str, name: str) -> None:
    answer = eiam_oauth(url, {key: value for key, value in OAUTH.items() if key != name})
    assert (answer.status, answer.code) == (400, f"Missing{name.removesuffix('.1')}")


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({"ScopeValues.3": "b"}, "InvalidScopeValues"),
        ({"ScopeValues.01": "b"}, "InvalidScopeValues"),
        ({"ScopeValues.1": ""}, "InvalidScopeValues"),
        ({"ScopeValues": '["b"]'}, "InvalidScopeValues"),
        ({"GrantType": "password"}, "InvalidGrantType"),
        ({**EXCHANGE, "SubjectToken": ""}, "MissingSubjectToken"),
        ({**EXCHANGE, "SubjectTokenType": ""}, "MissingSubjectTokenType"),
        ({**EXCHANGE, "SubjectTokenType": "jwt"}, "InvalidSubjectTokenType"),
        ({"RequestedTokenType": "jwt"}, "InvalidRequestedTokenType"),
        ({"Scope": "b"}, "InvalidScope"),
    ],
)
def test_a_bad_parameter_is_named(url: str, extra: dict[str, str], code: str) -> None:
    answer = eiam_oauth(url, {**OAUTH, **extra})
    assert (answer.status, answer.code) == (400, code)


@pytest.mark.parametrize(("name", "kind"), [("InstanceId", "Instance"), ("ApplicationId", "Application")])
def test_what_is_unknown_is_not_found(url: str, name: str, kind: str) -> None:
    answer = eiam_oauth(url, {**OAUTH, name: "nobody"})
    assert (answer.status, answer.code) == (404, f"ResourceNotFound.{kind}")


def test_only_a_post(url: str) -> None:
    assert eiam_oauth(url, OAUTH, "GET").code == "UnsupportedHTTPMethod"
