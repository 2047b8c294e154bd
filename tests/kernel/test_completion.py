"""Tab in the magics' lines: in a real shell, in a real kernel, and when nobody answers."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from jupyter_tokens.errors import Forbidden, ServerGone
from jupyter_tokens.kernel import completion as completing
from jupyter_tokens.kernel.completion import Completion, candidates
from jupyter_tokens.protocol.messages import ProfileEntry
from jupyter_tokens.providers.base import Listed
from jupyter_tokens.sandbox import Sandbox, modelarts

from ..doubles import Clock
from .shells import RealKernel, magics_of

DEADLINE = 300
ENTRIES = [
    ProfileEntry(
        "pai-dlc",
        schema={
            "properties": {
                "TargetType": {"type": "string", "enum": ["job", "tensorboard"]},
                "TargetId": {"type": "string"},
                "Deep": {"type": "boolean"},
            }
        },
    ),
    ProfileEntry("oneaccess"),
    ProfileEntry("one-more"),
]


def complete(shell: InteractiveShell, code: str) -> list[str]:
    """What Tab at the end of the code would make of it."""
    with provisionalcompleter():
        found = list(shell.Completer.completions(code, len(code)))
    return [code[: one.start] + one.text for one in found]


@pytest.mark.parametrize(
    ("before", "word", "expected"),
    [
        ([], "", ["pai-dlc", "oneaccess", "one-more"]),
        ([], "one", ["oneaccess", "one-more"]),
        (["--once"], "pai", ["pai-dlc"]),
        (["--env", "X"], "pai", ["pai-dlc"]),
        (["--env"], "", []),
        (["pai-dlc", "--var"], "", []),
        (["pai-dlc", "--format"], "", ["raw", "json", "header"]),
        (["pai-dlc", "--format"], "j", ["json"]),
        (["pai-dlc", "--sdk"], "a", ["aws", "alibaba", "azure", "aws-web-identity"]),
        (["pai-dlc"], "", ["TargetType=", "TargetId=", "Deep="]),
        (["pai-dlc", "TargetType=job"], "Target", ["TargetId="]),
        (["pai-dlc"], "TargetType=", ["job", "tensorboard"]),
        (["pai-dlc"], "TargetType=j", ["job"]),
        (["pai-dlc"], "Deep=", ["true", "false"]),
        (["pai-dlc"], "TargetId=", []),
        (["pai-dlc"], "Nothing=", []),
        (["oneaccess"], "", []),
        (["unknown"], "", []),
        (["pai-dlc", "--once"], "--", ["--env", "--var", "--file", "--sdk", "--format", "--refresh"]),
        ([], "--re", ["--refresh"]),
    ],
)
def test_what_can_stand_there(before: list[str], word: str, expected: list[str]) -> None:
    assert [text for _, text in candidates("gettoken", before, word, ENTRIES)] == expected


@pytest.mark.parametrize(
    ("words", "is_asked"),
    [
        (["ApplicationId=app_1"], True),
        (["--once", "ApplicationId=app_1", "--var", "x"], True),
        # What the API needs for it is missing, or known only when the line runs.
        ([], False),
        (["ApplicationId="], False),
        (["ApplicationId={app}"], False),
        (["ApplicationId=$app"], False),
    ],
)
def test_ids_are_asked_for_only_with_what_the_api_needs(words: list[str], *, is_asked: bool) -> None:
    asked = [("eiam", "ApplicationTokenId", {"ApplicationId": "app_1"})] if is_asked else []
    schema = {"properties": {"ApplicationTokenId": {"x-listed-by": ["InstanceId", "ApplicationId"]}}}
    entries = [ProfileEntry("eiam", schema=schema, params={"InstanceId": "idaas_1"})]
    seen: list[object] = []

    def ids(*call: object) -> list[str]:
        seen.append(call)
        return ["apptk_1", "other"]

    found = list(candidates("gettoken", ["eiam", *words], "ApplicationTokenId=app", entries, ids))
    assert seen == asked
    assert found == ([("value", "apptk_1")] if asked else [])
    # The name alone asks nobody.
    assert list(candidates("gettoken", ["eiam", *words], "ApplicationTok", entries, ids)) == [
        ("param", "ApplicationTokenId=")
    ]
    assert seen == asked


def test_the_other_magics_have_options_of_their_own() -> None:
    assert [text for _, text in candidates("withtoken", [], "-", ENTRIES)] == [
        "--env",
        "--var",
        "--file",
        "--sdk",
        "--format",
    ]
    assert list(candidates("deltoken", [], "-", ENTRIES)) == []
    assert [text for _, text in candidates("deltoken", [], "pai", ENTRIES)] == ["pai-dlc"]
    assert list(candidates("deltoken", ["pai-dlc"], "", ENTRIES)) == []


def test_the_options_are_those_of_the_magics(shell: InteractiveShell) -> None:
    for name in ("gettoken", "withtoken", "deltoken"):
        parser = getattr(magics_of(shell), name).parser
        known = set(re.findall(r"--[a-z]\S*?(?=[\s,\]]|$)", parser.format_help()))
        assert {text for _, text in candidates(name, [], "--", ())} == known


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("%gettoken pai", ["%gettoken pai-dlc"]),
        ("x = 1\n%gettoken pai", ["x = 1\n%gettoken pai-dlc"]),
        ("%%withtoken onea", ["%%withtoken oneaccess"]),
        ("%deltoken eia", ["%deltoken eiam"]),
        ("%gettoken pai-dlc ExpireT", ["%gettoken pai-dlc ExpireTime="]),
        ("%gettoken pai-dlc TargetType=jo", ["%gettoken pai-dlc TargetType=job"]),
        ("%gettoken pai-dlc --re", ["%gettoken pai-dlc --refresh"]),
    ],
)
def test_tab_in_a_shell(
    shell: InteractiveShell, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, code: str, expected: list[str]
) -> None:
    # The first Tab loads the providers.
    monkeypatch.setattr(completing, "_WAIT_SECONDS", DEADLINE)
    assert complete(shell, code) == expected
    assert not sandbox.requests.total()


def test_a_file_is_completed_by_ipython(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_secret_place").touch()
    assert any("my_secret_place" in text for text in complete(shell, "%gettoken oneaccess --file my_sec"))


def test_other_lines_are_none_of_its_business(shell: InteractiveShell) -> None:
    assert any(text.endswith("%gettoken") for text in complete(shell, "%gett"))
    shell.user_ns["oneself"] = 1
    assert complete(shell, "ones") == ["oneself"]


def test_after_unloading_nothing_is_completed(shell: InteractiveShell) -> None:
    matchers = len(shell.Completer.custom_matchers)
    shell.run_cell("%unload_ext jupyter_tokens")
    assert len(shell.Completer.custom_matchers) == matchers - 1


def test_a_shell_without_a_completer_is_borne() -> None:
    completion = Completion(SimpleNamespace(Completer=None), SimpleNamespace())  # type: ignore[arg-type]
    completion.open()
    completion.close()


class Silent:
    """A session whose server hangs, or is gone."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.asked = 0
        self.last_entries: list[ProfileEntry] = []

    def entries(self) -> None:
        self.asked += 1
        self.answer.wait(DEADLINE)
        raise ServerGone("gone.")


def test_a_server_that_hangs_is_not_waited_for_and_not_asked_twice() -> None:
    silent = Silent()
    completion = Completion(SimpleNamespace(Completer=None), silent)  # type: ignore[arg-type]
    began = time.monotonic()
    assert completion.entries() == []
    silent.last_entries = ENTRIES
    assert completion.entries() == ENTRIES
    assert time.monotonic() - began < DEADLINE / 5
    assert silent.asked == 1
    silent.answer.set()
    until_asked = time.monotonic() + DEADLINE
    while silent.asked < 2:
        assert completion.entries() == ENTRIES
        assert time.monotonic() < until_asked


class Lists:
    """A session whose API lists slowly, or refuses."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.asked = 0
        self.refuses = False

    def list_values(self, *_: object) -> list[Listed]:
        self.asked += 1
        self.answer.wait(DEADLINE)
        if self.refuses:
            raise Forbidden("No.")
        return [Listed(f"id-{self.asked}", "")]


def test_a_list_that_takes_long_comes_with_the_next_tab_and_is_used_for_a_minute() -> None:
    lists, clock = Lists(), Clock()
    completion = Completion(SimpleNamespace(Completer=None), lists, clock)  # type: ignore[arg-type]

    def ids() -> list[str]:
        return list(completion.ids("eiam", "ApplicationTokenId", {}))

    assert ids() == ids() == []
    assert lists.asked == 1
    lists.answer.set()
    until_known = time.monotonic() + DEADLINE
    while not ids():
        assert time.monotonic() < until_known
    assert (ids(), lists.asked) == (["id-1"], 1)
    clock.advance(61)
    lists.refuses = True
    # What was known stays, and the API that refuses is not asked at each Tab.
    for _ in range(3):
        assert ids() == ["id-1"]
    assert lists.asked == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_list_that_breaks_is_tried_again() -> None:
    class Broken(Lists):
        def list_values(self, *_: object) -> list[Listed]:
            self.asked += 1
            raise ValueError("not what the code expects")

    lists, clock = Broken(), Clock()
    completion = Completion(SimpleNamespace(Completer=None), lists, clock)  # type: ignore[arg-type]
    for asked in (1, 2):
        assert list(completion.ids("eiam", "ApplicationTokenId", {})) == []
        assert lists.asked == asked
        clock.advance(61)


def test_a_thread_that_cannot_be_started_spoils_no_later_tab(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lists = Lists()
    lists.answer.set()
    completion = Completion(SimpleNamespace(Completer=None), lists)  # type: ignore[arg-type]
    with monkeypatch.context() as without_threads:
        without_threads.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="start new"):
            completion.ids("eiam", "ApplicationTokenId", {})
    assert list(completion.ids("eiam", "ApplicationTokenId", {})) == ["id-1"]


def test_tab_lists_ids_in_a_shell(shell: InteractiveShell, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completing, "_WAIT_SECONDS", DEADLINE)
    code = "%gettoken modelarts instance_id="
    assert f"{code}{modelarts.INSTANCE}" in complete(shell, code)
    assert not sandbox.requests.total()


def test_tab_in_a_kernel(kernel: RealKernel, sandbox: Sandbox) -> None:
    # On a busy machine the first Tab, which loads the providers, would otherwise give up.
    kernel.run(f"import jupyter_tokens.kernel.completion as c; c._WAIT_SECONDS = {DEADLINE}")
    for code, expected in (
        ("%gettoken pai", ["pai-dlc"]),
        ("%gettoken pai-dlc TargetType=jo", ["job"]),
        ("%gettoken pai-dlc TargetI", ["TargetId="]),
        ("%%withtoken pai-dlc --var x TargetI\nx = 1", ["TargetId="]),
    ):
        cursor = len(code.partition("\n")[0])
        content = kernel.client.complete(code, cursor, reply=True, timeout=DEADLINE)["content"]
        assert content["matches"] == expected
        assert content["cursor_end"] == cursor
        completed = code[: content["cursor_start"]] + expected[0]
        assert completed.startswith(code.partition("\n")[0])
    assert not sandbox.requests.total()
