"""A kernel's proof: who made it, for what, and that nothing of it can be changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tokens.protocol.proof import Proof, prove

KEY = b"3f1b0c2e-connection-key"
KERNEL = "0b8e2a5e-6e0b-4c53-a0a1-6c3f1f2c7a11"
NONCE = "0123456789abcdef0123456789abcdef"
MADE = prove(KEY, KERNEL, "token", b"{}", time=1_768_465_800, nonce=NONCE)


def test_a_proof_holds_for_the_kernel_action_and_body_it_was_made_for() -> None:
    assert Proof.parse(MADE).matches(KEY, KERNEL, "token", b"{}")


@pytest.mark.parametrize(
    "other",
    [
        (b"another key", KERNEL, "token", b"{}"),
        (KEY, KERNEL[:-1] + "2", "token", b"{}"),
        (KEY, KERNEL, "profiles", b"{}"),
        (KEY, KERNEL, "token", b"{ }"),
    ],
)
def test_it_holds_for_no_other(other: tuple[bytes, str, str, bytes]) -> None:
    assert not Proof.parse(MADE).matches(*other)


@pytest.mark.parametrize(("old", "new"), [("time=1", "time=2"), ("nonce=0", "nonce=1"), (MADE[-1], "g")])
def test_a_changed_time_nonce_or_mac_does_not_hold(old: str, new: str) -> None:
    changed = MADE.replace(old, new, 1) if old != MADE[-1] else MADE[:-1] + ("0" if MADE[-1] != "0" else "1")
    assert changed != MADE
    assert not Proof.parse(changed).matches(KEY, KERNEL, "token", b"{}")


def test_the_key_is_not_in_it() -> None:
    assert KEY.decode() not in MADE
    assert KEY.hex() not in MADE


@given(st.text())
def test_anything_else_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="not of the form") as caught:
        Proof.parse(text)
    assert str(caught.value) == "not of the form: v1 time=…, nonce=…, mac=…"
