"""`jupyter tokens get` and `values`: print a token in the format that its consumer needs, or a parameter's values.

No other command prints a token.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from contextlib import closing
from typing import TYPE_CHECKING, Any

from traitlets import Bool, Enum

from ..errors import ConfigurationError, ParameterError, TokenError
from ..protocol.messages import Env, env_variables, token_value
from ..sdks import EXEC_VERSIONS, GOOGLE_TYPES, PROGRAMS, SdkRequest, google_failure
from ..sources.local import LocalSource
from ..token import Secret
from .command import Action
from .completion import profile_names, profile_then_params
from .terminal import is_interactive, one_line, progress, table, write_json

if TYPE_CHECKING:
    from ..token import Token

__all__ = ["GetApp", "ValuesApp", "param"]

_FORMATS = ("value", "env", "json", "header")
_GOOGLE = "google-executable"


class GetApp(Action):
    """Fetch a token with this user's profiles and print it."""

    name = "jupyter-tokens-get"
    description = """Fetch the token of a PROFILE and print it, and nothing else, on standard output.

    Parameters (name=value) have the vendor's own names; they add to or override the profile's parameters. The command
    fetches the token itself, with this user's profiles and secrets, whether or not a Jupyter server is running. A fresh
    token in the store that your processes share is used without a call to the API. Exit code: 0; 2 for wrong usage, an
    invalid profile or a missing secret; 1 for any other error, such as an error of the API or the network. With
    --format google-executable, these errors are printed as JSON and the exit code is 0, as google-auth requires."""
    examples = """
    jupyter tokens get oneaccess
    jupyter tokens get pai-dlc TargetType=job TargetId=dlc1a2b3 ExpireTime=3600
    eval "$(jupyter tokens get oneaccess --format env)"
    jupyter tokens get oneaccess --format header | curl -H @- https://acme.huaweioneaccess.com/api/v2/tenant/users
    """
    completer = staticmethod(profile_then_params)

    form = Enum(
        (*_FORMATS, *PROGRAMS),
        default_value="value",
        help="value: the token alone; env: an export of the profile's variable or variables, for sh; json: value (or "
        "several by name), headers and other facts; header: an HTTP header line. The other formats are for tools that "
        "run a credential program, see `jupyter tokens sdk`.",
    ).tag(alias="format")
    refresh = Bool(default_value=False, help="Fetch a new token even if a stored one is fresh.").tag(flag="refresh")

    def run(self) -> int:
        if not self.extra_args:
            self.fail(2, "takes the name of a PROFILE: see `jupyter tokens list`")
        if self.form != _GOOGLE:
            return self._print()
        # Google's library reads standard error as part of the output, and shows the reason of a failure only after exit
        # code 0.
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._print()
        except TokenError as error:
            sys.stdout.write(google_failure(error.reason, one_line(str(error))))
            return 0

    def _print(self) -> int:
        name, *written = self.extra_args
        # Before the fetch: if kubectl or Google requests something unsupported, no token is fetched.
        request = self._sdk_request()
        with closing(LocalSource()) as source:
            profile = source.profiles()[name]
            if self.form == "env" and profile.env is None:
                raise ConfigurationError(
                    f"The profile {name!r} has no environment variable (env).",
                    hint=f'Add env to the profile, or write: export NAME="$(jupyter tokens get {name})"',
                )
            key = source.key(name, dict(map(param, written)))
            with progress(f"asking {profile.provider.title}"):
                token = source.get(key, refresh=self.refresh)
        # The formats git, docker and keyring include a user name: use the one in the profile's first host, if any.
        user = "".join(profile.hosts[:1]).rpartition("@")[0]
        request = request._replace(user=user or request.user)
        program = PROGRAMS.get(self.form)
        sys.stdout.write(program(token, request) if program else _format(token, self.form, profile.env) + "\n")
        return 0

    def _sdk_request(self) -> SdkRequest:
        request = SdkRequest(now=time.time())
        if self.form == "exec-credential":
            return request._replace(version=_exec_version())
        if self.form == _GOOGLE:
            return request._replace(token_type=_google_type())
        if self.form == "docker" and not is_interactive():
            return request._replace(server=sys.stdin.readline().strip())
        return request


class ValuesApp(Action):
    """Request a parameter's possible values from the API of a profile."""

    name = "jupyter-tokens-values"
    description = """List the values that a PARAMETER of a PROFILE can have: instances of ModelArts and PAI-DSW, and
    application tokens of EIAM. Only ids and names are printed, no token. Your account needs the permission to list the
    values. Without a PARAMETER, the parameters whose values the API can list are printed."""
    examples = """
    jupyter tokens values modelarts instance_id
    jupyter tokens values eiam ApplicationTokenId ApplicationId=app_…
    """
    completer = staticmethod(profile_names)

    as_json = Bool(default_value=False, help="Print one JSON list.").tag(flag="json")

    def run(self) -> int:
        if not self.extra_args:
            self.fail(2, "takes the name of a PROFILE, and the PARAMETER whose values to list; see --help")
        name, *rest = self.extra_args
        with closing(LocalSource()) as source:
            provider = source.profiles()[name].provider
            if not rest:
                sys.stdout.write("".join(f"{param}\n" for param in provider.lists))
                return 0
            with progress(f"asking {provider.title}"):
                listed = source.list_values(name, rest[0], dict(map(param, rest[1:])))
        if self.as_json:
            write_json([each._asdict() for each in listed])
        elif listed:
            sys.stdout.write(table([[each.id, each.label] for each in listed]))
        return 0


def param(written: str) -> tuple[str, str]:
    """Split a parameter of the form name=value. Raises `ParameterError`."""
    name, equals, value = written.partition("=")
    if not equals or not name:
        raise ParameterError(f"{written[:80]!r} is not a parameter: write name=value.")
    return name, value


def _exec_version() -> str:
    """Return the ExecCredential version that kubectl requests, by default v1. Raises `ParameterError`."""
    info = os.environ.get("KUBERNETES_EXEC_INFO")
    if not info:
        return EXEC_VERSIONS[0]
    try:
        request = json.loads(info)
        version = request["apiVersion"] if request["kind"] == "ExecCredential" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        version = None
    if version not in EXEC_VERSIONS:
        raise ParameterError(
            "KUBERNETES_EXEC_INFO does not request a known version of ExecCredential.",
            hint=f"Set apiVersion in the kubeconfig to one of {', '.join(EXEC_VERSIONS)}.",
        )
    return str(version)


def _google_type() -> str:
    """Return the type of token that google-auth requests, by default a JWT. Raises `ParameterError`."""
    request = os.environ.get("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE") or GOOGLE_TYPES[0]
    if request not in GOOGLE_TYPES:
        raise ParameterError(
            "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE requests a type of token that is not supported.",
            hint=f"Set subject_token_type in the credential configuration to one of {', '.join(GOOGLE_TYPES)}.",
        )
    return request


def _format(token: Token, form: str, env: Env) -> str:
    if form == "json":
        return json.dumps(_to_json(token), default=_plain)
    if form == "env":
        values = [(variable, token.reveal(field)) for field, variable in env_variables(env).items()]
        return "\n".join(f"export {variable}='{_sh_quote(value)}'" for variable, value in values)
    value = token.reveal()
    if form == "header":
        return "\n".join(f"{name}: {text}" for name, text in token.headers().items())
    return value


def _sh_quote(value: str) -> str:
    """Escape a value for use between single quotes in sh."""
    return value.replace("'", "'\\''")


def _plain(value: Any) -> str:
    # Metadata can contain a secret, such as OneAccess' id_token. This format prints everything, so reveal it.
    return value.reveal() if isinstance(value, Secret) else str(value)


def _to_json(token: Token) -> dict[str, Any]:
    """Return what `%gettoken --file PATH --format json` writes, and also the token's metadata with its secrets."""
    return {
        "profile": token.profile,
        "provider": token.provider,
        "token": token_value(token),
        # A token with several values signs requests and has no headers.
        "headers": token.headers() if token.has_value and not token.fields else {},
        "obtained_at": token.obtained_at.isoformat(),
        "expires_at": token.expires_at.isoformat() if token.expires_at is not None else None,
        "metadata": dict(token.metadata),
    }
