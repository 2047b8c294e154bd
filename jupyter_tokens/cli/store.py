"""`jupyter tokens store`: shows the token store that a user's processes share, empties it, or changes its key."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from traitlets import Bool

from ..errors import ConfigurationError
from ..sources.stores import StoreUnavailable, TokenStore
from .command import Action
from .terminal import coloured, echo, table, write_json

if TYPE_CHECKING:
    from ..sources.stores import Store

__all__ = ["StoreApp"]

_ACTIONS = ("show", "clear", "rekey")


class StoreApp(Action):
    """Show, clear or rekey the store, without decrypting tokens."""

    name = "jupyter-tokens-store"
    description = """Show, clear or rekey the token store, through which your processes share tokens.

    show: list the entries with age, remaining time and size. Their names are hashes, and their values stay encrypted.
    clear: empty the store; the next fetch calls the API.
    rekey: add a new key and use it from now on. Existing entries are still decrypted with the old key, and encrypted
    with the new key when they are next used. If others may have seen the old key, clear the store as well."""
    examples = "jupyter tokens store show\njupyter tokens store clear\njupyter tokens store rekey"

    as_json = Bool(default_value=False, help="Print one JSON object instead of a table (show).").tag(flag="json")

    def run(self) -> int:
        if len(self.extra_args) != 1 or self.extra_args[0] not in _ACTIONS:
            self.fail(2, f"takes one of {', '.join(_ACTIONS)}; see --help")

        settings = TokenStore.configured()
        store = settings.open()
        if store is None:
            raise ConfigurationError("There is no store: TokenStore.url is none, or this system cannot lock files.")
        try:
            if self.extra_args[0] == "show":
                self._show(store)
            elif self.extra_args[0] == "clear":
                echo(f"Entries removed: {store.clear()}.")
            else:
                self._rekey(settings)
        except StoreUnavailable as problem:
            self.fail(1, f"store: {problem}")
        except OSError as problem:
            self.fail(1, f"the key file cannot be written: {problem.strerror}")
        finally:
            store.close()
        return 0

    def _show(self, store: Store) -> None:
        slots = store.slots()
        if self.as_json:
            facts = [{"name": slot.name, "age": slot.age, "expires_in": slot.left, "size": slot.size} for slot in slots]
            write_json({"store": store.location, "slots": facts})
            return
        echo(f"Store: {store.location}")
        if not slots:
            echo("It is empty.")
            return
        heads = [coloured(head, "bold") for head in ("slot", "age", "left", "size")]
        rows = [(slot.name, f"{slot.age:.0f} s", f"{slot.left:.0f} s", f"{slot.size} bytes") for slot in slots]
        sys.stdout.write(table([heads, *rows]))

    @staticmethod
    def _rekey(settings: TokenStore) -> None:
        echo(f"New entries are encrypted with the first key in {settings.rekey()}. Older keys can still decrypt.")
