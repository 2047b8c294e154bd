from __future__ import annotations

import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.config import editing
from jupyter_tokens.errors import ProfileRefused, TokenError
from jupyter_tokens.providers.catalogue import provider_class
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sandbox.modelarts import INSTANCE
from jupyter_tokens.server import answers
from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.server.base import MAX_BODY_BYTES, http_status

from .conftest import SECRETS, Call, Kernel, told

pytestmark = pytest.mark.usefixtures("profiles")


class TestProfiles:
    async def test_lists_all_of_them_and_what_is_wrong_with_one(self, call: Call, sandbox: Sandbox) -> None:
        listed = told(await call("GET", "profiles"))["profiles"]
        by_name = {entry["name"]: entry for entry in listed}
        assert list(by_name) == ["modelarts", "pai-dlc", "oneaccess", "astra", "eiam", "wrong"]
        assert by_name["oneaccess"] == {
            "name": "oneaccess",
            "provider": "oneaccess",
            "title": "Huawei Cloud OneAccess",
            "env": "ONEACCESS_TOKEN",
            "base_url": sandbox.url,
            "header": "Authorization",
            "scheme": "Bearer",
            "params": {},
            "token_params": {},
            "sandbox": True,
            "state": "none",
            "expires_at": None,
            "has_value": None,
            "login": None,
            "origin": "",
            "may_reveal": True,
            "sdks": [],
            "error": None,
        }
        wrong = by_name["wrong"]
        assert (wrong["state"], wrong["provider"], wrong["error"]["reason"]) == ("failed", None, "configuration")
        assert "'wrong'" in wrong["error"]["message"]

    async def test_tells_of_the_token_that_is_held(self, call: Call) -> None:
        for name in ("oneaccess", "astra"):
            assert (await call("POST", f"profiles/{name}/token")).code == 200
        entries = {entry["name"]: entry for entry in told(await call("GET", "profiles"))["profiles"]}
        assert entries["oneaccess"]["state"] == "fresh"
        assert entries["oneaccess"]["has_value"] is True
        assert datetime.fromisoformat(entries["oneaccess"]["expires_at"]) > datetime.now(UTC)
        assert entries["astra"]["has_value"] is False
        assert entries["astra"]["expires_at"] is None

    async def test_tells_the_sdks_of_a_profile(
        self, call: Call, write_profiles: Callable[..., Path], sandbox: Sandbox, tmp_path: Path
    ) -> None:
        neighbours = sandbox.neighbours(tmp_path / "secrets")
        key = {"provider": "static", "token": neighbours["dashscope"]["api_key"]}
        write_profiles(
            {
                **{name: neighbours[name] for name in ("alibaba-sts", "huawei-sts", "dashscope", "huawei-iam")},
                "boto": {**neighbours["alibaba-sts"], "sdk": "aws"},
                "key": {**key, "env": "ACME_API_KEY", "endpoint": "https://acme.example/v1"},
                "hub": {**key, "env": "HF_TOKEN"},
            }
        )
        entries = told(await call("GET", "profiles"))["profiles"]
        assert {entry["name"]: [sdk["name"] for sdk in entry["sdks"]] for entry in entries} == {
            "alibaba-sts": ["alibaba"],
            "huawei-sts": ["huawei"],
            "dashscope": ["openai", "dashscope"],
            "huawei-iam": [],
            # What the profile says comes first.
            "boto": ["aws", "alibaba"],
            "key": ["openai"],
            "hub": ["openai", "huggingface"],
        }
        code = {(entry["name"], sdk["name"]): sdk["code"] for entry in entries for sdk in entry["sdks"]}
        assert f'base_url="{sandbox.url}/compatible-mode/v1"' in code["dashscope", "openai"]
        assert f'"{sandbox.url}/api/v1"' in code["dashscope", "dashscope"]
        assert 'base_url="https://acme.example/v1"' in code["key", "openai"]
        assert "base_url" not in code["hub", "openai"]

    async def test_tells_how_the_last_fetch_failed(self, call: Call, sandbox: Sandbox) -> None:
        sandbox.plan({"api": "oneaccess", "kind": "401"})
        assert (await call("POST", "profiles/oneaccess/token")).code == 502
        entries = {entry["name"]: entry for entry in told(await call("GET", "profiles"))["profiles"]}
        assert entries["oneaccess"]["state"] == "failed"
        assert entries["oneaccess"]["error"]["reason"] == "unauthorized"

    async def test_no_profiles_for_a_file_that_cannot_be_read(self, call: Call) -> None:
        file = Path(os.environ["JUPYTER_CONFIG_DIR"]) / "jupyter_tokens_config.json"
        file.write_text("{")
        response = await call("GET", "profiles")
        assert (response.code, told(response)["reason"]) == (409, "configuration")


class TestProviders:
    async def test_describes_settings_and_parameters(self, call: Call) -> None:
        entries = {entry["id"]: entry for entry in told(await call("GET", "providers"))["providers"]}
        assert list(entries) == [
            *("static", "oauth2", "command", "jupyterhub", "modelarts", "pai-dlc", "oneaccess", "astra", "eiam"),
            *("pai-dsw", "eiam-oauth", "dashscope", "huawei-iam", "alibaba-sts", "huawei-sts"),
        ]
        settings = entries["oneaccess"]["settings"]["properties"]
        assert settings["client_secret"]["writeOnly"] is True
        assert "writeOnly" not in settings["client_id"]
        assert settings["auth_method"]["enum"] == ["form", "basic"]
        assert settings["auth_method"]["default"] == "form"
        assert settings["endpoint"]["format"] == "uri"
        assert settings["provider"] == {"const": "oneaccess"}
        assert settings["notebooks"]["type"] == "array"
        assert entries["astra"]["creates"] is True
        assert entries["astra"]["params"]["required"] == ["account_id", "user_id"]
        assert "name" in entries["astra"]["create_params"]["properties"]
        assert entries["oneaccess"]["creates"] is False
        assert entries["oneaccess"]["fields"] == []
        assert entries["alibaba-sts"]["fields"] == ["AccessKeyId", "AccessKeySecret", "SecurityToken"]

    async def test_describes_settings_for_people_and_how_to_sign_in(self, call: Call) -> None:
        entries = {entry["id"]: entry for entry in told(await call("GET", "providers"))["providers"]}
        assert entries["oneaccess"]["settings"]["required"] == ["provider", "endpoint", "client_id", "client_secret"]
        assert entries["oneaccess"]["settings"]["x-sign-in"] == []
        lab = entries["modelarts"]["settings"]
        assert lab["required"] == ["provider"]
        assert [way["id"] for way in lab["x-sign-in"]] == ["access-key", "iam-user", "auth-token", "chain", "openstack"]
        assert lab["properties"]["access_key"]["title"] == "Access key ID"
        assert lab["properties"]["secret_key"]["x-required-when"] == [{"sign_in": "access-key"}]
        assert lab["properties"]["endpoint"]["x-required-when"] == [{"without": "region"}]
        assert lab["properties"]["env"]["examples"] == ["ONEACCESS_TOKEN"]
        assert lab["properties"]["timeout"]["maximum"] == 600

    async def test_one_that_does_not_load_leaves_the_others(self, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        async def ids() -> list[str]:
            return [entry["id"] for entry in told(await call("GET", "providers"))["providers"]]

        def load(provider_id: str) -> Any:
            if provider_id == "astra":
                raise ImportError("another package's trouble")
            return provider_class(provider_id)

        known = await ids()
        monkeypatch.setattr(answers, "provider_class", load)
        assert await ids() == [name for name in known if name != "astra"]


class TestValues:
    async def test_lists_ids_and_no_token(self, call: Call, sandbox: Sandbox) -> None:
        answer = await call("POST", "profiles/modelarts/values", {"param": "instance_id"})
        assert answer.code == 200
        assert {tuple(one) for one in told(answer)["values"]} == {("id", "label")}
        assert INSTANCE in [one["id"] for one in told(answer)["values"]]
        given = await call("POST", "profiles/modelarts/token", {"reveal": True})
        assert told(given)["value"] not in answer.body.decode()
        assert sandbox.requests["modelarts"] == 1

    async def test_the_schema_says_where(self, call: Call) -> None:
        entries = {entry["id"]: entry for entry in told(await call("GET", "providers"))["providers"]}
        known = {
            (name, param): facts["x-listed-by"]
            for name, entry in entries.items()
            for param, facts in entry["params"]["properties"].items()
            if "x-listed-by" in facts
        }
        assert known == {
            ("modelarts", "instance_id"): ["project_id"],
            ("eiam", "ApplicationTokenId"): ["InstanceId", "ApplicationId"],
            ("pai-dsw", "InstanceId"): [],
        }

    async def test_a_fixed_parameter_cannot_be_left(
        self, call: Call, profiles: dict[str, Any], write_profiles: Any, sandbox: Sandbox
    ) -> None:
        write_profiles({"modelarts": {**profiles["modelarts"], "fixed_params": ["project_id"]}})
        other = {"param": "instance_id", "params": {"project_id": "0" * 32}}
        # The profile's own project is asked, and another one is not.
        assert (await call("POST", "profiles/modelarts/values", other)).code == 200

    @pytest.mark.parametrize(
        ("body", "code", "reason"),
        [
            ({}, 400, "body"),
            ({"param": 5}, 400, "body"),
            ({"param": "project_id"}, 400, "parameter"),
            ({"param": "instance_id", "params": {"project_id": "a/b"}}, 400, "parameter"),
        ],
    )
    async def test_what_cannot_be_listed(self, call: Call, body: Any, code: int, reason: str) -> None:
        answer = await call("POST", "profiles/modelarts/values", body)
        assert (answer.code, told(answer)["reason"]) == (code, reason)

    async def test_a_refusal_is_the_vendors(self, call: Call, profiles: Any, write_profiles: Any) -> None:
        write_profiles({"eiam": {**profiles["eiam"], "access_key_id": "NOBODY"}})
        answer = await call("POST", "profiles/eiam/values", {"param": "ApplicationTokenId"})
        assert (answer.code, told(answer)["reason"]) == (502, "unauthorized")
        assert told(answer)["request_id"]


class TestToken:
    async def test_facts_without_the_value(self, call: Call, sandbox: Sandbox) -> None:
        facts = told(await call("POST", "profiles/oneaccess/token"))
        assert "value" not in facts
        assert (facts["profile"], facts["title"], facts["env"]) == (
            "oneaccess",
            "Huawei Cloud OneAccess",
            "ONEACCESS_TOKEN",
        )
        assert facts["sandbox"] is facts["has_value"] is True
        assert facts["scheme"] == "Bearer"
        assert 0 < facts["expires_in"] <= 1800

    async def test_value_only_when_revealed(self, call: Call, extension: TokensExtension) -> None:
        facts = told(await call("POST", "profiles/oneaccess/token", {"reveal": True}))
        assert facts["value"] == extension.source.get(extension.source.key("oneaccess")).reveal()

    async def test_cached_unless_a_refresh_is_asked_for(self, call: Call, sandbox: Sandbox) -> None:
        for body in ({}, {}, {"refresh": False}, {"refresh": True}):
            assert (await call("POST", "profiles/oneaccess/token", body)).code == 200
        assert sandbox.requests["oneaccess"] == 2

    async def test_parameters_of_the_call(self, call: Call, extension: TokensExtension) -> None:
        body = {"params": {"TargetType": "job", "TargetId": "dlc-other", "ExpireTime": 120}}
        facts = told(await call("POST", "profiles/pai-dlc/token", body))
        assert facts["expires_in"] <= 120

    async def test_a_profile_tells_how_to_ask_for_the_same_token(self, call: Call, sandbox: Sandbox) -> None:
        params = {"TargetId": "dlc-other", "ExpireTime": 120, "TokenSettings.EnableLogDownloadJob": True}
        assert (await call("POST", "profiles/pai-dlc/token", {"params": params})).code == 200
        entries = {entry["name"]: entry for entry in told(await call("GET", "profiles"))["profiles"]}
        again = entries["pai-dlc"]["token_params"]
        assert params.items() <= again.items()
        assert (await call("POST", "profiles/pai-dlc/token", {"params": again})).code == 200
        assert sandbox.requests["pai-dlc"] == 1

    async def test_reveal_can_be_switched_off(self, call: Call, extension: TokensExtension, sandbox: Sandbox) -> None:
        extension.allow_reveal = False
        response = await call("POST", "profiles/oneaccess/token", {"reveal": True})
        assert (response.code, told(response)["reason"]) == (403, "reveal_off")
        assert sandbox.requests["oneaccess"] == 0
        assert (await call("POST", "profiles/oneaccess/token", {"reveal": False})).code == 200

    async def test_what_has_no_value_cannot_be_revealed(self, call: Call) -> None:
        response = await call("POST", "profiles/astra/token", {"reveal": True})
        assert (response.code, told(response)["reason"]) == (409, "no_value")

    async def test_forgetting_drops_all_tokens_of_the_profile(
        self, call: Call, sandbox: Sandbox, extension: TokensExtension
    ) -> None:
        for target in ("dlc1a2b3c4d5e6f7", "dlc-other"):
            await call("POST", "profiles/pai-dlc/token", {"params": {"TargetId": target}})
        await call("POST", "profiles/oneaccess/token")
        assert extension.source.count_valid() == 3
        response = await call("DELETE", "profiles/pai-dlc/token")
        assert (response.code, response.body) == (204, b"")
        assert extension.source.count_valid() == 1
        assert (await call("DELETE", "profiles/nobody/token")).code == 404

    @pytest.mark.parametrize(
        ("name", "body", "status", "reason"),
        [
            ("nobody", {}, 404, "unknown_profile"),
            ("wrong", {}, 409, "configuration"),
            ("oneaccess", {"params": {"nothing": 1}}, 400, "parameter"),
            ("oneaccess", {"reveal": "yes"}, 400, "body"),
            ("oneaccess", {"refresh": 1}, 400, "body"),
            ("oneaccess", {"params": []}, 400, "body"),
            ("oneaccess", {"other": 1}, 400, "body"),
            ("oneaccess", [], 400, "body"),
            ("oneaccess", b"{", 400, "body"),
            ("oneaccess", b'{"params": {"a": "\\ud800"}}', 400, "body"),
            ("oneaccess", b"[" * 5000, 400, "body"),
            ("oneaccess", b" " * (MAX_BODY_BYTES + 1), 413, "too_large"),
        ],
    )
    async def test_wrong_requests(self, call: Call, name: str, body: Any, status: int, reason: str) -> None:
        response = await call("POST", f"profiles/{name}/token", body)
        answer = told(response)
        assert (response.code, answer["reason"]) == (status, reason)
        assert set(answer) - {"setting"} == {"message", "reason", "code", "request_id", "retryable"}
        if isinstance(body, dict) and reason == "body":
            assert next(iter(body)) in answer["message"]

    async def test_text_in_escapes_is_text(self, call: Call) -> None:
        response = await call("POST", "profiles/oneaccess/token", b'{"par\\u0061ms": {}}')
        assert response.code == 200

    async def test_throttled_vendor(self, call: Call, sandbox: Sandbox) -> None:
        sandbox.plan({"api": "oneaccess", "kind": "throttle", "times": None, "retry_after": 120})
        response = await call("POST", "profiles/oneaccess/token")
        assert (response.code, told(response)["retryable"]) == (503, True)
        assert int(response.headers["Retry-After"]) > 1

    async def test_an_unknown_error_tells_nothing(
        self, call: Call, extension: TokensExtension, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(*_: Any, **__: Any) -> Any:
            raise RuntimeError(SECRETS["oneaccess"])

        monkeypatch.setattr(TokensExtension, "get_token", broken)
        response = await call("POST", "profiles/oneaccess/token")
        assert (response.code, told(response)["message"]) == (500, "Internal Server Error")

    async def test_a_query_that_is_no_text_is_answered(self, call: Call) -> None:
        assert (await call("GET", "profiles?no_track_activity=%ff")).code == 200

    def test_every_other_error_is_the_vendors(self) -> None:
        assert http_status(TokenError("x")) == 502


NEW = {"provider": "oneaccess", "endpoint": "https://acme.example", "client_id": "id", "client_secret": "env:SECRET"}


class TestEditing:
    @pytest.fixture(autouse=True)
    def _allowed(self, extension: TokensExtension) -> None:
        extension.allow_edit = True

    async def test_adds_changes_and_removes(self, call: Call, extension: TokensExtension) -> None:
        response = await call("PUT", "profiles/new", NEW)
        assert (response.code, told(response)["state"]) == (201, "none")
        assert stat.S_IMODE(editing.path().stat().st_mode) == 0o600
        response = await call("PUT", "profiles/new", {**NEW, "env": "OTHER_TOKEN"})
        assert (response.code, told(response)["env"]) == (200, "OTHER_TOKEN")
        names = [entry["name"] for entry in told(await call("GET", "profiles"))["profiles"]]
        assert names[-1] == "new"
        assert (await call("DELETE", "profiles/new")).code == 204
        assert "new" not in extension.source.profiles()
        assert (await call("DELETE", "profiles/new")).code == 404
        assert list(editing.path().parent.glob(".jupyter_tokens_config*")) == []

    async def test_starts_a_file(self, call: Call) -> None:
        editing.path().unlink()
        assert (await call("PUT", "profiles/new", NEW)).code == 201

    @pytest.mark.parametrize(
        ("settings", "setting"),
        [
            ({**NEW, "client_secret": "literal-secret"}, "client_secret"),
            ({**NEW, "client_secret": "command:cat /etc/passwd"}, "client_secret"),
            ({**NEW, "client_id": "command:id"}, "client_id"),
            ({**NEW, "endpoint": "http://acme.example"}, "endpoint"),
            ({**NEW, "provider": "nobody"}, "provider"),
            ({**NEW, "provider": "command", "command": "cat /etc/passwd"}, "client_id"),
            ({**NEW, "kernels": "python3"}, "kernels"),
            ({**NEW, "nonsense": 1}, "nonsense"),
            ({name: value for name, value in NEW.items() if name != "client_secret"}, "client_secret"),
            ({"provider": "static", "token": "literal-secret"}, "token"),
            ({"provider": "static", "token": {"value": "", "store": "file"}}, "token"),
            ({"provider": "static", "token": "command:id"}, "token"),
            ({"provider": "command", "command": "id"}, "command"),
        ],
    )
    async def test_wrong_settings_are_not_written_and_the_error_names_the_field(
        self, call: Call, settings: dict[str, Any], setting: str
    ) -> None:
        before = editing.path().read_bytes()
        response = await call("PUT", "profiles/new", settings)
        error = told(response)
        assert (response.code, error["reason"], error["setting"]) == (400, "profile", setting)
        assert setting in error["message"]
        assert "literal-secret" not in response.body.decode()
        assert editing.path().read_bytes() == before

    @pytest.mark.parametrize(
        "command", ["cat /etc/passwd", {"value": "cat /etc/passwd", "store": "file"}, "keyring:a/b", "file:/etc/passwd"]
    )
    async def test_a_program_to_run_is_not_taken_from_a_client(self, call: Call, command: Any) -> None:
        before = editing.path().read_bytes()
        response = await call("PUT", "profiles/new", {"provider": "command", "command": command})
        assert (response.code, told(response)["reason"]) == (400, "profile")
        assert "names a program" in told(response)["message"]
        assert "jupyter tokens add" in told(response)["message"]
        assert editing.path().read_bytes() == before

    async def test_a_key_is_stored_and_handed_out(self, call: Call) -> None:
        key = {"value": "a-key-that-was-typed", "store": "file"}
        response = await call("PUT", "profiles/new", {"provider": "static", "token": key, "env": "MY_KEY"})
        assert (response.code, told(response)["sandbox"]) == (201, False)
        facts = told(await call("POST", "profiles/new/token", {"reveal": True}))
        assert (facts["value"], facts["expires_at"], facts["sandbox"]) == ("a-key-that-was-typed", None, False)
        response = await call("GET", "proxy/new/v1/models")
        assert (response.code, told(response)["reason"]) == (404, "no_proxy")
        assert "does not support" in told(response)["message"]

    @pytest.mark.parametrize("name", ["a%20b", ".hidden", "x" * 81])
    async def test_odd_names(self, call: Call, name: str) -> None:
        assert (await call("PUT", f"profiles/{name}", NEW)).code == 400

    async def test_what_stands_elsewhere_is_changed_there(self, call: Call, extension: TokensExtension) -> None:
        other = editing.path().with_suffix(".py")
        other.write_text(f"c.TokenProfiles.profiles = {{'other': {NEW!r}}}")
        for method, body in (("PUT", NEW), ("DELETE", None)):
            response = await call(method, "profiles/other", body)
            assert (response.code, str(other) in told(response)["message"]) == (409, True)

    @pytest.mark.parametrize("content", ["{", "[]", '{"TokenProfiles": 1}', '{"TokenProfiles": {"profiles": []}}'])
    def test_a_file_of_another_form_is_left_alone(self, content: str, extension: TokensExtension) -> None:
        profiles = extension.source.profiles()
        editing.path().write_text(content)
        with pytest.raises(TokenError, match=r"cannot be read|must be a mapping"):
            editing.put("new", NEW, profiles)
        assert editing.path().read_text() == content

    def test_a_folder_that_cannot_be_written(self, extension: TokensExtension, monkeypatch: pytest.MonkeyPatch) -> None:
        profiles = extension.source.profiles()
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(TokenError, match="No space left"):
            editing.put("new", NEW, profiles)
        assert list(editing.path().parent.glob(".jupyter_tokens_config*")) == []

    def test_check_tells_what_it_refuses(self) -> None:
        with pytest.raises(ProfileRefused):
            editing.check("x", {})


class TestKernel:
    async def test_token_with_value(self, by_proof: Call, extension: TokensExtension) -> None:
        answer = told(await by_proof("token", {"profile": "oneaccess"}))
        assert answer["value"] == extension.source.get(extension.source.key("oneaccess")).reveal()
        assert set(answer) == {
            "profile", "provider", "title", "env", "sandbox", "sdk", "scheme", "header", "has_value", "value",
            "expires_at", "expires_in", "obtained_at", "metadata", "base_url",
        }  # fmt: skip

    async def test_token_without_value(self, by_proof: Call) -> None:
        answer = told(await by_proof("token", {"profile": "astra"}))
        assert (answer["value"], answer["has_value"], answer["expires_in"]) == (None, False, None)

    async def test_newer_than(self, by_proof: Call, sandbox: Sandbox) -> None:
        first = told(await by_proof("token", {"profile": "oneaccess"}))
        for newer in ("2026-01-01T00:00:00Z", None, first["obtained_at"]):
            await by_proof("token", {"profile": "oneaccess", "newer_than": newer})
        assert sandbox.requests["oneaccess"] == 2

    async def test_create(self, by_proof: Call, extension: TokensExtension) -> None:
        body = {"profile": "astra", "create": True, "params": {"name": "mine"}}
        answer = told(await by_proof("token", body))
        assert answer["value"]
        assert extension.source.count_valid() == 0
        response = await by_proof("token", {"profile": "oneaccess", "create": True})
        assert (response.code, told(response)["reason"]) == (400, "error")

    @pytest.mark.parametrize(
        ("body", "status", "named"),
        [
            ({}, 400, "profile"),
            ({"profile": "oneaccess", "newer_than": "yesterday"}, 400, "newer_than"),
            ({"profile": "oneaccess", "newer_than": "2026-01-01T00:00:00"}, 400, "newer_than"),
            ({"profile": "oneaccess", "newer_than": "0001-01-01T00:00:00+23:00"}, 400, "newer_than"),
            ({"profile": "oneaccess", "create": "yes"}, 400, "create"),
            ({"profile": "nobody"}, 404, "nobody"),
        ],
    )
    async def test_wrong_requests(self, by_proof: Call, body: Any, status: int, named: str) -> None:
        response = await by_proof("token", body)
        assert response.code == status
        assert named in told(response)["message"]

    async def test_profiles(self, by_proof: Call) -> None:
        answer = told(await by_proof("profiles"))
        assert [entry["name"] for entry in answer["profiles"]] == [
            "modelarts", "pai-dlc", "oneaccess", "astra", "eiam", "wrong",
        ]  # fmt: skip
        assert answer["params"] == {
            name: provider_class(name).schema()["params"]
            for name in ("astra", "eiam", "modelarts", "oneaccess", "pai-dlc")
        }

    async def test_values_that_the_api_lists(self, by_proof: Call, sandbox: Sandbox) -> None:
        answer = await by_proof("values", {"profile": "modelarts", "param": "instance_id"})
        assert INSTANCE in [one["id"] for one in told(answer)["values"]]
        assert not sandbox.requests.total()
        answer = await by_proof("values", {"profile": "modelarts", "param": "project_id"})
        assert (answer.code, "It can list: instance_id." in told(answer)["hint"]) == (400, True)
        answer = await by_proof("values", {"profile": "modelarts"})
        assert (answer.code, "'param'" in told(answer)["message"]) == (400, True)

    @pytest.mark.parametrize("allowed", [True, False])
    async def test_profiles_tell_whether_a_token_may_be_shown(
        self, by_proof: Call, extension: TokensExtension, allowed: bool
    ) -> None:
        extension.allow_reveal = allowed
        assert told(await by_proof("profiles"))["may_reveal"] is allowed

    async def test_limits_to_kernels_and_notebooks(
        self, by_proof: Call, kernel: Kernel, jp_serverapp: Any, profiles: Any, write_profiles: Callable[..., Path]
    ) -> None:
        base = profiles["oneaccess"]
        limited = {
            "mine": {**base, "kernels": ["python3"]},
            "other": {**base, "kernels": ["ir"]},
            "here": {**base, "notebooks": ["work/*.ipynb"]},
            "there": {**base, "notebooks": ["other/**"]},
        }
        write_profiles(limited)
        session = {"path": "work/a.ipynb", "kernel": {"id": kernel.id}}

        async def sessions() -> list[dict[str, Any]]:
            return [session, {"path": "other/b.ipynb", "kernel": {"id": "another"}}]

        jp_serverapp.session_manager.list_sessions = sessions
        listed = told(await by_proof("profiles"))["profiles"]
        assert [entry["name"] for entry in listed] == ["mine", "here"]
        for name, status in (("mine", 200), ("other", 403), ("here", 200), ("there", 403)):
            response = await by_proof("token", {"profile": name})
            assert response.code == status
            assert status == 200 or told(response)["reason"] == "limited"
            assert (await by_proof("values", {"profile": name, "param": "none"})).code == (
                400 if status == 200 else 403
            )


async def test_a_profile_that_was_added_a_moment_ago(
    call: Call, profiles: dict[str, Any], write_profiles: Callable[[dict[str, Any]], Path]
) -> None:
    assert (await call("GET", "profiles")).code == 200
    # The server looks at its files once a second.
    write_profiles({**profiles, "another": profiles["oneaccess"]})
    assert (await call("POST", "profiles/another/token", {})).code == 200
