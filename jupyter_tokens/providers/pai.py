"""Alibaba Cloud PAI-DLC and PAI-DSW: fetch a token by the call `GetToken`, ROA style. The caller chooses its life.

Source: Alibaba Cloud, "Platform For AI: GetToken" (PAI-DLC, version 2020-12-03; PAI-DSW, version 2022-01-01) and
"ListInstances" (PAI-DSW). DSW's page documents neither the life of a token without `ExpireTime`, nor how a token opens
the instance.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from ..clock import utc
from ..errors import ParameterError
from .alibaba import VpcProvider
from .answers import get_request_id, jwt_expiry, require_token, unusable
from .base import Call, Driven, Flow, Listed, RegionalProvider
from .params import Param
from .regions import PAI_DLC, PAI_DSW

__all__ = ["PaiDlc", "PaiDsw"]


class _Pai(VpcProvider):
    """Calls `GET {path}` with all parameters in the query; `ExpireTime` is the life of the token in seconds."""

    action = "GetToken"
    method = "GET"
    default_life: ClassVar[int | None]
    """Life of a token without `ExpireTime`, in seconds; None if it is not documented."""

    def retrieve(self, call: Call) -> Flow:
        """Fetch the token. It expires after `ExpireTime` or `default_life`, or at its own `exp` if that is earlier."""
        requested_at = call.clock.now()
        life: Any = call.params.get("ExpireTime", self.default_life)
        try:
            ends = None if life is None else utc(requested_at + life)
        except (OverflowError, ValueError, OSError):
            raise ParameterError("Parameter ExpireTime is too large.") from None
        response = yield from self.exchange(call)
        body = self.success_body(call, response)
        value = require_token(response, body, "Token")
        stated = jwt_expiry(value)
        if stated is not None and (ends is None or stated < ends.timestamp()):
            # With ExpireTime=0, the caller asked for a token that has expired when it arrives.
            if life != 0 and stated <= call.clock.now():
                raise unusable(response, "The API returned a token that has expired already.", body)
            ends = utc(stated)
        return self.make_token(
            call, value, requested_at, expires_at=ends, metadata={"RequestId": get_request_id(response, body)}
        )


class PaiDlc(_Pai):
    """Fetches a token that shares a job or a TensorBoard, by `GET /api/v1/tokens`."""

    id = "pai-dlc"
    title = "Alibaba Cloud PAI-DLC"
    documentation = "Platform For AI: GetToken"
    version = "2020-12-03"
    ram_action = "paidlc:GetToken"
    hosts = PAI_DLC
    path = "/api/v1/tokens"
    # 7 days.
    default_life = 604_800
    params: ClassVar = {
        "TargetType": Param("What the token shares.", choices=("job", "tensorboard")),
        "TargetId": Param("Id of the job or TensorBoard to share.", identifier=True),
        "ExpireTime": Param("Life of the token in seconds (default 604800).", type="integer", minimum=0),
        "TokenSettings.EnableCrossAccountAccess": Param("Let other accounts use the token.", type="boolean"),
        "TokenSettings.EnableLogDownloadJob": Param("Let the token download logs.", type="boolean"),
    }

    endpoint = replace(RegionalProvider.endpoint, example="https://pai-dlc.cn-hangzhou.aliyuncs.com")


class PaiDsw(_Pai):
    """Fetches a token of a notebook instance, by `GET /api/v2/tokens`."""

    id = "pai-dsw"
    title = "Alibaba Cloud PAI-DSW"
    documentation = "Platform For AI: GetToken (pai-dsw)"
    version = "2022-01-01"
    ram_action = "paidsw:GetToken"
    hosts = PAI_DSW
    path = "/api/v2/tokens"
    default_life = None
    params: ClassVar = {
        "InstanceId": Param("Id of the instance, such as dsw-….", required=True, identifier=True),
        "ExpireTime": Param("Life of the token in seconds.", type="integer", minimum=1, maximum=2**31 - 1),
        "Type": Param(
            "Access: to work in the instance; View: to read its status, configuration and logs.",
            choices=("Access", "View"),
        ),
        "Audience": Param("Aliyun, or ThirdParty if your own web application opens DSW's page."),
    }

    lists: ClassVar = {"InstanceId": ()}

    endpoint = replace(RegionalProvider.endpoint, example="https://pai-dsw.cn-hangzhou.aliyuncs.com")

    def list_values(self, call: Call, name: str) -> Driven[list[Listed]]:
        fields = ("Instances", "InstanceId", "InstanceName", "Status")
        return self.fetch_list(call, {"PageSize": 100}, "ListInstances", *fields, path="/api/v2/instances")
