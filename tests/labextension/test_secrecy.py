"""Where a token's value is to be seen, where it is not, and that it is looked for where something is."""

from __future__ import annotations

from playwright.sync_api import expect

from jupyter_tokens.sandbox import Sandbox

from .page import Lab
from .recording import Recording, confidential

CANARY = "c4n4ry-that-is-no-secret"


def test_the_value_is_in_no_answer_but_the_reveals_and_nothing_saves_it(
    lab: Lab, recording: Recording, sandbox: Sandbox
) -> None:
    page, served = lab.page, lab.served
    lab.open_notebook("secret.ipynb", source=f"# {CANARY}")
    lab.press("pai-dlc", "Parameters of")
    with page.expect_request(lambda asked: "/workspaces/" in asked.url and CANARY in (asked.post_data or "")):
        lab.card("pai-dlc").get_by_label("TargetId").fill(CANARY)
    lab.press("oneaccess", "Inject")
    expect(lab.card("oneaccess")).to_contain_text("is set in secret.ipynb")
    value = lab.served.value_of("oneaccess")
    assert value not in page.content()
    lab.press("oneaccess", "Reveal")
    shown = lab.card("oneaccess").get_by_role("group", name="Token of oneaccess")
    expect(shown.locator("code")).to_have_text(value)
    shown.get_by_role("button", name="Hide").click()
    expect(shown).to_have_count(0)
    assert value not in page.content()
    lab.run_cell(f"import os; print('{CANARY}', len(os.environ['ONEACCESS_TOKEN']))")
    with page.expect_response(lambda answer: "/contents/" in answer.url and answer.request.method == "PUT"):
        lab.command("docmanager:save")
    page.evaluate("canary => { localStorage.setItem('canary', canary); }", CANARY)
    recording.end()

    assert recording.allowed([value]) == ["answer to POST /team/jupyter-tokens/profiles/oneaccess/token"]
    assert recording.leaks(confidential(sandbox)) == []
    notebook = (served.root / "secret.ipynb").read_text()
    (workspace,) = (served.home / "config" / "lab" / "workspaces").glob(f"{lab.workspace}*.jupyterlab-workspace")
    log = (served.home / "server.log").read_text()
    for file, holds in ((notebook, CANARY), (workspace.read_text(), CANARY), (log, "Jupyter Server")):
        assert holds in file
        assert value not in file
    # What stands in each of those places is found there. A notebook goes as a blob, which no browser tells of: hence
    # its file. All other files are looked at when the server has stopped.
    found = recording.leaks([CANARY])
    for place in (
        "frames of /team/api/kernels/",
        "answer to GET /team/api/contents/secret.ipynb",
        f"request PUT /team/lab/api/workspaces/{lab.workspace}",
        "what the page stores",
    ):
        assert any(where.startswith(place) for where in found), place
