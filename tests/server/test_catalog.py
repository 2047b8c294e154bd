from __future__ import annotations

import pytest

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import Unauthorized
from jupyter_tokens.server import catalog as module
from jupyter_tokens.server.catalog import Catalog
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.sources.local import Fetched, Source
from jupyter_tokens.transport import Transport

from ..doubles import Clock, Script, answer

PROFILE = {"provider": "oneaccess", "endpoint": "https://acme.example", "client_id": "i", "client_secret": "s3cret"}
DLC = {"provider": "pai-dlc", "endpoint": "https://x.example", "access_key_id": "i", "access_key_secret": "s3cret"}
LIFE = 1000


@pytest.fixture
def source(clock: Clock) -> Source:
    tokens = [answer(body={"access_token": f"t{n}", "expires_in": LIFE, "token_type": "Bearer"}) for n in range(9)]
    transport = Transport(clock=clock, transport=Script(*tokens))
    return Source(Profiles.of({"one": PROFILE, "dlc": DLC}), clock=clock, transport=transport)


@pytest.fixture
def catalog(source: Source, clock: Clock) -> Catalog:
    return Catalog(source, clock)


def failed(key: Key) -> Fetched:
    return Fetched(key, "oneaccess", 0.1, Unauthorized("No."))


def worked(key: Key) -> Fetched:
    return Fetched(key, "oneaccess", 0.1, None)


def test_states_of_a_tokens_life(catalog: Catalog, source: Source, clock: Clock) -> None:
    assert catalog.state("one") == ("none", None, None, {})
    token = source.get(source.key("one"))
    states = []
    for _ in range(5):
        state, held, _error, _params = catalog.state("one")
        assert held is not None
        assert held.token is token
        states.append(state)
        clock.advance(LIFE / 4)
    assert states == ["fresh", "fresh", "fresh", "fresh", "expired"]
    assert catalog.held() == 0


def test_aging_when_a_refresh_is_due(catalog: Catalog, source: Source, clock: Clock) -> None:
    source.get(source.key("one"))
    clock.advance(0.85 * LIFE)
    assert catalog.state("one")[0] == "aging"


def test_a_failure_ages_what_lives_and_fails_what_does_not(catalog: Catalog, source: Source, clock: Clock) -> None:
    key = source.key("one")
    catalog.note(failed(key))
    state, held, error, _params = catalog.state("one")
    assert (state, held) == ("failed", None)
    assert isinstance(error, Unauthorized)
    source.get(key)
    assert catalog.state("one")[0] == "aging"
    clock.advance(LIFE)
    assert catalog.state("one")[0] == "failed"
    catalog.note(worked(key))
    assert catalog.state("one")[0] == "expired"


def test_what_needs_parameters_has_no_token_without(catalog: Catalog) -> None:
    assert catalog.state("one")[0] == "none"
    assert Catalog(Source(Profiles.of({"a": {**ASTRA}})), Clock()).state("a") == ("none", None, None, {})


ASTRA = {"provider": "astra", "endpoint": "https://x.example", "api_token": "s3cret"}


def test_parameters_without_end_are_not_all_kept(
    catalog: Catalog, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_KEYS", 4)
    catalog._sweep_at = 4
    for number in range(20):
        key = source.key("dlc", {"TargetId": f"t{number}"})
        catalog.note(failed(key))
        catalog._remember(key, object())  # type: ignore[arg-type] (of no token that is held any more)
    assert len(catalog._failures) <= 4
    assert len(catalog._arrived) <= 4


def test_forgets_one_profile(catalog: Catalog, source: Source) -> None:
    key = source.key("one")
    source.get(key)
    other = source.key("dlc", {"TargetId": "t"})
    catalog.note(failed(other))
    catalog.forget("one")
    assert source.held(key) is None
    assert catalog.held() == 0
    assert other in catalog._failures


def test_the_parameters_are_those_of_the_token_that_is_told_of(clock: Clock) -> None:
    answers = [answer(body={"Token": "t", "TokenExpireTime": LIFE}) for _ in range(2)]
    script = Script(*answers)
    source = Source(Profiles.of({"dlc": DLC}), clock=clock, transport=Transport(clock=clock, transport=script))
    catalog = Catalog(source, clock)
    assert catalog.state("dlc").params == {}
    keys = [source.key("dlc", {"TargetType": "job", "TargetId": name}) for name in ("first", "second")]
    for key in keys:
        source.get(key)
        clock.advance(1)
    assert catalog.state("dlc").params["TargetId"] == "second"
    catalog.note(failed(keys[0]))
    assert catalog.state("dlc").params["TargetId"] == "first"
