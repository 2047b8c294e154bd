"""Checks of the integration with Jupyter: server extension, lab extension, kernels and the hub's service."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from jupyter_client.manager import KernelManager
from jupyter_core.application import JupyterApp
from jupyter_core.paths import jupyter_config_path, jupyter_path
from jupyter_server.extension.config import ExtensionConfigManager

from ..._version import __version__
from ...errors import KernelUnknown, ServerUntrusted, TokenError
from ...protocol.hub import SERVICE_VARIABLE, TOKEN_VARIABLE, HubServer
from ...protocol.proof import CERT_VARIABLE, CLIENT_CERT_VARIABLE, URL_VARIABLE, Identity
from ...sources.remote import RemoteSource
from . import CheckResult, fail, ok, warn, within

__all__ = ["hub_service", "kernel_channels", "kernel_route", "lab_extension", "provisioner", "server_extension"]

_LAB_NAME = "jupyter-tokens"
_PROVISIONER = "jupyter-tokens"
_CHECKOUT = "0.0.0"
"""The lab extension's version if it was built in a checkout. In a wheel, it has the package's version."""
_ROUTE_SECONDS = 5.0
_NO_KERNEL = "00000000-0000-0000-0000-000000000000"


class _Server(JupyterApp):
    """Reads a Jupyter server's configuration, without starting a server."""

    name = "jupyter-server"


def server_extension() -> Iterator[CheckResult]:
    """Check whether a server of this environment would load the extension."""
    manager = ExtensionConfigManager(read_config_path=jupyter_config_path())
    enabled = manager.get_jpserver_extensions().get("jupyter_tokens")  # type: ignore[no-untyped-call]
    if enabled:
        yield ok("server extension", "enabled")
    else:
        state = "not enabled" if enabled is None else "disabled"
        yield fail("server extension", state, "jupyter server extension enable jupyter_tokens")


def lab_extension() -> Iterator[CheckResult]:
    """Check whether JupyterLab would load the side panel."""
    if find_spec("jupyterlab") is None and find_spec("notebook") is None:
        yield ok("lab extension", "JupyterLab is not installed here")
        return
    package = next(filter(Path.is_file, _under(jupyter_path("labextensions"), f"{_LAB_NAME}/package.json")), None)
    if package is None:
        yield fail("lab extension", "not installed", "install jupyter_tokens again, from a wheel")
    elif _disabled():
        yield warn("lab extension", "disabled", f"jupyter labextension enable {_LAB_NAME}")
    elif (version := _json(package).get("version")) not in {__version__, _CHECKOUT}:
        what = f"{package.parent} has version {version}, but the package has {__version__}"
        yield warn("lab extension", what, "install jupyter_tokens again, and restart the server")
    else:
        yield ok("lab extension", "installed")


def provisioner(at_start: list[str]) -> Iterator[CheckResult]:
    """Check whether variables can be set at a kernel's start. `at_start` are the profiles that need this."""
    points = entry_points(group="jupyter_client.kernel_provisioners", name=_PROVISIONER)
    other = os.environ.get("JUPYTER_DEFAULT_PROVISIONER_NAME")
    if not points:
        yield fail("kernel provisioner", "its entry point is not installed", "install jupyter_tokens again")
    elif other and other != _PROVISIONER and at_start:
        what = f"JUPYTER_DEFAULT_PROVISIONER_NAME is {other}, so nothing is injected at a kernel's start"
        yield warn("kernel provisioner", what, f"unset it, or name {_PROVISIONER} in the kernelspec")
    else:
        yield ok("kernel provisioner", "installed")


def kernel_channels() -> Iterator[CheckResult]:
    """Check whether the server's configuration encrypts the connection to kernels."""
    server = _Server()
    server.load_config_file()
    kernel = KernelManager(config=server.config)
    # Older versions of jupyter_client do not encrypt.
    if getattr(kernel, "transport_encryption", "disabled") != "disabled" or kernel.transport == "ipc":
        yield ok("kernel channels", "encrypted" if kernel.transport == "tcp" else "unix sockets")
        return
    what = (
        "not encrypted: a token that the server sends to a kernel without the extension crosses the loopback interface "
        'unencrypted (c.KernelManager.transport_encryption = "auto" encrypts it)'
    )
    yield ok("kernel channels", what)


def kernel_route(*, offline: bool) -> Iterator[CheckResult]:
    """Check whether the Jupyter server that started this process answers kernels."""
    url = os.environ.get(URL_VARIABLE)
    if not url:
        yield ok("kernel route", f"{URL_VARIABLE} is not set: this process was not started by a Jupyter server")
        return
    if offline:
        yield ok("kernel route", f"{URL_VARIABLE} is set; not checked (--offline)")
        return
    timeout_error = TokenError(f"the server does not answer within {_ROUTE_SECONDS:g} s")
    [answer] = within(_ROUTE_SECONDS, [partial(_request_as_unknown_kernel, url)], timeout_error)
    # A server with the extension answers that there is no such kernel.
    if isinstance(answer, KernelUnknown):
        yield ok("kernel route", f"{url} answers")
        return
    hint = answer.hint if isinstance(answer, ServerUntrusted) else ""
    do = hint or "start Jupyter again, with the server extension enabled"
    yield fail("kernel route", f"{answer.message.rstrip('.')} ({url})", do)


def hub_service(*, offline: bool) -> Iterator[CheckResult]:
    """Under a hub with a token service, check whether the service answers, and which profiles it grants."""
    url, token = os.environ.get(SERVICE_VARIABLE), os.environ.get(TOKEN_VARIABLE)
    if not url:
        return
    if not token:
        yield fail(
            "hub service", f"{SERVICE_VARIABLE} is set, but not {TOKEN_VARIABLE}", "start this server from the hub"
        )
        return
    if offline:
        yield ok("hub service", f"{url}; not checked (--offline)")
        return
    [answer] = within(
        _ROUTE_SECONDS,
        [partial(_granted_profiles, HubServer(url, token))],
        TokenError(f"no answer within {_ROUTE_SECONDS:g} s"),
    )
    if isinstance(answer, TokenError):
        do = answer.hint.rstrip(".") or "tell your administrator"
        yield fail("hub service", f"{answer.message.rstrip('.')} ({url})", do)
    else:
        yield ok("hub service", f"{url} grants you {', '.join(answer) or 'nothing'}")


def _granted_profiles(server: HubServer) -> list[str]:
    with closing(RemoteSource(server)) as source:
        return [entry.name for entry in source.entries()]


def _request_as_unknown_kernel(url: str) -> NoReturn:
    identity = Identity(url, os.environ.get(CERT_VARIABLE), _NO_KERNEL, b"doctor", CLIENT_CERT_VARIABLE in os.environ)
    RemoteSource(identity).entries()
    raise TokenError("the server accepts a kernel that does not exist")


def _disabled() -> bool:
    pages = [_json(file) for file in _under(jupyter_config_path(), "labconfig/page_config.json")]
    pages += [_json(file) for file in _under(jupyter_path("lab"), "settings/page_config.json")]
    disabled = [page.get("disabledExtensions") or () for page in pages]
    # In old versions of JupyterLab this is a list. An entry can also be a single plugin of the extension.
    listed = [name for names in disabled for name in names if not isinstance(names, dict) or names[name]]
    return any(name == _LAB_NAME or str(name).startswith(f"{_LAB_NAME}:") for name in listed)


def _under(folders: list[str], name: str) -> list[Path]:
    return [Path(folder) / name for folder in folders]


def _json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
