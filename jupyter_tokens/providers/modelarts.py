"""Huawei Cloud ModelArts (and T Cloud's): the token that opens a development environment instance.

Source: ModelArts, "Querying the Authentication Information of a Development Environment Instance" (`demanager`) and
"Querying Details of a Notebook Instance" (`notebooks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, ClassVar

import httpx

from ..clock import utc
from ..credentials import openstack
from ..credentials.huawei import IamLogin, IamToken, Login, access_key, chain, expiry_of, login_request
from ..errors import ApiError, Forbidden, InvalidRequest, NotFound, SecretError, Throttled, Unauthorized
from ..signing.canonical import AccessKey, percent_encode
from ..signing.sdk_hmac import signed_headers, timestamp
from ..token import Secret, Token
from .answers import (
    Meaning,
    json_object,
    malformed,
    object_of,
    refusal,
    request_id_of,
    text_of,
    token_of,
    try_json_object,
)
from .base import (
    COMMON_HEADERS,
    Call,
    Documented,
    Endpoint,
    Exchange,
    Flow,
    Provider,
    Reference,
    Setting,
    SettingProblem,
    bodiless,
    endpoint_or_region,
    is_loopback,
    is_url,
    need,
    parsed_url,
)
from .params import Param
from .regions import IAM, MODELARTS

__all__ = ["ModelArts"]

_LOGIN_HINT = "Check the credential of the profile."
_ID_HINT = "Check instance_id, project_id and the region."
# Source: ModelArts, "Error Codes"; API Gateway, "Error Codes".
_MEANINGS = {
    "ModelArts.6309": Meaning(NotFound, _ID_HINT),
    "ModelArts.6327": Meaning(InvalidRequest, "Start the instance."),
    "ModelArts.6326": Meaning(InvalidRequest, "See the account's balance."),
    "ModelArts.0204": Meaning(Unauthorized, "The IAM token has to be of one project: log in with a project's scope."),
    "ModelArts.0201": Meaning(Unauthorized, _LOGIN_HINT),
    "ModelArts.0202": Meaning(Unauthorized, "The IAM token has expired: give a new one, or let the profile log in."),
    "ModelArts.0203": Meaning(Unauthorized, _LOGIN_HINT),
    "ModelArts.0108": Meaning(Forbidden, "Ask for the ModelArts permission of this project."),
    "ModelArts.0206": Meaning(Unauthorized, "Check access_key and secret_key."),
    "ModelArts.0210": Meaning(Forbidden, "project_id and the project of the IAM token differ."),
    "APIGW.0301": Meaning(
        Unauthorized,
        "Check the credential of the profile and this machine's clock. A key is locked for 5 minutes after 5 refusals.",
    ),
    "APIGW.0308": Meaning(Throttled, "Try again later."),
}
_TOLD = ("id", "name", "status", "url", "flavor", "image")


class ModelArts(Provider):
    """`GET /v1/{project_id}/demanager/instances/{instance_id}/token`, or the newer `…/notebooks/{id}`."""

    id = "modelarts"
    title = "Huawei Cloud ModelArts"
    documentation = "ModelArts: Querying the Authentication Information of a Development Environment Instance"
    # The instance is a Jupyter server, which takes its token under this scheme.
    scheme = "token"
    params: ClassVar = {
        "project_id": Param("Id of the project.", required=True, identifier=True),
        "instance_id": Param("Id of the instance.", required=True, identifier=True),
    }

    region = Setting("Region id, such as cn-north-4 or eu-de: stands for the API's public endpoint there.")
    api = Setting(
        "demanager, or notebooks (its present equivalent).", choices=("demanager", "notebooks"), default="demanager"
    )
    access_key = Reference("Access key (AK).", secret=False)
    secret_key = Reference("Secret key (SK).", secret=True)
    security_token = Reference("Security token that goes along with a temporary access key.", secret=True)
    iam_endpoint = Endpoint("Base URL of IAM, for a login by password.")
    username = Reference("IAM user.", secret=False)
    password = Reference("The IAM user's password.", secret=True)
    domain_name = Reference("Account that the IAM user belongs to.", secret=False)
    auth_token = Reference("An IAM token (X-Auth-Token) that is already there.", secret=True)
    credentials = Setting(
        "'chain': find the access key as Huawei Cloud's SDK does; 'openstack': log in as OpenStack's tools do.",
        choices=("", "chain", "openstack"),
    )
    cloud = Setting("The cloud of clouds.yaml, with credentials 'openstack'; by default OS_CLOUD's, or the OS_* login.")

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._login: IamLogin | None = None

    def check(self) -> None:
        """See `Provider.check`: one endpoint, one way to authenticate."""
        endpoint_or_region(self, self.region)
        if not self.endpoint:
            MODELARTS.host(self.region)
        ways = [key for key in ("access_key", "username", "auth_token", "credentials") if getattr(self, key)]
        if not ways:
            raise SettingProblem("access_key", "is missing (or give username, auth_token, or credentials)")
        if len(ways) > 1:
            raise SettingProblem(ways[1], f"and {ways[0]} exclude each other")
        if self.access_key:
            need(self, "secret_key")
        if self.username:
            need(self, "password", "domain_name")
            if not self.iam_endpoint and not self.region:
                raise SettingProblem("iam_endpoint", "is missing (or give a region)")
            if not self.iam_endpoint:
                IAM.host(self.region)
        if self.cloud and self.credentials != "openstack":
            raise SettingProblem("cloud", "is for credentials 'openstack' alone")

    def base(self) -> str:
        """See `Provider.base`."""
        return super().base() or f"https://{MODELARTS.host(self.region)}"

    def credential(self, secrets: Mapping[str, Secret]) -> AccessKey | IamLogin | Secret:
        """See `Provider.credential`. A login is kept with its tokens for as long as user and password stay the same."""
        if "access_key" in secrets:
            return access_key(secrets)
        if "auth_token" in secrets:
            return secrets["auth_token"]
        if self.credentials == "chain":
            return chain()
        if self.credentials == "openstack":
            login = openstack.login(self.cloud)
            if isinstance(login, Secret):
                return login
            self._place(login)
        else:
            login = IamLogin(
                self.iam_endpoint or f"https://{IAM.host(self.region)}",
                secrets["username"].reveal(),
                secrets["password"],
                secrets["domain_name"].reveal(),
            )
        old = self._login
        if old is not None and old.same_as(login):
            return old
        self._login = login
        return login

    def _place(self, login: IamLogin) -> None:
        """Sets where an OpenStack login goes. Raises `SecretError` for a place that no password may be sent to."""
        if self.iam_endpoint:
            login.endpoint = self.iam_endpoint
            return
        with suppress(ValueError):
            here = is_loopback(login.endpoint)
            # With an API on loopback `verify` may be off, which must not reach an IAM elsewhere.
            encrypted = login.endpoint.startswith("https://") and is_url(login.endpoint)
            if encrypted and (here or not is_loopback(self.base())):
                return
            if login.endpoint.startswith("http://") and here:
                return
        raise SecretError(
            "OpenStack's configuration: auth_url (OS_AUTH_URL) must be https, and on loopback where the API is.",
            hint="Correct it, or give iam_endpoint in the profile.",
            unsent=True,
        )

    @cached_property
    def documented(self) -> Documented:
        """See `Provider.documented`."""
        return Documented("GET", "/v1/{project_id}/" + self._tail("{instance_id}"))

    def retrieve(self, call: Call) -> Flow:
        """The instance's token. The API tells nothing of its life, so there is no expiry."""
        asked = call.clock.now()
        response = yield from self.exchange(call)
        if response.status_code != httpx.codes.OK:
            raise self._refuse(call, response)
        return self._token(call, asked, response)

    def exchange(self, call: Call) -> Exchange:
        """See `Provider.exchange`.

        With a login by password: the IAM token of an earlier login is used while it lives, and once more after a 401
        the flow logs in anew; a second 401 is the answer.
        """
        credential = call.credential
        if not isinstance(credential, IamLogin):
            response = yield self._request(call, credential)
        else:
            project = str(call.params["project_id"])
            earlier = credential.cached(project, call.clock)
            token = earlier or (yield from self._log_in(call, credential))
            response = yield self._request(call, token.value)
            if response.status_code == httpx.codes.UNAUTHORIZED and earlier is not None:
                token = yield from self._log_in(call, credential)
                response = yield self._request(call, token.value)
        return response

    def _tail(self, instance: str) -> str:
        return f"demanager/instances/{instance}/token" if self.api == "demanager" else f"notebooks/{instance}"

    def _request(self, call: Call, credential: AccessKey | Secret) -> httpx.Request:
        project, instance = (percent_encode(str(call.params[name])) for name in ("project_id", "instance_id"))
        headers = {**COMMON_HEADERS, "Accept": "application/json", "Content-Type": "application/json"}
        url = parsed_url(f"{self.base()}/v1/{project}/{self._tail(instance)}")
        if isinstance(credential, Secret):
            return httpx.Request("GET", url, headers={**headers, "X-Auth-Token": credential.reveal()})
        signed = {"host": url.netloc.decode("ascii"), "content-type": "application/json", "x-project-id": project}
        target = ("GET", url.raw_path.decode("ascii"), ())
        signature = signed_headers(target, signed, b"", credential, date=timestamp(utc(call.clock.now())))
        return bodiless("GET", url, {**headers, "Host": signed["host"], "X-Project-Id": project, **signature})

    def _log_in(self, call: Call, login: IamLogin) -> Login:
        project = str(call.params["project_id"])
        login.tokens.pop(project, None)
        response = yield login_request(login, project, COMMON_HEADERS)
        if response.status_code != httpx.codes.CREATED:
            error = self._refuse(call, response)
            error.message = f"IAM: {error.message}"
            raise error
        value = token_of(response, response.headers, "X-Subject-Token")
        body = json_object(response)
        try:
            expires = expiry_of(text_of(response, object_of(response, body, "token"), "expires_at"))
        except (ValueError, OverflowError):
            raise malformed(response, "of IAM has no time in 'expires_at'", body) from None
        token = login.tokens[project] = IamToken(Secret(value), expires)
        return token

    def _token(self, call: Call, asked: float, response: httpx.Response) -> Token:
        body = json_object(response)
        if "token" not in body and ("error_code" in body):
            raise self._refuse(call, response)
        value = token_of(response, body, "token")
        # The notebook's URL may carry the token in its query.
        metadata = {name: body[name] for name in _TOLD if name in body}
        if isinstance(metadata.get("url"), str):
            metadata["url"] = metadata["url"].partition("?")[0]
        return Token(
            value,
            profile=call.profile,
            provider=self.id,
            obtained_at=utc(asked),
            scheme=self.scheme,
            metadata={**metadata, "request_id": request_id_of(response, body)},
        )

    @staticmethod
    def _refuse(call: Call, response: httpx.Response) -> ApiError:
        body = try_json_object(response) or {}
        inner = body.get("error")
        # IAM wraps its errors; ModelArts itself writes error_message or error_msg.
        told = inner if isinstance(inner, dict) else body
        return refusal(
            response,
            now=call.clock.now(),
            body=body,
            code=told.get("error_code", told.get("code")),
            message=told.get("error_message") or told.get("error_msg") or told.get("message"),
            meanings=_MEANINGS,
        )
