"""PAI-DLC and PAI-DSW: GetToken returns the token of a job, a TensorBoard or an instance; DSW also lists instances."""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Any, ClassVar

from .acs3 import Acs3Verifier
from .alibaba import AlibabaApi, invalid, known_parameters, mandatory
from .api import Issued, RefusedError, World
from .messages import Request, jwt, whole_number

_DEFAULT_LIFE = 604_800
_DSW_LIFE = 3600  # The real life is not documented.
_DSW_INSTANCE = re.compile(r"dsw-[A-Za-z0-9-]+")
_MAX_LISTED = 100
DSW_INSTANCES = {"dsw-730abcdefghij": "Running", "dsw-730klmnopqrst": "Stopped"}
_SETTINGS = ("TokenSettings.EnableCrossAccountAccess", "TokenSettings.EnableLogDownloadJob")


class _Pai(AlibabaApi):
    """Base class of both APIs. Their action has the same name, and their tokens are JWTs with the expiry in `exp`."""

    action: ClassVar[str] = "GetToken"

    def __init__(self, world: World, verifier: Acs3Verifier) -> None:
        super().__init__(world, verifier)
        self._key = secrets.token_bytes(32)

    def _issue(self, request: Request, life: int, target: dict[str, str]) -> str:
        issued, expires = int(self.world.clock()), int(self.world.token_expiry(self.name, request, life))
        claims = {"iat": issued, "exp": expires, "jti": secrets.token_hex(8), **target}
        token = jwt({"alg": "HS256", "typ": "JWT"}, claims, lambda data: hmac.digest(self._key, data, "sha256"))
        self.world.issue(token, Issued(self.name, expires, target))
        return token


class PaiDlc(_Pai):
    """Issues sharing tokens for any TargetId."""

    name: ClassVar[str] = "pai-dlc"
    version: ClassVar[str] = "2020-12-03"

    def perform(self, request: Request) -> dict[str, Any]:
        """Return the sharing token of a job or a TensorBoard."""
        if (request.method, request.path) != ("GET", "/api/v1/tokens"):
            raise RefusedError(404)
        given = known_parameters(request.params, ("TargetType", "TargetId", "ExpireTime", *_SETTINGS))
        target_type = given.get("TargetType", "job")
        if target_type not in ("job", "tensorboard"):
            raise invalid("TargetType", "TargetType must be job or tensorboard.")
        life = _integer(given, "ExpireTime", _DEFAULT_LIFE)
        for name in _SETTINGS:
            if given.get(name, "true").lower() not in ("true", "false"):
                raise invalid(name, f"{name} must be true or false.")
        target = {"target_type": target_type, "target_id": given.get("TargetId", "")}
        return {"Token": self._issue(request, life, target)}


class PaiDsw(_Pai):
    """Issues tokens for any instance id that begins with `dsw-`. Errors of DSW itself have status 200."""

    name: ClassVar[str] = "pai-dsw"
    list_action: ClassVar[str] = "ListInstances"
    version: ClassVar[str] = "2022-01-01"

    def perform(self, request: Request) -> dict[str, Any]:
        """Return the token of an instance or the list of instances; an error of DSW has `Success: false`."""
        if self.lists(request):
            return _instances(request)
        if (request.method, request.path) != ("GET", "/api/v2/tokens"):
            raise RefusedError(404)
        given = known_parameters(request.params, ("InstanceId", "ExpireTime", "Type", "Audience"))
        instance = mandatory(given, "InstanceId")
        life = _integer(given, "ExpireTime", _DSW_LIFE)
        if not _DSW_INSTANCE.fullmatch(instance):
            return _validation_error("InstanceId must be the id of an instance, dsw-…")
        if given.get("Type", "Access") not in ("Access", "View"):
            return _validation_error("Type must be Access or View.")
        return {"Success": True, "Token": self._issue(request, life, {"instance_id": instance})}


def _instances(request: Request) -> dict[str, Any]:
    if (request.method, request.path) != ("GET", "/api/v2/instances"):
        raise RefusedError(404)
    given = known_parameters(request.params, ("PageNumber", "PageSize"))
    _integer(given, "PageNumber", 1)
    if _integer(given, "PageSize", 10) > _MAX_LISTED:
        return _validation_error(f"PageSize must be at most {_MAX_LISTED}.")
    instances = [
        {"InstanceId": name, "InstanceName": f"training {state.lower()}", "Status": state}
        for name, state in DSW_INSTANCES.items()
    ]
    return {"Success": True, "Instances": instances, "TotalCount": len(instances)}


def _validation_error(message: str) -> dict[str, Any]:
    return {"Success": False, "Code": "ValidationError", "Message": message}


def _integer(given: dict[str, str], name: str, default: int) -> int:
    number = whole_number(given.get(name, str(default)), range(10**10))
    if number is None:
        raise invalid(name, f"{name} must be a whole number, at least 0.")
    return number
