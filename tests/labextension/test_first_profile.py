"""From the empty panel to the first token: by import, by form, and by keyboard alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from jupyter_tokens.protocol.messages import parse_env
from jupyter_tokens.sandbox import Sandbox

from ..sampling import long
from .conftest import KEY
from .page import IN_BOTH, Form, Lab

MOST_ACTIONS = 30


def saved(lab: Lab) -> Any:
    """The profiles as they are written."""
    file = lab.served.home / "config" / "jupyter_tokens_config.json"
    return json.loads(file.read_text())["TokenProfiles"]["profiles"]


@IN_BOTH
def test_a_key_that_is_here_already_is_imported_by_name(empty: Lab) -> None:
    lab = empty
    offered = lab.panel.get_by_role("list", name="Import")
    expect(offered.get_by_role("button", name="Import ACME_API_KEY")).to_be_visible()
    # The server's own.
    expect(offered).not_to_contain_text("JUPYTER")
    assert KEY not in lab.page.content()
    offered.get_by_role("button", name="Import ACME_API_KEY").click()
    form = Form(lab)
    expect(form.field("Name")).to_have_value("acme")
    expect(form.field("Token")).to_have_value("env:ACME_API_KEY")
    expect(form.field("Environment variable")).to_have_value("ACME_API_KEY")
    form.save()
    form.press("Close")
    lab.expect_state("acme", "fresh")
    assert saved(lab) == {"acme": {"provider": "static", "token": "env:ACME_API_KEY", "env": "ACME_API_KEY"}}


@IN_BOTH
def test_an_error_is_shown_at_its_field(empty: Lab) -> None:
    lab = empty
    form = lab.add()
    form.fill({"Name": "acme", "Token": KEY, "Environment variable": "PATH"})
    variable = form.field("Environment variable")
    form.press("Save and test")
    expect(variable).to_be_focused()
    expect(variable).to_have_attribute("aria-invalid", "true")
    told = form.root.get_by_role("alert")
    expect(told).to_have_count(1)
    expect(told).to_contain_text("PATH")
    # For those who hear the page, too.
    assert str(told.get_attribute("id")) in str(variable.get_attribute("aria-describedby")).split()
    # A secret is not kept in the page: it is typed again.
    form.fill({"Environment variable": "ACME_TOKEN", "Token": KEY})
    form.save()
    expect(variable).not_to_have_attribute("aria-invalid", "true")


def test_the_place_for_a_secret_is_chosen(empty: Lab) -> None:
    lab = empty
    form = lab.add()
    form.fill({"Name": "acme"})
    place = form.field("Where to store Token")
    expect(place).to_have_value("keyring")
    token = form.field("Token")
    expect(token).to_have_attribute("type", "password")
    place.select_option("reference")
    # A reference is no secret, and can be read.
    expect(token).to_have_attribute("type", "text")
    place.select_option("file")
    token.fill(KEY)
    form.press("Save")
    lab.expect_state("acme", "none")
    file = lab.served.home / "config" / "jupyter_tokens_secrets" / "acme.token"
    assert saved(lab)["acme"]["token"] == "file:jupyter_tokens_secrets/acme.token"
    assert (file.read_text().strip(), file.stat().st_mode & 0o777) == (KEY, 0o600)
    lab.edit("acme").remove()
    expect(lab.panel).to_contain_text("No profiles yet")
    assert not file.exists()


class Keys:
    """A person without a mouse. Each key that leads somewhere is an action, and so is a text that is typed."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.actions = 0

    def press(self, key: str) -> None:
        self.lab.page.keyboard.press(key)
        self.actions += 1

    def type(self, text: str) -> None:
        self.lab.page.keyboard.type(text)
        self.actions += 1

    def tab_to(self, wanted: Locator) -> None:
        # After a choice the form draws other fields. A person waits until the field is there.
        expect(wanted).to_be_visible()
        for _ in range(MOST_ACTIONS):
            if wanted.evaluate("one => one === document.activeElement"):
                return
            self.press("Tab")
        raise AssertionError(f"{wanted} cannot be reached by Tab")

    def choose(self, wanted: Locator, value: str) -> None:
        """A value of a list, by the arrow that leads through all of them."""
        self.tab_to(wanted)
        self.press("Home")
        for _ in range(wanted.locator("option").count()):
            if wanted.input_value() == value:
                return
            self.press("ArrowDown")
        raise AssertionError(f"{wanted} has no {value}")

    def begin(self) -> Form:
        """From the panel as it opens to the form."""
        self.press("Enter")
        form = Form(self.lab)
        expect(form.field("Name")).to_be_focused()
        return form

    def end(self, form: Form) -> None:
        """Enter in a field saves and tests; then the form is closed."""
        self.press("Enter")
        expect(form.root.get_by_role("status")).to_contain_text("it works")
        self.tab_to(form.root.get_by_role("button", name="Close"))
        self.press("Enter")
        self.lab.expect_state("acme", "fresh")
        print("user actions:", self.actions)
        assert self.actions <= MOST_ACTIONS


@pytest.fixture
def keys(empty: Lab) -> Keys:
    empty.panel.get_by_role("button", name="Add a profile").last.focus()
    return Keys(empty)


@IN_BOTH
def test_by_keyboard_alone_with_an_api_key(keys: Keys) -> None:
    form = keys.begin()
    keys.type("acme")
    keys.tab_to(form.field("Token"))
    keys.type(KEY)
    keys.end(form)


@IN_BOTH
def test_by_keyboard_alone_with_oauth2(keys: Keys, sandbox: Sandbox) -> None:
    client_id, client_secret = next(iter(sandbox.accounts.openid.items()))
    form = keys.begin()
    keys.type("acme")
    keys.tab_to(form.field("Provider"))
    # As a list of a browser: the first letters choose.
    keys.type("OAuth")
    expect(form.field("Provider")).to_have_value("oauth2")
    texts = {"Issuer": f"{sandbox.url}/openid", "Client ID": client_id, "Client secret": client_secret}
    for label, text in texts.items():
        keys.tab_to(form.field(label))
        keys.type(text)
    keys.end(form)


# What has to be typed for each provider of the catalogue that is not an API of the sandbox's.
OTHERS: dict[str, dict[str, Any]] = {
    "static": {"token": KEY},
    "command": {"command": "gh auth token"},
    "jupyterhub": {},
}
# A word of what the form says at its end, for those from which the sandbox has no token.
REFUSED = {
    "command": "program",
    "jupyterhub": "JUPYTERHUB_API_URL",
}


def typed(sandbox: Sandbox, folder: Path) -> dict[str, Mapping[str, Any]]:
    """What a person types for each provider, with secrets by value."""
    client_id, client_secret = next(iter(sandbox.accounts.openid.items()))
    person = {"issuer": f"{sandbox.url}/openid", "client_id": client_id, "client_secret": client_secret}
    known = {**sandbox.profiles(folder), **sandbox.neighbours(folder)}
    read = {
        name: {
            key: Path(value.removeprefix("file:")).read_text() if str(value).startswith("file:") else value
            for key, value in settings.items()
            if key not in {"provider", "env", "allow_create"}
        }
        for name, settings in known.items()
        if name == settings["provider"]
    }
    return {**read, **OTHERS, "oauth2": person}


@long
@IN_BOTH
def test_the_form_of_each_provider_by_keyboard_alone(empty: Lab, sandbox: Sandbox, tmp_path: Path) -> None:
    lab = empty
    providers = lab.served.ask("GET", "jupyter-tokens/providers").json()["providers"]
    lab.panel.get_by_role("button").first.focus()
    wanted = typed(sandbox, tmp_path)
    assert {provider["id"] for provider in providers} == set(wanted)
    for provider in providers:
        name = provider["id"]
        keys = Keys(lab)
        form = fill_in(keys, provider, wanted[name]).root
        if name in REFUSED:
            expect(form.get_by_role("alert")).to_contain_text(REFUSED[name])
            # At its field, where it has one.
            expect(form.locator("[aria-invalid=true]:focus")).to_have_count(len(wanted[name]))
        else:
            expect(form.get_by_role("status").filter(has_text="it works")).to_be_visible()
        keys.tab_to(form.get_by_role("button", name="Cancel" if name in REFUSED else "Close"))
        keys.press("Enter")
        expect(lab.panel.get_by_role("button", name="Refresh all tokens")).to_be_focused()
        if name not in REFUSED:
            lab.expect_state(name, "fresh")
    kept = saved(lab)
    assert set(kept) == set(wanted) - {"command"}
    variables = {name: settings["env"] for name, settings in kept.items()}
    assert parse_env(variables.pop("alibaba-sts")) == {
        "AccessKeyId": "ALIBABA_STS_ACCESS_KEY_ID",
        "AccessKeySecret": "ALIBABA_STS_ACCESS_KEY_SECRET",
        "SecurityToken": "ALIBABA_STS_SECURITY_TOKEN",
    }
    assert parse_env(variables.pop("huawei-sts")) == {
        "access_key_id": "HUAWEI_STS_ACCESS_KEY_ID",
        "secret_access_key": "HUAWEI_STS_SECRET_ACCESS_KEY",
        "security_token": "HUAWEI_STS_SECURITY_TOKEN",
    }
    assert variables == {name: f"{name.upper().replace('-', '_')}_TOKEN" for name in variables}


def place(field: Locator) -> float:
    """Where a field is in the page, in pixels from its top."""
    box = field.bounding_box()
    assert box is not None
    return box["y"]


def fill_in(keys: Keys, provider: Mapping[str, Any], settings: Mapping[str, Any]) -> Form:
    """Open the form, choose the provider, type everything and save, with keys alone."""
    # That of the header comes first.
    keys.tab_to(keys.lab.panel.get_by_role("button", name="Add a profile").first)
    form = keys.begin()
    keys.type(provider["id"])
    keys.choose(form.field("Provider"), provider["id"])
    known = provider["settings"]["properties"]
    given = {known[key]["title"]: value for key, value in settings.items() if key != "params"}
    given |= settings.get("params", {})
    texts = {title: " ".join(value) if isinstance(value, list) else str(value) for title, value in given.items()}
    inputs = {title: form.field(title) for title in texts}
    # In the order of the page, as Tab goes.
    for title in sorted(inputs, key=lambda title: place(inputs[title])):
        if inputs[title].evaluate("one => one.tagName") == "SELECT":
            keys.choose(inputs[title], texts[title])
        else:
            keys.tab_to(inputs[title])
            keys.type(texts[title])
    required = form.root.locator("input[aria-required=true]").evaluate_all(
        "all => all.filter(one => !one.value).length"
    )
    assert required == 0, provider["id"]
    # The last field may be a list, which Enter would open.
    keys.tab_to(form.root.get_by_role("button", name="Save and test"))
    keys.press("Enter")
    return form
