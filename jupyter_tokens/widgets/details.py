"""What stands below a profile's line: parameters, the variable to fill, and the rarer actions; does none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ipywidgets import Button, Dropdown, HBox, Layout, Text, VBox

from ..errors import ParameterError
from ..kernel.injection import Place, env_place, file_place, var_place
from .form import ParamsForm

if TYPE_CHECKING:
    from ..sources.base import ProfileEntry

__all__ = ["Details"]

_KINDS: dict[str, Callable[[str], Place]] = {
    "Environment variable": env_place,
    "Python variable": var_place,
    "File": file_place,
}


class Details:
    """Made when they are first opened: a panel of a thousand profiles would have ten thousand widgets otherwise."""

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
            value=entry.env or "",
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
        """The parameters that were entered."""
        return self._form.values()

    def place(self) -> Place:
        """The place that was chosen. Raises `ParameterError`."""
        name = self._name.value.strip()
        if not name:
            raise ParameterError("Choose the variable or the file that the token is put into.")
        return _KINDS[self._kind.value](name)
