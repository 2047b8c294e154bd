"""What a cell of the table is made of: a fault, and what a user gets of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jupyter_tokens.errors import TokenError

APIS = ("modelarts", "pai-dlc", "oneaccess", "astra", "eiam")


@dataclass(frozen=True)
class Planned:
    """A fault that the sandbox has. times : None for each call. silent : only a time limit ends the call."""

    kind: str
    times: int | None = None
    silent: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Skewed:
    """The API's clock is ahead, seconds."""

    seconds: float


@dataclass(frozen=True)
class Refused:
    """Nobody listens at the API's port."""


@dataclass(frozen=True)
class Certificate:
    """What TLS shows. known : issued by the authority that the profile trusts."""

    name: str = "localhost"
    known: bool = True
    expired: bool = False


Fault = Planned | Skewed | Refused | Certificate


@dataclass(frozen=True)
class Gets:
    """What a user gets, and what it cost.

    error : None for a token. status, code, request_id : of the vendor's answer, the last as whether there is one.
    hint : what to do. calls : that reached the API. waits : seconds before each further try, at their longest.
    """

    error: type[TokenError] | None = None
    status: int | None = None
    code: str | None = None
    request_id: bool = False
    hint: str = ""
    calls: int = 1
    waits: tuple[float, ...] = ()


@dataclass(frozen=True)
class Row:
    """A fault, and what is got of each API.

    proxy : what the proxy of an API's own call answers with: the vendor's status, or an error.
    but : where an API differs. codes : the vendors' own. ids : the APIs that give a request id with it.
    only : the APIs that can have it. note : for the page.
    """

    title: str
    fault: Fault
    gets: Gets
    proxy: int | type[TokenError]
    but: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    only: tuple[str, ...] = APIS
    note: str = ""

    @property
    def silent(self) -> bool:
        """Whether only a time limit ends the call."""
        return isinstance(self.fault, Planned) and self.fault.silent

    def of(self, api: str) -> Gets:
        """What is got of one API."""
        usual = replace(self.gets, code=self.codes.get(api), request_id=api in self.ids)
        return replace(usual, **self.but.get(api, {}))
