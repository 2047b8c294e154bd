"""Records in Redis or Valkey, for the replicas of a service: encrypted, under opaque names.

Each record is a hash: the field `sealed` contains its facts, encrypted together with kind and name, and the other
fields are its marks. Anyone who can write to Redis can delete a record, or restore an older version of it. This can
undo a revocation until the lease ends (the end of the lease is encrypted as well), but gives nobody else access.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import Busy
from ...protocol.proof import WINDOW_SECONDS, Proof, ProofRefused
from ...protocol.records import MAX_EVENTS, Record, Records
from .base import StoreUnavailable

if TYPE_CHECKING:
    from .redis import RedisStore

__all__ = ["RedisRecords"]

_PREFIX = "jupyter-tokens:"
_EVENTS = f"{_PREFIX}events"
_SEALED = b"sealed"
_NONCE_SECONDS = 2 * WINDOW_SECONDS + 1
"""How long a proof can be valid, in seconds: its time may be one window ahead of the clock, or one window behind."""
_RETRY_SECONDS = 10.0
_SCANNED = 1000
# Sets marks only if the record exists: a mark alone would never expire.
_MARK = """
if redis.call('HEXISTS', KEYS[1], 'sealed') == 0 then return 0 end
for field = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[field], ARGV[field + 1]) end
if ARGV[1] ~= '' then redis.call('HINCRBY', KEYS[1], ARGV[1], 1) end
return 1
"""
# Writes a record under the first key's name. A record under an older key's name is renamed, to keep its marks.
_WRITE = """
for old = 2, #KEYS do
    if redis.call('EXISTS', KEYS[old]) == 1 then redis.call('RENAMENX', KEYS[old], KEYS[1]) end
end
if ARGV[3] == 'new' and redis.call('HEXISTS', KEYS[1], 'sealed') == 1 then return 0 end
redis.call('HSET', KEYS[1], 'sealed', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
_T = TypeVar("_T")


class RedisRecords(Records):
    """Records under keys that begin with `jupyter-tokens:`.

    Parameters
    ----------
    store : RedisStore
        Provides the connection, which is not used for 10 s after a failure.
    keys : sequence of bytes
        The installation's keys. Records are encrypted and named with the first key, and found and decrypted with all.
    """

    blocks = True

    def __init__(self, store: RedisStore, keys: Sequence[bytes]) -> None:
        from cryptography.fernet import Fernet, InvalidToken, MultiFernet  # noqa: PLC0415 (40 ms)

        self._store = store
        self._redis = store.client
        self._mark = self._redis.register_script(_MARK)
        self._write = self._redis.register_script(_WRITE)
        self._names = [hmac.digest(key, b"name of a record", hashlib.sha256) for key in keys]
        seals = [hmac.digest(key, b"seal of a record", hashlib.sha256) for key in keys]
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(seal)) for seal in seals])
        self._damage = InvalidToken

    def add(self, kind: str, name: str, facts: Mapping[str, Any], *, seconds: float) -> bool:
        return self._write_record(kind, name, facts, seconds, "new")

    def put(self, kind: str, name: str, facts: Mapping[str, Any], *, seconds: float) -> None:
        self._write_record(kind, name, facts, seconds, "any")

    def mark(self, kind: str, name: str, marks: Mapping[str, float], *, counts: str = "") -> None:
        pairs = [part for mark in marks.items() for part in mark]
        # The name of the first key comes last, because a write may rename the record to it meanwhile.
        for key in reversed(self._keys(kind, name)):
            self._call(lambda key=key: self._mark(keys=[key], args=[counts, *pairs]))  # type: ignore[misc]

    def get(self, kind: str, name: str) -> Record | None:
        keys = self._keys(kind, name)
        # A record under the first key's name counts, even if a replica without this key still writes under an older
        # key's name. The first name is tried again at the end, because a write may have renamed the record meanwhile.
        for key in [*keys, *(keys[:1] if len(keys) > 1 else ())]:
            found = self._open(kind, key, self._call(lambda key=key: self._read(key)))  # type: ignore[misc]
            if found is not None:
                return found
        return None

    def all(self, kind: str) -> list[Record]:
        def read_all() -> list[tuple[bytes, Mapping[bytes, bytes]]]:
            keys = list(self._redis.scan_iter(match=f"{_PREFIX}{kind}:*", count=_SCANNED))
            return [(key, self._read(key)) for key in keys]

        found = [self._open(kind, key.decode(), fields) for key, fields in self._call(read_all)]
        return [record for record in found if record is not None]

    def append(self, event: Mapping[str, Any]) -> None:
        sealed = self._fernet.encrypt(json.dumps(event).encode())

        def append() -> None:
            with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.lpush(_EVENTS, sealed)
                pipeline.ltrim(_EVENTS, 0, MAX_EVENTS - 1)
                pipeline.execute()

        self._call(append)

    def events(self) -> list[Mapping[str, Any]]:
        found = [self._decrypt(sealed) for sealed in self._call(lambda: self._redis.lrange(_EVENTS, 0, -1))]
        return [event for event in found if event is not None]

    def spend(self, name: str, proof: Proof) -> None:
        """See `Records.spend`. Unlike in memory, the number of nonces is not limited."""
        key = f"{self._keys('nonce', name)[0]}:{proof.nonce}"
        if not self._call(lambda: self._redis.set(key, 1, nx=True, px=_ms(_NONCE_SECONDS))):
            raise ProofRefused("replayed")

    def close(self) -> None:
        self._store.close()

    def _keys(self, kind: str, name: str) -> list[str]:
        text = f"{kind}\0{name}".encode()
        return [f"{_PREFIX}{kind}:{hmac.digest(key, text, hashlib.sha256).hex()[:40]}" for key in self._names]

    def _write_record(self, kind: str, name: str, facts: Mapping[str, Any], seconds: float, mode: str) -> bool:
        keys, values = self._keys(kind, name), [self._encrypt(kind, name, facts), _ms(seconds), mode]
        return bool(self._call(lambda: self._write(keys=keys, args=values)))

    def _encrypt(self, kind: str, name: str, facts: Mapping[str, Any]) -> bytes:
        return self._fernet.encrypt(json.dumps({"kind": kind, "name": name, "facts": facts}).encode())

    def _read(self, key: str | bytes) -> Mapping[bytes, bytes]:
        try:
            return self._redis.hgetall(key)  # type: ignore[no-any-return]
        except self._store.damage:
            return {}

    def _open(self, kind: str, key: str, fields: Mapping[bytes, bytes]) -> Record | None:
        content = self._decrypt(fields.get(_SEALED, b""))
        # The name is part of the encrypted content, so that a record cannot be moved to another name.
        if content is None or content.get("kind") != kind or key not in self._keys(kind, content["name"]):
            return None
        marks = {name.decode(): _number(value) for name, value in fields.items() if name != _SEALED}
        return Record(content["facts"], marks)

    def _decrypt(self, sealed: bytes) -> dict[str, Any] | None:
        try:
            content: dict[str, Any] = json.loads(self._fernet.decrypt(sealed))
        except self._damage:
            return None
        return content

    def _call(self, operation: Callable[[], _T]) -> _T:
        try:
            return self._store.call(operation)
        except StoreUnavailable as problem:
            why = str(problem)
        raise Busy(
            f"The records that this service's replicas share cannot be reached: {why}.", retry_after=_RETRY_SECONDS
        )


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def _number(value: bytes) -> float:
    """Convert a mark to a number. A damaged mark counts as 1, so that a revoked handle stays revoked."""
    try:
        return float(value)
    except ValueError:
        return 1.0
