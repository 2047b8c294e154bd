"""`jupyter tokens doctor`: what is wrong and what to do, a line each; prints no secret, asks no API for a token."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from traitlets import Bool

from ..config.files import config_files, load_profiles
from ..errors import ConfigurationError
from .checks import CheckResult, fail, jupyter, network, profiles
from .command import Action
from .terminal import one_line, progress

if TYPE_CHECKING:
    from ..config.profiles import Profile, Profiles

__all__ = ["DoctorApp"]


class DoctorApp(Action):
    """Looks at everything, whatever it finds on its way."""

    name = "jupyter-tokens-doctor"
    description = """Look for what is wrong, and say what to do: `ok`, `warn` or `fail`, what was found - what to do.

    It resolves the secrets of the profiles, so that a keyring may ask for its password and a program (command:, or the
    provider command) is run, and signs a call with them, which it does not send. To the endpoints it sends one request
    without a credential. Exit code: 1 if something fails, else 0."""
    examples = "jupyter tokens doctor\njupyter tokens doctor --offline --json"

    as_json = Bool(default_value=False, help="Print one JSON object instead of lines.").tag(config=True)
    offline = Bool(default_value=False, help="Leave out what needs the network.").tag(config=True)

    flags = {  # noqa: RUF012 (traitlets declares it as an instance variable)
        **Action.flags,
        "json": ({"DoctorApp": {"as_json": True}}, as_json.help),
        "offline": ({"DoctorApp": {"offline": True}}, offline.help),
    }

    def run(self) -> int:
        """See `Action`."""
        if self.extra_args:
            self.fail(2, f"takes no arguments, but was given {self.extra_args[0]!r}; see --help")
        told: list[CheckResult] = []
        for finding in self._findings():
            told.append(finding)
            if not self.as_json:
                said = f"{finding.check}: {finding.what}" + (f" - {finding.do}" if finding.do else "")
                sys.stdout.write(f"{finding.status:<4}  {one_line(said)}\n")
                sys.stdout.flush()
        if self.as_json:
            sys.stdout.write(json.dumps({"findings": [finding._asdict() for finding in told]}) + "\n")
        return 1 if any(finding.status == "fail" for finding in told) else 0

    def _findings(self) -> Iterator[CheckResult]:
        yield from profiles.files(config_files())
        known = _load()
        for problem in known.problems.values():
            yield fail("configuration", problem.message.rstrip("."), problem.hint.rstrip(".") or "correct the file")
        yield from profiles.profiles(known)
        right = _right(known)
        yield from profiles.keyring(right)
        yield from jupyter.server_extension()
        yield from jupyter.lab_extension()
        yield from jupyter.provisioner(known.at_start())
        yield from self._slowly("asking the Jupyter server", jupyter.kernel_route(offline=self.offline))
        yield from self._slowly("asking the hub's service", jupyter.hub_service(offline=self.offline))
        yield from network.proxies()
        if not self.offline:
            yield from self._slowly("asking the endpoints", network.endpoints(right))
        yield from self._slowly("looking for credentials", profiles.signatures(right, offline=self.offline))

    @staticmethod
    def _slowly(text: str, findings: Iterable[CheckResult]) -> list[CheckResult]:
        with progress(text):
            return list(findings)


def _load() -> Profiles:
    with warnings.catch_warnings():
        # Each problem becomes a finding.
        warnings.simplefilter("ignore", UserWarning)
        return load_profiles()


def _right(known: Profiles) -> list[Profile]:
    found = []
    for name in known:
        try:
            found.append(known[name])
        except ConfigurationError:
            # Told by the check of the profiles.
            continue
    return found
