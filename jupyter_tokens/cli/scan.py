"""`jupyter tokens scan`: finds tokens and keys in notebooks, for example before a commit. Never shows a value."""

from __future__ import annotations

import sys
from pathlib import Path

from traitlets import Bool

from ..config.files import load_profiles
from ..errors import TokenError
from ..scan.files import NotReadable, ScanResult, find_notebooks, scan_file
from ..scan.values import Known
from .command import Action
from .terminal import echo, write_json

__all__ = ["ScanApp"]

_MAX_SKIPPED = 5


class ScanApp(Action):
    """Scan notebooks.

    The exit code is 2 if a file cannot be read or is not a notebook, else 1 if something was found (even if it was
    redacted), else 0.
    """

    name = "jupyter-tokens-scan"
    description = """Find tokens and keys in notebooks: in sources, outputs, metadata, attachments and widget state.

    PATHS are notebooks and folders; by default the current folder. For each finding the place, kind and length are
    printed, never the value. A file that is not a notebook of format 4 is searched as text and never changed.
    Exit code: 0 nothing found, 1 something found (even if it was redacted, so that a pre-commit hook stops
    the commit), 2 wrong usage or a notebook that cannot be read."""
    examples = """
    jupyter tokens scan
    jupyter tokens scan analysis.ipynb reports/ --fix
    jupyter tokens scan --profiles --json
    """

    fix = Bool(
        default_value=False,
        help="Redact outputs and widget state in place. Sources, metadata and attachments are only reported.",
    ).tag(flag="fix")
    as_json = Bool(default_value=False, help="Print one JSON object instead of a line for each finding.").tag(
        flag="json"
    )
    profiles = Bool(
        default_value=False,
        help="Also look for the secrets of the configured profiles. Off by default, because it resolves their "
        "references: a keyring may ask for its password, and commands are run. No API is called.",
    ).tag(flag="profiles")

    def run(self) -> int:
        known = Known(self._secrets() if self.profiles else {})
        scanned: dict[str, ScanResult] = {}
        unreadable: dict[str, str] = {}
        left_out: dict[str, None] = {}
        given = [Path(path) for path in self.extra_args or ["."]]
        for path in find_notebooks(given, lambda path: left_out.setdefault(str(path))):
            if str(path) in scanned:
                # Given twice, for example with its folder: after --fix, a second scan would find nothing.
                continue
            try:
                scanned[str(path)] = scan_file(path, known, fix=self.fix)
            except NotReadable as error:
                unreadable[str(path)] = str(error)
        skipped = list(left_out)
        unreadable.update({name: result.broken for name, result in scanned.items() if result.broken})
        self._report_problems(scanned, unreadable, skipped)
        found = any(result.findings for result in scanned.values())
        if self.as_json:
            write_json(_report(scanned, unreadable, skipped))
        elif found:
            self._report_findings(scanned)
        elif not unreadable:
            sys.stdout.write(f"No tokens found in {len(scanned)} notebook{'' if len(scanned) == 1 else 's'}.\n")
        return 2 if unreadable else 1 if found else 0

    def _report_problems(self, scanned: dict[str, ScanResult], unreadable: dict[str, str], skipped: list[str]) -> None:
        for name, message in unreadable.items():
            as_text = "; searched as text" if name in scanned else ""
            echo(f"{self.name}: {name} {message}{as_text}")
        for name, result in scanned.items():
            if result.old:
                echo(
                    f"{self.name}: {name} {result.old}: searched as text, and --fix changes only format 4; "
                    "convert it: jupyter nbconvert --to notebook --inplace"
                )
        if skipped:
            more = f" and {len(skipped) - _MAX_SKIPPED} more" if skipped[_MAX_SKIPPED:] else ""
            folders = ", ".join(skipped[:_MAX_SKIPPED])
            echo(f"{self.name}: not scanned (to scan a folder, give it as an argument): {folders}{more}")

    def _report_findings(self, scanned: dict[str, ScanResult]) -> None:
        for name, result in scanned.items():
            for finding in result.findings:
                done = ", redacted" if result.changed and finding.place.may_change else ""
                sys.stdout.write(f"{name}:{finding}{done}\n")
        found = [result for result in scanned.values() if result.findings]
        changed = sum(result.changed for result in found)
        remaining = sum(len(result.remaining) for result in found)
        summary = [f"{sum(len(result.findings) for result in found)} found in {len(found)} of {len(scanned)} notebooks"]
        if changed:
            summary.append(f"notebooks redacted: {changed}; if one is open, reload it before you save it again")
        if remaining:
            clean = any(finding.place.may_change for result in found for finding in result.remaining)
            summary.append(
                "--fix redacts outputs and widget state"
                if clean
                else "--fix redacts only outputs and widget state: remove values in other places by hand"
            )
        summary.append("a value that was shared or committed must be revoked")
        echo(f"{self.name}: {'; '.join(summary)}")

    def _secrets(self) -> dict[str, str]:
        secrets: dict[str, str] = {}
        profiles = load_profiles()
        profiles.check_readable()
        for name in profiles:
            try:
                resolved = profiles[name].secrets()
            except TokenError as error:
                # If a profile is invalid, or its secret is not available here, continue with the others.
                echo(f"{self.name}: --profiles: {name}: {error}")
                continue
            secrets.update({secret.reveal(): f"{key} of profile {name}" for key, secret in resolved.items()})
        return secrets


def _report(scanned: dict[str, ScanResult], unreadable: dict[str, str], skipped: list[str]) -> dict[str, object]:
    return {
        "findings": [
            {
                "path": name,
                "cell": finding.place.cell,
                "cell_id": finding.place.cell_id,
                "part": finding.place.part,
                "output": finding.place.output,
                "line": finding.line,
                "kind": finding.kind,
                "length": finding.length,
                "redacted": result.changed and finding.place.may_change,
            }
            for name, result in scanned.items()
            for finding in result.findings
        ],
        "notebooks": sum(not result.broken for result in scanned.values()),
        "skipped": skipped,
        "unreadable": [{"path": name, "message": message} for name, message in unreadable.items()],
    }
