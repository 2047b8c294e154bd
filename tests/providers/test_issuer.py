"""What an issuer says of itself and of its id_tokens: taken only if it is as the standards have it."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from jupyter_tokens.errors import ConfigurationError, ResponseError
from jupyter_tokens.providers.answers import jwt_claims
from jupyter_tokens.providers.issuer import Server, check_claims, check_time, discover, verify_id_token

from ..doubles import NOW, answer

ISSUER = "https://login.example.com/realm"
METADATA = {"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token", "jwks_uri": f"{ISSUER}/keys?v=1"}
SERVER = Server(issuer=ISSUER, token=f"{ISSUER}/token", jwks=f"{ISSUER}/keys")
CLAIMS = {"iss": ISSUER, "aud": "me", "sub": "42", "exp": int(NOW) + 60, "iat": int(NOW)}
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLISHED = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key())), "kid": "one"}


def run(flow: Generator[httpx.Request, httpx.Response, Any], *answers: httpx.Response) -> tuple[list[str], Any]:
    """The addresses that it asked, and what it returned."""
    asked, left = [], list(answers)
    try:
        asked.append(str(next(flow).url))
        while True:
            asked.append(str(flow.send(left.pop(0)).url))
    except StopIteration as stop:
        return asked, stop.value


def test_metadata_is_read_at_the_first_address_that_has_it() -> None:
    asked, server = run(discover(ISSUER), answer(404), answer(200, {**METADATA, "scopes_supported": ["openid", 5]}))
    assert asked == [
        f"{ISSUER}/.well-known/openid-configuration",
        "https://login.example.com/.well-known/oauth-authorization-server/realm",
    ]
    assert (server.token, server.jwks, server.scopes) == (f"{ISSUER}/token", f"{ISSUER}/keys?v=1", ("openid",))


def test_a_page_at_the_first_address_is_no_metadata() -> None:
    page = answer(200, "<html>", **{"content-type": "text/html"})
    asked, server = run(discover(ISSUER), page, answer(200, METADATA))
    assert (len(asked), server.token) == (2, METADATA["token_endpoint"])


@pytest.mark.parametrize(("statuses", "retryable"), [((404, 404), False), ((503,), True)])
def test_an_address_that_describes_no_issuer(statuses: tuple[int, ...], retryable: bool) -> None:
    with pytest.raises(ResponseError, match="returned no issuer metadata") as caught:
        run(discover(ISSUER), *map(answer, statuses))
    assert caught.value.retryable is retryable


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({**METADATA, "issuer": "https://evil.example.com"}, "names another issuer"),
        ({**METADATA, "token_endpoint": "http://login.example.com/token"}, "token_endpoint"),
        ({"issuer": ISSUER}, "no token_endpoint"),
    ],
)
def test_metadata_that_is_not_taken(body: dict[str, Any], problem: str) -> None:
    with pytest.raises(ResponseError, match=problem):
        run(discover(ISSUER), answer(200, body))


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "a.bnVsbA.c", "a.W10.c"])
def test_what_has_no_claims(text: str) -> None:
    assert jwt_claims(text) == {}


def signed(claims: dict[str, Any], kid: str | None = "one") -> str:
    return jwt.encode(claims, KEY, algorithm="ES256", headers={} if kid is None else {"kid": kid})


@pytest.mark.parametrize("kid", ["one", None])
def test_an_id_token_of_the_issuer(kid: str | None) -> None:
    asked, claims = run(verify_id_token(signed(CLAIMS, kid), SERVER, "me", NOW), answer(200, {"keys": [PUBLISHED]}))
    assert (asked, claims["sub"]) == ([SERVER.jwks], "42")


@pytest.mark.parametrize(
    ("claims", "keys"),
    [
        ({**CLAIMS, "aud": "another"}, [PUBLISHED]),
        ({**CLAIMS, "iss": "https://evil.example.com"}, [PUBLISHED]),
        (CLAIMS, [{**PUBLISHED, "kid": "two"}]),
        (CLAIMS, []),
        (CLAIMS, None),
        ({**CLAIMS, "exp": int(NOW) - 61}, [PUBLISHED]),
    ],
)
def test_an_id_token_that_is_not_the_issuers(claims: dict[str, Any], keys: Any) -> None:
    with pytest.raises(ResponseError, match="cannot be trusted"):
        run(verify_id_token(signed(claims), SERVER, "me", NOW), answer(200, {"keys": keys}))


@pytest.mark.parametrize(("status", "retryable"), [(500, True), (404, False)])
def test_keys_that_cannot_be_read(status: int, retryable: bool) -> None:
    with pytest.raises(ResponseError, match="contains no keys of the issuer") as caught:
        run(verify_id_token(signed(CLAIMS), SERVER, "me", NOW), answer(status, {}))
    assert caught.value.retryable is retryable


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jwt", None)
    with pytest.raises(ConfigurationError, match="PyJWT and cryptography"):
        run(verify_id_token("a.b.c", SERVER, "me", NOW))


@pytest.mark.parametrize("ends", [None, "soon", NOW - 60])
def test_an_id_token_without_a_life(ends: object) -> None:
    with pytest.raises(ResponseError, match="it has expired"):
        check_time({"exp": ends}, NOW)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"iss": "other"}, "another issuer"),
        ({"aud": ["other"]}, "another client"),
        ({"nonce": "other"}, "nonce of another login"),
    ],
)
def test_claims_that_are_not_those_of_this_login(changed: dict[str, Any], problem: str) -> None:
    check_claims({**CLAIMS, "aud": ["me"], "nonce": "n"}, SERVER, "me", "n")
    with pytest.raises(ResponseError, match=problem):
        check_claims({**CLAIMS, "nonce": "n", **changed}, SERVER, "me", "n")
