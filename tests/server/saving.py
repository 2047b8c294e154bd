"""Saving a notebook as a front end does, on a server that scans what is saved and holds a token."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse
from traitlets.config import Config

from jupyter_tokens.server.app import TokensExtension

Save = Callable[..., Awaitable[HTTPResponse]]


@pytest.fixture
def mode() -> str:
    return "redact"


@pytest.fixture
def jp_server_config(jp_server_config: Config, mode: str) -> Config:
    jp_server_config.TokensExtension.scan_on_save = mode
    return jp_server_config


@pytest.fixture
def save(jp_serverapp: Any, http_server_client: Any, jp_auth_header: dict[str, str], jp_base_url: str) -> Save:
    async def save(content: Any, name: str = "a.ipynb", **model: Any) -> HTTPResponse:
        body = {"type": "notebook", "format": "json", "content": content, **model}
        response: HTTPResponse = await http_server_client.fetch(
            f"{jp_base_url}api/contents/{name}",
            method="PUT",
            body=json.dumps(body),
            headers=jp_auth_header,
            raise_error=False,
        )
        return response

    return save


@pytest.fixture
def value(extension: TokensExtension, profiles: Any) -> str:
    """A token that the server holds."""
    return extension.source.get(extension.source.key("oneaccess")).reveal()
