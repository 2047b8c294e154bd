"""Tokens on the workers of a process pool, Dask, Ray or Spark. See docs/workers.md.

Each of `processes`, `dask`, `ray` and `spark` is imported when it is first used. All but `processes` need the package
of their engine.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = ["dask", "processes", "ray", "spark"]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return import_module(f".{name}", __name__)
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("jupyter_tokens"):
            raise
        problem = f"workers.{name} needs {missing.name}: pip install 'jupyter_tokens[{name}]'"
        raise ModuleNotFoundError(problem, name=missing.name) from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
