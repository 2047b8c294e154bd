"""`jupyter tokens values`: lists the ids that a parameter can have, if the API can list them."""

from __future__ import annotations

import sys
from contextlib import closing

from traitlets import Bool

from ..sources.local import LocalSource
from .command import Action
from .completion import profile_names
from .get import param
from .terminal import progress, table, write_json

__all__ = ["ValuesApp"]


class ValuesApp(Action):
    """Request a parameter's possible values from the API of a profile."""

    name = "jupyter-tokens-values"
    description = """List the values that a PARAMETER of a PROFILE can have: instances of ModelArts and PAI-DSW, and
    application tokens of EIAM. Only ids and names are printed, no token. Your account needs the permission to list the
    values. Without a PARAMETER, the parameters whose values the API can list are printed."""
    examples = """
    jupyter tokens values modelarts instance_id
    jupyter tokens values eiam ApplicationTokenId ApplicationId=app_…
    """
    completer = staticmethod(profile_names)

    as_json = Bool(default_value=False, help="Print one JSON list.").tag(config=True, flag="json")

    def run(self) -> int:
        if not self.extra_args:
            self.fail(2, "takes the name of a PROFILE, and the PARAMETER whose values to list; see --help")
        name, *rest = self.extra_args
        with closing(LocalSource()) as source:
            provider = source.profiles()[name].provider
            if not rest:
                sys.stdout.write("".join(f"{param}\n" for param in provider.lists))
                return 0
            with progress(f"asking {provider.title}"):
                found = source.list_values(name, rest[0], dict(map(param, rest[1:])))
        if self.as_json:
            write_json([one._asdict() for one in found])
        elif found:
            sys.stdout.write(table([[one.id, one.label] for one in found]))
        return 0
