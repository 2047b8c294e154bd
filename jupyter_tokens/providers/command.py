"""`command`: reads the token that a program prints, such as gcloud, az, aws, gh, vault, oidc-token or any script.

Source of the field names: RFC 6749, section 5.1; Kubernetes, "client-go credential plugins" (ExecCredential); Google,
"Executable-sourced credentials"; the recorded output of `az account get-access-token`; the documented output of
`gcloud config config-helper`, `vault login -format=json` and `aws codeartifact get-authorization-token`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..clock import utc
from ..errors import ResponseError, UnusableToken
from ..token import Secret
from .answers import as_number, is_token, jwt_expiry
from .base import Call, Endpoint, Flow, Program, Provider, SettingProblem

__all__ = ["Command"]

_TOKEN_FIELDS = ("access_token", "accessToken", "token", "id_token", "client_token", "authorizationToken")
_LIFETIME_FIELDS = ("expires_in", "lease_duration")
_EXPIRY_FIELDS = (
    "expires_on",
    "expiresOn",
    "expires_at",
    "expiry",
    "token_expiry",
    "expiration",
    "Expiration",
    "expirationTimestamp",
    "expiration_time",
)
_LOCAL = "expiresOn"
"""The field, printed by az, in which a time without a zone is local time. In other fields such a time is UTC."""
_NESTED_OBJECTS = ("status", "credential", "auth", "Credentials")
"""The objects that hold the token in the output of ExecCredential, gcloud, Vault and AWS."""
_ACCESS_KEYS = (
    ("AccessKeyId", "SecretAccessKey", "SessionToken"),
    ("AccessKeyId", "AccessKeySecret", "SecurityToken"),
    ("access_key_id", "access_key_secret", "sts_token"),
    ("access_key_id", "secret_access_key", "security_token"),
    ("access", "secret", "securitytoken"),
)
"""The names of a temporary access key's three values, in the output of aws and aliyun, and in the vendors' APIs."""
_NO_EXPIRY_HINT = (
    "Make the program print the token alone, without an expiry. If the token is a JWT, its expiry is read from it."
)
_OUTPUT_HINT = "Run the program in a terminal to see what it prints. Messages must go to standard error."
_CODE = re.compile(r"[\w.-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class _Printed:
    """A token from a program's output, with its expiry if the output has one.

    Attributes
    ----------
    token : Secret or Mapping
        The token's value, or the values of a temporary access key by their names.
    life : float or None
        How long the token is valid, in seconds; None if not printed.
    ends : float or None
        When the token expires, in seconds since the epoch; None if not printed.
    """

    token: Secret | Mapping[str, Secret]
    life: float | None = None
    ends: float | None = None


class Command(Provider):
    """Reads the token from the standard output of `command`, which is one line, a JSON object or a JSON string."""

    id = "command"
    title = "Program that prints a token"
    documentation = "The manual of the program"
    any_fields = True

    endpoint = Endpoint(
        "Base URL of the API that the token is for; nothing is sent there to get the token.", advanced=True
    )
    command = Program(
        "Program and its arguments. It runs without a shell and prints a token, plain or in JSON.",
        example="gcloud auth print-access-token",
        required=True,
    )

    def check(self) -> None:
        """Raise `SettingProblem` if the command is missing, cannot be split into words or begins with `command:`."""
        super().check()
        if self.command.startswith("command:"):
            raise SettingProblem("command", "must be the program itself, without command: before it")
        try:
            shlex.split(self.command)
        except ValueError as error:
            raise SettingProblem("command", f"cannot be split into words ({error})") from None

    def credential(self, secrets: Mapping[str, Secret]) -> _Printed:
        """Return the token that the program printed. Raises `ResponseError` if the output has no valid token."""
        text = secrets["command"].reveal().strip()
        if text.startswith(("{", '"')):
            return self._from_json(text)
        if len(text.splitlines()) > 1:
            raise self._problem(
                "more than one line",
                "Make the program print the token alone, or JSON: many have an option for this (--quiet, -o json).",
            )
        return _Printed(self._token(text))

    def identity(self, secrets: Mapping[str, Secret], credential: object) -> None:
        """Return None: the program has already run, so sharing the token would save no call."""

    def retrieve(self, call: Call) -> Flow:
        """Return the token without a request. Its expiry comes from the output, or else from the `exp` of a JWT.

        Raises `UnusableToken` if the token has expired.
        """
        yield from ()
        printed: _Printed = call.credential
        token, now = printed.token, call.clock.now()
        value = token.reveal() if isinstance(token, Secret) else {name: part.reveal() for name, part in token.items()}
        ends = printed.ends
        if ends is None and printed.life is not None:
            ends = now + printed.life
        elif ends is None and isinstance(value, str):
            ends = jwt_expiry(value)
        try:
            expires_at = None if ends is None else utc(ends)
        except (OverflowError, ValueError, OSError):
            raise self._problem("an expiry that is out of range", _NO_EXPIRY_HINT) from None
        if expires_at is not None and expires_at <= utc(now):
            raise UnusableToken(
                f"{self._program} printed a token that expired at {expires_at:%Y-%m-%d %H:%M:%S}Z.",
                hint="Log in with the program again. If it caches tokens, make it renew its cache.",
                unsent=True,
            )
        return self.make_token(call, value, now, expires_at=expires_at)

    @property
    def _program(self) -> str:
        # Errors name the program without its arguments, because the arguments may contain a secret.
        return shlex.split(self.command)[0]

    def _from_json(self, text: str) -> _Printed:
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            raise self._problem("JSON that cannot be read", _OUTPUT_HINT) from None
        if isinstance(body, str):
            # For example, az with --query prints "" for an empty field.
            if not body:
                raise self._problem("an empty token", _OUTPUT_HINT)
            return _Printed(self._token(body))
        places = [body, *(body[name] for name in _NESTED_OBJECTS if isinstance(body.get(name), dict))]
        for place in places:
            names = next((names for names in _ACCESS_KEYS if names[0] in place and names[1] in place), None)
            if names is not None:
                return self._access_key(place, names)
        for place in places:
            for name in _TOKEN_FIELDS:
                value = place.get(name)
                if isinstance(value, str) and value:
                    return self._printed(place, self._token(value))
        raise self._no_token(body)

    def _access_key(self, place: Mapping[str, Any], names: tuple[str, ...]) -> _Printed:
        missing = [name for name in names if not isinstance(place.get(name), str) or not place[name]]
        if missing:
            raise self._problem(
                f"an access key without a valid {missing[0]}",
                "Make the program print all three values of a temporary key. "
                "Permanent keys are not given to notebooks.",
            )
        values = {name: self._token(place[name]) for name in names}
        return self._printed(place, values)

    def _printed(self, place: Mapping[str, Any], token: Secret | Mapping[str, Secret]) -> _Printed:
        return _Printed(
            token, self._first(place, _LIFETIME_FIELDS, self._seconds), self._first(place, _EXPIRY_FIELDS, self._moment)
        )

    def _token(self, value: str) -> Secret:
        if not is_token(value):
            raise self._problem(
                "text with spaces, control characters or characters outside ASCII, which a token cannot have",
                _OUTPUT_HINT,
            )
        return Secret(value)

    def _no_token(self, body: Mapping[str, Any]) -> ResponseError:
        code = next((body[name] for name in ("code", "error") if isinstance(body.get(name), str)), "")
        error = self._problem("JSON without a token", f"Give the token one of the names {', '.join(_TOKEN_FIELDS)}.")
        error.code = code if _CODE.fullmatch(code) else None
        return error

    @staticmethod
    def _first(
        body: Mapping[str, Any], names: tuple[str, ...], read: Callable[[str, Any], float | None]
    ) -> float | None:
        """Return the first field in `names` that has a value, converted by `read(name, value)`; None if none has."""
        found = next((name for name in names if body.get(name) not in (None, "")), None)
        return None if found is None else read(found, body[found])

    def _seconds(self, name: str, value: object) -> float | None:
        number = as_number(value)
        if number is None:
            raise self._problem(f"an expiry ({name}) that is not a number of seconds", _NO_EXPIRY_HINT)
        # Vault prints lease_duration 0 for a token without expiry.
        return None if name == "lease_duration" and number == 0 else number

    def _moment(self, name: str, value: object) -> float | None:
        if isinstance(value, dict):
            # As printed by `gcloud auth print-access-token --format=json`.
            value = value.get("datetime")
        number = as_number(value)
        if number is not None:
            return number
        with suppress(ValueError, OverflowError, OSError, TypeError):
            when = datetime.fromisoformat(value)  # type: ignore[arg-type]
            if when.tzinfo is None and name != _LOCAL:
                when = when.replace(tzinfo=UTC)
            # Year 1 is Go's zero time: there is no expiry.
            return None if when.year == 1 else when.timestamp()
        raise self._problem(
            f"an expiry ({name}) that is neither an ISO 8601 time nor seconds since the epoch", _NO_EXPIRY_HINT
        )

    def _problem(self, what: str, hint: str) -> ResponseError:
        return ResponseError(f"{self._program} printed {what}.", hint=hint, unsent=True)
