"""What unmodified SDKs and tools read: the output of a credential program, as each of them expects it.

Sources: Kubernetes, "client-go credential plugins"; Google, "Executable-sourced credentials"; Microsoft,
`az account get-access-token`; git, "gitcredentials" and "git-credential"; docker, "Credential helper protocol";
keyring, "Command-line utility". What the SDKs really send and take was recorded from them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from .clock import utc
from .errors import ParameterError

if TYPE_CHECKING:
    from .token import Token

__all__ = ["DEFAULT_USER", "EXEC_VERSIONS", "GOOGLE_TYPES", "PROGRAMS", "UNKNOWN_SECONDS", "Asked", "google_failure"]

DEFAULT_USER = "oauth2"
"""User name beside a token in Basic authentication: GitLab and Gitea want it, GitHub takes any."""
EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
"""Of an ExecCredential; the first if nobody names one."""
GOOGLE_TYPES = ("urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token")
"""Of Google's subject token; the first if nobody names one."""
UNKNOWN_SECONDS = 900.0
"""Life to tell, in seconds, if the API reports no expiry and the SDK insists on one: it asks again after that."""


class Asked(NamedTuple):
    """What a program was asked for.

    now : seconds since the epoch.
    server : the host, as docker and git name it. user : beside the token in Basic authentication.
    version : of an ExecCredential. token_type : of Google's subject token.
    """

    now: float
    server: str = ""
    user: str = DEFAULT_USER
    version: str = EXEC_VERSIONS[0]
    token_type: str = GOOGLE_TYPES[0]


def google_failure(code: str, message: str) -> str:
    """The output of Google's executable if there is no token. It exits with 0, or the reason is not shown."""
    return json.dumps({"version": 1, "success": False, "code": code, "message": message}) + "\n"


def _google_executable(token: Token, asked: Asked) -> str:
    told = {"version": 1, "success": True, "token_type": asked.token_type, "id_token": token.reveal()}
    if token.expires_at is not None:
        told["expiration_time"] = int(token.expires_at.timestamp())
    return json.dumps(told) + "\n"


def _exec_credential(token: Token, asked: Asked) -> str:
    status = {"token": token.reveal()}
    if token.expires_at is not None:
        status["expirationTimestamp"] = _z(token.expires_at)
    return json.dumps({"apiVersion": asked.version, "kind": "ExecCredential", "status": status}) + "\n"


def _az(token: Token, asked: Asked) -> str:
    ends = int(_ends(token, asked.now).timestamp())
    return json.dumps({"accessToken": token.reveal(), "expires_on": ends, "tokenType": "Bearer"}) + "\n"


def _git(token: Token, asked: Asked) -> str:
    lines = [f"username={_in_one_line(asked.user)}", f"password={_in_one_line(token.reveal())}"]
    if token.expires_at is not None:
        # Since git 2.40; earlier versions ignore it.
        lines.append(f"password_expiry_utc={int(token.expires_at.timestamp())}")
    return "".join(f"{line}\n" for line in lines)


def _docker(token: Token, asked: Asked) -> str:
    return json.dumps({"ServerURL": asked.server, "Username": asked.user, "Secret": token.reveal()}) + "\n"


def _keyring(token: Token, asked: Asked) -> str:
    return json.dumps({"username": asked.user, "password": token.reveal()}) + "\n"


PROGRAMS: Mapping[str, Callable[[Token, Asked], str]] = {
    "exec-credential": _exec_credential,
    "google-executable": _google_executable,
    "az": _az,
    "git": _git,
    "docker": _docker,
    "keyring": _keyring,
}
"""By the names of `jupyter tokens get --format`: what the program writes to standard output, to the last newline."""


def _ends(token: Token, now: float) -> datetime:
    return token.expires_at if token.expires_at is not None else utc(now + UNKNOWN_SECONDS)


def _z(moment: datetime) -> str:
    """ISO 8601 in UTC without a fraction of seconds, on which some SDKs choke."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _in_one_line(text: str) -> str:
    if any(character in text for character in "\n\r\0"):
        raise ParameterError("A line break cannot be part of what a credential helper says.")
    return text
