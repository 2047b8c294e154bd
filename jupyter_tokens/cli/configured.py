"""`jupyter tokens list` and `remove`: list the profiles; remove a profile, the secrets stored for it and its login.

Neither fetches a token. `remove` asks the server to revoke the login.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from traitlets import Bool

from .._util.hints import closest
from ..config.files import load_raw_profiles
from ..config.secrets import SecretRef
from ..errors import SecretError, UnknownProfile
from ..protocol.messages import format_env
from .command import Action
from .completion import profile_names
from .terminal import coloured, confirm, echo, is_interactive, one_line, table, write_json

__all__ = ["ListApp", "RemoveApp"]

_LOCAL = {"env", "file"}
"""Kinds of references that `list` resolves, because they need neither a keyring nor a program."""

_REVOKED = {
    None: "",
    True: " The server has revoked its login.",
    False: " Its login is removed here, but could not be revoked on the server.",
}
_COLOURS = {"configured": "green", "no secret": "yellow", "wrong": "red"}


class ListApp(Action):
    """List the profiles, and whether their secrets in variables and files can be read."""

    name = "jupyter-tokens-list"
    description = """List the profiles: provider, environment variable, state, file.

    The state is "configured", "no secret" (the environment variable or file of a secret is missing, or cannot be used)
    or "wrong" (the profile has no provider). No API is called, no keyring opened and no command run; `jupyter tokens
    doctor` checks more."""
    examples = "jupyter tokens list\njupyter tokens list --json"

    as_json = Bool(default_value=False, help="Print one JSON object instead of a table.").tag(flag="json")

    def run(self) -> int:
        self.refuse_arguments()
        written = load_raw_profiles()
        for problem in written.problems.values():
            echo(one_line(str(problem)))
        if written.problems and not written.profiles:
            return 2
        entries = [_entry(name, settings, file) for name, (settings, file) in written.profiles.items()]
        if self.as_json:
            write_json({"profiles": entries})
            return 0
        if not entries:
            echo("No profile is configured: run `jupyter tokens add NAME`, or try `jupyter tokens demo`.")
            return 0
        heads = ("name", "provider", "env", "state", "file")
        shown = ({**entry, "env": format_env(entry["env"])} for entry in entries)
        rows = [{head: one_line(entry[head] or "") for head in heads} for entry in shown]
        for row in rows:
            row["state"] = coloured(row["state"], _COLOURS[row["state"]])
        sys.stdout.write(table([[coloured(head, "bold") for head in heads], *(list(row.values()) for row in rows)]))
        for entry in entries:
            if entry["problem"]:
                echo(one_line(entry["problem"]))
        return 0


def _entry(name: str, settings: Any, file: Path) -> dict[str, Any]:
    written = settings if isinstance(settings, Mapping) else {}
    provider, env = written.get("provider"), written.get("env")
    state, problem = "configured", None
    if not isinstance(provider, str):
        state, problem = "wrong", f"{file}: profile {name!r} has no provider."
    else:
        problem = _missing(name, written, file)
        state = "no secret" if problem else state
    return {
        "name": name,
        "provider": provider if isinstance(provider, str) else None,
        "env": env if isinstance(env, str | Mapping) else None,
        "state": state,
        "problem": problem,
        "file": str(file),
    }


def _missing(name: str, written: Mapping[str, Any], file: Path) -> str | None:
    """Return what is wrong with the first reference that cannot be resolved, or None."""
    for key, text in written.items():
        if not isinstance(text, str):
            continue
        try:
            reference = SecretRef.parse(text, origin=f"profile {name!r}, key {key!r}", base=file.parent)
            if reference.kind in _LOCAL:
                reference.resolve()
        except SecretError as error:
            return str(error)
    return None


class RemoveApp(Action):
    """Remove a profile, after a confirmation unless --yes is given."""

    name = "jupyter-tokens-remove"
    description = """Remove the profile NAME from your configuration, the secrets that `add` stored for it, and your
    login. The server revokes the login if it supports that. Your own files, variables and keyring entries stay."""
    examples = "jupyter tokens remove acme\njupyter tokens remove acme --yes"
    completer = staticmethod(profile_names)

    answer_yes = Bool(default_value=False, help="Do not ask for confirmation.").tag(flag="yes")

    def run(self) -> int:
        if len(self.extra_args) != 1:
            self.fail(2, "takes the NAME of one profile: see `jupyter tokens list`")
        from ..config.editing import path  # noqa: PLC0415 (loads httpx)
        from ..sources.local import LocalSource  # noqa: PLC0415 (as above)

        name = self.extra_args[0]
        # Raises an error before the question if Jupyter uses no configuration.
        path()
        with closing(LocalSource()) as source:
            profiles = source.profiles()
            if name not in profiles:
                raise UnknownProfile(f"There is no profile {name[:80]!r}.", hint=closest(name, profiles))
            if not self.answer_yes:
                if not is_interactive():
                    self.fail(2, "asks for confirmation, but there is no terminal; give --yes")
                if not confirm(f"Remove the profile {name} from {profiles.file(name)}, and the secrets stored for it?"):
                    echo("Nothing was changed.")
                    return 0
            revoked = source.remove_profile(name)
        echo(f"The profile {name} is removed.{_REVOKED[revoked]}")
        return 0
