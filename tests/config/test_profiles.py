"""Profiles: what is accepted, and errors that name file, profile and key."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.config import profiles
from jupyter_tokens.config.code_variables import loads_code
from jupyter_tokens.config.profiles import Profiles, Raw
from jupyter_tokens.config.secrets import warn_once
from jupyter_tokens.errors import ConfigurationError, ParameterError, SecretError, UnknownProfile
from jupyter_tokens.providers import catalogue
from jupyter_tokens.providers.catalogue import provider_class, provider_ids
from jupyter_tokens.providers.oneaccess import OneAccess

from ..doubles import CANARY, told

ONEACCESS = {
    "provider": "oneaccess",
    "endpoint": "https://acme.example.com",
    "client_id": "id",
    "client_secret": "env:CLIENT_SECRET",
}
PAI = {
    "provider": "pai-dlc",
    "region": "cn-hangzhou",
    "access_key_id": "env:AK",
    "access_key_secret": "env:SK",
}
ASTRA = {"provider": "astra", "endpoint": "https://astra.example.com", "api_token": "env:ASTRA"}
MODELARTS = {"provider": "modelarts", "region": "eu-de", "access_key": "AK", "secret_key": "env:SK"}

LOGIN = {
    "provider": "modelarts",
    "endpoint": "https://127.0.0.1:5",
    "username": "u",
    "password": "env:P",
    "domain_name": "d",
    "verify": False,
}


@pytest.fixture(autouse=True)
def _no_memory() -> Iterator[None]:
    yield
    for cached in (warn_once, catalogue.installed, catalogue.provider_class):
        cached.cache_clear()


def checked(settings: Mapping[str, Any], file: Path | None = None) -> profiles.Profile:
    return Profiles({"mine": Raw(settings, file)})["mine"]


def refused(settings: Any, file: Path | None = None) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        checked(settings, file)
    assert caught.value.unsent
    assert CANARY not in told(caught.value)
    assert caught.value.__context__ is None
    return caught.value


def test_a_profile_with_all_that_there_is() -> None:
    profile = checked({**PAI, "env": "PAI_TOKEN", "timeout": 5, "params": {"ExpireTime": "60", "TargetId": "dlc1"}})
    assert (profile.name, profile.provider.id, profile.env, profile.timeout) == ("mine", "pai-dlc", "PAI_TOKEN", 5.0)
    assert profile.verify is True
    assert {key: reference.target for key, reference in profile.references.items()} == {
        "access_key_id": "AK",
        "access_key_secret": "SK",
    }
    assert profile.call_params({}) == {"TargetId": "dlc1", "ExpireTime": 60}


def test_the_defaults() -> None:
    profile = checked(ONEACCESS)
    assert (profile.env, profile.timeout, profile.verify, profile.params) == (None, 30.0, True, {})


def test_a_call_overrides_and_adds_and_takes_away_params() -> None:
    profile = checked({**PAI, "params": {"ExpireTime": 60, "TargetId": "dlc1"}})
    called = profile.call_params({"ExpireTime": 5, "TargetType": "job", "TargetId": None})
    assert called == {"TargetType": "job", "ExpireTime": 5}


def test_wrong_call_params_name_the_profile() -> None:
    with pytest.raises(ParameterError, match="ExpireTime") as caught:
        checked(PAI).call_params({"ExpireTime": -1})
    assert (caught.value.profile, caught.value.provider) == ("mine", "pai-dlc")


def test_create_params_know_what_a_new_token_takes() -> None:
    profile = checked({**ASTRA, "allow_create": True})
    given = {"account_id": "a", "user_id": "u", "name": "n"}
    assert profile.create_params(given) == given
    with pytest.raises(ParameterError, match="'name'"):
        profile.call_params(given)


def test_secrets_are_resolved_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = checked(ONEACCESS)
    with pytest.raises(SecretError, match="profile 'mine', key 'client_secret': env:CLIENT_SECRET is not set"):
        profile.secrets()
    monkeypatch.setenv("CLIENT_SECRET", CANARY)
    assert {key: secret.reveal() for key, secret in profile.secrets().items()} == {
        "client_id": "id",
        "client_secret": CANARY,
    }


LOOPBACK = "key 'verify' can only be switched off for loopback."
NAMES = "key 'fixed_params' must be true, false or a list of parameter names."
WRONG: dict[str, tuple[Any, str, str]] = {
    "no mapping": ([CANARY], "profile 'mine' must be a mapping of settings.", ""),
    "no provider": ({"client_secret": CANARY}, "key 'provider' is missing.", "Known: static, oauth2"),
    "provider of a wrong type": ({"provider": 1}, "key 'provider' must be the id of a provider.", "Known"),
    "unknown provider": (
        {"provider": "oneacess"},
        "key 'provider' names no installed provider",
        "Did you mean oneaccess?",
    ),
    "unknown key": ({**ONEACCESS, "clientid": CANARY}, "key 'clientid' is not a setting", "Did you mean client_id?"),
    "key that is not a string": ({**ONEACCESS, 5: "x"}, "key '5' is not a setting", "Known: "),
    "wrong type": ({**ONEACCESS, "client_id": 5}, "key 'client_id' must be a string, not int.", ""),
    "wrong choice": ({**ONEACCESS, "auth_method": "x"}, "key 'auth_method' must be one of form, basic.", ""),
    "missing endpoint": ({"provider": "oneaccess"}, "key 'endpoint' is missing.", ""),
    "missing secret": ({**ONEACCESS, "client_secret": ""}, "key 'client_secret' is missing.", ""),
    "empty reference": ({**ONEACCESS, "client_secret": "env:"}, "key 'client_secret': env: is incomplete.", "env:NAME"),
    "plain http": ({**ONEACCESS, "endpoint": "http://acme.example.com"}, "key 'endpoint' must be https", ""),
    "other scheme": ({**ONEACCESS, "endpoint": "ftp://x"}, "key 'endpoint' must be a URL such as", ""),
    "no host": ({**ONEACCESS, "endpoint": "https://"}, "key 'endpoint' must be a URL such as", ""),
    "no scheme": ({**ONEACCESS, "endpoint": "acme.example.com"}, "key 'endpoint' must be a URL such as", ""),
    "no name": ({**ONEACCESS, "endpoint": "https://xn--a"}, "key 'endpoint' must be a URL such as", ""),
    "no URL": ({**ONEACCESS, "endpoint": "https://[::1"}, "key 'endpoint' is not a URL.", ""),
    "no port": ({**ONEACCESS, "endpoint": "https://x:99999"}, "key 'endpoint' is not a URL.", ""),
    "user": ({**ONEACCESS, "endpoint": f"https://u:{CANARY}@x"}, "key 'endpoint' must be a URL without user", ""),
    "query": ({**ONEACCESS, "endpoint": "https://x/?a=1"}, "key 'endpoint' must be a URL without user", ""),
    "fragment": ({**ONEACCESS, "endpoint": "https://x/#a"}, "key 'endpoint' must be a URL without user", ""),
    "params no mapping": ({**PAI, "params": [1]}, "key 'params' must be a mapping", ""),
    "unknown param": (
        {**PAI, "params": {"Expiretime": 1}},
        "'params.Expiretime' is not a parameter",
        "Did you mean E",
    ),
    "wrong param": ({**PAI, "params": {"ExpireTime": -1}}, "'params.ExpireTime' is wrong: Parameter ExpireTime", ""),
    "env no name": ({**ONEACCESS, "env": "A-B"}, "key 'env' must be an environment", ""),
    "env no text": ({**ONEACCESS, "env": 5}, "key 'env' must be an environment", ""),
    "env not ascii": ({**ONEACCESS, "env": "é"}, "key 'env' must be an environment", ""),
    "timeout zero": (
        {**ONEACCESS, "timeout": 0},
        "key 'timeout' must be a number of seconds above 0 and at most 600.",
        "",
    ),
    "timeout long": ({**ONEACCESS, "timeout": 601}, "key 'timeout' must be a number of seconds", ""),
    "timeout text": ({**ONEACCESS, "timeout": "5"}, "key 'timeout' must be a number of seconds", ""),
    "timeout true": ({**ONEACCESS, "timeout": True}, "key 'timeout' must be a number of seconds", ""),
    "timeout nan": ({**ONEACCESS, "timeout": float("nan")}, "key 'timeout' must be a number of seconds", ""),
    "verify empty": ({**ONEACCESS, "verify": ""}, "key 'verify' must be true, or the path", ""),
    "verify none": ({**ONEACCESS, "verify": None}, "key 'verify' must be true, or the path", ""),
    "verify of nobody": ({**ONEACCESS, "verify": "~no-such-user-here/x"}, "key 'verify' names the home", ""),
    "verify off": ({**ONEACCESS, "verify": False}, LOOPBACK, "CA bundle"),
    "verify off by region": ({**PAI, "verify": False}, LOOPBACK, ""),
    "verify off, IAM by region": ({**LOGIN, "region": "eu-de"}, LOOPBACK, ""),
    "verify off, IAM elsewhere": ({**LOGIN, "iam_endpoint": "https://iam.example.com"}, LOOPBACK, ""),
    "verify off, all but IAM elsewhere": (
        {**LOGIN, "endpoint": "https://a.b", "iam_endpoint": "https://[::1]"},
        LOOPBACK,
        "",
    ),
    "plain http of IAM": ({**LOGIN, "iam_endpoint": "http://iam.example.com"}, "key 'iam_endpoint' must be https", ""),
    "glob too long": (
        {**ONEACCESS, "notebooks": ["*" * 1001]},
        "key 'notebooks' must have at most 1000 characters",
        "",
    ),
    "fixed_params no list": ({**ASTRA, "fixed_params": "user_id"}, NAMES, ""),
    "fixed_params no names": ({**ASTRA, "fixed_params": [1]}, NAMES, ""),
    "fixed_params unknown": (
        {**ASTRA, "fixed_params": ["user"]},
        "key 'fixed_params' names 'user', which is not a parameter of provider",
        "",
    ),
    "allow_create no switch": ({**ASTRA, "allow_create": "yes"}, "key 'allow_create' must be true or false", ""),
}


@pytest.mark.parametrize(("settings", "words", "hint"), WRONG.values(), ids=WRONG)
def test_wrong_settings_are_refused_by_name(settings: Any, words: str, hint: str) -> None:
    error = refused(settings)
    assert words in error.message
    assert error.message.startswith("profile 'mine'")
    assert hint in error.hint


def test_errors_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "jupyter_tokens_config.json"
    assert refused({"provider": "x"}, file).message.startswith(f"{file}: profile 'mine', key 'provider' ")


@pytest.mark.parametrize("key", ["client_secret", "client_id"])
def test_a_literal_secret_is_in_no_error_about_another_key(key: str) -> None:
    refused({**ONEACCESS, key: CANARY, "timeout": -1})
    refused({**ONEACCESS, key: CANARY, "clientsecret": CANARY})


def test_http_and_no_verification_are_for_loopback() -> None:
    profile = checked({**ONEACCESS, "endpoint": "http://127.0.0.1:5/base/", "verify": False})
    assert profile.verify is False
    assert profile.provider.base() == "http://127.0.0.1:5/base"


def test_verification_can_be_off_where_all_is_on_loopback() -> None:
    assert checked({**LOGIN, "iam_endpoint": "https://127.0.0.1:6"}).verify is False


def test_a_ca_bundle_is_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    assert checked({**ONEACCESS, "verify": "ca.pem"}, file).verify == str(tmp_path / "ca.pem")
    assert checked({**ONEACCESS, "verify": "/etc/ca.pem"}, file).verify == "/etc/ca.pem"
    assert checked({**ONEACCESS, "verify": "ca.pem"}).verify == "ca.pem"
    assert checked({**ONEACCESS, "verify": "~/ca.pem"}).verify == str(Path.home() / "ca.pem")


def literal_in(folder: Path, mode: int) -> tuple[dict[str, Any], Path]:
    file = folder / "jupyter_tokens_config.json"
    settings = {**ONEACCESS, "client_secret": CANARY}
    file.write_text(json.dumps(settings))
    file.chmod(mode)
    return settings, file


def test_a_literal_secret_in_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    settings, file = literal_in(tmp_path, 0o644)
    error = refused(settings, file)
    assert "key 'client_secret' is a literal secret in a file that others can access (mode 0644)" in error.message
    assert f"chmod 600 {file}" in error.hint


def test_a_literal_secret_in_a_private_file_is_warned_of_once(tmp_path: Path) -> None:
    settings, file = literal_in(tmp_path, 0o600)
    with pytest.warns(UserWarning, match="contains a literal secret") as caught:
        assert checked(settings, file).secrets()["client_secret"].reveal() == CANARY
    assert CANARY not in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checked(settings, file)


def test_a_literal_secret_in_a_file_that_its_group_can_read_is_allowed_with_a_warning(tmp_path: Path) -> None:
    settings, file = literal_in(tmp_path, 0o440)
    with pytest.warns(UserWarning, match="its group can read it|contains a literal secret") as caught:
        assert checked(settings, file).secrets()["client_secret"].reveal() == CANARY
    assert ["its group can read it" in str(warning.message) for warning in caught] == [True, False]


CODE = [
    "PYTHONSTARTUP",
    "PYTHONPATH",
    "LD_PRELOAD",
    "BASH_ENV",
    "PATH",
    "Path",
    "NODE_OPTIONS",
    "DYLD_INSERT_LIBRARIES",
    "UV_INDEX_URL",
    "GIT_ASKPASS",
    "GIT_CONFIG_KEY_0",
    "PIP_KEYRING_PROVIDER",
]
NO_CODE = [
    "API_TOKEN",
    "PATH_TOKEN",
    "MY_PYTHON",
    "AWS_SECRET_ACCESS_KEY",
    "OPENAI_API_KEY",
    "ENVIRONMENT",
    "LDAP_TOKEN",
    "UV_PUBLISH_TOKEN",
    "UV_INDEX_ACME_PASSWORD",
    "GIT_TOKEN",
    "Git_Token",
    "CONDA_TOKEN",
    "SPARK_TOKEN",
    "SPARK_AUTH_SECRET",
    "R_API_KEY",
    "HADOOP_S3_ACCESS_KEY_ID",
    "JULIA_CREDENTIALS",
]


@pytest.mark.parametrize("name", CODE)
def test_a_variable_that_some_program_loads_code_by_is_warned_of_in_files(tmp_path: Path, name: str) -> None:
    assert loads_code(name)
    file = tmp_path / "jupyter_tokens_config.json"
    with pytest.warns(UserWarning, match=f"names {name}, which must not contain a token") as caught:
        assert [checked({**ONEACCESS, "env": name}, file).env for _ in range(2)] == [name, name]
    assert len(caught) == 1
    assert str(file) in str(caught[0].message)


@pytest.mark.parametrize("name", NO_CODE)
def test_other_variables_are_not_warned_of(tmp_path: Path, name: str) -> None:
    assert not loads_code(name)
    assert checked({**ONEACCESS, "env": name}, tmp_path / "jupyter_tokens_config.json").env == name


def test_a_literal_that_is_no_secret_may_stand_anywhere(tmp_path: Path) -> None:
    _, file = literal_in(tmp_path, 0o644)
    assert checked(ONEACCESS, file).references["client_id"].kind == "literal"


def test_a_literal_secret_in_a_file_that_has_gone_is_refused(tmp_path: Path) -> None:
    assert "cannot be inspected" in refused({**ONEACCESS, "client_secret": CANARY}, tmp_path / "none").message


def test_a_literal_secret_given_by_a_program_is_its_own_business() -> None:
    assert checked({**ONEACCESS, "client_secret": CANARY}).secrets()["client_secret"].reveal() == CANARY


def test_an_unknown_profile_is_told_with_the_nearest() -> None:
    held = Profiles.from_settings({"oneaccess": ONEACCESS})
    with pytest.raises(UnknownProfile, match="'oneacess'") as caught:
        held["oneacess"]
    assert caught.value.hint == "Did you mean oneaccess?"
    with pytest.raises(UnknownProfile) as caught:
        Profiles({})["x"]
    assert "jupyter tokens demo" in caught.value.hint


def test_behind_a_gateway_an_unknown_profile_is_told_with_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE", "JUPYTER_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    for held in (Profiles({}), Profiles.from_settings({"of-the-machine": ONEACCESS})):
        with pytest.raises(UnknownProfile, match="'oneaccess'") as caught:
            held["oneaccess"]
        assert "Neither HOME nor JUPYTER_CONFIG_DIR is set" in caught.value.hint
        assert "gateway" in caught.value.hint


def test_a_wrong_profile_leaves_the_others_alone() -> None:
    held = Profiles.from_settings({"good": ONEACCESS, "bad": {"provider": "x"}})
    assert held["good"].name == "good"
    with pytest.raises(ConfigurationError):
        held["bad"]


def test_profiles_are_a_mapping() -> None:
    held = Profiles.from_settings({"a": ONEACCESS, "b": PAI})
    assert list(held) == ["a", "b"]
    assert len(held) == 2
    assert "a" in held
    assert "c" not in held
    assert repr(held) == "<Profiles a, b>"
    assert held["a"] is held["a"]


def test_only_changed_profiles_lose_their_state() -> None:
    before = Profiles.from_settings({"same": ONEACCESS, "changed": PAI, "gone": ASTRA})
    kept = before["same"]
    before["changed"]
    after = Profiles.from_settings({"same": dict(ONEACCESS), "changed": {**PAI, "timeout": 5}, "new": ASTRA})
    assert after.changed_from(before) == {"changed", "gone", "new"}
    assert after["same"] is kept
    assert after["changed"].timeout == 5


def test_a_profile_that_moved_to_another_file_has_changed(tmp_path: Path) -> None:
    before = Profiles({"a": Raw(ONEACCESS, tmp_path / "1")})
    assert Profiles({"a": Raw(ONEACCESS, tmp_path / "2")}).changed_from(before) == {"a"}


def test_nothing_shows_a_literal_secret() -> None:
    settings = {**ONEACCESS, "client_secret": CANARY}
    profile = checked(settings)
    shown = [
        profile,
        vars(profile),
        dir(profile),
        Raw(settings),
        Profiles.from_settings({"mine": settings}),
        profile.secrets(),
    ]
    assert CANARY not in repr(shown) + f"{profile} {profile!s}"
    assert CANARY not in json.dumps(shown, default=str)


def test_the_built_in_providers() -> None:
    assert provider_ids() == [
        *("static", "oauth2", "command", "jupyterhub", "modelarts", "pai-dlc", "oneaccess", "astra", "eiam"),
        *("pai-dsw", "eiam-oauth", "dashscope", "huawei-iam", "alibaba-sts", "huawei-sts"),
    ]
    assert {name: provider_class(name).id for name in provider_ids()} == {name: name for name in provider_ids()}
    with pytest.raises(KeyError):
        provider_class("none")


def test_other_packages_add_providers_but_replace_none(monkeypatch: pytest.MonkeyPatch) -> None:
    target = f"{__name__}:Other"
    points = [EntryPoint(name, target, catalogue.ENTRY_POINT_GROUP) for name in ("other", "astra")]
    monkeypatch.setattr(catalogue, "entry_points", lambda group: points)
    monkeypatch.setattr(EntryPoint, "load", lambda self: OneAccess)
    catalogue.installed.cache_clear()
    assert provider_ids()[-1] == "other"
    assert provider_ids().count("astra") == 1
    assert provider_class("other") is OneAccess
    assert provider_class("astra").id == "astra"


@pytest.mark.parametrize(
    ("limits", "kernel", "paths", "served"),
    [
        ({}, "python3", [], True),
        ({"kernels": ["python3", "ir"]}, "ir", [], True),
        ({"kernels": ["python3"]}, "ir", [], False),
        ({"kernels": []}, "python3", [], False),
        ({"notebooks": ["team/*.ipynb"]}, "python3", ["team/a.ipynb"], True),
        ({"notebooks": ["/team/*.ipynb"]}, "python3", ["x.ipynb", "team/a.ipynb"], True),
        ({"notebooks": ["team/*.ipynb"]}, "python3", ["team/deep/a.ipynb"], False),
        ({"notebooks": ["team/**/a.ipynb"]}, "python3", ["team/a.ipynb"], True),
        ({"notebooks": ["team/**/a.ipynb"]}, "python3", ["team/x/y/a.ipynb"], True),
        ({"notebooks": ["team/**"]}, "python3", ["team/x/y/a.ipynb"], True),
        ({"notebooks": ["team/**"]}, "python3", ["teams/a.ipynb"], False),
        ({"notebooks": ["a?.ipynb"]}, "python3", ["ab.ipynb"], True),
        ({"notebooks": ["a?.ipynb"]}, "python3", ["a/.ipynb"], False),
        ({"notebooks": ["a.ipynb"]}, "python3", ["axipynb"], False),
        ({"notebooks": ["a.ipynb"]}, "python3", ["a.ipynb\n"], False),
        ({"notebooks": ["*"]}, "python3", [], False),
        ({"notebooks": []}, "python3", ["a.ipynb"], False),
        ({"kernels": ["python3"], "notebooks": ["a"]}, "ir", ["a"], False),
    ],
)
def test_a_profile_serves_the_kernels_and_notebooks_that_it_names(
    limits: dict[str, Any], kernel: str, paths: list[str], served: bool
) -> None:
    assert checked({**ONEACCESS, **limits}).allows(kernel, paths) is served


FIXED = {"account_id": "a", "user_id": "u"}
OTHER = {"account_id": "a", "user_id": "other", "token_id": "t"}


@pytest.mark.parametrize("fixed", [True, ["user_id"], ["account_id", "user_id"]])
@pytest.mark.parametrize("changed", [{"user_id": "other"}, {"user_id": None}])
def test_fixed_params_are_changed_by_no_call(fixed: object, changed: dict[str, object]) -> None:
    profile = checked({**ASTRA, "params": FIXED, "fixed_params": fixed, "allow_create": True})
    for ask, more in ((profile.call_params, {"token_id": "t"}), (profile.create_params, {"name": "n"})):
        assert ask(more) == {**FIXED, **more}
        # What says the same changes nothing.
        assert ask({**more, "user_id": "u"}) == {**FIXED, **more}
        with pytest.raises(ParameterError, match=r"user_id is (fixed by the profile|missing)") as caught:
            ask({**more, **changed})
        assert (caught.value.profile, caught.value.unsent) == ("mine", True)


def test_params_that_are_not_fixed_can_be_changed() -> None:
    for fixed in (False, [], ["account_id"]):
        profile = checked({**ASTRA, "params": FIXED, "fixed_params": fixed})
        assert profile.call_params(OTHER) == OTHER


def test_a_fixed_param_that_the_profile_does_not_give_is_given_by_no_call() -> None:
    profile = checked({**PAI, "params": {"TargetId": "dlc1"}, "fixed_params": ["ExpireTime"]})
    assert profile.call_params({"ExpireTime": None}) == {"TargetId": "dlc1"}
    with pytest.raises(ParameterError, match="ExpireTime is fixed"):
        profile.call_params({"ExpireTime": 60})


def test_a_fixed_param_is_compared_as_what_it_means() -> None:
    profile = checked({**PAI, "params": {"ExpireTime": "60"}, "fixed_params": True})
    assert profile.call_params({"ExpireTime": 60}) == {"ExpireTime": 60}


def test_a_profile_creates_nothing_unless_it_says_so() -> None:
    assert not checked(ONEACCESS).create_is_off  # it has no such call
    with pytest.raises(ConfigurationError, match="does not allow creating") as caught:
        checked({**ASTRA, "params": FIXED}).create_params({"name": "n"})
    assert (caught.value.profile, caught.value.provider) == ("mine", "astra")


@pytest.mark.parametrize("key", ["kernels", "notebooks"])
@pytest.mark.parametrize("value", ["python3", 5, [5], [""], {"python3": True}])
def test_what_limits_a_profile_is_a_list_of_texts(key: str, value: object) -> None:
    assert f"key {key!r} must be a list of non-empty strings" in refused({**ONEACCESS, key: value}).message


def test_the_file_of_a_profile_is_known(tmp_path: Path) -> None:
    held = Profiles({"a": Raw(ONEACCESS, tmp_path / "x"), "b": Raw(ONEACCESS)})
    assert (held.file("a"), held.file("b"), held.file("c")) == (tmp_path / "x", None, None)


def test_the_variables_of_a_call_fit_the_token() -> None:
    profile = Profiles.from_settings({"mine": ONEACCESS})["mine"]
    profile.check_env("VARIABLE")
    with pytest.raises(ParameterError, match="single value") as caught:
        profile.check_env({"SecurityToken": "A", "AccessKeyId": "B"})
    assert caught.value.profile == "mine"
    with pytest.raises(ParameterError) as caught:
        profile.check_env("1=")
    assert caught.value.profile == "mine"


def test_profiles_of_another_process_are_found_unless_their_names_are_taken() -> None:
    theirs = checked(ASTRA)
    both = Profiles.from_settings({"mine": ONEACCESS}).combined_with({"theirs": theirs, "mine": theirs})
    assert (both["mine"].provider.id, both["theirs"]) == ("oneaccess", theirs)


def test_a_profile_of_another_process_that_is_wrong_raises_its_error_each_time() -> None:
    wrong = UnknownProfile("It is not here any more.")
    both = Profiles.from_settings({"mine": ONEACCESS}).combined_with({"theirs": wrong, "mine": wrong})
    assert both["mine"].name == "mine"
    for _ in range(2):
        with pytest.raises(UnknownProfile, match="not here any more") as caught:
            both["theirs"]
        assert caught.value is not wrong


def test_a_profile_of_each_user() -> None:
    profile = checked({**ASTRA, "api_token": "file:/secrets/{user}"})
    assert profile.is_personal
    assert profile.for_user("ana").references["api_token"].target == "/secrets/ana"
    assert not checked(ASTRA).is_personal


def test_filled_at_the_start_of_kernels() -> None:
    needs = refused({**ONEACCESS, "inject_at_start": True})
    assert "'inject_at_start' needs an environment variable" in needs.message
    started = {**ONEACCESS, "env": "A_TOKEN", "inject_at_start": True}
    # An invalid profile is listed too; its error is reported when it is used.
    held = Profiles.from_settings({"one": started, "two": ASTRA, "wrong": {**started, "provider": "nobody"}})
    assert held.injected_at_start() == ["one", "wrong"]


def test_hosts_and_their_users() -> None:
    profile = checked({**ASTRA, "hosts": ["Git.example.com", "oauth2@registry.example.com"]})
    hosts = ("git.example.com", "registry.example.com", "example.com")
    assert [profile.username_for(host) for host in hosts] == ["", "oauth2", None]
