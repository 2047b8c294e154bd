"""What was replaced comes back exactly, or stays where somebody else builds on it."""

from __future__ import annotations

from jupyter_tokens.kernel._compat import replace


class Owner:
    def method(self) -> str:
        return "own"


def test_a_method_comes_back_and_nothing_is_left() -> None:
    owner = Owner()
    restore = replace(owner, "method", lambda: "ours")
    assert owner.method() == "ours"
    restore()
    restore()
    assert owner.method() == "own"
    assert not vars(owner)


def test_what_somebody_had_put_there_before_comes_back() -> None:
    owner = Owner()
    owner.method = theirs = lambda: "theirs"  # type: ignore[method-assign]
    replace(owner, "method", lambda: "ours")()
    assert owner.method is theirs


def test_what_somebody_puts_there_afterwards_stays() -> None:
    owner = Owner()
    restore = replace(owner, "method", lambda: "ours")
    owner.method = theirs = lambda: "theirs"  # type: ignore[method-assign]
    restore()
    assert owner.method is theirs
