"""Short-lived cloud tokens for Jupyter notebooks; no secret ever appears in the notebook.

This module exports the public names. Each name is imported when it is first used, so importing the package is cheap.
"""

from __future__ import annotations

from ._version import __version__

# Type checkers know this name. To import it from `typing` would take most of this module's import time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from . import workers
    from .client import Client, aget_token, create_token, get_token, issue_handle, revoke_handle
    from .errors import LoginNeeded, TokenError
    from .token import Token
    from .widgets.panel import TokenCard, TokenPanel

__all__ = [
    "Client",
    "LoginNeeded",
    "Token",
    "TokenCard",
    "TokenError",
    "TokenPanel",
    "__version__",
    "aget_token",
    "create_token",
    "get_token",
    "issue_handle",
    "revoke_handle",
    "workers",
]

_HOMES = {
    "Client": "client",
    "LoginNeeded": "errors",
    "Token": "token",
    "TokenCard": "widgets.panel",
    "TokenError": "errors",
    "TokenPanel": "widgets.panel",
    "aget_token": "client",
    "create_token": "client",
    "get_token": "client",
    "issue_handle": "client",
    "revoke_handle": "client",
}


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415

    if name == "workers":
        return import_module(".workers", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics, and start redacting known secrets in outputs, for `%load_ext jupyter_tokens`."""
    from .kernel.magics import load  # noqa: PLC0415

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove the magics, and stop refreshing tokens and redacting output, for `%unload_ext jupyter_tokens`."""
    from .kernel.magics import unload  # noqa: PLC0415

    unload(shell)


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Return the module and the class of the server extension. Jupyter Server calls this function."""
    from .server.app import TokensExtension  # noqa: PLC0415

    return [{"module": "jupyter_tokens.server.app", "app": TokensExtension}]
