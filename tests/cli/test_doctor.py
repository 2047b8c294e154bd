"""`jupyter tokens doctor`: finds each thing that can be wrong, says what to do, shows no secret, works offline."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keyring
import pytest
from jupyter_core.paths import jupyter_path
from keyring.backends import SecretService

from jupyter_tokens._version import __version__
from jupyter_tokens.cli.checks import jupyter, network, within
from jupyter_tokens.cli.checks import profiles as checked
from jupyter_tokens.cli.doctor import DoctorApp
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import TokenError
from jupyter_tokens.sandbox import Sandbox, running

from .machine import NO_KEYRING, Machine, write_profiles
from .running import Run

APP = DoctorApp

CANARY = "c4n4ry-5ecr3t-v4lue"
ACME = {
    "provider": "oneaccess",
    "endpoint": "https://127.0.0.1:1",
    "client_id": "a",
    "client_secret": "env:ACME_SECRET",
}
Findings = Callable[..., dict[str, list[dict[str, str]]]]


@pytest.fixture
def findings(run: Run) -> Findings:
    """By the name of the check."""

    def findings(*arguments: str) -> dict[str, list[dict[str, str]]]:
        done = run("--json", *arguments)
        assert CANARY not in done.out + done.err
        told: dict[str, list[dict[str, str]]] = {}
        for finding in json.loads(done.out)["findings"]:
            told.setdefault(finding["check"], []).append(finding)
        failed = any(finding["status"] == "fail" for found in told.values() for finding in found)
        assert done.code == (1 if failed else 0)
        # Whatever is not well comes with what to do.
        assert all(finding["do"] for found in told.values() for finding in found if finding["status"] != "ok")
        return told

    return findings


@pytest.fixture
def write(config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.setenv("ACME_SECRET", CANARY)

    def write(mode: int = 0o600, **profiles: Any) -> Path:
        return write_profiles(config_dir, profiles, mode)

    return write


def only(found: list[dict[str, str]]) -> tuple[str, str, str]:
    [finding] = found
    return finding["status"], finding["what"], finding["do"]


def test_all_is_well(run: Run, sandbox: Sandbox, config_dir: Path, tmp_path: Path) -> None:
    write_profiles(config_dir, sandbox.profiles(tmp_path))
    done = run()
    assert (done.code, done.err) == (0, "")
    assert done.out.count("a call can be signed") == 5
    assert all(line.split("  ")[0].strip() in {"ok", "warn"} for line in done.out.splitlines())
    assert not sandbox.requests.total()


def test_tokens_that_no_api_is_asked_for(findings: Findings, write: Any) -> None:
    write(
        key={"provider": "static", "token": "env:ACME_SECRET"},
        az={"provider": "command", "command": "printf a-token"},
        gone={"provider": "command", "command": "no-such-program-here"},
    )
    told = findings()
    assert "endpoint" not in told
    key, az, gone = told["credential"]
    assert (key["status"], key["what"]) == ("ok", "profile key: token from env")
    assert (az["status"], az["what"]) == ("ok", "profile az: token from command")
    assert (gone["status"], "cannot be run" in gone["what"]) == ("fail", True)
    assert "full path" in gone["do"]


def test_without_a_network_no_program_is_run(findings: Findings, write: Any, tmp_path: Path) -> None:
    write(az={"provider": "command", "command": f"touch {tmp_path / 'ran'}"})
    assert only(findings("--offline")["credential"])[:2] == ("warn", "profile az: its program was not run (--offline)")
    assert not (tmp_path / "ran").exists()


def test_the_endpoint_that_a_key_is_for_is_looked_at(findings: Findings, write: Any) -> None:
    write(key={"provider": "static", "token": "env:ACME_SECRET", "endpoint": "https://127.0.0.1:1"})
    assert only(findings()["endpoint"])[0] == "fail"


def test_wrong_usage(run: Run) -> None:
    assert run("acme").code == 2
    assert run("--live", "--offline").code == 2


def test_live_finds_a_wrong_secret(findings: Findings, sandbox: Sandbox, config_dir: Path, tmp_path: Path) -> None:
    right = sandbox.profiles(tmp_path)
    wrong = {**right["oneaccess"], "client_secret": f"file:{tmp_path / 'wrong'}"}
    (tmp_path / "wrong").write_text(CANARY)
    (tmp_path / "wrong").chmod(0o600)
    each_call = {**right["eiam"], "params": {}}
    nowhere = {**ACME, "client_secret": right["oneaccess"]["client_secret"]}
    profiles = {"good": right["oneaccess"], "bad": wrong, "each-call": each_call, "nowhere": nowhere}
    write_profiles(config_dir, profiles)
    good, bad, each, gone = findings("--live")["token"]
    assert (good["status"], "returned a token, which expires in" in good["what"]) == ("ok", True)
    assert (bad["status"], bad["what"].startswith("profile bad: ")) == ("fail", True)
    assert "HTTP 400, code " in bad["what"]
    assert "jupyter tokens set-secret bad client_secret" in bad["do"]
    assert (each["status"], "InstanceId" in each["what"]) == ("warn", True)
    assert (gone["status"], "127.0.0.1" in gone["what"]) == ("fail", True)


@pytest.mark.filterwarnings("default")
def test_a_secret_that_others_can_read_is_reported(run: Run, write: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(CANARY)
    secret.chmod(0o640)
    write(acme={**ACME, "client_secret": f"file:{secret}"})
    assert "its group can read it" in run("--offline").err


class TestConfiguration:
    def test_none(self, findings: Findings) -> None:
        status, _, do = only(findings("--offline")["configuration"])
        assert (status, "jupyter tokens add" in do) == ("warn", True)

    def test_cannot_be_read(self, findings: Findings, config_dir: Path) -> None:
        (config_dir / "jupyter_tokens_config.json").write_text(f'{{"a": "{CANARY}"')
        told = findings("--offline")
        assert [finding["status"] for finding in told["configuration"]] == ["ok", "fail"]
        # The rest is looked at all the same.
        assert "server extension" in told

    def test_one_of_two_cannot_be_read(
        self, findings: Findings, write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(acme=ACME)
        monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(tmp_path))
        broken = tmp_path / "jupyter_tokens_config.json"
        broken.write_text("{")
        told = findings("--offline")
        [failed] = [finding for finding in told["configuration"] if finding["status"] == "fail"]
        assert failed["what"].startswith(str(broken))
        assert [finding["status"] for finding in told["profile"]] == ["ok"]

    def test_none_is_wanted(self, findings: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JUPYTER_NO_CONFIG", "1")
        assert "JUPYTER_NO_CONFIG is set" in only(findings("--offline")["configuration"])[1]

    def test_a_variable_that_code_is_loaded_by(self, findings: Findings, write: Any) -> None:
        write(acme={**ACME, "env": "PYTHONSTARTUP"})
        status, what, _ = only(findings("--offline")["variable"])
        assert (status, "PYTHONSTARTUP" in what) == ("warn", True)

    @pytest.mark.parametrize(("mode", "status"), [(0o620, "warn"), (0o602, "fail")])
    def test_can_be_written_by_others(self, findings: Findings, write: Any, mode: int, status: str) -> None:
        file = write(mode, acme=ACME)
        told = only(findings("--offline")["file mode"])
        assert told[0] == status
        assert str(file) in told[2]

    def test_a_folder_that_others_can_write(self, findings: Findings, write: Any, config_dir: Path) -> None:
        write(acme=ACME)
        config_dir.chmod(0o777)
        assert only(findings("--offline")["file mode"])[0] == "fail"

    def test_a_wrong_profile_beside_a_right_one(self, findings: Findings, write: Any) -> None:
        write(acme=ACME, other={**ACME, "endpoint": "http://acme.example"})
        right, wrong = findings("--offline")["profile"]
        assert (right["status"], wrong["status"]) == ("ok", "fail")
        assert "'other', key 'endpoint' must be https" in wrong["what"]

    def test_a_literal_secret(self, findings: Findings, write: Any) -> None:
        write(acme={**ACME, "client_secret": CANARY})
        status, what, do = only(findings("--offline")["literal secret"])
        assert (status, "client_secret" in what, "keyring:" in do) == ("warn", True, True)

    def test_a_literal_secret_that_others_can_read(self, findings: Findings, write: Any) -> None:
        write(0o644, acme={**ACME, "client_secret": CANARY})
        status, what, do = only(findings("--offline")["profile"])
        assert (status, "0644" in what, "chmod 600" in do) == ("fail", True, True)


class TestKeyring:
    """In processes of their own: keyring chooses its backend once."""

    @pytest.mark.parametrize(
        ("reference", "backend", "status"),
        [
            ("keyring:oneaccess/acme", NO_KEYRING, "fail"),
            ("env:HOME", NO_KEYRING, "warn"),
            ("env:HOME", "keyrings.alt.file.PlaintextKeyring", "warn"),
            ("env:HOME", "not.there.Keyring", "warn"),
        ],
    )
    def test_backend(self, tmp_path: Path, reference: str, backend: str, status: str) -> None:
        machine = Machine(tmp_path, {"PYTHON_KEYRING_BACKEND": backend})
        settings = {**ACME, "client_secret": reference}
        write_profiles(machine.config, {"acme": settings})
        done = machine.run("doctor", "--offline", "--json")
        told = [finding for finding in json.loads(done.stdout)["findings"] if finding["check"] == "keyring"]
        assert only(told)[0] == status
        assert done.returncode == (1 if status == "fail" else 0)

    def test_one_that_encrypts(self, findings: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keyring, "get_keyring", SecretService.Keyring)
        assert only(findings("--offline")["keyring"]) == ("ok", "keyring.backends.SecretService.Keyring", "")


class TestJupyter:
    def test_server_extension(self, findings: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # Before the environment's own, where it is enabled.
        monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(tmp_path))
        folder = tmp_path / "jupyter_server_config.d"
        folder.mkdir()
        for enabled, status in ((True, "ok"), (False, "fail")):
            config = {"ServerApp": {"jpserver_extensions": {"jupyter_tokens": enabled}}}
            (folder / "jupyter_tokens.json").write_text(json.dumps(config))
            assert only(findings("--offline")["server extension"])[0] == status

    def test_lab_extension(self, tmp_path: Path, config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jupyter, "jupyter_path", lambda *parts: [str(tmp_path.joinpath(*parts))])
        assert [finding.status for finding in jupyter.lab_extension()] == ["fail"]
        package = tmp_path / "labextensions" / "jupyter-tokens" / "package.json"
        package.parent.mkdir(parents=True)
        for version, status in ((__version__, "ok"), ("0.0.0", "ok"), ("7.0.0", "warn")):
            package.write_text(json.dumps({"version": version}))
            assert [finding.status for finding in jupyter.lab_extension()] == [status]
        page = config_dir / "labconfig" / "page_config.json"
        page.parent.mkdir()
        for disabled, word in (({"jupyter-tokens": True}, "disabled"), (["jupyter-tokens"], "disabled"), ({}, "7.0.0")):
            page.write_text(json.dumps({"disabledExtensions": disabled}))
            [finding] = jupyter.lab_extension()
            assert word in finding.what

    def test_without_jupyterlab_there_is_nothing_to_miss(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jupyter, "find_spec", lambda _: None)
        assert [finding.status for finding in jupyter.lab_extension()] == ["ok"]
        assert jupyter_path()

    @pytest.mark.parametrize(
        ("config", "expected"),
        [
            ({}, "unencrypted"),
            ({"transport_encryption": "required"}, "encrypted"),
            ({"transport_encryption": "auto"}, "encrypted"),
            ({"transport": "ipc"}, "unix sockets"),
        ],
    )
    def test_kernel_channels(self, config_dir: Path, config: dict[str, str], expected: str) -> None:
        (config_dir / "jupyter_server_config.json").write_text(json.dumps({"KernelManager": config}))
        [finding] = jupyter.kernel_channels()
        assert finding.status == "ok"
        assert finding.what == expected or (expected == "unencrypted" and expected in finding.what)

    def test_provisioner(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert [finding.status for finding in jupyter.provisioner(["acme"])] == ["ok"]
        monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "other")
        assert [finding.status for finding in jupyter.provisioner(["acme"])] == ["warn"]
        assert [finding.status for finding in jupyter.provisioner([])] == ["ok"]
        monkeypatch.setattr(jupyter, "entry_points", lambda **_: ())
        assert [finding.status for finding in jupyter.provisioner([])] == ["fail"]

    def test_a_server_that_is_gone(self, findings: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JUPYTER_TOKENS_URL", "http://127.0.0.1:1/jupyter-tokens")
        assert only(findings()["kernel route"])[0] == "fail"
        assert only(findings("--offline")["kernel route"])[0] == "ok"


class TestNetwork:
    @pytest.mark.parametrize(("ahead", "status"), [(-1000, "fail"), (1000, "fail"), (200, "warn"), (0, "ok")])
    def test_clock(self, ahead: float, status: str) -> None:
        with running(Sandbox(clock=lambda: time.time() - ahead)) as sandbox:
            profiles = Profiles.from_settings({"acme": {**ACME, "endpoint": sandbox.url}})
            [finding] = network.endpoints([profiles["acme"]])
        assert finding.status == status
        told = re.search(r"this machine's clock is (\d+) s (ahead of|behind)", finding.what)
        skew = 0 if told is None else int(told[1]) * (1 if told[2] == "ahead of" else -1)
        assert abs(skew - ahead) < 10

    def test_each_endpoint_once(self, sandbox: Sandbox) -> None:
        login = {
            "provider": "modelarts", "endpoint": sandbox.url, "iam_endpoint": f"{sandbox.url}/v3", "username": "a",
            "password": "env:X", "domain_name": "b",
        }  # fmt: skip
        profiles = Profiles.from_settings({"a": {**ACME, "endpoint": sandbox.url}, "b": login})
        told = [finding.what.split()[0] for finding in network.endpoints([profiles["a"], profiles["b"]])]
        assert told == [sandbox.url, f"{sandbox.url}/v3"]

    def test_offline_is_told_quickly(self, findings: Findings, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        write(acme={**ACME, "endpoint": "https://acme.example"}, b={**ACME, "endpoint": "https://b.example"})
        began = time.monotonic()
        told = findings()["endpoint"]
        assert time.monotonic() - began < network.SECONDS
        assert [finding["status"] for finding in told] == ["fail", "fail"]
        assert "The host acme.example cannot be found" in told[0]["what"]

    def test_a_name_service_that_hangs_is_left_behind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import threading

        end = threading.Event()
        monkeypatch.setattr(network, "probe", lambda *_, **__: end.wait(30))
        try:
            [finding] = network.endpoints([Profiles.from_settings({"acme": ACME})["acme"]], seconds=0.1)
        finally:
            end.set()
        assert (finding.status, "cannot be reached" in finding.what) == ("fail", True)

    def test_offline_asks_nobody(self, findings: Findings, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def never(*_: object, **__: object) -> None:
            raise AssertionError("asked")

        monkeypatch.setattr(network, "probe", never)
        monkeypatch.setattr(socket, "create_connection", never)
        write(acme=ACME)
        told = findings("--offline")
        assert "endpoint" not in told
        assert only(told["credential"])[0] == "ok"

    def test_proxies(self, findings: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:{CANARY}@proxy.example:3128")
        assert only(findings("--offline")["proxy"])[:2] == ("ok", "HTTPS_PROXY uses the proxy proxy.example:3128")
        monkeypatch.setenv("HTTPS_PROXY", f"http://{CANARY}:port")
        assert only(findings("--offline")["proxy"])[0] == "fail"

    def test_certificates(self, findings: Findings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path))
        assert "certificates" not in findings("--offline")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
        assert only(findings("--offline")["certificates"])[0] == "fail"


class TestCredentials:
    def test_a_secret_that_is_not_there(self, findings: Findings, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        write(acme=ACME)
        monkeypatch.delenv("ACME_SECRET")
        status, what, do = only(findings("--offline")["credential"])
        assert (status, "ACME_SECRET is not set" in what, "Set ACME_SECRET" in do) == ("fail", True, True)

    @pytest.mark.parametrize(
        ("options", "variables", "status", "what"),
        [
            (["--offline"], {}, "warn", "its credential chain was not used"),
            ([], {}, "fail", "credential chain found no access key"),
            (
                [],
                {"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tDoctor", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": CANARY},
                "ok",
                "credential from the vendor's credential chain, a call can be signed",
            ),
        ],
    )
    def test_the_vendors_chain(
        self, tmp_path: Path, options: list[str], variables: dict[str, str], status: str, what: str
    ) -> None:
        # In a process of its own: the vendor's library reads the environment once.
        machine = Machine(tmp_path, {"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true", **variables})
        chain = {"provider": "pai-dlc", "endpoint": "http://127.0.0.1:1", "credentials": "chain"}
        write_profiles(machine.config, {"chain": chain})
        done = machine.run("doctor", "--json", *options)
        told = [finding for finding in json.loads(done.stdout)["findings"] if finding["check"] == "credential"]
        assert (only(told)[0], what in only(told)[1]) == (status, True)
        assert CANARY not in done.stdout + done.stderr

    def test_parameters_that_only_a_call_gives(self, findings: Findings, write: Any) -> None:
        alibaba = {"region": "cn-hangzhou", "access_key_id": "a", "access_key_secret": "env:ACME_SECRET"}
        write(eiam={"provider": "eiam", **alibaba, "params": {"InstanceId": "idaas_1"}})
        status, what, _ = only(findings("--offline")["credential"])
        assert (status, what.partition("each call must give ")[2]) == ("ok", "ApplicationId, ApplicationTokenId")

    def test_a_profile_with_which_a_person_logs_in(self, findings: Findings, write: Any) -> None:
        # Its endpoints are known without a request, so nothing but the login is missing.
        write(github={"provider": "oauth2", "issuer": "github", "client_id": "a"})
        status, what, _ = only(findings("--offline")["credential"])
        assert (status, "a person logs in" in what) == ("ok", True)

    def test_a_provider_that_breaks_is_one_finding(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ACME_SECRET", CANARY)
        profile = Profiles.from_settings({"acme": ACME})["acme"]

        def broken(_: object) -> None:
            raise RuntimeError(CANARY)

        monkeypatch.setattr(type(profile.provider), "retrieve", lambda self, call: broken(call))
        [finding] = checked.signatures([profile], offline=True)
        assert (finding.status, "RuntimeError" in finding.what, CANARY in finding.what) == ("fail", True, False)


def test_what_takes_too_long_is_left_behind() -> None:
    import threading

    end = threading.Event()

    def refused() -> str:
        raise TokenError("no")

    try:
        found = within(0.2, [lambda: str(end.wait(30)), lambda: "done", refused], TokenError("late"))
    finally:
        end.set()
    assert [getattr(one, "message", one) for one in found] == ["late", "done", "no"]
