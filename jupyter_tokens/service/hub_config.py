"""The lines that a hub's configuration needs for the service."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

__all__ = ["hub_config"]

_ALWAYS = ("users:activity!user", "access:servers!server", "access:services!service=jupyter-tokens")
"""The scopes that a server's token always needs. The first two are JupyterHub's default."""


def hub_config(url: str, grants: Mapping[str, Any], *, external: bool) -> str:
    """Return the lines for jupyterhub_config.py.

    Parameters
    ----------
    url : str
        URL of the service for users' servers: `http://…`, `https://…` or `unix:/path`.
    grants : mapping
        `c.TokenService.grants`. The lines contain the scopes of all grants.
    external : bool
        True if the service is not started by the hub.
    """
    named = [scope for grant in grants.values() for scope in grant.get("scopes", ())]
    scopes = list(dict.fromkeys([*_ALWAYS, *named]))
    definition = {"description": "Use a profile of jupyter_tokens"}
    custom = {scope: definition for scope in named if scope.startswith("custom:")}
    kind, _, path = url.partition(":")
    base_url = f"http+unix://{quote(path, safe='')}" if kind == "unix" else url.rstrip("/")
    service_url = f"{base_url}/services/jupyter-tokens"
    service: dict[str, Any] = {"name": "jupyter-tokens"}
    if kind != "unix":
        service["url"] = url
        # The page only learns names and groups of users, so the hub need not ask the users for consent.
        service["oauth_no_confirm"] = True
    if not external:
        socket = ["--socket", path] if kind == "unix" else []
        service["command"] = [sys.executable, "-m", "jupyter_tokens.cli.app", "service", "--managed", *socket]
        # The hub passes almost nothing of its own environment on.
        service["environment"] = {"JUPYTER_CONFIG_DIR": "/etc/jupyter-tokens"}
        service["user"] = "jupyter-tokens"
    lines = [
        "# jupyter_tokens: the service, and what users' servers need to reach it (docs/hub.md).",
        f"c.JupyterHub.services.append({_literal(service)})",
        (
            "# All users may send requests; c.TokenService.grants decides who gets tokens.\n"
            "# If you already have a role `user`, add access:services!service=jupyter-tokens to its scopes instead."
        ),
        f"c.JupyterHub.load_roles.append({_literal({'name': 'user', 'scopes': ['self', _ALWAYS[2]]})})",
        f"c.Spawner.server_token_scopes = {_literal(scopes)}",
        f"c.Spawner.environment.update({_literal({'JUPYTER_TOKENS_SERVICE_URL': service_url})})",
    ]
    if custom:
        lines += [
            "# Grant these scopes to users and groups, each scope by a separate role.",
            f"c.JupyterHub.custom_scopes.update({_literal(custom)})",
        ]
    return "\n".join(lines) + "\n"


def _literal(value: Any) -> str:
    """Format a value as Python code; a mapping with one entry per line."""
    if isinstance(value, Mapping):
        inner = [f"    {_json(key)}: {_json(part)}," for key, part in value.items()]
        return "\n".join(["{", *inner, "}"])
    return _json(value)


def _json(value: Any) -> str:
    # Strings, lists and mappings in JSON are valid Python.
    return repr(value) if isinstance(value, bool) else json.dumps(value, ensure_ascii=False)
