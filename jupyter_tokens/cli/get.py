"""`jupyter tokens get`: one token, in the form that its consumer takes; the one command that prints a token."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from traitlets import Bool, Enum

from ..errors import ConfigurationError, ParameterError
from ..protocol.messages import Env, value_of, variables_of
from ..sources.local import LocalSource
from ..token import Secret
from .command import Action
from .completion import profile_then_params
from .terminal import progress

if TYPE_CHECKING:
    from ..token import Token

__all__ = ["GetApp"]

_FORMATS = ("value", "env", "json", "header", "exec-credential")
_EXEC_INFO = "KUBERNETES_EXEC_INFO"
_EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


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
        _FORMATS,
        default_value="value",
        help="value: the token alone; env: an export of the profile's variable or variables, for sh; json: value (if "
        "there are several, each by its name), headers and what is known of it; header: an HTTP header line; "
        "exec-credential: for Kubernetes' client plug-ins.",
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
        name, *written = self.extra_args
        # What cannot be printed is not fetched either.
        version = _exec_version() if self.form == "exec-credential" else ""
        source = LocalSource()
        profile = source.profiles()[name]
        if self.form == "env" and profile.env is None:
            raise ConfigurationError(
                f"The profile {name!r} names no variable (env).",
                hint=f'Add env to it, or write: export NAME="$(jupyter tokens get {name})"',
            )
        key = source.key(name, dict(map(_param, written)))
        try:
            with progress(f"asking {profile.provider.title}"):
                token = source.get(key, refresh=self.refresh)
        finally:
            source.close()
        sys.stdout.write(_printed(token, self.form, profile.env, version) + "\n")
        return 0


def _param(written: str) -> tuple[str, str]:
    name, equals, value = written.partition("=")
    if not equals or not name:
        raise ParameterError(f"{written[:80]!r} is no parameter: write name=value.")
    return name, value


def _exec_version() -> str:
    """The version that kubectl asks for; the present one where it does not say. Raises `ParameterError`."""
    info = os.environ.get(_EXEC_INFO)
    if not info:
        return _EXEC_VERSIONS[0]
    try:
        asked = json.loads(info)
        version = asked["apiVersion"] if asked["kind"] == "ExecCredential" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        version = None
    if version not in _EXEC_VERSIONS:
        raise ParameterError(
            f"{_EXEC_INFO} asks for no ExecCredential that is known here.",
            hint=f"Have apiVersion in the kubeconfig be one of {', '.join(_EXEC_VERSIONS)}.",
        )
    return str(version)


def _printed(token: Token, form: str, env: Env, version: str) -> str:
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
    if form == "exec-credential":
        status = {"token": value}
        if token.expires_at is not None:
            status["expirationTimestamp"] = f"{token.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        return json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})
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
