"""PAI-DLC 2020-12-03, GetToken: the sharing token of a job; must not know how a caller is authenticated."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any, ClassVar

from .acs3 import Acs3Verifier
from .alibaba import AlibabaApi, invalid, not_found
from .api import Issued, World
from .messages import Request

_DEFAULT_LIFE = 604_800
_MOST_DIGITS = 10
_SETTINGS = ("TokenSettings.EnableCrossAccountAccess", "TokenSettings.EnableLogDownloadJob")


class PaiDlc(AlibabaApi):
    """Every TargetId exists."""

    name: ClassVar[str] = "pai-dlc"
    variants: ClassVar[frozenset[str]] = frozenset({"expired", "stalled"})
    action: ClassVar[str] = "GetToken"
    version: ClassVar[str] = "2020-12-03"

    def __init__(self, world: World, verifier: Acs3Verifier) -> None:
        super().__init__(world, verifier)
        self._key = secrets.token_bytes(32)

    def perform(self, request: Request) -> dict[str, Any]:
        """Hands out a token in the shape of a JWT, with its end in `exp`."""
        if (request.method, request.path) != ("GET", "/api/v1/tokens"):
            raise not_found()
        target_type, target_id, life = _parameters(request.params)
        end = self.world.end_of_life(self.name, request, life)
        issued, expires = int(self.world.clock()), int(end)
        target = {"target_type": target_type, "target_id": target_id}
        token = self._jwt({"iat": issued, "exp": expires, "jti": secrets.token_hex(8), **target})
        self.world.issue(token, Issued(self.name, expires, target))
        return {"Token": token}

    def _jwt(self, claims: dict[str, Any]) -> str:
        signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
        return f"{signed}.{_base64url(hmac.new(self._key, signed.encode(), hashlib.sha256).digest())}"


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _part(content: dict[str, Any]) -> str:
    return _base64url(json.dumps(content, separators=(",", ":")).encode())


def _parameters(params: list[tuple[str, str]]) -> tuple[str, str, int]:
    given: dict[str, str] = {}
    for name, value in params:
        if name in given or name not in ("TargetType", "TargetId", "ExpireTime", *_SETTINGS):
            raise invalid(name, "The parameter is not known or given twice.")
        given[name] = value
    target_type = given.get("TargetType", "job")
    if target_type not in ("job", "tensorboard"):
        raise invalid("TargetType", "TargetType must be job or tensorboard.")
    expire = given.get("ExpireTime", str(_DEFAULT_LIFE))
    if not (expire.isascii() and expire.isdigit() and len(expire) <= _MOST_DIGITS):
        raise invalid("ExpireTime", "ExpireTime must be a whole number of seconds, at least 0.")
    for name in _SETTINGS:
        if given.get(name, "true").lower() not in ("true", "false"):
            raise invalid(name, f"{name} must be true or false.")
    return target_type, given.get("TargetId", ""), int(expire)
