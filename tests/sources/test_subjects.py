"""Tokens made from the token of another profile (`profile:NAME`), against the sandbox."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.client import Client
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.errors import Unauthorized
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.sandbox.alibaba_sts import PROVIDER_ARN, ROLE_ARN
from jupyter_tokens.sandbox.huawei_sts import AGENCY_URN

PROVIDER_URN = "iam::sandbox:oidc-provider:"


@pytest.fixture
def profiles(sandbox: Sandbox, tmp_path: Path) -> dict[str, dict[str, Any]]:
    known = {**sandbox.profiles(tmp_path), **sandbox.neighbours(tmp_path)}
    instance = {name: known["modelarts"][name] for name in ("provider", "endpoint", "params")}
    session = {"agency_urn": AGENCY_URN, "agency_session_name": "alice", "provider_urn": f"{PROVIDER_URN}idp"}
    federated = {"RoleArn": ROLE_ARN, "RoleSessionName": "alice", "OIDCProviderArn": f"{PROVIDER_ARN}idp"}
    place = {"endpoint": sandbox.url}
    return {
        "person": {**known["oneaccess"], "token": "id_token"},
        "iam": known["huawei-iam"],
        "role": {"provider": "alibaba-sts", **place, "oidc_token": "profile:person", "params": federated},
        "agency": {"provider": "huawei-sts", **place, "id_token": "profile:person", "params": session},
        "of-iam": {"provider": "huawei-sts", **place, "auth_token": "profile:iam"},
        "instance": {**instance, "auth_token": "profile:iam"},
    }


@pytest.mark.parametrize(
    ("name", "subject", "api", "field"),
    [
        ("role", "oneaccess", "alibaba-sts", "SecurityToken"),
        ("agency", "oneaccess", "huawei-sts", "security_token"),
        ("of-iam", "iam", "iam", "security_token"),
        ("instance", "iam", "modelarts", None),
    ],
)
def test_each_is_made_from_the_other_profiles_token(
    profiles: dict[str, Any], sandbox: Sandbox, name: str, subject: str, api: str, field: str | None
) -> None:
    with closing(Client(Profiles.from_settings(profiles))) as client:
        token = client.get(name)
        assert sandbox.issued[token.reveal(field) if field else token.reveal()].api == api
        calls = dict(sandbox.requests)
        assert calls[subject] == 1 + (subject == api)
        # The other profile's token comes from the cache.
        client.get(name, refresh=True)
        assert sandbox.requests[api] == calls[api] + 1
        assert sandbox.requests[subject] == calls[subject] + (subject == api)


def test_a_refusal_names_the_profile_that_was_refused(profiles: dict[str, Any], sandbox: Sandbox) -> None:
    sandbox.plan({"api": "oneaccess", "kind": "401"})
    with closing(Client(Profiles.from_settings(profiles))) as client, pytest.raises(Unauthorized) as caught:
        client.get("role")
    assert sandbox.requests["alibaba-sts"] == 0
    assert (caught.value.profile, caught.value.status) == ("role", 401)
    assert caught.value.message.startswith("Profile person: ")
