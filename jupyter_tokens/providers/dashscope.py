"""Alibaba Cloud Model Studio (DashScope): fetches a temporary API key, with the API key of a workspace.

Source: Alibaba Cloud Model Studio, "Generate a temporary API key" and "Error codes".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import httpx

from ..errors import ApiError, ServiceUnavailable, Throttled, Unauthorized
from ..token import Secret
from .answers import (
    Meaning,
    json_object,
    moment_of,
    number_of,
    refusal,
    request_id_of,
    token_of,
    try_json_object,
    unusable,
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
    Region,
    Setting,
    SettingProblem,
    bodiless,
    parsed_url,
)
from .params import Param
from .regions import DASHSCOPE, DASHSCOPE_WORKSPACES

__all__ = ["DashScope"]

_PATH = "/api/v1/tokens"
_LIFE = "expire_in_seconds"
_DEFAULT_LIFE = 60
# Source of the form: the official SDK, dashscope 2.0.2.
_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_KEY = Meaning(Unauthorized, "Check api_key, and that it is a key of this endpoint's region.")
_THROTTLED = Meaning(Throttled, "Try again later.")
_MEANINGS = {
    "InvalidApiKey": _KEY,
    "invalid_api_key": _KEY,
    "Throttling": _THROTTLED,
    "Throttling.RateQuota": _THROTTLED,
    "SystemError": Meaning(ServiceUnavailable, "Try again later."),
}


class DashScope(Provider):
    """Calls `POST /api/v1/tokens`, authorised with the API key."""

    id = "dashscope"
    title = "Alibaba Cloud Model Studio (DashScope)"
    documentation = "Model Studio: Generate a temporary API key"
    sdks: ClassVar = {"openai": "/compatible-mode/v1", "dashscope": "/api/v1"}
    params: ClassVar = {
        _LIFE: Param("Life of the temporary key in seconds (default 60).", type="integer", minimum=1, maximum=1800)
    }

    endpoint = Endpoint(
        "Base URL of the API.", example="https://dashscope.aliyuncs.com", required=True, unless="region"
    )
    region = Region(
        "Region of the API key, cn-beijing or ap-southeast-1; selects the API's public endpoint there.",
        example="cn-beijing",
    )
    workspace = Setting(
        "Id of the workspace; with a region it selects the workspace's own endpoint.",
        label="Workspace ID",
        advanced=True,
    )
    api_key = Reference("API key; the temporary key has all its rights.", secret=True, label="API key", required=True)

    def check(self) -> None:
        """Check the settings as `Provider.check` does, and also the form of `workspace`.

        With a workspace, `endpoint` must not be given. Without `endpoint`, the region must have a known endpoint.
        """
        super().check()
        if self.workspace and self.endpoint:
            raise SettingProblem("workspace", "and endpoint cannot both be given: a workspace selects an endpoint")
        if self.workspace and not _WORKSPACE.fullmatch(self.workspace):
            raise SettingProblem("workspace", "must be a workspace's id: up to 64 letters, digits, - and _")
        if not self.endpoint:
            self._host()

    def base(self) -> str:
        """Return the endpoint, or else the endpoint of the workspace or region, without a slash at its end."""
        return super().base() or f"https://{self._host()}"

    def _host(self) -> str:
        if self.workspace:
            return f"{self.workspace}.{DASHSCOPE_WORKSPACES.host(self.region)}"
        return DASHSCOPE.host(self.region)

    def credential(self, secrets: Mapping[str, Secret]) -> Secret:
        """Return the API key."""
        return secrets["api_key"]

    @cached_property
    def documented(self) -> Documented:
        """The call `POST /api/v1/tokens`, with the life of the temporary key in the query."""
        return Documented("POST", _PATH, query=tuple(self.params))

    def exchange(self, call: Call) -> Exchange:
        """Make the call and return the API's own response."""
        query = f"?{_LIFE}={call.params[_LIFE]}" if _LIFE in call.params else ""
        url = parsed_url(f"{self.base()}{_PATH}{query}")
        headers = {
            **COMMON_HEADERS,
            "Host": url.netloc.decode("ascii"),
            "Accept": "application/json",
            "Authorization": f"Bearer {call.credential.reveal()}",
        }
        return (yield bodiless("POST", url, headers))

    def retrieve(self, call: Call) -> Flow:
        """Fetch the temporary key.

        The key expires at the response's `expires_at`, or after the requested or default life if that is earlier.
        """
        asked = call.clock.now()
        response = yield from self.exchange(call)
        if response.status_code != httpx.codes.OK:
            raise _refuse(call, response)
        body = json_object(response)
        request_id = request_id_of(response, body)
        value = token_of(response, body, "token")
        life: Any = call.params.get(_LIFE, _DEFAULT_LIFE)
        stated = number_of(response, body, "expires_at")
        ends = asked + life if stated is None else min(asked + life, stated)
        if ends <= call.clock.now():
            raise unusable(response, "The API returned a temporary key that has expired already.", body)
        return self.issued(
            call, value, asked, expires_at=moment_of(response, body, ends), metadata={"request_id": request_id}
        )


def _refuse(call: Call, response: httpx.Response) -> ApiError:
    """Return the error for a refused call. Code and message are at the top level of the body, or within `error`."""
    body = try_json_object(response) or {}
    inner = body.get("error")
    told = inner if isinstance(inner, dict) else body
    code, message = told.get("code"), told.get("message")
    return refusal(response, now=call.clock.now(), body=body, code=code, message=message, meanings=_MEANINGS)
