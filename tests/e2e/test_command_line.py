"""From nothing to tokens of all five APIs with the command line alone, on a terminal, in a home of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pexpect
import psutil
import pytest

from jupyter_tokens.sandbox import Accounts, Sandbox, astra, eiam, modelarts, running

from ..cli.machine import NO_KEYRING, SECONDS, Machine, answer_all, jupyter_server
from ..doubles import loopback, raw_answer
from ..hearing import free_port

SECRETS = {
    "alibaba": "c4n4ryAlibabaSecretKey00001",
    "huawei": "c4n4ryHuaweiSecretKey000002",
    "iam": "c4n4ry-iam-passw0rd-00003",
    "oneaccess": "c4n4ry-oneaccess-s3cret-4",
    "astra": "c4n4ry-astra-api-t0ken-05",
}
# From the reference of client.authentication.k8s.io/v1 (ExecCredential, ExecCredentialStatus) and of the plug-ins'
# output: with a token, and no field that the API does not know.
EXEC_CREDENTIAL = {
    "type": "object",
    "required": ["apiVersion", "kind", "status"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "client.authentication.k8s.io/v1"},
        "kind": {"const": "ExecCredential"},
        "spec": {"type": "object"},
        "status": {
            "type": "object",
            "required": ["token"],
            "additionalProperties": False,
            "properties": {
                "token": {"type": "string", "minLength": 1},
                "expirationTimestamp": {
                    "type": "string",
                    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
                },
                "clientCertificateData": {"type": "string"},
                "clientKeyData": {"type": "string"},
            },
        },
    },
}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    accounts = Accounts(
        alibaba={"LTAI5tDoctorDoctor000001": SECRETS["alibaba"]},
        huawei={"HWAKDOCTOR0000000001": SECRETS["huawei"]},
        iam={"ada": SECRETS["iam"]},
        oneaccess={"client-1": SECRETS["oneaccess"]},
        astra=[SECRETS["astra"]],
    )
    with running(Sandbox(accounts)) as sandbox:
        yield sandbox


def questions(provider: str, url: str) -> list[tuple[str, str]]:
    """What `add` asks on a terminal, and what a person answers."""
    project = [("project_id", modelarts.PROJECT), ("instance_id", modelarts.INSTANCE)]
    own = {
        "modelarts": [
            ("endpoint", url),
            ("How to sign in", "access-key"),
            ("access_key", "HWAKDOCTOR0000000001"),
            *project,
            ("env", "MODELARTS_TOKEN"),
            ("Secret access key [secret_key] - Secret key (SK) (hidden)", SECRETS["huawei"]),
        ],
        "pai-dlc": [
            ("endpoint", url),
            ("How to sign in", "access-key"),
            ("access_key_id", "LTAI5tDoctorDoctor000001"),
            ("env", "PAI_DLC_TOKEN"),
            ("Access key secret [access_key_secret] - Access key secret (hidden)", SECRETS["alibaba"]),
        ],
        "oneaccess": [
            ("endpoint", url),
            ("client_id", "client-1"),
            ("env", "ONEACCESS_TOKEN"),
            ("Client secret [client_secret] - Client secret of the application (hidden)", SECRETS["oneaccess"]),
        ],
        "astra": [
            ("endpoint", url),
            ("account_id", astra.ACCOUNT),
            ("user_id", astra.USER),
            ("env", ""),
            ("API token [api_token] - API token that authorises the calls (hidden)", SECRETS["astra"]),
        ],
        "eiam": [
            ("endpoint", url),
            ("How to sign in", "access-key"),
            ("access_key_id", "LTAI5tDoctorDoctor000001"),
            ("InstanceId", eiam.INSTANCE),
            ("ApplicationId", eiam.APPLICATION),
            ("ApplicationTokenId", eiam.TOKEN),
            ("env", "EIAM_TOKEN"),
            ("Access key secret [access_key_secret] - Access key secret (hidden)", SECRETS["alibaba"]),
        ],
    }
    return own[provider]


PROVIDERS = ("modelarts", "pai-dlc", "oneaccess", "astra", "eiam")


def added(machine: Machine, provider: str, url: str, *options: str, **variables: str) -> str:
    """Adds a profile named as its provider; returns what was on the terminal."""
    asked = questions(provider, url)
    code, seen = machine.answers("add", provider, *options, to=asked, **variables)
    assert code == 0, seen
    return seen


def whoami(machine: Machine, sandbox: Sandbox, script: str) -> dict[str, Any]:
    """What the sandbox says to curl, which a shell script calls."""
    done = machine.shell(["sh", "-c", script], WHOAMI=f"{sandbox.url}/_sandbox/whoami")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_from_nothing_to_tokens_of_all_five(machine: Machine, sandbox: Sandbox) -> None:
    assert machine.run("doctor").returncode == 0
    seen = "".join(added(machine, provider, sandbox.url) for provider in PROVIDERS)
    assert not any(secret in seen for secret in SECRETS.values())
    listed = json.loads(machine.run("list", "--json").stdout)["profiles"]
    assert [(entry["name"], entry["state"]) for entry in listed] == [(name, "configured") for name in PROVIDERS]
    # Astra's token_id is a matter of each call.
    tested = Counter(name for name in PROVIDERS if name != "astra")
    assert seen.count("returned a token") == tested.total()
    assert +sandbox.requests == tested
    doctor = machine.run("doctor")
    assert (doctor.returncode, doctor.stderr) == (0, ""), doctor.stdout
    assert "fail" not in doctor.stdout
    assert doctor.stdout.count("a call can be signed") == len(PROVIDERS)
    # It sends no call that it has signed, and looks at endpoints in a way that is no call.
    assert +sandbox.requests == tested
    for provider in PROVIDERS:
        params = [f"token_id={astra.TOKEN}"] if provider == "astra" else []
        got = machine.run("get", provider, *params, "--format", "json")
        assert (got.returncode, got.stderr) == (0, "")
        assert json.loads(got.stdout)["provider"] == provider
    assert +sandbox.requests == tested + Counter(PROVIDERS)
    for provider in PROVIDERS:
        assert machine.run("remove", provider, "--yes").returncode == 0
    # With the profiles, what was stored for them.
    assert not any(machine.holding(secret) for secret in SECRETS.values())


class TestFormats:
    """Each of them used by what it is for."""

    @pytest.fixture(autouse=True)
    def _profile(self, machine: Machine, sandbox: Sandbox) -> None:
        added(machine, "oneaccess", sandbox.url)

    @pytest.mark.parametrize(
        "script",
        [
            'curl -sS -H "Authorization: Bearer $(jupyter tokens get oneaccess)" "$WHOAMI"',
            (
                'eval "$(jupyter tokens get oneaccess --format env)" && '
                """sh -c 'curl -sS -H "Authorization: Bearer $ONEACCESS_TOKEN" "$WHOAMI"'"""
            ),
            'jupyter tokens get oneaccess --format header | curl -sS -H @- "$WHOAMI"',
            'curl -sS -H "$(jupyter tokens get oneaccess --format header)" "$WHOAMI"',
        ],
        ids=["value", "env", "header by a pipe", "header"],
    )
    def test_in_a_shell(self, machine: Machine, sandbox: Sandbox, script: str) -> None:
        assert whoami(machine, sandbox, script)["api"] == "oneaccess"

    def test_on_a_terminal_it_says_what_takes_its_time(self, machine: Machine) -> None:
        code, seen = machine.answers("get", "oneaccess", to=[])
        assert (code, "asking Huawei Cloud OneAccess" in seen) == (0, True)
        # Wiped out, so that the value stands alone.
        assert re.search(r"\r\x1b\[K[0-9a-f]{40}\r\n$", seen)

    def test_json(self, machine: Machine, sandbox: Sandbox) -> None:
        told = json.loads(machine.run("get", "oneaccess", "--format=json").stdout)
        assert told["headers"] == {"Authorization": f"Bearer {told['token']}"}
        assert told["obtained_at"] < told["expires_at"]

    def test_exec_credential(self, machine: Machine, sandbox: Sandbox) -> None:
        got = machine.run("get", "oneaccess", "--format", "exec-credential")
        told = json.loads(got.stdout)
        jsonschema.validate(told, EXEC_CREDENTIAL, format_checker=jsonschema.FormatChecker())
        header = f"Authorization: Bearer {told['status']['token']}"
        assert whoami(machine, sandbox, f"curl -sS -H '{header}' \"$WHOAMI\"")["api"] == "oneaccess"

    def test_exec_credential_of_the_version_that_is_asked_for(self, machine: Machine) -> None:
        beta = "client.authentication.k8s.io/v1beta1"
        asked = json.dumps({"apiVersion": beta, "kind": "ExecCredential", "spec": {"interactive": False}})
        got = machine.run("get", "oneaccess", "--format", "exec-credential", KUBERNETES_EXEC_INFO=asked)
        assert json.loads(got.stdout)["apiVersion"] == beta


class TestSecrecy:
    def test_a_typed_secret_is_in_the_keyring_alone(self, machine: Machine, sandbox: Sandbox) -> None:
        added(machine, "oneaccess", sandbox.url)
        token = machine.run("get", "oneaccess", "--debug")
        machine.run("doctor", "--debug")
        keyring = ".local/share/python_keyring/keyring_pass.cfg"
        # That backend writes base64.
        assert machine.holding("YzRuNHJ5LW9uZWFjY2Vzcy1zM2NyZXQtNA==") == {keyring}
        assert machine.holding(SECRETS["oneaccess"]) == set()
        assert machine.holding(token.stdout.strip()) == set()
        assert SECRETS["oneaccess"] not in token.stderr
        assert token.stdout.strip() not in token.stderr

    def test_without_a_keyring_a_private_file_is_offered(self, machine: Machine, sandbox: Sandbox) -> None:
        asked = questions("oneaccess", sandbox.url)
        asked.insert(-1, ("This machine has no keyring.", "y"))
        code, seen = machine.answers("add", "oneaccess", to=asked, PYTHON_KEYRING_BACKEND=NO_KEYRING)
        assert (code, "mode 0600" in seen) == (0, True)
        chosen = ".jupyter/jupyter_tokens_secrets/oneaccess.client_secret"
        assert machine.holding(SECRETS["oneaccess"]) == {chosen}
        assert stat.S_IMODE((machine.home / chosen).stat().st_mode) == 0o600
        assert machine.run("get", "oneaccess", PYTHON_KEYRING_BACKEND=NO_KEYRING).returncode == 0

    def test_no_process_shows_a_secret_while_it_is_stored(self, machine: Machine, sandbox: Sandbox) -> None:
        # It stops itself when the secret has been typed and is about to be written.
        stop = "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGSTOP)"
        terminal = machine.terminal("add", "oneaccess", "--store", "file", before=stop)
        try:
            answer_all(terminal, questions("oneaccess", sandbox.url))
            process = psutil.Process(terminal.pid)
            until_stopped(process)
            assert seen_of(process)
            assert not any(SECRETS["oneaccess"] in text for text in seen_of(process))
        finally:
            terminal.close(force=True)

    def test_no_process_shows_a_secret_or_token_while_it_is_fetched(self, machine: Machine, sandbox: Sandbox) -> None:
        asked, seen = threading.Event(), threading.Event()

        def answer(connection: socket.socket, _: bytes) -> None:
            asked.set()
            assert seen.wait(SECONDS)
            connection.sendall(raw_answer(b'{"access_token": "c4n4ry-of-a-token"}'))

        with loopback(answer) as slow:
            added(machine, "oneaccess", slow.url, "--no-test")
            command = [sys.executable, "-m", "jupyter_tokens.cli.app", "get", "oneaccess"]
            with subprocess.Popen(command, env=machine.variables, stdout=subprocess.PIPE) as getting:
                try:
                    assert asked.wait(SECONDS)
                    assert not any("c4n4ry" in text for text in seen_of(psutil.Process(getting.pid)))
                finally:
                    seen.set()
                assert getting.communicate(timeout=SECONDS)[0] == b"c4n4ry-of-a-token\n"


class TestKilled:
    """The configuration is what it was, to the byte, and works."""

    @pytest.fixture(autouse=True)
    def _profile(self, machine: Machine, sandbox: Sandbox) -> None:
        added(machine, "oneaccess", sandbox.url)

    def test_at_the_prompt(self, machine: Machine, sandbox: Sandbox) -> None:
        before = machine.file.read_bytes()
        terminal = machine.terminal("add", "astra")
        answer_all(terminal, questions("astra", sandbox.url)[:-1])
        terminal.expect_exact("(hidden): ")
        terminal.kill(signal.SIGKILL)
        terminal.wait()
        assert machine.file.read_bytes() == before
        assert machine.run("get", "oneaccess").returncode == 0

    @pytest.mark.parametrize("nth", [1, 2])
    def test_in_mid_write(self, machine: Machine, sandbox: Sandbox, nth: int) -> None:
        before = machine.file.read_bytes()
        # The first file is the secret's, the second the configuration's: each is killed when it is written, not named.
        fault = f"left = [{nth}]; end = lambda: os.kill(os.getpid(), signal.SIGKILL)"
        fault += "; os.fsync = lambda _: left.append(left.pop() - 1) or left[0] or end()"
        terminal = machine.terminal("add", "astra", "--store", "file", before=fault)
        answer_all(terminal, questions("astra", sandbox.url))
        terminal.expect(pexpect.EOF)
        terminal.wait()
        assert terminal.signalstatus == signal.SIGKILL
        assert machine.file.read_bytes() == before
        assert machine.run("get", "oneaccess").returncode == 0
        # What was left behind is nobody else's to read, and does not keep the next try from working.
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in machine.files() if "astra" in path.name)
        added(machine, "astra", sandbox.url)

    def test_by_ctrl_c(self, machine: Machine) -> None:
        before = machine.file.read_bytes()
        terminal = machine.terminal("add", "astra")
        terminal.expect_exact("[endpoint]")
        terminal.sendintr()
        terminal.expect_exact("stopped")
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 1
        assert machine.file.read_bytes() == before


class TestKernelRoute:
    """`doctor` in a terminal of a server: it asks that server, as a kernel would."""

    @staticmethod
    def told(machine: Machine, url: str) -> tuple[str, str]:
        done = machine.run("doctor", "--json", JUPYTER_TOKENS_URL=url)
        [finding] = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "kernel route"]
        return finding["status"], finding["what"]

    @pytest.mark.parametrize("enabled", [True, False])
    def test_a_server(self, machine: Machine, *, enabled: bool) -> None:
        log = machine.home / "server.log"
        with jupyter_server(log, environment=machine.variables, enabled=enabled) as url:
            status, what = self.told(machine, f"{url}/jupyter-tokens")
        assert (status, url in what) == ("ok" if enabled else "fail", True)

    def test_none(self, machine: Machine) -> None:
        status, what = self.told(machine, f"http://127.0.0.1:{free_port()}/jupyter-tokens")
        assert (status, "cannot be reached" in what) == ("fail", True)


def until_stopped(process: psutil.Process) -> None:
    """Waits for the kernel's word of it."""
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def seen_of(process: psutil.Process) -> list[str]:
    """What `ps` and /proc tell others of a process and its children."""
    seen = []
    for one in (process, *process.children(recursive=True)):
        seen += [*one.cmdline(), *(f"{name}={text}" for name, text in one.environ().items())]
    return seen
