from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from jupyter_tokens.sandbox import Sandbox

from ..sampling import first, long
from .page import IN_BOTH, Lab, with_panel
from .served import Served

IR = Path("/usr/share/jupyter/kernels/ir")
FIVE = ("modelarts", "pai-dlc", "oneaccess", "astra", "eiam")


def test_fetches_each_of_the_five(lab: Lab, sandbox: Sandbox) -> None:
    before = dict(sandbox.requests)
    for name in FIVE:
        expect(lab.card(name)).to_contain_text("sandbox")
        expect(lab.card(name)).to_contain_text("not fetched")
        lab.fetch(name)
    assert {name: sandbox.requests[name] - before[name] for name in FIVE} == dict.fromkeys(FIVE, 1)
    expect(lab.card("oneaccess").locator("time")).to_have_text(re.compile(r"^(29|30):\d\d left$"))
    # Its API never returns the value: there is nothing to inject, reveal or copy.
    expect(lab.card("astra")).to_contain_text("never returns it")
    for action in ("Inject", "Reveal", "Copy"):
        expect(lab.button("astra", action)).to_have_count(0)


@IN_BOTH
def test_injects_into_the_python_kernel_of_the_notebook(lab: Lab) -> None:
    expect(lab.button("oneaccess", "Inject")).to_be_disabled()
    lab.open_notebook("python.ipynb")
    expect(lab.panel).to_contain_text("Inject into python.ipynb")
    lab.press("oneaccess", "Inject")
    expect(lab.card("oneaccess")).to_contain_text("ONEACCESS_TOKEN is set in python.ipynb (python).")
    expect(lab.card("oneaccess")).to_contain_text("held by python.ipynb")
    if lab.bar is not None:
        expect(lab.bar).to_contain_text("oneaccess: 29:")
    expect(lab.card("oneaccess")).to_contain_text("The kernel keeps it fresh.")
    assert lab.run_cell("import os; print(os.environ['ONEACCESS_TOKEN'])") == "[token oneaccess]"
    digest = "import hashlib, os; print(hashlib.sha256(os.environ['ONEACCESS_TOKEN'].encode()).hexdigest())"
    assert lab.run_cell(digest) == hashlib.sha256(lab.served.value_of("oneaccess").encode()).hexdigest()
    lab.run_cell("%load_ext jupyter_tokens")
    assert lab.run_cell("import os; print(os.environ['ONEACCESS_TOKEN'])") == "[token oneaccess]"
    lab.command("notebook:restart-kernel")
    lab.page.get_by_role("button", name="Confirm Kernel Restart").click()
    lab.command("jupyter-tokens:refresh-all")
    expect(lab.card("oneaccess")).not_to_contain_text("held by")


@long
@IN_BOTH
@pytest.mark.skipif(not IR.is_dir(), reason="needs R and IRkernel: apt-get install r-cran-irkernel")
def test_injects_into_an_r_kernel(lab: Lab) -> None:
    lab.open_notebook("r.ipynb", "R")
    expect(lab.panel).to_contain_text("r.ipynb")
    lab.press("modelarts", "Inject")
    expect(lab.card("modelarts")).to_contain_text("MODELARTS_TOKEN is set in r.ipynb (r).")
    assert lab.run_cell('cat(nchar(Sys.getenv("MODELARTS_TOKEN")))') == str(len(lab.served.value_of("modelarts")))
    lab.press("oneaccess", "Inject")
    expect(lab.card("oneaccess")).to_contain_text("ONEACCESS_TOKEN is set in r.ipynb (r). The server keeps it fresh.")
    expect(lab.card("oneaccess")).to_contain_text("held by r.ipynb (ONEACCESS_TOKEN, kept fresh by the server)")


@long
@IN_BOTH
@pytest.mark.parametrize("language", ["python", "R"])
def test_takes_it_out_of_the_notebook_again(lab: Lab, language: str) -> None:
    if language == "R" and not IR.is_dir():
        pytest.skip("needs R and IRkernel: apt-get install r-cran-irkernel")
    lab.open_notebook(f"out-{language}.ipynb", language)
    expect(lab.button("oneaccess", "Remove")).to_have_count(0)
    lab.press("oneaccess", "Inject")
    expect(lab.card("oneaccess")).to_contain_text(f"held by out-{language}.ipynb")
    lab.press("oneaccess", "Remove")
    expect(lab.card("oneaccess")).to_contain_text(f"Removed from out-{language}.ipynb.")
    expect(lab.card("oneaccess")).not_to_contain_text("held by")
    expect(lab.button("oneaccess", "Remove")).to_have_count(0)
    # The server has it still.
    lab.expect_state("oneaccess", "fresh")
    code = "cat(Sys.getenv('ONEACCESS_TOKEN') != '')" if language == "R" else "print('ONEACCESS_TOKEN' in os.environ)"
    assert lab.run_cell(code if language == "R" else f"import os; {code}").lower() == "false"


@pytest.fixture
def sts(request: pytest.FixtureRequest, served: Served, sandbox: Sandbox, tmp_path: Path) -> Iterator[str]:
    """A profile whose token has several values: one that the server has, or one that it gets for this test."""
    name: str = request.param
    has = name in [one["name"] for one in served.ask("GET", "jupyter-tokens/profiles").json()["profiles"]]
    if not has:
        settings = sandbox.neighbours(tmp_path)[name]
        assert served.ask("PUT", f"jupyter-tokens/profiles/{name}", settings).is_success
    yield name
    if not has:
        served.ask("DELETE", f"jupyter-tokens/profiles/{name}")


@pytest.mark.parametrize(
    ("sts", "names"),
    first(
        [
            (
                "alibaba-sts",
                [f"ALIBABA_CLOUD_{end}" for end in ("ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN")],
            ),
            ("huawei-sts", [f"HUAWEICLOUD_SDK_{end}" for end in ("AK", "SK", "SECURITY_TOKEN")]),
        ]
    ),
    indirect=["sts"],
)
def test_several_values_come_and_go_together(sts: str, names: list[str], lab: Lab) -> None:
    show = f"import os; print([os.environ.get(name, 'nothing') for name in {names}])"
    lab.open_notebook("several.ipynb")
    lab.run_cell(f"import os; os.environ['{names[0]}'] = 'mine'")
    card = lab.card(sts)
    # Before anything is fetched the card says which variables it will fill.
    expect(card.locator("code").first).to_have_text(", ".join(names))
    lab.press(sts, "Inject")
    expect(card).to_contain_text(f"{', '.join(names)} are set in several.ipynb (python). The kernel keeps it fresh.")
    assert lab.run_cell(show).count(f"[token {sts}") == len(names)
    lab.press(sts, "Remove")
    expect(card).to_contain_text("Removed from several.ipynb.")
    expect(card).not_to_contain_text("held by")
    # What was there before is there again.
    assert lab.run_cell(show) == "['mine', 'nothing', 'nothing']"


@long
@IN_BOTH
def test_the_history_is_in_view_and_survives_a_reload(lab: Lab) -> None:
    lab.open_notebook("past.ipynb")
    lab.history()
    past = lab.panel.get_by_role("list", name="History")
    lab.run_cell("%gettoken oneaccess")
    expect(past.get_by_role("listitem").first).to_contain_text("oneaccess given to past.ipynb")
    lab.run_cell("%gettoken eiam")
    # Without asking for it: the server's events bring it.
    expect(past.get_by_role("listitem").first).to_contain_text("eiam given to past.ipynb")
    expect(past.get_by_role("listitem").nth(1)).to_contain_text("eiam fetched from its API")
    assert lab.served.value_of("eiam") not in lab.page.content()
    with_panel(lab)
    lab.history()
    expect(past).to_contain_text("eiam given to past.ipynb")
    lab.history()
    expect(lab.card("eiam")).to_be_visible()


def test_a_click_sets_the_variable_at_once_also_right_after_another(lab: Lab) -> None:
    lab.open_notebook("quick.ipynb")
    lab.press("oneaccess", "Inject")
    expect(lab.card("oneaccess")).to_contain_text("is set in quick.ipynb")
    # In the page's own clock: from the click until the card says so.
    measure = """async name => {
      const card = document.querySelector(`[data-profile="${name}"]`);
      const outcome = card.querySelector('.jp-Tokens-outcome');
      const times = [];
      for (let turn = 0; turn < 11; turn++) {
        const began = performance.now();
        card.querySelector('.jp-Tokens-inject').click();
        await new Promise(resolve => {
          const look = () => {
            const text = outcome.textContent;
            if (card.getAttribute('aria-busy') === 'false' && text.includes('is set in')) {
              watcher.disconnect();
              resolve();
            } else if (text.includes('Waits')) {
              watcher.disconnect();
              times.push(Infinity);
              resolve();
            }
          };
          const watcher = new MutationObserver(look);
          watcher.observe(card, { subtree: true, childList: true, characterData: true, attributes: true });
        });
        times.push(performance.now() - began);
      }
      return times;
    }"""
    times = sorted(lab.page.evaluate(measure, "oneaccess"))
    print("click until set, ms:", [round(time) for time in times])
    # The goal is 150 ms on a quiet machine.
    assert times[len(times) // 2] < 600
    assert len(times) == 11


@IN_BOTH
def test_refreshes_and_forgets(lab: Lab, sandbox: Sandbox) -> None:
    lab.fetch("oneaccess")
    first, asked = lab.served.value_of("oneaccess"), sandbox.requests["oneaccess"]
    lab.press("oneaccess", "Refresh")
    expect(lab.card("oneaccess")).to_have_attribute("aria-busy", "false")
    expect(lab.card("oneaccess")).to_contain_text("Fetched.")
    assert sandbox.requests["oneaccess"] == asked + 1
    assert lab.served.value_of("oneaccess") != first
    lab.press("oneaccess", "Forget")
    lab.expect_state("oneaccess", "none")


@long
def test_a_short_token_ages_and_is_fresh_again(lab: Lab) -> None:
    lab.fetch("short")
    lab.expect_state("short", "aging")
    lab.press("short", "Refresh")
    lab.expect_state("short", "fresh")


@long
def test_a_profile_of_the_hubs_service_is_shown_as_such(lab: Lab) -> None:
    lab.fetch("oneaccess")
    expect(lab.button("oneaccess", "Reveal")).to_be_visible()
    expect(lab.button("oneaccess", "Edit")).to_be_visible()

    def hub(route: Route) -> None:
        """As tests/server/test_hub.py sees a server under a hub answer."""
        answer = route.fetch()
        told = answer.json()
        shared = next(profile for profile in told["profiles"] if profile["name"] == "oneaccess")
        shared.update(origin="the hub's token service", may_reveal=False)
        problem = {"message": "The hub's token service does not answer.", "reason": "service", "retryable": True}
        route.fulfill(response=answer, json={**told, "problem": {**problem, "code": None, "request_id": None}})

    lab.page.route("**/jupyter-tokens/profiles?*", hub)
    lab.fetch("eiam")
    expect(lab.card("oneaccess")).to_contain_text("from the hub's token service")
    for action in ("Reveal", "Copy", "Edit"):
        expect(lab.button("oneaccess", action)).to_have_count(0)
    expect(lab.button("eiam", "Reveal")).to_be_visible()
    expect(lab.panel.get_by_role("alert")).to_contain_text("The hub's token service does not answer.")
    # What is known of the tokens is up to date all the same.
    expect(lab.card("oneaccess").locator("time")).to_be_visible()
    lab.page.unroute_all(behavior="wait")


@IN_BOTH
def test_what_is_shown_is_what_is_copied(lab: Lab) -> None:
    lab.fetch("oneaccess")
    for action in ("Refresh", "Forget"):
        lab.press("oneaccess", "Reveal")
        shown = lab.card("oneaccess").get_by_role("group", name="Token of oneaccess").locator("code")
        expect(shown).to_have_text(lab.served.value_of("oneaccess"))
        lab.press("oneaccess", action)
        expect(shown).to_have_count(0)


@IN_BOTH
def test_a_long_fetch_says_what_it_waits_for_and_can_be_cancelled(lab: Lab, sandbox: Sandbox) -> None:
    sandbox.plan({"api": "oneaccess", "kind": "hang"})
    lab.press("oneaccess", "Fetch")
    expect(lab.card("oneaccess").get_by_role("status")).to_contain_text("Waiting for Huawei Cloud OneAccess…")
    lab.press("oneaccess", "Cancel")
    expect(lab.card("oneaccess")).to_contain_text("Cancelled. The server may still fetch the token.")
    expect(lab.card("oneaccess")).to_have_attribute("aria-busy", "false")
    # It does; were it still on its way, the next test would have the token.
    sandbox.clear_faults()
    lab.expect_state("oneaccess", "fresh")


@long
def test_copies(lab: Lab) -> None:
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.fetch("oneaccess")
    lab.press("oneaccess", "Copy")
    expect(lab.card("oneaccess")).to_contain_text("Copied")
    assert lab.page.evaluate("navigator.clipboard.readText()") == lab.served.value_of("oneaccess")
    assert lab.served.value_of("oneaccess") not in lab.page.content()


@IN_BOTH
def test_a_refused_signature_shows_the_vendors_code(lab: Lab) -> None:
    lab.press("refused", "Fetch")
    lab.expect_state("refused", "failed")
    problem = lab.card("refused").get_by_role("alert")
    expect(problem).to_contain_text("SignatureDoesNotMatch")
    expect(problem).to_contain_text("Request id")
    expect(problem).to_contain_text("Check")


def test_parameters_are_sent_and_remembered(lab: Lab, sandbox: Sandbox) -> None:
    lab.press("short", "Parameters of")
    field = lab.card("short").get_by_label("ExpireTime")
    expect(field).to_have_attribute("placeholder", "10")
    with lab.page.expect_request(lambda asked: "/workspaces/" in asked.url and "7200" in (asked.post_data or "")):
        field.fill("7200")
    lab.press("short", "Fetch")
    expect(lab.card("short")).to_contain_text("1:59:")
    with_panel(lab)
    lab.press("short", "Parameters of")
    expect(lab.card("short").get_by_label("ExpireTime")).to_have_value("7200")


@long
def test_search(lab: Lab) -> None:
    lab.panel.get_by_role("searchbox").fill("huawei")
    expect(lab.card("oneaccess")).to_be_visible()
    expect(lab.card("astra")).to_have_count(0)
    lab.panel.get_by_role("searchbox").fill("nothing like it")
    expect(lab.panel).to_contain_text("No profile matches")


def test_a_key_is_typed_and_a_program_is_not_taken_from_a_browser(lab: Lab) -> None:
    form = lab.add()
    # API keys come first among the providers.
    expect(form.field("Provider")).to_have_value("static")
    form.fill({"Name": "my-key", "Provider": "command", "Command": "cat /etc/passwd"})
    form.press("Save and test")
    expect(form.root.get_by_role("alert")).to_contain_text("names a program")
    form.fill({"Provider": "static", "Token": "a-key-that-was-typed", "Where to store Token": "file"})
    form.save()
    form.press("Close")
    lab.expect_state("my-key", "fresh")
    expect(lab.card("my-key")).to_contain_text("API key or personal access token")
    expect(lab.card("my-key")).not_to_contain_text("sandbox")
    assert "a-key-that-was-typed" not in lab.page.content()
    lab.edit("my-key").remove()
    expect(lab.card("my-key")).to_have_count(0)


@long
def test_the_form_shows_one_way_to_sign_in(lab: Lab) -> None:
    form = lab.add()
    form.fill({"Name": "my-notebook"})
    expect(form.field("Environment variable")).to_have_value("MY_NOTEBOOK_TOKEN")
    form.fill({"Provider": "modelarts"})
    expect(form.field("Secret access key")).to_be_visible()
    expect(form.field("Password")).to_have_count(0)
    expect(form.field("API")).not_to_be_visible()
    form.fill({"Sign in with": "IAM user"})
    expect(form.field("Password")).to_have_attribute("required", "")
    expect(form.field("Secret access key")).to_have_count(0)
    expect(form.field("Endpoint")).to_have_attribute("required", "")
    form.fill({"Region": "cn-north-4"})
    expect(form.field("Endpoint")).not_to_have_attribute("required", "")
    # The browser itself leads to the first field that is missing.
    form.press("Save and test")
    expect(form.field("IAM user name")).to_be_focused()
    form.root.get_by_text("Advanced").click()
    expect(form.field("API")).to_be_visible()


@IN_BOTH
@pytest.mark.parametrize("where", first(["keyring", "file"]))
def test_a_profile_is_added_with_a_secret_changed_and_removed(lab: Lab, sandbox: Sandbox, where: str) -> None:
    client_id, client_secret = next(iter(sandbox.accounts.oneaccess.items()))
    sent: list[Any] = []
    lab.page.on("response", lambda answer: sent.append(answer) if "jupyter-tokens" in answer.url else None)
    form = lab.add()
    form.fill({"Name": f"mine-{where}", "Provider": "oneaccess", "Endpoint": sandbox.url, "Client ID": client_id})
    form.fill({"Client secret": "wrong", "Where to store Client secret": where})
    form.press("Save and test")
    expect(form.root.get_by_role("alert")).to_contain_text("Check")
    expect(form.field("Client secret")).to_have_value("")
    form.fill({"Client secret": client_secret})
    form.save()
    form.press("Close")
    lab.expect_state(f"mine-{where}", "fresh")
    form = lab.edit(f"mine-{where}")
    expect(form.field("Client secret")).to_have_value("")
    form.fill({"Environment variable": "MINE_TOKEN"})
    form.save()
    for answer in sent:
        assert answer.request.method != "GET" or client_secret not in answer.text()
    config = (lab.served.home / "config" / "jupyter_tokens_config.json").read_text()
    assert client_secret not in config
    assert f"mine-{where}.client_secret" in config
    form.remove()
    expect(lab.card("oneaccess")).to_be_visible()
    expect(lab.card(f"mine-{where}")).to_have_count(0)
    assert not list((lab.served.home / "config").glob(f"jupyter_tokens_secrets/*mine-{where}*"))
