"""What all providers are."""

from __future__ import annotations

import httpx
import pytest

from jupyter_tokens.config.profiles import provider_class, provider_ids
from jupyter_tokens.errors import TokenError
from jupyter_tokens.providers.base import (
    COMMON_HEADERS,
    Call,
    Endpoint,
    Provider,
    Reference,
    Setting,
    SettingProblem,
    endpoint_or_region,
    need,
    parsed_url,
)
from jupyter_tokens.token import Secret

from ..doubles import CANARY, Clock


class Example(Provider):
    id = "example"
    title = "Example"
    region = Setting("Region.")
    key = Reference("Key.", secret=True)
    way = Setting("Way.", choices=("a", "b"), default="a")


def call() -> Call:
    return Call("mine", {}, Secret(CANARY), Clock())


def test_settings_are_the_traits_that_say_where_and_as_whom() -> None:
    settings = Example.settings()
    assert set(settings) == {"endpoint", "region", "key", "way"}
    assert isinstance(settings["endpoint"], Endpoint)
    assert settings["key"].help == "Key."


def test_defaults() -> None:
    made = Example()
    assert (made.endpoint, made.region, made.key, made.way) == ("", "", "", "a")


@pytest.mark.parametrize(("key", "value"), [("region", 5), ("way", "c"), ("endpoint", None)])
def test_wrong_values_name_their_setting(key: str, value: object) -> None:
    with pytest.raises(SettingProblem) as caught:
        Example(**{key: value})
    assert caught.value.key == key
    assert str(caught.value) == f"{key}: {caught.value.problem}"


def test_a_trait_without_a_name_still_says_what_is_wrong() -> None:
    with pytest.raises(SettingProblem, match="must be a string, not int"):
        Setting("x").validate(None, 5)


def test_endpoint_is_needed_and_loses_its_slash() -> None:
    with pytest.raises(SettingProblem, match="endpoint: is missing"):
        Example().check()
    made = Example(endpoint="https://h/base//")
    made.check()
    assert made.base() == "https://h/base"


def test_need() -> None:
    need(Example(key="x"), "key", "way")
    with pytest.raises(SettingProblem, match="key: is missing"):
        need(Example(), "way", "key")


@pytest.mark.parametrize("region", ["cn-hangzhou", "eu-central-1"])
def test_a_region_or_an_endpoint(region: str) -> None:
    endpoint_or_region(Example(), region)
    endpoint_or_region(Example(endpoint="https://h"), "")
    with pytest.raises(SettingProblem, match="or give region"):
        endpoint_or_region(Example(), "")


@pytest.mark.parametrize("region", ["evil.com/", "a.b", "-", "a@b", "a b", "a/../b", "é", "-a", "a-"])
def test_a_region_is_part_of_a_hosts_name_and_no_more(region: str) -> None:
    with pytest.raises(SettingProblem, match="must be a region's id"):
        endpoint_or_region(Example(), region)


def test_what_a_subclass_has_to_bring() -> None:
    made = Example()
    for method, argument in ((made.credential, {}), (made.retrieve, call())):
        with pytest.raises(NotImplementedError):
            method(argument)


def test_a_provider_without_create_says_so() -> None:
    with pytest.raises(TokenError, match="Example has no call that creates a token") as caught:
        Example().create(call())
    assert caught.value.unsent


def test_only_astra_creates() -> None:
    assert [name for name in provider_ids() if provider_class(name).create is not Provider.create] == ["astra"]


@pytest.mark.parametrize("name", provider_ids())
def test_every_provider_describes_itself(name: str) -> None:
    kind = provider_class(name)
    assert kind.id == name
    assert kind.title
    assert kind.documentation
    assert all(setting.help for setting in kind.settings().values())
    assert all(param.help for param in kind.params.values())


def test_urls_are_parsed_once() -> None:
    assert parsed_url("https://h/a?b=c") is parsed_url("https://h/a?b=c")
    assert parsed_url("https://h/a?b=c") == httpx.URL("https://h/a?b=c")


def test_every_request_refuses_compression() -> None:
    assert COMMON_HEADERS["Accept-Encoding"] == "identity"
    assert COMMON_HEADERS["User-Agent"].startswith("jupyter_tokens/")


def test_a_call_shows_no_credential() -> None:
    assert CANARY not in repr(call())


def test_schema_tells_choices_defaults_urls_and_what_is_only_ever_written() -> None:
    told = Example.schema()
    assert told["settings"]["way"] == {"type": "string", "description": "Way.", "enum": ["a", "b"], "default": "a"}
    assert told["settings"]["endpoint"]["format"] == "uri"
    assert told["settings"]["key"] == {"type": "string", "description": "Key.", "writeOnly": True}
    assert told["settings"]["region"] == {"type": "string", "description": "Region."}
    assert "writeOnly" not in Reference("Id.", secret=False).schema()


@pytest.mark.parametrize("name", provider_ids())
def test_schema_of_every_provider_knows_its_parameters(name: str) -> None:
    kind = provider_class(name)
    told = kind.schema()
    assert set(told["settings"]) == set(kind.settings())
    assert set(told["params"]["properties"]) == set(kind.params)
    assert told["params"]["required"] == [key for key, param in kind.params.items() if param.required]
    created = {*kind.params, *kind.create_params} if name == "astra" else set()
    assert set(told["create_params"]["properties"]) == created
