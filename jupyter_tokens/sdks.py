"""The formats in which unmodified SDKs and tools read credentials, from a program or from an endpoint.

The credential program is `jupyter tokens get --format …`, which the SDK runs. The credential endpoint is a route of the
Jupyter server, for SDKs in its kernels.

Sources: AWS, "Process credential provider" and "Container credential provider"; Alibaba Cloud, "Credentials URI" and
the CLI's mode External; Huawei Cloud's SDK, `PodIdentityCredentialProvider`; Microsoft, "REST endpoint reference" for
managed identities in App Service, and `az account get-access-token`; RFC 8693; Databricks' SDK, `metadata-service`;
Kubernetes, "client-go credential plugins"; Google, "Executable-sourced credentials"; git, "gitcredentials" and
"git-credential"; docker, "Credential helper protocol"; keyring, "Command-line utility". In addition, the requests that
the SDKs actually send were recorded.
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
    "EXAMPLES",
    "EXEC_VERSIONS",
    "GOOGLE_TYPES",
    "PROGRAMS",
    "SDKS",
    "SECRET_FIELD",
    "UNKNOWN_SECONDS",
    "Address",
    "Example",
    "Sdk",
    "SdkRequest",
    "google_failure",
]

DEFAULT_USER = "oauth2"
"""User name for a token in Basic authentication: GitLab and Gitea need this name, GitHub accepts any name."""
EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
"""API versions of ExecCredential; the first is the default."""
GOOGLE_TYPES = ("urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token")
"""Types of Google's subject token; the first is the default."""
UNKNOWN_SECONDS = 900.0
"""Lifetime in seconds for SDKs that need an expiry, if the API reports none. The SDKs fetch again after this time."""


class SdkRequest(NamedTuple):
    """The request of an SDK or tool.

    Attributes
    ----------
    now : float
        Seconds since the epoch.
    server : str
        The host that docker or git needs the credential for, exactly as the tool wrote it.
    user : str
        The user name for Basic authentication.
    version : str
        The API version of ExecCredential.
    token_type : str
        The type of Google's subject token.
    resource : str
        The resource that Azure's SDK requests the token for.
    """

    now: float
    server: str = ""
    user: str = DEFAULT_USER
    version: str = EXEC_VERSIONS[0]
    token_type: str = GOOGLE_TYPES[0]
    resource: str = ""


def google_failure(code: str, message: str) -> str:
    """Return a failure in the output format of Google's executables.

    Even after a failure, the executable must exit with 0. Otherwise google-auth does not show the reason.
    """
    return json.dumps({"version": 1, "success": False, "code": code, "message": message}) + "\n"


def _google_executable(token: Token, request: SdkRequest) -> str:
    output = {"version": 1, "success": True, "token_type": request.token_type, "id_token": token.reveal()}
    if token.expires_at is not None:
        output["expiration_time"] = int(token.expires_at.timestamp())
    return json.dumps(output) + "\n"


def _exec_credential(token: Token, request: SdkRequest) -> str:
    status = {"token": token.reveal()}
    if token.expires_at is not None:
        status["expirationTimestamp"] = _iso_utc(token.expires_at)
    return json.dumps({"apiVersion": request.version, "kind": "ExecCredential", "status": status}) + "\n"


def _credential_process(token: Token, _: SdkRequest) -> str:
    key = _access_key(token, "AccessKeyId", "SecretAccessKey", "SessionToken")
    expiry = {} if token.expires_at is None else {"Expiration": _iso_utc(token.expires_at)}
    return json.dumps({"Version": 1, **key, **expiry}) + "\n"


def _alibaba_external(token: Token, _: SdkRequest) -> str:
    key = _access_key(token, "access_key_id", "access_key_secret", "sts_token")
    expiry = {} if token.expires_at is None else {"expiration": _iso_utc(token.expires_at)}
    return json.dumps({"mode": "StsToken", **key, **expiry}) + "\n"


def _az(token: Token, request: SdkRequest) -> str:
    ends = int(_expiry(token, request.now).timestamp())
    return json.dumps({"accessToken": token.reveal(), "expires_on": ends, "tokenType": "Bearer"}) + "\n"


def _git(token: Token, request: SdkRequest) -> str:
    lines = [f"username={_one_line(request.user)}", f"password={_one_line(token.reveal())}"]
    if token.expires_at is not None:
        # Since git 2.40; earlier versions ignore it.
        lines.append(f"password_expiry_utc={int(token.expires_at.timestamp())}")
    return "".join(f"{line}\n" for line in lines)


def _docker(token: Token, request: SdkRequest) -> str:
    return json.dumps({"ServerURL": request.server, "Username": request.user, "Secret": token.reveal()}) + "\n"


def _keyring(token: Token, request: SdkRequest) -> str:
    return json.dumps({"username": request.user, "password": token.reveal()}) + "\n"


PROGRAMS: Mapping[str, Callable[[Token, SdkRequest], str]] = {
    "credential-process": _credential_process,
    "alibaba-external": _alibaba_external,
    "exec-credential": _exec_credential,
    "google-executable": _google_executable,
    "az": _az,
    "git": _git,
    "docker": _docker,
    "keyring": _keyring,
}
"""Functions that return a credential program's output, with a final newline, by the names of `get --format`."""


# Endpoints


class Address(NamedTuple):
    """Where an SDK in a kernel gets its credential.

    Attributes
    ----------
    url : str
        URL of the endpoint.
    secret : str
        The secret that the SDK has to present there.
    file : str
        The path of a file that the SDK reads.
    """

    url: str
    secret: str
    file: str

    @property
    def url_with_secret(self) -> str:
        """The URL with the secret in its query, for SDKs that send no header."""
        return f"{self.url}?{SECRET_FIELD}={self.secret}"


SECRET_FIELD = "key"  # noqa: S105 (a name)
"""Name of the query parameter with the secret. Not `token`, because Jupyter's own authentication reads `token`."""
Where = Literal["Authorization", "X-IDENTITY-HEADER", "query", "subject_token"]


class Sdk(NamedTuple):
    """How an SDK in a kernel gets its credential.

    Attributes
    ----------
    variables : callable
        Returns the values of the environment variables by name. The value None stands for the token itself.
    file : callable or None
        Returns the content of the file at `Address.file`; None stands for the token itself. If `file` is None, the SDK
        reads no file.
    answer : callable or None
        Returns the JSON that the endpoint answers with. If `answer` is None, there is no endpoint.
    location : str
        Where a request contains the secret: in a header, in the query, or in a form.
    rivals : tuple of str
        Variables and files that the SDK reads first, so that they override the token.
    needs : tuple of str
        Further variables that the user has to set for the SDK.
    """

    variables: Callable[[Address], Mapping[str, str | None]]
    file: Callable[[Address], str | None] | None = None
    answer: Callable[[Token, SdkRequest], Mapping[str, Any]] | None = None
    location: Where = "Authorization"
    rivals: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def _aws_answer(token: Token, request: SdkRequest) -> Mapping[str, Any]:
    key = _access_key(token, "AccessKeyId", "SecretAccessKey", "Token")
    return {**key, "Expiration": _iso_utc(_expiry(token, request.now))}


def _alibaba_answer(token: Token, request: SdkRequest) -> Mapping[str, Any]:
    key = _access_key(token, "AccessKeyId", "AccessKeySecret", "SecurityToken")
    return {"Code": "Success", **key, "Expiration": _iso_utc(_expiry(token, request.now))}


def _huawei_answer(token: Token, request: SdkRequest) -> Mapping[str, Any]:
    key = _access_key(token, "access_key_id", "secret_access_key", "security_token")
    # The SDK cannot parse a time without a fraction of seconds.
    ends = _expiry(token, request.now).astimezone(UTC)
    return {"credentials": {**key, "expiration": f"{ends:%Y-%m-%dT%H:%M:%S.%fZ}"}}


def _google_answer(token: Token, request: SdkRequest) -> Mapping[str, Any]:
    return {
        "access_token": token.reveal(),
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": max(0, round(_expiry(token, request.now).timestamp() - request.now)),
    }


def _google_file(address: Address) -> str:
    facts = {
        "type": "external_account",
        # Not in the form of Google's own audiences: with such an audience, google-auth would send the token to Google.
        "audience": "jupyter-tokens",
        "subject_token_type": GOOGLE_TYPES[0],
        "token_url": address.url,
        # google-auth reads the subject token from this file itself. The endpoint accepts the secret as subject token.
        "credential_source": {
            "file": address.file,
            "format": {"type": "json", "subject_token_field_name": SECRET_FIELD},
        },
        SECRET_FIELD: address.secret,
    }
    return json.dumps(facts)


def _azure_answer(token: Token, request: SdkRequest) -> Mapping[str, Any]:
    return {
        "access_token": token.reveal(),
        "expires_on": str(int(_expiry(token, request.now).timestamp())),
        "resource": request.resource,
        "token_type": "Bearer",
    }


def _databricks_answer(token: Token, request: SdkRequest) -> Mapping[str, Any]:
    ends = int(_expiry(token, request.now).timestamp())
    return {"access_token": token.reveal(), "token_type": "Bearer", "expires_on": ends}


def _variable_sdk(name: str) -> Sdk:
    return Sdk(lambda _: {name: None})


def _file_sdk(name: str, *, rivals: tuple[str, ...] = (), needs: tuple[str, ...] = ()) -> Sdk:
    return Sdk(lambda address: {name: address.file}, lambda _: None, rivals=rivals, needs=needs)


SDKS: Mapping[str, Sdk] = {
    "aws": Sdk(
        lambda address: {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": address.url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": address.secret,
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
        lambda address: {
            "ALIBABA_CLOUD_CREDENTIALS_URI": address.url_with_secret,
            # Otherwise, the SDK first tries the cloud's metadata service, which takes long outside the cloud.
            "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
        },
        answer=_alibaba_answer,
        location="query",
        rivals=(
            "ALIBABA_CLOUD_ACCESS_KEY_ID",
            "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
            "ALIBABA_CLOUD_ECS_METADATA",
            "~/.aliyun/config.json",
            "~/.alibabacloud/credentials",
        ),
    ),
    "huawei": Sdk(
        lambda address: {
            "HC_CONTAINER_CREDENTIALS_FULL_URI": address.url,
            "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": address.file,
        },
        lambda address: address.secret,
        _huawei_answer,
    ),
    "google": Sdk(
        lambda address: {"GOOGLE_APPLICATION_CREDENTIALS": address.file},
        _google_file,
        _google_answer,
        location="subject_token",
        # Without a project, google-auth sends the token to Google's Resource Manager to find a project.
        needs=("GOOGLE_CLOUD_PROJECT",),
    ),
    "azure": Sdk(
        lambda address: {"IDENTITY_ENDPOINT": address.url, "IDENTITY_HEADER": address.secret},
        answer=_azure_answer,
        location="X-IDENTITY-HEADER",
        rivals=("AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "IMDS_ENDPOINT", "IDENTITY_SERVER_THUMBPRINT"),
    ),
    "databricks": Sdk(
        lambda address: {
            "DATABRICKS_METADATA_SERVICE_URL": address.url_with_secret,
            "DATABRICKS_AUTH_TYPE": "metadata-service",
        },
        answer=_databricks_answer,
        location="query",
        needs=("DATABRICKS_HOST",),
    ),
    "aws-web-identity": _file_sdk(
        "AWS_WEB_IDENTITY_TOKEN_FILE", rivals=("AWS_ACCESS_KEY_ID", "AWS_PROFILE"), needs=("AWS_ROLE_ARN",)
    ),
    "huggingface": _file_sdk("HF_TOKEN_PATH", rivals=("HF_TOKEN", "HF_OIDC_RESOURCE")),
    "dashscope": _file_sdk("DASHSCOPE_API_KEY_FILE_PATH", rivals=("DASHSCOPE_API_KEY",)),
    "gh": _variable_sdk("GH_TOKEN"),
    "openai": _variable_sdk("OPENAI_API_KEY"),
}
"""The SDKs, by the names that `%gettoken --sdk` takes."""


class Example(NamedTuple):
    """Python code for a notebook cell that uses a token with an SDK.

    Attributes
    ----------
    title : str
        The name of the SDK.
    imports : str
        Its imports.
    code : callable
        Takes the base URL of the API (None if the profile sets no base URL), and returns the code after the imports.
    takes_token : bool
        Whether the code uses the variable `token`, a `Token`. If not, the code needs `%gettoken --sdk` before it.
    """

    title: str
    imports: str
    code: Callable[[str | None], str]
    takes_token: bool = False


def _openai(base_url: str | None) -> str:
    url = "" if base_url is None else f"base_url={json.dumps(base_url)}, "
    return f"client = OpenAI({url}api_key=token.as_callable())\n[model.id for model in client.models.list()]"


def _dashscope(base_url: str | None) -> str:
    url = "" if base_url is None else f"dashscope.base_http_api_url = {json.dumps(base_url)}\n"
    return f"{url}dashscope.Models.list()"


def _databricks(base_url: str | None) -> str:
    host = base_url or "https://my-workspace.cloud.databricks.com"
    return f"client = WorkspaceClient(host={json.dumps(host)})"


EXAMPLES: Mapping[str, Example] = {
    "aws": Example(
        "AWS SDK (boto3)",
        "from boto3 import Session",
        lambda _: (
            '# Then, for example: session.client("s3", region_name="…")\n'
            "session = Session()\nsession.get_credentials().method"
        ),
    ),
    "alibaba": Example(
        "Alibaba Cloud SDK",
        "from alibabacloud_credentials.client import Client",
        lambda _: (
            "# For any product: Config(credential=credentials)\n"
            "credentials = Client()\ncredentials.get_credential().type"
        ),
    ),
    "huawei": Example(
        "Huawei Cloud SDK",
        "from huaweicloudsdkcore.auth.provider import PodIdentityCredentialProvider",
        lambda _: (
            '# For any service: .with_credentials(credentials.with_project_id("…"))\n'
            "credentials = PodIdentityCredentialProvider.get_basic().get_credentials()"
        ),
    ),
    "google": Example(
        "Google Cloud SDK",
        "import os\n\nimport google.auth",
        lambda _: (
            'os.environ.setdefault("GOOGLE_CLOUD_PROJECT", "my-project")\ncredentials, project = google.auth.default()'
        ),
    ),
    "azure": Example(
        "Azure SDK",
        "from azure.identity import ManagedIdentityCredential",
        lambda _: (
            "# For any client: credential=credential\n"
            "credential = ManagedIdentityCredential()\n"
            'credential.get_token("https://management.azure.com/.default").expires_on'
        ),
    ),
    "databricks": Example("Databricks SDK", "from databricks.sdk import WorkspaceClient", _databricks),
    "huggingface": Example("Hugging Face Hub", "from huggingface_hub import HfApi", lambda _: "HfApi().whoami()"),
    "dashscope": Example("DashScope SDK", "import dashscope", _dashscope),
    "openai": Example("OpenAI SDK", "from openai import OpenAI", _openai, takes_token=True),
}
"""Examples for SDKs that are Python packages, by the names in `SDKS`."""


# The names of the fields in the responses of APIs, in lower case and without underscores.
_ID = ("accesskeyid", "access")
_SECRET = ("accesskeysecret", "secretaccesskey", "secret")
_SESSION = ("securitytoken", "sessiontoken", "ststoken")


def _access_key(token: Token, *names: str) -> dict[str, str]:
    """Return a token's access key: its id, secret and session token, under these three names.

    Raises `ParameterError` if the token is not a complete access key.
    """
    values = {name.replace("_", "").lower(): value for name, value in token.values().items()}
    found = [next((values[name] for name in known if values.get(name)), "") for known in (_ID, _SECRET, _SESSION)]
    if not all(found):
        raise ParameterError(
            "The token is not a temporary access key, which has an id, a secret and a session token.",
            hint="Use a profile whose API returns temporary access keys, such as AssumeRole.",
            profile=token.profile,
            provider=token.provider,
        )
    return dict(zip(names, found, strict=True))


def _expiry(token: Token, now: float) -> datetime:
    return token.expires_at if token.expires_at is not None else utc(now + UNKNOWN_SECONDS)


def _iso_utc(moment: datetime) -> str:
    """Return a time in ISO 8601, in UTC and without fractions of seconds: some SDKs cannot parse fractions."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _one_line(text: str) -> str:
    if any(character in text for character in "\n\r\0"):
        raise ParameterError(
            "git does not accept this user name or token: it contains a line break or a null character."
        )
    return text
