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
        told: list[CheckResult] = []
        with warnings.catch_warnings():
            # What these warnings report, the checks find.
            warnings.simplefilter("ignore", UserWarning)
            for finding in self._findings():
                told.append(finding)
                if not self.as_json:
                    said = f"{finding.check}: {finding.what}" + (f" - {finding.do}" if finding.do else "")
                    status = coloured(f"{finding.status:<4}", _COLOURS[finding.status])
                    sys.stdout.write(f"{status}  {one_line(said)}\n")
                    sys.stdout.flush()
        if self.as_json:
            write_json({"findings": [finding._asdict() for finding in told]})
        return 1 if any(finding.status == "fail" for finding in told) else 0

    def _findings(self) -> Iterator[CheckResult]:
        yield from profiles.files(config_files())
        known = load_profiles()
        for problem in known.problems.values():
            yield fail("configuration", problem.message.rstrip("."), problem.hint.rstrip(".") or "correct the file")
        yield from profiles.profiles(known)
        right = _right(known)
        yield from profiles.keyring(right)
        yield from jupyter.server_extension()
        yield from jupyter.lab_extension()
        yield from jupyter.provisioner(known.at_start())
        yield from jupyter.kernel_channels()
        yield from self._slowly("asking the Jupyter server", jupyter.kernel_route(offline=self.offline))
        yield from self._slowly("asking the hub's service", jupyter.hub_service(offline=self.offline))
        yield from network.proxies()
        if not self.offline:
            yield from self._slowly("asking the endpoints", network.endpoints(right))
        yield from self._slowly("looking for credentials", profiles.signatures(right, offline=self.offline))
        if self.live:
            yield from self._slowly("fetching tokens", profiles.live(right))

    @staticmethod
    def _slowly(text: str, findings: Iterable[CheckResult]) -> list[CheckResult]:
        with progress(text):
            return list(findings)


def _right(known: Profiles) -> list[Profile]:
    found = []
    for name in known:
        try:
            found.append(known[name])
        except ConfigurationError:
            # Reported by the check of the profiles.
            continue
    return found
