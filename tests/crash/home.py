"""A user's home, all of which is searched: where a secret or a token is, and what a killed process has left."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jupyter_tokens._util.encodings import encoded_forms
from jupyter_tokens.sandbox import Sandbox

CLIENT = "client-of-the-crashes"


class Home:
    """work : where its processes run. beside : a folder outside, for what belongs to the test.

    log : what they write to standard error. out : to standard output, which `get` prints a token to.
    """

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.root, self.beside = folder / "home", folder / "beside"
        self.work, self.temporary, self.config = (self.root / name for name in ("work", "tmp", "config"))
        self.log, self.out = self.root / "log", self.beside / "out"
        for made in (self.root, self.beside, self.work, self.temporary, self.config):
            made.mkdir(mode=0o700)
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        self.environment = {
            **kept,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")]),
            "HOME": str(self.root),
            "TMPDIR": str(self.temporary),
            "JUPYTER_CONFIG_DIR": str(self.config),
            "JUPYTER_CONFIG_PATH": "",
            "JUPYTER_DATA_DIR": str(self.root / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.root / "runtime"),
            "IPYTHONDIR": str(self.root / "ipython"),
            "JUPYTER_TOKENS_STORE": "none",
        }

    @property
    def file(self) -> Path:
        """Of the profiles."""
        return self.config / "jupyter_tokens_config.json"

    @property
    def digests(self) -> Path:
        """Of what was written into files of tokens, to know them again."""
        return self.root / "data" / "jupyter_tokens" / "written_files"

    def profile(self) -> dict[str, Any]:
        """One that works, but for its secret."""
        return {"provider": "oneaccess", "endpoint": self.sandbox.url, "client_id": CLIENT, "env": "ONEACCESS_TOKEN"}

    def begin_with(self, name: str, secret: str) -> None:
        """Writes a first profile, as an earlier day has left it."""
        store = self.store(name)
        store.parent.mkdir(mode=0o700)
        store.touch(0o600)
        store.write_text(secret)
        profile = {**self.profile(), "client_secret": self.reference(name)}
        self.file.touch(0o600)
        self.file.write_text(json.dumps({"TokenProfiles": {"profiles": {name: profile}}}))
        self.accept(secret)

    def accept(self, secret: str) -> None:
        """The vendor takes this secret from now on, and no other."""
        self.sandbox.accounts.oneaccess[CLIENT] = secret

    def profiles(self) -> dict[str, Any]:
        """As they are written; fails if the file is not whole."""
        assert stat.S_IMODE(self.file.stat().st_mode) == 0o600
        written: dict[str, Any] = json.loads(self.file.read_bytes())["TokenProfiles"]["profiles"]
        return written

    def written(self, name: str) -> str:
        """The secret that a profile refers to."""
        return (self.config / str(self.profiles()[name]["client_secret"]).removeprefix("file:")).read_text()

    def reference(self, name: str, end: str = "") -> str:
        """To where the secret of a profile is stored."""
        return f"file:{self.store(name, end).relative_to(self.config)}"

    def store(self, name: str, end: str = "") -> Path:
        """Where the secret of a profile may be; its successor's name has an end."""
        return self.config / "jupyter_tokens_secrets" / f"{name}.client_secret{end}"

    def stores(self, name: str) -> set[Path]:
        """The only places where secrets of a profile may be."""
        return {self.store(name), self.store(name, ".2")}

    def files(self) -> Iterator[Path]:
        return (path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())

    def holding(self, values: Iterable[str]) -> set[Path]:
        """The files that hold one of these values, in any form; in their names or their bytes."""
        forms = [form.encode() for value in values for form in encoded_forms(value)]
        return {path for path in self.files() if _holds(path, forms)}

    def leave(self, *files: Path) -> None:
        """What would be left of these files by one who is killed when the new one has a name, but not yet its own."""
        for file in files:
            left = file.with_name(f".{file.name}.{os.urandom(8).hex()}.tmp")
            left.touch(0o600)
            left.write_text("s3cr3t-that-was-left")

    def leftovers(self) -> set[Path]:
        """What was to be renamed, and was not."""
        return {path for path in self.files() if path.suffix == ".tmp" and path.name.startswith(".")}

    def issued(self) -> list[str]:
        """All tokens that the sandbox has handed out."""
        return list(self.sandbox.issued)


def _holds(path: Path, forms: list[bytes]) -> bool:
    data = os.fsencode(path) + b"\n" + path.read_bytes()
    return any(form in data for form in forms)
