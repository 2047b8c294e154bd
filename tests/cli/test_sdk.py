"""Programs that unmodified SDKs and tools run: what they print, that the real tools take it, and whom it is not for."""

from __future__ import annotations

import base64
import http.server
import io
import json
import os
import shlex
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest

from jupyter_tokens.cli.get import GetApp
from jupyter_tokens.cli.sdk import TOOLS, SdkApp
from jupyter_tokens.sandbox import Sandbox

from ..doubles import vector
from .machine import write_profiles
from .running import PROGRAMS, Run, install_programs, runner

KEY = "k3y-of-a-test-0123456789"


@pytest.fixture
def get(capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(GetApp, capfd)


@pytest.fixture
def sdk(capfd: pytest.CaptureFixture[str], scripts: Path) -> Run:
    return runner(SdkApp, capfd)


@pytest.fixture(autouse=True)
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The programs of an installation, in a folder that SDKs find."""
    folder = tmp_path / "programs"
    install_programs(folder, monkeypatch)
    monkeypatch.setenv("MY_KEY", KEY)
    return folder


Written = Callable[[dict[str, Any]], None]


@pytest.fixture
def write(config_dir: Path) -> Written:
    def write(profiles: dict[str, Any]) -> None:
        write_profiles(config_dir, profiles)

    return write


@pytest.fixture(autouse=True)
def profiles(write: Written) -> None:
    write({"mine": {"provider": "static", "token": "env:MY_KEY"}})


def signed(ends: float) -> str:
    return jwt.encode({"exp": ends}, "k" * 32)


ENDS = 4_102_444_800
"""2100-01-01T00:00:00Z"""


class Host:
    """A server that lets in who shows the key as password, and remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.accepts = KEY
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shown = self.headers.get("Authorization", "")
                host.shown.append(shown)
                if base64.b64decode(shown.removeprefix("Basic ")).decode().partition(":")[2] != host.accepts:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="x"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                text = b"001e# service=git-upload-pack\n0000" + b"00000000"
                self.answer(text, "application/x-git-upload-pack-advertisement")

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                host.shown.append(form["subject_token"][0])
                told = {"access_token": "ya29.x", "issued_token_type": "t", "token_type": "Bearer", "expires_in": 3600}
                self.answer(json.dumps(told).encode(), "application/json")

            def answer(self, body: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.name = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.name}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def host() -> Iterator[Host]:
    served = Host()
    yield served
    served.close()


# What is printed


def test_each_format_has_the_fields_that_were_recorded(get: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", signed(ENDS))
    monkeypatch.setattr(sys, "stdin", io.StringIO("127.0.0.1:5000"))
    for form, name in (
        ("exec-credential", "kubectl_exec_credential"),
        ("google-executable", "google_executable"),
        ("az", "az_get_access_token"),
        ("docker", "docker_credential_get"),
        ("keyring", "keyring_pip"),
    ):
        done = get("mine", "--format", form)
        assert (done.code, done.err) == (0, ""), form
        ours, recorded = json.loads(done.out), json.loads(vector(f"programs/{name}")["program"]["stdout"])
        assert ours.keys() == recorded.keys()
        assert {name: type(value) for name, value in ours.items()} == {
            name: type(value) for name, value in recorded.items()
        }
    assert json.loads(get("mine", "--format", "exec-credential").out)["status"]["expirationTimestamp"] == (
        "2100-01-01T00:00:00Z"
    )
    assert get("mine", "--format", "git").out.splitlines()[-1] == f"password_expiry_utc={ENDS}"


def test_an_expiry_that_nobody_knows(get: Run) -> None:
    assert json.loads(get("mine", "--format", "exec-credential").out)["status"] == {"token": KEY}
    assert "expiration_time" not in json.loads(get("mine", "--format", "google-executable").out)
    assert get("mine", "--format", "git").out == f"username=oauth2\npassword={KEY}\n"
    # az insists on one.
    assert json.loads(get("mine", "--format", "az").out)["expires_on"] > 0


def test_google_reads_a_failure_where_it_reads_the_token(get: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY")
    done = get("mine", "--format", "google-executable")
    told = json.loads(done.out)
    assert (done.code, done.err, told["success"], told["code"]) == (0, "", False, "secret")
    assert "MY_KEY is not set" in told["message"]
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", "urn:ietf:params:oauth:token-type:saml2")
    assert json.loads(get("mine", "--format", "google-executable").out)["code"] == "parameter"


@pytest.mark.filterwarnings("default")
def test_google_sees_no_line_but_the_answer(get: Run, config_dir: Path, write: Written) -> None:
    write({"literal": {"provider": "static", "token": KEY}})
    assert "warning" in get("literal", "--format", "az").err
    done = get("literal", "--format", "google-executable")
    assert (done.code, done.err) == (0, "")


def test_the_entry_points_lead_to_these_programs() -> None:
    scripts = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts.keys() == PROGRAMS.keys()
    for name, where in scripts.items():
        module, _, function = where.partition(":")
        assert callable(getattr(import_module(module), function)), name


# Configurations


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_a_configuration_holds_no_token_and_says_what_to_do(sdk: Run, write: Written, tool: str) -> None:
    write({"my team's": {"provider": "static", "token": "env:MY_KEY", "hosts": ["AWS@pkg.example.com:8443"]}})
    done = sdk(tool, "my team's", *(["//iam.example/pool"] if tool == "google" else []))
    assert (done.code, done.err.count("\n"), bool(done.out)) == (0, 1, True)
    assert KEY not in done.out + done.err
    if tool in {"azure", "gh", "openai", "pip", "uv"}:
        subprocess.run(["sh", "-n"], input=done.out, text=True, check=True)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "takes a TOOL"),
        (["nonsense", "mine"], "takes a TOOL"),
        (["git", "nobody"], "no profile"),
        (["git", "mine"], "has no hosts"),
        (["docker", "mine"], "has no hosts"),
        (["docker", "mine", "registry.example.com"], "does not have registry.example.com in its hosts"),
        (["pip", "mine", "http://pkg.example.com"], "must be https"),
        (["git", "mine", "https://x y/"], "must be https"),
        (["google", "mine"], "audience"),
    ],
)
def test_a_configuration_that_cannot_be(sdk: Run, arguments: list[str], complaint: str) -> None:
    done = sdk(*arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert complaint in done.err


# The tools themselves


def ls_remote(host: Host, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "ls-remote", f"{host.url}/o/r.git"],
        env={**os.environ, "HOME": str(home), "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_git_logs_in_with_a_token(sdk: Run, host: Host, tmp_path: Path) -> None:
    (tmp_path / ".gitconfig").write_text(sdk("git", "mine", host.url).out)
    done = ls_remote(host, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert host.shown == ["", "Basic " + base64.b64encode(f"oauth2:{KEY}".encode()).decode()]


def test_git_fails_with_a_reason_and_asks_nobody(
    sdk: Run, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text(sdk("git", "mine", host.url).out)
    monkeypatch.delenv("MY_KEY")
    done = ls_remote(host, tmp_path)
    assert done.returncode != 0
    assert "MY_KEY is not set" in done.stderr


def test_a_refused_token_is_fetched_again(
    sdk: Run,
    host: Host,
    tmp_path: Path,
    sandbox: Sandbox,
    write: Written,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JUPYTER_TOKENS_STORE", "file:")
    write({"mine": sandbox.profiles(tmp_path)["oneaccess"]})
    (tmp_path / ".gitconfig").write_text(sdk("git", "mine", host.url).out)
    assert ls_remote(host, tmp_path).returncode != 0
    assert ls_remote(host, tmp_path).returncode != 0
    first, second = (shown for shown in host.shown if shown)
    assert first != second
    assert sandbox.requests["oneaccess"] == 2


def helper(program: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=300)


def test_git_helper_finds_the_profile_by_its_host(write: Written) -> None:
    asked = vector("programs/git_credential_get")["program"]["stdin"]
    write({"mine": {"provider": "static", "token": "env:MY_KEY", "hosts": ["x-token@127.0.0.1:18759"]}})
    assert helper("git-credential-jupyter-tokens", "get", stdin=asked).stdout == f"username=x-token\npassword={KEY}\n"
    named = helper("git-credential-jupyter-tokens", "mine", "get", stdin=asked + "username=me\n")
    assert named.stdout.startswith("username=me\n")
    stored = vector("programs/git_credential_store")["program"]["stdin"]
    assert helper("git-credential-jupyter-tokens", "store", stdin=stored).stdout == ""


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ("protocol=https\nhost=evil.example\n", "does not have evil.example"),
        ("protocol=http\nhost=git.example.com\n", "only sent over https"),
        ("", "only sent over https"),
    ],
)
def test_git_helper_gives_no_other_host_a_token(write: Written, asked: str, complaint: str) -> None:
    write({"mine": {"provider": "static", "token": "env:MY_KEY", "hosts": ["git.example.com"]}})
    done = helper("git-credential-jupyter-tokens", "mine", "get", stdin=asked)
    assert (done.returncode, done.stdout, complaint in done.stderr) == (1, "quit=1\n", True)


def test_docker_gets_a_login_for_the_hosts_of_a_profile(sdk: Run, write: Written) -> None:
    program, host = "docker-credential-jupyter-tokens", "127.0.0.1:5000"
    write({"mine": {"provider": "static", "token": "env:MY_KEY", "hosts": [host]}, "wrong": {"provider": "none"}})
    assert json.loads(sdk("docker", "mine").out) == {"credHelpers": {host: "jupyter-tokens"}}
    asked = vector("programs/docker_credential_get")["program"]["stdin"]
    login = {"ServerURL": host, "Username": "oauth2", "Secret": KEY}
    assert json.loads(helper(program, "get", stdin=asked).stdout) == login
    assert json.loads(helper(program, "get", stdin=f"https://{host}/v1/").stdout)["Secret"] == KEY
    other = helper(program, "get", stdin="index.docker.io")
    assert (other.returncode, other.stdout) == (1, "credentials not found in native keychain\n")
    assert helper(program, "list").stdout == "{}\n"
    assert helper(program, "store", stdin="{}").returncode == 1
    assert helper(program, "erase", stdin=host).returncode == 0


def test_two_profiles_for_one_host_are_an_error(write: Written) -> None:
    profile = {"provider": "static", "token": "env:MY_KEY", "hosts": ["git.example.com"]}
    write({"one": profile, "two": profile})
    done = helper("git-credential-jupyter-tokens", "get", stdin="protocol=https\nhost=git.example.com\n")
    assert "Several profiles" in done.stderr


def test_google_auth_gets_its_subject_token(
    sdk: Run, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.auth.exceptions import RefreshError
    from google.auth.pluggable import Credentials
    from google.auth.transport.requests import Request

    monkeypatch.setenv("MY_KEY", signed(ENDS))
    audience = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q"
    facts = json.loads(sdk("google", "mine", audience).out)
    # The real exchange is Google's.
    (tmp_path / "google.json").write_text(json.dumps({**facts, "token_url": f"{host.url}/token"}))
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    credentials = Credentials.from_file(str(tmp_path / "google.json"), scopes=["https://x.example/auth"])
    credentials.refresh(Request())
    assert (credentials.token, host.shown) == ("ya29.x", [signed(ENDS)])
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(RefreshError, match="MY_KEY is not set"):
        credentials.refresh(Request())


@pytest.fixture
def key(write: Written) -> dict[str, str]:
    """A profile whose token is a temporary access key."""
    key = {"AccessKeyId": "ASIA-x", "SecretAccessKey": "secr3t-of-a-test", "SessionToken": "sess1on-of-a-test"}
    printed = json.dumps({**key, "Expiration": "2100-01-01T00:00:00Z"})
    write({"my key": {"provider": "command", "command": shlex.join([sys.executable, "-c", f"print({printed!r})"])}})
    return key


def test_an_access_key_has_the_fields_that_were_recorded(get: Run, key: dict[str, str]) -> None:
    for form, name in (("credential-process", "aws_credential_process"), ("alibaba-external", "aliyun_external")):
        told = json.loads(get("my key", "--format", form).out)
        recorded = json.loads(vector(f"programs/{name}")["program"]["stdout"])
        assert told.keys() == recorded.keys()
        assert set(key.values()) < set(told.values())
        assert "2100-01-01T00:00:00Z" in told.values()
    for form in ("value", "exec-credential", "google-executable"):
        done = get("my key", "--format", form)
        assert "several" in done.err + done.out or "belong together" in done.err + done.out
        assert not any(value in done.out for value in key.values())


def test_a_token_is_no_access_key(get: Run) -> None:
    done = get("mine", "--format", "credential-process")
    assert (done.code, done.out, "not a temporary access key" in done.err) == (2, "", True)


def test_boto3_runs_the_credential_process(
    sdk: Run, key: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from boto3 import Session

    (tmp_path / "aws").write_text(sdk("aws", "my key").out)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    found = Session(profile_name="my key").get_credentials().get_frozen_credentials()
    assert list(found)[:3] == list(key.values())


def test_alibabas_library_runs_the_external_program(sdk: Run, key: dict[str, str]) -> None:
    from alibabacloud_credentials.provider import CLIProfileCredentialsProvider

    file = Path(os.environ["HOME"]) / ".aliyun" / "config.json"
    file.parent.mkdir()
    file.write_text(sdk("alibaba", "my key").out)
    found = CLIProfileCredentialsProvider(profile_name="my key", profile_file=str(file)).get_credentials()
    assert (found.get_access_key_id(), found.get_security_token()) == (key["AccessKeyId"], key["SessionToken"])
    # What the note of the configuration warns of.
    assert key["SessionToken"] in file.read_text()


def test_azure_cli_credential_runs_the_script(sdk: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from azure.identity import AzureCliCredential

    save(tmp_path / "shims" / "az", sdk("azure", "mine").out, monkeypatch)
    assert AzureCliCredential().get_token("https://storage.azure.com/.default").token == KEY


def save(file: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file.parent.mkdir()
    file.write_text(script)
    file.chmod(0o700)
    monkeypatch.setenv("PATH", f"{file.parent}{os.pathsep}{os.environ['PATH']}")


def test_the_keyring_script_answers_pip_and_uv(
    sdk: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Written
) -> None:
    write({"mine": {"provider": "static", "token": "env:MY_KEY", "hosts": ["AWS@127.0.0.1:18759"]}})
    save(tmp_path / "shims" / "keyring", sdk("pip", "mine").out, monkeypatch)
    pip = vector("programs/keyring_pip")["program"]["argv"]
    assert json.loads(helper(*pip).stdout) == {"username": "AWS", "password": KEY}
    assert helper("keyring", "get", "http://127.0.0.1:18759/simple/", "user").stdout == f"{KEY}\n"
    assert helper("keyring", "get", "http://127.0.0.1:18759", "--mode", "creds").stdout == f"AWS\n{KEY}\n"
    # A variable of the caller decides nothing.
    monkeypatch.setenv("known", "1")
    for url in (
        "https://evil.example/?http://127.0.0.1:18759/",
        "http://127.0.0.1:18759.evil.example/",
        "http://127.0.0.1:18759@evil.example/",
        "http://127.0.0.1:1875",
        # Without a scheme, as pip asks at last: the URL may be http.
        "127.0.0.1:18759",
    ):
        # The user name is from the URL, https://USER@evil.example/.
        for user in ("user", "127.0.0.1:18759", "http://127.0.0.1:18759", "get"):
            for words in (["get", url, user], [*pip[1:4], url, user], ["get", url, "--mode", "creds"]):
                assert helper("keyring", *words).stdout == ""
