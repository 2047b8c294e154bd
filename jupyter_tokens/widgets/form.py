"""The details below a profile's row: controls for its parameters, the place to inject into, and further actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ipywidgets import BoundedIntText, Button, Checkbox, Dropdown, HBox, Layout, Text, VBox, Widget

from ..errors import ParameterError
from ..kernel.injection import Place, env_places, file_place, var_place
from ..protocol.messages import format_env

if TYPE_CHECKING:
    from ..protocol.messages import ProfileEntry

__all__ = ["Details", "ParamsForm"]

_WIDTH_EM, _SET_EM = 38, 6
# The largest safe integer in JavaScript.
_MAX_SAFE_INTEGER = 2**53 - 1
_BOOLEANS = (("true", True), ("false", False))
# The value of a dropdown without an entry. Not None, because a dropdown treats None as "no selection".
_UNSET = ""
_KINDS: dict[str, Callable[[str], Sequence[Place]]] = {
    "Environment variable": env_places,
    "Python variable": lambda name: [var_place(name)],
    "File": lambda path: [file_place(path)],
}


class ParamsForm:
    """A form with a control for each request parameter.

    Parameters
    ----------
    schema : mapping
        JSON schema of the parameters.
    own : mapping
        The profile's own parameters. A control shows the profile's value, which is used if nothing is entered.
    given : mapping
        Initial values of the controls.
    """

    def __init__(self, schema: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        properties: Mapping[str, Any] = schema.get("properties", {})
        self._required = set(schema.get("required", ()))
        self.description_width = f"{max(map(len, ('Inject into', *properties))) * 0.53 + 1:.1f}em"
        # Parameters that are not in the schema are passed on: the fetch refuses them by name.
        self._unknown = {name: value for name, value in given.items() if name not in properties}
        self._readers: dict[str, Callable[[], Any]] = {}
        rows = [self._control(name, facts, own.get(name), given.get(name)) for name, facts in properties.items()]
        self.box = VBox(rows)

    def values(self) -> dict[str, Any]:
        """Return the entered values, by the vendor's names."""
        read = {name: value() for name, value in self._readers.items()}
        return {name: value for name, value in {**self._unknown, **read}.items() if value is not None}

    def _control(self, name: str, facts: Mapping[str, Any], own: Any, given: Any) -> Widget:
        common = {
            "description": name,
            "tooltip": str(facts.get("description") or name),
            "style": {"description_width": self.description_width},
        }
        default = _as_text(own if own is not None else facts.get("default"))
        if facts.get("type") == "integer":
            return self._number(name, facts, own, given, common)
        common["layout"] = Layout(width=f"{_WIDTH_EM}em", max_width="100%")
        if facts.get("type") == "boolean":
            return self._choice(name, _BOOLEANS, default, given, common)
        if facts.get("enum"):
            return self._choice(name, [(str(value), value) for value in facts["enum"]], default, given, common)
        hint = default or ("required" if name in self._required else str(facts.get("description", "")))
        text = Text(value=_as_text(given), placeholder=hint, continuous_update=False, **common)
        # Copying an id often picks up spaces around it.
        self._readers[name] = lambda: text.value.strip() or None
        return text

    def _choice(
        self, name: str, options: Sequence[tuple[str, Any]], default: str, given: Any, common: dict[str, Any]
    ) -> Widget:
        unset = default or ("choose" if name in self._required else "not set")
        chosen = next((value for label, value in options if label == _as_text(given)), given)
        # An unknown value is sent as given, so that the fetch refuses it with a reason.
        unlisted = [] if given is None or any(value == chosen for _, value in options) else [(_as_text(given), given)]
        control = Dropdown(
            options=[(unset, _UNSET), *options, *unlisted], value=_UNSET if given is None else chosen, **common
        )
        self._readers[name] = lambda: None if control.value == _UNSET else control.value
        return control

    def _number(self, name: str, facts: Mapping[str, Any], own: Any, given: Any, common: dict[str, Any]) -> Widget:
        minimum, maximum = facts.get("minimum", -_MAX_SAFE_INTEGER), facts.get("maximum", _MAX_SAFE_INTEGER)
        first = next((value for value in map(_as_int, (given, own, facts.get("default"))) if value is not None), 0)
        common["layout"] = Layout(width=f"{_WIDTH_EM - _SET_EM}em")
        control = BoundedIntText(value=min(max(first, minimum), maximum), min=minimum, max=maximum, **common)
        # A number control always shows a number, so a checkbox says whether to send it.
        checkbox = Checkbox(
            value=given is not None,
            description="set",
            indent=False,
            tooltip=f"Send {name}",
            layout=Layout(width=f"{_SET_EM}em", margin="2px 0 2px 8px"),
        )
        # A value that the control cannot show is sent as given, so that the fetch refuses it with a reason.
        value = given

        def on_change(_change: object) -> None:
            nonlocal value
            value = None
            checkbox.value = True

        control.observe(on_change, "value")
        self._readers[name] = lambda: None if not checkbox.value else control.value if value is None else value
        return HBox([control, checkbox], layout=Layout(flex_flow="row wrap"))


def _as_int(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


class Details:
    """The details of one row.

    They are created when they are first opened, because they need many widgets, and most are never opened.

    Parameters
    ----------
    entry : ProfileEntry
        The profile.
    given : mapping
        Initial values of the parameters.
    actions : sequence of Button
        Buttons that are shown after the controls for the place.
    """

    def __init__(self, entry: ProfileEntry, given: Mapping[str, Any], actions: Sequence[Button]) -> None:
        self._form = ParamsForm(entry.schema, entry.params, given)
        kinds = [*_KINDS]
        self._kind = Dropdown(
            options=kinds,
            value=kinds[0] if entry.env else kinds[1],
            description="Inject into",
            tooltip="Where Inject puts the token",
            style={"description_width": self._form.description_width},
            layout=Layout(width="auto"),
        )
        self._name = Text(
            value=format_env(entry.env),
            placeholder="name",
            tooltip="Name of the variable, or path of the file",
            continuous_update=False,
            layout=Layout(width="18em"),
        )
        self.box = VBox(
            [
                self._form.box,
                HBox(
                    [self._kind, self._name, *actions],
                    layout=Layout(flex_flow="row wrap"),
                ),
            ],
            layout=Layout(padding="2px 0 4px 0", width="auto", overflow="hidden"),
        )

    def params(self) -> dict[str, Any]:
        """Return the entered parameters."""
        return self._form.values()

    def places(self) -> Sequence[Place]:
        """Return the chosen places. Raises `ParameterError` for a missing or invalid name.

        There is one place, or a variable for each value of a token with several values.
        """
        name = self._name.value.strip()
        if not name:
            raise ParameterError('Enter the variable or the file to put the token into, next to "Inject into".')
        return _KINDS[self._kind.value](name)
