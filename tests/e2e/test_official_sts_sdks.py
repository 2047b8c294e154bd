"""The clouds' own SDKs as clients of the sandbox's STS: temporary keys, what they sign, and each class of error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from alibabacloud_eiam20211201.client import Client as EiamClient
from alibabacloud_eiam20211201.models import ObtainApplicationTokenRequest
from alibabacloud_sts20150401.client import Client as StsClient
from alibabacloud_sts20150401.models import AssumeRoleRequest, AssumeRoleWithOIDCRequest
from alibabacloud_tea_openapi.exceptions import ClientException, ServerException, ThrottlingException
from alibabacloud_tea_openapi.utils_models import Config
from huaweicloudsdkcore.auth.credentials import BasicCredentials, GlobalCredentials
from huaweicloudsdkcore.exceptions import exceptions as huawei
from huaweicloudsdkiam import v3 as iam
from huaweicloudsdkmodelarts.v1 import ModelArtsClient, ShowNotebookRequest
from huaweicloudsdksts import v1 as sts

from jupyter_tokens.sandbox import Accounts, Sandbox, running
from jupyter_tokens.sandbox.alibaba_sts import PROVIDER_ARN, ROLE_ARN
from jupyter_tokens.sandbox.eiam import APPLICATION, INSTANCE, TOKEN
from jupyter_tokens.sandbox.huawei_sts import AGENCY_URN
from jupyter_tokens.sandbox.modelarts import INSTANCE as NOTEBOOK
from jupyter_tokens.sandbox.modelarts import PROJECT

PROVIDER_URN = "iam::sandbox:oidc-provider:"
ALIBABA, HUAWEI, ID_TOKEN = ("LTAIexample", "alibaba-secret"), ("HWAKEXAMPLE", "huawei-secret"), "eyJ.e30.c2ln"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    accounts = Accounts(alibaba=dict([ALIBABA]), huawei=dict([HUAWEI]), id_tokens={"idp": ID_TOKEN})
    with running(accounts=accounts) as served:
        yield served


# --- Alibaba -----------------------------------------------------------------------------------------------------


def config(url: str, keys: tuple[str, str] | tuple[str, str, str] = ALIBABA) -> Config:
    names = ("access_key_id", "access_key_secret", "security_token")
    given: dict[str, Any] = dict(zip(names, keys, strict=False))
    return Config(endpoint=url.removeprefix("http://"), protocol="HTTP", **given)


def assume_role(url: str, *, asynchronous: Any = False, keys: Any = ALIBABA, **changes: Any) -> Any:
    wanted = AssumeRoleRequest(**{"role_arn": ROLE_ARN, "role_session_name": "alice", **changes})
    client = StsClient(config(url, keys))
    return asyncio.run(client.assume_role_async(wanted)) if asynchronous else client.assume_role(wanted)


def with_oidc(url: str, *, asynchronous: Any = False, **changes: Any) -> Any:
    given = {"role_arn": ROLE_ARN, "role_session_name": "alice", "oidctoken": ID_TOKEN}
    wanted = AssumeRoleWithOIDCRequest(**{**given, "oidcprovider_arn": f"{PROVIDER_ARN}idp", **changes})
    client = StsClient(config(url))
    if asynchronous:
        return asyncio.run(client.assume_role_with_oidc_async(wanted))
    return client.assume_role_with_oidc(wanted)


both_calls = pytest.mark.parametrize("call", [assume_role, with_oidc], ids=["AssumeRole", "AssumeRoleWithOIDC"])
both_ways = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@both_calls
@both_ways
def test_the_key_of_a_role_signs_the_sdks_other_calls(
    sandbox: Sandbox, call: Callable[..., Any], asynchronous: bool
) -> None:
    policy = '{"Version": "1", "Statement": []}'
    body = call(sandbox.url, asynchronous=asynchronous, duration_seconds=900, policy=policy).body
    key = body.credentials
    life = datetime.fromisoformat(key.expiration) - datetime.now(UTC)
    assert 890 < life.total_seconds() <= 900
    assert body.assumed_role_user.arn.endswith("role/adminrole/alice")
    client = EiamClient(config(sandbox.url, (key.access_key_id, key.access_key_secret, key.security_token)))
    ids = {"instance_id": INSTANCE, "application_id": APPLICATION, "application_token_id": TOKEN}
    assert client.obtain_application_token(ObtainApplicationTokenRequest(**ids)).body.request_id


def test_every_parameter_of_a_role_is_taken(sandbox: Sandbox) -> None:
    answer = assume_role(sandbox.url, external_id="ext", source_identity="Alice").body
    assert answer.source_identity == "Alice"


@pytest.mark.parametrize(
    ("call", "changes", "status", "code"),
    [
        (assume_role, {"keys": ("LTAInobody", "x")}, 404, "InvalidAccessKeyId.NotFound"),
        (assume_role, {"keys": (ALIBABA[0], "x")}, 400, "SignatureDoesNotMatch"),
        (assume_role, {"role_arn": "adminrole"}, 400, "InvalidParameter.RoleArn"),
        (assume_role, {"role_arn": f"{ROLE_ARN}2"}, 404, "EntityNotExist.Role"),
        (assume_role, {"duration_seconds": 899}, 400, "InvalidParameter.DurationSeconds"),
        (assume_role, {"policy": "{}"}, 400, "InvalidParameter.PolicyGrammar"),
        (with_oidc, {"oidctoken": "eyJ.e30.c2lm"}, 401, "AuthenticationFail.OIDCToken.Invalid"),
        (with_oidc, {"oidcprovider_arn": "acs:ram::1:oidc-provider/x"}, 401, "AuthenticationFail.NoPermission"),
    ],
)
def test_what_alibaba_refuses(
    sandbox: Sandbox, call: Callable[..., Any], changes: dict[str, Any], status: int, code: str
) -> None:
    with pytest.raises(ClientException) as caught:
        call(sandbox.url, **changes)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.request_id
    assert sandbox.requests["alibaba-sts"] == 1


@both_calls
@pytest.mark.parametrize(
    ("fault", "kind"),
    [({"kind": "throttle"}, ThrottlingException), ({"kind": 403}, ClientException), ({"kind": 500}, ServerException)],
)
def test_planned_faults_end_as_alibabas_exceptions(
    sandbox: Sandbox, call: Callable[..., Any], fault: dict[str, Any], kind: type[Exception]
) -> None:
    sandbox.plan({"api": "alibaba-sts", **fault})
    with pytest.raises(kind):
        call(sandbox.url)


# --- Huawei ------------------------------------------------------------------------------------------------------

Key = tuple[str, str, str]


def built(kind: Any, credentials: Any, url: str) -> Any:
    return kind.new_builder().with_credentials(credentials).with_endpoint(url).build()


def basic(keys: tuple[str, ...]) -> BasicCredentials:
    made = BasicCredentials(*keys[:2], PROJECT)
    return made.with_security_token(keys[2]) if len(keys) > 2 else made


def assume_agency(url: str, *, keys: tuple[str, ...] = HUAWEI, **changes: Any) -> Key:
    body = sts.AssumeAgencyReqBody(**{"agency_urn": AGENCY_URN, "agency_session_name": "alice", **changes})
    told = built(sts.StsClient, basic(keys), url).assume_agency(sts.AssumeAgencyRequest(body=body)).credentials
    return told.access_key_id, told.secret_access_key, told.security_token


def assume_with_oidc(url: str, **changes: Any) -> Key:
    given = {"agency_urn": AGENCY_URN, "agency_session_name": "alice", "id_token": ID_TOKEN}
    body = sts.AssumeAgencyWithOIDCReqBody(**{**given, "provider_urn": f"{PROVIDER_URN}idp", **changes})
    client = built(sts.StsClient, basic(HUAWEI), url)
    told = client.assume_agency_with_oidc(sts.AssumeAgencyWithOIDCRequest(body=body)).credentials
    return told.access_key_id, told.secret_access_key, told.security_token


def of_iam(url: str, keys: tuple[str, ...]) -> Any:
    return built(iam.IamClient, GlobalCredentials(*keys[:2], "domain"), url)


def by_token(url: str, *, keys: tuple[str, ...] = HUAWEI, life: int = 900) -> Key:
    identity = iam.TokenAuthIdentity(methods=["token"], token=iam.IdentityToken(duration_seconds=life))
    body = iam.CreateTemporaryAccessKeyByTokenRequestBody(auth=iam.TokenAuth(identity=identity))
    request = iam.CreateTemporaryAccessKeyByTokenRequest(body=body)
    told = of_iam(url, keys).create_temporary_access_key_by_token(request).credential
    return told.access, told.secret, told.securitytoken


def by_agency(url: str, *, keys: tuple[str, ...] = HUAWEI, life: int = 900, name: str = "admin") -> Key:
    session = iam.AssumeroleSessionuser(name="alice")
    role = iam.IdentityAssumerole(agency_name=name, domain_name="d", duration_seconds=life, session_user=session)
    identity = iam.AgencyAuthIdentity(methods=["assume_role"], assume_role=role)
    body = iam.CreateTemporaryAccessKeyByAgencyRequestBody(auth=iam.AgencyAuth(identity=identity))
    request = iam.CreateTemporaryAccessKeyByAgencyRequest(body=body)
    told = of_iam(url, keys).create_temporary_access_key_by_agency(request).credential
    return told.access, told.secret, told.securitytoken


CALLS = {"assume": assume_agency, "with-oidc": assume_with_oidc, "by-token": by_token, "by-agency": by_agency}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_key_of_an_agency_signs_the_sdks_other_calls(sandbox: Sandbox, call: Callable[..., Key]) -> None:
    key = call(sandbox.url)
    client = built(ModelArtsClient, basic(key), sandbox.url)
    assert client.show_notebook(ShowNotebookRequest(id=NOTEBOOK)).token
    assert assume_agency(sandbox.url, keys=key)[0] != key[0]


def test_every_parameter_of_an_agency_is_taken(sandbox: Sandbox) -> None:
    assert assume_agency(
        sandbox.url,
        policy="{}",
        policy_ids=["p"],
        external_id="ext",
        source_identity="me",
        duration_seconds=43200,
        serial_number="iam::d:mfa:me",
        token_code="123456",
        tags=[sts.TagDto(key="team", value="a")],
        transitive_tag_keys=["team"],
    )


@pytest.mark.parametrize(
    ("call", "changes", "status", "code"),
    [
        (assume_agency, {"keys": ("NOBODY", "x")}, 401, "APIGW.0301"),
        (assume_agency, {"keys": (HUAWEI[0], "x")}, 401, "APIGW.0301"),
        (assume_agency, {"agency_urn": "iam::d:agency:missing"}, 404, "STS5.1106"),
        (assume_agency, {"duration_seconds": 899}, 400, "STS5.0001"),
        (assume_with_oidc, {"id_token": "wrong"}, 401, "STS5.0002"),
        (by_token, {"keys": (HUAWEI[0], "x")}, 401, "APIGW.0301"),
        (by_token, {"life": 899}, 400, "400"),
        (by_agency, {"name": "missing"}, 404, "404"),
    ],
)
def test_what_huawei_refuses(
    sandbox: Sandbox, call: Callable[..., Key], changes: dict[str, Any], status: int, code: str
) -> None:
    with pytest.raises(huawei.ClientRequestException) as caught:
        call(sandbox.url, **changes)
    assert (caught.value.status_code, str(caught.value.error_code)) == (status, code)
    assert caught.value.request_id


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("throttle", huawei.ClientRequestException),
        (403, huawei.ClientRequestException),
        (500, huawei.ServerResponseException),
    ],
)
def test_planned_faults_end_as_huaweis_exceptions(sandbox: Sandbox, kind: Any, error: type[Exception]) -> None:
    sandbox.plan({"api": "huawei-sts", "kind": kind})
    with pytest.raises(error):
        assume_agency(sandbox.url)
