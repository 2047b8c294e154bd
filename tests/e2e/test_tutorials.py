"""The tutorials run from top to bottom, and what is saved afterwards holds no secret and no token in any form."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

import nbformat
import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from jupyter_tokens.cli.demo import notebooks_folder, write_config
from jupyter_tokens.sandbox import Accounts, Sandbox, running
from jupyter_tokens.sandbox.api import World

from ..notebook_runs import PatientClient
from ..sampling import long
from .test_server_mode import Lab, kernel, lab

ROOT = Path(__file__).parents[2]
ENGINES = ("15-dask", "16-ray", "17-spark")
"""Those whose packages only `make test-scale` installs."""
TUTORIALS = sorted(notebooks_folder().glob("*.ipynb"))
SAMPLE, OTHERS = TUTORIALS[:2], TUTORIALS[2:]
RUN = [
    *SAMPLE,
    *(pytest.param(file, marks=pytest.mark.scale if file.stem in ENGINES else long) for file in OTHERS),
]
DEADLINE = 600


class Told(NamedTuple):
    """What a tutorial has to show; which APIs it asks; what each cell that is meant to fail says, in their order."""

    apis: set[str]
    shows: tuple[str, ...]
    errors: tuple[tuple[str, ...], ...] = ()


TOLD: Mapping[str, Told] = {
    "01-first-token": Told(
        {"modelarts", "pai-dlc", "oneaccess", "astra", "eiam"},
        ("injected: $ONEACCESS_TOKEN", "Ada Lovelace", "ModelArts.6309"),
    ),
    "02-modelarts": Told(
        {"modelarts"},
        (
            "not reported by the API",
            "'api': 'modelarts'",
            "injected: $MY_INSTANCE_TOKEN",
            "/lab',",
            "'RUNNING')",
            "mine: open, it has no lease",
            "leased: open, until its lease ends",
            "stopped: unusable, code None. Start the instance.",
            "frozen: unusable, code None. Check the account's balance.",
            "mistyped: not_found, code ModelArts.6309. Check instance_id",
        ),
        (("UnusableToken", "The instance's status is STOPPED", "request id", "Start the instance."),),
    ),
    "03-pai-dlc": Told(
        {"pai-dlc"},
        (
            "'target_id': 'dlc1a2b3c4d5e6f7'",
            "'target_type': 'tensorboard'",
            "0 calls for 1000 tokens",
            "Still there? False",
            "NoPermission retryable: False",
            "after 2 calls",
        ),
        (
            ("ParameterError", "TargetType must be one of job, tensorboard, not 'jobs'"),
            ("Forbidden", "NoPermission", "request id", "paidlc:GetToken"),
        ),
    ),
    "04-oneaccess": Told(
        {"oneaccess"},
        ("Grace Hopper", "oneaccess.header", "'0o600'", "refreshing soon", "are forgotten.", "(False, False)"),
        (("Unauthorized", "invalid_client", "Check client_id and client_secret"),),
    ),
    "05-astra": Told(
        {"astra"},
        ("never returns the value", "Snapshot Script", "Nightly report", "(204, 401, ", "was it revoked?"),
        (
            ("NoValue", "never returns its value", "create_token"),
            ("NotFound", "https://astra.netapp.io/problems/2", "request id"),
        ),
    ),
    "06-eiam": Told(
        {"eiam"},
        (
            "'application_token_id': 'token_sfrwerxxxxxxxxxxxxxx'",
            "'Status': 'enabled'",
            "<Token eiam … until ",
            "token_expiredxxxxxxxxxxxxx: ask the administrator.",
            "token_mistyped: look it up again. ResourceNotFound.ApplicationToken",
        ),
        (
            ("UnusableToken", "The application token is disabled.", "request id"),
            ("NotFound", "ResourceNotFound.ApplicationToken", "request id"),
        ),
    ),
    "07-long-job": Told({"pai-dlc"}, ("job.token", "token number 3", "never refused", "pai-dlc are forgotten.")),
    "08-widgets": Told(
        {"pai-dlc"}, ("IDaaS EIAM", "injected: $PAI_DLC_TOKEN", "TargetId=dlc1a2b3c4d5e6f7", "'api': 'pai-dlc'")
    ),
    "09-python-api": Told(
        {"oneaccess", "pai-dlc", "modelarts", "astra"},
        (
            "<Token oneaccess … until ",
            "refused: A Token cannot be pickled",
            "httpx: 2 users",
            "requests: 2 users",
            "20 tokens, 1 call",
            "Did you mean oneaccess?",
            "Did you mean TargetId?",
            "code ModelArts.6309",
            "True revoked: 204",
        ),
    ),
    "10-headless": Told(
        {"oneaccess", "modelarts"},
        ("['Ada Lovelace', 'Grace Hopper']", "ModelArts.6309", "request id"),
    ),
    "11-real-cloud": Told(
        {"oneaccess"},
        (
            "https://pai-dlc.cn-hangzhou.aliyuncs.com",
            "key 'provider' names no installed provider",
            "Did you mean client_secret?",
            "must be https",
            "can only be switched off for loopback",
            "fine",
            "a literal secret in a file that others can access",
            "injected: $ONEACCESS_TOKEN",
            "Ada Lovelace",
        ),
    ),
    "12-sts-and-sdk": Told(
        {"alibaba-sts", "pai-dsw"},
        (
            "$ALIBABA_CLOUD_SECURITY_TOKEN (SecurityToken)",
            "('AccessKeyId', 'AccessKeySecret', 'SecurityToken')",
            "role/adminrole/tutorial",
            "signed with STS.…",
            "0 calls of STS for 5 calls of the SDK",
            "tutorial-role are forgotten.",
        ),
        (
            ("NotFound", "EntityNotExist.Role", "request id"),
            ("ParameterError", "DurationSeconds must be at least 900"),
        ),
    ),
    "13-pai-dsw": Told(
        {"pai-dsw"},
        (
            "injected: $PAI_DSW_TOKEN",
            "'instance_id': 'dsw-730abcdefghij'",
            "True True",
            "Still there? False",
            "True True\n'pai-dsw'",
            "ValidationError: correct the request, because it will not get better. Retry? False",
            "tutorial-instance are forgotten.",
        ),
        (
            ("InvalidRequest", "ValidationError", "request id"),
            ("ParameterError", "ExpireTime must be a whole number"),
        ),
    ),
    **dict.fromkeys(
        ("14-processes", *ENGINES),
        Told({"pai-dlc"}, ("<TokenAuth pai-dlc>", "2 processes, several tokens each: True, none refused")),
    ),
}
# With what JSON, URLs and HTML write otherwise, where the vendor's protocol bears it.
CANARIES = (
    'c4n4ry "ali" & b/a+b\\a',
    "c4n4ry <huawei> k=e/y?",
    "c4n4ry-pässword%",
    "c4n4ry&client+secret/=",
    "c4n4ry.astra~b/e+r==",
)


@pytest.fixture
def sandbox(config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    # The kernel runs in a folder of its own, where a relative path of this run leads nowhere.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    alibaba, huawei, iam, oneaccess, astra = CANARIES
    accounts = Accounts(
        alibaba={"LTAI5tTutorial": alibaba},
        huawei={"HWTUTORIAL": huawei},
        iam={"tutorial": iam},
        oneaccess={"tutorial-client": oneaccess},
        astra=[astra],
    )
    with running(Sandbox(accounts)) as served:
        secrets = tmp_path / "secrets"
        secrets.mkdir(mode=0o700)
        write_config(config_dir, served.profiles(secrets))
        # A token that was revoked is dead, but still looked for.
        monkeypatch.setattr(
            World, "revoke", lambda world, value: world.issue(value, replace(world.issued[value], expires_at=0.0))
        )
        yield served


def run(notebook: nbformat.NotebookNode, folder: Path) -> str:
    """Runs it as `jupyter execute` does; returns the text of the saved file."""
    folder.mkdir()
    client = PatientClient(
        notebook,
        kernel_name="python3",
        store_widget_state=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    saved = folder / "saved.ipynb"
    nbformat.write(notebook, saved)
    return saved.read_text(encoding="utf-8")


def forms(secret: str) -> dict[str, str]:
    """The ways in which a value may stand in a file."""
    found = {
        "raw": secret,
        "json": json.dumps(secret, ensure_ascii=False)[1:-1],
        "json in ascii": json.dumps(secret)[1:-1],
        "json in json": json.dumps(json.dumps(secret)[1:-1])[1:-1],
        "url": quote(secret, safe=""),
        "path": quote(secret),
        "form": quote_plus(secret),
        "html": escape(secret),
        "html in json": json.dumps(escape(secret))[1:-1],
        "hex": secret.encode().hex(),
    }
    data = secret.encode()
    for offset in range(3):
        # What stands before and after changes the characters at both ends; those between are always these.
        begin, end = -(-offset * 8 // 6), (offset + len(data)) * 8 // 6
        text = base64.b64encode(b"\0" * offset + data).decode()[begin:end]
        found[f"base64 at {offset}"] = text
        found[f"base64url at {offset}"] = text.translate(str.maketrans("+/", "-_"))
    return found


def leaks(text: str, sandbox: Sandbox) -> set[str]:
    """The forms in which a secret or a token of the sandbox is in a text."""
    issued = sandbox.issued
    return {form for value in (*CANARIES, *issued) for form, written in forms(value).items() if written in text}


def check(name: str, notebook: nbformat.NotebookNode) -> str:
    """Sees that it has shown what it should, and failed where it should; returns what it showed."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    # What a cell prints may come in several parts, wherever the kernel's clock cuts it.
    ends = {"stream": ""}
    shown = "".join(text_of(output) + ends.get(output.output_type, "\n") for cell in cells for output in cell.outputs)
    for text in TOLD[name].shows:
        assert text in shown, shown
    # Nothing had to be redacted either.
    assert not re.search(r"\[(token|secret) ", shown)
    failed = [[output for output in cell.outputs if output.output_type == "error"] for cell in cells]
    assert [bool(errors) for errors in failed] == [
        "raises-exception" in cell.metadata.get("tags", ()) for cell in cells
    ]
    for errors, texts in zip(filter(None, failed), TOLD[name].errors, strict=True):
        assert len(errors) == 1
        assert errors[0].traceback[0].startswith("TokenError: "), "a card, not a traceback"
        told = "\n".join([errors[0].ename, *errors[0].traceback])
        for text in texts:
            assert text in told
    return shown


def text_of(output: nbformat.NotebookNode) -> str:
    if output.output_type == "stream":
        return str(output.text)
    return str(output.data["text/plain"]) if "data" in output else ""


@pytest.mark.parametrize("file", RUN, ids=lambda file: file.stem)
def test_a_tutorial_runs_and_saves_no_secret(file: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    text = run(notebook, tmp_path / "work")
    shown = check(file.stem, notebook)
    assert set(re.findall(r"^ *source: (\w+)", shown, re.MULTILINE)) <= {"direct"}
    assert {api for api, count in sandbox.requests.items() if count} == TOLD[file.stem].apis
    assert sandbox.issued, "there are values to look for"
    assert not leaks(text, sandbox)
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["saved.ipynb"]


@long
def test_the_tutorials_run_on_a_jupyter_server(sandbox: Sandbox, config_dir: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with lab(work, config_dir) as server:
        server.log_in()
        for file in (file for file in TUTORIALS if file.stem not in ENGINES):
            notebook = nbformat.read(file, as_version=4)
            with kernel(server) as client:
                for cell in notebook.cells:
                    if cell.cell_type == "code":
                        run_cell(client, cell)
            end_kernels(server)
            shown = check(file.stem, notebook)
            assert set(re.findall(r"^ *source: (.+)", shown, re.MULTILINE)) <= {"Jupyter server"}
            assert not leaks(nbformat.writes(notebook), sandbox)
    assert not list(work.iterdir())


def run_cell(client: BlockingKernelClient, cell: nbformat.NotebookNode) -> None:
    """Runs a cell as a front end does, and keeps what it shows."""

    def keep(message: dict[str, Any]) -> None:
        if message["msg_type"] == "update_display_data":
            # The card in place of the line that a slow fetch shows.
            message = {**message, "msg_type": "display_data"}
        if message["msg_type"] in {"stream", "display_data", "execute_result", "error"}:
            cell.outputs.append(nbformat.v4.output_from_msg(message))

    reply = client.execute_interactive(cell.source, output_hook=keep, timeout=DEADLINE)
    cell.execution_count = reply["content"]["execution_count"]


def end_kernels(server: Lab) -> None:
    for started in server.user.get(f"{server.url}/api/kernels").json():
        headers = {"X-XSRFToken": server.user.cookies["_xsrf"]}
        ended = server.user.delete(f"{server.url}/api/kernels/{started['id']}", headers=headers)
        assert ended.status_code == 204


@pytest.mark.parametrize(
    ("program", "result"), [("papermill", "2026-11-22.ipynb"), ("jupyter execute", "nightly.ipynb")]
)
def test_the_commands_of_the_tutorial_run_it(program: str, result: str, sandbox: Sandbox, tmp_path: Path) -> None:
    shutil.copy(notebooks_folder() / "10-headless.ipynb", tmp_path)
    tutorial = nbformat.read(tmp_path / "10-headless.ipynb", as_version=4)
    command = re.search(
        rf"^{program} (\S+\.ipynb .*)$", "\n".join(cell.source for cell in tutorial.cells), re.MULTILINE
    )
    assert command is not None
    started = [sys.executable, "-m", *program.split(), *shlex.split(command[1])]
    done = subprocess.run(started, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / result).read_text(encoding="utf-8")
    executed = nbformat.reads(text, as_version=4)
    shown = "\n".join(text_of(output) for cell in executed.cells for output in cell.get("outputs", ()))
    assert "source: direct" in shown
    assert "['Ada Lovelace', 'Grace Hopper']" in shown
    injected = any("injected-parameters" in cell.metadata.get("tags", ()) for cell in executed.cells)
    assert injected == (program == "papermill")
    assert not leaks(text + done.stdout + done.stderr, sandbox)


def test_a_leak_would_be_found_in_each_form(sandbox: Sandbox, tmp_path: Path) -> None:
    program = """
import base64, html, json, urllib.parse
from jupyter_tokens import get_token
from pathlib import Path
values = [get_token("oneaccess").reveal()]
values += [file.read_text(encoding="utf-8") for file in sorted(Path({secrets!r}).iterdir())]
for value in values:
    print(value)
    print(json.dumps(value), html.escape(value))
    print(urllib.parse.quote(value, safe=""), urllib.parse.quote(value), urllib.parse.quote_plus(value))
    print(value.encode().hex())
    for before in ("", ".", ".."):
        print(base64.b64encode((before + value + "and more").encode()).decode())
        print(base64.urlsafe_b64encode((before + value + "and more").encode()).decode())
"""
    source = program.format(secrets=str(tmp_path / "secrets"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    assert leaks(run(notebook, tmp_path / "work"), sandbox) >= set(forms("any"))


def test_a_leak_into_a_widget_would_be_found(sandbox: Sandbox, tmp_path: Path) -> None:
    source = """
from ipywidgets import Text
from jupyter_tokens import get_token
Text(value=get_token("oneaccess").reveal()); None
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    text = run(notebook, tmp_path / "work")
    assert not notebook.cells[0].outputs
    assert "raw" in leaks(text, sandbox)


@pytest.mark.parametrize("file", TUTORIALS, ids=lambda file: file.stem)
def test_a_tutorial_in_git_holds_no_outputs(file: Path) -> None:
    notebook = nbformat.read(file, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert set(cell.metadata) <= {"tags"}
    assert any(cell.cell_type == "code" for cell in notebook.cells)


@pytest.mark.parametrize("file", TUTORIALS, ids=lambda file: file.stem)
def test_a_tutorial_says_what_one_learns_and_where_to_go_next(file: Path) -> None:
    first, *_, last = nbformat.read(file, as_version=4).cells
    assert first.source.startswith("# ")
    assert "**You learn** " in first.source
    assert last.cell_type == "markdown"
    assert "**Next" in last.source


def test_links_between_the_tutorials_lead_somewhere() -> None:
    names = {file.name for file in TUTORIALS}
    linked = [set(re.findall(r"\]\((?!https://)([^)]*)\)", file.read_text(encoding="utf-8"))) for file in TUTORIALS]
    assert set.union(*linked) <= names
    # From the first one, each other one.
    assert linked[0] == names - {TUTORIALS[0].name}


def test_the_documentation_lists_each_tutorial() -> None:
    page = (ROOT / "docs" / "tutorials.md").read_text(encoding="utf-8")
    assert sorted(set(re.findall(r"`(\d\d-[a-z0-9-]+)`", page))) == [file.stem for file in TUTORIALS]


def test_the_tutorials_hold_nothing_that_a_scan_finds() -> None:
    command = [sys.executable, "-m", "jupyter_tokens.cli.app", "scan", "--json", str(notebooks_folder())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"findings": [], "notebooks": len(TUTORIALS), "unreadable": [], "skipped": []}


def test_there_is_a_tutorial_for_each_use() -> None:
    assert [file.stem for file in TUTORIALS] == sorted(TOLD)
