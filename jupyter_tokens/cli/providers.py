"""`jupyter tokens providers`: the APIs there are, with their settings and parameters."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from traitlets import Bool

from ..config.profiles import provider_class, provider_ids
from ..providers.params import closest
from .command import Action
from .completion import provider_names
from .terminal import coloured, say, table

if TYPE_CHECKING:
    from ..providers.base import Provider

__all__ = ["ProvidersApp", "loaded"]


class ProvidersApp(Action):
    """Describes all providers, or those that are named."""

    name = "jupyter-tokens-providers"
    description = "List the providers with their settings (where and as whom) and parameters (what). Contacts nobody."
    examples = "jupyter tokens providers\njupyter tokens providers oneaccess --json"
    completer = staticmethod(provider_names)

    as_json = Bool(default_value=False, help="Print one JSON object, with JSON schemas.").tag(config=True)

    flags = {  # noqa: RUF012 (traitlets declares it as an instance variable)
        **Action.flags,
        "json": ({"ProvidersApp": {"as_json": True}}, as_json.help),
    }

    def run(self) -> int:
        """See `Action`."""
        known = provider_ids()
        for wanted in self.extra_args:
            if wanted not in known:
                self.fail(2, f"there is no provider {wanted!r}. {closest(wanted, known)}")
        found = list(loaded(self.extra_args or known))
        if self.as_json:
            sys.stdout.write(json.dumps({"providers": [_entry(provider) for provider in found]}) + "\n")
        else:
            sys.stdout.write("\n".join(_text(provider) for provider in found))
        return 0


def loaded(ids: list[str]) -> Iterator[type[Provider]]:
    """The providers of these ids; of one that cannot be loaded a line is said."""
    for provider_id in ids:
        try:
            yield provider_class(provider_id)
        except Exception as error:
            # Another package's: it does not keep the others from being listed.
            say(f"The provider {provider_id} cannot be loaded ({type(error).__name__}).")


def _entry(provider: type[Provider]) -> dict[str, Any]:
    return {
        "id": provider.id,
        "title": provider.title,
        "documentation": provider.documentation,
        **provider.schema(),
    }


def _text(provider: type[Provider]) -> str:
    settings = [(f"  {name}", _told(schema)) for name, schema in provider.schema()["settings"].items()]
    known = provider.schema()["params"]
    params = [
        (f"  {name}=", _told(schema) + (" Required." if name in known["required"] else ""))
        for name, schema in known["properties"].items()
    ]
    parts = [f"{coloured(provider.id, 'bold')}  {provider.title}\n", "Settings:\n", table(settings)]
    return "".join([*parts, "Parameters:\n", table(params)] if params else [*parts, "No parameters.\n"])


def _told(schema: dict[str, Any]) -> str:
    choices = ", ".join(choice for choice in schema.get("enum", ()) if choice)
    return f"{schema['description']}{f' [{choices}]' if choices else ''}{' Secret.' if 'writeOnly' in schema else ''}"
