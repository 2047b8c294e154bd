from __future__ import annotations

from html import unescape
from re import sub

import pytest

from jupyter_tokens._util.html import as_html


@pytest.mark.parametrize("text", ["$ONE, $TWO", r"\(x\) and \[y\]", "<b>&amp;</b> \"'", "plain"])
def test_it_shows_the_text_and_no_element_has_a_whole_formula(text: str) -> None:
    html = as_html(text)
    assert unescape(sub("</?span>", "", html)) == text
    for part in sub("</?span>", "\0", html).split("\0"):
        assert part.count("$") + part.count("\\") <= 1
        assert "<" not in part
