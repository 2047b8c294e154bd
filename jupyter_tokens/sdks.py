"""What unmodified SDKs and tools read: the output of a credential program, and the answer of a credential endpoint.

A program is started by the SDK, and is `jupyter tokens get --format …`. An endpoint is asked over HTTP, and is the
Jupyter server, for the SDKs in its kernels.

Sources: AWS, "Process credential provider" and "Container credential provider"; Alibaba Cloud, "Credentials URI" and
the CLI's mode External; Huawei Cloud's SDK, `PodIdentityCredentialProvider`; Microsoft, "REST endpoint reference" for
managed identities in App Service, and `az account get-access-token`; RFC 8693; Databricks' SDK, `metadata-service`;
Kubernetes, "client-go credential plugins"; Google, "Executable-sourced credentials"; git, "gitcredentials" and
"git-credential"; docker, "Credential helper protocol"; keyring, "Command-line utility". What the SDKs really send and
take was recorded from them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .clock import utc
from .errors import ParameterError

if TYPE_CHECKING:
    from .token import Token

__all__ = [
    "DEFAULT_USER",
    "EXEC_VERSIONS",
    "GOOGLE_TYPES",
    "PROGRAMS",
    "SDKS",
    "SECRET_FIELD",
    "UNKNOWN_SECONDS",
    "AccessKey",
    "Address",
    "Asked",
    "Sdk",
    "access_key",
    "google_failure",
]

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
    version : of an ExecCredential. token_type : of Google's subject token. resource : that Azure's SDK names.
    """

    now: float
    server: str = ""
    user: str = DEFAULT_USER
    version: str = EXEC_VERSIONS[0]
    token_type: str = GOOGLE_TYPES[0]
    resource: str = ""


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


def _credential_process(token: Token, _: Asked) -> str:
    key, ends = access_key(token), token.expires_at
    told = {"Version": 1, "AccessKeyId": key.id, "SecretAccessKey": key.secret, "SessionToken": key.session}
    return json.dumps(told if ends is None else {**told, "Expiration": _z(ends)}) + "\n"


def _alibaba_external(token: Token, _: Asked) -> str:
    key, ends = access_key(token), token.expires_at
    told = {
        "mode": "StsToken",
        "access_key_id": key.id,
        "access_key_secret": key.secret,
        "sts_token": key.session,
    }
    return json.dumps(told if ends is None else {**told, "expiration": _z(ends)}) + "\n"


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
    "credential-process": _credential_process,
    "alibaba-external": _alibaba_external,
    "exec-credential": _exec_credential,
    "google-executable": _google_executable,
    "az": _az,
    "git": _git,
    "docker": _docker,
    "keyring": _keyring,
}
"""By the names of `jupyter tokens get --format`: what the program writes to standard output, to the last newline."""


# Endpoints


class Address(NamedTuple):
    """Where an SDK in a kernel finds what it asks for.

    url : of the endpoint. secret : that an SDK shows there. file : a path for what the SDK reads from a file.
    """

    url: str
    secret: str
    file: str

    @property
    def url_with_secret(self) -> str:
        """For SDKs that send no header."""
        return f"{self.url}?{SECRET_FIELD}={self.secret}"


SECRET_FIELD = "key"  # noqa: S105 (a name)
"""Of a query. Jupyter's own authentication reads `token`."""
Where = Literal["Authorization", "X-IDENTITY-HEADER", "query", "subject_token"]


class Sdk(NamedTuple):
    """How an SDK in a kernel gets its credential.

    variables : the environment variables, by name; None stands for the token itself.
    file : what the file at `Address.file` holds; None stands for the token itself. Without it there is no file.
    answer : of the endpoint; without it none is asked. shown : where a request shows the secret: in a header, in the
    query, or in a form.
    rivals : variables and files that the SDK looks at first. needs : variables that it needs beside these.
    """

    variables: Callable[[Address], Mapping[str, str | None]]
    file: Callable[[Address], str | None] | None = None
    answer: Callable[[Token, Asked], Mapping[str, Any]] | None = None
    shown: Where = "Authorization"
    rivals: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def _aws_answer(token: Token, asked: Asked) -> Mapping[str, Any]:
    key = access_key(token)
    return {
        "AccessKeyId": key.id,
        "SecretAccessKey": key.secret,
        "Token": key.session,
        "Expiration": _z(_ends(token, asked.now)),
    }


def _alibaba_answer(token: Token, asked: Asked) -> Mapping[str, Any]:
    key = access_key(token)
    return {
        "Code": "Success",
        "AccessKeyId": key.id,
        "AccessKeySecret": key.secret,
        "SecurityToken": key.session,
        "Expiration": _z(_ends(token, asked.now)),
    }


def _huawei_answer(token: Token, asked: Asked) -> Mapping[str, Any]:
    key = access_key(token)
    # The SDK takes no time without a fraction.
    ends = _ends(token, asked.now).astimezone(UTC)
    return {
        "credentials": {
            "access_key_id": key.id,
            "secret_access_key": key.secret,
            "security_token": key.session,
            "expiration": f"{ends:%Y-%m-%dT%H:%M:%S.%fZ}",
        }
    }


def _google_answer(token: Token, asked: Asked) -> Mapping[str, Any]:
    return {
        "access_token": token.reveal(),
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": max(0, round(_ends(token, asked.now).timestamp() - asked.now)),
    }


def _google_file(at: Address) -> str:
    facts = {
        "type": "external_account",
        # Not of the form of Google's own, of which google-auth would ask Google with the token.
        "audience": "jupyter-tokens",
        "subject_token_type": GOOGLE_TYPES[0],
        "token_url": at.url,
        # The file itself: the secret is what our exchange takes for the token.
        "credential_source": {"file": at.file, "format": {"type": "json", "subject_token_field_name": SECRET_FIELD}},
        SECRET_FIELD: at.secret,
    }
    return json.dumps(facts)


def _azure_answer(token: Token, asked: Asked) -> Mapping[str, Any]:
    return {
        "access_token": token.reveal(),
        "expires_on": str(int(_ends(token, asked.now).timestamp())),
        "resource": asked.resource,
        "token_type": "Bearer",
    }


def _databricks_answer(token: Token, asked: Asked) -> Mapping[str, Any]:
    ends = int(_ends(token, asked.now).timestamp())
    return {"access_token": token.reveal(), "token_type": "Bearer", "expires_on": ends}


def _in_variable(name: str) -> Sdk:
    return Sdk(lambda _: {name: None})


def _in_file(name: str, *, rivals: tuple[str, ...] = (), needs: tuple[str, ...] = ()) -> Sdk:
    return Sdk(lambda at: {name: at.file}, lambda _: None, rivals=rivals, needs=needs)


SDKS: Mapping[str, Sdk] = {
    "aws": Sdk(
        lambda at: {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": at.url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": at.secret,
        },
        answer=_aws_answer,
        rivals=(
            "AWS_ACCESS_KEY_ID",
            "AWS_PROFILE",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "~/.aws/credentials",
        ),
    ),
    "alibaba": Sdk(
        lambda at: {
            "ALIBABA_CLOUD_CREDENTIALS_URI": at.url_with_secret,
            # Asked before the URI; where there is none, that takes its time.
            "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
        },
        answer=_alibaba_answer,
        shown="query",
        rivals=(
            "ALIBABA_CLOUD_ACCESS_KEY_ID",
            "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
            "ALIBABA_CLOUD_ECS_METADATA",
            "~/.aliyun/config.json",
            "~/.alibabacloud/credentials",
        ),
    ),
    "huawei": Sdk(
        lambda at: {
            "HC_CONTAINER_CREDENTIALS_FULL_URI": at.url,
            "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": at.file,
        },
        lambda at: at.secret,
        _huawei_answer,
    ),
    "google": Sdk(
        lambda at: {"GOOGLE_APPLICATION_CREDENTIALS": at.file},
        _google_file,
        _google_answer,
        shown="subject_token",
        # Without one, google-auth sends the token to the resource manager to learn the project.
        needs=("GOOGLE_CLOUD_PROJECT",),
    ),
    "azure": Sdk(
        lambda at: {"IDENTITY_ENDPOINT": at.url, "IDENTITY_HEADER": at.secret},
        answer=_azure_answer,
        shown="X-IDENTITY-HEADER",
        rivals=("AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "IMDS_ENDPOINT", "IDENTITY_SERVER_THUMBPRINT"),
    ),
    "databricks": Sdk(
        lambda at: {
            "DATABRICKS_METADATA_SERVICE_URL": at.url_with_secret,
            "DATABRICKS_AUTH_TYPE": "metadata-service",
        },
        answer=_databricks_answer,
        shown="query",
        needs=("DATABRICKS_HOST",),
    ),
    "aws-web-identity": _in_file(
        "AWS_WEB_IDENTITY_TOKEN_FILE", rivals=("AWS_ACCESS_KEY_ID", "AWS_PROFILE"), needs=("AWS_ROLE_ARN",)
    ),
    "huggingface": _in_file("HF_TOKEN_PATH", rivals=("HF_TOKEN", "HF_OIDC_RESOURCE")),
    "dashscope": _in_file("DASHSCOPE_API_KEY_FILE_PATH", rivals=("DASHSCOPE_API_KEY",)),
    "gh": _in_variable("GH_TOKEN"),
    "openai": _in_variable("OPENAI_API_KEY"),
}
"""By the names of `%gettoken --sdk`."""


class AccessKey(NamedTuple):
    """A temporary access key: its id, its secret and the session token beside them."""

    id: str
    secret: str
    session: str


# By what each API calls them, without its spelling.
_ID = ("accesskeyid", "access")
_SECRET = ("accesskeysecret", "secretaccesskey", "secret")
_SESSION = ("securitytoken", "sessiontoken", "ststoken")


def access_key(token: Token) -> AccessKey:
    """The access key that a token is. Raises `ParameterError` if it is none, or not a whole one."""
    values = {name.replace("_", "").lower(): value for name, value in token.values().items()}
    found = [next((values[name] for name in names if values.get(name)), "") for names in (_ID, _SECRET, _SESSION)]
    if not all(found):
        raise ParameterError(
            "The token is no temporary access key: that has an id, a secret and a session token.",
            hint="Use a profile whose API returns one, such as an AssumeRole.",
            profile=token.profile,
            provider=token.provider,
        )
    return AccessKey(*found)


def _ends(token: Token, now: float) -> datetime:
    return token.expires_at if token.expires_at is not None else utc(now + UNKNOWN_SECONDS)


def _z(moment: datetime) -> str:
    """ISO 8601 in UTC without a fraction of seconds, on which some SDKs choke."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _in_one_line(text: str) -> str:
    if any(character in text for character in "\n\r\0"):
        raise ParameterError("A line break cannot be part of what a credential helper says.")
    return text
