"""A person logs in from the panel, at the sandbox's OpenID provider, and out again."""

from __future__ import annotations

import hashlib

from playwright.sync_api import Locator, Page, expect

from jupyter_tokens.sandbox import Sandbox

from ..sampling import long
from .page import IN_BOTH, Lab, with_panel

DIGEST = "import hashlib, os; print(hashlib.sha256(os.environ['OPENID_TOKEN'].encode()).hexdigest())"


def allow(page: Page, button: str = "Log in as demo") -> None:
    """Presses the button of the provider's page."""
    page.get_by_role("button", name=button).click()


@IN_BOTH
def test_by_a_page_of_this_browser_and_out_again(lab: Lab, sandbox: Sandbox) -> None:
    lab.open_notebook("login.ipynb")
    card = lab.card("openid")
    expect(lab.button("openid", "Inject")).to_have_count(0)
    with lab.page.context.expect_page() as opened:
        lab.press("openid", "Log in to")
    # It knows nothing of the page that has opened it.
    assert opened.value.evaluate("[window.opener, document.referrer]") == [None, ""]
    expect(card).to_contain_text("Log in on the page that has opened. Open it again")
    link = card.get_by_role("link", name="Open it again")
    assert str(link.get_attribute("href")).startswith(f"{sandbox.url}/openid/authorize?")
    allow(opened.value)
    expect(opened.value.locator("body")).to_contain_text("Logged in as demo")
    # Behind the server's base URL.
    assert f"{lab.served.url}/jupyter-tokens/login/callback" in opened.value.url
    opened.value.close()
    lab.expect_state("openid", "fresh")
    expect(card).to_contain_text("Logged in as demo. A token was fetched.")
    expect(lab.button("openid", "Log in to")).to_have_count(0)
    lab.press("openid", "Inject")
    expect(card).to_contain_text("OPENID_TOKEN is set in login.ipynb")
    token = lab.served.value_of("openid")
    assert lab.run_cell(DIGEST) == hashlib.sha256(token.encode()).hexdigest()
    assert sandbox.issued[token].subject["sub"] == "demo-0001"
    # Not only in the page in which the person has logged in.
    with_panel(lab)
    expect(card).to_contain_text("Logged in as demo")
    lab.press("openid", "Log out of")
    expect(card).to_contain_text("Logged out; the identity provider has revoked the login.")
    expect(lab.button("openid", "Log in to")).to_be_focused()
    assert token not in sandbox.issued
    lab.history()
    past = lab.panel.get_by_role("list", name="History")
    expect(past).to_contain_text("openid logged in")
    expect(past).to_contain_text("openid logged out")


def test_with_a_code_on_another_device(lab: Lab) -> None:
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    card = lab.card("openid-device")
    lab.press("openid-device", "Log in to")
    code = card.locator(".jp-Tokens-login code")
    lab.press("openid-device", "Copy the code to log in to")
    expect(card).to_contain_text("Copied to the clipboard.")
    typed = lab.page.evaluate("navigator.clipboard.readText()")
    assert typed == code.inner_text()
    device = lab.page.context.new_page()
    device.goto(card.get_by_role("link").inner_text())
    device.get_by_label("Code shown by the device").fill(typed)
    allow(device, "Continue")
    allow(device)
    expect(device.locator("body")).to_contain_text("the device is logged in")
    lab.expect_state("openid-device", "fresh")
    expect(card).to_contain_text("Logged in as demo. A token was fetched.")
    expect(code).to_have_count(0)


def test_a_login_that_is_refused_or_cancelled_says_so(lab: Lab) -> None:
    card = lab.card("openid")
    with lab.page.context.expect_page() as opened:
        lab.press("openid", "Log in to")
    allow(opened.value, "Deny")
    expect(opened.value.locator("body")).to_contain_text("Not logged in")
    expect(card.get_by_role("alert")).to_contain_text("denied")
    expect(card).to_have_attribute("aria-busy", "false")
    with lab.page.context.expect_page():
        lab.press("openid", "Log in to")
    lab.page.bring_to_front()
    lab.press("openid", "Cancel the login to")
    expect(card).to_contain_text("Cancelled.")
    expect(lab.button("openid", "Log in to")).to_be_focused()
    expect(card).to_have_attribute("aria-busy", "false")


@long
def test_a_token_that_needs_a_login_offers_it(lab: Lab) -> None:
    lab.press("openid", "Fetch")
    lab.expect_state("openid", "login")
    expect(lab.card("openid")).to_contain_text("login needed")
    expect(lab.card("openid").get_by_role("alert")).to_contain_text("Nobody is logged in.")
    expect(lab.button("openid", "Log in to")).to_be_enabled()


def log_in_by(button: Locator, lab: Lab, text: str) -> None:
    """Presses a button in a cell's output, and logs in as the person on the page that opens."""
    with lab.page.context.expect_page() as opened:
        button.click()
    allow(opened.value)
    expect(opened.value.locator("body")).to_contain_text("Logged in as demo")
    opened.value.close()
    expect(lab.card("openid")).to_contain_text(text)


@long
def test_from_the_card_in_a_notebook(lab: Lab) -> None:
    lab.open_notebook("card.ipynb")
    # Without the button, the text says what to type.
    assert "%tokenlogin openid" in lab.run_cell("%gettoken openid")
    output = lab.page.locator(".jp-OutputArea-output")
    log_in_by(output.get_by_role("button", name="Log in"), lab, "Logged in as demo. A token was fetched.")
    assert (
        lab.run_cell(f"%gettoken openid\n{DIGEST}")
        == hashlib.sha256(lab.served.value_of("openid").encode()).hexdigest()
    )
    expect(output.get_by_role("button", name="Log in")).to_have_count(0)


@long
def test_from_a_widget(lab: Lab) -> None:
    lab.open_notebook("widget.ipynb")
    lab.run_cell("from jupyter_tokens import TokenCard; display(TokenCard('openid'))")
    widget = lab.page.locator(".jp-OutputArea-output")
    widget.get_by_role("button", name="Fetch", exact=True).click()
    expect(widget).to_contain_text("login needed")
    log_in_by(widget.get_by_role("button", name="Log in"), lab, "Logged in as demo. A token was fetched.")
    widget.get_by_role("button", name="Fetch", exact=True).click()
    expect(widget).to_contain_text("fresh")
    expect(widget.get_by_role("button", name="Log in")).to_have_count(0)


@long
def test_from_the_palette(lab: Lab) -> None:
    lab.command("jupyter-tokens:log-in")
    dialog = lab.page.get_by_role("dialog")
    # Only those that a person logs in to.
    expect(dialog.locator("option")).to_have_text(["openid", "openid-device"])
    dialog.get_by_role("combobox").select_option("openid-device")
    dialog.get_by_role("button", name="OK").click()
    expect(lab.card("openid-device")).to_contain_text("and enter the code")
    lab.press("openid-device", "Cancel the login to")
