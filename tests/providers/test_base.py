"""What all providers are."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.errors import ParameterError, TokenError
from jupyter_tokens.providers.base import (
    COMMON_HEADERS,
    Call,
    Endpoint,
    Provider,
    Reference,
    Region,
    Setting,
    SettingProblem,
    SignIn,
    parsed_url,
)
from jupyter_tokens.providers.catalogue import provider_class, provider_ids
from jupyter_tokens.providers.fields import Number, Switch, Variable
from jupyter_tokens.token import Secret, Token

from ..doubles import CANARY, NOW, Clock


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
def test_wrong_values_name_their_setting(key: str, value: Any) -> None:
    with pytest.raises(SettingProblem) as caught:
        Example(**{key: value})
    assert caught.value.key == key
    assert str(caught.value) == f"{key}: {caught.value.problem}"


def test_a_trait_without_a_name_still_says_what_is_wrong() -> None:
    with pytest.raises(SettingProblem, match="key: must be a string, not int"):
        Setting("x").check("key", 5)


def test_a_setting_that_there_is_not_is_no_argument() -> None:
    with pytest.raises(TypeError, match="Example has no setting 'regoin'"):
        Example(regoin="x")


def test_settings_come_in_the_order_of_their_declaration() -> None:
    assert list(Example.settings()) == ["endpoint", "region", "key", "way"]


def test_endpoint_is_needed_and_loses_its_slash() -> None:
    with pytest.raises(SettingProblem, match="endpoint: is missing"):
        Example().check()
    made = Example(endpoint="https://h/base//")
    made.check()
    assert made.base() == "https://h/base"


class Ways(Provider):
    id = "ways"
    title = "Ways"
    sign_in = (
        SignIn("key", "Access key", ("key_id", "key"), ("sts",)),
        SignIn("user", "User", ("user", "password", "login_url")),
        SignIn("tool", "The tool's own login", (), ("login_url", "cloud"), chosen_by=("credentials", "tool")),
    )

    endpoint = Endpoint("Base URL.", required=True, unless="region")
    region = Region("Region.", example="eu-de")
    key_id = Reference("Id.", secret=False, label="Key ID")
    key = Reference("Key.", secret=True)
    sts = Reference("STS token.", secret=True)
    user = Reference("User.", secret=False)
    password = Reference("Password.", secret=True)
    login_url = Endpoint("Where to log in.", unless="region")
    cloud = Setting("Cloud.")
    credentials = Setting("How.", choices=("", "tool"), advanced=True)


KEY = {"region": "eu-de", "key_id": "i", "key": "k"}
USER = {"region": "eu-de", "user": "u", "password": "p"}
TOOL = {"region": "eu-de", "credentials": "tool"}


@pytest.mark.parametrize(
    ("given", "way"),
    [
        (KEY, "key"),
        ({**KEY, "sts": "s"}, "key"),
        (USER, "user"),
        ({**USER, "region": "", "endpoint": "https://h", "login_url": "https://l"}, "user"),
        (TOOL, "tool"),
        ({**TOOL, "cloud": "c", "login_url": "https://l"}, "tool"),
    ],
)
def test_what_is_given_chooses_how_to_sign_in(given: dict[str, str], way: str) -> None:
    made = Ways(**given)
    made.check()
    chosen = made.chosen_sign_in()
    assert chosen is not None
    assert chosen.id == way


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({**KEY, "region": ""}, "endpoint: is missing (or give region)"),
        ({"region": "eu-de"}, "key_id: is missing (or give user or credentials)"),
        ({**KEY, "key": ""}, "key: is missing"),
        ({"region": "eu-de", "key": "k"}, "key_id: is missing"),
        ({**USER, "region": "", "endpoint": "https://h"}, "login_url: is missing (or give region)"),
        ({**KEY, "password": "p"}, "password: and key_id cannot both be given"),
        ({**KEY, "credentials": "tool"}, "credentials: and key_id cannot both be given"),
        ({**KEY, "cloud": "c"}, "cloud: is not used with sign-in by key_id: leave it out"),
        ({**TOOL, "sts": "s"}, "sts: is not used with credentials tool: leave it out"),
    ],
)
def test_what_a_way_to_sign_in_needs_and_what_it_leaves_unused(given: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingProblem) as caught:
        Ways(**given).check()
    assert str(caught.value) == problem


def test_that_no_way_to_sign_in_is_chosen_is_said_in_attributes() -> None:
    with pytest.raises(SettingProblem) as caught:
        Ways(region="eu-de").check()
    problem = caught.value
    assert (problem.key, problem.missing, problem.alternatives) == ("key_id", True, ("user", "credentials"))
    assert [way.id for way in problem.sign_in] == ["key", "user", "tool"]


def test_schema_tells_when_a_setting_is_required_and_which_belong_together() -> None:
    told = Ways.schema()
    assert told["required"] == []
    needed = {name: facts.get("x-required-when") for name, facts in told["settings"].items()}
    assert needed["endpoint"] == [{"without": "region"}]
    assert needed["key"] == [{"sign_in": "key"}]
    assert needed["login_url"] == [{"sign_in": "user", "without": "region"}]
    assert needed["region"] is needed["sts"] is needed["cloud"] is None
    assert told["settings"]["login_url"]["x-sign-in"] == ["user", "tool"]
    assert "x-sign-in" not in told["settings"]["region"]
    assert told["sign_in"] == [
        {"id": "key", "title": "Access key", "required": ["key_id", "key"], "optional": ["sts"]},
        {"id": "user", "title": "User", "required": ["user", "password", "login_url"], "optional": []},
        {
            "id": "tool",
            "title": "The tool's own login",
            "required": [],
            "optional": ["login_url", "cloud"],
            "set": {"credentials": "tool"},
        },
    ]
    assert Example.schema()["required"] == ["endpoint"]


def test_schema_has_words_for_people() -> None:
    told = Ways.schema()["settings"]
    assert told["key_id"]["title"] == "Key ID"
    assert told["login_url"]["title"] == "Login url"
    assert told["region"]["examples"] == ["eu-de"]
    assert told["credentials"]["x-advanced"] is True
    assert "x-advanced" not in told["key"]


@pytest.mark.parametrize("name", provider_ids())
def test_the_ways_to_sign_in_of_every_provider_name_its_settings(name: str) -> None:
    kind = provider_class(name)
    for way in kind.sign_in:
        chosen_by = [way.chosen_by[0]] if way.chosen_by else []
        assert {*way.required, *way.optional, *chosen_by} <= kind.settings().keys()
        assert way.label
    assert all(setting.unless in {"", *kind.settings()} for setting in kind.settings().values())


@pytest.mark.parametrize("region", ["cn-hangzhou", "eu-central-1", ""])
def test_a_region(region: str) -> None:
    assert Ways(region=region).region == region


@pytest.mark.parametrize("region", ["evil.com/", "a.b", "-", "a@b", "a b", "a/../b", "é", "-a", "a-"])
def test_a_region_is_part_of_a_hosts_name_and_no_more(region: str) -> None:
    with pytest.raises(SettingProblem, match="must be a region's id"):
        Ways(region=region)


def test_what_a_subclass_has_to_bring() -> None:
    made = Example()
    with pytest.raises(NotImplementedError):
        made.credential({})
    with pytest.raises(NotImplementedError):
        made.retrieve(call())


def test_a_provider_without_create_says_so() -> None:
    with pytest.raises(TokenError, match="cannot create tokens") as caught:
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
    told = Example.schema()["settings"]
    assert told["way"] == {
        "type": "string", "title": "Way", "description": "Way.", "enum": ["a", "b"], "default": "a",
    }  # fmt: skip
    assert told["endpoint"]["format"] == "uri"
    assert told["key"] == {"type": "string", "title": "Key", "description": "Key.", "writeOnly": True}
    assert told["region"] == {"type": "string", "title": "Region", "description": "Region."}
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


def test_what_is_typed_is_read_as_the_setting_needs_it() -> None:
    seconds = Number("Seconds.", label="Timeout", unit="seconds", maximum=600)
    assert Setting("x").from_text("key", "5") == "5"
    assert seconds.from_text("timeout", "5") == 5.0
    with pytest.raises(ParameterError, match="timeout must be a number of seconds"):
        seconds.from_text("timeout", "soon")


def test_a_variable_or_one_for_each_value_from_a_line() -> None:
    field = Variable("")
    assert field.from_text("env", "TOKEN") == "TOKEN"
    assert field.from_text("env", "Key=A, Secret=B") == {"Key": "A", "Secret": "B"}


def test_a_provider_that_lists_nothing_says_so() -> None:
    with pytest.raises(TokenError, match="Example has no call that lists id"):
        Example().list_values(call(), "id")


def test_a_provider_without_a_proxy_or_a_cache_behind_it_says_so() -> None:
    with pytest.raises(TokenError, match="Example cannot be reached through the proxy") as caught:
        Example().exchange(call())
    assert caught.value.unsent
    with pytest.raises(TokenError, match="Example does not ask to cache"):
        Example().answer(Token("value", profile="mine", provider="example", obtained_at=utc(NOW)), NOW)


def test_schema_of_a_number_and_of_a_switch() -> None:
    seconds = Number("Seconds.", label="Timeout", unit="seconds", maximum=600).schema()
    assert (seconds["exclusiveMinimum"], seconds["maximum"]) == (0, 600)
    assert "readOnly" not in Switch("On or off.", label="On").schema()
    assert Switch("On or off.", label="On", read_only=True).schema()["readOnly"] is True
    assert [Switch("", label="").from_text("key", text) for text in ("true", "false", "x")] == [True, False, "x"]
