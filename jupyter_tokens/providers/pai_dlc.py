"""Alibaba Cloud PAI-DLC: fetches a token that shares a job or a TensorBoard (GetToken, version 2020-12-03).

Source: Alibaba Cloud, "Platform For AI: GetToken".
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import httpx

from ..clock import utc
from ..errors import ParameterError, UnusableToken
from .alibaba import AlibabaProvider
from .answers import json_object, jwt_expiry, request_id_of, token_of
from .base import Call, Documented, Exchange, Flow, Setting, SettingProblem
from .params import Param
from .regions import PAI_DLC

__all__ = ["PaiDlc"]

DEFAULT_EXPIRE_TIME = 604_800
"""Default life of a token, in seconds (7 days)."""

_PATH = "/api/v1/tokens"


class PaiDlc(AlibabaProvider):
    """`GET /api/v1/tokens`, ROA style."""

    id = "pai-dlc"
    title = "Alibaba Cloud PAI-DLC"
    documentation = "Platform For AI: GetToken"
    action = "GetToken"
    version = "2020-12-03"
    ram_action = "paidlc:GetToken"
    hosts = PAI_DLC
    params: ClassVar = {
        "TargetType": Param("What is shared.", choices=("job", "tensorboard")),
        "TargetId": Param("Id of the job or TensorBoard to share.", identifier=True),
        "ExpireTime": Param("Life of the token, seconds (default 604800).", type="integer", minimum=0),
        "TokenSettings.EnableCrossAccountAccess": Param("Let other accounts use the token.", type="boolean"),
        "TokenSettings.EnableLogDownloadJob": Param("Let the token download logs.", type="boolean"),
    }

    network = Setting(
        "public, or vpc: the region's endpoint within a VPC of Alibaba Cloud.",
        choices=("public", "vpc"),
        default="public",
        advanced=True,
    )

    def check(self) -> None:
        """Check the common settings, and that `network` and endpoint agree."""
        super().check()
        if self.endpoint and self.network == "vpc":
            raise SettingProblem("network", "and endpoint exclude each other: vpc stands for a region's endpoint")

    def host(self) -> str:
        """Return the host in the profile's region, public or in the VPC."""
        return self.hosts.host(self.region, vpc=self.network == "vpc")

    @cached_property
    def documented(self) -> Documented:
        """`GET /api/v1/tokens` with all parameters in the query."""
        return Documented("GET", _PATH, query=tuple(self.params), headers=self.named())

    def exchange(self, call: Call) -> Exchange:
        """Make the call and return the API's own response."""
        return (yield self.request(call, "GET", _PATH, [(name, str(value)) for name, value in call.params.items()]))

    def retrieve(self, call: Call) -> Flow:
        """Fetch the token. It expires after `ExpireTime`, or at its own `exp` if that is earlier."""
        asked = call.clock.now()
        life = int(call.params.get("ExpireTime", DEFAULT_EXPIRE_TIME))
        try:
            ends = utc(asked + life)
        except (OverflowError, ValueError, OSError):
            raise ParameterError("Parameter ExpireTime ends at a time that no calendar holds.") from None
        response = yield from self.exchange(call)
        if response.status_code != httpx.codes.OK:
            raise self.refuse(call, response)
        body = json_object(response)
        value = token_of(response, body, "Token")
        stated = jwt_expiry(value)
        if stated is not None and stated < ends.timestamp():
            # With ExpireTime=0 the token has expired on arrival: the caller asked for that.
            if life and stated <= call.clock.now():
                raise UnusableToken(
                    "The API returned a token that has expired already.",
                    hint="Check this machine's clock.",
                    status=response.status_code,
                    request_id=request_id_of(response, body),
                )
            ends = utc(stated)
        return self.issued(call, value, asked, expires_at=ends, metadata={"RequestId": request_id_of(response, body)})
