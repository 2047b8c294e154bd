"""The keyring is asked one question at a time, within a time limit, and never by a growing number of threads."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pexpect
import pytest

from jupyter_tokens.config import secret_store
from jupyter_tokens.config.keyring_access import KeyringTimeout, call_keyring


class Dialog:
    """Questions that wait until somebody answers."""

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.open = threading.Event()
        self.asked: list[str] = []

    def question(self, name: str) -> Callable[[Any], str]:
        def ask(_keyring: Any) -> str:
            self.asked.append(name)
            self.open.set()
            self.answered.wait()
            return name

        return ask


@pytest.fixture
def dialog() -> Iterator[Dialog]:
    made = Dialog()
    yield made
    made.answered.set()
    # The next test begins with a keyring that is idle.
    call_keyring(lambda keyring: None, seconds=30)


def threads() -> int:
    return sum(thread.name == "jupyter_tokens keyring" for thread in threading.enumerate())


def test_the_answer_is_that_of_the_question() -> None:
    assert call_keyring(lambda keyring: keyring.__name__, seconds=30) == "keyring"


@pytest.mark.parametrize("error", [PermissionError, SystemExit])
def test_an_error_is_raised_as_it_is(error: type[BaseException]) -> None:
    def fail(_keyring: Any) -> None:
        raise error("no")

    with pytest.raises(error):
        call_keyring(fail, seconds=30)
    assert call_keyring(lambda keyring: 1, seconds=30) == 1


def test_many_questions_of_one_hung_keyring_cost_one_thread_and_one_time_limit(dialog: Dialog) -> None:
    began = time.monotonic()
    for number in range(20):
        with pytest.raises(KeyringTimeout):
            call_keyring(dialog.question("q"), seconds=0.5, share_key=number % 2)
        assert threads() == 1
    assert time.monotonic() - began < 5
    assert dialog.asked == ["q"]


def test_equal_questions_share_an_answer_and_others_are_put_one_after_the_other(dialog: Dialog) -> None:
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(call_keyring, dialog.question("a"), seconds=30, share_key="a")
        dialog.open.wait()
        equal = [pool.submit(call_keyring, dialog.question("a"), seconds=30, share_key="a") for _ in range(3)]
        with pytest.raises(KeyringTimeout):
            call_keyring(dialog.question("b"), seconds=0, share_key="b")
        other = pool.submit(call_keyring, dialog.question("b"), seconds=30, share_key="b")
        with pytest.raises(KeyringTimeout):
            call_keyring(dialog.question("a"), seconds=0.01, share_key="a")
        dialog.answered.set()
        assert [future.result() for future in [first, *equal, other]] == ["a", "a", "a", "a", "b"]
    assert dialog.asked.count("b") == 1


def test_once_it_is_unlocked_the_next_question_is_answered(dialog: Dialog) -> None:
    with pytest.raises(KeyringTimeout):
        call_keyring(dialog.question("a"), seconds=0.01, share_key="a")
    dialog.answered.set()
    assert call_keyring(dialog.question("a"), seconds=30, share_key="a") == "a"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_does_not_inherit_an_open_question(dialog: Dialog) -> None:
    with pytest.raises(KeyringTimeout):
        call_keyring(dialog.question("a"), seconds=0.01)
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if call_keyring(lambda keyring: 5, seconds=30) == 5 else 1
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


PROMPT = """
import getpass, sys, termios
from jupyter_tokens.config.keyring_access import KeyringTimeout, call_keyring
try:
    call_keyring(lambda keyring: getpass.getpass("password: "), seconds=float(sys.argv[1]))
except KeyringTimeout:
    print("gave up")
print("echo", bool(termios.tcgetattr(0)[3] & termios.ECHO))
"""


@pytest.mark.parametrize("gives_up", [True, False])
def test_a_backend_that_asks_on_the_terminal_leaves_its_echo_on(gives_up: bool) -> None:
    process = pexpect.spawn(sys.executable, ["-c", PROMPT, "1" if gives_up else "30"], timeout=60)
    process.expect("password: ")
    if gives_up:
        process.expect("gave up")
    else:
        process.sendline("secret")
    process.expect("echo True")
    process.expect(pexpect.EOF)
    assert b"secret" not in process.before
    process.close()
    assert process.exitstatus == 0


def test_without_the_package_secrets_go_to_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert secret_store.usable() == ["file"]
