"""What the pages on credentials and providers show is what works."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest

from jupyter_tokens.config.profiles import Profiles

ROOT = Path(__file__).parents[3]


def blocks(page: str, language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found


@pytest.mark.parametrize("block", blocks("credentials.md", "json"))
def test_each_profile_that_is_shown_is_accepted(block: str) -> None:
    assert Profiles.from_settings({"mine": json.loads(block)})["mine"].provider.id == json.loads(block)["provider"]


def test_the_flow_that_is_shown_is_the_examples() -> None:
    example = (ROOT / "examples/badge/jupyter_tokens_badge/__init__.py").read_text(encoding="utf-8")
    shown = next(block for block in blocks("adding-a-provider.md", "python") if block.startswith("def retrieve"))
    signature, rest = shown.split("\n", 1)
    assert textwrap.indent(rest, "    ") in example
    assert f"    {signature}\n" in example
