"""What the documentation lists is what there is."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.providers import alibaba, astra, dashscope, modelarts, oneaccess
from jupyter_tokens.providers.catalogue import provider_ids

DOCS = Path(__file__).parents[1] / "docs"


def _page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("module", [alibaba, astra, dashscope, modelarts, oneaccess])
def test_each_code_that_is_understood_says_what_to_do(module: object) -> None:
    rows = [line for line in _page("troubleshooting").splitlines() if line.startswith("|")]
    listed = set(re.findall(r"`([^`]+)`", "\n".join(rows)))
    meanings = module._MEANINGS  # type: ignore[attr-defined]
    with_a_hint = {code for code, meaning in meanings.items() if meaning.hint}
    assert with_a_hint <= listed


def test_the_profiles_of_the_pages_are_profiles() -> None:
    """Each example is read as a user's would be, with settings and parameters checked."""
    seen = set()
    for name in ("any-token", "apis", "profiles"):
        for block in re.findall(r"```json\n(.*?)```", _page(name), re.DOTALL):
            written = json.loads(block)
            profiles = written["TokenProfiles"]["profiles"] if "TokenProfiles" in written else {"one": written}
            for profile, settings in profiles.items():
                checked = Profiles.from_settings({profile: settings})[profile]
                seen.add(checked.provider.id)
    assert set(provider_ids()) - seen <= {"oauth2"}


def test_the_licences_are_of_what_is_installed() -> None:
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = re.findall(r"^\| (\S+) +\| \S+ +\| (.+?) +\|$", _page("licences"), re.MULTILINE)
    licences = {name.replace("-", "_").lower(): licence for name, licence in rows}
    named = {re.split(r"[^\w-]", wanted)[0].replace("-", "_").lower() for wanted in project["dependencies"]}
    assert named <= licences.keys(), "make licences"
    assert "UNKNOWN" not in licences.values()


def test_the_conda_package_has_the_same_programs() -> None:
    root = DOCS.parent
    scripts = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    recipe = yaml.safe_load((root / "packaging" / "conda-forge" / "recipe.yaml").read_text(encoding="utf-8"))
    written = recipe["build"]["python"]["entry_points"]
    assert dict(line.split(" = ") for line in written) == scripts
