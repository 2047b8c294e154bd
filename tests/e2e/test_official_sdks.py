"""The vendors' own SDKs as clients of the sandbox: success and each class of error as the vendor's SDK reports it."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests
from alibabacloud_eiam20211201.client import Client as EiamClient
from alibabacloud_eiam20211201.models import (
    GenerateOauthTokenRequest,
    ListApplicationTokensRequest,
    ObtainApplicationTokenRequest,
)
from alibabacloud_pai_dlc20201203.client import Client as PaiClient
from alibabacloud_pai_dlc20201203.models import GetTokenRequest, TokenSettings
from alibabacloud_pai_dsw20220101.client import Client as DswClient
from alibabacloud_pai_dsw20220101.models import GetTokenRequest as DswRequest
from alibabacloud_pai_dsw20220101.models import ListInstancesRequest
from alibabacloud_tea_openapi.exceptions import ClientException, ServerException, ThrottlingException
from alibabacloud_tea_openapi.utils_models import Config
from astraSDK.common import SDKCommon
from darabonba.exceptions import UnretryableException
from darabonba.policy.retry import RetryOptions
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions import exceptions as huawei
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkmodelarts.v1 import ListNotebooksRequest, ModelArtsClient, ShowNotebookRequest

from jupyter_tokens.sandbox import Accounts, Sandbox, running
from jupyter_tokens.sandbox.astra import ACCOUNT, TOKEN, USER
from jupyter_tokens.sandbox.eiam import APPLICATION, DISABLED, INSTANCE
from jupyter_tokens.sandbox.eiam import TOKEN as APPLICATION_TOKEN
from jupyter_tokens.sandbox.modelarts import FROZEN, LEASE_SECONDS, LEASED, NOT_RUNNING, OLD_INSTANCE, PROJECT
from jupyter_tokens.sandbox.modelarts import INSTANCE as NOTEBOOK

from .certificate import self_signed

ALIBABA, HUAWEI, BEARER = ("LTAIexample", "alibaba-secret"), ("HWAKEXAMPLE", "huawei-secret"), "astra-bearer"
SIXTEEN_MINUTES = 16 * 60


@pytest.fixture
def accounts() -> Accounts:
    return Accounts(alibaba=dict([ALIBABA]), huawei=dict([HUAWEI]), astra=[BEARER])


@pytest.fixture
def sandbox(accounts: Accounts) -> Iterator[Sandbox]:
    with running(accounts=accounts) as served:
        yield served


@pytest.fixture
def late(accounts: Accounts) -> Iterator[Sandbox]:
    """A sandbox for whose clock every client is sixteen minutes late."""
    with running(accounts=accounts, clock=lambda: time.time() + SIXTEEN_MINUTES) as served:
        yield served


# --- Alibaba -----------------------------------------------------------------------------------------------------


def alibaba_config(url: str, *, whole_url: bool = False, **options: Any) -> Config:
    keys = {"access_key_id": ALIBABA[0], "access_key_secret": ALIBABA[1], **options}
    endpoint = url if whole_url else url.removeprefix("http://")
    return Config(endpoint=endpoint, protocol="HTTP", **keys)


def pai(url: str, *, asynchronous: Any = False, request: GetTokenRequest | None = None, **options: Any) -> Any:
    client = PaiClient(alibaba_config(url, **options))
    wanted = request or GetTokenRequest(target_type="job", target_id="dlc 1*~é/+", expire_time=60)
    return asyncio.run(client.get_token_async(wanted)) if asynchronous else client.get_token(wanted)


def eiam(url: str, *, asynchronous: Any = False, token: Any = APPLICATION_TOKEN, **options: Any) -> Any:
    client = EiamClient(alibaba_config(url, **options))
    wanted = ObtainApplicationTokenRequest(
        instance_id=INSTANCE, application_id=APPLICATION, application_token_id=token or None
    )
    if asynchronous:
        return asyncio.run(client.obtain_application_token_async(wanted))
    return client.obtain_application_token(wanted)


def dsw(url: str, *, asynchronous: Any = False, instance: str = "dsw-730abcdefghij", **options: Any) -> Any:
    client = DswClient(alibaba_config(url, **options))
    wanted = DswRequest(instance_id=instance, expire_time=60, type="Access", audience="Third Party*~é/+")
    return asyncio.run(client.get_token_async(wanted)) if asynchronous else client.get_token(wanted)


def eiam_oauth(url: str, *, asynchronous: Any = False, **options: Any) -> Any:
    client = EiamClient(alibaba_config(url, **options))
    wanted = GenerateOauthTokenRequest(
        instance_id=INSTANCE,
        application_id=APPLICATION,
        audience="https://example.com",
        scope_values=[f"Scope *~é/+ {number}" for number in range(11)],
    )
    if asynchronous:
        return asyncio.run(client.generate_oauth_token_async(wanted))
    return client.generate_oauth_token(wanted)


both_calls = pytest.mark.parametrize(
    "call", [pai, eiam, dsw, eiam_oauth], ids=["pai-dlc", "eiam", "pai-dsw", "eiam-oauth"]
)
both_ways = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@both_ways
@pytest.mark.parametrize("whole_url", [False, True], ids=["host", "whole-url"])
@pytest.mark.parametrize("security_token", [None, "CAIS/with+slash=="], ids=["key", "sts"])
def test_pai_and_eiam_hand_out_tokens(
    sandbox: Sandbox, asynchronous: bool, whole_url: bool, security_token: str | None
) -> None:
    options: dict[str, Any] = {"asynchronous": asynchronous, "whole_url": whole_url, "security_token": security_token}
    assert pai(sandbox.url, **options).body.token.startswith("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.")
    token = eiam(sandbox.url, **options).body.application_token
    assert (token.status, token.application_token[:4]) == ("enabled", "SATF")
    assert (sandbox.requests["pai-dlc"], sandbox.requests["eiam"]) == (1, 1)


@both_ways
def test_the_sdk_gets_what_the_neighbours_of_both_hand_out(sandbox: Sandbox, asynchronous: bool) -> None:
    answer = dsw(sandbox.url, asynchronous=asynchronous).body
    assert (answer.success, answer.token.count(".")) == (True, 2)
    token = eiam_oauth(sandbox.url, asynchronous=asynchronous).body.token_response
    assert (token.token_type, token.expires_in, token.access_token[:2]) == ("Bearer", 1200, "AT")
    assert (sandbox.requests["pai-dsw"], sandbox.requests["eiam-oauth"]) == (1, 1)


def test_the_sdk_lists_what_tokens_are_for(sandbox: Sandbox) -> None:
    found = DswClient(alibaba_config(sandbox.url)).list_instances(ListInstancesRequest(page_size=100)).body
    assert (found.total_count, [one.status for one in found.instances]) == (2, ["Running", "Stopped"])
    wanted = ListApplicationTokensRequest(instance_id=INSTANCE, application_id=APPLICATION)
    tokens = EiamClient(alibaba_config(sandbox.url)).list_application_tokens(wanted).body.application_tokens
    assert APPLICATION_TOKEN in [one.application_token_id for one in tokens]
    notebooks = huawei_client(sandbox.url).list_notebooks(ListNotebooksRequest(limit=50)).data
    assert NOTEBOOK in [one.id for one in notebooks]
    assert sandbox.requests.total() == 0


def test_a_refusal_of_dsw_is_no_error_to_the_sdk(sandbox: Sandbox) -> None:
    answer = dsw(sandbox.url, instance="nobody").body
    assert (answer.success, answer.code, answer.token) == (False, "ValidationError", None)


@both_ways
def test_pai_takes_no_parameters_and_all_of_them(sandbox: Sandbox, asynchronous: bool) -> None:
    settings = TokenSettings(enable_cross_account_access=True, enable_log_download_job=False)
    for request in (GetTokenRequest(), GetTokenRequest(target_type="tensorboard", token_settings=settings)):
        assert pai(sandbox.url, asynchronous=asynchronous, request=request).body.request_id


def test_a_disabled_application_token_is_no_error_to_the_sdk(sandbox: Sandbox) -> None:
    assert eiam(sandbox.url, token=DISABLED).body.application_token.status == "disabled"


@both_calls
@both_ways
@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"access_key_id": "LTAInobody"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"access_key_secret": "wrong"}, 400, "SignatureDoesNotMatch"),
    ],
)
def test_refused_keys_end_as_client_exceptions(
    *,
    sandbox: Sandbox,
    call: Callable[..., Any],
    asynchronous: bool,
    options: dict[str, str],
    status: int,
    code: str,
) -> None:
    with pytest.raises(ClientException) as caught:
        call(sandbox.url, asynchronous=asynchronous, **options)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.request_id
    assert sum(sandbox.requests.values()) == 1


@both_calls
def test_a_late_clock_ends_as_a_client_exception(late: Sandbox, call: Callable[..., Any]) -> None:
    with pytest.raises(ClientException) as caught:
        call(late.url)
    assert caught.value.code == "InvalidTimeStamp.Expired"


def test_bad_and_missing_parameters_end_as_client_exceptions(sandbox: Sandbox) -> None:
    for request, code in (
        (GetTokenRequest(target_type="pod"), "InvalidTargetType"),
        (GetTokenRequest(expire_time=-1), "InvalidExpireTime"),
    ):
        with pytest.raises(ClientException) as caught:
            pai(sandbox.url, request=request)
        assert (caught.value.status_code, caught.value.code) == (400, code)
    for token, status, code in (
        ("", 400, "MissingApplicationTokenId"),
        ("nobody", 404, "ResourceNotFound.ApplicationToken"),
    ):
        with pytest.raises(ClientException) as caught:
            eiam(sandbox.url, token=token)
        assert (caught.value.status_code, caught.value.code) == (status, code)


def test_bearer_credentials_end_as_a_client_exception(sandbox: Sandbox) -> None:
    keys: dict[str, Any] = {"access_key_id": None, "access_key_secret": None, "bearer_token": "bearer"}
    for call in (pai, eiam):
        with pytest.raises(ClientException) as caught:
            call(sandbox.url, **keys)
        assert caught.value.code == "UnsupportedSignatureType"


@both_calls
@both_ways
def test_throttling_ends_as_a_throttling_exception(
    sandbox: Sandbox, call: Callable[..., Any], asynchronous: bool
) -> None:
    sandbox.plan({"api": "*", "kind": "throttle", "retry_after": 2})
    with pytest.raises(ThrottlingException) as caught:
        call(sandbox.url, asynchronous=asynchronous)
    assert (caught.value.status_code, caught.value.code) == (400, "Throttling.User")
    assert caught.value.retry_after == 2000


@both_calls
@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (403, ClientException, "NoPermission"),
        (500, ServerException, "InternalError"),
        (503, ServerException, "ServiceUnavailable"),
    ],
)
def test_other_statuses_end_as_their_exceptions(
    sandbox: Sandbox, call: Callable[..., Any], status: int, kind: type[Exception], code: str
) -> None:
    sandbox.plan({"api": "*", "kind": status})
    with pytest.raises(kind) as caught:
        call(sandbox.url)
    assert (caught.value.status_code, caught.value.code) == (status, code)  # type: ignore[attr-defined]


@both_ways
def test_a_retry_with_its_own_headers_is_taken(sandbox: Sandbox, asynchronous: bool) -> None:
    condition = {"maxAttempts": 3, "exception": ["ThrottlingException"], "errorCode": ["Throttling.User"]}
    retries = RetryOptions({"retryable": True, "retryCondition": [condition]})
    sandbox.plan({"api": "pai-dlc", "kind": "throttle", "retry_after": 0})
    answer = pai(sandbox.url, asynchronous=asynchronous, retry_options=retries)
    assert answer.body.token
    assert sandbox.requests["pai-dlc"] == 2


@both_calls
def test_a_reset_connection_is_an_error_of_the_transport(sandbox: Sandbox, call: Callable[..., Any]) -> None:
    sandbox.plan({"api": "*", "kind": "reset"})
    with pytest.raises(UnretryableException):
        call(sandbox.url)


# --- Huawei ------------------------------------------------------------------------------------------------------


def huawei_client(url: str, *, access: tuple[str, str] = HUAWEI, sts: str | None = None, **config: Any) -> Any:
    credentials = BasicCredentials(*access, PROJECT)
    if sts:
        credentials = credentials.with_security_token(sts)
    builder = ModelArtsClient.new_builder().with_http_config(HttpConfig(**config))
    return builder.with_credentials(credentials).with_endpoint(url).build()


def notebook(url: str, identifier: str = NOTEBOOK, **options: Any) -> Any:
    return huawei_client(url, **options).show_notebook(ShowNotebookRequest(id=identifier))


def demanager(url: str, identifier: str = NOTEBOOK, **options: Any) -> Any:
    """The SDK knows no such path: through its core, as the vectors were recorded."""
    answer = huawei_client(url, **options).do_http_request(
        method="GET",
        resource_path="/v1/{project_id}/demanager/instances/{instance_id}/token",
        path_params={"instance_id": identifier},
        header_params={"Content-Type": "application/json"},
        query_params=[],
        post_params={},
        collection_formats={},
        response_type="ShowNotebookResponse",
        response_headers=[],
    )
    return json.loads(answer.raw_content)


@pytest.mark.parametrize("sts", [None, "sts-token"])
def test_huawei_shows_the_notebook_and_its_token(sandbox: Sandbox, sts: str | None) -> None:
    shown = notebook(sandbox.url, sts=sts)
    assert (shown.id, shown.status, str(UUID(shown.token))) == (NOTEBOOK, "RUNNING", shown.token)
    assert shown.url.endswith(f"/{NOTEBOOK}/lab")
    assert len(demanager(sandbox.url, sts=sts)["token"]) == 32
    assert sandbox.requests["modelarts"] == 2


def test_huawei_reads_the_lease(sandbox: Sandbox) -> None:
    lease = notebook(sandbox.url, LEASED).lease
    assert (lease.enable, lease.type, lease.duration) == (True, "timing", LEASE_SECONDS * 1000)
    assert lease.create_at <= time.time() * 1000 < lease.create_at + lease.duration


both_paths = pytest.mark.parametrize("call", [notebook, demanager])


@both_paths
@pytest.mark.parametrize("access", [("NOBODY", HUAWEI[1]), (HUAWEI[0], "wrong")])
def test_refused_access_ends_as_apigw_0301(sandbox: Sandbox, call: Callable[..., Any], access: tuple[str, str]) -> None:
    with pytest.raises(huawei.ClientRequestException) as caught:
        call(sandbox.url, access=access)
    assert (caught.value.status_code, caught.value.error_code) == (401, "APIGW.0301")
    assert "verify aksk signature fail" in caught.value.error_msg
    assert caught.value.request_id
    assert sandbox.requests["modelarts"] == 1


def test_a_late_clock_ends_as_apigw_0301(late: Sandbox) -> None:
    with pytest.raises(huawei.ClientRequestException) as caught:
        notebook(late.url)
    assert caught.value.error_code == "APIGW.0301"


def test_an_unknown_instance_shows_the_sdk_cannot_read_demanagers_documented_spelling(sandbox: Sandbox) -> None:
    with pytest.raises(huawei.ClientRequestException) as caught:
        demanager(sandbox.url, "DE-1")
    assert (caught.value.status_code, caught.value.error_code) == (400, "400")
    assert json.loads(caught.value.error_msg)["error_code"] == "ModelArts.6309"


@pytest.mark.parametrize("identifier", ["DE-1", OLD_INSTANCE])
def test_notebooks_answers_404_for_what_it_does_not_have(sandbox: Sandbox, identifier: str) -> None:
    with pytest.raises(huawei.ClientRequestException) as caught:
        notebook(sandbox.url, identifier)
    assert (caught.value.status_code, caught.value.error_code) == (404, "ModelArts.6309")
    assert caught.value.error_msg == "The instance does not exist."
    assert caught.value.request_id


@pytest.mark.parametrize(("identifier", "code"), [(NOT_RUNNING, "ModelArts.6327"), (FROZEN, "ModelArts.6326")])
def test_demanager_refuses_an_instance_that_does_not_run(sandbox: Sandbox, identifier: str, code: str) -> None:
    with pytest.raises(huawei.ClientRequestException) as caught:
        demanager(sandbox.url, identifier)
    assert (caught.value.status_code, caught.value.error_code) == (400, code)


@pytest.mark.parametrize(("identifier", "status"), [(NOT_RUNNING, "STOPPED"), (FROZEN, "FROZEN")])
def test_notebooks_shows_an_instance_that_does_not_run(sandbox: Sandbox, identifier: str, status: str) -> None:
    assert notebook(sandbox.url, identifier).status == status


@pytest.mark.parametrize(
    ("fault", "kind", "status", "code"),
    [
        ({"kind": "throttle"}, huawei.ClientRequestException, 429, "429"),
        ({"kind": 403}, huawei.ClientRequestException, 403, "ModelArts.0108"),
        ({"kind": 500}, huawei.ServerResponseException, 500, "APIGW.9999"),
        ({"kind": 503, "body": "<html/>"}, huawei.ServerResponseException, 503, "503"),
        ({"kind": 404, "body": ""}, huawei.ClientRequestException, 404, "404"),
    ],
)
def test_planned_statuses_end_as_the_sdk_reports_them(
    sandbox: Sandbox, fault: dict[str, Any], kind: type[huawei.ServiceResponseException], status: int, code: str
) -> None:
    sandbox.plan({"api": "modelarts", **fault})
    with pytest.raises(kind) as caught:
        notebook(sandbox.url)
    assert (caught.value.status_code, caught.value.error_code) == (status, code)
    assert sandbox.requests["modelarts"] == 1


@pytest.mark.parametrize("kind", ["garbage", "empty"])
def test_the_sdk_takes_a_broken_answer_for_an_empty_one(sandbox: Sandbox, kind: str) -> None:
    sandbox.plan({"api": "modelarts", "kind": kind})
    assert notebook(sandbox.url).token is None


def test_a_reset_connection_ends_as_a_connection_exception(sandbox: Sandbox) -> None:
    sandbox.plan({"api": "modelarts", "kind": "reset"})
    with pytest.raises(huawei.ConnectionException):
        notebook(sandbox.url)


# --- Astra -------------------------------------------------------------------------------------------------------


class Tokens(SDKCommon):
    """The toolkit has no class for tokens; this is how its others call the API."""

    def call(self, method: str, path: str = "", data: Any = None, media: str | None = None) -> requests.Response:
        headers = {**self.headers, **({"accept": media, "Content-Type": media} if media else {})}
        url = f"{self.base}core/v1/users/{USER}/tokens{path}"
        answer: requests.Response = self.apicall(method, url, {} if data is None else data, headers, {}, quiet=True)
        return answer


def toolkit(url: str, bearer: str = BEARER, *, verify: str | bool = True) -> Tokens:
    """A ready `config`: by itself the toolkit builds https addresses only."""
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {bearer}"
    session.verify = verify
    base = f"{url}/accounts/{ACCOUNT}/"
    return Tokens({"base": base, "session": session, "domain": url, "account_id": ACCOUNT})


MEDIA = "application/astra-token+json"
NEW = {"type": "application/astra-token", "version": "1.0", "name": "made by the toolkit"}


def test_astra_retrieves_creates_lists_and_deletes(sandbox: Sandbox) -> None:
    tokens = toolkit(sandbox.url)
    stored = tokens.jsonifyResults(tokens.call("get", f"/{TOKEN}"))
    assert (stored["id"], stored["userID"], stored["name"]) == (TOKEN, USER, "Snapshot Script")
    assert "token" not in stored
    created = tokens.call("post", data=NEW, media=MEDIA)
    assert created.status_code == 201
    identifier, value = created.json()["id"], created.json()["token"]
    assert identifier in [item["id"] for item in toolkit(sandbox.url, value).call("get").json()["items"]]
    assert tokens.call("put", f"/{identifier}", {**NEW, "name": "renamed"}, MEDIA).status_code == 204
    assert tokens.call("get", f"/{identifier}").json()["name"] == "renamed"
    assert tokens.call("delete", f"/{identifier}", media=MEDIA).status_code == 204
    assert toolkit(sandbox.url, value).call("get").status_code == 401


def test_astra_works_over_local_tls(accounts: Accounts, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with running(accounts=accounts, ssl_context=context) as sandbox:
        assert sandbox.url.startswith("https://127.0.0.1:")
        tokens = toolkit(sandbox.url, verify=str(certificate))
        assert tokens.call("get", f"/{TOKEN}").json()["id"] == TOKEN
        sandbox.plan({"api": "astra", "kind": "reset"})
        with pytest.raises(SystemExit):
            tokens.call("get", f"/{TOKEN}")


@pytest.mark.parametrize(
    ("bearer", "path", "status", "number"),
    [("wrong", f"/{TOKEN}", 401, 4), (BEARER, f"/{USER}", 404, 2)],
)
def test_the_toolkit_never_raises_and_asks_once_more(
    sandbox: Sandbox, bearer: str, path: str, status: int, number: int
) -> None:
    answer = toolkit(sandbox.url, bearer).call("get", path)
    assert (answer.status_code, answer.json()["status"]) == (status, str(status))
    assert answer.json()["type"] == f"https://astra.netapp.io/problems/{number}"
    # After a failure it asks for /topology/v1/clouds, only to word its message better.
    assert sandbox.requests["astra"] == 2


def test_a_bad_resource_is_a_problem(sandbox: Sandbox) -> None:
    answer = toolkit(sandbox.url).call("post", data={**NEW, "name": ""}, media=MEDIA)
    assert (answer.status_code, answer.json()["title"]) == (400, "Invalid JSON resource")


@pytest.mark.parametrize("fault", [{"kind": "throttle"}, {"kind": 500}, {"kind": 503, "body": "<html/>"}])
def test_planned_statuses_come_through(sandbox: Sandbox, fault: dict[str, Any]) -> None:
    sandbox.plan({"api": "astra", **fault})
    assert toolkit(sandbox.url).call("get", f"/{TOKEN}").status_code in (429, 500, 503)


def test_a_reset_connection_ends_the_toolkit(sandbox: Sandbox) -> None:
    sandbox.plan({"api": "astra", "kind": "reset"})
    with pytest.raises(SystemExit):
        toolkit(sandbox.url).call("get", f"/{TOKEN}")
