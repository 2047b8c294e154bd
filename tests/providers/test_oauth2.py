"""OAuth 2.0 client credentials, against a server that shares no code with ours, and against what servers may say."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jwt
from joserfc.jwk import import_key

from jupyter_tokens.clock import utc
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import (
    ApiError,
    Forbidden,
    InvalidRequest,
    ResponseError,
    SecretError,
    ServiceUnavailable,
    Throttled,
    Unauthorized,
    UnusableToken,
)
from jupyter_tokens.providers.credentials.oauth2 import ALGORITHMS, ASSERTION_SECONDS
from jupyter_tokens.providers.oauth2 import TokenEndpoint
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.token import Token

from ..doubles import CANARY, NOW, answer, told
from .authorization_server import LIFE, Client, Served, serving
from .conftest import Prepare, refuse_settings

URL = "https://login.example.com/oauth/token/"
SETTINGS = {"provider": "oauth2", "endpoint": URL, "client_id": "me", "client_secret": "s3cr:et/+ é%"}
GOOD = {"access_token": CANARY, "token_type": "Bearer", "expires_in": 3600, "scope": "read"}


PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def pem(key: PrivateKey, secret: bytes | None = None) -> str:
    locked = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked).decode()


KEYS: dict[str, PrivateKey] = {
    "RS": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def key_for(algorithm: str) -> PrivateKey:
    return KEYS["RS"] if algorithm[:2] in {"RS", "PS"} else KEYS[algorithm]


def public(key: PrivateKey) -> dict[str, Any]:
    kinds: dict[type, Literal["RSA", "EC", "OKP"]] = {
        rsa.RSAPrivateKey: "RSA",
        ec.EllipticCurvePrivateKey: "EC",
        ed25519.Ed25519PrivateKey: "OKP",
    }
    kind = next(name for of, name in kinds.items() if isinstance(key, of))
    return import_key(pem(key), kind).as_dict(private=False)


SIGNED = {
    "provider": "oauth2",
    "endpoint": URL,
    "client_id": "signer",
    "auth_method": "private_key_jwt",
    "private_key": pem(KEYS["RS"]),
}


def form(request: Any) -> dict[str, str]:
    return dict(parse_qsl(request.content.decode(), keep_blank_values=True, strict_parsing=True))


# Against a real server


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    clients = (
        Client("basic:er", "client_secret_basic", SETTINGS["client_secret"]),
        Client("former", "client_secret_post", SETTINGS["client_secret"]),
        Client("signer", "private_key_jwt", public_key=public(KEYS["RS"])),
        Client("nobody", "client_secret_basic", "s3cret", grants=()),
    )
    with serving(*clients) as served:
        yield served


@pytest.fixture
def fetch(server: Served) -> Iterator[Callable[..., Token]]:
    """Asks the real server over a real socket."""
    opened: list[LocalSource] = []

    def ask(settings: dict[str, Any], **params: str) -> Token:
        profiles = Profiles.from_settings({"mine": {**settings, "endpoint": server.url}})
        opened.append(LocalSource(profiles))
        return opened[-1].fetch(Key("mine", tuple(profiles["mine"].call_params(params).items())))

    yield ask
    for upstream in opened:
        upstream.close()


@pytest.mark.parametrize(
    "settings",
    [
        {**SETTINGS, "client_id": "basic:er"},
        {**SETTINGS, "client_id": "former", "auth_method": "form"},
        SIGNED,
    ],
    ids=["basic", "form", "private_key_jwt"],
)
def test_a_real_server_issues_a_token(server: Served, fetch: Callable[..., Token], settings: dict[str, str]) -> None:
    token = fetch(settings, scope="read write")
    assert token.reveal() == server.issued[-1]
    assert token.headers() == {"Authorization": f"Bearer {server.issued[-1]}"}
    assert token.expires_at is not None
    assert (token.expires_at - token.obtained_at).total_seconds() == LIFE
    assert token.metadata == {"token_type": "Bearer", "scope": "read write"}
    # The token endpoint is not the API.
    assert token.base_url is None
    # An assertion is good for once: each request has another.
    assert fetch(settings).reveal() != token.reveal()


def test_the_api_that_the_tokens_are_for(fetch: Callable[..., Token]) -> None:
    settings = {**SETTINGS, "client_id": "former", "auth_method": "form", "base_url": "https://api.example.com/v1/"}
    assert fetch(settings).base_url == "https://api.example.com/v1"


def test_a_key_in_a_file(server: Served, fetch: Callable[..., Token], tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.touch(mode=0o600)
    file.write_text(SIGNED["private_key"])
    assert fetch({**SIGNED, "private_key": f"file:{file}"}).reveal() == server.issued[-1]


def test_what_goes_along_arrives(server: Served, fetch: Callable[..., Token]) -> None:
    settings = {**SETTINGS, "client_id": "former", "auth_method": "form", "extra_params": "tenant=a%26b&empty="}
    fetch(settings, audience="https://api.example.com", resource="urn:x")
    assert server.forms[-1] == {
        "tenant": "a&b",
        "empty": "",
        "grant_type": "client_credentials",
        "audience": "https://api.example.com",
        "resource": "urn:x",
        "client_id": "former",
        "client_secret": SETTINGS["client_secret"],
    }


@pytest.mark.parametrize(
    ("settings", "params", "kind", "code"),
    [
        ({**SETTINGS, "client_id": "basic:er", "client_secret": "wr0ngwr0ngwr0ng"}, {}, Unauthorized, "invalid_client"),
        ({**SETTINGS, "client_id": "stranger"}, {}, Unauthorized, "invalid_client"),
        ({**SETTINGS, "client_id": "former"}, {}, Unauthorized, "invalid_client"),
        ({**SIGNED, "private_key": pem(rsa.generate_private_key(65537, 2048))}, {}, Unauthorized, "invalid_client"),
        ({**SIGNED, "assertion_audience": "https://other.example"}, {}, Unauthorized, "invalid_client"),
        ({**SETTINGS, "client_id": "basic:er"}, {"scope": "all"}, InvalidRequest, "invalid_scope"),
        ({**SETTINGS, "client_id": "nobody", "client_secret": "s3cret"}, {}, Forbidden, "unauthorized_client"),
    ],
    ids=["secret", "client", "method", "key", "audience", "scope", "grant"],
)
def test_a_real_server_refuses(
    fetch: Callable[..., Token], settings: dict[str, str], params: dict[str, str], kind: type[ApiError], code: str
) -> None:
    with pytest.raises(ApiError) as caught:
        fetch(settings, **params)
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert not caught.value.retryable
    assert caught.value.hint
    assert settings.get("client_secret", "-----BEGIN") not in str(caught.value)


# The request


def test_basic_is_form_encoded_before_it_is_joined(prepared: Prepare) -> None:
    (request,), _ = prepared.fetch({**SETTINGS, "client_id": "a:b"}, {"scope": "x y"}, answer(200, GOOD))
    assert (request.method, str(request.url)) == ("POST", URL)
    assert (
        base64.b64decode(request.headers["authorization"].removeprefix("Basic "))
        == b"a%3Ab:s3cr%3Aet%2F%2B%20%C3%A9%25"
    )
    assert form(request) == {"grant_type": "client_credentials", "scope": "x y"}
    assert request.headers["accept"] == "application/json"


def test_form_has_no_authorization(prepared: Prepare) -> None:
    request = prepared.request({**SETTINGS, "auth_method": "form"}, {})
    assert "authorization" not in request.headers
    assert form(request) == {
        "grant_type": "client_credentials",
        "client_id": "me",
        "client_secret": SETTINGS["client_secret"],
    }


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_assertion_that_another_library_verifies(prepared: Prepare, algorithm: str) -> None:
    key = key_for(algorithm)
    provider, call = prepared({**SIGNED, "private_key": pem(key), "signing_algorithm": algorithm, "key_id": "k1"}, {})
    sent = form(next(provider.retrieve(call)))
    read = jwt.decode(sent["client_assertion"], import_key(public(key)), algorithms=[algorithm])
    assert read.header == {"typ": "JWT", "alg": algorithm, "kid": "k1"}
    jti = read.claims.pop("jti")
    assert read.claims == {
        "iss": "signer",
        "sub": "signer",
        "aud": URL,
        "iat": int(NOW),
        "exp": int(NOW) + ASSERTION_SECONDS,
    }
    assert len(jti) >= 16
    assert sent["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert sent["client_id"] == "signer"
    again = form(next(provider.retrieve(call)))["client_assertion"]
    assert jwt.decode(again, import_key(public(key)), algorithms=[algorithm]).claims["jti"] != jti


def test_an_assertion_for_another_audience_and_without_kid(prepared: Prepare) -> None:
    sent = form(prepared.request({**SIGNED, "assertion_audience": "https://login.example.com"}, {}))["client_assertion"]
    read = jwt.decode(sent, import_key(public(KEYS["RS"])), algorithms=["RS256"])
    assert read.claims["aud"] == "https://login.example.com"
    assert "kid" not in read.header


@pytest.mark.parametrize(
    "change",
    [
        {"private_key": CANARY},
        {"private_key": f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"},
        {"private_key": pem(KEYS["RS"], b"locked")},
        {"signing_algorithm": "ES256"},
        {"private_key": pem(KEYS["EdDSA"])},
    ],
    ids=["no PEM", "broken", "encrypted", "other algorithm", "other kind"],
)
def test_a_key_that_cannot_sign_is_never_quoted(prepared: Prepare, change: dict[str, str]) -> None:
    error = prepared.refused(SecretError, {**SIGNED, **change}, {}, match="private_key cannot be used to sign")
    assert error.__context__ is None
    seen = told(error)
    assert CANARY not in seen
    assert "-----BEGIN" not in seen


@pytest.mark.parametrize("module", ["jwt", "cryptography.hazmat.primitives"])
def test_without_the_library_the_extra_is_named(
    prepared: Prepare, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    error = prepared.refused(SecretError, SIGNED, {}, match="PyJWT and cryptography")
    assert "[oauth2]" in error.hint


# The answer


def body(**changes: object) -> dict[str, object]:
    return {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}


LIVES = [
    (60, 60), (0.5, 0.5), (60.0, 60), ("3599", 3599), ("1800.0", 1800), ("1800.", 1800), (" 60 ", 60), ("060", 60),
    (..., None), (None, None), ("", None), (" ", None), (2**63 - 1, None), (str(2**63 - 1), None),
]  # fmt: skip


@pytest.mark.parametrize(("given", "life"), LIVES)
def test_life(prepared: Prepare, given: object, life: float | None) -> None:
    _, token = prepared.fetch(SETTINGS, {}, answer(200, body(expires_in=given)))
    assert token.expires_at == (None if life is None else utc(NOW + life))
    assert token.obtained_at == utc(NOW)


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER", "Bearer ", "BearerToken", "", " ", None, ...])
def test_a_bearer_token_in_any_case(prepared: Prepare, kind: object) -> None:
    _, token = prepared.fetch(SETTINGS, {}, answer(200, body(token_type=kind, scope=...)))
    assert (token.reveal(), token.metadata) == (CANARY, {"token_type": "Bearer"})


@pytest.mark.parametrize("kind", ["DPoP", "mac", "Bearer, DPoP", "N_A", 5, False, ["Bearer"]])
def test_a_token_of_another_type_is_not_used(prepared: Prepare, kind: object) -> None:
    error = prepared.refused(
        ResponseError,
        SETTINGS,
        {},
        answer(200, body(token_type=kind), x_request_id="rid"),
        match="only Bearer tokens can be used",
    )
    assert error.request_id == "rid"
    assert CANARY not in str(error)


@pytest.mark.parametrize("life", [0, -1, "0", "0.0", -0.5])
def test_a_token_that_has_expired_is_not_handed_out(prepared: Prepare, life: object) -> None:
    prepared.refused(UnusableToken, SETTINGS, {}, answer(200, body(expires_in=life)), match="expired already")


@pytest.mark.parametrize(
    "given",
    [
        body(access_token=...),
        body(access_token=["x"]),
        body(access_token=f"{CANARY}\n"),
        body(expires_in="soon"),
        body(expires_in="9" * 5000),
        body(expires_in="-5"),
        body(expires_in="NaN"),
        body(expires_in="1e3"),
        body(expires_in="1,800"),
        body(expires_in=[60]),
        b'{"access_token": "c4n4ry", "expires_in": NaN}',
        body(expires_in=True),
        body(expires_in=10**30),
        "access_token=c4n4ry&token_type=bearer",
        "",
    ],
)
def test_an_answer_that_is_not_as_the_rfc_has_it(prepared: Prepare, given: Any) -> None:
    error = prepared.refused(ResponseError, SETTINGS, {}, answer(200, given))
    assert "c4n4ry" not in str(error) + repr(error)


# Which of the two tokens


def id_token(**claims: object) -> str:
    return jwt.encode({"alg": "RS256"}, {"sub": "me", **claims}, import_key(SIGNED["private_key"], "RSA"))


@pytest.mark.parametrize(
    ("expires_in", "exp", "life"),
    [(3600, 600, 600), (600, 3600, 600), (..., 600, 600), (600, None, 600), (..., None, None)],
)
def test_an_id_token_ends_at_its_exp_or_with_the_answer_whichever_is_earlier(
    prepared: Prepare, expires_in: object, exp: int | None, life: int | None
) -> None:
    value = id_token(**({} if exp is None else {"exp": int(NOW) + exp}))
    _, token = prepared.fetch(
        {**SETTINGS, "token": "id_token"}, {"scope": "openid"}, answer(200, body(expires_in=expires_in, id_token=value))
    )
    assert token.reveal() == value
    assert token.expires_at == (None if life is None else utc(NOW + life))
    assert token.metadata["access_token"].reveal() == CANARY
    assert CANARY not in repr(token.metadata)


def test_an_access_tokens_own_exp_is_not_read(prepared: Prepare) -> None:
    # RFC 6749, 1.4: it is opaque to the client.
    _, token = prepared.fetch(SETTINGS, {}, answer(200, body(access_token=id_token(exp=int(NOW) + 1))))
    assert token.expires_at == utc(NOW + 3600)


def test_an_id_token_that_has_expired_is_not_handed_out(prepared: Prepare) -> None:
    prepared.refused(
        UnusableToken, {**SETTINGS, "token": "id_token"}, {}, answer(200, body(id_token=id_token(exp=int(NOW))))
    )


def test_a_real_server_without_id_tokens(fetch: Callable[..., Token]) -> None:
    with pytest.raises(ResponseError, match="no id_token") as caught:
        fetch({**SETTINGS, "client_id": "basic:er", "token": "id_token"}, scope="read")
    assert "openid" in caught.value.hint
    assert caught.value.status == 200


ERRORS: list[tuple[int, str, type[ApiError], bool]] = [
    (400, "invalid_request", InvalidRequest, False),
    (400, "invalid_client", Unauthorized, False),
    (401, "invalid_client", Unauthorized, False),
    (400, "invalid_grant", Unauthorized, False),
    (400, "unauthorized_client", Forbidden, False),
    (400, "unsupported_grant_type", InvalidRequest, False),
    (400, "invalid_scope", InvalidRequest, False),
    (400, "invalid_target", InvalidRequest, False),
    (503, "temporarily_unavailable", ServiceUnavailable, True),
    (400, "server_error", ServiceUnavailable, False),
    (429, "slow_down", Throttled, True),
    (418, "unheard_of", InvalidRequest, False),
    (200, "invalid_client", Unauthorized, False),
]


@pytest.mark.parametrize(("status", "code", "kind", "retryable"), ERRORS)
def test_errors_keep_their_code(
    *, prepared: Prepare, status: int, code: str, kind: type[ApiError], retryable: bool
) -> None:
    refused = {"error": code, "error_description": "It is so", "error_uri": "https://x"}
    error = prepared.refused(ApiError, SETTINGS, {}, answer(status, refused, retry_after="7"))
    assert (type(error), error.code, error.status) == (kind, code, status)
    assert (error.message, error.retryable, error.retry_after) == ("It is so.", retryable, 7.0)


@pytest.mark.parametrize("given", ["<html>", "", "[]", json.dumps({"error": {"code": 5}})])
def test_a_refusal_without_a_document_is_judged_by_its_status(prepared: Prepare, given: str) -> None:
    error = prepared.refused(ServiceUnavailable, SETTINGS, {}, answer(502, given))
    assert (error.code, error.retryable) == (None, True)


def test_what_a_vendors_own_endpoint_has_to_bring(prepared: Prepare) -> None:
    _, call = prepared(SETTINGS, {})
    with pytest.raises(NotImplementedError):
        TokenEndpoint().request(call)


# The settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({**SETTINGS, "endpoint": ""}, "key 'endpoint' is missing"),
        ({**SETTINGS, "endpoint": "http://login.example.com/token"}, "key 'endpoint' must be https"),
        ({**SETTINGS, "client_id": ""}, "key 'client_id' is missing"),
        ({**SETTINGS, "client_secret": ""}, "key 'client_secret' is missing"),
        ({**SETTINGS, "auth_method": "x"}, "must be one of basic, form, private_key_jwt"),
        ({**SETTINGS, "private_key": "env:K"}, "key 'private_key' is not used with auth_method basic"),
        ({**SETTINGS, "auth_method": "form", "key_id": "k"}, "key 'key_id' is not used with auth_method form"),
        ({**SETTINGS, "assertion_audience": "a"}, "key 'assertion_audience' is not used with auth_method basic"),
        ({**SIGNED, "private_key": ""}, "key 'private_key' is missing"),
        ({**SIGNED, "client_secret": "s"}, "key 'client_secret' is not used with auth_method private_key_jwt"),
        ({**SIGNED, "signing_algorithm": "HS256"}, "key 'signing_algorithm' must be one of RS256"),
        ({**SIGNED, "signing_algorithm": "none"}, "key 'signing_algorithm' must be one of RS256"),
        ({**SETTINGS, "extra_params": "tenant"}, "key 'extra_params' must be form-encoded"),
        ({**SETTINGS, "extra_params": "a=1&a=2"}, "key 'extra_params' names a parameter twice"),
        (
            {**SETTINGS, "extra_params": "client_secret=x"},
            "must not contain client_secret, which the provider sets itself",
        ),
        ({**SETTINGS, "extra_params": "scope=x"}, "must not contain scope, which belongs in params"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, str], words: str) -> None:
    assert words in refuse_settings(settings).message


def test_the_proxy_does_not_know_it() -> None:
    assert Profiles.from_settings({"mine": SETTINGS})["mine"].provider.documented is None


def test_no_credential_is_shown(prepared: Prepare) -> None:
    for settings in (SETTINGS, SIGNED):
        _, call = prepared({**settings, "client_id": "me"}, {})
        assert "s3cr" not in repr(call)
        assert "BEGIN" not in repr(call)
