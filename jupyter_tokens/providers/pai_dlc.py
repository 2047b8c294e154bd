"""Alibaba Cloud PAI-DLC: fetches a token that shares a job or a TensorBoard (GetToken, version 2020-12-03).

Source: Alibaba Cloud, "Platform For AI: GetToken".
"""

from __future__ import annotations

from typing import ClassVar

from .pai import PaiProvider
from .params import Param
from .regions import PAI_DLC

__all__ = ["PaiDlc"]


class PaiDlc(PaiProvider):
    """Calls `GET /api/v1/tokens`."""

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
