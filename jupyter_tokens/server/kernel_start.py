"""Starts local kernels with the extension loaded, and with tokens in the variables of profiles with `inject_at_start`.

jupyter_client starts kernels through a provisioner. `TokensProvisioner` extends jupyter_client's local provisioner: it
adds an argument to the kernel's command, and environment variables. It becomes the default, unless the user has chosen
a provisioner. Kernelspecs are not changed, and no error here keeps a kernel from starting.

Two variables tell the kernel what was done. `JUPYTER_TOKENS_START` is a JSON object with the outcome by profile: "ok",
or an error in the form of the REST interface. If no profile can be read, the error is under the key "".
`JUPYTER_TOKENS_FILLED` names the variables that were filled.

A kernel with the extension loaded takes over the filled variables: it redacts their values from the start, and keeps
the tokens fresh itself. In other kernels, the server keeps the tokens fresh if the kernel's language is supported.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from itertools import dropwhile, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from ..errors import ConfigurationError, Forbidden, TimedOut, TokenError
from ..protocol.messages import Env, env_variables
from ..protocol.proof import FILLED_VARIABLE, START_VARIABLE
from .base import error_facts
from .holdings import Holding
from .kernel_push import Injector, kernel_process
from .snippets import check_value, filled_entries

if TYPE_CHECKING:
    from traitlets.config import Configurable

    from ..config.profiles import Profile, Profiles
    from ..token import Token
    from .app import TokensExtension

__all__ = ["MAX_SECONDS", "NAME", "TokensProvisioner", "set_default_provisioner"]

NAME = "jupyter-tokens"
"""Name of the provisioner's entry point. A kernelspec can choose the provisioner by this name."""
MAX_SECONDS = 5.0
"""How long a kernel's start waits for all its tokens together, in seconds."""

LOAD = "--ext=jupyter_tokens"
"""The argument that makes ipykernel load the extension, in addition to the extensions in the user's configuration."""

_PYTHON = re.compile(r"(python|pypy)[0-9.]*w?(\.exe)?", re.IGNORECASE)
_MODULES = {("-m", "ipykernel_launcher"), ("-m", "ipykernel")}
_FACTORY_VARIABLE = KernelProvisionerFactory.default_provisioner_name_env


def set_default_provisioner(kernels: Configurable) -> None:
    """Make `TokensProvisioner` the default provisioner, unless the user has chosen one.

    Neither reads the profiles nor creates the provisioner factory, because each would slow down the server's start.

    Parameters
    ----------
    kernels : Configurable
        The server's kernel manager.
    """
    chosen = "default_provisioner_name" in kernels.config.get("KernelProvisionerFactory", {})
    if chosen or _FACTORY_VARIABLE in os.environ or not _is_installed():
        return
    # The factory is a singleton, created with this configuration when the first kernel starts.
    kernels.config.KernelProvisionerFactory.default_provisioner_name = NAME
    if KernelProvisionerFactory.initialized():
        KernelProvisionerFactory.instance().default_provisioner_name = NAME


def _is_installed() -> bool:
    """Whether jupyter_client can find the provisioner. If it could not find its default, no kernel would start."""
    try:
        points = distribution("jupyter_tokens").entry_points
    except PackageNotFoundError:
        return False
    return bool(points.select(group=KernelProvisionerFactory.GROUP_NAME, name=NAME))


class TokensProvisioner(LocalProvisioner):
    """Starts kernels on this machine as jupyter_client does by default; adds the extension and the variables."""

    _start: _KernelStart | None = None
    _loaded_in: set[str] | None = None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        launch = await super().pre_launch(**kwargs)
        # If this server runs in a kernel of another server, it has inherited these variables.
        ours = {START_VARIABLE, FILLED_VARIABLE}
        env = {name: value for name, value in launch["env"].items() if name not in ours}
        extension = _find_extension(self)
        if extension is not None:
            path = _notebook(kwargs.get("env", {}).get("JPY_SESSION_NAME", ""), kwargs.get("cwd"))
            preset = {name for name, value in env.items() if os.environ.get(name) != value}
            self._start = _KernelStart(extension, self.parent, preset | self.kernel_spec.env.keys(), path)
            env |= await self._start.variables()
            if extension.load_in_kernels and _has_extension(launch["cmd"], env):
                launch["cmd"] = [*launch["cmd"], LOAD]
                self._loaded_in = extension.loaded_in
        launch["env"] = env
        return launch

    async def post_launch(self, **kwargs: Any) -> None:
        await super().post_launch(**kwargs)
        if self._start is not None:
            # Only now is the kernel's process known, and renewals end with the process.
            self._start.on_launched()
        if self._loaded_in is not None:
            self._loaded_in.add(self.kernel_id)

    async def cleanup(self, restart: bool = False) -> None:  # noqa: FBT002 (as in the base class)
        await super().cleanup(restart=restart)
        if self._loaded_in is not None and not restart:
            self._loaded_in.discard(self.kernel_id)


def _has_extension(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether a command runs ipykernel with a Python that has this package installed.

    The command is only inspected, not run, because it may start a container or a job on another machine. Return False
    if the answer is uncertain, for example for `conda run` or a wrapper script.
    """
    words = list(command)
    if Path(words[0]).name == "env":
        words = list(dropwhile(lambda word: "=" in word, words[1:]))
    if not words or not _PYTHON.fullmatch(Path(words[0]).name) or _MODULES.isdisjoint(pairwise(words)):
        return False
    python = shutil.which(words[0], path=env.get("PATH"))
    if python is None:
        return False
    if python == sys.executable:
        return True
    folder = Path(python).parent
    return any(
        any(prefix.glob(pattern))
        for prefix in (folder.parent, folder)
        for pattern in (
            "lib*/python*/site-packages/jupyter_tokens-*.dist-info",
            "Lib/site-packages/jupyter_tokens-*.dist-info",
        )
    )


class _KernelStart:
    """The tokens for one start of one kernel.

    `preset` are the names of the variables that the kernelspec or the caller sets; these variables are left alone.
    `path` is the path of the notebook, or "" if it is unknown.
    """

    def __init__(self, extension: TokensExtension, kernel: Any, preset: set[str], path: str) -> None:
        self._extension = extension
        self._kernel = kernel
        self._preset = preset
        self._path = path
        self._claimed: dict[str, str] = {}
        self._sent: dict[str, tuple[Env, Token]] = {}

    async def variables(self) -> dict[str, str]:
        """Return the variables to add to the kernel's environment. Never raises."""
        try:
            profiles = self._extension.source.profiles()
            profiles.check_readable()
        except Exception as error:
            return {START_VARIABLE: json.dumps({"": _facts(error)})}
        names = profiles.injected_at_start()
        if not names:
            return {}
        tasks = {name: asyncio.create_task(self._fill(profiles, name)) for name in names}
        await asyncio.wait(tasks.values(), timeout=MAX_SECONDS)
        filled: dict[str, str] = {}
        outcomes = {}
        for name, task in tasks.items():
            variables, outcomes[name] = _outcome(task)
            filled |= variables
            if variables:
                self._extension.activity.injected(None, name, self._kernel.kernel_id)
        entries: dict[str, Any] = {}
        for name, (env, _) in self._sent.items():
            entries |= filled_entries(env, name, {})
        return {**filled, START_VARIABLE: json.dumps(outcomes), FILLED_VARIABLE: json.dumps(entries)}

    def on_launched(self) -> None:
        """Record what the kernel holds, and renew the tokens in it if the kernel's language is supported."""
        for name, (env, token) in self._sent.items():
            kept_by = None
            try:
                injector = Injector(self._extension, self._kernel, name, {}, env)
            except TokenError as error:
                # Usually because no variable can be set later in a kernel of this language.
                self._extension.log.debug("jupyter_tokens: %s is not renewed: %s", name, error.message)
            else:
                self._extension.renewals.start(self._kernel.kernel_id, injector, token)
                kept_by = "server"
            for variable in env_variables(env).values():
                held = Holding(
                    self._kernel.kernel_id, name, variable, token.expires_at, kept_by, kernel_process(self._kernel)
                )
                self._extension.holdings.record(held)
        self._sent.clear()

    async def _fill(self, profiles: Profiles, name: str) -> dict[str, str]:
        env = profiles[name].env
        variables = self._claim_variables(profiles[name])
        served = await self._extension.get_token(name)
        values = {variable: served.token.reveal(field) for field, variable in variables.items()}
        for value in values.values():
            # The kernel would not start with a value that does not fit into the environment.
            check_value(value)
        self._sent[name] = env, served.token
        return values

    def _claim_variables(self, profile: Profile) -> dict[str, str]:
        variables = env_variables(profile.env)
        assert variables  # inject_at_start needs them
        if not profile.allows(self._kernel.kernel_name, self._paths()):
            raise Forbidden("This profile is limited to other kernels or notebooks.", unsent=True)
        for variable in variables.values():
            if variable in self._preset:
                raise ConfigurationError(
                    f"The variable {variable} is already set by the kernelspec or the client.",
                    hint="Choose another variable in the profile's env.",
                )
            first = self._claimed.get(variable, profile.name)
            if first != profile.name:
                raise ConfigurationError(
                    f"Profile {first!r} already fills the variable {variable}.",
                    hint="Choose another variable in the profile's env.",
                )
        self._claimed |= dict.fromkeys(variables.values(), profile.name)
        return variables

    def _paths(self) -> list[str]:
        """Return a list with the notebook's path relative to the server's root folder; empty if the path is unknown.

        The path comes from `self._path`, because sessions are not listed before their kernels run.
        """
        path = Path(self._path)
        if not self._path or not path.is_absolute():
            return [self._path] if self._path else []
        root = Path(self._extension.server.contents_manager.root_dir).absolute()
        return [path.relative_to(root).as_posix()] if path.is_relative_to(root) else []


def _notebook(named: str, folder: str | None) -> str:
    """Return the path of the notebook that a kernel is started for, or "".

    `named` is the path that Jupyter has joined from the kernel's folder and the session's name. The client chooses the
    name freely. If it leads to another folder, it cannot be the notebook's name, and the path is ignored.
    """
    path = Path(named)
    return "" if path.is_absolute() and folder is not None and path.parent != Path(folder) else named


def _outcome(task: asyncio.Task[dict[str, str]]) -> tuple[dict[str, str], str | dict[str, Any]]:
    """Return the variables that a profile fills, and the outcome to report to the kernel."""
    if not task.done():
        # Only this kernel stops waiting: the fetch goes on, and the next kernel gets the token.
        task.cancel()
        return {}, error_facts(
            TimedOut(f"No token within {MAX_SECONDS:g} s: the kernel was started without the token.")
        )
    error = task.exception()
    return (task.result(), "ok") if error is None else ({}, _facts(error))


def _facts(error: BaseException) -> dict[str, Any]:
    if not isinstance(error, TokenError):
        # Only the type: the error's text may contain anything.
        error = TokenError(f"An unexpected error ({type(error).__name__}).")
    return error_facts(error)


def _find_extension(provisioner: LocalProvisioner) -> TokensExtension | None:
    """Return the extension of the server that starts the kernel, found through the provisioner's parents, or None."""
    ancestor: Any = provisioner.parent
    while ancestor is not None:
        web_app = getattr(ancestor, "web_app", None)
        if web_app is not None:
            # jupyter_server keeps the extension apps here by name.
            extension: TokensExtension | None = web_app.settings.get("jupyter_tokens")
            return extension
        ancestor = getattr(ancestor, "parent", None)
    return None
