"""Alibaba Cloud PAI-DSW: fetches a token of a notebook instance (GetToken, version 2022-01-01).

Source: Alibaba Cloud, "Platform For AI: GetToken" and "ListInstances" (pai-dsw 2022-01-01). The page of GetToken
documents neither the life of a token without `ExpireTime`, nor how a token opens the instance.
"""

from __future__ import annotations

from typing import ClassVar

from .base import Call, Driven, Endpoint, Listed
from .pai import PaiProvider
from .params import Param
from .regions import PAI_DSW

__all__ = ["PaiDsw"]


class PaiDsw(PaiProvider):
    """Calls `GET /api/v2/tokens`."""

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
        "Audience": Param("Aliyun, or ThirdParty if a web application of your own opens DSW's page."),
    }

    lists: ClassVar = {"InstanceId": ()}

    endpoint = Endpoint(
        "Base URL of the API.", example="https://pai-dsw.cn-hangzhou.aliyuncs.com", required=True, unless="region"
    )

    def list_values(self, call: Call, name: str) -> Driven[list[Listed]]:
        """See `Provider.list_values`. The values are the ids of the instances."""
        request = self.request(call, "GET", "/api/v2/instances", [("PageSize", "100")], action="ListInstances")
        columns = ("InstanceId", "InstanceName", "Status")
        return self.listed(call, request, "Instances", columns, ram_action="paidsw:ListInstances")
