"""`jupyter tokens add` and `remove`: what is asked, refused and written; where a secret ends up."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.cli.draft import Draft
from jupyter_tokens.errors import ParameterError
from jupyter_tokens.providers.catalogue import provider_class
from jupyter_tokens.sandbox import Sandbox

from .machine import NO_KEYRING, SECONDS, Machine, write_profiles

CANARY = "c4n4ry-5ecr3t-v4lue"
ACME = [
    "--provider=oneaccess", "--set", "endpoint=https://acme.example", "--set", "client_id=abc", "--set", "env=ACME",
]  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def profiles(machine: Machine) -> dict[str, Any]:
    return json.loads(machine.file.read_text())["TokenProfiles"]["profiles"]  # type: ignore[no-any-return]


def private(file: Path, text: str = CANARY) -> Path:
    file.write_text(text)
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("command", [["add", "acme", *ACME], ["remove", "acme", "--yes"]], ids=["add", "remove"])
def test_where_jupyter_keeps_no_configuration_nothing_is_written(machine: Machine, command: list[str]) -> None:
    assert machine.run("add", "acme", *ACME, "--from-env", "client_secret=S", S=CANARY).returncode == 0
    before = machine.file.read_bytes()
    arguments = [*command, "--from-env", "client_secret=S"] if command[0] == "add" else command
    done = machine.run(*arguments, JUPYTER_NO_CONFIG="1", TMPDIR=str(machine.home), S=CANARY)
    assert done.returncode == 2
    assert "JUPYTER_NO_CONFIG is set" in done.stderr
    assert machine.file.read_bytes() == before
    assert [file for file in machine.home.rglob("jupyter_tokens_config.json") if file != machine.file] == []


class TestReferences:
    """No secret is typed: it stays where it is."""

    def test_from_env(self, machine: Machine) -> None:
        done = machine.run("add", "acme", *ACME, "--from-env", "client_secret=ACME_SECRET", ACME_SECRET=CANARY)
        assert (done.returncode, done.stdout) == (0, "")
        assert profiles(machine) == {
            "acme": {
                "provider": "oneaccess",
                "endpoint": "https://acme.example",
                "client_id": "abc",
                "env": "ACME",
                "client_secret": "env:ACME_SECRET",
            }
        }
        assert stat.S_IMODE(machine.file.stat().st_mode) == 0o600
        assert machine.holding(CANARY) == set()

    def test_beside_a_profile_in_a_file_with_a_byte_order_mark(self, machine: Machine) -> None:
        machine.file.write_bytes(b"\xef\xbb\xbf" + json.dumps({"TokenProfiles": {"profiles": {"a": {}}}}).encode())
        assert machine.run("add", "acme", *ACME, "--from-env", "client_secret=S", S=CANARY).returncode == 0
        assert set(profiles(machine)) == {"a", "acme"}

    def test_from_env_that_is_not_there_yet(self, machine: Machine) -> None:
        done = machine.run("add", "acme", *ACME, "--from-env", "client_secret=LATER")
        assert (done.returncode, "LATER is not set in this shell" in done.stderr) == (0, True)

    def test_from_file(self, machine: Machine) -> None:
        file = private(machine.home / "secret")
        assert machine.run("add", "acme", *ACME, "--from-file", "client_secret=secret").returncode == 0
        assert profiles(machine)["acme"]["client_secret"] == f"file:{file}"
        assert machine.holding(CANARY) == {"secret"}
        # It is not ours to remove.
        assert machine.run("remove", "acme", "--yes").returncode == 0
        assert file.read_text() == CANARY

    def test_from_file_that_others_can_read(self, machine: Machine) -> None:
        private(machine.home / "secret").chmod(0o644)
        done = machine.run("add", "acme", *ACME, "--from-file", "client_secret=secret")
        assert (done.returncode, machine.file.exists()) == (2, False)
        assert "chmod 600" in done.stderr

    @pytest.mark.parametrize("reference", ["keyring:oneaccess/acme", "command:pass show acme"])
    def test_by_its_own_form(self, machine: Machine, reference: str) -> None:
        done = machine.run("add", "acme", *ACME, "--set", f"client_secret={reference}")
        assert (done.returncode, profiles(machine)["acme"]["client_secret"]) == (0, reference)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([*ACME, "--set", f"client_secret={CANARY}"], "revoke this secret"),
        ([*ACME, f"--client-secret={CANARY}"], "unrecognized arguments: --client-secret"),
        ([*ACME, f"--secret={CANARY}"], "unrecognized arguments: --secret"),
        ([*ACME, f"client_secret={CANARY}"], "takes one NAME"),
        ([*ACME, "--set", CANARY], "--set takes NAME=VALUE"),
        ([*ACME], "client_secret is missing"),
        ([*ACME, "--from-env", "client_secret=not-a-name"], "name of an environment variable"),
        ([*ACME, "--from-env", "endpoint=HOME"], "'endpoint' is not a setting that can be read from a variable"),
        ([*ACME, "--from-env", "client_id=HOME"], "client_id is given twice"),
        ([*ACME, "--set", "client_idd=x"], "Did you mean client_id?"),
        ([*ACME, "--set", "timeout=soon"], "must be a number"),
        ([*ACME, "--param", "x=y"], "'x' is not a parameter of this provider"),
        (["--provider=oneacess"], "Did you mean oneaccess?"),
        ([], "--provider is missing"),
        (["--provider=astra", "--param", "account_id=a/b"], "without a slash"),
        (["--provider=oneaccess", "--store=clay"], "keyring"),
        (["--provider=command"], "command is missing"),
        (["--provider=command", "--set", f"command=echo '{CANARY}"], "cannot be split into words"),
        (["--provider=command", "--from-env=command=HOME"], "'command' is not a setting that can be read from a"),
        (["--provider=static"], "token is missing"),
        (["--provider=static", "--set", f"token={CANARY}"], "revoke this secret"),
    ],
)
def test_what_is_wrong_is_one_line_and_changes_nothing(machine: Machine, arguments: list[str], complaint: str) -> None:
    done = machine.run("add", "acme", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert complaint in done.stderr
    assert CANARY not in done.stderr
    assert not machine.file.exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("endpoint=http://acme.example", "must be https"),
        ("verify=false", "can only be switched off for loopback"),
        ("env=not a name", "must be an environment variable's name"),
        ("auth_method=post", "must be one of form, basic"),
    ],
)
def test_the_whole_profile_is_checked_before_it_is_written(machine: Machine, change: str, complaint: str) -> None:
    done = machine.run("add", "acme", *ACME, "--from-env=client_secret=HOME", "--set", change)
    assert (done.returncode, machine.file.exists()) == (2, False)
    assert complaint in done.stderr


def test_one_that_is_there_already_is_left_alone(machine: Machine) -> None:
    assert machine.run("add", "acme", *ACME, "--from-env=client_secret=HOME").returncode == 0
    before = machine.file.read_bytes()
    done = machine.run("add", "acme", *ACME, "--from-env=client_secret=PATH")
    assert (done.returncode, machine.file.read_bytes()) == (2, before)
    assert "remove it first" in done.stderr


def test_an_odd_name(machine: Machine) -> None:
    done = machine.run("add", "a/b", *ACME, "--from-env=client_secret=HOME")
    assert (done.returncode, "The name of a profile" in done.stderr) == (2, True)


def test_what_else_is_in_the_file_stays(machine: Machine) -> None:
    other = {"TokenProfiles": {"mode": "direct", "profiles": {"b": {"provider": "astra"}}}, "Other": {"x": 1}}
    private(machine.file, json.dumps(other))
    assert machine.run("add", "acme", *ACME, "--from-env=client_secret=HOME").returncode == 0
    assert machine.run("remove", "acme", "--yes").returncode == 0
    assert json.loads(machine.file.read_text()) == other


class TestOnATerminal:
    def test_only_what_is_missing_is_asked(self, machine: Machine) -> None:
        code, seen = machine.answers("add", "--no-test", "acme", *ACME, "--store=file", to=[("client_secret", CANARY)])
        assert (code, CANARY in seen) == (0, False)
        assert profiles(machine)["acme"]["client_secret"] == "file:jupyter_tokens_secrets/acme.client_secret"

    def test_another_setting_is_asked_for_next(self, machine: Machine) -> None:
        asked = [
            ("endpoint", ""),
            ("region", "eu-de"),
            ("How to sign in", "by hand"),
            ("How to sign in", "iam-user"),
            ("username", ""),
            ("username", "ada"),
            ("domain_name", "acme"),
            ("project_id", ""),
            ("instance_id", "a/b"),
            ("instance_id", "i-1"),
            ("env", ""),
            ("Password [password] - The IAM user's password (hidden)", CANARY),
        ]
        code, seen = machine.answers("add", "--no-test", "lab", "--provider=modelarts", "--store=file", to=asked)
        assert (code, "without a slash" in seen, CANARY in seen) == (0, True, False)
        assert "Choose one of access-key, iam-user, auth-token, chain, openstack." in seen
        assert profiles(machine)["lab"] == {
            "provider": "modelarts",
            "region": "eu-de",
            "username": "ada",
            "domain_name": "acme",
            "password": "file:jupyter_tokens_secrets/lab.password",
            "params": {"instance_id": "i-1"},
        }

    def test_a_secret_that_chooses_how_to_sign_in_is_asked_for_last(self, machine: Machine) -> None:
        asked = [
            ("How to sign in", "auth-token"),
            ("project_id", ""),
            ("instance_id", ""),
            ("env", ""),
            ("IAM token [auth_token] - An existing IAM token (X-Auth-Token) (hidden)", CANARY),
        ]
        options = ["--provider=modelarts", "--set=region=eu-de", "--store=file"]
        code, seen = machine.answers("add", "--no-test", "lab", *options, to=asked)
        assert (code, CANARY in seen) == (0, False)
        assert profiles(machine)["lab"]["auth_token"] == "file:jupyter_tokens_secrets/lab.auth_token"

    def test_to_sign_in_by_a_chain_needs_no_further_setting(self, machine: Machine) -> None:
        asked = [("How to sign in", "chain"), ("project_id", ""), ("instance_id", ""), ("env", "")]
        assert (
            machine.answers("add", "--no-test", "lab", "--provider=modelarts", "--set=region=eu-de", to=asked)[0] == 0
        )
        assert profiles(machine)["lab"] == {"provider": "modelarts", "region": "eu-de", "credentials": "chain"}

    def test_how_to_sign_in_is_not_asked_where_a_setting_says_it(self, machine: Machine) -> None:
        options = ["--provider=pai-dlc", "--set=region=cn-hangzhou", "--set=access_key_id=i", "--set=env=PAI_TOKEN"]
        code, seen = machine.answers(
            "add", "--no-test", "lab", *options, "--store=file", to=[("access_key_secret", CANARY)]
        )
        assert (code, "How to sign in" in seen) == (0, False)

    def test_a_wrong_answer_is_asked_for_again_with_the_reason(self, machine: Machine) -> None:
        asked = [
            ("endpoint", ""),
            ("region", "a/b"),
            ("region", "cn-nowhere"),
            ("How to sign in", "chain"),
            ("region", "eu-de"),
            ("project_id", ""),
            ("instance_id", ""),
            ("env", "not a name"),
            ("env", "LAB_TOKEN"),
        ]
        code, seen = machine.answers("add", "--no-test", "lab", "--provider=modelarts", to=asked)
        assert (code, profiles(machine)["lab"]["region"], profiles(machine)["lab"]["env"]) == (0, "eu-de", "LAB_TOKEN")
        assert "region must be a region's id" in seen
        assert "region names a region in which no endpoint of ModelArts is known" in seen
        assert "env must be an environment variable's name" in seen

    def test_a_list_is_written_as_one(self, machine: Machine) -> None:
        asked = [
            ("endpoint", ""),
            ("region", "eu-central-1"),
            ("How to sign in", "access-key"),
            ("access_key_id", "AKID"),
            ("InstanceId", "idaas_1"),
            ("ApplicationId", "app_1"),
            ("Audience", "https://example.com"),
            ("ScopeValues", "User:Read:ALL User:Write"),
            ("env", ""),
            ("access_key_secret", CANARY),
        ]
        code, _ = machine.answers("add", "--no-test", "m2m", "--provider=eiam-oauth", "--store=file", to=asked)
        assert code == 0
        assert profiles(machine)["m2m"]["params"]["ScopeValues"] == ["User:Read:ALL", "User:Write"]

    def test_an_id_token_and_its_identity_provider_are_the_third_way(self, machine: Machine) -> None:
        asked = [
            ("How to sign in", "id-token"),
            ("idp_id", "idp"),
            ("env", ""),
            ("ID token [id_token] - id_token of an OpenID Connect identity provider (hidden)", CANARY),
        ]
        options = ["--provider=huawei-iam", "--set=region=eu-de", "--store=file"]
        code, _ = machine.answers("add", "--no-test", "iam", *options, to=asked)
        assert (code, profiles(machine)["iam"]["idp_id"]) == (0, "idp")

    def test_a_variable_for_each_of_several_values(self, machine: Machine) -> None:
        place = ["--set=region=eu-de", "--set=auth_token=profile:iam"]
        variables = {"access_key_id": "AK", "secret_access_key": "SK", "security_token": "ST"}
        env = ",".join(f"{name}={variable}" for name, variable in variables.items())
        options = ["--provider=huawei-sts", *place, f"--set=env={env}"]
        code, _ = machine.answers("add", "--no-test", "key", *options, to=[])
        assert (code, profiles(machine)["key"]["env"]) == (0, variables)
        assert profiles(machine)["key"]["auth_token"] == "profile:iam"

    def test_what_is_needed_is_asked_again(self, machine: Machine) -> None:
        asked = [
            ("provider", "nonsense"),
            ("provider", "oneaccess"),
            ("endpoint", ""),
            ("endpoint", "https://acme.example"),
            ("client_id", "abc"),
            ("env", ""),
            ("Client secret [client_secret] - Client secret of the application (hidden)", ""),
            ("Client secret [client_secret] - Client secret of the application (hidden)", CANARY),
        ]
        code, seen = machine.answers("add", "--no-test", "acme", "--store=file", to=asked)
        assert (code, "client_secret is needed" in seen) == (0, True)

    def test_a_wrong_endpoint_is_asked_for_again_and_no_answer_is_lost(self, machine: Machine) -> None:
        asked = [
            ("endpoint", "http://acme.example"),
            ("endpoint", "https://acme.example"),
            ("client_id", "abc"),
            ("env", ""),
            ("client_secret", CANARY),
        ]
        code, seen = machine.answers("add", "--no-test", "acme", "--provider=oneaccess", "--store=file", to=asked)
        assert (code, "must be https" in seen, "such as https://acme.huaweioneaccess.com" in seen) == (0, True, True)
        assert profiles(machine)["acme"]["endpoint"] == "https://acme.example"

    def test_the_end_of_the_input_changes_nothing(self, machine: Machine) -> None:
        code, seen = machine.answers("add", "--no-test", "acme", "--provider=oneaccess", to=[("endpoint", "\x04")])
        assert (code, "nothing was changed" in seen) == (2, True)

    def test_a_plain_keyring_is_called_that(self, machine: Machine) -> None:
        code, seen = machine.answers("add", "--no-test", "acme", *ACME, to=[("client_secret", CANARY)])
        assert (code, "which does not encrypt" in seen) == (0, True)


def oneaccess(sandbox: Sandbox, folder: Path) -> tuple[list[str], str]:
    """Options for a profile of the sandbox's OneAccess, and its client secret."""
    settings = sandbox.profiles(folder)["oneaccess"]
    options = [f"--set={key}={settings[key]}" for key in ("endpoint", "client_id", "env")]
    return [*options, "--store=file"], Path(settings["client_secret"].partition(":")[2]).read_text()


class TestAFirstCall:
    """On a terminal the new profile is tested."""

    def test_a_name_that_is_a_provider_chooses_it(self, machine: Machine, sandbox: Sandbox, tmp_path: Path) -> None:
        options, secret = oneaccess(sandbox, tmp_path)
        code, seen = machine.answers("add", "oneaccess", *options, to=[("client_secret", secret)])
        assert (code, profiles(machine)["oneaccess"]["provider"]) == (0, "oneaccess")
        assert "Test ok: profile oneaccess: Huawei Cloud OneAccess returned a token, which expires in" in seen
        assert sandbox.requests.total() == 1

    def test_a_wrong_secret_is_found_and_entered_again(
        self, machine: Machine, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        options, secret = oneaccess(sandbox, tmp_path)
        code, seen = machine.answers("add", "oneaccess", *options, to=[("client_secret", CANARY)])
        assert (code, CANARY in seen, "Test fail: profile oneaccess: " in seen) == (1, False, True)
        assert "jupyter tokens set-secret oneaccess client_secret" in seen
        code, seen = machine.answers("set-secret", "oneaccess", to=[("client_secret", secret)])
        assert (code, secret in seen, "Test ok" in seen) == (0, False, True)
        assert machine.holding(CANARY) == set()

    def test_what_each_call_must_give_cannot_be_tested(self, machine: Machine) -> None:
        settings = ["--set=region=cn-hangzhou", "--set=credentials=chain", "--set=env=EIAM_TOKEN"]
        asked = [("InstanceId", ""), ("ApplicationId", "app_1"), ("ApplicationTokenId", "t_1")]
        code, seen = machine.answers("add", "eiam", *settings, to=asked)
        assert (code, "Test warn: profile eiam: not fetched, because each call must give InstanceId" in seen) == (
            0,
            True,
        )


class TestSetSecret:
    @pytest.fixture
    def acme(self, machine: Machine) -> dict[str, Any]:
        machine.answers("add", "--no-test", "acme", *ACME, "--store=file", to=[("client_secret", "first-secret")])
        return profiles(machine)["acme"]  # type: ignore[no-any-return]

    def pipe(self, machine: Machine, secret: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "jupyter_tokens.cli.app", "set-secret", *arguments]
        return subprocess.run(
            command, env=machine.variables, input=secret, capture_output=True, text=True, check=False, timeout=SECONDS
        )

    def test_from_a_pipe(self, machine: Machine, acme: dict[str, Any]) -> None:
        done = self.pipe(machine, f"{CANARY}\n", "acme")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        now = profiles(machine)["acme"]
        assert {**acme, "client_secret": now["client_secret"]} == now
        assert machine.holding(CANARY) == {f".jupyter/{now['client_secret'].partition(':')[2]}"}
        assert machine.holding("first-secret") == set()
        assert stat.S_IMODE((machine.config / now["client_secret"].partition(":")[2]).stat().st_mode) == 0o600

    def test_to_the_keyring(self, machine: Machine, acme: dict[str, Any]) -> None:
        done = self.pipe(machine, CANARY, "acme", "client_secret", "--store=keyring")
        assert (done.returncode, "which does not encrypt" in done.stderr) == (0, True)
        assert profiles(machine)["acme"]["client_secret"].startswith("keyring:jupyter_tokens/acme.client_secret")
        assert machine.holding("first-secret") == set()

    def test_a_literal_secret_moves_to_the_store(self, machine: Machine) -> None:
        settings = {"provider": "static", "token": "l1teral-value"}
        write_profiles(machine.config, {"hf": settings})
        assert self.pipe(machine, CANARY, "hf").returncode == 0
        assert profiles(machine)["hf"]["token"].startswith("keyring:")
        assert machine.holding("l1teral-value") == set()

    @pytest.mark.parametrize("other", ["command:pass show id", "l1teral-value"])
    def test_another_secret_stays_as_it_is_written(self, machine: Machine, other: str) -> None:
        settings = {"provider": "pai-dlc", "region": "cn-beijing", "access_key_id": "env:ID"}
        settings |= {"access_key_secret": "env:OLD", "security_token": other}
        write_profiles(machine.config, {"lab": settings})
        done = self.pipe(machine, CANARY, "lab", "access_key_secret", "--store=keyring")
        assert done.returncode == 0, done.stderr
        secret = "keyring:jupyter_tokens/lab.access_key_secret"
        assert profiles(machine)["lab"] == {**settings, "access_key_secret": secret}

    @pytest.mark.parametrize(
        ("arguments", "typed", "complaint"),
        [
            (["acme", CANARY], "x", "takes one of these as KEY: client_secret"),
            (["acme", "client_secret", CANARY], "x", "takes NAME, and KEY if"),
            (["acm"], "x", "Did you mean acme?"),
            (["acme"], "", "The secret is empty"),
            (["acme", "client_secret", "--store=clay"], "x", "--store must be one of keyring, file"),
            (["mine"], "x", "a reference (env:) that `jupyter tokens add` did not create"),
            (["lab"], "x", "takes a KEY"),
        ],
    )
    def test_what_is_wrong_changes_nothing(
        self, machine: Machine, acme: dict[str, Any], arguments: list[str], typed: str, complaint: str
    ) -> None:
        config = json.loads(machine.file.read_text())
        lab = {"provider": "modelarts", "region": "eu-de", "credentials": "chain"}
        config["TokenProfiles"]["profiles"] |= {"mine": {**acme, "client_secret": "env:MINE"}, "lab": lab}
        private(machine.file, json.dumps(config))
        done = self.pipe(machine, typed, *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert complaint in done.stderr
        assert CANARY not in done.stderr
        assert json.loads(machine.file.read_text()) == config
        assert machine.holding("first-secret")


class TestAnyToken:
    def test_a_key_is_typed_unseen(self, machine: Machine) -> None:
        question = "Token [token] - API key or personal access token (hidden)"
        asked = [("env", "OPENAI_API_KEY"), (question, CANARY)]
        code, seen = machine.answers("add", "--no-test", "openai", "--provider", "static", "--store=file", to=asked)
        assert (code, CANARY in seen) == (0, False)
        written = {"provider": "static", "env": "OPENAI_API_KEY", "token": "file:jupyter_tokens_secrets/openai.token"}
        assert profiles(machine)["openai"] == written
        assert machine.run("get", "openai").stdout == f"{CANARY}\n"
        assert machine.holding(CANARY) == {".jupyter/jupyter_tokens_secrets/openai.token"}

    def test_a_key_goes_to_the_keyring(self, machine: Machine) -> None:
        code, _ = machine.answers(
            "add", "--no-test", "hf", "--provider=static", "--set=env=HF_TOKEN", to=[("token", CANARY)]
        )
        assert (code, profiles(machine)["hf"]["token"]) == (0, "keyring:jupyter_tokens/hf.token")
        done = machine.run("get", "hf", "--format=env")
        assert (done.returncode, done.stdout) == (0, f"export HF_TOKEN='{CANARY}'\n")

    def test_a_program(self, machine: Machine) -> None:
        assert machine.run("add", "mine", "--provider=command", "--set", "command=printf a-token").returncode == 0
        assert profiles(machine) == {"mine": {"provider": "command", "command": "printf a-token"}}
        assert machine.run("get", "mine").stdout == "a-token\n"

    def test_a_program_that_is_asked_for(self, machine: Machine) -> None:
        asked = [("command", ""), ("command", "gh auth token"), ("env", "GH_TOKEN")]
        assert machine.answers("add", "--no-test", "gh", "--provider=command", to=asked)[0] == 0
        assert profiles(machine)["gh"] == {"provider": "command", "command": "gh auth token", "env": "GH_TOKEN"}

    def test_a_program_that_fails_is_one_line(self, machine: Machine) -> None:
        failing = "command=sh -c 'echo secret-words >&2; exit 4'"
        assert machine.run("add", "mine", "--provider=command", "--set", failing).returncode == 0
        done = machine.run("get", "mine")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "(sh) ended with status 4" in done.stderr
        assert "secret-words" not in done.stderr


class TestRemove:
    def test_asks_first(self, machine: Machine) -> None:
        assert machine.run("add", "acme", *ACME, "--from-env=client_secret=HOME").returncode == 0
        assert machine.answers("remove", "acme", to=[("Remove the profile acme", "n")])[0] == 0
        assert "acme" in profiles(machine)
        assert machine.answers("remove", "acme", to=[("Remove the profile acme", "y")])[0] == 0
        assert profiles(machine) == {}

    def test_takes_the_stored_secret_along(self, machine: Machine) -> None:
        machine.answers("add", "--no-test", "acme", *ACME, "--store=file", to=[("client_secret", CANARY)])
        assert machine.holding(CANARY)
        assert machine.run("remove", "acme", "--yes").returncode == 0
        assert machine.holding(CANARY) == set()

    def test_wrong_usage(self, machine: Machine) -> None:
        assert machine.run("add", "acme", *ACME, "--from-env=client_secret=HOME").returncode == 0
        before = machine.file.read_bytes()
        for arguments, complaint in (
            (["acme"], "give --yes"),
            (["acm", "--yes"], "Did you mean acme?"),
            (["--yes"], "takes the NAME of one profile"),
        ):
            done = machine.run("remove", *arguments)
            assert (done.returncode, complaint in done.stderr, machine.file.read_bytes()) == (2, True, before)


def test_a_keyring_that_is_not_there_is_told_before_a_secret_is_typed(machine: Machine) -> None:
    asked = [("This machine has no keyring.", "")]
    code, seen = machine.answers("add", "--no-test", "acme", *ACME, to=asked, PYTHON_KEYRING_BACKEND=NO_KEYRING)
    assert (code, "--store file" in seen, "hidden" in seen, machine.file.exists()) == (2, True, False, False)


class TestDraft:
    def test_shows_no_secret(self) -> None:
        draft = Draft(provider_class("oneaccess"))
        with pytest.raises(ParameterError) as refused:
            draft.set("client_secret", CANARY)
        assert CANARY not in repr(draft) + str(refused.value)

    def test_reads_numbers_and_truth_values(self) -> None:
        draft = Draft(provider_class("oneaccess"))
        draft.set("timeout", "5")
        draft.set("verify", "false")
        draft.set("allow_create", "true")
        assert draft.written() == {"provider": "oneaccess", "timeout": 5.0, "verify": False, "allow_create": True}


class TestWellKnownIssuers:
    def test_by_the_name_of_the_profile(self, machine: Machine) -> None:
        done = machine.run("add", "github", "--set", "client_id=abc")
        assert (done.returncode, "jupyter tokens login github" in done.stderr) == (0, True)
        assert profiles(machine)["github"] == {"provider": "oauth2", "issuer": "github", "client_id": "abc"}

    def test_with_a_tenant(self, machine: Machine) -> None:
        arguments = ("add", "work", "--provider=entra", "--set=client_id=abc")
        done = machine.run(*arguments)
        assert (done.returncode, "--set issuer=entra:TENANT is missing" in done.stderr) == (2, True)
        assert machine.run(*arguments, "--set=issuer=entra:0000-11").returncode == 0
        assert profiles(machine)["work"]["issuer"] == "entra:0000-11"

    def test_is_asked_for(self, machine: Machine) -> None:
        asked = [
            ("provider", "okta"),
            ("Okta: the domain, such as acme.okta.com", "acme.okta.com"),
            ("client_id", "abc"),
            ("Environment variable", ""),
        ]
        assert machine.answers("add", "work", to=asked)[0] == 0
        assert profiles(machine)["work"] == {"provider": "oauth2", "issuer": "okta:acme.okta.com", "client_id": "abc"}
