"""Short-lived cloud tokens for notebooks, without a secret ever standing in the notebook.

The face of the package: names only. Every import is lazy, so that importing it costs next to nothing.
"""

from __future__ import annotations

from ._version import __version__

# As type checkers know it, without importing typing, which would be most of what this module costs.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .client import aget_token, create_token, get_token
    from .errors import TokenError
    from .token import Token
    from .widgets.panel import TokenCard, TokenPanel

__all__ = ["Token", "TokenCard", "TokenError", "TokenPanel", "__version__", "aget_token", "create_token", "get_token"]

_HOMES = {
    "Token": "token",
    "TokenCard": "widgets.panel",
    "TokenError": "errors",
    "TokenPanel": "widgets.panel",
    "aget_token": "client",
    "create_token": "client",
    "get_token": "client",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext jupyter_tokens`: registers the magics."""
    from .kernel.magics import load  # noqa: PLC0415

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """`%unload_ext jupyter_tokens`: removes the magics and stops keeping tokens fresh."""
    from .kernel.magics import unload  # noqa: PLC0415

    unload(shell)


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Tells Jupyter Server of the extension."""
    from .server.app import TokensExtension  # noqa: PLC0415

    return [{"module": "jupyter_tokens.server.app", "app": TokensExtension}]
