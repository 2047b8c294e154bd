"""Base class of PAI-DLC and PAI-DSW: the call `GetToken`, ROA style. The caller can choose the life of the token."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import httpx

from ..clock import utc
from ..errors import ParameterError
from .alibaba import VpcProvider
from .answers import json_object, jwt_expiry, malformed, request_id_of, token_of, unusable
from .base import Call, Documented, Exchange, Flow

__all__ = ["PaiProvider"]


class PaiProvider(VpcProvider):
    """Calls `GET {path}` with all parameters in the query; `ExpireTime` is the life of the token in seconds."""

    action = "GetToken"
    path: ClassVar[str]
    """The path of the call."""
    default_life: ClassVar[int | None]
    """Life of a token without `ExpireTime`, in seconds; None if it is not documented."""

    @cached_property
    def documented(self) -> Documented:
        """`GET {path}` with all parameters in the query."""
        return Documented("GET", self.path, query=tuple(self.params), headers=self.named())

    def exchange(self, call: Call) -> Exchange:
        """Make the call and return the API's own response."""
        return (yield self.request(call, "GET", self.path, [(name, str(value)) for name, value in call.params.items()]))

    def retrieve(self, call: Call) -> Flow:
        """Fetch the token. It expires after `ExpireTime` or `default_life`, or at its own `exp` if that is earlier."""
        asked = call.clock.now()
        life: Any = call.params.get("ExpireTime", self.default_life)
        try:
            ends = None if life is None else utc(asked + life)
        except (OverflowError, ValueError, OSError):
            raise ParameterError("Parameter ExpireTime is too large.") from None
        response = yield from self.exchange(call)
        if response.status_code != httpx.codes.OK:
            raise self.refuse(call, response)
        body = json_object(response)
        if body.get("Success", True) is not True:
            # PAI-DSW also sends refusals with status 200.
            if not body.get("Code"):
                raise malformed(response, "reports a failure without a reason", body)
            raise self.refuse(call, response)
        value = token_of(response, body, "Token")
        stated = jwt_expiry(value)
        if stated is not None and (ends is None or stated < ends.timestamp()):
            # With ExpireTime=0 the caller asked for a token that has expired on arrival.
            if life != 0 and stated <= call.clock.now():
                raise unusable(response, "The API returned a token that has expired already.", body)
            ends = utc(stated)
        return self.issued(call, value, asked, expires_at=ends, metadata={"RequestId": request_id_of(response, body)})
