"""The profiles that lead to the sandbox: the form of the configuration, secrets by reference."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from jupyter_tokens.sandbox import Sandbox

from .client import ALIBABA_SECRET, API_KEY, BEARER, CLIENT_SECRET, HUAWEI_SECRET, PASSWORD, SECRETS


def test_five_profiles_with_secrets_in_private_files(sandbox: Sandbox, tmp_path: Path) -> None:
    profiles = sandbox.profiles(tmp_path)
    assert list(profiles) == ["modelarts", "pai-dlc", "oneaccess", "astra", "eiam"]
    assert all(profile["provider"] == name for name, profile in profiles.items() if name != "openid")
    assert all(profile["endpoint"] == sandbox.url for profile in profiles.values())
    text = json.dumps(profiles)
    assert not any(secret in text for secret in SECRETS)
    references = {
        "modelarts": ("secret_key", HUAWEI_SECRET),
        "pai-dlc": ("access_key_secret", ALIBABA_SECRET),
        "oneaccess": ("client_secret", CLIENT_SECRET),
        "astra": ("api_token", BEARER),
        "eiam": ("access_key_secret", ALIBABA_SECRET),
    }
    for name, (setting, secret) in references.items():
        scheme, _, path = profiles[name][setting].partition(":")
        assert scheme == "file"
        assert Path(path).is_absolute()
        assert Path(path).read_text(encoding="utf-8") == secret
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


def test_each_fills_a_variable_but_astra_whose_api_returns_no_value(sandbox: Sandbox, tmp_path: Path) -> None:
    variables = {name: profile.get("env") for name, profile in sandbox.profiles(tmp_path).items()}
    assert variables == {
        "modelarts": "MODELARTS_TOKEN",
        "pai-dlc": "PAI_DLC_TOKEN",
        "oneaccess": "ONEACCESS_TOKEN",
        "astra": None,
        "eiam": "EIAM_TOKEN",
    }


def test_they_can_be_written_again(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "alibaba").write_text("old", encoding="utf-8")
    (tmp_path / "alibaba").chmod(0o644)
    assert sandbox.profiles(tmp_path) == sandbox.profiles(tmp_path)
    assert stat.S_IMODE((tmp_path / "alibaba").stat().st_mode) == 0o600


def test_the_neighbours_have_profiles_of_their_own(sandbox: Sandbox, tmp_path: Path) -> None:
    profiles = sandbox.neighbours(tmp_path)
    assert list(profiles) == ["pai-dsw", "eiam-oauth", "dashscope", "huawei-iam", "alibaba-sts", "huawei-sts", "openid"]
    assert all(profile["provider"] == name for name, profile in profiles.items() if name != "openid")
    assert not any(secret in json.dumps(profiles) for secret in SECRETS)
    settings = {"dashscope": ("api_key", API_KEY), "huawei-iam": ("password", PASSWORD)}
    for name, (setting, secret) in settings.items():
        path = profiles[name][setting].removeprefix("file:")
        assert Path(path).read_text(encoding="utf-8") == secret
