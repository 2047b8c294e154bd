from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from jupyter_tokens.protocol import proof as proofs
from jupyter_tokens.protocol.proof import HEADER, WINDOW_SECONDS, Nonces, ProofRefused, ProofVerifier, prove
from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.server.kernel_proof import connection_key

from ..doubles import Clock
from .conftest import Call, told

KEY = b"key of a connection file"
ID = "11111111-2222-3333-4444-555555555555"


def made(clock: Clock, *, nonce: str | None = None, ago: float = 0.0, **other: Any) -> str:
    facts = {"key": KEY, "kernel_id": ID, "action": "token", "body": b"{}", **other}
    return prove(
        facts["key"],
        facts["kernel_id"],
        facts["action"],
        facts["body"],
        time=int(clock.now() - ago),
        nonce=nonce or uuid4().hex,
    )


def refused(gate: ProofVerifier, header: str, key: bytes | None = KEY, kernel_id: str = ID) -> str:
    with pytest.raises(ProofRefused) as caught:
        gate.check(key, kernel_id, "token", header, b"{}")
    assert len(header) < 20 or header not in str(caught.value)
    return caught.value.reason


@pytest.fixture
def gate(clock: Clock) -> ProofVerifier:
    return ProofVerifier(clock)


@pytest.mark.parametrize("ago", [0, WINDOW_SECONDS, -WINDOW_SECONDS])
def test_lets_in_who_has_the_key(gate: ProofVerifier, clock: Clock, ago: float) -> None:
    gate.check(KEY, ID, "token", made(clock, ago=ago), b"{}")


@pytest.mark.parametrize("header", ["", "v1", "v2 time=1, nonce=x, mac=y"])
def test_what_is_no_proof(gate: ProofVerifier, header: str) -> None:
    assert refused(gate, header) == "proof"


@pytest.mark.parametrize("ago", [WINDOW_SECONDS + 1, -WINDOW_SECONDS - 1])
def test_outside_the_window(gate: ProofVerifier, clock: Clock, ago: float) -> None:
    assert refused(gate, made(clock, ago=ago)) == "expired"


def test_a_wrong_proof_is_not_told_that_it_is_old_or_used(gate: ProofVerifier, clock: Clock) -> None:
    nonce = uuid4().hex
    gate.check(KEY, ID, "token", made(clock, nonce=nonce), b"{}")
    assert refused(gate, made(clock, nonce=nonce, key=b"guess")) == "proof"
    assert refused(gate, made(clock, ago=1000, key=b"guess")) == "proof"


def test_used_once_for_as_long_as_it_is_good(gate: ProofVerifier, clock: Clock) -> None:
    header = made(clock, ago=-WINDOW_SECONDS)
    gate.check(KEY, ID, "token", header, b"{}")
    for _ in range(4):
        assert refused(gate, header) == "replayed"
        clock.advance(WINDOW_SECONDS / 2)
    assert refused(gate, header) == "replayed"
    clock.advance(1)
    assert refused(gate, header) == "expired"


def test_the_same_nonce_of_another_kernel_is_another(gate: ProofVerifier, clock: Clock) -> None:
    nonce, other = uuid4().hex, ID[:-1] + "6"
    gate.check(KEY, ID, "token", made(clock, nonce=nonce), b"{}")
    gate.check(KEY, other, "token", made(clock, nonce=nonce, kernel_id=other), b"{}")


def test_forgets_what_cannot_be_replayed(clock: Clock) -> None:
    nonces = Nonces(clock)
    gate = ProofVerifier(clock, spend=nonces.spend)
    for ago in (0, 30):
        gate.check(KEY, ID, "token", made(clock, ago=ago), b"{}")
    clock.advance(WINDOW_SECONDS - 20)
    gate.check(KEY, ID, "token", made(clock), b"{}")
    assert len(nonces._nonces[ID]) == 2
    clock.advance(2 * WINDOW_SECONDS)
    other = ID[:-1] + "6"
    gate.check(KEY, other, "token", made(clock, kernel_id=other), b"{}")
    assert set(nonces._nonces) == {other}


def test_looks_at_all_kernels_once_a_second_however_many_ask(clock: Clock) -> None:
    nonces = Nonces(clock)
    gate = ProofVerifier(clock, spend=nonces.spend)
    looks: list[float] = []

    class Seen(dict[str, Any]):
        def items(self) -> Any:
            looks.append(clock.now())
            return super().items()

    nonces._nonces = Seen()
    for seconds in (0, 0, 0, 1, 0, -5, 0):
        clock.advance(seconds)
        gate.check(KEY, ID, "token", made(clock), b"{}")
    assert [look - looks[0] for look in looks] == [0, 1, -4]


def test_bounded_without_forgetting(gate: ProofVerifier, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "MAX_NONCES", 3)
    headers = [made(clock) for _ in range(3)]
    for header in headers:
        gate.check(KEY, ID, "token", header, b"{}")
    assert refused(gate, made(clock)) == "too_many"
    assert [refused(gate, header) for header in headers] == ["replayed"] * 3
    clock.advance(WINDOW_SECONDS + 1)
    gate.check(KEY, ID, "token", made(clock), b"{}")


async def test_too_many_requests_may_be_sent_again(
    *, by_proof: Call, monkeypatch: pytest.MonkeyPatch, profiles: Any
) -> None:
    monkeypatch.setattr(proofs, "MAX_NONCES", 1)
    assert (await by_proof("profiles")).code == 200
    refused = await by_proof("profiles")
    assert (refused.code, refused.headers["Retry-After"]) == (429, f"{WINDOW_SECONDS:g}")
    assert told(refused)["retryable"] is True


def test_compares_in_constant_time_and_as_long_for_nobody(
    gate: ProofVerifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hmac

    compared: list[tuple[str, str]] = []
    real = hmac.compare_digest

    def noted(one: str, other: str) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    refused(gate, made(clock, key=b"guess"))
    refused(gate, made(clock), key=None)
    assert len(compared) == 2


class Manager(dict[str, Any]):
    def get_kernel(self, kernel_id: str) -> Any:
        return self[kernel_id]


@pytest.mark.parametrize(
    ("known", "key"),
    [
        (SimpleNamespace(session=SimpleNamespace(key=KEY)), KEY),
        (SimpleNamespace(session=SimpleNamespace(key=b"")), None),
        (SimpleNamespace(), None),
    ],
)
def test_the_key_of_a_kernel(known: Any, key: bytes | None) -> None:
    # Without a key messages are unsigned, and anyone could make a proof; a gateway keeps its kernels' keys.
    manager: Any = Manager({ID: known})
    assert connection_key(manager, ID) == key
    manager.clear()
    assert connection_key(manager, ID) is None


@pytest.mark.parametrize("header", ["Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode"])
async def test_no_browser_gets_in(call: Call, kernel: Any, extension: TokensExtension, header: str) -> None:
    headers = kernel.proof("profiles", b"{}", time=extension.clock.now())
    path = f"kernels/{kernel.id}/profiles"
    response = await call("POST", path, b"{}", headers={**headers, header: "http://127.0.0.1"})
    assert response.code in {403, 404}
    assert (await call("POST", path, b"{}", headers=headers)).code == 200


async def test_a_real_kernel(
    jp_fetch: Any, call: Call, jp_serverapp: Any, profiles: Any, extension: TokensExtension
) -> None:
    started = json.loads((await jp_fetch("api", "kernels", method="POST", body="{}", request_timeout=300)).body)
    kernel_id = started["id"]
    file = jp_serverapp.kernel_manager.get_kernel(kernel_id).connection_file
    with open(file) as opened:  # noqa: PTH123, ASYNC230 (as a kernel does)
        key = json.load(opened)["key"].encode()
    body = json.dumps({"profile": "oneaccess"}).encode()
    proof = prove(key, kernel_id, "token", body, time=int(extension.clock.now()), nonce=uuid4().hex)
    path = f"kernels/{kernel_id}/token"
    answer = told(await call("POST", path, body, headers={HEADER: proof}))
    assert answer["value"]
    replay = await call("POST", path, body, headers={HEADER: proof})
    assert (replay.code, told(replay)["reason"]) == (403, "replayed")
    await jp_fetch("api", "kernels", kernel_id, method="DELETE")
    proof = prove(key, kernel_id, "token", body, time=int(extension.clock.now()), nonce=uuid4().hex)
    gone = await call("POST", path, body, headers={HEADER: proof})
    assert (gone.code, told(gone)["reason"]) == (403, "unknown_kernel")
