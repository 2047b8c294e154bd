"""What a user who may only write profiles can reach: with a real Authorizer, a real API and real kernels."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_tokens.config import editing
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server.app import TokensExtension

from ..doubles import CANARY, Loopback, loopback, raw_answer
from .conftest import SECRETS, Call, Permissions, told
from .kernels import started

WRITE = {("read", "jupyter_tokens:profiles"), ("write", "jupyter_tokens:profiles")}
KERNELS = ("execute", "kernels")


@pytest.fixture
def jp_server_config(jp_server_config: Config) -> Config:
    jp_server_config.ServerApp.authorizer_class = Permissions
    Permissions.allowed = set(WRITE)
    return jp_server_config


@pytest.fixture(autouse=True)
def _may_write(extension: TokensExtension, profiles: Any, stored: Any) -> None:
    extension.allow_edit = True


@pytest.fixture
def attacker(tmp_path: Path) -> Iterator[Loopback]:
    """An endpoint that answers with the path of the secret that the server has stored for its profile."""
    path = Path(os.environ["JUPYTER_CONFIG_DIR"]) / "jupyter_tokens_secrets" / "evil.client_secret"

    def answer(connection: socket.socket, _request: bytes) -> None:
        body = json.dumps({"access_token": str(path), "token_type": "Bearer", "expires_in": 3600}).encode()
        connection.sendall(raw_answer(body, content_type="application/json"))

    with loopback(answer) as served:
        yield served


def evil(url: str, secret: object, **other: Any) -> dict[str, Any]:
    return {"provider": "oneaccess", "endpoint": url, "client_id": "x", "client_secret": secret, **other}


def sent(value: str = "s3cret-of-the-writer") -> dict[str, str]:
    return {"value": value, "store": "file"}


def written(name: str) -> Any:
    return json.loads(editing.path().read_text())["TokenProfiles"]["profiles"].get(name)


async def test_no_code_of_a_writer_runs_in_the_next_kernel(
    call: Call, attacker: Loopback, jp_serverapp: Any, tmp_path: Path
) -> None:
    mark = tmp_path / "it-ran"
    code = sent(f"open({str(mark)!r}, 'w')")
    async with started(jp_serverapp):
        for change in (
            {"env": "PYTHONSTARTUP", "inject_at_start": True},
            {"env": "PYTHONSTARTUP"},
            {"env": "GOOD_TOKEN", "inject_at_start": True},
            {"hosts": ["evil.example"]},
        ):
            response = await call("PUT", "profiles/evil", evil(attacker.url, code, **change))
            assert (response.code, told(response)["reason"]) == (400, "profile")
        assert written("evil") is None
    async with started(jp_serverapp) as second:
        # What IPython, or any Python that it starts, would load.
        seen = await second.run("import os, subprocess, sys; print(os.environ.get('PYTHONSTARTUP'))")
        await second.run("subprocess.run([sys.executable, '-ic', ''], stdin=subprocess.DEVNULL)")
    assert seen.strip() == "None"
    assert not mark.exists()
    assert attacker.requests == []
    assert (await call("PUT", "profiles/evil", evil(attacker.url, code, env="EVIL_TOKEN"))).code == 201


@pytest.mark.parametrize(
    ("env", "status"),
    [
        ("GOOD_TOKEN", 201),
        ("MY_1_API_KEY", 201),
        ("x_SECRET", 201),
        ("DB_PASSWORD", 201),
        ("GOOGLE_CREDENTIALS", 201),
        ("TEAM_URL", 201),
        ("PYTHONSTARTUP", 400),
        ("LD_PRELOAD", 400),
        ("BASH_ENV", 400),
        ("PATH", 400),
        ("R_PROFILE_USER", 400),
        ("NODE_OPTIONS", 400),
        ("GIT_SSH_COMMAND", 400),
        ("TOKEN", 400),
        ("_TOKEN", 400),
        ("GOOD_TOKEN_PATH", 400),
        ("GOOD_token", 400),
        ("GOOD_TOKEN\n", 400),
        ("GÖÖD_TOKEN", 400),
        (5, 400),
    ],
)
async def test_a_variable_has_the_name_of_a_secret_or_one_that_the_administrator_allows(
    call: Call, extension: TokensExtension, attacker: Loopback, env: object, status: int
) -> None:
    extension.edit_variables = ["TEAM_*"]
    for allowed in (set(WRITE), {*WRITE, KERNELS}):
        Permissions.allowed = allowed
        response = await call("PUT", "profiles/evil", evil(attacker.url, sent(), env=env))
        assert response.code == status
        assert status == 201 or told(response)["setting"] == "env"
        assert (written("evil") is None) is (status != 201)
        await call("DELETE", "profiles/evil")


async def test_what_the_configuration_file_injects_at_start_can_be_edited_but_not_led_elsewhere(
    call: Call, attacker: Loopback, profiles: dict[str, Any], write_profiles: Any, extension: TokensExtension
) -> None:
    here = {**profiles["oneaccess"], "inject_at_start": True}
    write_profiles({"oneaccess": here})
    extension.source.expire_config()
    shown = told(await call("GET", "profiles/oneaccess"))["settings"]
    assert shown["inject_at_start"] is True
    same = {**shown, "client_secret": {"keep": True}, "timeout": 9}
    assert (await call("PUT", "profiles/oneaccess", same)).code == 200
    for elsewhere in ({**same, "endpoint": attacker.url}, evil(attacker.url, sent(), inject_at_start=True)):
        assert (await call("PUT", "profiles/oneaccess", elsewhere)).code == 400
    assert written("oneaccess") == {**here, "timeout": 9}


class TestSecrets:
    """`written` shows that nothing was changed, and `attacker.requests` that nothing was sent."""

    @pytest.fixture(autouse=True)
    def _known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", CANARY)

    @pytest.mark.parametrize("key", ["client_id", "client_secret"])
    @pytest.mark.parametrize("kind", ["env", "file", "server", "other", "keyring", "command"])
    async def test_a_reference_is_for_those_who_can_run_code_anyway(
        self, call: Call, attacker: Loopback, tmp_path: Path, key: str, kind: str
    ) -> None:
        file = tmp_path / "id_ed25519"
        file.write_text(CANARY)
        file.chmod(0o600)
        await call("PUT", "profiles/other", evil(attacker.url, sent()))
        reference = {
            "env": "env:JUPYTERHUB_API_TOKEN",
            "file": f"file:{file}",
            # What is the server's own: its login, the keys of its kernels.
            "server": f"file:{os.environ['JUPYTER_RUNTIME_DIR']}/jpserver-{os.getpid()}.json",
            "other": "file:jupyter_tokens_secrets/other.client_secret",
            "keyring": "keyring:other/service",
            "command": "command:id",
        }[kind]
        settings = {**evil(attacker.url, sent()), key: reference}
        response = await call("PUT", "profiles/evil", settings)
        assert (response.code, told(response)["reason"]) == (400, "profile")
        assert key in told(response)["message"]
        assert written("evil") is None
        Permissions.allowed |= {KERNELS}
        assert (await call("PUT", "profiles/evil", settings)).code == (400 if kind == "command" else 201)

    @pytest.mark.parametrize("kept", [{"keep": True}, "file:jupyter_tokens_secrets/mine.client_secret"])
    async def test_a_kept_secret_goes_only_where_it_went(
        self, call: Call, attacker: Loopback, sandbox: Sandbox, tmp_path: Path, kept: object
    ) -> None:
        mine = {"provider": "oneaccess", "endpoint": sandbox.url, "client_id": "client-sandbox"}
        assert (await call("PUT", "profiles/mine", {**mine, "client_secret": sent(SECRETS["oneaccess"])})).code == 201
        before = written("mine")
        for change in (
            {"endpoint": attacker.url},
            {"verify": str(tmp_path / "ca.pem")},
            {"allow_create": True},
            {"provider": "eiam"},
        ):
            response = await call("PUT", "profiles/mine", {**mine, **change, "client_secret": kept})
            assert response.code == 400, change
            assert written("mine") == before
        changed = {**mine, "client_secret": kept, "env": "MINE_TOKEN", "timeout": 5, "client_id": "client-sandbox"}
        assert (await call("PUT", "profiles/mine", changed)).code == 200
        # With a secret of its own the profile may go anywhere.
        moved = {**mine, "endpoint": attacker.url, "client_secret": sent()}
        assert (await call("PUT", "profiles/mine", moved)).code == 200
        assert attacker.requests == []

    async def test_those_who_can_run_code_anyway_may_move_a_kept_secret(
        self, call: Call, attacker: Loopback, sandbox: Sandbox
    ) -> None:
        Permissions.allowed |= {KERNELS}
        mine = {"provider": "oneaccess", "endpoint": sandbox.url, "client_id": "client-sandbox"}
        await call("PUT", "profiles/mine", {**mine, "client_secret": sent(SECRETS["oneaccess"])})
        moved = {**mine, "endpoint": attacker.url, "client_secret": {"keep": True}}
        assert (await call("PUT", "profiles/mine", moved)).code == 200

    @pytest.mark.parametrize(
        ("key", "settings"),
        [
            ("credentials", {"provider": "modelarts", "credentials": "openstack", "iam_endpoint": "{evil}"}),
            ("credentials", {"provider": "modelarts", "credentials": "chain"}),
            ("credentials", {"provider": "huawei-sts", "credentials": "chain"}),
            ("credentials", {"provider": "pai-dlc", "credentials": "chain"}),
            ("credentials", {"provider": "eiam-oauth", "credentials": "chain", "subject_token": sent()}),
            ("provider", {"provider": "jupyterhub"}),
        ],
    )
    async def test_what_the_server_finds_itself_is_for_those_who_can_run_code_anyway(
        self, call: Call, attacker: Loopback, key: str, settings: dict[str, Any]
    ) -> None:
        settings = {"endpoint": attacker.url, **settings}
        settings = {name: attacker.url if value == "{evil}" else value for name, value in settings.items()}
        response = await call("PUT", "profiles/evil", settings)
        assert (response.code, told(response)["setting"]) == (400, key)
        assert written("evil") is None
        Permissions.allowed |= {KERNELS}
        assert (await call("PUT", "profiles/evil", settings)).code == 201

    @pytest.mark.parametrize("change", ["endpoint", "iam_endpoint", "cloud", "verify"])
    async def test_what_the_server_finds_itself_goes_only_where_it_went(
        self, call: Call, attacker: Loopback, sandbox: Sandbox, write_profiles: Any, change: str
    ) -> None:
        mine = {"provider": "modelarts", "endpoint": sandbox.url, "credentials": "openstack", "cloud": "acme"}
        write_profiles({"mine": mine})
        assert (await call("PUT", "profiles/mine", {**mine, "timeout": 9})).code == 200
        for value in (attacker.url, sent()) if change == "cloud" else (attacker.url,):
            response = await call("PUT", "profiles/mine", {**mine, change: value})
            assert (response.code, told(response)["setting"]) == (400, change)
        without = {name: value for name, value in mine.items() if name != "cloud"}
        assert (await call("PUT", "profiles/mine", without)).code == 400

    @pytest.mark.parametrize(
        "change",
        [
            {"revocation_endpoint": "{evil}"},
            {"base_url": "{evil}"},
            {"endpoint": "{evil}"},
            {"verify": "{evil}"},
            {"login_store": "keyring"},
            {"grant": "client_credentials", "auth_method": "basic", "client_secret": sent()},
            {"provider": "oneaccess"},
        ],
    )
    async def test_a_login_goes_only_where_it_went(
        self, call: Call, attacker: Loopback, sandbox: Sandbox, change: dict[str, Any]
    ) -> None:
        mine = {
            "provider": "oauth2",
            "grant": "authorization_code",
            "endpoint": sandbox.url,
            "authorization_endpoint": sandbox.url,
            "auth_method": "none",
            "client_id": "client",
        }
        assert (await call("PUT", "profiles/mine", mine)).code == 201
        assert (await call("PUT", "profiles/mine", {**mine, "timeout": 9})).code == 200
        changed = {name: attacker.url if value == "{evil}" else value for name, value in change.items()}
        moved = evil(attacker.url, sent()) if "provider" in change else {**mine, **changed}
        response = await call("PUT", "profiles/mine", moved)
        assert (response.code, told(response)["setting"]) == (400, next(iter(change)))
        # Without the profile, nobody is logged in.
        assert (await call("DELETE", "profiles/mine")).code == 204
        assert (await call("PUT", "profiles/mine", moved)).code == 201


async def test_ids_for_a_form_are_listed_by_the_same_rules(call: Call, attacker: Loopback, profiles: Any) -> None:
    Permissions.allowed = {*WRITE, ("write", "jupyter_tokens:tokens")}
    form = {name: value for name, value in profiles["eiam"].items() if name != "access_key_id"}
    form["access_key_id"] = sent("LTAI-sandbox")
    form["access_key_secret"] = sent(SECRETS["alibaba"])
    assert (await call("PUT", "profiles/mine", form)).code == 201
    body: dict[str, Any] = {"param": "ApplicationTokenId", "settings": form}
    assert (await call("POST", "profiles/mine/values", body)).code == 200
    keep = {"access_key_id": {"keep": True}, "access_key_secret": {"keep": True}}
    for wrong, setting in (
        ({**form, "access_key_secret": "env:HOME"}, "access_key_secret"),
        ({**form, **keep, "endpoint": attacker.url}, "endpoint"),
    ):
        refused = await call("POST", "profiles/mine/values", {**body, "settings": wrong})
        assert (refused.code, told(refused)["setting"]) == (400, setting)
    assert attacker.requests == []
    Permissions.allowed -= {("write", "jupyter_tokens:profiles")}
    refused = await call("POST", "profiles/mine/values", body)
    assert (refused.code, told(refused)["reason"]) == (403, "profiles")
