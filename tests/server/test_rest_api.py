from __future__ import annotations

import asyncio
import re
from http import HTTPMethod
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jupyter_events.yaml import load
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tornado.web import RequestHandler

from jupyter_tokens.protocol.handles import Handle
from jupyter_tokens.protocol.proof import HEADER, prove
from jupyter_tokens.server import app
from jupyter_tokens.server.app import ROUTES, TokensExtension

from ..sampling import first
from .conftest import Kernel

HANDLE = Handle("oneaccess", (), "0" * 32, b"k" * 32)
API = Path(app.__file__).parent / "rest-api.yml"
METHODS = [method.lower() for method in HTTPMethod if method.lower() not in {"options", "head", "connect", "trace"}]


def methods_of(handler: type[RequestHandler]) -> set[str]:
    """What a handler answers to."""
    own = [kind for kind in handler.__mro__ if kind not in RequestHandler.__mro__]
    return {method for method in METHODS if any(method in vars(kind) for kind in own)}


def path_of(pattern: str) -> str:
    """A route's pattern as OpenAPI writes it."""
    path = "/" + re.sub(r"\(\?P<(\w+)>(?:[^()]|\[[^]]*\])*\)", r"{\1}", pattern)
    # The rest of a path begins with its slash.
    return path.replace("}{", "}/{")


def documented() -> dict[str, dict[str, tuple[str, str] | None]]:
    """What each method of each path needs: action and resource, or None for a kernel's proof."""
    return {
        path: {
            method: (facts["x-action"], facts["x-resource"]) if facts["tags"] == ["browser"] else None
            for method, facts in described.items()
            if method in METHODS
        }
        for path, described in load(API)["paths"].items()
    }


def test_documented_is_what_is_registered(extension: TokensExtension) -> None:
    assert [tuple(entry[:2]) for entry in extension.handlers] == [*ROUTES]
    found = {path_of(pattern): methods_of(handler) for pattern, handler in ROUTES}
    assert found == {path: set(methods) for path, methods in documented().items()}


# Of the others, `negative_data_rejection` and its kin know the request better than the vendor does, to whom the
# parameters go; who gets in is test_access's business.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# What the vendors' trouble is answered with, as documented.
VENDORS = {502, 503, 504}


class _Kernel(requests.auth.AuthBase):
    """Proves each request of a kernel or a worker, whatever its body; logs in for the others."""

    def __init__(self, kernel: Kernel, login: dict[str, str], extension: TokensExtension) -> None:
        self._kernel, self._login, self._clock = kernel, login, extension.clock

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        path = str(request.path_url).partition("?")[0]
        kernel = re.search("/kernels/([^/]+)/(token|login|profiles|holdings|sdk|handles.*)$", path)
        worker = re.search("/jupyter-tokens/handles/[^/]+/token$", path)
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        facts: dict[str, Any] = {"time": int(self._clock.now()), "nonce": uuid4().hex}
        if kernel is not None:
            request.headers[HEADER] = prove(self._kernel.key, kernel[1], kernel[2], body, **facts)
        elif worker is not None:
            request.headers[HEADER] = HANDLE.prove("token", body, **facts)
        else:
            request.headers.update(self._login)
        return request


@pytest.fixture
def _quick(write_profiles: Any, profiles: Any) -> None:
    write_profiles({name: {**profile, "timeout": 5} for name, profile in profiles.items()})


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(
    ("path", "method"),
    first(((path, method) for path, methods in documented().items() for method in sorted(methods)), 8),
)
async def test_answers_as_documented(
    *,
    path: str,
    method: str,
    kernel: Kernel,
    extension: TokensExtension,
    jp_auth_header: dict[str, str],
    jp_base_url: str,
    http_server_client: Any,
) -> None:
    """schemathesis: no 5xx but the documented ones of the vendors, no undocumented answer."""
    extension.allow_edit = True
    owner = "user" if "kernels" not in path else f"kernel {kernel.id}"
    extension.handles.issue(owner, handle_id=HANDLE.id, key=HANDLE.key.hex(), profile=HANDLE.profile, params={})
    schema = schemathesis.openapi.from_path(API)
    schema.config.update(base_url=http_server_client.get_url(jp_base_url).rstrip("/"))
    operation = schema[path][method.upper()]
    known = {"name": ["oneaccess", "astra", "pai-dlc", "wrong", "nobody"], "kernel_id": [kernel.id]}
    known["handle_id"] = [HANDLE.id]
    login = _Kernel(kernel, jp_auth_header, extension)
    asked: list[int] = []

    def one(case: Any) -> None:
        # Half of the time what exists, or nothing behind the first check would ever be reached.
        for name, values in known.items():
            if name in (case.path_parameters or {}) and len(asked) % 2:
                case.path_parameters[name] = values[len(asked) // 2 % len(values)]
        if isinstance(case.body, dict) and "profile" in case.body and len(asked) % 2:
            case.body["profile"] = known["name"][len(asked) // 2 % 5]
        response = case.call(auth=login, timeout=300)
        asked.append(response.status_code)
        checks = CHECKS[1:] if response.status_code in VENDORS else CHECKS
        case.validate_response(response, checks=checks)

    def run() -> None:
        limits = settings(
            max_examples=40,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        limits(given(case=operation.as_strategy())(one))()

    await asyncio.to_thread(run)
    assert asked
