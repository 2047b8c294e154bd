"""`jupyter tokens doctor`: one line for each check, with what is wrong and what to do; prints no secret."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from traitlets import Bool

from ..config.files import config_files, load_profiles
from ..errors import ConfigurationError
from .checks import CheckResult, fail, jupyter, network, profiles
from .command import Action
from .terminal import coloured, one_line, progress, write_json

if TYPE_CHECKING:
    from ..config.profiles import Profile, Profiles

__all__ = ["DoctorApp"]

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


class DoctorApp(Action):
    """Run all checks, even after one has failed."""

    name = "jupyter-tokens-doctor"
    description = """Check the installation and the profiles. Each line: `ok`, `warn` or `fail`, result - what to do.

    It resolves the profiles' secrets: a keyring may ask for its password, and programs (command:, or the provider
    command) are run. It signs a call with each profile's credential, but does not send the call. Without --offline, it
    also sends one request without a credential to each endpoint; with --live, it fetches a token with each profile.
    Exit code: 1 if a check fails, else 0."""
    examples = "jupyter tokens doctor\njupyter tokens doctor --live\njupyter tokens doctor --offline --json"

    as_json = Bool(default_value=False, help="Print one JSON object instead of lines.").tag(flag="json")
    offline = Bool(default_value=False, help="Leave out checks that need the network.").tag(flag="offline")
    live = Bool(default_value=False, help="Fetch a token with each profile; finds a wrong secret.").tag(flag="live")

    def run(self) -> int:
        self.refuse_arguments()
        if self.live and self.offline:
            self.fail(2, "takes --live or --offline, not both")
        results: list[CheckResult] = []
        for result in self._checks():
            results.append(result)
            if not self.as_json:
                line = f"{result.check}: {result.what}" + (f" - {result.do}" if result.do else "")
                status = coloured(f"{result.status:<4}", _COLOURS[result.status])
                sys.stdout.write(f"{status}  {one_line(line)}\n")
                sys.stdout.flush()
        if self.as_json:
            write_json({"findings": [result._asdict() for result in results]})
        return 1 if any(result.status == "fail" for result in results) else 0

    def _checks(self) -> Iterator[CheckResult]:
        yield from profiles.files(config_files())
        with warnings.catch_warnings():
            # The findings say what these warnings say.
            warnings.simplefilter("ignore", UserWarning)
            known = load_profiles()
            of_profiles = list(profiles.profiles(known))
            valid = _valid_profiles(known)
        for problem in known.problems.values():
            yield fail("configuration", problem.message.rstrip("."), problem.hint.rstrip(".") or "correct the file")
        yield from of_profiles
        yield from profiles.keyring(valid)
        yield from jupyter.server_extension()
        yield from jupyter.lab_extension()
        yield from jupyter.provisioner(known.injected_at_start())
        yield from jupyter.kernel_channels()
        yield from self._with_progress("asking the Jupyter server", jupyter.kernel_route(offline=self.offline))
        yield from self._with_progress("asking the hub's service", jupyter.hub_service(offline=self.offline))
        yield from network.proxies()
        if not self.offline:
            yield from self._with_progress("asking the endpoints", network.endpoints(valid))
        yield from self._with_progress("looking for credentials", profiles.signatures(valid, offline=self.offline))
        if self.live:
            yield from self._with_progress("fetching tokens", profiles.live(valid))

    @staticmethod
    def _with_progress(text: str, checks: Iterable[CheckResult]) -> list[CheckResult]:
        with progress(text):
            return list(checks)


def _valid_profiles(known: Profiles) -> list[Profile]:
    valid = []
    for name in known:
        try:
            valid.append(known[name])
        except ConfigurationError:
            # Reported by the check of the profiles.
            continue
    return valid
