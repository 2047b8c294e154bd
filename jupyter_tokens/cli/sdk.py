"""`jupyter tokens sdk`: the configuration that makes an unmodified SDK or tool get its tokens from a profile.

The configuration is printed on standard output, so that it can be redirected to a file; it contains no token.
Instructions are printed on standard error.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import sysconfig
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .._util.loopback import is_loopback
from ..config.files import load_profiles
from ..config.profiles import Profile
from ..errors import ConfigurationError, ParameterError
from ..sdks import DEFAULT_USER, EXEC_VERSIONS, GOOGLE_TYPES, SDKS, Address
from .command import Action
from .completion import profile_names
from .credential_helpers import parse_host
from .terminal import echo

__all__ = ["SdkApp"]

_SHIM = "This is a script: save it as {}, executable, in a folder of its own, and put that folder first on PATH. "


class _Configuration(NamedTuple):
    """A configuration, and a note about what to do with it."""

    text: str
    note: str


def _program(name: str = "jupyter-tokens") -> str:
    """Return the absolute path of a program of this installation, because SDKs may have another PATH.

    If there is no such file, return `name`.
    """
    path = Path(sysconfig.get_path("scripts"), name)
    return str(path) if path.exists() else name


def _get(profile: Profile, form: str = "value") -> list[str]:
    return [_program(), "get", profile.name, *([] if form == "value" else ["--format", form])]


def _script(*lines: str) -> str:
    return "\n".join(("#!/bin/sh", *lines)) + "\n"


# By tool


def _alibaba(profile: Profile, _: str) -> _Configuration:
    external = {
        "name": profile.name,
        "mode": "External",
        "process_command": shlex.join(_get(profile, "alibaba-external")),
    }
    return _Configuration(
        json.dumps({"current": profile.name, "profiles": [external]}, indent=2) + "\n",
        "Save it as ~/.aliyun/config.json. The library writes each temporary key into that file. In a notebook, use "
        f"%gettoken {profile.name} --sdk alibaba instead.",
    )


def _aws(profile: Profile, _: str) -> _Configuration:
    program = shlex.join(_get(profile, "credential-process"))
    text = f"[profile {shlex.quote(profile.name)}]\ncredential_process = {program}\n"
    return _Configuration(text, f"Add it to ~/.aws/config, and set AWS_PROFILE to {profile.name}.")


def _azure(profile: Profile, _: str) -> _Configuration:
    text = _script(
        "# Only account get-access-token works here.",
        'case "$1 $2" in "account get-access-token") ;; *) exit 1 ;; esac',
        f"exec {shlex.join(_get(profile, 'az'))}",
    )
    note = "AzureCliCredential and DefaultAzureCredential run it at every get_token, for any resource."
    return _Configuration(text, _SHIM.format("az") + note)


def _docker(profile: Profile, host: str) -> _Configuration:
    hosts = [parse_host(host)] if host else [parse_host(written) for written in profile.hosts]
    left = [host for host in hosts if profile.username_for(host) is None]
    if left or not hosts:
        raise _no_hosts(profile, *left[:1])
    return _Configuration(
        json.dumps({"credHelpers": dict.fromkeys(hosts, "jupyter-tokens")}, indent=2) + "\n",
        "Merge it into ~/.docker/config.json. docker looks for docker-credential-jupyter-tokens on PATH "
        f"({sysconfig.get_path('scripts')}), and shows no reason if there is no token.",
    )


def _git(profile: Profile, host: str) -> _Configuration:
    helper = f"{shlex.quote(_program('git-credential-jupyter-tokens'))} {shlex.quote(profile.name)}"
    sections = [
        # The empty entry switches off earlier helpers, which would store the token.
        f'[credential "{url}"]\n\thelper =\n\thelper = {_quoted(helper)}\n'
        for url in _urls(profile, host)
    ]
    return _Configuration("".join(sections), "Add it to ~/.gitconfig, or to .git/config of one clone.")


def _google(profile: Profile, audience: str) -> _Configuration:
    if not audience:
        raise ParameterError(
            "Google needs the audience of the workload identity provider that trusts the profile's token.",
            hint=f"Give it: jupyter tokens sdk google {profile.name} "
            "//iam.googleapis.com/projects/…/locations/global/workloadIdentityPools/…/providers/…",
        )
    executable = {"command": shlex.join(_get(profile, "google-executable")), "timeout_millis": 30_000}
    facts = {
        "type": "external_account",
        "audience": audience,
        "subject_token_type": GOOGLE_TYPES[0],
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"executable": executable},
    }
    return _Configuration(
        json.dumps(facts, indent=2) + "\n",
        "Save it, and set GOOGLE_APPLICATION_CREDENTIALS to the file, GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES to 1, "
        "and GOOGLE_CLOUD_PROJECT: without it, google-auth sends the token to the Resource Manager to find a project.",
    )


def _kubectl(profile: Profile, _: str) -> _Configuration:
    command, *arguments = _get(profile, "exec-credential")
    plugin = {"apiVersion": EXEC_VERSIONS[0], "command": command, "args": arguments, "interactiveMode": "Never"}
    lines = [f"        {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in plugin.items()]
    text = "\n".join(("users:", f"  - name: {json.dumps(profile.name)}", "    user:", "      exec:", *lines)) + "\n"
    return _Configuration(
        text,
        "Add the user to the kubeconfig (without the first line if the kubeconfig already has users:), and name this "
        "user in a context. kubectl sends a token over https only.",
    )


def _keyring(profile: Profile, host: str) -> _Configuration:
    urls = _urls(profile, host)
    known = "|".join(f"{shlex.quote(url)}|{shlex.quote(url)}/*" for url in urls)
    user = shlex.quote(profile.username_for(parse_host(urls[0])) or DEFAULT_USER)
    text = _script(
        "# Prints the token for these addresses only. pip also asks for a host without a scheme, which may mean http.",
        "options=$*",
        'while [ $# -gt 0 ] && [ "$1" != get ]; do shift; done',
        f'case "$2" in {known}) ;; *) exit 1 ;; esac',
        'case "$options" in',
        f"  *--output=json*) exec {shlex.join(_get(profile, 'keyring'))} ;;",
        f'  *"--mode creds"*) echo {user}; exec {shlex.join(_get(profile))} ;;',
        f"  *) exec {shlex.join(_get(profile))} ;;",
        "esac",
    )
    return _Configuration(
        text,
        _SHIM.format("keyring") + "Run pip or uv with --keyring-provider subprocess. uv runs it only if the URL has a "
        'user name or the index has authenticate = "always".',
    )


def _variable(name: str, profile: Profile, _: str) -> _Configuration:
    return _Configuration(
        f'export {name}="$({shlex.join(_get(profile))})"\n',
        "Run this line in sh. It sets the variable once; the token in it is not refreshed when it expires. "
        f"Use %gettoken {profile.name} in a notebook for longer work.",
    )


def _in_notebook(tool: str, profile: Profile, _: str) -> _Configuration:
    sdk = SDKS[tool]
    variables = ", ".join(sdk.variables(Address("", "", "")))
    needs = "".join(f", and set {name}" for name in sdk.needs)
    return _Configuration(
        f"%gettoken {shlex.quote(profile.name)} --sdk {tool}\n",
        f"Run this line in a notebook. It sets {variables}. Run it before the SDK is imported{needs}.",
    )


TOOLS: Mapping[str, Callable[[Profile, str], _Configuration]] = {
    "alibaba": _alibaba,
    "aws": _aws,
    "azure": _azure,
    "docker": _docker,
    "gh": partial(_variable, "GH_TOKEN"),
    "git": _git,
    "google": _google,
    "kubectl": _kubectl,
    "openai": partial(_variable, "OPENAI_API_KEY"),
    "pip": _keyring,
    "uv": _keyring,
    # These SDKs cannot run a program, and a token in a shell's variable would expire.
    **{
        tool: partial(_in_notebook, tool)
        for tool in ("aws-web-identity", "dashscope", "databricks", "huawei", "huggingface")
    },
}


def _completed(parsed_args: Any, **_: Any) -> list[str]:
    return profile_names() if getattr(parsed_args, "extra_args", None) else list(TOOLS)


class SdkApp(Action):
    """Print the configuration for one tool and profile."""

    name = "jupyter-tokens-sdk"
    description = f"""Print the configuration that makes an unmodified SDK or tool get its tokens from the profile NAME.

    TOOL is one of {", ".join(TOOLS)}. git, docker, pip and uv take a host or URL as a third argument, by default the
    hosts of the profile; google takes the audience of the workload identity provider. The configuration is on standard
    output and holds no token; what to do with it is on standard error."""
    examples = """
    jupyter tokens sdk kubectl acme > user.yaml
    jupyter tokens sdk git acme https://git.example.com >> ~/.gitconfig
    jupyter tokens sdk pip acme https://packages.example.com > ~/keyring-shim/keyring
    """
    completer = staticmethod(_completed)

    def run(self) -> int:
        if len(self.extra_args) not in {2, 3} or self.extra_args[0] not in TOOLS:
            self.fail(2, f"takes a TOOL ({', '.join(TOOLS)}) and the NAME of a profile; see --help")
        tool, name, *target = self.extra_args
        configuration = TOOLS[tool](load_profiles()[name], *target or [""])
        sys.stdout.write(configuration.text)
        sys.stdout.flush()
        echo(configuration.note)
        return 0


def _urls(profile: Profile, given: str) -> list[str]:
    """Return the base URLs to which the token may be sent: the given URL, or a URL for each of the profile's hosts."""
    written = [given] if given else [host.rpartition("@")[2] for host in profile.hosts]
    if not written:
        raise _no_hosts(profile)
    return [_url(text) for text in written]


def _url(written: str) -> str:
    host = parse_host(written)
    scheme = urlsplit(written).scheme if "://" in written else "http" if is_loopback(f"//{host}") else "https"
    url = f"{scheme}://{host}"
    if not _HOST.fullmatch(host) or not (scheme == "https" or (scheme == "http" and is_loopback(url))):
        raise ParameterError(
            f"{written[:80]!r} is not a URL that a token can be sent to: it must be https with a host, or http on "
            "loopback."
        )
    return url


_HOST = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?|\[[0-9a-f:]+\](:[0-9]{1,5})?")


def _no_hosts(profile: Profile, host: str = "") -> ConfigurationError:
    problem = f"does not have {host} in its hosts" if host else "has no hosts"
    host = host or "HOST"
    return ConfigurationError(
        f"The profile {profile.name!r} {problem}.",
        hint=f'Add it: "hosts": ["{host}"], or ["USER@{host}"] if the host needs a user name.',
    )


def _quoted(text: str) -> str:
    """Quote a value for git's configuration."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
