"""Globs of notebook paths: one form of a path, segment by segment, never slow."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tokens.config.path_globs import matches, normalised


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("a.ipynb", "a.ipynb"),
        ("/a/b.ipynb/", "a/b.ipynb"),
        ("a//b", "a/b"),
        ("a/./b", "a/b"),
        ("reports/../private/x.ipynb", "private/x.ipynb"),
        ("reports/x/../../private", "private"),
        ("../x", None),
        ("a/../../x", None),
        ("..", None),
        ("a/..", None),
        ("", None),
        ("/", None),
        ("x" * 4097, None),
    ],
)
def test_a_path_has_one_form(path: str, inside: str | None) -> None:
    assert normalised(path) == inside


@pytest.mark.parametrize(
    ("glob", "path", "matched"),
    [
        ("reports/**", "reports/x.ipynb", True),
        ("reports/**", "reports/a/b/x.ipynb", True),
        ("reports/**", "reports", False),
        ("reports/**", "reports/../private/x.ipynb", False),
        ("reports/**", "reports/./../private/x.ipynb", False),
        ("reports/**", "private/../reports/x.ipynb", True),
        ("reports/../private/*", "private/x.ipynb", True),
        ("reports/**", "other/reports/x.ipynb", False),
        ("**", "any/thing.ipynb", True),
        ("**/x.ipynb", "x.ipynb", True),
        ("**/x.ipynb", "a/b/x.ipynb", True),
        ("a/**/b/**/c", "a/b/c", True),
        ("a/**/b/**/c", "a/1/b/2/3/c", True),
        ("a/**/b/**/c", "a/b/b/c/b/c", True),
        ("a/**/b/**/c", "a/c/b", False),
        ("a**b", "a/b", False),
        ("a**b", "axxb", True),
        ("*", "a/b", False),
        ("a?c", "a/c", False),
        ("a[1].ipynb", "a[1].ipynb", True),
        ("a[1].ipynb", "a1.ipynb", False),
        ("A.ipynb", "a.ipynb", False),
        ("*.ipynb", "a.ipynb\n", False),
        ("../**", "x", False),
        ("../**", "../x", False),
        ("/", "x", False),
    ],
)
def test_matching(glob: str, path: str, matched: bool) -> None:
    assert matches(glob, path) is matched


def _slowly(glob: str, path: str) -> bool:
    """The meaning, as a regular expression that may take for ever."""
    parts = ["(.+/)?" if part == "**" else re.escape(part).replace(r"\*", "[^/]*") + "/" for part in glob.split("/")]
    if glob.rsplit("/", maxsplit=1)[-1] == "**":
        parts[-1] = "(.+/)"
    return re.fullmatch("".join(parts), path + "/") is not None


@given(
    st.lists(st.sampled_from(["a", "b", "*", "**", "a*", "*b*"]), min_size=1, max_size=5).map("/".join),
    st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=5).map("/".join),
)
def test_as_a_regular_expression_would(glob: str, path: str) -> None:
    assert matches(glob, path) is _slowly(glob, path)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("**a" * 10 + "!", "a" * 4000),
        ("*a" * 400 + "!", "a" * 4000),
        ("**/" * 300 + "x", "a/" * 2000),
        ("**/a/" * 150 + "x", "a/" * 2000),
        ("?*" * 400 + "!", "a" * 4000),
    ],
)
def test_no_glob_takes_long(glob: str, path: str) -> None:
    began = time.process_time()
    assert not matches(glob, path)
    assert time.process_time() - began < 1
