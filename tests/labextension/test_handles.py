"""What workers hold, in the panel: a handle that a cell issues is in view, and ends by a click."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from ..sampling import long
from .page import Lab

ISSUE = """
from concurrent.futures import ProcessPoolExecutor
from jupyter_tokens import get_token, issue_handle, workers

def fetch(refresh=False):
    try:
        return get_token("oneaccess", refresh=refresh).profile
    except Exception as error:
        return f"{type(error).__name__}: {error}"

handle = issue_handle("oneaccess")
pool = ProcessPoolExecutor(1, initializer=workers.processes.install, initargs=(handle,))
print(pool.submit(fetch).result())
"""


def test_a_handle_is_in_view_and_ends_by_a_click(lab: Lab) -> None:
    card = lab.card("oneaccess")
    handles = card.get_by_role("list", name="Handles of oneaccess")
    lab.open_notebook("workers.ipynb")
    expect(handles).to_have_count(0)
    assert lab.run_cell(ISSUE) == "oneaccess"
    # The panel asks every 15 seconds by itself; the server's events are quicker.
    expect(handles.get_by_role("listitem")).to_contain_text("workers of workers.ipynb, used 1×")
    expect(handles.locator("time")).to_have_text(re.compile(r"^1[45]:\d\d left$"))
    # It is asked for first.
    lab.button("oneaccess", "Revoke").click()
    lab.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(handles.get_by_role("listitem")).to_have_count(1)
    lab.button("oneaccess", "Revoke").click()
    lab.page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(card).to_contain_text("Revoked. Its workers get no further tokens.")
    expect(handles).to_have_count(0)
    refused = lab.run_cell("print(pool.submit(fetch, True).result()); pool.shutdown()")
    assert refused.startswith("HandleRefused: "), refused
    assert "This handle has been revoked." in refused
    assert "issue another handle" in refused


@long
def test_a_handle_of_no_notebook_and_its_parameters(lab: Lab) -> None:
    body = {"id": "0f" * 16, "key": "1e" * 32, "profile": "pai-dlc", "params": {"TargetId": "dlc1"}, "lease": 60}
    assert lab.served.ask("POST", "jupyter-tokens/handles", body).is_success
    item = lab.card("pai-dlc").get_by_role("list", name="Handles of pai-dlc").get_by_role("listitem")
    expect(item).to_contain_text("workers, TargetId=dlc1, not used yet")
    # Revoked elsewhere.
    assert lab.served.ask("DELETE", f"jupyter-tokens/handles/{body['id']}").is_success
    expect(item).to_have_count(0)
