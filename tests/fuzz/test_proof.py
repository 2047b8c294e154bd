"""Whatever stands in a proof's header: let in, or refused for a reason that is known."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from jupyter_tokens.protocol.proof import Proof, ProofRefused, ProofVerifier, prove

from ..doubles import NOW, Clock
from .conftest import Fuzz
from .strange import NUMBERS, TEXTS, typed

pytestmark = pytest.mark.slow

KEY = b"c4n4ry-connection-key"
ID = "11111111-2222-3333-4444-555555555555"
BODY = b'{"profile": "oneaccess"}'
_TIMES = st.integers(int(NOW) - 120, int(NOW) + 120).map(str) | NUMBERS.map(str) | TEXTS
_NONCES = st.text("0123456789abcdef", min_size=32, max_size=32) | TEXTS | st.text("0123456789ABCDEF", max_size=40)
_MACS = st.text("0123456789abcdef", min_size=64, max_size=64) | TEXTS
HEADERS = st.builds("v1 time={}, nonce={}, mac={}".format, _TIMES, _NONCES, _MACS) | TEXTS


def test_a_header_of_any_text(fuzz: Fuzz) -> None:
    def check(header: str, body: bytes) -> None:
        # Short ones are words of the message.
        with typed(ValueError, untold=[header] if len(header) >= 20 else []):
            assert not Proof.parse(header).matches(KEY, ID, "token", body)
        for key in (KEY, None):
            with pytest.raises(ProofRefused) as caught:
                ProofVerifier(Clock()).check(key, ID, "token", header, body)
            assert caught.value.reason in {"proof", "unknown", "expired"}

    fuzz(check, HEADERS, st.binary(max_size=30), times=100)


def test_a_right_header_with_one_character_changed(fuzz: Fuzz) -> None:
    right = prove(KEY, ID, "token", BODY, time=int(NOW), nonce="0" * 32)

    def check(at: int, mark: str, body: bytes) -> None:
        gate = ProofVerifier(Clock())
        header = right[: at % len(right)] + mark + right[at % len(right) + 1 :]
        if (header, body) == (right, BODY):
            gate.check(KEY, ID, "token", header, body)
            return
        with pytest.raises(ProofRefused):
            gate.check(KEY, ID, "token", header, body)

    fuzz(check, st.integers(0, 200), st.characters() | st.just(""), st.just(BODY) | st.binary(max_size=9), times=100)


def test_a_genuine_one_of_any_time_and_nonce(fuzz: Fuzz) -> None:
    def check(time: int, nonce: int, again: bool) -> None:
        gate = ProofVerifier(Clock())
        header = prove(KEY, ID, "token", BODY, time=time, nonce=f"{nonce:032x}")
        if abs(time - NOW) > 60:
            with pytest.raises(ProofRefused) as caught:
                gate.check(KEY, ID, "token", header, BODY)
            assert caught.value.reason in {"expired", "proof"}
            return
        gate.check(KEY, ID, "token", header, BODY)
        if again:
            with pytest.raises(ProofRefused, match="replayed"):
                gate.check(KEY, ID, "token", header, BODY)

    times = st.integers(int(NOW) - 70, int(NOW) + 70) | st.integers(-(10**16), 10**16)
    fuzz(check, times, st.integers(0, 2**128 - 1), st.booleans(), times=60)
