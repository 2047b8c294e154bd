"""The ways in which a value can escape from a kernel: each is stopped, or is not, as docs/redaction.md says."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import nbformat
import pytest
import zmq

from jupyter_tokens._util.encodings import encoded_forms
from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.sandbox import Accounts, Sandbox, running

from ..hearing import started, until_heard
from ..notebook_runs import PatientClient
from .ways_out import NOT_STOPPED, PAGE, PART, RECORDS, REQUESTS, STOPPED, TOKENS, Way, tables

ROOT = Path(__file__).parents[2]
WAIT = 300
SECRET = 'c4n4ry "client" & secret/='
# Half a value waits for the other half for as long as a slow machine takes.
PREPARE = """\
from jupyter_tokens.kernel.redaction import message_hooks
message_hooks.HOLD_SECONDS = 60.0
%load_ext jupyter_tokens
%gettoken oneaccess --var token --env ONEACCESS_TOKEN
import os
value, secret = token.reveal(), SECRET
"""
RUN = 16
LABELS = re.compile(r"\[(token|secret) oneaccess")


class Kernel:
    """A real kernel, all that its client hears of a request, and the log that its server would have."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self.log, log = os.pipe()
        self._manager, self.client = started(
            str(folder / "kernel.json"), env=env, stdout=log, stderr=log, cwd=str(folder)
        )
        os.close(log)
        until_heard(self.client, WAIT)

    def run(self, code: str, *, late: bool = False, **options: Any) -> str:
        """All messages on all channels that cells lead to, as JSON. late : a text comes, maybe after the cell."""
        return "".join(self.hear(self.client.execute(cell, **options), late=late) for cell in code.split("\n---\n"))

    def hear(self, asked: str, *, late: bool = False) -> str:
        heard: list[Any] = []
        idle = replied = False
        while not (idle and replied) or (late and not any(message["msg_type"] == "stream" for message in heard)):
            if self.client.stdin_channel.msg_ready():
                heard.append(self.client.get_stdin_msg(timeout=WAIT))
                self.client.input("answer")
            channels = [self.client.shell_channel, self.client.iopub_channel]
            sockets = [channel.socket for channel in (*channels, self.client.stdin_channel)]
            assert any(zmq.select(sockets, [], [], WAIT)[0]), heard
            for channel in channels:
                while channel.msg_ready():
                    message = channel.get_msg(timeout=WAIT)
                    if message["parent_header"].get("msg_id") != asked:
                        continue
                    message["buffers"] = [bytes(buffer) for buffer in message["buffers"]]
                    heard.append(message)
                    idle |= message["content"].get("execution_state") == "idle"
                    replied |= message["msg_type"].endswith("_reply")
        # What was asked stands in no answer, and is nobody's to redact.
        for message in heard:
            message["content"].pop("code", None)
        parts = [{**part["content"], "note": part["metadata"], "parts": part["buffers"]} for part in heard]
        # However the kernel has divided it.
        texts = ["".join(part["text"] for part in parts if part.get("name") == name) for name in ("stdout", "stderr")]
        return json.dumps([*parts, {"printed": texts}], default=str)

    def logged(self, until: bytes) -> str:
        data = b""
        while until not in data:
            assert select.select([self.log], [], [], WAIT)[0], data
            data += os.read(self.log, 65536)
        return data.decode()

    def close(self) -> None:
        self.client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()
        os.close(self.log)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running(Sandbox(Accounts(oneaccess={"client": SECRET}))) as served:
        yield served


@pytest.fixture(scope="module")
def environment(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a kernel in direct mode, with a home of its own."""
    home = tmp_path_factory.mktemp("home")
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    folders = {name: home / name.lower() for name in names}
    (home / "secrets").mkdir(mode=0o700)
    write_config(folders["JUPYTER_CONFIG_DIR"], sandbox.profiles(home / "secrets"))
    # Under pytest's own variable ipykernel does not watch the file descriptors.
    gone = ("JUPYTER_", "JPY_", "PYTEST_CURRENT_TEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(gone)}
    own = {"HOME": str(home), "JUPYTER_CONFIG_PATH": "", "PYTHONPATH": str(ROOT), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    own["JUPYTER_TOKENS_STORE"] = "none"
    return kept | own | {name: str(folder) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def kernel(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with closing(Kernel(environment, tmp_path_factory.mktemp("kernel"))) as started:
        heard = started.run(PREPARE.replace("SECRET", repr(SECRET)))
        assert '"ename"' not in heard
        assert "cannot search" not in heard
        yield started


@pytest.fixture(scope="module")
def value(sandbox: Sandbox, kernel: Kernel) -> str:
    return list(sandbox.issued)[-1]


def leaks(text: str, value: str) -> list[str]:
    """What is in a text of a value: a form of it, or a run of it, whatever colours, tags and marks are in between."""
    forms = {value.encode().hex(), *encoded_forms(value), *encoded_forms(SECRET)}
    found = [form for form in forms if form in text or json.dumps(form)[1:-1] in text]
    plain = re.sub(r"\\+u001b\[[0-9;]*m|<[^<>]*>|\\+[nrt]", "", text)
    # A JWT's header is that of all others of its kind.
    own = value.partition(".")[2] or value
    bare, own = (re.sub(r"[\W_]", "", each) for each in (plain, own))
    return [*found, *(own[at : at + RUN] for at in range(len(own) - RUN + 1) if own[at : at + RUN] in bare)]


@pytest.fixture
def token(kernel: Kernel, request: pytest.FixtureRequest, value: str) -> Iterator[str]:
    """A value as a provider's, known and in its place."""
    made = TOKENS[request.param]
    change = "value = {value!r}; os.environ['ONEACCESS_TOKEN'] = value"
    kernel.run(f"get_ipython()._jupyter_tokens_redaction.add({made!r}, 'oneaccess'); {change.format(value=made)}")
    yield made
    kernel.run(change.format(value=value))


# Each way always with one provider's token, another one from way to way, and nightly with all of them.
@pytest.mark.parametrize(
    ("way", "token"),
    [
        pytest.param(
            way, kind, id=f"{way.name}-{kind}", marks=[] if at % len(TOKENS) == number else pytest.mark.nightly
        )
        for at, way in enumerate(STOPPED)
        for number, kind in enumerate(TOKENS)
    ],
    indirect=["token"],
)
def test_a_way_is_stopped_for_each_providers_tokens(kernel: Kernel, token: str, way: Way) -> None:
    heard = kernel.run(way.code, late=way.late)
    assert not leaks(heard, token)
    assert LABELS.search(heard), heard


@pytest.mark.parametrize("name", RECORDS)
def test_what_ipython_records_has_no_value(
    environment: dict[str, str], sandbox: Sandbox, tmp_path: Path, name: str
) -> None:
    # What was typed is recorded, so nobody may have typed a value in this kernel.
    with closing(Kernel(environment, tmp_path)) as recorded:
        recorded.run(PREPARE.replace("SECRET", "'no secret'"))
        recorded.run(f"value\n---\nprint(value)\n---\n{RECORDS[name]}")
    written = (tmp_path / "record.txt").read_text(encoding="utf-8")
    assert not leaks(written, list(sandbox.issued)[-1])
    assert LABELS.search(written)


@pytest.mark.parametrize("way", NOT_STOPPED, ids=lambda way: way.name)
def test_a_way_is_not_stopped(kernel: Kernel, value: str, way: Way) -> None:
    assert way.shows(value) in kernel.run(way.code)


ASKED: dict[str, Callable[[Kernel, str], str]] = {
    "user expressions": lambda kernel, _value: kernel.run("", user_expressions={"mine": "value"}),
    "help (`value?`)": lambda kernel, _value: kernel.run("value?"),
    "tooltip (Shift-Tab)": lambda kernel, _value: kernel.hear(kernel.client.inspect("value")),
    "completion of a key (Tab)": lambda kernel, _value: (
        kernel.run("by_token = {value: 1}") + kernel.hear(kernel.client.complete('by_token["'))
    ),
    "history": lambda kernel, value: (
        kernel.run(f"typed = '{value}'") + kernel.hear(kernel.client.history(hist_access_type="tail", n=1))
    ),
    "prompt of `input`": lambda kernel, _value: kernel.run("input(f'{value}? ')", allow_stdin=True),
}


@pytest.mark.parametrize("name", ASKED)
def test_the_answer_to_a_request_is_searched(kernel: Kernel, value: str, name: str) -> None:
    heard = ASKED[name](kernel, value)
    assert not leaks(heard, value)
    assert LABELS.search(heard), heard


def test_a_prompt_does_not_wait_for_the_text_before_it(kernel: Kernel, value: str) -> None:
    heard = kernel.run("print('name', value[:4], end='')\nprint(input())", allow_stdin=True)
    assert f"name {value[:4]}answer" in heard


def test_the_servers_log_has_no_value_that_is_printed(kernel: Kernel, value: str) -> None:
    kernel.run("print(value)\n!echo $ONEACCESS_TOKEN\nos.write(2, b'all is written\\n')")
    assert not leaks(kernel.logged(b"all is written"), value)


def test_the_servers_log_has_what_subprocesses_print_as_it_is(kernel: Kernel, value: str) -> None:
    # A limit that docs/redaction.md and docs/security.md state.
    heard = kernel.run("import subprocess; subprocess.run(['sh', '-c', 'echo $ONEACCESS_TOKEN'])", late=True)
    assert not leaks(heard, value)
    kernel.run("os.write(2, b'all is printed\\n')")
    assert leaks(kernel.logged(b"all is printed"), value)


def test_what_is_revealed_on_purpose_is_shown(kernel: Kernel, value: str) -> None:
    heard = kernel.run(
        "from IPython.display import display\n"
        "from jupyter_tokens.kernel.redaction import revealing\n"
        "print(value)\n"
        "with revealing():\n    print(f'printed {value}')\n    display({'text/plain': f'shown {value}'}, raw=True)\n"
        "print(value)"
    )
    assert f"printed {value}" in heard
    assert f"shown {value}" in heard
    order = heard[: heard.index('{"printed"')]
    assert order.index("[token") < order.index("printed") < order.index("shown") < order.rindex("[token")


def test_one_line_switches_it_off_and_on(kernel: Kernel, value: str) -> None:
    assert value in kernel.run("%config TokenMagics.redact = False\nprint(value)")
    assert value not in kernel.run("%config TokenMagics.redact = True\nprint(value)")


def test_the_configuration_switches_it_off(environment: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> None:
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text("get_config().TokenMagics.redact = False\n", encoding="utf-8")
    with closing(Kernel(environment | {"IPYTHONDIR": str(tmp_path / "ipython")}, tmp_path)) as quiet:
        heard = quiet.run(PREPARE.replace("SECRET", "'no secret'") + "print(value)")
    assert leaks(heard, list(sandbox.issued)[-1])


def test_unloading_and_loading_again(environment: dict[str, str], tmp_path: Path) -> None:
    with closing(Kernel(environment, tmp_path)) as again:
        again.run(PREPARE.replace("SECRET", "'no secret'"))
        assert LABELS.search(again.run("%reload_ext jupyter_tokens\nprint(value)"))
        heard = again.run("%unload_ext jupyter_tokens\nprint(value)")
        assert "no longer kept fresh" in heard
        assert not LABELS.search(heard)
        left = again.run(
            "import sys, threading\nkernel = get_ipython().kernel\n"
            "print({'send', 'serialize'} & vars(kernel.session).keys(), type(sys.stdout).__mro__[0].__module__,"
            " [t.name for t in threading.enumerate() if 'jupyter_tokens' in t.name])"
        )
        assert "set() ipykernel.iostream []" in left
        assert LABELS.search(again.run("%load_ext jupyter_tokens\n%reload_ext jupyter_tokens\nprint(value)"))


IN_PROCESS = """
from ipykernel.inprocess.manager import InProcessKernelManager
manager = InProcessKernelManager()
manager.start_kernel()
client = manager.client()
client.start_channels()
heard = []
for cell in {cells!r}:
    client.execute(cell)
    while client.iopub_channel.msg_ready():
        heard.append(client.iopub_channel.get_msg(timeout=300)["content"])
print(heard)
"""


def test_a_kernel_within_another_process(environment: dict[str, str], tmp_path: Path) -> None:
    cells = [PREPARE.replace("SECRET", "'no secret'"), "print(value)", "value"]
    done = subprocess.run(
        [sys.executable, "-c", IN_PROCESS.format(cells=cells)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT,
    )
    assert done.returncode == 0, done.stderr
    assert len(LABELS.findall(done.stdout)) == 2, done.stdout


def saved(ways: list[Way], environment: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The notebook of these ways, as nbclient saves it, widgets with it; each cell says whose it is."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    for name, setting in environment.items():
        monkeypatch.setenv(name, setting)
    cells = [nbformat.v4.new_code_cell(PREPARE.replace("SECRET", "open('secret').read()"))]
    (folder / "secret").write_text(SECRET, encoding="utf-8")
    for way in ways:
        cells += [nbformat.v4.new_code_cell(part, metadata={"way": way.name}) for part in way.code.split("\n---\n")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    PatientClient(
        notebook,
        kernel_name="python3",
        allow_errors=True,
        store_widget_state=True,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    return notebook


def outputs_of(notebook: Any, way: Way) -> str:
    return json.dumps([cell.outputs for cell in notebook.cells if cell.metadata.get("way") == way.name])


def test_a_saved_notebook_holds_nothing_of_what_is_stopped(
    environment: dict[str, str], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(sandbox.issued)
    notebook = saved(STOPPED, environment, tmp_path, monkeypatch)
    (value,) = set(sandbox.issued) - before
    assert not leaks(nbformat.writes(notebook), value)
    assert LABELS.search(json.dumps(notebook.metadata.widgets))
    shown = {way.name for way in STOPPED if way.late or LABELS.search(outputs_of(notebook, way))}
    # No notebook shows messages of comms; what is in an Output widget is in its state.
    assert {way.name for way in STOPPED} - shown == {
        "Output widget",
        "message of a comm",
        "binary part of a comm's message",
    }


def test_a_saved_notebook_holds_what_is_not_stopped(
    environment: dict[str, str], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(sandbox.issued)
    notebook = saved(NOT_STOPPED, environment, tmp_path, monkeypatch)
    (value,) = set(sandbox.issued) - before
    for way in NOT_STOPPED:
        assert way.shows(value) in outputs_of(notebook, way), way.name


def test_the_documentation_has_the_same_tables() -> None:
    # `python -m tests.e2e.ways_out` writes them.
    part = PART.search(PAGE.read_text(encoding="utf-8"))
    assert part is not None
    assert part[0] == tables()
    assert tuple(ASKED) == REQUESTS
