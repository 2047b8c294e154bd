"""Every route below the server's base URL: its handler, and the permission that each of its methods needs.

The handlers enforce these by jupyter_server's own decorators. Tests hold the handlers and rest-api.yml to this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .base import INJECT, PROFILES, PROXY, TOKENS, TokensHandler
from .handlers import (
    HoldingsHandler,
    InjectHandler,
    InjectionHandler,
    ProfileHandler,
    ProfilesHandler,
    ProvidersHandler,
    TokenHandler,
)
from .kernel_handlers import KernelHoldingsHandler, KernelProfilesHandler, KernelTokenHandler
from .vendor_proxy import VendorProxyHandler

__all__ = ["ROUTES", "Route"]


class Route(NamedTuple):
    """One path.

    permissions : by each method that the handler has, action and resource; None if the kernel's proof takes the place
    of a login.
    """

    pattern: str
    handler: type[TokensHandler]
    permissions: Mapping[str, tuple[str, str] | None]


_PROFILE = r"jupyter-tokens/profiles/(?P<name>[^/]+)"
_KERNEL = r"jupyter-tokens/kernels/(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)"

ROUTES = (
    Route(r"jupyter-tokens/profiles", ProfilesHandler, {"get": ("read", PROFILES)}),
    Route(r"jupyter-tokens/providers", ProvidersHandler, {"get": ("read", PROFILES)}),
    Route(
        _PROFILE,
        ProfileHandler,
        {"get": ("read", PROFILES), "put": ("write", PROFILES), "delete": ("write", PROFILES)},
    ),
    Route(_PROFILE + "/token", TokenHandler, {"post": ("write", TOKENS), "delete": ("write", TOKENS)}),
    Route(r"jupyter-tokens/holdings", HoldingsHandler, {"get": ("read", INJECT)}),
    Route(_KERNEL + "/inject", InjectHandler, {"post": ("execute", INJECT)}),
    Route(_KERNEL + r"/inject/(?P<injection_id>[0-9a-f]{32})", InjectionHandler, {"get": ("read", INJECT)}),
    Route(
        r"jupyter-tokens/proxy/(?P<name>[^/]+)(?P<path>/.*)",
        VendorProxyHandler,
        {"get": ("read", PROXY), "post": ("write", PROXY)},
    ),
    Route(_KERNEL + "/token", KernelTokenHandler, {"post": None}),
    Route(_KERNEL + "/profiles", KernelProfilesHandler, {"post": None}),
    Route(_KERNEL + "/holdings", KernelHoldingsHandler, {"post": None}),
)
