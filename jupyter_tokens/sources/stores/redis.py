"""Keeps slots in Redis or Valkey, for processes on several machines.

A process that holds a lock may seem dead, lose the lock, and then go on. So each holder gets a fence, a number that
increases. A put is refused if its fence is smaller than the fence in the slot. The clocks of machines are not compared:
Redis counts the time until the expiry.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Any, TypeVar

from ...clock import Clock
from ...errors import ConfigurationError
from .base import LockTaken, Slot, SlotContent, Store, StoreUnavailable

__all__ = ["RedisStore"]

_PREFIX = "jupyter-tokens:"
_SLOT, _LOCK, _FENCE = ":slot", ":lock", ":fence"
_IO_SECONDS = 1.0
_BREAK_SECONDS = 10.0
_LOCK_SECONDS = 5.0
"""How long a lock lasts without renewal, in seconds. The holder renews its lock. If the holder dies, the lock ends."""
_PAUSE = 0.05
_FENCE_SECONDS = 86_400
"""Seconds for which a fence is kept after its slot has expired."""
_PUT = """
local fence = 0
if redis.call('TYPE', KEYS[1]).ok == 'hash' then fence = tonumber(redis.call('HGET', KEYS[1], 'fence')) or 0 end
if fence > tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'life', ARGV[3], 'sealed', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3] + ARGV[4])
return 1
"""
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class RedisStore(Store):
    """A store in Redis, under keys that begin with `jupyter-tokens:`. After a failure, Redis is not used for 10 s.

    Parameters
    ----------
    url : str
        URL of Redis, as redis-py accepts it.
    clock : Clock
        Measures the 10 s.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        try:
            import redis  # noqa: PLC0415 (170 ms, and an extra)
        except ImportError:
            raise ConfigurationError(
                "TokenStore.url (or JUPYTER_TOKENS_STORE) is a Redis URL, which needs the package redis.",
                hint="Install it: pip install 'jupyter-tokens[redis]'",
            ) from None
        self._clock = clock
        self._failures = (redis.RedisError, OSError)
        self.damage = redis.ResponseError
        try:
            self.client: Any = redis.Redis.from_url(
                url,
                socket_connect_timeout=_IO_SECONDS,
                socket_timeout=_IO_SECONDS,
                retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
            )
        except ValueError:
            # The original error may quote the password.
            problem = ConfigurationError("TokenStore.url (or JUPYTER_TOKENS_STORE) is not a valid Redis URL.")
        else:
            options = self.client.connection_pool.connection_kwargs
            self.location = str(
                options.get("path") or f"redis://{options.get('host', 'localhost')}:{options.get('port', 6379)}"
            )
            self._put = self.client.register_script(_PUT)
            self._retry_at, self._failure_message = -inf, ""
            return
        raise problem

    def get(self, name: str) -> SlotContent | None:
        key = f"{_PREFIX}{name}{_SLOT}"

        def read() -> SlotContent | None:
            with self.client.pipeline(transaction=True) as pipeline:
                pipeline.hmget(key, "fence", "sealed")
                pipeline.pttl(key)
                try:
                    (fence, sealed), left = pipeline.execute()
                    return SlotContent(sealed, left / 1000, int(fence)) if left > 0 and sealed is not None else None
                except (self.damage, TypeError, ValueError):
                    # The slot is damaged: the next put replaces it.
                    return None

        return self.call(read)

    def put(self, name: str, sealed: bytes, *, life: float, fence: int) -> None:
        keys = [f"{_PREFIX}{name}{_SLOT}", f"{_PREFIX}{name}{_FENCE}"]
        values: list[int | bytes] = [fence, sealed, max(1, int(life * 1000)), _FENCE_SECONDS * 1000]
        if not self.call(lambda: self._put(keys=keys, args=values)):
            _log.debug("not stored, because another process has already stored a newer token")

    def drop(self, name: str) -> None:
        self.call(lambda: self.client.delete(f"{_PREFIX}{name}{_SLOT}"))

    @contextmanager
    def lock(self, name: str, *, seconds: float) -> Iterator[int]:
        lock = self.client.lock(f"{_PREFIX}{name}{_LOCK}", timeout=_LOCK_SECONDS, sleep=_PAUSE, thread_local=False)
        if not self.call(lambda: lock.acquire(blocking_timeout=seconds)):
            raise LockTaken(f"a lock in {self.location} was not free within {seconds:g} s")
        done = threading.Event()
        renewal = threading.Thread(target=self._renew, args=[lock, done], name="jupyter-tokens-lock", daemon=True)
        try:
            try:
                renewal.start()
            except RuntimeError:
                raise StoreUnavailable("this process cannot start another thread") from None
            fence: int = self.call(lambda: self._fence(name))
            yield fence
        finally:
            done.set()
            with suppress(*self._failures):
                lock.release()

    def slots(self) -> list[Slot]:
        return self.call(lambda: [slot for key in self._keys() if (slot := self._slot_info(key))])

    def clear(self) -> int:
        return sum(self.call(lambda: [int(self.client.delete(key)) for key in self._keys()]))

    def close(self) -> None:
        self.client.close()

    def call(self, operation: Callable[[], _T]) -> _T:
        """Call `operation`, which uses `client`, and return its result.

        Raises `StoreUnavailable` if the call fails. For 10 s after that, this raises `StoreUnavailable` without a call.
        """
        if self._clock.elapsed() < self._retry_at:
            raise StoreUnavailable(self._failure_message)
        try:
            return operation()
        except self._failures as failure:
            self._retry_at = self._clock.elapsed() + _BREAK_SECONDS
            # Only the error's type is named, because its text may quote what was sent.
            self._failure_message = f"a request to {self.location} failed ({type(failure).__name__})"
        raise StoreUnavailable(self._failure_message)

    def _fence(self, name: str) -> int:
        key = f"{_PREFIX}{name}{_FENCE}"
        with self.client.pipeline(transaction=True) as pipeline:
            # Each put makes the fence outlive the slot. Without a put, the fence expires by itself.
            pipeline.set(key, 0, ex=_FENCE_SECONDS, nx=True)
            pipeline.incr(key)
            return int(pipeline.execute()[1])

    def _renew(self, lock: Any, done: threading.Event) -> None:
        while not done.wait(_LOCK_SECONDS / 3):
            try:
                lock.reacquire()
            except self._failures as failure:
                # Another process may now call the API too. The fences decide whose token stays.
                _log.debug("a lock of the token store was lost: %s", type(failure).__name__)
                return

    def _keys(self) -> list[bytes]:
        return sorted(self.client.scan_iter(match=f"{_PREFIX}*{_SLOT}"))

    def _slot_info(self, key: bytes) -> Slot | None:
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.hget(key, "life")
            pipeline.hstrlen(key, "sealed")
            pipeline.pttl(key)
            try:
                life, size, left = pipeline.execute()
                name = key.decode().removeprefix(_PREFIX).removesuffix(_SLOT)
                return Slot(name, (int(life) - left) / 1000, left / 1000, size) if left > 0 else None
            except (self.damage, TypeError, ValueError):
                return None
