"""The credentials that the sandbox accepts."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import Any

_PAIRS = ("alibaba", "huawei", "iam", "oneaccess", "id_tokens", "openid")
_LISTS = ("astra", "dashscope")


def is_secret(known: str | None, given: str | bytes) -> bool:
    """Whether a given secret is the known secret, compared in constant time. False if `known` is None."""
    data = given if isinstance(given, bytes) else given.encode("utf-8", "replace")
    return hmac.compare_digest((known or "").encode(), data) and known is not None


@dataclass(frozen=True, repr=False)
class TemporaryKey:
    """A temporary access key that the sandbox has issued. It is valid only together with its security token.

    `expires_at` is in seconds since the epoch.
    """

    secret: str
    security_token: str
    expires_at: float


@dataclass(repr=False)
class Accounts:
    """The credentials that each family of APIs accepts. Credentials that are not given are random.

    Attributes
    ----------
    alibaba, huawei, iam, oneaccess : dict
        Secrets by access key id, user name or client id.
    id_tokens : dict
        ID tokens that IAM and both STS APIs accept, by the id of the identity provider.
    openid : dict
        Secrets of the confidential clients of the sandbox's OpenID provider, by client id.
    astra, dashscope : list
        Bearer tokens of Astra, and API keys of DashScope.
    """

    alibaba: dict[str, str] = field(default_factory=lambda: {"LTAI5t" + token_hex(9): token_hex(15)})
    huawei: dict[str, str] = field(default_factory=lambda: {token_hex(10).upper(): token_hex(20)})
    iam: dict[str, str] = field(default_factory=lambda: {"sandbox-user": token_urlsafe(18)})
    oneaccess: dict[str, str] = field(default_factory=lambda: {token_urlsafe(24): token_urlsafe(24)})
    id_tokens: dict[str, str] = field(default_factory=lambda: {"sandbox-idp": token_urlsafe(48)})
    openid: dict[str, str] = field(default_factory=lambda: {"sandbox-program": token_urlsafe(24)})
    astra: list[str] = field(default_factory=lambda: [token_urlsafe(32)])
    dashscope: list[str] = field(default_factory=lambda: ["sk-" + token_hex(16)])

    def __repr__(self) -> str:
        """Show only how many credentials there are, so that no id or secret gets into a log."""
        return f"Accounts({', '.join(f'{name}={len(getattr(self, name))}' for name in (*_PAIRS, *_LISTS))})"

    @classmethod
    def random(cls) -> Accounts:
        """Create accounts with one random credential per family."""
        return cls()

    @classmethod
    def from_file(cls, path: str | Path) -> Accounts:
        """Read accounts from a JSON file: `{"alibaba": {"AK": "SK"}, …, "astra": ["bearer token"]}`.

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError
            The content is invalid. The message names the file and may name a key, but contains no value.
        """
        text = Path(path).read_bytes()
        try:
            data = json.loads(text)
        except ValueError as error:
            # Unlike the text, the decoder's message contains no secret, only a position.
            where = (
                error.args[0]
                if isinstance(error, json.JSONDecodeError)
                else "it is not UTF-8, or a number has too many digits"
            )
            raise ValueError(f"{path}: not JSON: {where}") from None
        except RecursionError:
            raise ValueError(f"{path}: the JSON is nested too deeply") from None
        try:
            return cls.from_mapping(data)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def from_mapping(cls, data: Any) -> Accounts:
        """Create accounts from parsed JSON. Raises ValueError, whose message may name a key, but contains no value."""
        if not isinstance(data, Mapping):
            raise ValueError("the accounts must be a JSON object")  # noqa: TRY004 - a file's content, not a caller's type
        known = (*_PAIRS, *_LISTS)
        unknown = sorted(set(data) - set(known))
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r}; known keys: {', '.join(known)}")
        for name in _PAIRS:
            if name in data and not _is_pairs(data[name]):
                raise ValueError(f"{name!r} must be an object of at least one id and its secret, as non-empty strings")
        for name in _LISTS:
            if name in data and not _is_tokens(data[name]):
                raise ValueError(f"{name!r} must be a list of at least one token or API key, as non-empty strings")
        return cls(**{name: type(value)(value) for name, value in data.items()})


def _is_text(value: object) -> bool:
    # Half a surrogate pair is legal in JSON, but cannot be sent.
    return isinstance(value, str) and bool(value) and value.encode("utf-8", "ignore").decode() == value


def _is_pairs(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(_is_text(k) and _is_text(v) for k, v in value.items())


def _is_tokens(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))
