"""Credentials of Huawei Cloud and T Cloud: access keys, password logins to IAM, and the IAM tokens they return.

Source: Huawei Cloud IAM, "Obtaining a User Token Through Password Authentication" (Keystone v3).
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ..._util.text_file import NotText, decode
from ...clock import Clock
from ...config.secrets import mode_hint, mode_problem
from ...errors import SecretError, detached_errors
from ...token import Secret
from ..signing.canonical import AccessKey

__all__ = [
    "IamLogin",
    "IamToken",
    "access_key",
    "chain",
    "login_request",
    "password_identity",
    "token_request",
]

# Source: the official SDK, huaweicloudsdkcore 3.1.219, auth/provider.py.
_AK, _SK, _SECURITY_TOKEN = "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"
_FILE = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
_SECTION = "basic"

# An IAM token is not used in its last minute, because it could expire while the request is on the way.
_MARGIN_SECONDS = 60.0


def access_key(secrets: Mapping[str, Secret]) -> AccessKey:
    """Return the access key from a profile's `access_key`, `secret_key` and `security_token`."""
    return AccessKey(secrets["access_key"].reveal(), secrets["secret_key"], secrets.get("security_token"))


@detached_errors()
def chain() -> AccessKey:
    """Return the first access key in the environment or in the credentials file of the official SDK. Blocks.

    The SDK's chain also has a metadata service, which is not used here.

    Raises `SecretError` if neither has an access key, or if the file cannot be used.
    """
    # Unlike Path.home(), this does not raise if there is no home folder.
    file = Path(os.environ.get(_FILE) or os.path.expanduser("~/.huaweicloud/credentials"))  # noqa: PTH111
    key = _key(os.environ, _AK, _SK, _SECURITY_TOKEN) or _key(_section(file), "ak", "sk", "security_token")
    if key is None:
        raise SecretError(
            "Huawei Cloud's credential chain found no access key.",
            hint=f"Set {_AK} and {_SK}, or write ak and sk under [{_SECTION}] in {file}. {_FILE} names another file.",
        )
    return key


def _key(values: Mapping[str, str], key_id: str, secret: str, security_token: str) -> AccessKey | None:
    """Return the access key under these names, or None if its id or secret is missing."""
    if not values.get(key_id) or not values.get(secret):
        return None
    temporary = values.get(security_token)
    return AccessKey(values[key_id], Secret(values[secret]), Secret(temporary) if temporary else None)


def _section(file: Path) -> Mapping[str, str]:
    """Return the section `basic` of the file, as the SDK reads it; empty if the file or the section does not exist.

    Raises `SecretError` if the file cannot be read, or if its mode lets others access it or its group write to it.
    """
    parser = configparser.ConfigParser()
    try:
        with file.open("rb") as stream:
            problem = mode_problem(file, os.fstat(stream.fileno()).st_mode)
            if problem:
                raise SecretError(f"{file} is a file that {problem}.", hint=mode_hint(file))
            parser.read_string(decode(stream.read()))
        return dict(parser.items(_SECTION)) if parser.has_section(_SECTION) else {}
    except FileNotFoundError:
        return {}
    except NotText as caught:
        raise SecretError(f"{file} {caught}.") from None
    except (OSError, configparser.Error) as caught:
        # The parser's message may quote the file.
        why = caught.strerror if isinstance(caught, OSError) else type(caught).__name__
        raise SecretError(
            f"{file} cannot be read ({why}).",
            hint=f"The file must be readable, with ak = … and sk = … under [{_SECTION}].",
        ) from None


@dataclass(frozen=True, slots=True)
class IamToken:
    """An IAM token, and its expiry in seconds since the epoch."""

    value: Secret
    expires: float


@dataclass(slots=True)
class IamLogin:
    """The data for a login to IAM by password, and the IAM tokens of earlier logins by project id."""

    endpoint: str
    username: str
    password: Secret
    domain_name: str
    tokens: dict[str, IamToken] = field(default_factory=dict, repr=False, compare=False)

    def same_as(self, other: IamLogin) -> bool:
        """Whether both logins have the same endpoint, account, user and password."""
        account = (self.endpoint, self.username, self.domain_name, self.password.reveal())
        return account == (other.endpoint, other.username, other.domain_name, other.password.reveal())

    def cached(self, project_id: str, clock: Clock) -> IamToken | None:
        """Return the IAM token for a project if it is valid for more than another minute, else None."""
        token = self.tokens.get(project_id)
        return token if token is not None and clock.now() + _MARGIN_SECONDS < token.expires else None


def login_request(login: IamLogin, project_id: str, headers: Mapping[str, str]) -> httpx.Request:
    """Return the Keystone request for a login by password, with the scope of one project."""
    auth = {"identity": password_identity(login), "scope": {"project": {"id": project_id}}}
    return token_request(login.endpoint, "/v3/auth/tokens", auth, headers)


def password_identity(login: IamLogin) -> dict[str, Any]:
    """Return the `identity` of a login by password, in the form that Keystone expects."""
    user = {"name": login.username, "password": login.password.reveal(), "domain": {"name": login.domain_name}}
    return {"methods": ["password"], "password": {"user": user}}


def token_request(endpoint: str, target: str, auth: Mapping[str, Any], headers: Mapping[str, str]) -> httpx.Request:
    """Return a request to IAM for a token. `endpoint` may end in Keystone's `/v3`; `target` is the path and query."""
    base = endpoint.rstrip("/").removesuffix("/v3")
    return httpx.Request("POST", base + target, headers=headers, json={"auth": auth})
