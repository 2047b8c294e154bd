"""Use it: code that works as it is inserted or copied."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from ..sampling import first, long
from .page import IN_BOTH, Lab


def cells(lab: Lab) -> list[str]:
    found: list[str] = lab.page.evaluate(
        "window.jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.sharedModel.getSource())"
    )
    return found


def choose(lab: Lab, profile: str, way: str) -> None:
    lab.press(profile, "Use")
    lab.card(profile).get_by_label("Use it with").select_option(way)


@IN_BOTH
@pytest.mark.parametrize("client", first(["httpx", "requests"]))
def test_a_cell_that_calls_the_api(lab: Lab, client: str) -> None:
    lab.open_notebook("use.ipynb", source="# mine")
    choose(lab, "oneaccess", client)
    lab.press("oneaccess", "Insert a cell for")
    expect(lab.card("oneaccess")).to_contain_text("Inserted.")
    mine, inserted = cells(lab)
    assert mine == "# mine"
    # The API's root answers nothing: the user adds the path.
    assert '{token.base_url}/"' in inserted
    called = inserted.replace('{token.base_url}/"', '{token.base_url}/api/v2/tenant/users"')
    assert '"users"' in lab.run_cell(f"{called}; print(response.text)")


@pytest.mark.parametrize(("profile", "sdk"), first([("alibaba-sts", "alibaba"), ("huawei-sts", "huawei")]))
def test_a_cell_for_the_vendors_own_sdk(lab: Lab, profile: str, sdk: str) -> None:
    lab.open_notebook("sdk.ipynb")
    choose(lab, profile, sdk)
    lab.press(profile, "Insert a cell for")
    expect(lab.card(profile)).to_contain_text("Inserted.")
    [inserted] = cells(lab)
    read = {"alibaba": "credentials.get_credential().access_key_id", "huawei": "credentials.ak"}[sdk]
    # The SDK has got the key from the server; its id is redacted, too.
    assert lab.run_cell(f"{inserted}\nprint({read})").endswith(f"[token {profile}]")
    expect(lab.card(profile)).to_contain_text("held by sdk.ipynb")


@IN_BOTH
def test_the_magic_fills_an_empty_cell_and_runs(lab: Lab) -> None:
    lab.open_notebook("empty.ipynb")
    choose(lab, "pai-dlc", "gettoken")
    # The server has started this kernel with the extension loaded.
    expect(lab.card("pai-dlc").get_by_label("Code for pai-dlc", exact=True)).to_have_text("%gettoken pai-dlc")
    lab.press("pai-dlc", "Insert a cell for")
    expect(lab.card("pai-dlc")).to_contain_text("Inserted.")
    assert cells(lab) == ["%gettoken pai-dlc"]
    lab.command("notebook:run-cell")
    expect(lab.card("pai-dlc")).to_contain_text("held by empty.ipynb")


@long
@IN_BOTH
def test_what_is_copied_holds_no_value(lab: Lab) -> None:
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.fetch("oneaccess")
    choose(lab, "oneaccess", "curl")
    expect(lab.button("oneaccess", "Insert a cell for")).to_be_disabled()
    lab.press("oneaccess", "Copy the code for")
    expect(lab.card("oneaccess")).to_contain_text("Copied")
    copied = lab.page.evaluate("navigator.clipboard.readText()")
    base = lab.served.sandbox.url
    assert copied == f"%%bash\njupyter tokens get oneaccess --format header | curl -sS -H @- {base}/"


@long
def test_a_token_that_has_no_value_is_described(lab: Lab) -> None:
    lab.open_notebook("described.ipynb")
    lab.fetch("astra")
    choose(lab, "astra", "python")
    lab.press("astra", "Insert a cell for")
    expect(lab.card("astra")).to_contain_text("Inserted.")
    assert "mappingproxy" in lab.run_cell(f"{cells(lab)[0].replace('token.metadata', 'print(repr(token.metadata))')}")


@long
@IN_BOTH
def test_an_r_notebook_is_offered_r(lab: Lab) -> None:
    lab.open_notebook("use-r.ipynb", "R")
    expect(lab.panel).to_contain_text("use-r.ipynb")
    lab.press("oneaccess", "Use")
    way = lab.card("oneaccess").get_by_label("Use it with")
    expect(way.locator("option")).to_have_text(["httr2", "curl"])
    way.select_option("curl")
    # For a terminal, not for a cell.
    expect(lab.button("oneaccess", "Insert a cell for")).to_be_disabled()
