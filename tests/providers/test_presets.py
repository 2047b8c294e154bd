"""Well-known issuers: each row makes a profile that asks where the row says; nothing is sent to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from jupyter_tokens.config.profiles import Profile, Profiles
from jupyter_tokens.providers.base import Call
from jupyter_tokens.providers.fields import SettingProblem
from jupyter_tokens.providers.oauth2 import OAuth2
from jupyter_tokens.providers.oauth2_login import Authorization, authorization_url
from jupyter_tokens.providers.presets import PRESETS, Issuer

from ..doubles import Clock
from .conftest import refuse_settings

DOCS = Path(__file__).parents[2] / "docs/login.md"
TENANT = "acme.example"


def profile(name: str, **settings: Any) -> Profile:
    issuer = f"{name}:{TENANT}" if PRESETS[name].tenant else name
    secret = {"client_secret": "s3cret"} if PRESETS[name].settings.get("auth_method") != "none" else {}
    written = {"provider": "oauth2", "issuer": issuer, "client_id": "us", **secret, **settings}
    return Profiles.from_settings({"mine": written})["mine"]


def provider(name: str, **settings: Any) -> OAuth2:
    found = profile(name, **settings).provider
    assert isinstance(found, OAuth2)
    return found


def test_the_page_has_each_row() -> None:
    rows = [line.strip("| ").split(" | ") for line in DOCS.read_text().splitlines() if line.count("|") == 5]
    rows = [row for row in rows if row[0].startswith("`")]
    assert [(issuer, title) for issuer, title, _, _ in rows] == [
        (f"`{name}:TENANT`" if preset.tenant else f"`{name}`", preset.title) for name, preset in PRESETS.items()
    ]
    for (_, _, note, source), preset in zip(rows, PRESETS.values(), strict=True):
        assert note.startswith(f"TENANT: {preset.tenant}. " if preset.tenant else "")
        assert source


@pytest.mark.parametrize("name", PRESETS)
def test_a_row_is_a_profile(name: str) -> None:
    found = provider(name)
    assert found.logs_in is (name != "idaas-m2m")
    for url in filter(None, (found.endpoint, found.issuer, found.authorization_endpoint, found.device_endpoint)):
        assert url.startswith("https://")
        assert "{" not in url
    assert bool(PRESETS[name].tenant) is (TENANT in found.base())


def authorize(name: str, **settings: Any) -> dict[str, list[str]]:
    """The query of the address that a browser opens; the server's metadata are made up."""
    used = profile(name, **settings)
    assert isinstance(used.provider, OAuth2)
    call = Call("mine", used.call_params({}), used.provider.credential(used.secrets()), Clock())
    flow = authorization_url(used.provider, call, Authorization("http://127.0.0.1:4711/callback"))
    try:
        request = next(flow)
        issuer = used.provider.issuer
        assert str(request.url).startswith(issuer.rstrip("/"))
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        body: dict[str, object] = {"issuer": issuer, **{name: f"https://server.example/{name}" for name in names}}
        body["scopes_supported"] = ["openid", "email", "offline_access"]
        flow.send(httpx.Response(200, json=body, request=request))
    except StopIteration as stopped:
        return parse_qs(urlsplit(stopped.value).query)
    raise AssertionError


@pytest.mark.parametrize(
    "name", [name for name, preset in PRESETS.items() if preset.settings["grant"] != "client_credentials"]
)
def test_a_login_asks_for_what_the_row_says(name: str) -> None:
    query, preset = authorize(name), PRESETS[name]
    assert query["scope"] == [preset.scope or "openid email offline_access"]
    assert query["code_challenge_method"] == ["S256"]
    assert all(query[key] == [value] or key == "prompt" for key, value in preset.authorize.items())
    # OneAccess documents letters and digits.
    assert query["state"][0].isalnum()


def test_what_a_profile_says_goes_before() -> None:
    found = provider("github", grant="authorization_code", auth_method="form", client_secret="s3cret")
    assert (found.grant, found.endpoint) == ("authorization_code", PRESETS["github"].settings["endpoint"])
    assert authorize("github", params={"scope": "repo"})["scope"] == ["repo"]


@pytest.mark.parametrize(
    ("issuer", "complaint"),
    [
        ("entra", "must be entra:TENANT, where TENANT is the directory"),
        ("entra:", "must be entra:TENANT"),
        ("entra:a b", "must be entra:TENANT"),
        ("github:acme", "must be github, without a tenant"),
        ("githup", "or one of github, gitlab"),
        ("http://login.example.com", "must be https"),
    ],
)
def test_an_issuer_that_is_none(issuer: str, complaint: str) -> None:
    refuse_settings({"provider": "oauth2", "issuer": issuer, "client_id": "us"}, complaint)


def test_a_form_takes_a_name_for_a_url() -> None:
    issuer = Issuer("The issuer.")
    for value in ("github", "entra:TENANT", "https://login.example.com"):
        issuer.check("issuer", value)
    with pytest.raises(SettingProblem):
        issuer.check("issuer", "entra")
