"""`jupyter tokens scan`: what it tells and how it ends, and that git refuses a commit that holds a token."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from jupyter_tokens.cli.scan import ScanApp

from ..scan.notebooks import code, notebook, output
from .machine import write_profiles
from .running import Run, runner

ROOT = Path(__file__).parents[2]
ACCESS_KEY = "LTAItestAccessKeyId01"
SECRET = "n0t-of-any-shape_of-ours"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs it in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return runner(ScanApp, capfd)


def written(name: str, *cells: Any) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook(*cells), indent=1) + "\n")
    return path


def shown(value: str) -> Any:
    return code("show()", [output({"text/plain": ["a\n", f"b {value}\n"]})])


def test_says_that_nothing_was_found(run: Run) -> None:
    assert run() == (0, "No tokens found in 0 notebooks.\n", "")
    written("a.ipynb", code("1"))
    assert run() == (0, "No tokens found in 1 notebook.\n", "")
    written("b.ipynb", code("1"))
    assert run() == (0, "No tokens found in 2 notebooks.\n", "")


def test_folders_of_checkpoints_are_named(run: Run) -> None:
    written("a.ipynb", code("1"))
    for number in range(7):
        written(f"{number}/.ipynb_checkpoints/a-checkpoint.ipynb", shown(ACCESS_KEY))
    status, out, err = run()
    assert (status, out) == (0, "No tokens found in 1 notebook.\n")
    assert "not scanned (to scan a folder, give it as an argument): 0/.ipynb_checkpoints, " in err
    assert err.endswith("4/.ipynb_checkpoints and 2 more\n")
    assert len(json.loads(run("--json")[1])["skipped"]) == 7
    assert run("0/.ipynb_checkpoints")[0] == 1


def test_one_of_format_3_is_searched_and_says_how_to_convert_it(run: Run) -> None:
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": [{"input": "1"}]}]}
    path = Path("a.ipynb")
    path.write_text(json.dumps(old, indent=1))
    status, out, err = run()
    assert (status, out) == (0, "No tokens found in 1 notebook.\n")
    assert "a.ipynb is a notebook of format 3: searched as text" in err
    assert "jupyter nbconvert --to notebook --inplace" in err
    old["worksheets"] = [{"cells": [{"input": f"x = '{ACCESS_KEY}'"}]}]
    path.write_text(json.dumps(old, indent=1))
    status, out, err = run("--fix")
    assert (status, out) == (1, "a.ipynb:raw text, line 9: Alibaba AccessKey id (21 characters)\n")
    assert ACCESS_KEY in path.read_text()


def test_a_broken_one_is_searched(run: Run) -> None:
    Path("a.ipynb").write_text(f'{{"cells": ["\\n{ACCESS_KEY}\n')
    status, out, err = run()
    assert (status, out) == (2, "a.ipynb:raw text, line 1: Alibaba AccessKey id (21 characters)\n")
    assert "a.ipynb is not JSON (line 1" in err
    assert "searched as text" in err


def test_a_line_for_each_finding(run: Run) -> None:
    written("b/a.ipynb", code("1"), shown(ACCESS_KEY), code(f"key = '{ACCESS_KEY}'"))
    written("c.ipynb", code("1"))
    status, out, err = run()
    assert status == 1
    assert out.splitlines() == [
        "b/a.ipynb:cell 2 output 1, line 2: Alibaba AccessKey id (21 characters)",
        "b/a.ipynb:cell 3 source, line 1: Alibaba AccessKey id (21 characters)",
    ]
    assert err.count("\n") == 1
    assert "2 found in 1 of 2 notebooks; --fix redacts outputs" in err
    assert "LTAI" not in out + err


def test_for_machines(run: Run) -> None:
    written("a.ipynb", shown(ACCESS_KEY))
    Path("b.ipynb").write_text("{")
    status, out, _ = run("--json")
    assert status == 2
    told = json.loads(out)
    assert told["notebooks"] == 1
    assert told["findings"] == [
        {
            "path": "a.ipynb",
            "cell": 1,
            "cell_id": "c0ffee01",
            "part": "output",
            "output": 1,
            "line": 2,
            "kind": "Alibaba AccessKey id",
            "length": 21,
            "redacted": False,
        }
    ]
    assert [entry["path"] for entry in told["unreadable"]] == ["b.ipynb"]
    assert "LTAI" not in out


def test_fix_redacts_and_still_stops_the_commit(run: Run) -> None:
    path = written("a.ipynb", shown(ACCESS_KEY), code(f"key = '{ACCESS_KEY}'"))
    status, out, err = run("--fix", "a.ipynb")
    assert status == 1
    assert "output 1, line 2: Alibaba AccessKey id (21 characters), redacted\n" in out
    assert "source, line 1: Alibaba AccessKey id (21 characters)\n" in out
    assert "notebooks redacted: 1" in err
    assert "remove values in other places by hand" in err
    assert path.read_text().count("LTAI") == 1
    assert "b [Alibaba AccessKey id]\\n" in path.read_text()
    status, out, _ = run("--fix", "a.ipynb")
    assert (status, "redacted" in out) == (1, False)


def test_one_that_is_given_twice_is_scanned_once(run: Run) -> None:
    written("a.ipynb", shown(ACCESS_KEY))
    written(".ipynb_checkpoints/a-checkpoint.ipynb", code("1"))
    status, out, err = run("a.ipynb", ".", ".", "--fix")
    assert (status, out.count("redacted"), err.count(".ipynb_checkpoints")) == (1, 1, 1)


def test_after_a_fix_of_all_it_passes(run: Run) -> None:
    written("a.ipynb", shown(ACCESS_KEY))
    assert run("--fix")[0] == 1
    assert run()[0] == 0


def test_one_that_cannot_be_read_does_not_hide_the_others(run: Run) -> None:
    Path("a.ipynb").write_text('{"cells": [')
    written("b.ipynb", shown(ACCESS_KEY))
    status, out, err = run("a.ipynb", "b.ipynb", "c.ipynb")
    assert status == 2
    assert out.startswith("b.ipynb:cell 1 output 1")
    assert "jupyter-tokens-scan: a.ipynb is not JSON (line 1" in err
    assert "jupyter-tokens-scan: c.ipynb cannot be read (No such file or directory)" in err


def test_help_tells_the_exit_codes(run: Run) -> None:
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    assert "Exit code: 0 nothing found, 1 something found" in " ".join(out.split())
    assert all(flag in out for flag in ("--fix", "--json", "--profiles"))


class TestProfiles:
    @pytest.fixture
    def asked(self, config_dir: Path, tmp_path: Path) -> Path:
        """Two profiles, one with a reference that leads nowhere; and the file that tells that a command was run."""
        marker = tmp_path / "asked"
        tell = f"command:{sys.executable} -c \"open(r'{marker}', 'a').close(); print('{SECRET}')\""
        common = {"provider": "oneaccess", "endpoint": "https://127.0.0.1:1", "client_id": "a"}
        profiles = {"good": {**common, "client_secret": tell}, "bad": {**common, "client_secret": "env:NOT_THERE"}}
        write_profiles(config_dir, profiles)
        return marker

    def test_without_the_flag_no_reference_is_resolved(self, run: Run, asked: Path) -> None:
        written("a.ipynb", shown(SECRET))
        assert run()[0] == 0
        assert not asked.exists()

    def test_with_it_their_secrets_are_found(self, run: Run, asked: Path) -> None:
        written("a.ipynb", shown(SECRET))
        status, out, err = run("--profiles")
        assert asked.exists()
        assert status == 1
        assert out == f"a.ipynb:cell 1 output 1, line 2: client_secret of profile good ({len(SECRET)} characters)\n"
        assert "--profiles: bad: " in err
        assert "NOT_THERE" in err
        assert SECRET not in out + err

    def test_a_configuration_that_cannot_be_read_is_wrong_usage(self, run: Run, config_dir: Path) -> None:
        (config_dir / "jupyter_tokens_config.json").write_text("{")
        status, out, err = run("--profiles")
        assert (status, out) == (2, "")
        assert "jupyter_tokens_config.json" in err


def test_starts_without_what_it_does_not_need() -> None:
    # It stands in the way of every commit.
    code = "import sys, jupyter_tokens.cli.scan; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    assert not {"httpx", "IPython", "nbformat", "tornado.web", "jupyter_server", "keyring"} & set(modules)


class TestGit:
    """With the hook of docs/scan.md, in a repository."""

    @pytest.fixture
    def git(self, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            **{f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }

        def git(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["git", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )

        assert git("init", "--quiet").returncode == 0
        hook = tmp_path / ".git" / "hooks" / "pre-commit"
        text = (ROOT / "docs" / "scan.md").read_text(encoding="utf-8")
        hook.write_text(text.partition("```sh\n")[2].partition("```")[0])
        hook.chmod(0o755)
        return git

    def test_a_commit_with_a_token_is_refused_until_it_is_gone(self, git: Any, run: Run, tmp_path: Path) -> None:
        written("sub folder/a.ipynb", shown(ACCESS_KEY))
        git("add", ".")
        refused = git("commit", "-m", "one")
        assert refused.returncode == 1
        assert "sub folder/a.ipynb:cell 1 output 1, line 2: Alibaba AccessKey id" in refused.stdout + refused.stderr
        assert run("--fix")[0] == 1
        # What is in the working tree does not count, what would be committed does.
        assert git("commit", "-m", "two").returncode == 1
        git("add", ".")
        assert git("commit", "-m", "three").returncode == 0
        assert git("log", "--format=%s").stdout == "three\n"
        assert "LTAI" not in git("show").stdout

    def test_the_diff_of_a_fix_is_the_line_with_the_token(self, git: Any, run: Run) -> None:
        written("a.ipynb", shown(ACCESS_KEY), code("x = 'é'"))
        git("add", ".")
        git("commit", "--no-verify", "-m", "one")
        run("--fix")
        assert git("diff", "--numstat").stdout == "1\t1\ta.ipynb\n"

    @pytest.mark.parametrize("name", [".hidden/a.ipynb", "node_modules/a.ipynb", "-a.ipynb", "'\\ é.ipynb"])
    def test_whatever_the_name(self, git: Any, run: Run, name: str) -> None:
        written(name, shown(ACCESS_KEY))
        git("add", ".")
        refused = git("commit", "-m", "one")
        assert refused.returncode == 1
        assert f"{name}:cell 1 output 1" in refused.stdout + refused.stderr

    def test_other_commits_pass(self, git: Any, run: Run) -> None:
        Path("a.py").write_text(f"key = '{ACCESS_KEY}'\n")
        git("add", ".")
        assert git("commit", "-m", "no notebook").returncode == 0
        written("a.ipynb", code("1"))
        git("add", ".")
        git("rm", "--quiet", "a.py")
        assert git("commit", "-m", "a notebook").returncode == 0

    def test_the_temporary_copy_is_private_and_gone(self, git: Any, run: Run, tmp_path: Path, monkeypatch: Any) -> None:
        written("a.ipynb", shown(ACCESS_KEY))
        git("add", ".")
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setenv("TMPDIR", str(scratch))
        seen = tmp_path / "seen"
        fake = tmp_path / "bin" / "jupyter-tokens"
        fake.parent.mkdir()
        fake.write_text(f"#!/bin/sh\nstat -c %a . > '{seen}'\nexit 1\n")
        fake.chmod(0o755)
        done = subprocess.run(
            [str(tmp_path / ".git" / "hooks" / "pre-commit")],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}"},
            check=False,
        )
        assert (done.returncode != 0, seen.read_text(), list(scratch.iterdir())) == (True, "700\n", [])


def test_the_manifest_of_pre_commit_names_a_command_that_is_there() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert (hook["id"], hook["language"], hook["types"]) == ("jupyter-tokens-scan", "python", ["jupyter"])
    command, *arguments = hook["entry"].split()
    found = shutil.which(command, path=str(Path(sys.executable).parent))
    assert found is not None
    assert arguments == ["scan"]
