"""The ids that an API lists: asked for by a click, on a card and in the form of a profile that is not saved yet."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, Request, expect

from jupyter_tokens.sandbox import Sandbox, modelarts
from jupyter_tokens.sandbox.pai_dlc import DSW_INSTANCES

from ..sampling import long
from .page import Lab


def offered(page: Page, field: Locator) -> dict[str, str]:
    """The values that the browser offers at a field, with their labels."""
    options = page.locator(f'[id="{field.get_attribute("list")}"] option')
    return {str(one.get_attribute("value")): str(one.get_attribute("label")) for one in options.all()}


def listings(page: Page) -> list[str]:
    """The URLs of the lists that the page asks the server for from now on."""
    asked: list[str] = []

    def note(request: Request) -> None:
        if "/values" in request.url:
            asked.append(request.url)

    page.on("request", note)
    return asked


def test_on_a_card_at_a_click(lab: Lab, sandbox: Sandbox) -> None:
    asked = listings(lab.page)
    before = sandbox.requests.total()
    lab.press("modelarts", "Parameters of")
    card = lab.card("modelarts")
    field = card.get_by_label("instance_id", exact=True)
    expect(field).to_be_visible()
    assert (asked, offered(lab.page, field)) == ([], {})
    card.get_by_role("button", name="List instance_id").click()
    expect(card).to_contain_text("found. Type to filter, or press the down arrow.")
    expect(field).to_be_focused()
    found = offered(lab.page, field)
    assert found[modelarts.INSTANCE] == f"{modelarts.INSTANCE} notebook-sandbox, RUNNING"
    assert len(asked) == 1
    # No token was fetched; ModelArts' own answer has those of all instances.
    assert sandbox.requests.total() == before
    # What the vendor refuses is said at the field.
    card.get_by_label("project_id", exact=True).fill("nowhere")
    card.get_by_role("button", name="List instance_id").click()
    expect(card.get_by_role("alert")).to_contain_text("Request id")


def test_in_the_form_before_the_profile_is_saved(lab: Lab, sandbox: Sandbox) -> None:
    asked = listings(lab.page)
    key, secret = next(iter(sandbox.accounts.alibaba.items()))
    form = lab.add()
    form.fill({"Name": "my-instance", "Provider": "pai-dsw"})
    list_ids = form.root.get_by_role("button", name="List InstanceId")
    list_ids.click()
    # What is missing is said at the field.
    alert = form.root.get_by_role("alert")
    expect(alert).to_contain_text("endpoint")
    form.fill({"Endpoint": sandbox.url, "Access key ID": key, "Access key secret": "wrong"})
    typed = form.field("Access key secret")
    list_ids.click()
    expect(alert).to_contain_text("SignatureDoesNotMatch")
    typed.fill(secret)
    list_ids.click()
    expect(form.root).to_contain_text(f"{len(DSW_INSTANCES)} found")
    expect(alert).to_have_count(0)
    field = form.field("InstanceId")
    assert offered(lab.page, field).keys() == DSW_INSTANCES.keys()
    # Nothing was saved, no secret is in a URL, and what was typed is still there.
    assert len(asked) == 3
    assert not [url for url in asked if secret in url or key in url]
    expect(typed).to_have_value(secret)
    config = lab.served.home / "config"
    assert "my-instance" not in (config / "jupyter_tokens_config.json").read_text()
    assert not list(config.glob("jupyter_tokens_secrets/my-instance*"))
    field.fill(next(iter(DSW_INSTANCES)))
    form.save()
    # The secret that the server keeps is used by the list too.
    list_ids.click()
    expect(form.root).to_contain_text(f"{len(DSW_INSTANCES)} found")
    form.remove()
    expect(lab.card("my-instance")).to_have_count(0)


@long
def test_a_list_needs_what_the_api_needs(lab: Lab) -> None:
    form = lab.add()
    form.fill({"Provider": "eiam"})
    list_ids = form.root.get_by_role("button", name="List ApplicationTokenId")
    expect(list_ids).to_be_disabled()
    expect(list_ids).to_have_attribute("title", "To list ApplicationTokenId, fill in the other fields")
    form.fill({"InstanceId": "idaas_1", "ApplicationId": "app_1"})
    expect(list_ids).to_be_enabled()
