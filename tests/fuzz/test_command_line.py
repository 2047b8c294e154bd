"""Whatever stands on the command line, and in the configuration below it: an exit code and one line that says why."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from traitlets.config import Application

from jupyter_tokens.cli.app import TokensApp
from jupyter_tokens.cli.completion import profile_then_params

from ..cli.running import Done
from ..doubles import CANARY
from .conftest import Fuzz
from .strange import TEXTS, as_json, bodies
from .test_configuration import CONFIG
from .test_vendor_answers import PROFILES

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*literal secret:UserWarning")]

# Nothing that serves until it is stopped (demo, sandbox), and nobody is asked: there is no terminal.
COMMANDS = st.sampled_from(["list", "providers", "get", "add", "remove", "scan", "completion", "dance"])
_OPTIONS = st.sampled_from(
    [
        "",
        *f"""
    --json --format --format=env --format= --refresh --provider --provider=oneaccess --set --set=a=b
    --set=endpoint=https://[ --set=client_secret={CANARY} --param --param=x= --store=file --from-env
    --from-env=client_secret=CANARY --from-file=client_secret=/dev/null --fix --debug -y --help --help-all --version
    --show-config --show-config-json --log-level --log-level=x -- - --Application.log_level=5 --GetApp.form=x
    --AddApp.settings=1 --X.y=z --x -z --= = a=b oneaccess nobody new bash zsh a.ipynb . ExpireTime=x --config=
    --no-held
    """.split(),
    ]
)
# As far as an operating system hands them over.
_WORDS = TEXTS.map(lambda text: text.replace("\0", "").replace("/", "_")).filter(
    lambda text: not any("\ud800" <= mark <= "\udc7f" or "\udd00" <= mark <= "\udfff" for mark in text)
)
ARGUMENTS = st.lists(_OPTIONS | _WORDS, max_size=5)

Run = Callable[..., Done]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the command in an empty folder, with one profile configured, and looks at how it ended."""
    monkeypatch.chdir(tmp_path)
    # A secret of its own: the value of HOME is in every path, and so rightly in the log.
    monkeypatch.setenv("CANARY", CANARY)

    def run(*arguments: str) -> Done:
        code: Any = 0
        try:
            TokensApp.launch_instance(list(arguments))
        except SystemExit as end:
            code = end.code or 0
        finally:
            # A process has one application at a time, which a sub-command's is as well.
            while Application.initialized():
                type(Application.instance()).clear_instance()
        done = Done(code, *capfd.readouterr())
        told = done.out + done.err
        assert done.code in {0, 1, 2}, (done.code, told)
        assert "Traceback" not in told
        assert done.code == 0 or done.err
        return done

    return run


@pytest.fixture
def config(config_dir: Path) -> Path:
    file = config_dir / "jupyter_tokens_config.json"
    file.touch(mode=0o600)
    return file


def test_arguments_of_any_kind(fuzz: Fuzz, run: Run, config: Path) -> None:
    # Port 9 of this machine: nothing is asked that could answer.
    reachable = {**PROFILES["oneaccess"], "endpoint": "http://127.0.0.1:9", "env": "X", "timeout": 2}
    # A reference, as the mode that shows what is configured shows it whole.
    reachable["client_secret"] = "env:CANARY"

    def check(command: str, arguments: list[str]) -> None:
        config.write_bytes(as_json({"TokenProfiles": {"profiles": {"oneaccess": reachable}}}))
        done = run(command, *arguments)
        assert CANARY not in done.out + done.err

    known = [
        ("get", ["oneaccess"]),
        ("get", ["\udcff"]),
        ("scan", ["\udcff"]),
        ("list", ["\udcff"]),
        ("remove", ["\udcff"]),
        ("scan", ["9" * 5000]),
        ("list", ["--show-config"]),
    ]
    fuzz(check, COMMANDS, ARGUMENTS, times=60, known=known)


def test_any_configuration_is_listed_or_refused(fuzz: Fuzz, run: Run, config: Path) -> None:
    def check(data: bytes, arguments: list[str]) -> None:
        config.write_bytes(data)
        done = run(*arguments)
        assert CANARY not in done.out + done.err

    half = {
        "TokenProfiles": {"profiles": {"\ud800": PROFILES["oneaccess"], "b": {"provider": "\ud800", "env": "\udcff"}}}
    }
    known = [(as_json(half), ["list"]), (as_json(half), ["list", "--json"])]
    ways = st.sampled_from(
        [["list"], ["list", "--json"], ["get", "nobody"], ["remove", "nobody"], ["get", "login", "a=b"]]
    )
    fuzz(check, bodies(CONFIG), ways, times=40, known=known)


def test_any_request_of_kubectl(fuzz: Fuzz, run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_bytes(as_json(CONFIG))
    right = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "spec": {"interactive": False}}

    def check(info: bytes) -> None:
        monkeypatch.setitem(os.environ, "KUBERNETES_EXEC_INFO", os.fsdecode(info.replace(b"\0", b"")))
        assert run("get", "nobody", "--format", "exec-credential").code == 2

    fuzz(check, bodies(right), times=20)


def test_any_word_is_completed(fuzz: Fuzz, config: Path) -> None:
    from argparse import Namespace

    def check(data: bytes, prefix: str, words: list[str]) -> None:
        config.write_bytes(data)
        found: Any = profile_then_params(prefix=prefix, parsed_args=Namespace(extra_args=words))
        json.dumps(list(found))

    fuzz(
        check,
        bodies(CONFIG) | st.just(as_json(CONFIG)),
        TEXTS,
        st.lists(TEXTS | st.sampled_from(sorted(PROFILES)), max_size=3),
    )
