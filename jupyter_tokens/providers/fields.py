"""The types of settings. A setting declares its check, label, help, example, JSON schema and whether it is required.

The code that reads profiles, `jupyter tokens add`, the REST schema and the panel's form all use these declarations.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Self, overload
from urllib.parse import urlsplit

import httpx

from .._util.loopback import is_loopback
from ..errors import ParameterError
from ..protocol.messages import env_variables, parse_env

__all__ = [
    "Endpoint",
    "Field",
    "Names",
    "Number",
    "Program",
    "Reference",
    "Region",
    "Setting",
    "SettingProblem",
    "SignIn",
    "Switch",
    "Variable",
    "is_url",
    "parsed_url",
]

_REGION = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_BOOLEANS = {"true": True, "false": False}


@lru_cache(maxsize=512)
def parsed_url(url: str) -> httpx.URL:
    """Parse a URL. Cached, because refreshes use the same URL and parsing costs as much as a signature."""
    return httpx.URL(url)


def is_url(url: str) -> bool:
    """Whether httpx can send a request to a URL. `urlsplit` cannot tell: it accepts invalid hosts such as "xn--a"."""
    try:
        return bool(parsed_url(url).host)
    except (httpx.InvalidURL, ValueError):
        return False


@dataclass(frozen=True, slots=True)
class SignIn:
    """A named group of settings: one of several ways in which a provider's profiles can sign in.

    Parameters
    ----------
    id
        Its name in schemas and on the command line.
    label
        Its display name.
    required
        The settings that a profile must give to sign in this way.
    optional
        The other settings that such a profile may give for the sign-in.
    chosen_by
        A setting and its value: a profile with this value chooses this way. Without `chosen_by`, a profile chooses the
        way by giving a setting in `required` that belongs to no other way.
    """

    id: str
    label: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    chosen_by: tuple[str, str] | None = None

    @property
    def first(self) -> str:
        """The name of the setting that a profile gives in order to choose this way."""
        return self.chosen_by[0] if self.chosen_by else self.required[0]

    def schema(self) -> dict[str, Any]:
        """Return this way as JSON, for the list `x-sign-in` in the REST API's schema of the settings."""
        chosen_by = {"set": dict([self.chosen_by])} if self.chosen_by else {}
        return {
            "id": self.id,
            "title": self.label,
            "required": list(self.required),
            "optional": list(self.optional),
            **chosen_by,
        }


class SettingProblem(ValueError):
    """A setting is wrong or missing.

    Attributes
    ----------
    key : str
        The setting.
    problem : str
        What is wrong, as the rest of a sentence that begins with the key.
    missing : bool
        Whether the problem is that the setting is not given.
    alternatives : tuple of str
        Other settings; any of them can be given instead.
    sign_in : tuple of SignIn
        All ways to sign in, if the problem is that the profile chooses none.
    """

    def __init__(
        self,
        key: str,
        problem: str = "",
        *,
        missing: bool = False,
        alternatives: tuple[str, ...] = (),
        sign_in: tuple[SignIn, ...] = (),
    ) -> None:
        if missing:
            problem = "is missing" + (f" (or give {' or '.join(alternatives)})" if alternatives else "")
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem
        self.missing = missing
        self.alternatives = alternatives
        self.sign_in = sign_in


@dataclass(eq=False, kw_only=True)
class Field(ABC):
    """Base class of all types of settings.

    Parameters
    ----------
    help
        A one-sentence description.
    label
        Its display name; by default its key in words.
    example
        A realistic value.
    required
        Whether every profile must give it, however the profile signs in.
    unless
        Another setting that can be given instead, if this setting is required.
    advanced
        Whether only a few profiles need it; forms show it under "Advanced".
    """

    type_schema: ClassVar[Mapping[str, Any]]
    """The type, as JSON schema."""
    is_text: ClassVar[bool] = True
    """Whether `from_text` can read a value of this type."""

    help: str = field(kw_only=False)
    label: str = ""
    example: str = ""
    required: bool = False
    unless: str = ""
    advanced: bool = False
    secret: bool = field(default=False, init=False)
    """Whether the value is a secret. Other users must not be able to read a file that contains the secret itself."""
    name: str = field(default="", init=False)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.label = self.label or name.replace("_", " ").capitalize()

    @abstractmethod
    def check(self, key: str, value: object) -> None:
        """Raise `SettingProblem` for an invalid value; `key` names the setting in the error."""

    def from_text(self, key: str, text: str) -> Any:
        """Convert a string from the command line to a value. The value still has to pass `check`.

        May raise `ParameterError` if the string cannot be converted.
        """
        return text

    def schema(self) -> dict[str, Any]:
        """Return the setting as JSON schema."""
        return {
            **self.type_schema,
            "title": self.label,
            "description": self.help,
            **({"examples": [self.example]} if self.example else {}),
            **({"x-advanced": True} if self.advanced else {}),
        }


@dataclass(eq=False, kw_only=True)
class Setting(Field):
    """A setting whose value is a string.

    The attribute of a provider object is the value in the profile, or else `default`; "" means not given.

    Parameters
    ----------
    choices
        The allowed values; empty if any string is allowed.
    default
        Its value if a profile does not give it.
    """

    type_schema: ClassVar = {"type": "string"}

    choices: tuple[str, ...] = ()
    default: str = ""

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> str: ...
    def __get__(self, instance: object | None, owner: type) -> Self | str:
        return self if instance is None else vars(instance).get(self.name, self.default)

    def __set__(self, instance: object, value: str) -> None:
        self.check(self.name, value)
        vars(instance)[self.name] = value

    def check(self, key: str, value: object) -> None:
        if not isinstance(value, str):
            raise SettingProblem(key, f"must be a string, not {type(value).__name__}")
        if self.choices and value not in self.choices:
            allowed = [choice for choice in self.choices if choice]
            raise SettingProblem(key, f"must be {'one of ' if len(allowed) > 1 else ''}{', '.join(allowed)}")

    def schema(self) -> dict[str, Any]:
        return {
            **super().schema(),
            **({"enum": list(self.choices)} if self.choices else {}),
            **({"default": self.default} if self.default else {}),
        }


class Endpoint(Setting):
    """A URL without user name, password, query or fragment: https, or http on loopback only."""

    type_schema: ClassVar = {"type": "string", "format": "uri"}

    def check(self, key: str, value: object) -> None:
        super().check(key, value)
        url = str(value)
        if not url:
            return
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise SettingProblem(key, "is not a URL") from None
        if parts.scheme not in {"https", "http"} or not host or not is_url(url):
            raise SettingProblem(key, "must be a URL such as https://host")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise SettingProblem(key, "must be a URL without user name, password, query or fragment")
        if parts.scheme == "http" and not is_loopback(url):
            raise SettingProblem(key, "must be https: http is allowed on loopback only")


class Region(Setting):
    """The id of a region, which becomes part of a host name."""

    def check(self, key: str, value: object) -> None:
        super().check(key, value)
        if value and not _REGION.fullmatch(str(value)):
            raise SettingProblem(key, "must be a region's id, such as eu-central-1")


class Variable(Setting):
    """The name of an environment variable. For a token with several values: a mapping of field to variable."""

    type_schema: ClassVar = {"type": ["string", "object"], "additionalProperties": {"type": "string"}}

    def check(self, key: str, value: object) -> None:
        names = list(env_variables(value).values()) if isinstance(value, str | Mapping) else [value]
        if not all(isinstance(name, str) and name.isidentifier() and name.isascii() for name in names):
            raise SettingProblem(
                key, "must be an environment variable's name, or a mapping from fields of the token to such names"
            )
        if not names or len(set(names)) < len(names):
            raise SettingProblem(key, "must name a different variable for each value of the token")

    def from_text(self, key: str, text: str) -> Any:
        return parse_env(text)


@dataclass(eq=False, kw_only=True)
class Reference(Setting):
    """A setting whose value may be a secret reference, such as `keyring:…`.

    Parameters
    ----------
    secret
        Whether the value is a secret. Other users must not be able to read a file that contains the secret itself.
    """

    # Required: without `field()`, the default would be that of `Field`.
    secret: bool = field()

    def schema(self) -> dict[str, Any]:
        """Return the setting as JSON schema. A secret is `writeOnly`: it can be set, but never read back."""
        return {**super().schema(), **({"writeOnly": True} if self.secret else {})}


@dataclass(eq=False, kw_only=True)
class Program(Reference):
    """A program and its arguments. It is run like a `command:` reference, and `Provider.credential` gets its output."""

    # The command is not a secret; its output is.
    secret: bool = field(default=False, init=False)


@dataclass(eq=False, kw_only=True)
class Number(Field):
    """A number above 0.

    Parameters
    ----------
    unit
        Its unit, for error messages.
    maximum
        The largest allowed value.
    """

    type_schema: ClassVar = {"type": "number", "exclusiveMinimum": 0}

    unit: str
    maximum: int
    advanced: bool = True

    def check(self, key: str, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= self.maximum:
            raise SettingProblem(key, f"must be a number of {self.unit} above 0 and at most {self.maximum}")

    def from_text(self, key: str, text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise ParameterError(f"{key} must be a number of {self.unit}.") from None

    def schema(self) -> dict[str, Any]:
        return {**super().schema(), "maximum": self.maximum}


@dataclass(eq=False, kw_only=True)
class Switch(Field):
    """True or false.

    Parameters
    ----------
    read_only
        Whether it can be set only in the configuration file, not in a form.
    """

    type_schema: ClassVar = {"type": "boolean"}

    read_only: bool = False
    advanced: bool = True

    def check(self, key: str, value: object) -> None:
        if not isinstance(value, bool):
            raise SettingProblem(key, "must be true or false")

    def from_text(self, key: str, text: str) -> Any:
        return _BOOLEANS.get(text, text)

    def schema(self) -> dict[str, Any]:
        return {**super().schema(), **({"readOnly": True} if self.read_only else {})}


class Names(Field):
    """A list of names, which are non-empty strings."""

    type_schema: ClassVar = {"type": "array", "items": {"type": "string", "minLength": 1}}
    is_text = False

    def check(self, key: str, value: object) -> None:
        # A string is refused: it would otherwise pass as a list of its letters.
        if not isinstance(value, list | tuple) or not all(isinstance(text, str) and text for text in value):
            raise SettingProblem(key, "must be a list of non-empty strings")
