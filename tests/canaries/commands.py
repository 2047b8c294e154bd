"""What a user does in a terminal, and all that is seen there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import nbformat
import pexpect

from ..cli.machine import SECONDS, Machine, answer_all
from ..e2e.test_escapes import PREPARE
from ..e2e.ways_out import STOPPED
from ..person import Person
from .house import House
from .places import COMMAND, TERMINAL
from .vendors import Vendors

FORMATS = ("value", "env", "json", "header", "exec-credential")
_ADD = "add {0} --provider oneaccess --set endpoint={1} --set client_id=client-{0} --set env={2}_TOKEN --set timeout=20"
_HIDDEN = "Client secret [client_secret] - Client secret of the application (hidden)"
_LONG = 900
_REPORT = (
    "profile = 'nobody'",
    "%load_ext jupyter_tokens\n%gettoken {profile} --env REPORT_TOKEN --file report.token --format header",
    "%gettoken literal --var literal\n%gettoken command --var command\n%gettoken iam",
    "import os\nprint(os.environ['REPORT_TOKEN'], literal.reveal(), [command.headers()], dict(os.environ))",
    "from jupyter_tokens import TokenPanel\nTokenPanel()",
    "%deltoken oneaccess",
)


class Commands:
    """The command line, in the home of the house."""

    def __init__(self, house: House, vendors: Vendors) -> None:
        self._house = house
        self._vendors = vendors
        # Its own PATH leads to the commands.
        self._machine = Machine(house.home, {name: it for name, it in house.variables.items() if name != "PATH"})

    def all(self) -> None:
        self.profiles()
        self.looks()
        self.notebooks()

    def profiles(self) -> None:
        """Added at a hidden prompt of a shell with a history, used there and by themselves, and one removed."""
        variables = {**self._machine.variables, "PS1": "ready> ", "HISTFILE": str(self._house.home / ".bash_history")}
        shell = pexpect.spawn(
            "bash", ["--norc", "-i"], env=variables, cwd=str(self._house.home), encoding="utf-8",
            timeout=SECONDS, dimensions=(40, 250),
        )  # fmt: skip
        seen = ""
        for name, option in (("typed", ""), ("stored", " --store file"), ("removed", "")):
            shell.sendline(f"jupyter tokens {_ADD.format(name, self._vendors.url, name.upper())}{option}")
            seen += answer_all(shell, [(_HIDDEN, self._house.made[name])])
            shell.expect_exact(f"Test ok: profile {name}")
            seen += str(shell.before)
        shell.sendline('eval "$(jupyter tokens get typed --format env)" && env | grep -c ^TYPED_TOKEN= && exit')
        shell.expect(pexpect.EOF)
        seen += str(shell.before)
        shell.close()
        assert shell.exitstatus == 0, seen
        self._house.note(TERMINAL, "a shell", seen)
        for form in FORMATS:
            self._tokens("get", "typed", "--format", form)
        self._tokens("get", "stored", "--refresh")
        self._tokens("remove", "removed", "--yes")
        given = self._house.made["given"]
        add = _ADD.format("given", self._vendors.url, "GIVEN").split()
        self._tokens(*add, "--from-env", "client_secret=GIVEN_SECRET", note="add given", GIVEN_SECRET=given)
        self._tokens("get", "given", "--format", "value", GIVEN_SECRET=given)

    def looks(self) -> None:
        """What tells of profiles, and what goes wrong."""
        self.logs_in()
        self._tokens("list")
        self._tokens("list", "--json")
        self._tokens("providers")
        self._tokens("doctor", code=1)
        self._tokens("get", "wrong", code=1)
        self._tokens("get", "nobody", code=2)
        self._tokens("get", "given", code=2, note="get given without its variable")
        for kind in ("html", "wrong-types"):
            self._vendors.fails("oneaccess", kind)
            self._tokens("get", "oneaccess", code=1, note=f"get oneaccess, {kind}")

    def logs_in(self) -> None:
        """On another device, and out again."""
        terminal = self._machine.terminal("login", "device", "--debug")
        terminal.expect(r"Open (\S+) in any browser, and type the code (\S+)\r\n")
        seen, code = str(terminal.before) + str(terminal.after), terminal.match
        Person().type_code(str(code[1]), str(code[2]))
        terminal.expect("Logged in to device as demo")
        seen += str(terminal.before)
        terminal.wait()
        self._house.note(TERMINAL, "login", seen)
        for words in (("whoami", "device"), ("whoami", "openid", "--json"), ("logout", "device")):
            self._tokens(*words)
        self._tokens("get", "device", code=1, note="get device, logged out")

    def notebooks(self) -> None:
        """Run with nobody there, and looked for tokens."""
        secret = f"open({str(self._house.secrets / 'oneaccess')!r}).read()"
        ways = [PREPARE.replace("SECRET", secret)]
        ways += [part for way in STOPPED for part in way.code.split("\n---\n")]
        self._write("ways.ipynb", ways)
        # nbclient can miss the end of a cell that shows an Output widget: after its time limit it looks again.
        limit = "--ExecutePreprocessor.timeout=60"
        self._python("nbconvert", f"-m nbconvert --debug --execute --allow-errors {limit} --to html ways.ipynb")
        self._write("report.ipynb", _REPORT)
        words = "--log-output --log-level DEBUG report.ipynb report-done.ipynb -p profile oneaccess"
        self._python("papermill", f"-m papermill --execution-timeout 60 {words}")
        self._tokens("scan", "--profiles", str(self._house.work), note="scan")

    def _write(self, name: str, cells: Sequence[str]) -> None:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.cells[0].metadata.tags = ["parameters"]
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self._house.work / name)

    def _tokens(self, *words: str, code: int = 0, note: str = "", **variables: str) -> None:
        done = self._machine.run(*words, "--debug", **variables)
        self._keep(note or " ".join(words), done, code)

    def _python(self, name: str, words: str) -> None:
        done = subprocess.run(
            [sys.executable, *words.split()],
            env=self._machine.variables,
            cwd=self._house.work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONG,
        )
        self._keep(name, done, 0)

    def _keep(self, name: str, done: subprocess.CompletedProcess[str], code: int) -> None:
        self._house.note(COMMAND, f"{name}: stdout", done.stdout)
        self._house.note(COMMAND, f"{name}: stderr", done.stderr)
        assert done.returncode == code, f"{name}: {done.stderr}"
