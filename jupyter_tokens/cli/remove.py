"""`jupyter tokens remove`: takes a profile out of the user's configuration, and the secrets that were stored for it."""

from __future__ import annotations

from ..config.editing import path, remove
from ..config.files import load_profiles
from ..errors import UnknownProfile
from ..providers.params import closest
from .command import Action
from .completion import profile_names
from .terminal import confirm, is_interactive, say

__all__ = ["RemoveApp"]


class RemoveApp(Action):
    """Asks first, unless told not to."""

    name = "jupyter-tokens-remove"
    description = """Remove the profile NAME from your configuration, and the secrets that `add` stored for it. What it
    refers to otherwise (your own files, variables, keyring entries) stays."""
    examples = "jupyter tokens remove acme\njupyter tokens remove acme --yes"
    completer = staticmethod(profile_names)

    flags = {  # noqa: RUF012 (traitlets declares it as an instance variable)
        **Action.flags,
        "yes": ({"JupyterApp": {"answer_yes": True}}, "Do not ask."),
    }

    def run(self) -> int:
        """See `Action`."""
        if len(self.extra_args) != 1:
            self.fail(2, "takes one NAME; `jupyter tokens list` says which there are")
        name = self.extra_args[0]
        # Refused before any question is asked, if Jupyter keeps no configuration.
        path()
        profiles = load_profiles()
        if name not in profiles:
            raise UnknownProfile(f"There is no profile {name[:80]!r}.", hint=closest(name, profiles))
        if not self.answer_yes:
            if not is_interactive():
                self.fail(2, "asks first, and there is no terminal to ask at; give --yes")
            if not confirm(f"Remove the profile {name} from {profiles.file(name)}, and the secrets stored for it?"):
                say("Nothing was changed.")
                return 0
        remove(name, profiles)
        say(f"The profile {name} is removed.")
        return 0


main = RemoveApp.launch_instance

if __name__ == "__main__":
    main()
