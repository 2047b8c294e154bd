"""IDaaS EIAM ObtainApplicationToken."""

from __future__ import annotations

import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.errors import ResponseError, UnusableToken

from ..doubles import CANARY, NOW, answer, vector
from .conftest import Prepare, refuse_params

SETTINGS = {"provider": "eiam", "region": "eu-central-1", "access_key_id": "AKID", "access_key_secret": "s"}
IDS = {
    "InstanceId": "idaas_ue2jvisn35ea5lmthk267xxxxx",
    "ApplicationId": "app_mkv7rgt4d7i4u7zqtzev2mxxxx",
    "ApplicationTokenId": "token_sfrwerxxxxxxxxxxxxxx",
}
TOLD = {
    **IDS,
    "ApplicationTokenType": "bearer_token",
    "Status": "enabled",
    "ExpirationTime": int((NOW + 60) * 1000),
    "LastUsedTime": 1735610930000,
    "CreateTime": 1735610930000,
}


def body(**changes: object) -> dict[str, object]:
    told = {**TOLD, "ApplicationToken": CANARY, **changes}
    return {"RequestId": "rid", "ApplicationToken": {key: value for key, value in told.items() if value is not ...}}


def test_the_application_token(prepared: Prepare) -> None:
    (request,), token = prepared.fetch(SETTINGS, IDS, answer(200, body()))
    assert request.method == "POST"
    assert request.url.copy_with(query=None) == "https://eiam.eu-central-1.aliyuncs.com/"
    assert request.headers["x-acs-action"] == "ObtainApplicationToken"
    assert request.headers["x-acs-version"] == "2021-12-01"
    assert dict(request.url.params) == IDS
    assert request.content == b""
    assert token.reveal() == CANARY
    assert token.expires_at == utc(NOW + 60)
    assert token.obtained_at == utc(NOW)
    assert token.metadata == {**TOLD, "RequestId": "rid"}


def test_the_query_is_the_recorded_one(prepared: Prepare) -> None:
    sent = prepared.request(SETTINGS, IDS).url.raw_path.decode()
    assert sent == vector("eiam_obtain_basic")["request"]["target"]


@pytest.mark.parametrize("end", [..., None, 0])
def test_a_token_without_an_end(prepared: Prepare, end: object) -> None:
    assert prepared.fetch(SETTINGS, IDS, answer(200, body(ExpirationTime=end)))[1].expires_at is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Status": "disabled"}, "is disabled"),
        ({"Status": "disabled", "ExpirationTime": 1}, "is disabled"),
        ({"ExpirationTime": int(NOW * 1000)}, "has expired"),
        ({"ExpirationTime": 1}, "has expired"),
    ],
)
def test_an_unusable_token_is_not_handed_out(prepared: Prepare, changes: dict[str, object], words: str) -> None:
    error = prepared.refused(UnusableToken, SETTINGS, IDS, answer(200, body(**changes)), match=words)
    assert (error.request_id, error.status) == ("rid", 200)
    assert CANARY not in str(error) + repr(error)


@pytest.mark.parametrize(
    "given",
    [
        {"RequestId": "rid"},
        {"RequestId": "rid", "ApplicationToken": CANARY},
        body(ApplicationTokenType="another"),
        body(ApplicationToken=...),
        body(ApplicationToken=""),
        body(ApplicationToken=5),
        body(ApplicationToken=f"{CANARY}\n"),
        body(Status=...),
        body(Status="odd"),
        body(ExpirationTime="soon"),
        body(ExpirationTime=10**400),
        body(ExpirationTime=10**300),
        body(ExpirationTime=True),
    ],
)
def test_an_answer_that_is_not_as_documented(prepared: Prepare, given: dict[str, object]) -> None:
    error = prepared.refused(ResponseError, SETTINGS, IDS, answer(200, given))
    assert (error.status, error.retryable) == (200, False)
    assert "content type application/json" in error.message
    assert CANARY not in str(error) + repr(error)
    assert error.request_id == "rid"


@pytest.mark.parametrize("missing", IDS)
@pytest.mark.parametrize("value", [None, "", "a/b", ".."])
def test_wrong_ids_never_become_a_call(missing: str, value: object) -> None:
    refuse_params(SETTINGS, {**IDS, missing: value}, missing)


def test_the_proxy_takes_the_documented_call(prepared: Prepare) -> None:
    known = prepared(SETTINGS, IDS)[0].documented
    assert (known.method, known.path) == ("POST", "/")
    assert set(known.query) == set(IDS)
    assert known.headers["x-acs-action"] == "ObtainApplicationToken"
