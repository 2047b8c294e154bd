"""Each source of a credential, from a profile without any key to a token of the strict sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.config.secrets import watch_values
from jupyter_tokens.errors import Unauthorized
from jupyter_tokens.providers.credentials import alibaba
from jupyter_tokens.sandbox import Accounts, Sandbox, running
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.token import Token

KEYS = {"access_key_id", "access_key_secret", "access_key", "secret_key"}
AK, SK = "AKOFTHESANDBOX", "the-secret-key-of-the-sandbox"
USER, PASSWORD = "sandbox-user", "the-password-of-the-sandbox"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running(accounts=Accounts(alibaba={AK: SK}, huawei={AK: SK}, iam={USER: PASSWORD})) as served:
        yield served


@pytest.fixture
def fetch(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Token]]:
    """A token of the sandbox's profile of this name, with these settings in the place of its key."""
    (tmp_path / "unused").mkdir(mode=0o700)
    opened: list[LocalSource] = []

    def get(name: str, **source: str) -> Token:
        written = sandbox.profiles(tmp_path / "unused")[name]
        settings: dict[str, Any] = {key: value for key, value in written.items() if key not in KEYS}
        profiles = Profiles.from_settings({"mine": {**settings, **source}})
        opened.append(LocalSource(profiles))
        return opened[-1].fetch(Key("mine", tuple(profiles["mine"].call_params({}).items())))

    yield get
    for upstream in opened:
        upstream.close()


@pytest.fixture
def seen() -> Iterator[list[str]]:
    """What a fetch tells of the secrets that it used, as redaction hears it."""
    told: list[str] = []
    end = watch_values(lambda _profile, value: told.append(value.reveal()))
    yield told
    end()


@pytest.mark.parametrize("name", ["pai-dlc", "eiam"])
def test_alibabas_chain(
    name: str, fetch: Callable[..., Token], seen: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alibabacloud_credentials.utils import auth_constant, auth_util

    monkeypatch.setattr(alibaba, "_shared_client", None)
    monkeypatch.setattr(auth_constant, "HOME", str(tmp_path))
    monkeypatch.setattr(auth_util, "environment_ecs_metadata_disabled", "true")
    (tmp_path / ".alibabacloud").mkdir()
    file = tmp_path / ".alibabacloud" / "credentials.ini"
    file.write_text(f"[default]\ntype = access_key\naccess_key_id = {AK}\naccess_key_secret = {SK}\n")
    assert fetch(name, credentials="chain").has_value
    # What the chain found is a secret of this process like one that a profile names.
    assert SK in seen
    file.write_text(f"[default]\ntype = access_key\naccess_key_id = {AK}\naccess_key_secret = of-somebody-else\n")
    with pytest.raises(Unauthorized) as caught:
        fetch(name, credentials="chain")
    assert caught.value.code == "SignatureDoesNotMatch"


def test_huaweis_chain(fetch: Callable[..., Token], seen: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", AK)
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", SK)
    assert fetch("modelarts", credentials="chain").has_value
    assert SK in seen
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "of-somebody-else")
    with pytest.raises(Unauthorized):
        fetch("modelarts", credentials="chain")


# openstacksdk warns of what it means to drop whenever it is asked.
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_openstacks_login(
    fetch: Callable[..., Token],
    seen: list[str],
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clouds = tmp_path / "clouds.yaml"
    auth = f"{{auth_url: '{sandbox.url}/v3', username: {USER}, password: {PASSWORD}, user_domain_name: d}}"
    clouds.write_text(f"clouds: {{mine: {{auth: {auth}}}}}")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))
    assert fetch("modelarts", credentials="openstack", cloud="mine").has_value
    assert PASSWORD in seen
    clouds.write_text(clouds.read_text().replace(PASSWORD, "of-somebody-else"))
    with pytest.raises(Unauthorized, match="IAM"):
        fetch("modelarts", credentials="openstack", cloud="mine")


def test_oneaccess_is_an_oauth2_server(fetch: Callable[..., Token], sandbox: Sandbox, tmp_path: Path) -> None:
    endpoint = f"{sandbox.url}/api/v2/tenant/token"
    token = fetch("oneaccess", provider="oauth2", endpoint=endpoint, auth_method="form")
    assert token.provider == "oauth2"
    assert token.expires_at is not None
    assert sandbox.requests["oneaccess"] == 1
