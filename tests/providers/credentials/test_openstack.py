"""The IAM login that OpenStack's own library finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_tokens.errors import SecretError
from jupyter_tokens.providers.credentials.huawei import IamLogin
from jupyter_tokens.providers.credentials.openstack import login
from jupyter_tokens.token import Secret

from ...doubles import CANARY, told

# openstacksdk warns of what it means to drop whenever it is asked.
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")

VARIABLES = {
    "OS_AUTH_URL": "https://iam.example.com/v3",
    "OS_USERNAME": "user",
    "OS_PASSWORD": CANARY,
    "OS_USER_DOMAIN_NAME": "OTC1",
    "OS_PROJECT_NAME": "eu-de",
}
CLOUDS = """
clouds:
  mine:
    profile: otc
    region_name: eu-de
    auth: {username: user, password: SECRET, user_domain_name: OTC1}
  short:
    auth: {auth_url: "https://iam.example.com", username: user, user_domain_name: OTC1}
  token:
    auth_type: v3token
    auth: {auth_url: "https://iam.example.com", token: SECRET}
  app:
    auth_type: v3applicationcredential
    auth: {auth_url: "https://iam.example.com", application_credential_secret: SECRET}
  list:
    auth: {auth_url: "https://iam.example.com", username: user, password: [12345678], user_domain_name: OTC1}
""".replace("SECRET", CANARY)


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The library works out its folders at import: none of this machine's."""
    from openstack.config import loader

    here, *others = (str(tmp_path / name) for name in ("here", "home", "site"))
    monkeypatch.setattr(loader, "CONFIG_SEARCH_PATH", [here, *others])
    for folder in (here, *others):
        Path(folder).mkdir()


@pytest.fixture
def clouds(tmp_path: Path) -> Path:
    file = tmp_path / "home" / "clouds.yaml"
    file.write_text(CLOUDS)
    return file


def shown(found: IamLogin | Secret) -> tuple[str, str, str, str]:
    assert isinstance(found, IamLogin)
    return found.endpoint, found.username, found.password.reveal(), found.domain_name


def test_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    found = login("")
    assert shown(found) == ("https://iam.example.com/v3", "user", CANARY, "OTC1")
    assert CANARY not in repr(found)


def test_a_token_among_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"OS_AUTH_TYPE": "v3token", "OS_AUTH_URL": "https://x", "OS_TOKEN": CANARY}.items():
        monkeypatch.setenv(name, value)
    found = login("")
    assert isinstance(found, Secret)
    assert found.reveal() == CANARY


@pytest.mark.usefixtures("clouds")
def test_a_cloud_by_its_name_with_the_addresses_that_the_library_knows() -> None:
    assert shown(login("mine")) == ("https://iam.eu-de.otc.t-systems.com/v3", "user", CANARY, "OTC1")


@pytest.mark.usefixtures("clouds")
def test_the_cloud_that_a_variable_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLOUD", "mine")
    assert shown(login(""))[1] == "user"


@pytest.mark.usefixtures("clouds")
def test_a_password_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "home" / "secure.yaml").write_text(f"clouds: {{short: {{auth: {{password: {CANARY}}}}}}}")
    assert shown(login("short")) == ("https://iam.example.com", "user", CANARY, "OTC1")


def test_a_file_with_a_byte_order_mark(clouds: Path) -> None:
    clouds.write_bytes(b"\xef\xbb\xbf" + clouds.read_bytes())
    assert shown(login("mine"))[2] == CANARY


@pytest.mark.usefixtures("clouds")
def test_a_token_of_a_cloud() -> None:
    found = login("token")
    assert isinstance(found, Secret)
    assert found.reveal() == CANARY


def test_the_file_that_a_variable_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere.yaml").write_text(CLOUDS)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "elsewhere.yaml"))
    assert shown(login("mine"))[1] == "user"


def test_a_file_beside_a_notebook_is_not_trusted(tmp_path: Path) -> None:
    """In a process of its own, which works out the library's folders itself: one would get another's password."""
    notebooks, home = tmp_path / "notebooks", tmp_path / "person"
    notebooks.mkdir()
    (home / ".config" / "openstack").mkdir(parents=True)
    (notebooks / "clouds.yaml").write_text(
        "clouds: {mine: {auth: {auth_url: 'https://evil.example', username: u, user_domain_name: d}}}"
    )
    secure = "clouds: {mine: {auth: {auth_url: 'https://good.example', username: u, password: p, user_domain_name: d}}}"
    (home / ".config" / "openstack" / "clouds.yaml").write_text(secure)
    code = "from jupyter_tokens.providers.credentials.openstack import login; print(login('mine').endpoint)"
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "HOME": str(home)},
        cwd=notebooks,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout.strip() == "https://good.example"


@pytest.mark.parametrize("name", ["OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_USER_DOMAIN_NAME"])
def test_a_missing_variable_is_named_and_where_it_was_looked_for(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for given, value in VARIABLES.items():
        if given != name:
            monkeypatch.setenv(given, value)
    with pytest.raises(SecretError, match=rf"{name.removeprefix('OS_').lower()} \({name}\) is missing") as caught:
        login("")
    assert caught.value.unsent
    for place in ("OS_CLOUD", str(tmp_path / "home" / "clouds.yaml"), str(tmp_path / "site" / "clouds.yaml")):
        assert place in caught.value.hint
    assert str(tmp_path / "here") not in caught.value.hint
    assert CANARY not in told(caught.value)


def test_nothing_at_all() -> None:
    with pytest.raises(SecretError, match=r"auth_url .* is missing"):
        login("")


@pytest.mark.usefixtures("clouds")
def test_a_cloud_that_is_not_there() -> None:
    with pytest.raises(SecretError, match=r"of cloud 'other' cannot be read \(ConfigException\)") as caught:
        login("other")
    assert CANARY not in told(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.usefixtures("clouds")
def test_a_login_of_another_kind() -> None:
    with pytest.raises(SecretError, match="Only password, v3password, token and v3token are supported") as caught:
        login("app")
    assert CANARY not in str(caught.value)


@pytest.mark.usefixtures("clouds")
def test_a_password_that_is_no_text() -> None:
    with pytest.raises(SecretError, match=r"password \(OS_PASSWORD\) must be a string, not list") as caught:
        login("list")
    assert "12345678" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"clouds: [{CANARY}",
        f"clouds: *{CANARY}",
        f"clouds: {CANARY}",
        f"- {CANARY}",
        f"clouds: {{mine: {{auth: {CANARY}}}}}",
        f"clouds: {{mine: {CANARY}}}",
        f"clouds: {{mine: {{auth_type: [v3token], auth: {{token: {CANARY}}}}}}}",
    ],
)
def test_a_file_that_is_wrong_is_never_quoted(
    clouds: Path, text: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    clouds.write_text(text)
    with pytest.raises(SecretError) as caught:
        login("")
    assert CANARY not in told(caught.value) + caplog.text + json.dumps(capfd.readouterr())


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openstack.config", None)
    with pytest.raises(SecretError, match="openstacksdk") as caught:
        login("")
    assert "[openstack]" in caught.value.hint
