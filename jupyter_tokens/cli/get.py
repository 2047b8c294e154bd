"""`jupyter tokens get`: one token, in the form that its consumer takes; the one command that prints a token."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

from traitlets import Bool, Enum

from ..errors import ConfigurationError, ParameterError, TokenError
from ..protocol.messages import Env, value_of, variables_of
from ..sdks import EXEC_VERSIONS, GOOGLE_TYPES, PROGRAMS, Asked, google_failure
from ..sources.local import LocalSource
from ..token import Secret
from .command import Action
from .completion import profile_then_params
from .terminal import is_interactive, one_line, progress

if TYPE_CHECKING:
    from ..token import Token

__all__ = ["GetApp", "param"]

_FORMATS = ("value", "env", "json", "header")
_EXEC_INFO = "KUBERNETES_EXEC_INFO"
_GOOGLE = "google-executable"
_GOOGLE_TYPE = "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE"


class GetApp(Action):
    """Fetches a token with the profiles of this process, and prints it."""

    name = "jupyter-tokens-get"
    description = """Fetch the token of a PROFILE and print it, and nothing else, on standard output.

    Parameters (name=value) have the vendor's own names and add to those of the profile. It asks the vendor itself,
    with the profiles and secrets of this user, whether or not a Jupyter server runs. Exit code: 0; 1 for an error of
    the API or the network; 2 for wrong usage, a wrong profile or a secret that is not there."""
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
        help="value: the token alone; env: an export of the profile's variable or variables, for sh; json: value (if "
        "there are several, each by its name), headers and what is known of it; header: an HTTP header line. The "
        "others are for what runs a credential program, see `jupyter tokens sdk`.",
    ).tag(config=True)
    refresh = Bool(
        default_value=False, help="Ask for a new token even if one is held; from the command line none ever is."
    ).tag(config=True)

    aliases = {  # noqa: RUF012 (traitlets declares it as an instance variable)
        **Action.aliases,
        "format": "GetApp.form",
    }
    flags = {  # noqa: RUF012
        **Action.flags,
        "refresh": ({"GetApp": {"refresh": True}}, refresh.help),
    }

    def run(self) -> int:
        """See `Action`."""
        if not self.extra_args:
            self.fail(2, "takes the name of a PROFILE; `jupyter tokens list` says which there are")
        if self.form != _GOOGLE:
            return self._print()
        # Standard error is read as a part of the output, and the reason of a failure is shown only after exit code 0.
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._print()
        except TokenError as error:
            sys.stdout.write(google_failure(error.reason, one_line(str(error))))
            return 0

    def _print(self) -> int:
        name, *written = self.extra_args
        # What cannot be printed is not fetched either.
        asked = self._asked()
        source = LocalSource()
        profile = source.profiles()[name]
        if self.form == "env" and profile.env is None:
            raise ConfigurationError(
                f"The profile {name!r} names no variable (env).",
                hint=f'Add env to it, or write: export NAME="$(jupyter tokens get {name})"',
            )
        key = source.key(name, dict(map(param, written)))
        try:
            with progress(f"asking {profile.provider.title}"):
                token = source.get(key, refresh=self.refresh)
        finally:
            source.close()
        # A keyring and docker's own helpers are for one host.
        users = [user for user, _, _ in (host.rpartition("@") for host in profile.hosts[:1]) if user]
        asked = asked._replace(user=users[0]) if users else asked
        program = PROGRAMS.get(self.form)
        sys.stdout.write(program(token, asked) if program else _printed(token, self.form, profile.env) + "\n")
        return 0

    def _asked(self) -> Asked:
        asked = Asked(now=time.time())
        if self.form == "exec-credential":
            return asked._replace(version=_exec_version())
        if self.form == _GOOGLE:
            return asked._replace(token_type=_google_type())
        if self.form == "docker" and not is_interactive():
            return asked._replace(server=sys.stdin.readline().strip())
        return asked


def param(written: str) -> tuple[str, str]:
    """Name and value of a parameter that was written as name=value. Raises `ParameterError`."""
    name, equals, value = written.partition("=")
    if not equals or not name:
        raise ParameterError(f"{written[:80]!r} is no parameter: write name=value.")
    return name, value


def _exec_version() -> str:
    """The version that kubectl asks for; the present one where it does not say. Raises `ParameterError`."""
    info = os.environ.get(_EXEC_INFO)
    if not info:
        return EXEC_VERSIONS[0]
    try:
        asked = json.loads(info)
        version = asked["apiVersion"] if asked["kind"] == "ExecCredential" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        version = None
    if version not in EXEC_VERSIONS:
        raise ParameterError(
            f"{_EXEC_INFO} asks for no ExecCredential that is known here.",
            hint=f"Have apiVersion in the kubeconfig be one of {', '.join(EXEC_VERSIONS)}.",
        )
    return str(version)


def _google_type() -> str:
    """The type of token that google-auth asks for; the usual one where it does not say. Raises `ParameterError`."""
    asked = os.environ.get(_GOOGLE_TYPE) or GOOGLE_TYPES[0]
    if asked not in GOOGLE_TYPES:
        raise ParameterError(
            f"{_GOOGLE_TYPE} asks for a type of token that this program does not have.",
            hint=f"Have subject_token_type in the credential configuration be one of {', '.join(GOOGLE_TYPES)}.",
        )
    return asked


def _printed(token: Token, form: str, env: Env) -> str:
    if form == "json":
        return json.dumps(_told(token), default=_plain)
    if form == "env":
        values = token.values()
        return "\n".join(
            f"export {variable}='{values[field].replace(chr(39), _QUOTE)}'"
            for field, variable in variables_of(env).items()
        )
    value = token.reveal()
    if form == "header":
        return "\n".join(f"{name}: {text}" for name, text in token.headers().items())
    return value


_QUOTE = "'\\''"
"""A quote within quotes, as sh takes it."""


def _plain(value: Any) -> str:
    # OneAccess' id_token, which the consumer asked for with the rest.
    return value.reveal() if isinstance(value, Secret) else str(value)


def _told(token: Token) -> dict[str, Any]:
    """As the token's files of `%gettoken --format json`, and what the API said beside it, secrets included."""
    return {
        "profile": token.profile,
        "provider": token.provider,
        "token": value_of(token),
        # Requests are signed with a token of several values.
        "headers": token.headers() if token.has_value and not token.fields else {},
        "obtained_at": token.obtained_at.isoformat(),
        "expires_at": token.expires_at.isoformat() if token.expires_at is not None else None,
        "metadata": dict(token.metadata),
    }
