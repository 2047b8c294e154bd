"""ModelArts of Huawei Cloud and T Cloud: fetches the token that opens a development environment instance.

Source: ModelArts, "Querying Details of a Notebook Instance" (`notebooks`) and "Querying the Authentication Information
of a Development Environment Instance" (`demanager`, historical: T Cloud withdrew the page in June 2024).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

import httpx

from .._util.loopback import is_loopback
from ..clock import utc
from ..errors import ApiError, Forbidden, InvalidRequest, NotFound, SecretError, Unauthorized
from ..token import Secret, Token
from .answers import Meaning, get_number, get_request_id, json_object, require_token, to_datetime, unusable
from .base import (
    COMMON_HEADERS,
    Call,
    Documented,
    Driven,
    Endpoint,
    Exchange,
    Flow,
    Listed,
    Reference,
    Region,
    RegionalProvider,
    Setting,
    SignIn,
    parse_list,
)
from .credentials import openstack
from .credentials.huawei import IamLogin, IamToken, access_key, chain, login_request
from .fields import is_url, parsed_url
from .huawei import IAM_MEANINGS, HuaweiProvider, iam_token
from .params import Param
from .regions import IAM, MODELARTS
from .signing.canonical import AccessKey, percent_encode

__all__ = ["ModelArts"]

_LOGIN_HINT = "Check the credential of the profile."
_ID_HINT = "Check instance_id, project_id and the region."
# Source: ModelArts, "Error Codes".
_MEANINGS = {
    # This API also returns the codes of IAM and of the gateway.
    **IAM_MEANINGS,
    "ModelArts.6309": Meaning(NotFound, _ID_HINT),
    "ModelArts.6327": Meaning(InvalidRequest, "Start the instance."),
    "ModelArts.6326": Meaning(InvalidRequest, "Check the account's balance."),
    "ModelArts.0204": Meaning(Unauthorized, "Get an IAM token with the scope of one project."),
    "ModelArts.0201": Meaning(Unauthorized, _LOGIN_HINT),
    "ModelArts.0202": Meaning(Unauthorized, "The IAM token has expired: give a new one, or let the profile log in."),
    "ModelArts.0203": Meaning(Unauthorized, _LOGIN_HINT),
    "ModelArts.0108": Meaning(Forbidden, "Ask for permission to use ModelArts in this project."),
    "ModelArts.0206": Meaning(Unauthorized, "Check access_key and secret_key."),
    "ModelArts.0210": Meaning(Forbidden, "Give the project_id of the project that the IAM token belongs to."),
}
# These codes have the meaning above only with the status here. With another error status, the status alone decides.
_STATUS_OF = {"ModelArts.0204": 400, "ModelArts.0206": 403, "ModelArts.0210": 403}

# The calls that return an instance's token. `auto` first tries them in this order.
_PATHS = {
    "notebooks": "/v1/{project_id}/notebooks/{instance_id}",
    "demanager": "/v1/{project_id}/demanager/instances/{instance_id}/token",
}
_LIST = "/v1/{project_id}/notebooks?limit=50"
_METADATA = ("id", "name", "status", "url", "flavor", "image")
_CONSOLE = "See the instance in the ModelArts console."
# The states in which a notebook cannot be opened, with hints. A starting notebook already has its token.
_CLOSED = {
    "STOPPING": "Start the instance.",
    "STOPPED": "Start the instance.",
    "FROZEN": "Check the account's balance.",
    "DELETING": _CONSOLE,
    "DELETED": _CONSOLE,
    "CREATE_FAILED": _CONSOLE,
    "START_FAILED": _CONSOLE,
    "ERROR": _CONSOLE,
}

_log = logging.getLogger(__name__)


class ModelArts(HuaweiProvider):
    """Calls `GET /v1/{project_id}/notebooks/{instance_id}` or the older `…/demanager/instances/{instance_id}/token`."""

    id = "modelarts"
    title = "Huawei Cloud ModelArts"
    documentation = "ModelArts: Querying Details of a Notebook Instance"
    hosts = MODELARTS
    meanings: ClassVar = _MEANINGS
    # The instance is a Jupyter server, which accepts its token under this scheme.
    scheme = "token"
    params: ClassVar = {
        "project_id": Param("Id of the project.", required=True, identifier=True),
        "instance_id": Param("Id of the instance.", required=True, identifier=True),
    }

    sign_in: ClassVar = (
        SignIn("access-key", "Access key", ("access_key", "secret_key"), ("security_token",)),
        SignIn("iam-user", "IAM user", ("username", "password", "domain_name", "iam_endpoint")),
        SignIn("auth-token", "IAM token", ("auth_token",)),
        SignIn("chain", "Huawei Cloud's credential chain", chosen_by=("credentials", "chain")),
        SignIn(
            "openstack",
            "OpenStack's configuration",
            optional=("cloud", "iam_endpoint"),
            chosen_by=("credentials", "openstack"),
        ),
    )

    lists: ClassVar = {"instance_id": ("project_id",)}

    endpoint = replace(RegionalProvider.endpoint, example="https://modelarts.cn-north-4.myhuaweicloud.com")
    region = Region(
        "Region id, such as cn-north-4 or eu-de; selects the API's public endpoint there.", example="cn-north-4"
    )
    api = Setting(
        "The call to make: notebooks, the historical demanager, or auto (whichever of the two finds the instance).",
        choices=("auto", *_PATHS),
        default="auto",
        label="API",
        advanced=True,
    )
    access_key = Reference("Access key (AK).", secret=False, label="Access key ID")
    secret_key = Reference("Secret key (SK).", secret=True, label="Secret access key")
    security_token = Reference("Security token of a temporary access key.", secret=True)
    username = Reference("IAM user.", secret=False, label="IAM user name")
    password = Reference("The IAM user's password.", secret=True)
    domain_name = Reference("Account that the IAM user belongs to.", secret=False, label="Account name")
    iam_endpoint = Endpoint(
        "Base URL of IAM, for a login by password.",
        label="IAM endpoint",
        example="https://iam.cn-north-4.myhuaweicloud.com",
        unless="region",
    )
    auth_token = Reference("An existing IAM token (X-Auth-Token).", secret=True, label="IAM token")
    credentials = Setting(
        "'chain': find the access key as Huawei Cloud's SDK does; 'openstack': log in as OpenStack's tools do.",
        choices=("", "chain", "openstack"),
    )
    cloud = Setting(
        "With credentials 'openstack': a cloud in clouds.yaml. By default the cloud in OS_CLOUD, or the OS_* variables."
    )

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._login: IamLogin | None = None
        self._last_api = "notebooks"

    def check(self) -> None:
        """Check the settings as `RegionalProvider.check` does.

        With `username` and without `iam_endpoint`, the region must have a known endpoint of IAM.
        """
        super().check()
        if self.username:
            self._iam()

    def _iam(self) -> str:
        return self.iam_endpoint or f"https://{IAM.host(self.region, setting='iam_endpoint')}"

    def credential(self, secrets: Mapping[str, Secret]) -> AccessKey | IamLogin | Secret:
        """Return the access key, IAM token or login, depending on the way to sign in.

        The same login object is returned while endpoint, account, user and password stay the same, because it keeps the
        IAM tokens of earlier calls.
        """
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
            self._set_login_endpoint(login)
        else:
            login = IamLogin(
                self._iam(),
                secrets["username"].reveal(),
                secrets["password"],
                secrets["domain_name"].reveal(),
            )
        if self._login is None or not self._login.same_as(login):
            self._login = login
        return self._login

    def _set_login_endpoint(self, login: IamLogin) -> None:
        """Set the endpoint of an OpenStack login to `iam_endpoint`, if the profile gives it.

        Otherwise raise `SecretError` if a password must not be sent to the URL in OpenStack's configuration.
        """
        if self.iam_endpoint:
            login.endpoint = self.iam_endpoint
            return
        with suppress(ValueError):
            local = is_loopback(login.endpoint)
            # If the API is on loopback, `verify` may be off. No password may be sent to another host without a check of
            # the host's certificate.
            encrypted = login.endpoint.startswith("https://") and is_url(login.endpoint)
            if encrypted and (local or not is_loopback(self.base())):
                return
            if login.endpoint.startswith("http://") and local:
                return
        raise SecretError(
            "OpenStack's auth_url (OS_AUTH_URL) must be https, or http on loopback. If the API is on loopback, "
            "auth_url must be on loopback too.",
            hint="Correct auth_url, or give iam_endpoint in the profile.",
        )

    @property
    def documented(self) -> Documented:
        """The call that the setting `api` selects; with `auto`, both calls."""
        path, *others = _PATHS.values() if self.api == "auto" else (_PATHS[self.api],)
        return Documented("GET", path, others=tuple(others))

    def retrieve(self, call: Call) -> Flow:
        """Fetch the instance's token.

        Notes
        -----
        With `auto`, the API that last returned a token is tried first; for the first token, this is `notebooks`. If the
        instance or the call does not exist there, the other API is tried once.
        """
        requested_at = call.clock.now()
        errors: dict[str, ApiError] = {}
        for api in self._apis():
            response = yield from self._send(call, _PATHS[api])
            error = self._refusal(call, response)
            if error is None:
                token = self._token(call, requested_at, response)
                self._last_api = api
                return token
            errors[api] = error
            if not isinstance(error, NotFound):
                break
            _log.debug("%s: the API %s does not have the instance", call.profile, api)
        error = _choose_error(errors)
        # `Upstream` removes secrets only from the error that it catches: no other error may be left in this frame.
        errors.clear()
        raise error

    def exchange(self, call: Call) -> Exchange:
        """Make the call that the proxy's client has chosen, and return the API's own response."""
        return (yield from self._send(call, call.path or self.documented.path))

    def list_values(self, call: Call, name: str) -> Driven[list[Listed]]:
        """Return the flow that lists the ids of the project's notebooks.

        The API's response also contains the notebooks' tokens, which are not used.
        """
        response = yield from self._send(call, _LIST)
        return parse_list(response, self.success_body(call, response), "data", "id", "name", "status")

    def _apis(self) -> tuple[str, ...]:
        """Return the names of the APIs in the order in which to try them."""
        return (self.api,) if self.api != "auto" else tuple(sorted(_PATHS, key=lambda api: api != self._last_api))

    def _send(self, call: Call, path: str) -> Exchange:
        """Make one call, after a login if the profile signs in by password.

        The IAM token of an earlier login is used while it is valid. If the API refuses such a token with a 401, the
        flow logs in and makes the call once more.
        """
        credential = call.credential
        if not isinstance(credential, IamLogin):
            return (yield self._request(call, path, credential))
        earlier = credential.cached(str(call.params["project_id"]), call.clock)
        token = earlier or (yield from self._log_in(call, credential))
        response = yield self._request(call, path, token.value)
        if response.status_code == httpx.codes.UNAUTHORIZED and earlier is not None:
            token = yield from self._log_in(call, credential)
            response = yield self._request(call, path, token.value)
        return response

    def _request(self, call: Call, path: str, credential: AccessKey | Secret) -> httpx.Request:
        ids = {name: percent_encode(str(value)) for name, value in call.params.items()}
        target = path.format_map(ids)
        if isinstance(credential, AccessKey):
            return self.signed(call, credential, "GET", target, project=ids["project_id"])
        headers = {**COMMON_HEADERS, "Accept": "application/json", "Content-Type": "application/json"}
        headers["X-Auth-Token"] = credential.reveal()
        return httpx.Request("GET", parsed_url(self.base() + target), headers=headers)

    def _log_in(self, call: Call, login: IamLogin) -> Driven[IamToken]:
        project = str(call.params["project_id"])
        login.tokens.pop(project, None)
        response = yield login_request(login, project, COMMON_HEADERS)
        if response.status_code != httpx.codes.CREATED:
            error = self.error_for(call, response)
            error.message = f"IAM: {error.message}"
            raise error
        token = login.tokens[project] = iam_token(response)
        return token

    def _refusal(self, call: Call, response: httpx.Response) -> ApiError | None:
        """Return the error for a refused call; None for a success. Raises `ResponseError` for any other response."""
        if response.status_code == httpx.codes.OK:
            body = json_object(response)
            if "token" in body or "error_code" not in body:
                return None
        return self.error_for(call, response)

    def meanings_for(self, code: object, status: int) -> Mapping[str, Meaning]:
        other = status >= httpx.codes.BAD_REQUEST and _STATUS_OF.get(str(code), status) != status
        return {} if other else self.meanings

    def _token(self, call: Call, requested_at: float, response: httpx.Response) -> Token:
        body = json_object(response)
        value = require_token(response, body, "token")
        status = body.get("status")
        if isinstance(status, str) and status in _CLOSED:
            raise unusable(
                response, f"The instance's status is {status}: its token does not open it.", body, hint=_CLOSED[status]
            )
        metadata = {name: body[name] for name in _METADATA if name in body}
        if isinstance(metadata.get("url"), str):
            # The query of the notebook's URL may contain the token.
            metadata["url"] = metadata["url"].partition("?")[0].partition("#")[0]
        return self.make_token(
            call,
            value,
            requested_at,
            expires_at=_end_of_lease(response, body, requested_at),
            metadata={**metadata, "request_id": get_request_id(response, body)},
        )


def _choose_error(errors: Mapping[str, ApiError]) -> ApiError:
    """Return the error to raise after one or two refused calls. `errors` has their errors by API, in order.

    After two calls, this is the first error if both are "not found". Otherwise it is the second error, because the
    instance then exists in the second API only. The message also contains the other call's error.
    """
    if len(errors) == 1:
        return next(iter(errors.values()))
    (first, error), (second, other) = errors.items()
    if not isinstance(other, NotFound):
        first, error, second, other = second, other, first, error
    error.message = f"{first}: {error.message} {second} ({other.facts}): {other.message}"
    return error


def _end_of_lease(response: httpx.Response, body: Mapping[str, Any], requested_at: float) -> datetime | None:
    """Return when a notebook's lease ends. The notebook then stops, and its token opens nothing. None without a lease.

    Also None if the lease has ended already: the notebook still runs, so the lease was extended in a way that the
    response does not show.
    """
    lease = body.get("lease")
    if not isinstance(lease, dict) or lease.get("enable") is not True or lease.get("type") != "timing":
        return None
    created, duration = (get_number(response, lease, name) for name in ("create_at", "duration"))
    if created is None or duration is None:
        return None
    end = to_datetime(response, body, (created + duration) / 1000)
    return end if end > utc(requested_at) else None
