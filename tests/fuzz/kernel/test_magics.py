"""Whatever is written into a magic's line: a card, or an error of ours in one line; Tab never fails."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from jupyter_tokens.errors import ParameterError, TokenError
from jupyter_tokens.kernel import listing
from jupyter_tokens.kernel.cells import as_line_magic
from jupyter_tokens.kernel.completion import candidates
from jupyter_tokens.kernel.injection import env_place, file_place, var_place
from jupyter_tokens.kernel.token_file import absolute_path, write
from jupyter_tokens.protocol.messages import ProfileEntry
from jupyter_tokens.protocol.proof import START_VARIABLE

from ...kernel.shells import magics_of
from ...leaks import Leaks
from ..conftest import Fuzz
from ..strange import JSON, TEXTS, bodies, typed

pytestmark = pytest.mark.slow

_AWKWARD = r"""
    oneaccess pai-dlc astra nobody TargetType=job TargetType= TargetId=dlc1 ExpireTime=60 ExpireTime=-1 ExpireTime=0
    ExpireTime=999999999999999 = a=b --env --var --file --format --once --refresh --fi -- - -h --env= --var=x
    --format=raw json X_FUZZED t.txt class x.y __name__ ' " \ { {} {x} {1/0} $x ? ?? ; ! % ./t no/t t/ ~ ~nobody/t
    """
_WORDS = st.sampled_from([*_AWKWARD.split(), "'a b'", "x" * 300, "é", "\ud800", "\udcff", "\0"])
# Nothing that would be code, a path elsewhere, or an expression that does more than fail.
_LOOSE = TEXTS.map(
    lambda text: text.translate({ord(mark): " " for mark in "/\n\r\f\v\x1c\x1d\x1e\x85\u2028\u2029{}$!"})[:40]
)
LINES = st.lists(_WORDS | _LOOSE, max_size=6).map(" ".join)
MAGICS = st.sampled_from(["gettoken", "withtoken", "deltoken", "tokens"])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder and an environment that are put back."""
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield tmp_path
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)


@pytest.mark.usefixtures("place")
def test_a_line_of_any_words(fuzz: Fuzz, shell: InteractiveShell, leaks: Leaks) -> None:
    magics = magics_of(shell)

    def check(magic: str, line: str) -> None:
        with capture_output() as captured, typed(TokenError, UsageError):
            if magic == "withtoken":
                magics.withtoken(line, "1")
            else:
                getattr(magics, magic)(line)
        shown = captured.stdout + captured.stderr + json.dumps([output.data for output in captured.outputs])
        assert "Traceback" not in shown
        # Which looks for every token that came.
        leaks.told("a cell", shown)

    fuzz(check, MAGICS, LINES, times=60)


@pytest.mark.usefixtures("place")
def test_a_cell_of_any_line(fuzz: Fuzz, shell: InteractiveShell) -> None:
    """As a person runs it: with IPython's own reading of the line, which takes braces and dollars for variables."""

    def check(magic: str, line: str, cell: bool) -> None:
        code = f"%%{magic} {line}\n1" if cell and magic == "withtoken" else f"%{magic} {line}"
        with capture_output():
            result = shell.run_cell(code)
        error = result.error_before_exec or result.error_in_exec
        if not isinstance(error, TokenError | UsageError | None):
            # Half of a pair and a zero byte are Python's to refuse, before the magic is called.
            assert isinstance(error, SyntaxError | UnicodeEncodeError)
            assert not line.isascii() or "\0" in line

    fuzz(check, MAGICS, LINES.filter(lambda line: "?" not in line), st.booleans(), times=30)


@pytest.mark.usefixtures("place")
def test_tab_at_every_place(fuzz: Fuzz, shell: InteractiveShell) -> None:
    entries = magics_of(shell).completion.entries()
    assert entries

    def check(magic: str, line: str) -> None:
        code = f"%{magic} {line}"
        for at in range(len(code) + 1):
            for ending in ("", " "):
                words = (code[:at] + ending).split()[1:]
                before, word = (words, "") if ending or not words else (words[:-1], words[-1])
                found = list(candidates(magic, before, word, entries)) if magic != "tokens" else []
                assert all(
                    text.startswith(word if kind != "value" else word.rpartition("=")[2]) for kind, text in found
                )

    fuzz(check, MAGICS, LINES, times=40)


@pytest.mark.usefixtures("place")
def test_tab_in_a_real_completer(fuzz: Fuzz, shell: InteractiveShell) -> None:
    # What is ours is asked as well without it, and it takes seconds to load.
    shell.Completer.use_jedi = False

    def check(magic: str, line: str, at: int) -> None:
        code = f"%{magic} {line}"
        at %= len(code) + 1
        with provisionalcompleter():
            list(shell.Completer.completions(code, at))

    words = st.lists(_WORDS.filter(lambda word: word.isprintable()), max_size=4).map(" ".join)
    fuzz(check, MAGICS, words, st.integers(0, 500), times=10)


def test_profiles_of_any_schema_are_completed(fuzz: Fuzz) -> None:
    def check(names: list[str], known: dict[str, Any], before: list[str], word: str) -> None:
        schema = {"properties": {name: {"enum": value} for name, value in known.items()}}
        entries = [ProfileEntry(name, schema=schema) for name in names]
        for magic in ("gettoken", "withtoken", "deltoken"):
            list(candidates(magic, before, word, entries))

    enums = st.lists(TEXTS, max_size=3)
    fuzz(
        check,
        st.lists(TEXTS, max_size=3),
        st.dictionaries(TEXTS, enums, max_size=2),
        st.lists(TEXTS, max_size=3),
        TEXTS,
    )


def test_a_cell_magic_becomes_a_line_whatever_is_below(fuzz: Fuzz) -> None:
    def check(first: str, rest: list[str]) -> None:
        lines = [f"%%withtoken{first}\n", *rest]
        after = as_line_magic(list(lines))
        assert after[0] in {lines[0], lines[0][1:]}

    lines = st.lists(
        (TEXTS | LINES | st.sampled_from(["%%withtoken b", "%%timeit x", "%%", ""])).map("{}\n".format), max_size=4
    )
    fuzz(check, TEXTS.map(lambda text: text.replace("\n", "")), lines)


def test_places_of_any_name(fuzz: Fuzz, place: Path) -> None:
    def check(name: str) -> None:
        for make in (env_place, var_place, lambda path: file_place(path, "raw"), absolute_path):
            with typed(ParameterError):
                make(name)
        with typed(ParameterError):
            path = name.replace("/", "_") if name.startswith("/") or ".." in name else name
            write(absolute_path(path), b"t0ken-v4lue")

    known = [
        ("x" * 300,),
        ("x" * 300 + "/t",),
        ("\ud800",),
        ("\ud800/t",),
        ("\udcff",),
        ("a\0b",),
        ("t/" * 3000 + "t",),
    ]
    names = TEXTS.map(lambda text: text.replace("/", "_")) | st.sampled_from(
        ["", ".", "..", "~", "~nobody", "t/", "no/t"]
    )
    fuzz(check, names, times=40, known=known)


def test_what_the_server_says_of_the_start_in_any_form(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(told: bytes) -> None:
        monkeypatch.setitem(os.environ, START_VARIABLE, os.fsdecode(told.replace(b"\0", b"")))
        assert all(isinstance(line, str) for line in listing._start_notes(set()))

    right = {
        "oneaccess": "ok",
        "astra": {"message": "It is wrong.", "reason": "configuration"},
        "": {"message": "Nothing."},
    }
    fuzz(check, bodies(right) | JSON.map(lambda data: json.dumps(data).encode()), times=60)
