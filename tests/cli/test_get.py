"""`jupyter tokens get`: a token and nothing else on standard output, one line for each error, and its exit code."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.cli.get import GetApp, _format
from jupyter_tokens.errors import ParameterError
from jupyter_tokens.sandbox import Sandbox, astra
from jupyter_tokens.token import Secret, Token

from .machine import write_profiles
from .running import Run

APP = GetApp


@pytest.fixture(autouse=True)
def written(sandbox: Sandbox, config_dir: Path, tmp_path: Path) -> dict[str, Any]:
    """The five, and one whose secret is not there."""
    profiles = sandbox.profiles(tmp_path)
    profiles["no-secret"] = {**profiles["oneaccess"], "client_secret": "env:NOT_THERE"}
    profiles["wrong"] = {**profiles["oneaccess"], "endpoint": "http://acme.example"}
    neighbours = sandbox.neighbours(tmp_path)
    profiles |= {name: neighbours[name] for name in ("alibaba-sts", "huawei-sts")}
    profiles["nowhere"] = {**profiles["oneaccess"], "endpoint": "https://127.0.0.1:1", "timeout": 2}
    write_profiles(config_dir, profiles)
    return profiles


def a_token(value: str | None, **given: Any) -> Token:
    return Token(value, profile="p", provider="x", obtained_at=datetime(2026, 1, 15, tzinfo=UTC), **given)


def test_the_value_alone(run: Run, sandbox: Sandbox) -> None:
    done = run("oneaccess")
    assert (done.code, done.err, done.out.count("\n")) == (0, "", 1)
    assert done.out.strip()
    assert run("oneaccess", "--refresh").out != done.out
    assert sandbox.requests["oneaccess"] == 2


def test_parameters_reach_the_vendor(run: Run) -> None:
    told = json.loads(run("pai-dlc", "ExpireTime=60", "--format", "json").out)
    life = datetime.fromisoformat(told["expires_at"]) - datetime.fromisoformat(told["obtained_at"])
    assert 50 < life.total_seconds() <= 60


def test_a_token_without_a_value_is_metadata(run: Run) -> None:
    told = json.loads(run("astra", "--format", "json").out)
    assert (told["token"], told["headers"], told["metadata"]["id"]) == (None, {}, astra.TOKEN)
    done = run("astra")
    assert (done.code, done.out) == (2, "")
    assert "never returns its value" in done.err


@pytest.mark.parametrize("profile", ["alibaba-sts", "huawei-sts"])
def test_several_values_are_json_or_lines_for_a_shell(run: Run, written: dict[str, Any], profile: str) -> None:
    told = json.loads(run(profile, "--format", "json").out)
    variables: dict[str, str] = written[profile]["env"]
    assert set(told["token"]) == set(variables)
    assert (len(set(told["token"].values())), told["headers"]) == (3, {})
    lines = run(profile, "--format", "env").out
    script = lines + "\n".join(f'printf "%s\\n" "${variable}"' for variable in variables.values())
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    found = dict(zip(variables, shown, strict=True))
    assert set(found) == set(told["token"])
    assert len({*found.values()}) == 3


@pytest.mark.parametrize("profile", ["alibaba-sts", "huawei-sts"])
@pytest.mark.parametrize("form", ["value", "header", "exec-credential"])
def test_several_values_are_no_single_one(run: Run, written: dict[str, Any], profile: str, form: str) -> None:
    done = run(profile, "--format", form)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert all(name in done.err for name in written[profile]["env"])


def test_what_else_the_vendor_gave_is_in_the_json(run: Run) -> None:
    assert isinstance(json.loads(run("oneaccess", "--format=json").out)["metadata"]["id_token"], str)


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        ([], 2, "takes the name of a PROFILE"),
        (["oneacess"], 2, "Did you mean oneaccess?"),
        (["oneaccess", "nonsense"], 2, "write name=value"),
        (["oneaccess", "=x"], 2, "write name=value"),
        (["pai-dlc", "TargetTyp=job"], 2, "Did you mean TargetType?"),
        (["pai-dlc", "TargetType=cat"], 2, "must be one of job, tensorboard"),
        (["oneaccess", "--format", "yaml"], 2, "--format must be one of value, env"),
        (["oneaccess", "--nonsense=c4n4ry"], 2, "--nonsense"),
        (["astra", "--format", "env"], 2, "has no environment variable"),
        (["no-secret"], 2, "NOT_THERE is not set"),
        (["wrong"], 2, "must be https"),
        (["nowhere"], 1, "127.0.0.1 cannot be reached"),
        (["eiam", "InstanceId=idaas_other"], 1, "request id"),
    ],
)
def test_an_error_is_one_line_and_a_code(run: Run, arguments: list[str], code: int, complaint: str) -> None:
    done = run(*arguments)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert done.err.startswith("jupyter-tokens-get: ")
    assert complaint in done.err
    assert "c4n4ry" not in done.err


def test_what_cannot_be_printed_is_not_fetched(run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    run("astra", "--format", "env")
    monkeypatch.setenv("KUBERNETES_EXEC_INFO", '{"kind": "ExecCredential", "apiVersion": "v7"}')
    assert run("oneaccess", "--format", "exec-credential").code == 2
    assert sandbox.requests.total() == 0


@pytest.mark.parametrize("info", ["{", "[]", "7", '{"kind": "Pod", "apiVersion": "client.authentication.k8s.io/v1"}'])
def test_an_odd_question_of_kubernetes(run: Run, monkeypatch: pytest.MonkeyPatch, info: str) -> None:
    monkeypatch.setenv("KUBERNETES_EXEC_INFO", info)
    done = run("oneaccess", "--format", "exec-credential")
    assert (done.code, "KUBERNETES_EXEC_INFO" in done.err) == (2, True)


def test_what_a_vendor_says_cannot_move_the_cursor(run: Run, sandbox: Sandbox) -> None:
    body = json.dumps({"error_code": "X", "error_msg": "a\x1b[2J\nb"})
    sandbox.plan({"api": "oneaccess", "kind": "403", "body": body, "headers": {"Content-Type": "application/json"}})
    done = run("oneaccess")
    assert (done.code, done.err.count("\n"), "\x1b" in done.err) == (1, 1, False)


@pytest.mark.filterwarnings("default")
def test_a_literal_secret_is_warned_of_in_one_line(run: Run, config_dir: Path, sandbox: Sandbox) -> None:
    client_id, secret = next(iter(sandbox.accounts.oneaccess.items()))
    literal = {"provider": "oneaccess", "endpoint": sandbox.url, "client_id": client_id, "client_secret": secret}
    write_profiles(config_dir, {"literal": literal})
    done = run("literal")
    assert (done.code, done.err.count("\n")) == (0, 1)
    assert "warning" in done.err
    assert secret not in done.err


@pytest.mark.parametrize("value", ["plain", "it's", '$HOME `id` \\ "x"', "'"])
def test_the_shell_gets_the_value_back(value: str) -> None:
    line = _format(a_token(value), "env", "A_TOKEN")
    script = f'{line}\nprintf %s "$A_TOKEN"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == value


@pytest.mark.parametrize(
    ("value", "env"), [("plain", {"AccessKeyId": "KEY_ID"}), ({"AccessKeyId": "a", "SecretAccessKey": "b"}, "KEY")]
)
def test_variables_that_do_not_fit_the_token_are_named(value: Any, env: Any) -> None:
    with pytest.raises(ParameterError):
        _format(a_token(value), "env", env)


def test_a_secret_of_the_answer_and_what_json_does_not_know() -> None:
    metadata = {"id_token": Secret("s"), "when": datetime(2026, 1, 15, tzinfo=UTC)}
    told = json.loads(_format(a_token("value", metadata=metadata), "json", ""))
    assert told["metadata"] == {"id_token": "s", "when": "2026-01-15 00:00:00+00:00"}
