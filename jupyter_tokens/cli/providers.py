"""`jupyter tokens providers`: lists the supported APIs with their settings and parameters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from traitlets import Bool

from .._util.hints import closest
from ..providers.catalogue import provider_class, provider_ids
from .command import Action
from .completion import provider_names
from .terminal import coloured, echo, table, write_json

if TYPE_CHECKING:
    from ..providers.base import Provider

__all__ = ["ProvidersApp", "loaded"]


class ProvidersApp(Action):
    """Describe all providers, or the named ones."""

    name = "jupyter-tokens-providers"
    description = "List the providers with their settings and request parameters. Sends no request."
    examples = "jupyter tokens providers\njupyter tokens providers oneaccess --json"
    completer = staticmethod(provider_names)

    as_json = Bool(default_value=False, help="Print one JSON object, with JSON schemas.").tag(flag="json")

    def run(self) -> int:
        known = provider_ids()
        for wanted in self.extra_args:
            if wanted not in known:
                self.fail(2, f"there is no provider {wanted!r}. {closest(wanted, known)}")
        found = list(loaded(self.extra_args or known))
        if self.as_json:
            write_json({"providers": [_entry(provider) for provider in found]})
        else:
            sys.stdout.write("\n".join(_text(provider) for provider in found))
        return 0


def loaded(ids: list[str]) -> Iterator[type[Provider]]:
    """Yield the providers with these ids; print a line for each provider that cannot be loaded."""
    for provider_id in ids:
        try:
            yield provider_class(provider_id)
        except Exception as error:
            # A provider of another package must not keep the others from being listed.
            echo(f"The provider {provider_id} cannot be loaded ({type(error).__name__}).")


def _entry(provider: type[Provider]) -> dict[str, Any]:
    return {
        "id": provider.id,
        "title": provider.title,
        "documentation": provider.documentation,
        **provider.schema(),
    }


def _text(provider: type[Provider]) -> str:
    settings = [(f"  {name}", _describe(schema)) for name, schema in provider.schema()["settings"].items()]
    known = provider.schema()["params"]
    params = [
        (f"  {name}=", _describe(schema) + (" Required." if name in known["required"] else ""))
        for name, schema in known["properties"].items()
    ]
    parts = [f"{coloured(provider.id, 'bold')}  {provider.title}\n", "Settings:\n", table(settings)]
    return "".join([*parts, "Parameters:\n", table(params)] if params else [*parts, "No parameters.\n"])


def _describe(schema: dict[str, Any]) -> str:
    choices = ", ".join(choice for choice in schema.get("enum", ()) if choice)
    return f"{schema['description']}{f' [{choices}]' if choices else ''}{' Secret.' if 'writeOnly' in schema else ''}"
