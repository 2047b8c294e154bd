"""Alibaba Cloud Model Studio (DashScope): fetches a temporary API key, with the API key of a workspace.

Source: Alibaba Cloud Model Studio, "Generate a temporary API key" and "Error codes".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import httpx

from ..errors import ServiceUnavailable, Unauthorized
from ..token import Secret
from .answers import Meaning, get_number, get_request_id, require_token, to_datetime, unusable
from .base import (
    COMMON_HEADERS,
    Call,
    Documented,
    Exchange,
    Flow,
    Reference,
    Region,
    RegionalProvider,
    Setting,
    SettingProblem,
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
# The documented codes for throttling say no more than their HTTP status.
_MEANINGS = {
    "InvalidApiKey": _KEY,
    "invalid_api_key": _KEY,
    # The page does not tell its status.
    "SystemError": Meaning(ServiceUnavailable, "Try again later."),
}


class DashScope(RegionalProvider):
    """Calls `POST /api/v1/tokens`, authorised with the API key."""

    id = "dashscope"
    title = "Alibaba Cloud Model Studio (DashScope)"
    documentation = "Model Studio: Generate a temporary API key"
    hosts = DASHSCOPE
    meanings: ClassVar = _MEANINGS
    sdks: ClassVar = {"openai": "/compatible-mode/v1", "dashscope": "/api/v1"}
    params: ClassVar = {
        _LIFE: Param("Life of the temporary key in seconds (default 60).", type="integer", minimum=1, maximum=1800)
    }

    endpoint = replace(RegionalProvider.endpoint, example="https://dashscope.aliyuncs.com")
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
        """Check the settings as `RegionalProvider.check` does.

        `workspace` must be valid, and cannot be given together with `endpoint`.
        """
        super().check()
        if self.workspace and self.endpoint:
            raise SettingProblem("workspace", "and endpoint cannot both be given: a workspace selects an endpoint")
        if self.workspace and not _WORKSPACE.fullmatch(self.workspace):
            raise SettingProblem("workspace", "must be a workspace's id: up to 64 letters, digits, - and _")

    def host(self) -> str:
        """Return the host of the workspace or else of the region."""
        return f"{self.workspace}.{DASHSCOPE_WORKSPACES.host(self.region)}" if self.workspace else super().host()

    def credential(self, secrets: Mapping[str, Secret]) -> Secret:
        return secrets["api_key"]

    @property
    def documented(self) -> Documented:
        """The call `POST /api/v1/tokens`, with the life of the temporary key in the query."""
        return Documented("POST", _PATH, query=tuple(self.params))

    def exchange(self, call: Call) -> Exchange:
        query = f"?{_LIFE}={call.params[_LIFE]}" if _LIFE in call.params else ""
        authorization = f"Bearer {call.credential.reveal()}"
        headers = {**COMMON_HEADERS, "Accept": "application/json", "Authorization": authorization}
        return (yield httpx.Request("POST", f"{self.base()}{_PATH}{query}", headers=headers))

    def retrieve(self, call: Call) -> Flow:
        """Fetch the temporary key.

        The key expires at the response's `expires_at`, or after the requested or default life if that is earlier.
        """
        requested_at = call.clock.now()
        response = yield from self.exchange(call)
        body = self.success_body(call, response)
        value = require_token(response, body, "token")
        life: Any = call.params.get(_LIFE, _DEFAULT_LIFE)
        stated = get_number(response, body, "expires_at")
        ends = requested_at + life if stated is None else min(requested_at + life, stated)
        if ends <= call.clock.now():
            raise unusable(response, "The API returned a temporary key that has expired already.", body)
        metadata = {"request_id": get_request_id(response, body)}
        return self.make_token(
            call, value, requested_at, expires_at=to_datetime(response, body, ends), metadata=metadata
        )
