"""Tokens on the workers of a Ray cluster: a hook that Ray runs in each worker process when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..client import issue_handle

__all__ = ["runtime_env"]

_NONE: Mapping[str, Any] = {}


def runtime_env(
    profile: str,
    /,
    *,
    inject: str | bool = False,
    file: str | None = None,
    lease: float = 900.0,
    url: str | None = None,
    allow_plain: bool = False,
    params: Mapping[str, Any] = _NONE,
    **named_params: Any,
) -> dict[str, Any]:
    """Return a runtime environment in which Ray's tasks and actors can fetch a profile's tokens.

    Pass the result to `ray.init`. You can add entries: `{**runtime_env("oneaccess"), "pip": […]}`. The result contains
    a handle, which is revoked when this process ends, or earlier by `jupyter tokens handles revoke`.

    Parameters
    ----------
    profile : str
        Name of a profile.
    inject, file : optional
        In each worker, keep the token fresh in this environment variable or file: see `workers.processes.install`.
    lease, url, allow_plain, params, **named_params
        See `issue_handle`.

    Raises
    ------
    TokenError
        If the handle cannot be issued.
    ConfigurationError
        If workers would fetch tokens from another machine over plain HTTP, and `allow_plain` is False.

    Notes
    -----
    The handle is in the closure of a hook: Ray shows `env_vars` in its dashboard, APIs and logs, but not closures.
    Between machines, Ray's connections are not encrypted unless RAY_USE_TLS is set.
    """
    handle = issue_handle(profile, lease=lease, url=url, allow_plain=allow_plain, params={**params, **named_params})

    def install() -> None:
        from jupyter_tokens.workers import processes  # noqa: PLC0415 (in the worker)

        processes.install(handle, inject=inject, file=file)

    return {"worker_process_setup_hook": install}
