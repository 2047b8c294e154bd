"""Tokens on the workers of an engine: `processes`, `dask`, `ray`, `spark`. See docs/workers.md.

Each module needs its engine installed, and is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = ["dask", "processes", "ray", "spark"]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f".{name}", __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
