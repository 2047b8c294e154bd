"""Tokens on the workers of a Spark cluster: functions that install a handle in the Python worker that runs them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

import pyspark  # noqa: F401 (fails immediately if the extra is missing)

from .._util.loopback import is_loopback_host
from ..client import issue_handle, revoke_handle
from ..errors import ConfigurationError, TokenError
from ..protocol.handles import Handle
from . import processes

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["Tokens", "tokens"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_NONE: Mapping[str, Any] = {}
_log = logging.getLogger(__name__)


def tokens(
    context: SparkContext,
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
) -> Tokens:
    """Let functions that Spark runs in Python workers fetch a profile's tokens. Wrap each function with `Tokens.bound`.

    The handle is revoked by `Tokens.revoke`, at the end of a `with` block, or when this process ends. Spark only runs a
    function when a result is needed: get the results before the handle is revoked.

    Parameters
    ----------
    context : pyspark.SparkContext
        The context of the application: `spark.sparkContext`.
    profile : str
        Name of a profile.
    inject, file : optional
        In each Python worker, keep the token fresh in this environment variable or file: see
        `workers.processes.install`.
    lease, url, params, **named_params
        See `issue_handle`.
    allow_plain : bool, default False
        Whether the handle may go to other machines over unencrypted connections, and tokens over plain HTTP.

    Raises
    ------
    TokenError
        If the handle cannot be issued.
    ConfigurationError
        If the handle or tokens would go to other machines unencrypted, and `allow_plain` is False.
    """
    if not allow_plain:
        _check_encryption(context)
    all_params = {**params, **named_params}
    return Tokens(issue_handle(profile, lease=lease, url=url, allow_plain=allow_plain, params=all_params), inject, file)


class Tokens:
    """A handle for Spark's Python workers.

    Attributes
    ----------
    handle : Handle
        The handle that the workers install.
    """

    def __init__(self, handle: Handle, inject: str | bool, file: str | None) -> None:
        self.handle = handle
        self._inject = inject
        self._file = file

    def bound(self, function: Callable[_P, _R], /) -> Callable[_P, _R]:
        """Return a function that installs the handle in the process that runs it, and then calls `function`.

        Pass the result to `rdd.map`, `mapPartitions`, `udf`, `pandas_udf`, `mapInPandas` and whatever else takes a
        Python function. In `function`, `get_token` works, and so does an `auth` from the driver.

        Notes
        -----
        Spark keeps such a function in memory. If the function and what it uses are larger than 1 MiB, Spark also writes
        them to its temporary folder, which belongs to the user. Spark's other ways to pass a secret do not fit: Spark's
        web pages show `spark.executorEnv`, a file from `SparkContext.addFile` stays in the executors' folders, and
        delegation tokens are for connectors in the JVM, not for Python workers.
        """
        handle, inject, file = self.handle, self._inject, self._file

        @wraps(function)
        def run(*args: _P.args, **named: _P.kwargs) -> _R:
            from jupyter_tokens.workers.spark import install  # noqa: PLC0415 (in the worker)

            install(handle, inject, file)
            return function(*args, **named)

        return run

    def revoke(self) -> None:
        """Revoke the handle. If this raises `TokenError`, the handle ends with its lease."""
        revoke_handle(self.handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.revoke()
        except TokenError as error:
            _log.debug("%s: the handle ends with its lease: %s", self.handle.profile, error.message)


_installed: set[str] = set()


def install(handle: Handle, inject: str | bool, file: str | None) -> None:
    """Install a handle in this worker, once: Spark reuses workers, and may call this for each row."""
    if handle.id not in _installed:
        processes.install(handle, inject=inject, file=file)
        _installed.add(handle.id)


def _check_encryption(context: SparkContext) -> None:
    settings = context.getConf()
    host = settings.get("spark.driver.host", "") or ""
    encrypted = any(settings.get(name) == "true" for name in ("spark.network.crypto.enabled", "spark.ssl.rpc.enabled"))
    if not (encrypted or is_loopback_host(host) or (context.master or "").startswith("local")):
        raise ConfigurationError(
            f"The handle would go from {host} to Spark's executors over unencrypted connections, where others can read "
            "it.",
            hint="Encrypt Spark's connections (spark.authenticate and spark.network.crypto.enabled, or "
            "spark.ssl.rpc.enabled), or, on a private network, pass allow_plain=True.",
        )
