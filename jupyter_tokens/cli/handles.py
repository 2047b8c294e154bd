"""`jupyter tokens handle` and `handles`: write a handle for a job, and list or revoke handles.

Both send requests to a running Jupyter server of the same user.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from traitlets import Bool, Unicode

from .._util.atomic_file import replace_file
from ..errors import ConfigurationError, NetworkError, ParameterError, ServerGone, TokenError
from ..protocol.handles import Handle
from ..protocol.proof import CERT_VARIABLE, CLIENT_CERT_VARIABLE, URL_VARIABLE, Trust
from ..providers.base import Driven
from ..sources.connection import tls_context
from ..transport import Transport
from .command import Action
from .completion import profile_names
from .get import param
from .terminal import echo, table, write_json

__all__ = ["HandleApp", "HandlesApp"]

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_SECONDS = 60.0


class _ServerAction(Action):
    server = Unicode(help="URL of the Jupyter server, if several are running.").tag(alias="server")

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Send a request to the server; return the JSON of its answer, or None if it is empty. Raises `TokenError`."""
        url, token, cert = _server(self.server)
        headers = {"Authorization": f"token {token}"} if token else {}

        def exchange() -> Driven[httpx.Response]:
            return (yield httpx.Request(method, f"{url}/jupyter-tokens/{path}", json=body, headers=headers))

        try:
            with _open(cert) as pool, closing(Transport(transport=pool)) as transport:
                answer = transport.run(exchange, timeout=_SECONDS, attempts=1)
        except NetworkError as error:
            raise ServerGone(
                f"No answer from the Jupyter server at {url}: {error.message}",
                hint="Check that it is running, or give the URL of another with --server.",
            ) from None
        except OSError as error:
            raise ServerGone(
                f"The Jupyter server at {url} cannot be reached: its certificate {cert} cannot be loaded "
                f"({type(error).__name__})."
            ) from None
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            facts = answer.json()
        except ValueError:
            facts = None
        if not isinstance(facts, dict) or facts.get("reason", "http") == "http":
            raise NetworkError(
                f"The Jupyter server at {url} answered with HTTP {answer.status_code}.",
                hint="For 404, install jupyter_tokens there. For 401 or 403, set JUPYTER_TOKEN to the server's token.",
            )
        raise TokenError.from_dict(facts)


def _open(cert: str | None) -> AbstractContextManager[httpx.BaseTransport | None]:
    """Return a context with a transport that trusts only this certificate, as kernels do.

    Without a certificate, the context yields None: httpx's default transport is used.
    """
    if cert is None:
        return nullcontext()
    context = tls_context(Trust(cafile=cert), shows_cert=CLIENT_CERT_VARIABLE in os.environ)
    return httpx.HTTPTransport(verify=context)


def _server(wanted: str) -> tuple[str, str, str | None]:
    """Return the URL and token of the server to ask, and the path of its own certificate (None if it is not known).

    Raises `ConfigurationError` if neither `wanted` nor this terminal names a server, and none or several are running.
    """
    from jupyter_server.serverapp import list_running_servers  # noqa: PLC0415 (slow to load, and tab completion would wait)

    running = {server["url"].rstrip("/"): server["token"] for server in list_running_servers()}
    # In a terminal of a server, use that server.
    local_url = os.environ.get(URL_VARIABLE, "").removesuffix("/jupyter-tokens").rstrip("/")
    url = wanted.rstrip("/") or local_url
    if not url and len(running) == 1:
        [url] = running
    if not url:
        if running:
            problem = f"Several Jupyter servers are running: {', '.join(running)}."
            raise ConfigurationError(problem, hint="Choose one with --server URL.")
        raise ConfigurationError(
            "No Jupyter server is running.",
            hint="Start one. Your own processes on this machine need no handle: they use your configuration.",
        )
    # Under a hub, the running server's file contains no valid token.
    env_token = os.environ.get("JUPYTER_TOKEN") or os.environ.get("JUPYTERHUB_API_TOKEN")
    tokens = {_normalise_url(known): token for known, token in running.items()}
    cert = os.environ.get(CERT_VARIABLE) if _normalise_url(url) == _normalise_url(local_url) else None
    return url, env_token or tokens.get(_normalise_url(url), ""), cert


def _normalise_url(url: str) -> str:
    """Spell a URL as in the files of running servers (jpserver-*.json): localhost instead of 127.0.0.1."""
    return url.replace("//127.0.0.1", "//localhost")


class HandleApp(_ServerAction):
    """Write a handle to a file."""

    name = "jupyter-tokens-handle"
    description = """Get a handle for PROFILE from the running Jupyter server, and write it to a file of mode 0600.

    With a handle, a job gets the profile's tokens until the lease ends. So does anyone else who can read the file. The
    handle contains no token and none of the profile's secrets. The lease is not renewed, so choose a lease as long as
    the job. The job finds the handle through the environment variable JUPYTER_TOKENS_HANDLE. The job cannot change
    parameters (name=value) given here."""
    examples = """
    jupyter tokens handle oneaccess --lease 8h --file job.handle
    JUPYTER_TOKENS_HANDLE=job.handle python job.py
    """
    completer = staticmethod(profile_names)

    lease = Unicode("15m", help="How long the handle is valid: 90s, 15m, 8h; at most 24h.").tag(alias="lease")
    file = Unicode(help="The file to write.").tag(alias="file")

    def run(self) -> int:
        if not self.extra_args:
            self.fail(2, "takes the name of a PROFILE: see `jupyter tokens list`")
        if not self.file:
            self.fail(
                2, "--file PATH is missing: the handle is only written to a file, because it gives access to tokens"
            )

        name, *written = self.extra_args
        path, lease = Path(self.file).expanduser(), _seconds(self.lease)
        _check(path)
        handle = Handle.new(name, dict(map(param, written)))
        body = {"id": handle.id, "key": handle.key.hex(), "profile": name, "params": dict(handle.params)}
        answer = self.request("POST", "handles", {**body, "lease": lease})
        handle = replace(handle, url=answer["url"], certificate=answer["certificate"])
        try:
            replace_file(path, handle.to_json().encode())
        except OSError as error:
            self.request("DELETE", f"handles/{handle.id}")
            self.fail(2, f"{path} cannot be written: {error.strerror}")
        echo(f"The handle {handle.id} for {name} is in {path}, and valid until {answer['lease_ends_at']}.")
        return 0


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh]?)", text.strip())
    if match is None:
        raise ParameterError(f"{text[:20]!r} is not a duration: write, for example, 90s, 15m or 8h.")
    return float(match[1]) * _UNITS[match[2]]


def _check(path: Path) -> None:
    """Raise `ParameterError` unless the file is new, empty or a handle: a mistyped path must not overwrite a file."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ParameterError(f"{path} is not a regular file.", hint="Choose another path.")
    if path.exists() and path.stat().st_size:
        try:
            Handle.read(str(path))
        except ConfigurationError:
            raise ParameterError(
                f"{path} exists and is not a handle.", hint="Choose another path, or remove the file first."
            ) from None


class HandlesApp(_ServerAction):
    """List handles or revoke one."""

    name = "jupyter-tokens-handles"
    description = """List the active handles of the running Jupyter server, or revoke a handle. Workers then get no
    further tokens with this handle, but the tokens that they have stay valid until they expire."""
    examples = "jupyter tokens handles\njupyter tokens handles revoke 0123456789abcdef0123456789abcdef"

    as_json = Bool(default_value=False, help="Print one JSON object instead of a table.").tag(flag="json")

    def run(self) -> int:
        match self.extra_args:
            case []:
                self._list()
            case ["revoke", handle_id] if re.fullmatch(r"[0-9a-f]{32}", handle_id):
                self.request("DELETE", f"handles/{handle_id}")
                echo(f"The handle {handle_id} is revoked.")
            case _:
                self.fail(2, "takes either no arguments or `revoke ID`, where ID has 32 hexadecimal digits; see --help")
        return 0

    def _list(self) -> None:
        handles = self.request("GET", "handles")["handles"]
        if self.as_json:
            write_json({"handles": handles})
            return
        if not handles:
            echo("No handle is in use.")
            return
        rows = [
            (each["id"], each["profile"], each["owner"], each["lease_ends_at"], str(each["uses"])) for each in handles
        ]
        sys.stdout.write(table([("id", "profile", "owner", "valid until", "uses"), *rows]))
