"""What every view shows of a token: one rule for its state, and which of a profile's tokens is shown."""

from __future__ import annotations

import httpx
import pytest

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import ParameterError, TokenError, Unauthorized
from jupyter_tokens.sources import cache
from jupyter_tokens.sources.cache import STATE_LABELS, Standing
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.transport import Transport

from ..doubles import Clock, Script, answer

PROFILE = {"provider": "oneaccess", "endpoint": "https://acme.example", "client_id": "i", "client_secret": "s3cret"}
DLC = {"provider": "pai-dlc", "endpoint": "https://x.example", "access_key_id": "i", "access_key_secret": "s3cret"}
ASTRA = {"provider": "astra", "endpoint": "https://x.example", "api_token": "s3cret"}
LIFE = 1000
REFUSED = answer(401, {"error": "invalid_client"})


def good(number: int = 0) -> httpx.Response:
    return answer(body={"access_token": f"t{number}", "expires_in": LIFE, "token_type": "Bearer"})


def source_of(clock: Clock, *answers: httpx.Response) -> LocalSource:
    transport = Transport(clock=clock, transport=Script(*answers))
    return LocalSource(
        Profiles.from_settings({"one": PROFILE, "dlc": DLC, "stored": ASTRA}), clock=clock, transport=transport
    )


def state(source: LocalSource, profile: str = "one") -> str:
    return source.profile_standing(profile)[0].state


def refused(source: LocalSource, profile: str = "one", **params: str) -> None:
    with pytest.raises(Unauthorized):
        source.get(source.key(profile, params), refresh=True)


def test_the_states_of_a_tokens_life(clock: Clock) -> None:
    source = source_of(clock, good())
    assert source.profile_standing("one") == (Standing("none", None, None), source.key("one"))
    token = source.get(source.key("one"))
    states = []
    for _ in range(5):
        standing, key = source.profile_standing("one")
        assert (standing.token, key) == (token, source.key("one"))
        states.append(standing.state)
        assert source.count_valid() == (standing.state != "expired")
        clock.advance(LIFE / 4)
    assert states == ["fresh", "fresh", "fresh", "fresh", "expired"]
    assert set(states) < set(STATE_LABELS)


def test_aging_when_a_refresh_is_due(clock: Clock) -> None:
    source = source_of(clock, good())
    source.get(source.key("one"))
    clock.advance(0.85 * LIFE)
    assert state(source) == "aging"


def test_a_failed_fetch_is_shown_until_one_succeeds(clock: Clock) -> None:
    source = source_of(clock, REFUSED, good())
    refused(source)
    standing, key = source.profile_standing("one")
    assert (standing.state, standing.token, key) == ("failed", None, source.key("one"))
    assert isinstance(standing.error, Unauthorized)
    source.get(source.key("one"))
    assert source.profile_standing("one")[0].error is None


def test_a_failed_refresh_ages_a_valid_token_and_fails_an_expired_one(clock: Clock) -> None:
    source = source_of(clock, good(), REFUSED)
    source.get(source.key("one"))
    refused(source)
    assert state(source) == "aging"
    clock.advance(LIFE)
    assert state(source) == "failed"


def test_a_wrong_parameter_is_no_state_of_a_token(clock: Clock) -> None:
    source = source_of(clock)
    with pytest.raises(ParameterError):
        source.get(source.key("dlc", {"ExpireTime": -1}))
    assert source.keys() == []


def test_what_needs_parameters_has_no_token_without(clock: Clock) -> None:
    assert source_of(clock).profile_standing("stored") == (Standing("none", None, None), None)


def test_failures_without_end_are_not_all_kept(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_MIN_SWEEP", 4)
    source = source_of(clock, *[REFUSED] * 20, good())
    for number in range(20):
        refused(source, "dlc", TargetId=f"t{number}")
    source.get(source.key("one"))
    assert len(source.keys()) <= 4


def test_forgetting_a_profile_leaves_the_others(clock: Clock) -> None:
    source = source_of(clock, good(), REFUSED)
    source.get(source.key("one"))
    refused(source, "dlc", TargetId="t")
    source.forget_profile("one")
    assert source.keys() == [source.key("dlc", {"TargetId": "t"})]


def test_the_token_fetched_last_is_shown_or_the_one_whose_refresh_failed(clock: Clock) -> None:
    answers = [answer(body={"Token": f"t{number}"}) for number in range(2)]
    source = source_of(clock, *answers, REFUSED)
    assert source.profile_standing("dlc")[1] == source.key("dlc")
    first, second = (source.key("dlc", {"TargetType": "job", "TargetId": name}) for name in ("first", "second"))
    for key in (first, second):
        source.get(key)
    assert source.profile_standing("dlc")[1] == second
    with pytest.raises(TokenError):
        source.get(first, refresh=True)
    standing, shown = source.profile_standing("dlc")
    assert (shown, standing.token) == (first, source.standing(second).token)
    assert isinstance(standing.error, Unauthorized)
