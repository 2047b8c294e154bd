"""The parameters of a call, by the vendor's own names, checked before anything is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .._util.hints import closest
from ..errors import ParameterError

__all__ = ["Param", "ParamValue", "check_json_object", "params_schema", "parse_params"]

ParamValue = str | int | bool | tuple[str, ...]

# 18 digits always fit into the vendors' 64-bit `long`.
_MAX_INTEGER = 10**18
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_BOOLEANS = {"true": True, "false": False}
# Accepts what `_identifier_problem` accepts, and also invisible characters outside ASCII.
_IDENTIFIER = r"^(?!\.\.?$)(?=.*\S)[^\/\\\x00-\x1f\x7f]+$"


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of an API.

    An `identifier` names a resource or becomes part of a path. It must not be blank, "." or "..", and must not contain
    a slash, a backslash, or control or other invisible characters. An `array` is a list of non-empty strings; a single
    string of values separated by spaces is accepted too. A `pattern` is a regular expression that the whole string must
    match; `shape` describes the pattern in words, for errors.
    """

    help: str
    type: Literal["string", "integer", "boolean", "array"] = "string"
    required: bool = False
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    identifier: bool = False
    pattern: str = ""
    shape: str = ""

    def parse(self, name: str, value: object) -> ParamValue:
        """Convert a value to the parameter's type; strings such as `"60"` are accepted. Raises `ParameterError`."""
        problem = ""
        parsed: Any = value
        if self.type == "boolean":
            parsed = _BOOLEANS.get(value.lower(), value) if isinstance(value, str) else value
            problem = "" if isinstance(parsed, bool) else "must be true or false"
        elif self.type == "integer":
            parsed = _integer(value)
            if parsed is None:
                problem = "must be a whole number of at most 18 digits"
            elif self.minimum is not None and parsed < self.minimum:
                problem = f"must be at least {self.minimum}"
            elif self.maximum is not None and parsed > self.maximum:
                problem = f"must be at most {self.maximum}"
        elif self.type == "array":
            parsed = tuple(value.split()) if isinstance(value, str) else _strings(value)
            problem = "" if parsed else "must be a list of one or more non-empty strings"
        elif not isinstance(value, str):
            problem = "must be a string"
        elif self.choices and value not in self.choices:
            problem = "must be one of " + ", ".join(self.choices)
        elif self.identifier:
            problem = _identifier_problem(value)
        elif self.pattern and not re.fullmatch(self.pattern, value):
            problem = f"must be {self.shape}"
        if problem:
            # Python raises an error when it formats an int of thousands of digits.
            short = isinstance(value, str | float) or (isinstance(value, int) and abs(value) < _MAX_INTEGER**4)
            shown = repr(value) if short else type(value).__name__
            raise ParameterError(f"Parameter {name} {problem}, not {shown[:80]}.")
        return parsed  # type: ignore[no-any-return]

    def schema(self) -> dict[str, Any]:
        """Return the parameter as JSON schema."""
        schema: dict[str, Any] = {"type": self.type, "description": self.help}
        if self.choices:
            schema["enum"] = list(self.choices)
        if self.minimum is not None:
            schema["minimum"] = self.minimum
        if self.maximum is not None:
            schema["maximum"] = self.maximum
        if self.type == "array":
            schema |= {"items": {"type": "string", "minLength": 1}, "minItems": 1}
        if self.identifier:
            schema |= {"minLength": 1, "pattern": _IDENTIFIER}
        if self.pattern:
            schema["pattern"] = f"^(?:{self.pattern})$"
        return schema


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and abs(value) < _MAX_INTEGER else None


def _strings(value: object) -> tuple[str, ...]:
    """Return a list of non-empty strings as a tuple, which can be part of a cache key; () for any other value."""
    texts = tuple(value) if isinstance(value, list | tuple) else ()
    return texts if all(isinstance(text, str) and text.strip() for text in texts) else ()


def _identifier_problem(value: str) -> str:
    if not value.strip():
        return "must be a non-empty id"
    if "/" in value or "\\" in value or value in {".", ".."}:
        return "must be an id, without a slash or backslash"
    if not value.isprintable():
        return "must be an id without control or other invisible characters"
    return ""


def params_schema(known: Mapping[str, Param]) -> dict[str, Any]:
    """Return the JSON schema of an object with these parameters and no others."""
    return {
        "type": "object",
        "properties": {name: param.schema() for name, param in known.items()},
        "required": [name for name, param in known.items() if param.required],
        "additionalProperties": False,
    }


def parse_params(known: Mapping[str, Param], given: Mapping[str, object]) -> dict[str, ParamValue]:
    """Convert the parameters in `given` to their types, in the order of `known`. A parameter that is None is left out.

    Raises `ParameterError` for an unknown, missing or invalid parameter.
    """
    for name in given:
        if name not in known:
            raise ParameterError(f"{name[:80]!r} is not a parameter of this provider.", hint=closest(name, known))
    parsed = {name: param.parse(name, given[name]) for name, param in known.items() if given.get(name) is not None}
    for name, param in known.items():
        if param.required and name not in parsed:
            raise ParameterError(
                f"Parameter {name} is missing.",
                hint=f"Give it in the call ({name}=…) or in the profile's params.",
            )
    return parsed


def check_json_object(name: str, text: Any, longest: int) -> None:
    """Raise `ParameterError` unless `text` is None or a JSON object of at most `longest` characters."""
    if text is None:
        return
    try:
        is_object = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise ParameterError(f"Parameter {name} must be a JSON object, as a string.")
    if len(text) > longest:
        raise ParameterError(f"Parameter {name} must have at most {longest} characters, not {len(text)}.")
