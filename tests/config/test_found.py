from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_tokens.config.found import find_credentials
from jupyter_tokens.config.profiles import Profiles

from ..doubles import CANARY


def test_variables_by_name() -> None:
    environ = {
        "OPENAI_API_KEY": CANARY,
        "HF_TOKEN": CANARY,
        "MY_GITLAB_ACCESS_TOKEN": CANARY,
        "EMPTY_TOKEN": "",
        "JUPYTER_TOKEN": CANARY,
        "JPY_API_TOKEN": CANARY,
        "JUPYTERHUB_API_TOKEN": CANARY,
        "TOKENIZERS": CANARY,
        "_TOKEN": CANARY,
    }
    known = [one for one in find_credentials(environ) if not one.title.startswith("/")]
    assert [(one.title, one.profile) for one in known] == [
        ("HF_TOKEN", "hf"),
        ("MY_GITLAB_ACCESS_TOKEN", "my-gitlab"),
        ("OPENAI_API_KEY", "openai"),
    ]
    for one in known:
        assert CANARY not in repr(one)
        profile = Profiles.from_settings({one.profile: one.settings})[one.profile]
        assert (profile.env, profile.references["token"].target) == (one.title, one.title)


@pytest.mark.parametrize(
    ("file", "profile", "sign_in"),
    [
        (".huaweicloud/credentials", "modelarts", "chain"),
        (".aliyun/config.json", "pai-dlc", "chain"),
        (".alibabacloud/credentials.ini", "pai-dlc", "chain"),
        (".config/openstack/clouds.yaml", "modelarts", "openstack"),
        (".cache/huggingface/token", "hugging-face", None),
    ],
)
def test_files_are_found_and_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, profile: str, sign_in: str | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(CANARY)
    (tmp_path / file).chmod(0)
    (one,) = [one for one in find_credentials({}) if one.title == str(tmp_path / file)]
    assert (one.profile, one.settings.get("credentials")) == (profile, sign_in)
    if sign_in is not None:
        provider = Profiles.from_settings({"x": {**one.settings, "endpoint": "https://h"}})["x"].provider
        way = provider.chosen_sign_in()
        assert way is not None
        assert way.id == sign_in


def test_without_a_home_there_are_still_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert "HF_TOKEN" in [one.title for one in find_credentials({"HF_TOKEN": CANARY})]


def test_hugging_face_can_be_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(CANARY)
    for environ in ({"HF_HOME": str(tmp_path)}, {"HF_TOKEN_PATH": str(tmp_path / "token")}):
        (one,) = [one for one in find_credentials(environ) if one.profile == "hugging-face"]
        assert one.settings["token"] == f"file:{tmp_path / 'token'}"
