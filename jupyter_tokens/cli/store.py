"""`jupyter tokens store`: what the processes of a user share, without a value; emptying it, and a new key for it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from traitlets import Bool

from ..errors import ConfigurationError
from .command import Action
from .terminal import coloured, say, table

if TYPE_CHECKING:
    from ..sources.stores import Store, TokenStore

__all__ = ["StoreApp"]

_ACTIONS = ("show", "clear", "rekey")


class StoreApp(Action):
    """Asks no vendor, and opens no slot."""

    name = "jupyter-tokens-store"
    description = """Show, clear or rekey the store, through which your processes share tokens.

    show: the slots, with age, time left and size. Their names say nothing, and their values stay sealed.
    clear: empty the store; the next fetch asks the API.
    rekey: put a new key in front. What is there is still opened with the old one, and sealed with the new one when it
    is next used. For a key that others may have seen, clear the store as well."""
    examples = "jupyter tokens store show\njupyter tokens store clear\njupyter tokens store rekey"

    as_json = Bool(default_value=False, help="Print one JSON object instead of a table.").tag(config=True)

    flags = {  # noqa: RUF012 (traitlets declares it as an instance variable)
        **Action.flags,
        "json": ({"StoreApp": {"as_json": True}}, "Print one JSON object instead of a table (show)."),
    }

    def run(self) -> int:
        """See `Action`."""
        if len(self.extra_args) != 1 or self.extra_args[0] not in _ACTIONS:
            self.fail(2, f"takes one of {', '.join(_ACTIONS)}; see --help")
        from ..sources.stores import StoreUnavailable, TokenStore  # noqa: PLC0415 (reads the configuration)

        settings = TokenStore.configured()
        store = settings.open()
        if store is None:
            raise ConfigurationError("There is no store: TokenStore.url is none.")
        try:
            if self.extra_args[0] == "show":
                self._show(store)
            elif self.extra_args[0] == "clear":
                say(f"Slots emptied: {store.clear()}.")
            else:
                self._rekey(settings)
        except StoreUnavailable as problem:
            self.fail(1, f"the store cannot be used: {problem}")
        except OSError as problem:
            self.fail(1, f"the key file cannot be written: {problem.strerror}")
        finally:
            store.close()
        return 0

    def _show(self, store: Store) -> None:
        slots = store.slots()
        if self.as_json:
            facts = [{"name": slot.name, "age": slot.age, "expires_in": slot.left, "size": slot.size} for slot in slots]
            sys.stdout.write(json.dumps({"store": store.place, "slots": facts}) + "\n")
            return
        say(f"Store: {store.place}")
        if not slots:
            say("It is empty.")
            return
        heads = [coloured(head, "bold") for head in ("slot", "age", "left", "size")]
        rows = [(slot.name, f"{slot.age:.0f} s", f"{slot.left:.0f} s", f"{slot.size} bytes") for slot in slots]
        sys.stdout.write(table([heads, *rows]))

    @staticmethod
    def _rekey(settings: TokenStore) -> None:
        say(f"A new key seals from now on: the first in {settings.rekey()}. The old ones still open.")
