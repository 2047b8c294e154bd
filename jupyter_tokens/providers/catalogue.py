"""The providers by id: the built-in providers, and the providers that other packages add by an entry point."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from .base import Provider

__all__ = ["ENTRY_POINT_GROUP", "installed", "provider_class", "provider_ids"]

ENTRY_POINT_GROUP = "jupyter_tokens.providers"

_BUILT_IN = {
    "static": "jupyter_tokens.providers.static:Static",
    "oauth2": "jupyter_tokens.providers.oauth2:OAuth2",
    "command": "jupyter_tokens.providers.command:Command",
    "jupyterhub": "jupyter_tokens.providers.jupyterhub:JupyterHub",
    "modelarts": "jupyter_tokens.providers.modelarts:ModelArts",
    "pai-dlc": "jupyter_tokens.providers.pai:PaiDlc",
    "oneaccess": "jupyter_tokens.providers.oneaccess:OneAccess",
    "astra": "jupyter_tokens.providers.astra:Astra",
    "eiam": "jupyter_tokens.providers.eiam:Eiam",
    "pai-dsw": "jupyter_tokens.providers.pai:PaiDsw",
    "eiam-oauth": "jupyter_tokens.providers.eiam:EiamOauth",
    "dashscope": "jupyter_tokens.providers.dashscope:DashScope",
    "huawei-iam": "jupyter_tokens.providers.huawei_iam:HuaweiIam",
    "alibaba-sts": "jupyter_tokens.providers.alibaba_sts:AlibabaSts",
    "huawei-sts": "jupyter_tokens.providers.huawei_sts:HuaweiSts",
}


@cache
def installed() -> dict[str, Any]:
    """Return the entry points of other packages' providers, by id. Ids of built-in providers are left out."""
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name not in _BUILT_IN}


def provider_ids() -> list[str]:
    """Return the ids of all providers: first of the built-in providers, then of other packages' providers."""
    return [*_BUILT_IN, *sorted(installed())]


@cache
def provider_class(provider_id: str) -> type[Provider]:
    """Return a provider's class.

    Raises KeyError for an unknown id. For another package's provider, also raises any error that its import raises,
    and TypeError if the entry point is not a subclass of `Provider`.
    """
    if provider_id in _BUILT_IN:
        module, _, name = _BUILT_IN[provider_id].partition(":")
        found = getattr(import_module(module), name)
    else:
        found = installed()[provider_id].load()
        if not (isinstance(found, type) and issubclass(found, Provider)):
            raise TypeError(f"Entry point {provider_id!r} is not a subclass of Provider.")
    return found  # type: ignore[no-any-return]
