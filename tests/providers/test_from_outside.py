"""Providers that other packages bring, as the registry sees them; tests/e2e installs a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import ConfigurationError
from jupyter_tokens.providers import catalogue
from jupyter_tokens.providers.base import Provider
from jupyter_tokens.providers.catalogue import provider_class, provider_ids

from ..doubles import CANARY, told


class Outside(Provider):
    id = "outside"
    title = "Outside"


@pytest.fixture
def bring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    """Installs a package whose entry point `outside` loads to this, or raises this."""

    def install(found: Any) -> None:
        def load(_point: EntryPoint) -> Any:
            if isinstance(found, Exception):
                raise found
            return found

        point = EntryPoint("outside", "outside:Outside", catalogue.ENTRY_POINT_GROUP)
        monkeypatch.setattr(catalogue, "entry_points", lambda group: [point])
        monkeypatch.setattr(EntryPoint, "load", load)
        for cached in (catalogue.installed, catalogue.provider_class):
            cached.cache_clear()

    yield install
    for cached in (catalogue.installed, catalogue.provider_class):
        cached.cache_clear()


PROFILES = {
    "mine": {"provider": "outside", "endpoint": "https://h.example"},
    "other": {"provider": "oneaccess", "endpoint": "https://h.example", "client_id": "i", "client_secret": "s"},
}


def test_it_is_a_provider_like_the_others(bring: Callable[[Any], None]) -> None:
    bring(Outside)
    assert provider_ids()[-1] == "outside"
    assert provider_class("outside") is Outside
    assert Profiles.from_settings(PROFILES)["mine"].provider.title == "Outside"


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (ImportError(CANARY), "ImportError"),
        (RuntimeError(CANARY), "RuntimeError"),
        (AttributeError(CANARY), "AttributeError"),
        (Outside(), "TypeError"),
        (dict, "TypeError"),
    ],
)
def test_one_that_is_broken_is_the_trouble_of_its_own_profiles(
    bring: Callable[[Any], None], found: Any, kind: str
) -> None:
    bring(found)
    held = Profiles.from_settings(PROFILES)
    with pytest.raises(ConfigurationError) as caught:
        held["mine"]
    assert f"key 'provider' names outside, which cannot be loaded ({kind})." in caught.value.message
    assert "package" in caught.value.hint
    assert CANARY not in told(caught.value)
    assert held["other"].provider.id == "oneaccess"
