"""Every recorded and published signature: accepted byte for byte, refused with one character changed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import pytest

from jupyter_tokens.sandbox import Accounts, Sandbox, running
from jupyter_tokens.sandbox.messages import Request

from .client import PASSWORD, USER, Answer, Clock, login, raw_request, send

FOLDER = Path(__file__).parent.parent / "vectors"


_ACCEPTED = {"/v3/auth/tokens": (201, ""), "/v3.0/OS-CREDENTIAL/securitytokens": (201, "")}
RECORDED_USER = {"u'ser +&": 'p"a\\ss é'}
RECORDED_ID_TOKEN = {"idp": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1In0.c2ln"}


@dataclass(frozen=True)
class Vector:
    """One signed request and whose it is."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    access_key: str
    secret: str
    signed: tuple[str, ...]
    accepted: tuple[int, str]

    @property
    def acs3(self) -> bool:
        return dict(self.headers)["Authorization"].startswith("ACS3-")

    @property
    def date(self) -> float:
        (text,) = [value for name, value in self.headers if name.lower() in ("x-acs-date", "x-sdk-date")]
        form = "%Y-%m-%dT%H:%M:%SZ" if "-" in text else "%Y%m%dT%H%M%SZ"
        return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()

    def send(self, sandbox: Sandbox) -> Answer:
        return send(sandbox.url, raw_request(self.method, self.target, self.headers, self.body))

    def is_accepted(self, answer: Answer) -> bool:
        status, code = self.accepted
        return answer.status == status and (status < 300 or answer.code == code)


def _recorded(data: dict[str, Any]) -> Vector:
    request, keys = data["request"], data["credentials"]
    return Vector(
        request["method"],
        request["target"],
        tuple((name, value) for name, value in request["headers"]),
        base64.b64decode(request["body_b64"]),
        keys.get("access_key_id") or keys["access_key"],
        keys.get("access_key_secret") or keys["secret_key"],
        tuple(data["signature"]["signed_headers"]),
        # The SDK's own test asked for an instance that the sandbox does not have.
        _ACCEPTED.get(request["path"], (404, "ModelArts.6309") if "/notebooks/" in request["target"] else (200, "")),
    )


def _published(data: dict[str, Any]) -> Vector:
    """Requests to other services: the signature is accepted, and only then nothing is found behind it."""
    acs3 = "access_key_id" in data
    return Vector(
        data["method"],
        f"{data['path']}?{urlencode(dict(data['query']))}",
        (*data["headers"].items(), ("Authorization", data["expected"]["authorization"])),
        data["body"].encode(),
        data["access_key_id" if acs3 else "access_key"],
        data["access_key_secret" if acs3 else "secret_key"],
        tuple(data["headers"]),
        (404, "InvalidApi.NotFound") if acs3 else (404, "APIGW.0101"),
    )


def _vectors() -> dict[str, Vector]:
    found = {}
    for path in sorted(FOLDER.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("signature"):
            found[path.stem] = _recorded(data)
        elif "expected" in data:
            found[path.stem] = _published(data)
    return found


VECTORS = _vectors()
every_vector = pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())


@contextmanager
def serving(vector: Vector, **options: Any) -> Iterator[Sandbox]:
    keys = {vector.access_key: vector.secret}
    accounts = Accounts(alibaba=keys, huawei=keys, iam=RECORDED_USER, id_tokens=RECORDED_ID_TOKEN)
    with running(accounts=accounts, **{"clock": Clock(vector.date), **options}) as sandbox:
        yield sandbox


def changed(text: str) -> str:
    """The text with its last letter or digit changed to another one."""
    place = max(i for i, letter in enumerate(text) if letter.isalnum())
    return text[:place] + ("7" if text[place] != "7" else "3") + text[place + 1 :]


def variations(text: str) -> Iterator[str]:
    """The text with each of its characters in turn changed to another one, letters to the other case as well."""
    for place, letter in enumerate(text):
        for other in {"7" if letter != "7" else "3", letter.swapcase()} - {letter}:
            yield text[:place] + other + text[place + 1 :]


def tampered(vector: Vector) -> dict[str, Vector]:
    """Every way to change one character of what the signature covers, and of the signature."""
    ways = {}
    if "?" in vector.target:
        ways["query"] = replace(vector, target=changed(vector.target))
    else:
        ways["query"] = replace(vector, target=vector.target + "?a=1")
    path, mark, query = vector.target.partition("?")
    ways["path"] = replace(vector, target=(changed(path) if path != "/" else "/a") + mark + query)
    for place, (name, value) in enumerate(vector.headers):
        if name.lower() in vector.signed or name == "Authorization":
            headers = (*vector.headers[:place], (name, changed(value)), *vector.headers[place + 1 :])
            ways["signature" if name == "Authorization" else name.lower()] = replace(vector, headers=headers)
    return ways


def test_the_vectors_are_there() -> None:
    assert len(VECTORS) == 23
    assert sum(vector.acs3 for vector in VECTORS.values()) == 14


@every_vector
def test_accepted_byte_for_byte(vector: Vector) -> None:
    with serving(vector) as sandbox:
        answer = vector.send(sandbox)
    assert vector.is_accepted(answer), answer.body


@every_vector
def test_refused_with_one_character_changed_and_accepted_afterwards(vector: Vector) -> None:
    with serving(vector) as sandbox:
        for what, damaged in tampered(vector).items():
            answer = damaged.send(sandbox)
            assert answer.status in (400, 401, 404), what
            assert not vector.is_accepted(answer), what
            assert vector.secret.encode() not in answer.body
        # None of them burned the nonce or counted against the key.
        assert vector.is_accepted(vector.send(sandbox))


@every_vector
def test_no_character_of_what_was_signed_can_be_another(vector: Vector) -> None:
    keys = {vector.access_key: vector.secret}
    accounts = Accounts(alibaba=keys, huawei=keys, iam=RECORDED_USER, id_tokens=RECORDED_ID_TOKEN)
    sandbox = Sandbox(accounts, clock=Clock(vector.date))

    def accepted(target: str, headers: list[tuple[str, str]]) -> bool:
        lower = [(name.lower(), value) for name, value in headers]
        # Without a socket: these are thousands.
        response = sandbox._handle(Request(vector.method, target, lower, vector.body))
        return vector.is_accepted(Answer(response.status, {}, response.body))

    for other in variations(vector.target):
        if unquote(other) == unquote(vector.target):
            continue  # %2a is %2A.
        assert not accepted(other, list(vector.headers)), other
    for place, (name, value) in enumerate(vector.headers):
        if name.lower() in vector.signed or name == "Authorization":
            for other in variations(value):
                headers = [*vector.headers[:place], (name, other), *vector.headers[place + 1 :]]
                assert not accepted(vector.target, headers), other
    assert accepted(vector.target, list(vector.headers))


@every_vector
def test_refused_where_the_secret_differs_in_one_character(vector: Vector) -> None:
    with serving(replace(vector, secret=changed(vector.secret))) as sandbox:
        answer = vector.send(sandbox)
    assert (answer.status, answer.code) == ((400, "SignatureDoesNotMatch") if vector.acs3 else (401, "APIGW.0301"))


@every_vector
def test_refused_with_a_body_that_was_not_signed(vector: Vector) -> None:
    kept = tuple(pair for pair in vector.headers if pair[0] != "Content-Length")
    smuggled = replace(vector, body=b"x", headers=(*kept, ("Content-Length", "1")))
    with serving(vector) as sandbox:
        answer = smuggled.send(sandbox)
        assert answer.code in ("SignatureDoesNotMatch", "APIGW.0301")
        assert vector.is_accepted(vector.send(sandbox))


@every_vector
def test_a_second_time_the_nonce_is_used_up(vector: Vector) -> None:
    with serving(vector) as sandbox:
        vector.send(sandbox)
        again = vector.send(sandbox)
    if vector.acs3:
        assert (again.status, again.code) == (400, "SignatureNonceUsed")
    else:
        assert vector.is_accepted(again)  # SDK-HMAC has no nonce.


@every_vector
@pytest.mark.parametrize("minutes", [-16, -14, 14, 16])
def test_only_within_fifteen_minutes(vector: Vector, minutes: int) -> None:
    with serving(vector, clock=Clock(vector.date + 60 * minutes)) as sandbox:
        answer = vector.send(sandbox)
    if abs(minutes) < 15:
        assert vector.is_accepted(answer)
    else:
        assert answer.code == ("InvalidTimeStamp.Expired" if vector.acs3 else "APIGW.0301")


@every_vector
def test_refused_for_an_unknown_key(vector: Vector) -> None:
    with serving(replace(vector, access_key="SomebodyElse")) as sandbox:
        answer = vector.send(sandbox)
    expected = (404, "InvalidAccessKeyId.NotFound") if vector.acs3 else (401, "APIGW.0301")
    assert (answer.status, answer.code) == expected


def _unsigned(name: str) -> tuple[dict[str, Any], bytes]:
    data = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    request = data["request"]
    raw = raw_request(request["method"], request["target"], request["headers"], base64.b64decode(request["body_b64"]))
    return data["credentials"], raw


@pytest.mark.parametrize("name", ["oneaccess_token_form", "oneaccess_token_basic_query"])
def test_recorded_oneaccess_request_is_accepted(name: str) -> None:
    keys, raw = _unsigned(name)
    with running(accounts=Accounts(oneaccess={keys["client_id"]: keys["client_secret"]})) as sandbox:
        assert send(sandbox.url, raw).json()["token_type"] == "Bearer"
    with running(accounts=Accounts(oneaccess={keys["client_id"]: changed(keys["client_secret"])})) as sandbox:
        assert send(sandbox.url, raw).json()["error"] == "invalid_client"


@pytest.mark.parametrize(("name", "status"), [("astra_get_token", 200), ("astra_create_token", 201)])
def test_recorded_astra_request_is_accepted(name: str, status: int) -> None:
    keys, raw = _unsigned(name)
    with running(accounts=Accounts(astra=[keys["bearer"]])) as sandbox:
        assert send(sandbox.url, raw).status == status
    with running(accounts=Accounts(astra=[changed(keys["bearer"])])) as sandbox:
        assert send(sandbox.url, raw).status == 401


def test_the_documented_dashscope_request_is_accepted() -> None:
    keys, raw = _unsigned("dashscope_temporary_key")
    with running(accounts=Accounts(dashscope=[keys["api_key"]])) as sandbox:
        assert send(sandbox.url, raw).json()["token"].startswith("st-")
    with running(accounts=Accounts(dashscope=[changed(keys["api_key"])])) as sandbox:
        assert (send(sandbox.url, raw).status, send(sandbox.url, raw).code) == (401, "InvalidApiKey")


def test_the_recorded_id_token_logs_in_to_iam() -> None:
    keys, raw = _unsigned("hw_iam_token_by_id_token")
    with running(accounts=Accounts(id_tokens={"idp": keys["id_token"]})) as sandbox:
        assert send(sandbox.url, raw).status == 201
    for wrong in ({"idp": changed(keys["id_token"])}, {"other": keys["id_token"]}):
        with running(accounts=Accounts(id_tokens=wrong)) as sandbox:
            assert send(sandbox.url, raw).status == 401


def test_the_recorded_login_by_token_needs_a_token_of_iam() -> None:
    keys, raw = _unsigned("otc_iam_token_by_token")
    with running(accounts=Accounts(iam={USER: PASSWORD})) as sandbox:
        assert send(sandbox.url, raw).status == 401
        given = login(sandbox.url, scope=None).headers["x-subject-token"].encode()
        old, length = keys["x_auth_token"].encode(), len(given) - len(keys["x_auth_token"])
        renewed = raw.replace(old, given).replace(b"Content-Length: 139", b"Content-Length: %d" % (139 + length))
        assert send(sandbox.url, renewed).json()["token"]["methods"] == ["token"]


@pytest.mark.parametrize("name", ["otc_demanager_token", "otc_notebook_show_x_auth_token"])
def test_recorded_otc_requests_log_in_and_carry_the_token(name: str) -> None:
    _, login = _unsigned("otc_iam_token")
    keys, token = _unsigned(name)
    with running(accounts=Accounts(iam={"user_name": "user_password"})) as sandbox:
        assert send(sandbox.url, token).code == "ModelArts.0203"
        given = send(sandbox.url, login).headers["x-subject-token"]
        renewed = token.replace(keys["x_auth_token"].encode(), given.encode())
        # Known now, and only the recorded instance is not there.
        assert send(sandbox.url, renewed).code == "ModelArts.6309"


def test_the_recorded_oidc_token_gives_a_key_of_alibaba() -> None:
    data, raw = (
        json.loads((FOLDER / "sts_assumerolewithoidc.json").read_text(encoding="utf-8")),
        _unsigned("sts_assumerolewithoidc")[1],
    )
    token = dict(data["request"]["query_decoded"])["OIDCToken"]
    with running(accounts=Accounts(id_tokens={"Idp": token}), clock=Clock()) as sandbox:
        assert send(sandbox.url, raw).json()["Credentials"]["AccessKeyId"].startswith("STS.")
    with running(accounts=Accounts(id_tokens={"Idp": changed(token)}), clock=Clock()) as sandbox:
        assert send(sandbox.url, raw).code == "AuthenticationFail.OIDCToken.Invalid"


def test_the_recorded_security_token_of_t_cloud_needs_a_token_of_iam() -> None:
    keys, raw = _unsigned("otc_securitytokens_by_token")
    with running(accounts=Accounts(iam={USER: PASSWORD}), clock=Clock()) as sandbox:
        assert send(sandbox.url, raw).status == 401
        given = login(sandbox.url, scope=None).headers["x-subject-token"].encode()
        told = send(sandbox.url, raw.replace(keys["x_auth_token"].encode(), given)).json()["credential"]
        # The SDK misspells the name of the life, so the key has the default one.
        assert told["expires_at"] == "2026-01-15T08:45:00.000000Z"


def test_the_recorded_id_token_assumes_an_agency() -> None:
    _, raw = _unsigned("hw_sts_assume_agency_oidc_core")
    # The recorded session's name, which has a blank and a letter that is not ASCII, is against the vendor's own page.
    name, length = b"a b \\u00e9", b"Content-Length: 225"
    with running(accounts=Accounts(id_tokens=RECORDED_ID_TOKEN), clock=Clock()) as sandbox:
        assert send(sandbox.url, raw).code == "STS5.0001"
        good = raw.replace(name, b"alice").replace(length, b"Content-Length: 220")
        assert send(sandbox.url, good).status == 200
    with running(accounts=Accounts(id_tokens={"idp": "eyJ.x.y"}), clock=Clock()) as sandbox:
        assert send(sandbox.url, good).status == 401
