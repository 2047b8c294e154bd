"""Planned faults: their kinds, the APIs that they affect, and the number of calls."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

KINDS = (
    "throttle", "reset", "reset-mid", "hang", "hang-mid", "slow", "huge", "gzip-bomb", "content-type", "html",
    "truncated", "half-json", "garbage", "empty", "wrong-types", "token-type", "deep", "redirect",
    "expired", "stalled", "disabled",
)  # fmt: skip
TOKEN_KINDS = ("expired", "stalled", "disabled")
"""Kinds that change what an API reports about its token. An API supports only those in its `variants`."""
_STATUS = re.compile("[2-5][0-9]{2}")
_MAX_BYTES = 10 * 1024**3
# A fault cannot set the headers about framing, because separate kinds of faults cause wrong framing.
_HEADER = re.compile(r"(?!(?i:content-length|transfer-encoding|connection)$)[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class FaultError(ValueError):
    """A fault that cannot be planned. The message says what is wrong, and which choices are valid."""


@dataclass
class Fault:
    """One planned fault. `times` is how many more calls it affects; None means all calls until the fault is cleared."""

    api: str
    kind: str
    times: int | None = 1
    retry_after: float | None = None
    headers: Mapping[str, str] | None = None
    body: str | None = None
    bytes: int = 100_000_000
    interval: float = 1.0
    location: str | None = None

    @property
    def status(self) -> int | None:
        """The HTTP status, if the kind is a status; otherwise None."""
        return int(self.kind) if self.kind.isdigit() else None


class Plan:
    """The planned faults, in the order in which they were planned. Any thread can plan faults."""

    def __init__(self, variants: Mapping[str, frozenset[str]]) -> None:
        self._variants = variants
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, wanted: Mapping[str, Any]) -> None:
        """Plan a fault. Raises FaultError if it is invalid."""
        fault = self.parse(wanted)
        with self._lock:
            self._faults = [*self._faults, fault]

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults = []

    def summary(self) -> list[dict[str, Any]]:
        """Return the API, the kind and the remaining calls of each planned fault, for JSON."""
        return [{"api": fault.api, "kind": fault.kind, "times": fault.times} for fault in self._faults]

    def next_fault(self, api: str) -> Fault | None:
        """Return the first planned fault that affects a call of this API, or None. The call counts towards `times`."""
        with self._lock:
            for fault in self._faults:
                if fault.api == api or (fault.api == "*" and self._fits(api, fault.kind)):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times == 0:
                            self._faults = [other for other in self._faults if other is not fault]
                    return fault
        return None

    def _fits(self, api: str, kind: str) -> bool:
        return kind not in TOKEN_KINDS or kind in self._variants[api]

    def parse(self, wanted: Mapping[str, Any]) -> Fault:
        """Convert a fault from JSON. Raises FaultError if it is invalid."""
        if not isinstance(wanted, Mapping) or not {"api", "kind"} <= set(wanted):
            raise FaultError("a fault must be an object with at least 'api' and 'kind'")
        unknown = sorted(map(str, set(wanted) - {*_OPTIONS, "api", "kind", "times"}))
        if unknown:
            raise FaultError(f"unknown option {unknown[0]!r}; known options: times, {', '.join(sorted(_OPTIONS))}")
        api = wanted["api"]
        if not isinstance(api, str) or api not in (*self._variants, "*"):
            raise FaultError(f"unknown api {api!r}; known APIs: {', '.join(self._variants)} and * (all)")
        kind = _kind(wanted["kind"])
        if api != "*" and not self._fits(api, kind):
            fitting = [name for name, kinds in self._variants.items() if kind in kinds]
            raise FaultError(f"{kind!r} is not possible for {api}, only for {', '.join(fitting)}")
        options = {name: wanted[name] for name in _OPTIONS if wanted.get(name) is not None}
        for name, value in options.items():
            is_good, form = _OPTIONS[name]
            if not is_good(value):
                raise FaultError(f"{name!r} must be {form}")
        return Fault(api, kind, _times(wanted.get("times", 1)), **options)


def _kind(kind: Any) -> str:
    text = str(kind) if _is_int(kind) else kind
    if not isinstance(text, str) or not (text in KINDS or _STATUS.fullmatch(text)):
        raise FaultError(f"unknown kind {text!r}; known kinds: a status from 200 to 599 and {', '.join(KINDS)}")
    return text


def _times(times: Any) -> int | None:
    if times is not None and not (_is_int(times) and times >= 0):
        raise FaultError(
            "'times' must be null or a whole number from 0; null and 0 mean all calls until the fault is cleared"
        )
    return times or None


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _is_header_text(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and value == value.strip()


def _are_headers(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and _HEADER.fullmatch(name) and _is_header_text(text) for name, text in value.items()
    )


_OPTIONS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "retry_after": (_is_number, "a number of seconds, at least 0"),
    "headers": (
        _are_headers,
        "an object of ASCII header names and values, without Content-Length, Transfer-Encoding and Connection",
    ),
    "body": (lambda value: isinstance(value, str), "a string"),
    "bytes": (
        lambda value: _is_int(value) and 0 < value <= _MAX_BYTES,
        f"a whole number from 1 to {_MAX_BYTES}",
    ),
    "interval": (_is_number, "a number of seconds, at least 0"),
    "location": (_is_header_text, "a URL in printable ASCII characters"),
}
