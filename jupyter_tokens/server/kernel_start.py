"""Gives new local kernels the variables of the profiles that say `inject_at_start`; never keeps a kernel from starting.

jupyter_client starts a kernel through a provisioner. Ours is its local one with a richer environment, and becomes the
default wherever the user has not chosen another; kernelspecs stay as they are. What happened is told to the kernel in
`JUPYTER_TOKENS_START`, a JSON object by profile: "ok", or an error as the REST interface tells it.
"""

from __future__ import annotations

import asyncio
import json
import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from ..errors import ConfigurationError, Forbidden, TimedOut, TokenError
from ..proof import START_VARIABLE
from .base import error_facts
from .holdings import Holding, holdings_of
from .snippets import check_value

if TYPE_CHECKING:
    from traitlets.config import Configurable

    from ..profiles import Profile, Profiles
    from .app import TokensExtension

__all__ = ["MOST_SECONDS", "NAME", "TokensProvisioner", "become_default"]

NAME = "jupyter-tokens"
"""Of the provisioner's entry point; a kernelspec can name it too."""
MOST_SECONDS = 5.0
"""How long a kernel's start waits for tokens, all together."""

_FACTORY_VARIABLE = KernelProvisionerFactory.default_provisioner_name_env


def become_default(kernels: Configurable) -> bool:
    """Has kernels start through `TokensProvisioner`, unless the user has chosen a default; returns whether they do.

    kernels : the server's manager of kernels. Neither profiles nor the factory are loaded for it: the one would cost
    each start of a server a tenth of a second, the other a look at the metadata of every package there is.
    """
    chosen = "default_provisioner_name" in kernels.config.get("KernelProvisionerFactory", {})
    if chosen or _FACTORY_VARIABLE in os.environ or not _is_installed():
        return False
    # The factory is a singleton that is made with this configuration when the first kernel starts.
    kernels.config.KernelProvisionerFactory.default_provisioner_name = NAME
    if KernelProvisionerFactory.initialized():
        KernelProvisionerFactory.instance().default_provisioner_name = NAME
    return True


def _is_installed() -> bool:
    """Whether jupyter_client will find the provisioner: from a mere source tree, no kernel would start."""
    try:
        points = distribution("jupyter_tokens").entry_points
    except PackageNotFoundError:
        return False
    return bool(points.select(group=KernelProvisionerFactory.GROUP_NAME, name=NAME))


class TokensProvisioner(LocalProvisioner):
    """Starts kernels on this machine, as jupyter_client does by default, with the variables of opt-in profiles."""

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """See `KernelProvisionerBase`."""
        launch = await super().pre_launch(**kwargs)
        # Of a server that runs in a kernel of another one.
        env = {name: value for name, value in launch["env"].items() if name != START_VARIABLE}
        extension = _extension_of(self)
        if extension is not None:
            path = _notebook(kwargs.get("env", {}).get("JPY_SESSION_NAME", ""), kwargs.get("cwd"))
            given = {name for name, value in env.items() if os.environ.get(name) != value}
            env |= await _Start(extension, self.parent, given | self.kernel_spec.env.keys(), path).variables()
        launch["env"] = env
        return launch


class _Start:
    """One start of one kernel.

    given : variables that the kernelspec or whoever starts the kernel sets, and that are therefore left alone.
    path : of the notebook in the file system, or "".
    """

    def __init__(self, extension: TokensExtension, kernel: Any, given: set[str], path: str) -> None:
        self._extension = extension
        self._kernel = kernel
        self._given = given
        self._path = path
        self._taken: dict[str, str] = {}

    async def variables(self) -> dict[str, str]:
        """What is to be added to the kernel's environment. Raises nothing."""
        try:
            # The first time it loads httpx and the providers, for which no one else's request should have to wait.
            await asyncio.to_thread(import_module, "jupyter_tokens.source")
            profiles = self._extension.source.profiles()
        except TokenError as error:
            return {START_VARIABLE: json.dumps({"": error_facts(error)})}
        names = profiles.at_start()
        if not names:
            return {}
        tasks = {name: asyncio.create_task(self._fill(profiles, name)) for name in names}
        await asyncio.wait(tasks.values(), timeout=MOST_SECONDS)
        filled: dict[str, str] = {}
        told = {}
        for name, task in tasks.items():
            variables, told[name] = _outcome(task)
            filled |= variables
            if variables:
                self._extension.activity.injected(None, name, self._kernel.kernel_id)
        return {**filled, START_VARIABLE: json.dumps(told)}

    async def _fill(self, profiles: Profiles, name: str) -> dict[str, str]:
        env = self._variable_of(profiles[name])
        served = await self._extension.get_token(name)
        value = served.token.reveal()
        # With what does not fit into an environment, no kernel would start.
        check_value(value)
        server = self._extension.serverapp
        assert server is not None  # it starts the kernel
        held = Holding(self._kernel.kernel_id, name, env, served.token.expires_at)
        holdings_of(server.web_app.settings).note(held)
        return {env: value}

    def _variable_of(self, profile: Profile) -> str:
        env = profile.env
        assert env is not None  # inject_at_start needs it
        if not profile.allows(self._kernel.kernel_name, self._paths()):
            raise Forbidden("This profile is limited to other kernels or notebooks.", unsent=True)
        if env in self._given:
            raise ConfigurationError(
                f"{env} is set already by the kernelspec, or by what started the kernel.", unsent=True
            )
        first = self._taken.setdefault(env, profile.name)
        if first != profile.name:
            raise ConfigurationError(f"{env} is filled by profile {first!r} already.", unsent=True)
        return env

    def _paths(self) -> list[str]:
        """The notebook as the server's clients call it. Its session is not listed before its kernel runs."""
        path = Path(self._path)
        if not self._path or not path.is_absolute():
            return [self._path] if self._path else []
        server = self._extension.serverapp
        assert server is not None  # it starts the kernel
        root = Path(server.contents_manager.root_dir).absolute()
        return [path.relative_to(root).as_posix()] if path.is_relative_to(root) else []


def _notebook(named: str, folder: str | None) -> str:
    """The notebook that a kernel starts for, or "".

    Jupyter joins the folder of the session's path and the session's name. A name that leads to another folder is not
    that of the notebook, whose path is the one that counts later on.
    """
    path = Path(named)
    return "" if path.is_absolute() and folder is not None and path.parent != Path(folder) else named


def _outcome(task: asyncio.Task[dict[str, str]]) -> tuple[dict[str, str], str | dict[str, Any]]:
    """The variables that a profile fills, and what the kernel is told of it."""
    if not task.done():
        # Of this wait only: a fetch goes on, and the next kernel finds its token.
        task.cancel()
        return {}, error_facts(TimedOut(f"No token within {MOST_SECONDS:g} s: the kernel was started without."))
    error = task.exception()
    if error is None:
        return task.result(), "ok"
    if isinstance(error, TokenError):
        return {}, error_facts(error)
    # Its text may hold anything.
    return {}, error_facts(TokenError(f"An unexpected error ({type(error).__name__})."))


def _extension_of(provisioner: LocalProvisioner) -> TokensExtension | None:
    """That of the server which starts the kernel: a provisioner is its manager's child, and that the server's."""
    above: Any = provisioner.parent
    while above is not None:
        web_app = getattr(above, "web_app", None)
        if web_app is not None:
            extension: TokensExtension | None = web_app.settings.get("jupyter_tokens_extension")
            return extension
        above = getattr(above, "parent", None)
    return None
