"""The parameters' form: what it shows of a schema, and what it makes of what is entered."""

from __future__ import annotations

from typing import Any

import pytest
from ipywidgets import BoundedIntText, Checkbox, Dropdown, HBox, Text

from jupyter_tokens.providers.pai import PaiDlc
from jupyter_tokens.providers.params import Param, params_schema, parse_params
from jupyter_tokens.widgets.form import ParamsForm

KNOWN = {
    "Kind": Param("What kind.", choices=("job", "board")),
    "Id": Param("Which one.", required=True, identifier=True),
    "Life": Param("Seconds.", type="integer", minimum=5),
    "Shared": Param("Whether others see it.", type="boolean"),
}
SCHEMA = params_schema(KNOWN)


def form(own: dict[str, Any] | None = None, **given: Any) -> ParamsForm:
    return ParamsForm(SCHEMA, own or {}, given)


def control(of: ParamsForm, name: str) -> Any:
    for row in of.box.children:
        found = row.children[0] if isinstance(row, HBox) else row
        if found.description == name:
            return found
    raise KeyError(name)


def meant(of: ParamsForm) -> Checkbox:
    (box,) = (row.children[1] for row in of.box.children if isinstance(row, HBox))
    return box


def test_each_parameter_has_the_control_of_its_type_its_name_and_its_help() -> None:
    made = form()
    kinds = {name: type(control(made, name)) for name in KNOWN}
    assert kinds == {"Kind": Dropdown, "Id": Text, "Life": BoundedIntText, "Shared": Dropdown}
    for name, param in KNOWN.items():
        assert control(made, name).tooltip == param.help
    assert control(made, "Id").placeholder == "required"
    assert control(made, "Life").min == 5


def test_what_is_left_alone_is_not_sent() -> None:
    assert form().values() == {}
    assert form({"Kind": "job", "Id": "a", "Life": 60, "Shared": True}).values() == {}


def test_what_the_profile_says_is_shown() -> None:
    made = form({"Kind": "job", "Id": "a", "Life": 60, "Shared": True})
    assert control(made, "Kind").options[0] == ("job", "")
    assert control(made, "Id").placeholder == "a"
    assert control(made, "Life").value == 60
    assert control(made, "Shared").options[0] == ("true", "")


def test_what_is_entered_is_sent_in_its_type() -> None:
    made = form({"Id": "a"})
    control(made, "Kind").value = "board"
    control(made, "Id").value = " b "
    control(made, "Life").value = 90
    control(made, "Shared").value = False
    assert made.values() == {"Kind": "board", "Id": "b", "Life": 90, "Shared": False}
    meant(made).value = False
    control(made, "Kind").value = ""
    control(made, "Id").value = " "
    assert made.values() == {"Shared": False}


def test_a_number_that_is_entered_is_meant() -> None:
    made = form({"Life": 60})
    assert not meant(made).value
    control(made, "Life").value = 61
    assert meant(made).value


@pytest.mark.parametrize("life", [60, "60"])
def test_what_is_given_stands_in_the_form(life: object) -> None:
    made = form(Kind="board", Id="x", Life=life, Shared="true")
    assert control(made, "Kind").value == "board"
    assert control(made, "Life").value == 60
    assert control(made, "Shared").value is True
    assert parse_params(KNOWN, made.values()) == {"Kind": "board", "Id": "x", "Life": 60, "Shared": True}


@pytest.mark.parametrize(
    "given", [{"Kind": "tree"}, {"Life": "soon"}, {"Life": 1}, {"Shared": "maybe"}, {"Wrong": "x"}, {"Life": True}]
)
def test_what_is_given_and_wrong_is_sent_as_it_is_to_be_refused_by_name(given: dict[str, Any]) -> None:
    assert form(**given).values() == given


def test_a_wrong_number_is_put_right_in_the_form() -> None:
    made = form(Life="soon")
    control(made, "Life").value = 7
    assert made.values() == {"Life": 7}


def test_a_provider_without_parameters_has_an_empty_form() -> None:
    made = ParamsForm(params_schema({}), {}, {})
    assert made.box.children == ()
    assert made.values() == {}


def test_the_forms_of_real_providers_speak_their_schema() -> None:
    schema = PaiDlc().schema()["params"]
    made = ParamsForm(schema, {}, {"ExpireTime": 60, "TokenSettings.EnableLogDownloadJob": True})
    assert {row.children[0].description if isinstance(row, HBox) else row.description for row in made.box.children} == {
        *schema["properties"]
    }
    assert made.values() == {"ExpireTime": 60, "TokenSettings.EnableLogDownloadJob": True}


def test_a_list_is_written_with_spaces_between_its_texts() -> None:
    made = ParamsForm(
        params_schema({"Scopes": Param("", type="array")}), {"Scopes": ["a", "b"]}, {"Scopes": ["c", "d"]}
    )
    assert control(made, "Scopes").placeholder == "a b"
    assert control(made, "Scopes").value == "c d"
    assert made.values() == {"Scopes": "c d"}
