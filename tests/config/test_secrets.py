"""References to secrets, and what goes wrong with them."""

from __future__ import annotations

import os
import shlex
import signal
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tokens.config import secrets
from jupyter_tokens.config.secrets import SecretRef, mode_problem
from jupyter_tokens.errors import SecretError
from jupyter_tokens.token import Secret

from ..doubles import CANARY, told

ORIGIN = "profile 'mine', key 'api_token'"


def ref(text: str, base: Path | None = None) -> SecretRef:
    return SecretRef.parse(text, origin=ORIGIN, base=base)


def refused(text: str, base: Path | None = None) -> SecretError:
    with pytest.raises(SecretError) as caught:
        ref(text, base).resolve()
    error = caught.value
    assert error.unsent
    assert not error.retryable
    assert error.message.startswith(ORIGIN)
    assert CANARY not in told(error)
    assert error.__context__ is None
    return error


def script(tmp_path: Path, code: str) -> str:
    file = tmp_path / "program.py"
    file.write_text(code)
    return f"command:{shlex.quote(sys.executable)} {shlex.quote(str(file))}"


def private(file: Path, content: bytes, mode: int = 0o600) -> Path:
    file.write_bytes(content)
    file.chmod(mode)
    return file


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("env:NAME", "env", "NAME"),
        ("file:/a/b", "file", "/a/b"),
        ("file: ~/b ", "file", "~/b"),
        ("keyring:a/b", "keyring", "a/b"),
        ("command:pass show x", "command", "pass show x"),
        ("plain", "literal", "plain"),
        ("https://x", "literal", "https://x"),
        ("ENV:NAME", "literal", "ENV:NAME"),
        ("", "literal", ""),
        (" env:NAME", "literal", " env:NAME"),
    ],
)
def test_parse(text: str, kind: str, target: str) -> None:
    parsed = SecretRef.parse(text)
    assert (parsed.kind, parsed.target) == (kind, target)


@given(st.text())
def test_whatever_is_no_reference_is_a_literal_as_it_is(text: str) -> None:
    if text.partition(":")[0] not in SecretRef.KINDS:
        assert SecretRef.parse(text) == SecretRef("literal", text)


@pytest.mark.parametrize("kind", SecretRef.KINDS)
def test_nothing_behind_the_colon_is_refused(kind: str) -> None:
    with pytest.raises(SecretError, match=f"{kind}: is incomplete") as caught:
        ref(f"{kind}: ")
    assert caught.value.hint.startswith(f"Write {kind}:")


@pytest.mark.parametrize("kind", SecretRef.KINDS)
def test_control_characters_are_refused(kind: str) -> None:
    with pytest.raises(SecretError, match="invisible characters"):
        ref(f"{kind}:a\0b")


def test_repr_hides_literals_and_commands() -> None:
    assert repr(ref(CANARY)) == "<SecretRef literal>"
    assert repr(ref(f"command:echo {CANARY}")) == "<SecretRef command>"
    assert repr(ref("env:NAME")) == "<SecretRef env:NAME>"
    assert CANARY not in f"{ref(CANARY)} {ref(CANARY)!s}"


def test_literal() -> None:
    assert ref(CANARY).resolve().reveal() == CANARY


def test_a_literal_that_is_no_text_is_refused() -> None:
    assert "literal is" in refused("\ud800" + CANARY).message


def test_env(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", CANARY)
    reference = ref("env:A_SECRET")
    assert reference.resolve().reveal() == CANARY
    monkeypatch.setenv("A_SECRET", "changed")
    assert reference.resolve().reveal() == "changed"


def test_env_that_is_not_set() -> None:
    error = refused("env:A_SECRET")
    assert error.message == f"{ORIGIN}: env:A_SECRET is not set."
    assert "A_SECRET" in error.hint


@pytest.mark.skipif(os.name != "posix", reason="the environment is text on Windows")
def test_env_that_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", os.fsdecode(CANARY.encode() + b"\xff"))
    assert refused("env:A_SECRET").message.endswith("is not UTF-8 text.")


class TestOneRuleForAllKinds:
    """What is no part of a secret is dropped, wherever the secret comes from."""

    @pytest.fixture(params=["env", "file", "keyring", "command", "literal"])
    def written(
        self,
        request: pytest.FixtureRequest,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        stored: keyring.backend.KeyringBackend,
    ) -> Callable[[str], str]:
        def write(value: str) -> str:
            file = private(tmp_path / "secret", value.encode())
            monkeypatch.setenv("A_SECRET", value)
            stored.set_password("s", "me", value)
            texts = {
                "env": "env:A_SECRET",
                "file": f"file:{file}",
                "keyring": "keyring:s/me",
                "command": f"command:cat {shlex.quote(str(file))}",
                "literal": value,
            }
            return texts[request.param]

        return write

    @pytest.fixture
    def resolved(self, written: Callable[[str], str]) -> Callable[[str], str]:
        return lambda value: ref(written(value)).resolve().reveal()

    def test_nothing(self, written: Callable[[str], str]) -> None:
        assert refused(written("")).message.endswith("is empty.")

    @pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n", "\r\n\r\n", "\r", "\n\r\n"])
    def test_line_breaks_at_the_end(self, resolved: Callable[[str], str], end: str) -> None:
        assert resolved(CANARY + end) == CANARY

    def test_blanks_and_line_breaks_within_stay(self, resolved: Callable[[str], str]) -> None:
        assert resolved(" a\n\tb \n") == " a\n\tb "

    def test_a_byte_order_mark(self, resolved: Callable[[str], str]) -> None:
        assert resolved("\ufeff" + CANARY) == CANARY

    @pytest.mark.parametrize("value", ["a\\nb", '"quoted"', "-----BEGIN of a password\\n"])
    def test_what_is_no_pem_stays_as_it_is(self, resolved: Callable[[str], str], value: str) -> None:
        assert resolved(value) == value

    def test_pem_with_escaped_line_breaks(self, resolved: Callable[[str], str]) -> None:
        assert resolved(PEM.replace("\n", "\\n")) == PEM


BODY = [letter * 64 for letter in "ABC"] + ["D" * 20 + "=="]
PEM = "\n".join(["-----BEGIN PRIVATE KEY-----", *BODY, "-----END PRIVATE KEY-----"])
HEADERS = ["-----BEGIN RSA PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-256-CBC,0123", ""]
OLD = "\n".join([*HEADERS, *BODY, "-----END RSA PRIVATE KEY-----"])
WIDE = PEM.replace("A" * 64 + "\n" + "B" * 64, "A" * 70 + "\n" + "B" * 58)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (PEM, PEM),
        (WIDE, WIDE),
        (OLD, OLD),
        (PEM + "\n" + PEM, PEM + "\n" + PEM),
        (PEM.replace("\n", "\r\n"), PEM),
        (PEM.replace("\n", "\n    "), PEM),
        (PEM.replace("\n", " "), PEM),
        (PEM.replace("\n", ""), PEM),
        (PEM.replace("\n", r"\n") + r"\n", PEM),
        (PEM.replace("\n", r"\r\n"), PEM),
        (PEM.replace("\n", r"\\n"), PEM),
        (f'"{PEM}"', PEM),
        ("'" + PEM.replace("\n", r"\n") + r"\n'", PEM),
        (f" {PEM} ", PEM),
        (OLD.replace("\n", r"\n"), OLD),
        ("-----BEGIN PRIVATE KEY----- cut off", "-----BEGIN PRIVATE KEY----- cut off"),
        ("Bag Attributes\n" + PEM, "Bag Attributes\n" + PEM),
    ],
)
def test_pem_as_variables_and_env_files_hold_it(monkeypatch: pytest.MonkeyPatch, written: str, meant: str) -> None:
    monkeypatch.setenv("A_SECRET", written)
    assert ref("env:A_SECRET").resolve().reveal() == meant


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_file_in_utf_16_is_refused_and_told_what_it_is(tmp_path: Path, encoding: str) -> None:
    file = private(tmp_path / "secret", CANARY.encode(encoding))
    error = refused(f"file:{file}")
    assert "UTF-16" in error.message
    assert "save it as utf-8" in str(error).lower()


def test_file_relative_to_the_configuration_and_to_home(tmp_path: Path) -> None:
    private(tmp_path / "secret", b"one")
    private(Path.home() / "secret", b"two")
    assert ref("file:secret", tmp_path).resolve().reveal() == "one"
    assert ref("file:~/secret", tmp_path).resolve().reveal() == "two"


def test_file_without_a_base_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private(tmp_path / "secret", b"one")
    monkeypatch.chdir(tmp_path)
    assert ref("file:secret").resolve().reveal() == "one"


@pytest.mark.parametrize("mode", [0o604, 0o660, 0o620, 0o602, 0o601, 0o644, 0o444, 0o777])
def test_file_open_to_others_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    file = private(tmp_path / "a secret", CANARY.encode(), mode)
    error = refused(f"file:{file}")
    assert f"mode {mode:04o}" in error.message
    assert error.hint.startswith(f"Run: chmod 600 '{file}'")


@pytest.mark.parametrize("mode", [0o440, 0o640, 0o750])
def test_file_that_its_group_can_read_is_read_with_one_warning(tmp_path: Path, mode: int) -> None:
    file = private(tmp_path / "s", b"x", mode)
    with pytest.warns(UserWarning, match="its group can read it") as caught:
        values = [ref(f"file:{file}").resolve().reveal() for _ in range(2)]
    assert values == ["x", "x"]
    assert len(caught) == 1
    assert str(file) in str(caught[0].message)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700, 0o610])
def test_file_of_its_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    assert ref(f"file:{private(tmp_path / 's', b'x', mode)}").resolve().reveal() == "x"


def test_there_are_no_modes_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    file, mode = Path("x"), stat.S_IFREG | 0o644
    assert mode_problem(file, mode)
    monkeypatch.setattr(os, "name", "nt")
    assert not mode_problem(file, mode)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("none", "cannot be read (No such file or directory)"),
        (".", "cannot be read (Is a directory)"),
        (os.devnull, "is not a regular file"),
        ("~no-such-user-here/secret", "home folder of an unknown user"),
    ],
)
def test_what_is_no_file(tmp_path: Path, path: str, words: str) -> None:
    assert words in refused(f"file:{path}", tmp_path).message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "is not a regular file" in refused(f"file:{tmp_path / 'pipe'}").message


@pytest.mark.parametrize(
    ("end", "words"), [(b"\xff", "is not UTF-8 text."), (b"x" * 65536, "has more than 65536 bytes")]
)
def test_file_that_is_no_text_or_too_large_is_refused_without_its_content(
    tmp_path: Path, end: bytes, words: str
) -> None:
    assert words in refused(f"file:{private(tmp_path / 's', CANARY.encode() + end)}").message


def test_file_of_just_the_largest_size_is_read(tmp_path: Path) -> None:
    file = private(tmp_path / "s", b"x" * 65536)
    assert len(ref(f"file:{file}").resolve().reveal()) == 65536


def test_keyring(stored: keyring.backend.KeyringBackend) -> None:
    stored.set_password("jupyter/tokens", "me", CANARY)
    assert ref("keyring:jupyter/tokens/me").resolve().reveal() == CANARY


def test_keyring_without_the_entry_says_how_to_store_it(stored: keyring.backend.KeyringBackend) -> None:
    error = refused("keyring:my service/me")
    assert error.message.endswith("is not in the keyring.")
    assert error.hint == "Store it: keyring set 'my service' me"


@pytest.mark.parametrize("target", ["service", "/user", "service/"])
def test_keyring_needs_service_and_user(target: str, stored: keyring.backend.KeyringBackend) -> None:
    assert "keyring:SERVICE/USER" in refused(f"keyring:{target}").message


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (keyring.errors.NoKeyringError(CANARY), "this machine has no keyring"),
        (keyring.errors.KeyringLocked(CANARY), "cannot be read (KeyringLocked)"),
        (keyring.errors.InitError(CANARY), "cannot be read (InitError)"),
        (OSError(CANARY), "cannot be read (OSError)"),
    ],
)
def test_a_keyring_that_fails_is_told_by_its_kind_only(
    stored: keyring.backend.KeyringBackend, monkeypatch: pytest.MonkeyPatch, failure: Exception, words: str
) -> None:
    def fail(service: str, user: str) -> str:
        raise failure

    monkeypatch.setattr(stored, "get_password", fail)
    assert words in refused("keyring:s/me").message


def test_a_keyring_that_waits_for_a_person_is_named_within_the_time_limit(
    stored: keyring.backend.KeyringBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked = threading.Event()
    monkeypatch.setattr(stored, "get_password", lambda service, user: str(unlocked.wait()))
    with pytest.raises(SecretError) as caught:
        SecretRef.parse("keyring:s/me", origin=ORIGIN, seconds=0.1).resolve()
    assert caught.value.message.startswith(f"{ORIGIN}: keyring:s/me cannot be read: the keyring did not answer")
    unlocked.set()
    assert ref("keyring:s/me").resolve().reveal() == "True"


def test_command(tmp_path: Path) -> None:
    text = script(tmp_path, "import sys; print(sys.argv[1:])") + ' "a b" \'$HOME\' "`x`" ; true'
    assert ref(text).resolve().reveal() == "['a b', '$HOME', '`x`', ';', 'true']"


def test_command_gets_no_terminal(tmp_path: Path) -> None:
    assert ref(script(tmp_path, "import sys; print(len(sys.stdin.read()))")).resolve().reveal() == "0"


COMMANDS: list[tuple[Callable[[Path], str], str]] = [
    (lambda path: script(path, f"print('{CANARY}'); raise SystemExit(3)"), "ended with status 3"),
    (lambda path: script(path, f"import sys; print('{CANARY}', file=sys.stderr)"), "is empty"),
    (lambda path: script(path, f"import sys; sys.stdout.buffer.write(b'{CANARY}\\xff')"), "is not UTF-8 text"),
    (lambda path: script(path, f"print('{CANARY}' * 10000)"), "more than 65536 bytes"),
    (lambda path: f"command:{shlex.quote(str(path / 'none'))} {CANARY}", "cannot be run (No such file or directory)"),
    (lambda path: f"command:{shlex.quote(str(path))} {CANARY}", "cannot be run (Permission denied)"),
    (lambda path: f"command:echo '{CANARY}", "cannot be split into words"),
    (lambda path: "command:''", "cannot be run"),
]


@pytest.mark.parametrize(("command", "words"), COMMANDS, ids=[words for _, words in COMMANDS])
def test_a_command_that_fails_shows_nothing_of_what_it_said(
    tmp_path: Path, command: Callable[[Path], str], words: str
) -> None:
    assert words in refused(command(tmp_path)).message


def test_a_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    code = f"print('{CANARY}', flush=True); import threading; threading.Event().wait()"
    with pytest.raises(SecretError, match=r"did not end within 0\.2 s"):
        SecretRef.parse(script(tmp_path, code), seconds=0.2).resolve()


def test_a_command_counts_as_ended_though_a_child_holds_its_output_open(tmp_path: Path) -> None:
    code = f"""
import os, sys
print('{CANARY}', flush=True)
child = os.fork()
if not child:
    import time
    time.sleep(600)
open(sys.argv[0] + '.child', 'w').write(str(child))
"""
    command = script(tmp_path, code)
    try:
        assert ref(command).resolve().reveal() == CANARY
    finally:
        child = int((tmp_path / "program.py.child").read_text())
        # It is alive: what a command leaves behind is not ours to end.
        os.kill(child, signal.SIGKILL)


def test_a_command_that_fails_fails_though_a_child_holds_its_output_open(tmp_path: Path) -> None:
    assert "ended with status 3" in refused(f"command:sh -c 'echo {CANARY}; sleep 1 & exit 3'").message


def test_the_output_of_a_command_that_writes_more_than_a_pipe_holds_is_whole(tmp_path: Path) -> None:
    text = "0123456789abcdef" * 4096
    assert ref(script(tmp_path, "print('0123456789abcdef' * 4096, end='')")).resolve().reveal() == text


def test_a_command_that_never_stops_writing_is_ended(tmp_path: Path) -> None:
    assert "more than 65536 bytes" in refused("command:yes").message


def test_whoever_watches_is_told_of_each_value_until_that_ends() -> None:
    first: list[tuple[str, object]] = []
    second: list[tuple[str, object]] = []
    values = [Secret("one"), Secret("two")]
    end = secrets.watch_values(lambda profile, value: first.append((profile, value)))
    other = secrets.watch_values(lambda profile, value: second.append((profile, value)))
    secrets.notify_watchers("mine", iter(values))
    end()
    secrets.notify_watchers("mine", iter(values[:1]))
    other()
    assert first == [("mine", value) for value in values]
    assert second == [("mine", value) for value in (*values, values[0])]


def test_where_nobody_watches_the_values_are_not_looked_through() -> None:
    values = iter([Secret("one")])
    secrets.notify_watchers("mine", values)
    assert next(values)


def test_what_may_be_missing_is_found_or_not_and_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    (tmp_path / "secret").chmod(0o600)
    found = ref(f"file:{tmp_path / 'secret'}").find()
    assert found is not None
    assert found.reveal() == "s3cret"
    assert ref(f"file:{tmp_path / 'nothing'}").find() is None
    assert ref("env:NOT_SET_ANYWHERE").find() is None
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(SecretError):
        ref(f"file:{tmp_path / 'secret'}").find()


def test_the_token_of_another_profile_is_none_by_itself() -> None:
    with pytest.raises(SecretError, match="can only be used in the settings of a profile"):
        ref("profile:hub").resolve()


def test_a_reference_of_each_user_of_a_service() -> None:
    each = ref("file:/secrets/{user}/astra")
    assert each.is_personal
    assert each.for_user("ana_1").target == "/secrets/ana_1/astra"
    shared = ref("env:NAME")
    assert shared.for_user("ana_1") is shared
    # A literal secret may hold this text by chance.
    assert not ref("{user}").is_personal


@pytest.mark.parametrize("user", ["", "..", "../root", "a/b", "a b", "$(id)", "a\n"])
def test_a_users_name_that_would_change_a_reference(user: str) -> None:
    with pytest.raises(SecretError, match="cannot be used for this user"):
        ref("command:pass show {user}").for_user(user)
