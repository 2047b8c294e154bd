from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import keyring
import keyring.errors
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from jupyter_tokens.config import editing, secret_store
from jupyter_tokens.config.secret_store import SERVICE
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server.app import TokensExtension

from .conftest import SECRETS, Call, told

pytestmark = pytest.mark.usefixtures("profiles", "stored", "_allowed")


@pytest.fixture
def _allowed(extension: TokensExtension) -> None:
    extension.allow_edit = True


@pytest.fixture
def new(sandbox: Sandbox) -> dict[str, Any]:
    return {"provider": "oneaccess", "endpoint": sandbox.url, "client_id": "client-sandbox"}


def secret(store: str, value: str = SECRETS["oneaccess"]) -> dict[str, str]:
    return {"value": value, "store": store}


def written(name: str = "new") -> dict[str, Any]:
    return dict(json.loads(editing.path().read_text())["TokenProfiles"]["profiles"][name])


def in_keyring(name: str = "new") -> str | None:
    return keyring.get_password(SERVICE, f"{name}.client_secret")


def in_file(name: str = "new", end: str = "") -> Path:
    return editing.path().parent / "jupyter_tokens_secrets" / f"{name}.client_secret{end}"


async def works(call: Call) -> bool:
    return (await call("POST", "profiles/new/token", {"refresh": True})).code == 200


class TestDrafts:
    """Ids that are listed for a form, before its profile is written."""

    @pytest.fixture
    def form(self, profiles: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in profiles["eiam"].items() if name != "access_key_secret"}

    async def test_with_a_secret_that_was_typed(self, call: Call, form: dict[str, Any], extension: Any) -> None:
        before = editing.path().read_bytes()
        settings = {**form, "access_key_secret": secret("file", SECRETS["alibaba"])}
        body = {"param": "ApplicationTokenId", "settings": settings}
        assert told(await call("POST", "profiles/new/values", body))["values"]
        # It is the secret, whatever it looks like: not a reference that the server would read.
        settings["access_key_secret"] = secret("file", "env:HOME")
        refused = await call("POST", "profiles/new/values", body)
        assert (refused.code, told(refused)["code"]) == (502, "SignatureDoesNotMatch")
        assert editing.path().read_bytes() == before
        assert not (editing.path().parent / "jupyter_tokens_secrets").exists()
        assert "new" not in extension.source.profiles()

    async def test_with_a_secret_that_is_kept(self, call: Call, form: dict[str, Any]) -> None:
        settings = {**form, "access_key_secret": secret("file", SECRETS["alibaba"])}
        assert (await call("PUT", "profiles/new", settings)).code == 201
        body = {"param": "ApplicationTokenId", "settings": {**form, "access_key_secret": {"keep": True}}}
        assert told(await call("POST", "profiles/new/values", body))["values"]

    async def test_refused_like_a_change(self, call: Call, form: dict[str, Any], extension: Any) -> None:
        body = {"param": "ApplicationTokenId", "settings": {**form, "access_key_secret": "a-literal-secret"}}
        refused = await call("POST", "profiles/new/values", body)
        assert (refused.code, told(refused)["setting"]) == (400, "access_key_secret")
        extension.allow_edit = False
        refused = await call("POST", "profiles/new/values", body)
        assert (refused.code, told(refused)["reason"]) == (403, "edit_off")


class TestStoring:
    async def test_in_the_keyring(self, call: Call, new: dict[str, Any]) -> None:
        response = await call("PUT", "profiles/new", {**new, "client_secret": secret("keyring")})
        assert response.code == 201
        assert written()["client_secret"] == "keyring:jupyter_tokens/new.client_secret"
        assert in_keyring() == SECRETS["oneaccess"]
        assert await works(call)

    async def test_in_a_file_of_the_users_own(self, call: Call, new: dict[str, Any]) -> None:
        assert (await call("PUT", "profiles/new", {**new, "client_secret": secret("file")})).code == 201
        assert written()["client_secret"] == "file:jupyter_tokens_secrets/new.client_secret"
        assert stat.S_IMODE(in_file().stat().st_mode) == 0o600
        assert stat.S_IMODE(in_file().parent.stat().st_mode) == 0o700
        assert await works(call)

    async def test_no_secret_is_told_or_written_elsewhere(
        self, call: Call, new: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        put = await call("PUT", "profiles/new", {**new, "client_secret": secret("keyring")})
        read = await call("GET", "profiles/new")
        assert told(read) == {"name": "new", "settings": new, "secrets": ["client_secret"]}
        for text in (put.body.decode(), read.body.decode(), editing.path().read_text(), caplog.text):
            assert SECRETS["oneaccess"] not in text

    async def test_one_that_is_kept(self, call: Call, new: dict[str, Any]) -> None:
        await call("PUT", "profiles/new", {**new, "client_secret": secret("file")})
        kept = {**new, "env": "X_TOKEN", "client_secret": {"keep": True}}
        assert (await call("PUT", "profiles/new", kept)).code == 200
        assert (written()["env"], await works(call)) == ("X_TOKEN", True)

    async def test_another_value_is_used_at_once(self, call: Call, new: dict[str, Any]) -> None:
        await call("PUT", "profiles/new", {**new, "client_secret": secret("file", "wrong")})
        assert not await works(call)
        await call("PUT", "profiles/new", {**new, "client_secret": secret("file")})
        assert await works(call)

    @pytest.mark.parametrize("store", ["file", "keyring"])
    async def test_the_one_before_is_whole_until_the_profile_is_written(
        self, call: Call, new: dict[str, Any], monkeypatch: pytest.MonkeyPatch, store: str
    ) -> None:
        await call("PUT", "profiles/new", {**new, "client_secret": secret(store)})
        before = written()
        with monkeypatch.context() as patch:
            _let_no_profile_be_written(patch)
            changed = {**new, "client_id": "another", "client_secret": secret(store, "an0ther-secret")}
            assert (await call("PUT", "profiles/new", changed)).code == 409
        assert (written(), await works(call)) == (before, True)

    async def test_by_turns_in_two_places(self, call: Call, new: dict[str, Any]) -> None:
        for end, other in (("", ".2"), (".2", ""), ("", ".2")):
            await call("PUT", "profiles/new", {**new, "client_secret": secret("file")})
            assert written()["client_secret"] == f"file:jupyter_tokens_secrets/new.client_secret{end}"
            assert (in_file(end=end).exists(), in_file(end=other).exists(), await works(call)) == (True, False, True)


def _let_no_profile_be_written(patch: pytest.MonkeyPatch) -> None:
    real = Path.replace

    def full(source: Path, target: Path) -> None:
        if target == editing.path().resolve():
            raise OSError(28, "No space left on device")
        real(source, target)

    patch.setattr(Path, "replace", full)


class TestClearing:
    async def test_with_the_profile(self, call: Call, new: dict[str, Any]) -> None:
        for store in ("keyring", "file"):
            await call("PUT", "profiles/new", {**new, "client_secret": secret(store)})
            assert (await call("DELETE", "profiles/new")).code == 204
            assert (in_keyring(), in_file().exists()) == (None, False)

    async def test_what_is_stored_elsewhere_now(self, call: Call, new: dict[str, Any]) -> None:
        await call("PUT", "profiles/new", {**new, "client_secret": secret("keyring")})
        await call("PUT", "profiles/new", {**new, "client_secret": secret("file")})
        assert (in_keyring(), in_file().exists()) == (None, True)
        await call("PUT", "profiles/new", {**new, "client_secret": "env:SECRET"})
        assert not in_file().exists()

    @pytest.mark.parametrize("end", ["", ".2"])
    async def test_what_somebody_who_was_killed_has_left(self, call: Call, new: dict[str, Any], end: str) -> None:
        in_file().parent.mkdir()
        in_file(end=end).write_text("orphan")
        await call("PUT", "profiles/new", {**new, "client_secret": secret("keyring")})
        assert not in_file(end=end).exists()

    async def test_what_it_did_not_store_is_left_alone(self, call: Call, new: dict[str, Any], tmp_path: Path) -> None:
        own = tmp_path / "own"
        own.write_text("x")
        await call("PUT", "profiles/new", {**new, "client_secret": f"file:{own}"})
        await call("DELETE", "profiles/new")
        assert own.exists()

    async def test_when_the_profile_cannot_be_written(
        self, call: Call, new: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = editing.path().read_bytes()
        _let_no_profile_be_written(monkeypatch)
        response = await call("PUT", "profiles/new", {**new, "client_secret": secret("file")})
        assert (response.code, "No space left" in told(response)["message"]) == (409, True)
        assert (editing.path().read_bytes(), in_file().exists()) == (before, False)


class TestRefusing:
    @pytest.mark.parametrize(
        "given",
        [
            {"value": "s3cret-value"},
            {"value": "s3cret-value", "store": "cloud"},
            {"value": "", "store": "file"},
            {"value": 1, "store": "file"},
            {"value": "s3cret-value", "store": "file", "more": 1},
            {"keep": True},
            {"keep": False},
            {},
        ],
    )
    async def test_other_forms(self, call: Call, new: dict[str, Any], given: Any) -> None:
        response = await call("PUT", "profiles/new", {**new, "client_secret": given})
        assert (response.code, told(response)["reason"]) == (400, "profile")
        assert "client_secret" in told(response)["message"]
        assert "s3cret-value" not in response.body.decode()

    async def test_a_wrong_profile_stores_nothing(self, call: Call, new: dict[str, Any]) -> None:
        wrong = {**new, "endpoint": "http://acme.example", "client_secret": secret("file")}
        assert (await call("PUT", "profiles/new", wrong)).code == 400
        assert not in_file().exists()

    async def test_without_a_keyring(self, call: Call, new: dict[str, Any]) -> None:
        keyring.set_keyring(NoKeyring())
        response = await call("PUT", "profiles/new", {**new, "client_secret": secret("keyring")})
        assert response.code == 409
        assert "store the secret in a file" in told(response)["message"]
        assert "new" not in json.loads(editing.path().read_text())["TokenProfiles"]["profiles"]

    async def test_reading_what_is_not_there(self, call: Call) -> None:
        assert (await call("GET", "profiles/nobody")).code == 404


async def test_what_is_no_setting_is_not_told(call: Call, write_profiles: Any) -> None:
    write_profiles({"odd": {"provider": "oneaccess", "client_secrett": "a-literal", "timeout": 5}})
    assert told(await call("GET", "profiles/odd"))["settings"] == {"provider": "oneaccess", "timeout": 5}
    write_profiles({"odd": {"provider": "nobody", "client_secret": "a-literal"}})
    response = await call("GET", "profiles/odd")
    assert (response.code, "a-literal" in response.body.decode()) == (409, False)


def test_a_keyring_that_does_not_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: str) -> None:
        raise keyring.errors.KeyringLocked

    monkeypatch.setattr(keyring, "delete_password", locked)
    with pytest.raises(Exception, match="could not be removed"):
        secret_store.discard("a", {"k": f"keyring:{SERVICE}/a.k"}, {}, Path())
