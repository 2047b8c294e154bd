"""`jupyter tokens service`, which a hub or systemd starts, and `hub-config`, which prints the hub's configuration."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import warnings
from pathlib import Path
from urllib.parse import urlsplit

from traitlets import Bool, Integer, Unicode

from ..config.files import load_settings
from ..errors import ConfigurationError
from ..service.hub_config import hub_config
from .command import Action
from .terminal import one_line, write_json

__all__ = ["HubConfigApp", "ServiceApp"]

_PORT = 8889


class ServiceApp(Action):
    """Serve until SIGINT or SIGTERM; print one JSON line with the URLs when ready."""

    name = "jupyter-tokens-service"
    description = """Serve the profiles of this user's configuration to the servers of a JupyterHub.

    c.TokenService.grants defines which users get tokens of which profiles. JUPYTERHUB_API_URL must be the URL of the
    hub's API. For a service that the hub starts, the hub sets this variable, and the port (JUPYTERHUB_SERVICE_URL).
    See `jupyter tokens hub-config`."""
    examples = "jupyter tokens service --port 8889\njupyter tokens service --socket /run/jupyter-tokens/service.sock"

    ip = Unicode("127.0.0.1", help="Address to serve on.").tag(alias="ip")
    port = Integer(None, min=0, max=65535, allow_none=True, help="Port to serve on; 0: a free port.").tag(alias="port")
    socket = Unicode("", help="Absolute path of a unix socket to serve on, with or without a port.").tag(alias="socket")
    managed = Bool(default_value=False, help="Exit when the hub that started this process has ended.").tag(
        flag="managed"
    )

    def run(self) -> int:
        self.refuse_arguments()
        if not os.environ.get("JUPYTERHUB_API_URL"):
            self.fail(
                2,
                "JUPYTERHUB_API_URL is not set: set it to the URL of the hub's API, for example "
                "http://127.0.0.1:8081/hub/api",
            )
        if self.socket and not Path(self.socket).is_absolute():
            self.fail(2, "--socket must be an absolute path")
        try:
            from ..service.app import TokenService  # noqa: PLC0415 (an extra)
            from ..service.serving import BindAddress, serve  # noqa: PLC0415
        except ImportError:
            raise ConfigurationError(
                "The service needs the package jupyterhub.", hint="Install it: pip install 'jupyter-tokens[hub]'"
            ) from None
        self._log_to_stderr()
        service = TokenService.configured()
        prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX") or "/services/jupyter-tokens"
        address = BindAddress(*self._address(), self.socket, prefix.rstrip("/") + "/")
        try:
            asyncio.run(serve(service, address, managed=self.managed, ready=lambda urls: write_json({"urls": urls})))
        except OSError as error:
            where = self.socket if address.port is None else f"{address.ip}:{address.port}"
            self.fail(1, f"cannot serve on {where}: {one_line(error.strerror or str(error))}")
        return 0

    def _address(self) -> tuple[str, int | None]:
        """Return the IP address and the port, from the options, else from the hub, else the defaults.

        The port is None if only a unix socket is served.
        """
        hub_url = urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL", ""))
        if self.port is not None:
            return self.ip, self.port
        if hub_url.port is not None:
            return hub_url.hostname or self.ip, hub_url.port
        return self.ip, None if self.socket else _PORT

    def _log_to_stderr(self) -> None:
        # Not the root logger: other libraries log URLs with queries.
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("[%(levelname).1s %(asctime)s] %(message)s"))
        for name in ("jupyter_tokens", "tornado"):
            logger = logging.getLogger(name)
            logger.addHandler(handler)
            logger.setLevel(logging.DEBUG if self.log_level in {logging.DEBUG, "DEBUG"} else logging.INFO)


class HubConfigApp(Action):
    """Print the lines for jupyterhub_config.py."""

    name = "jupyter-tokens-hub-config"
    description = "Print the lines for jupyterhub_config.py that `jupyter tokens service` needs."
    examples = "jupyter tokens hub-config\njupyter tokens hub-config --external --url http://127.0.0.1:8889"

    external = Bool(default_value=False, help="The service is started by systemd or similar.").tag(flag="external")
    url = Unicode(
        f"http://127.0.0.1:{_PORT}", help="URL of the service for users' servers: http://…, https://… or unix:/path."
    ).tag(alias="url")

    def run(self) -> int:
        self.refuse_arguments()
        grants = load_settings("TokenService").get("grants", {})
        if not grants:
            warnings.warn(
                "c.TokenService.grants was not found, so these lines contain no scopes of grants: run this as a user "
                "who can read the service's configuration, with JUPYTER_CONFIG_DIR set to its folder",
                stacklevel=1,
            )
        sys.stdout.write(hub_config(self.url, grants, external=self.external))
        return 0
