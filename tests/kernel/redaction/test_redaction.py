"""Redaction in kernels and in plain IPython: what is known, that it can be switched off, that it leaves no trace."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from jupyter_client.session import Session

from jupyter_tokens.client import Client
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.config.secrets import notify_watchers
from jupyter_tokens.errors import Unauthorized
from jupyter_tokens.kernel import redaction
from jupyter_tokens.kernel.redaction import known_values, revealing
from jupyter_tokens.protocol.proof import FILLED_VARIABLE
from jupyter_tokens.sandbox import Sandbox
from jupyter_tokens.server.snippets import EXPRESSION, snippet, with_record
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.token import Secret, Token

from ...doubles import Clock
from ..shells import a_shell
from .sessions import Publisher, received

VALUE = "7211546f57cd432790643bb6612da19d"


class Kernel:
    """The part of ipykernel's kernel that redaction looks for."""

    def __init__(self) -> None:
        self.session: Any = Session(key=b"key")  # Any: it sends to doubles of sockets
        self.iopub = Publisher()

    def tells(self, text: str) -> str:
        """What a client gets of a text."""
        self.session.send(self.iopub, "display_data", {"text": text})
        told: str = received(self.iopub.sent)[-1]["content"]["text"]
        return told


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    with a_shell() as made:
        yield made
        redaction.stop(made)


@pytest.fixture
def kernel(shell: Any) -> Kernel:  # Any: a kernel's shell has more than IPython's
    made = shell.kernel = Kernel()
    shell.displayhook.session = shell.display_pub.session = made.session
    return made


@pytest.fixture
def client(sandbox: Sandbox, tmp_path: Path) -> Iterator[Client]:
    made = Client(Profiles.from_settings(sandbox.profiles(tmp_path)))
    yield made
    made.close()


def known(shell: InteractiveShell) -> redaction.Redaction:
    found: redaction.Redaction = shell._jupyter_tokens_redaction  # type: ignore[attr-defined]
    return found


def test_a_token_is_known_once_it_has_arrived_and_so_are_its_successors(
    shell: InteractiveShell, kernel: Kernel, client: Client
) -> None:
    redaction.start(shell, client)
    first = client.get("oneaccess").reveal()
    second = client.get("oneaccess", refresh=True).reveal()
    assert kernel.tells(f"{first} {second}") == "[token oneaccess] [token oneaccess]"


def test_a_token_that_was_held_before_is_known(shell: InteractiveShell, kernel: Kernel, client: Client) -> None:
    value = client.get("eiam").reveal()
    redaction.start(shell, client)
    assert kernel.tells(value) == "[token eiam]"


class Elsewhere:
    """A source whose tokens are fetched by somebody else: the Jupyter server."""

    def watch(self, arrived: Callable[[Key, Token], None]) -> Callable[[], None]:
        self.arrived = arrived
        return lambda: None

    def keys(self) -> list[Key]:
        return [Key("gone")]

    def held(self, key: Key) -> None:
        """What was fetched before is gone."""


def test_a_token_that_the_server_fetched_is_known(shell: InteractiveShell, kernel: Kernel) -> None:
    client, source = Client(Profiles.from_settings({})), Elsewhere()
    client._source = source  # type: ignore[assignment]
    redaction.start(shell, client)
    assert kernel.tells(VALUE) == VALUE
    made = datetime(2026, 1, 15, tzinfo=UTC)
    source.arrived(Key("mine"), Token(VALUE, profile="mine", provider="x", obtained_at=made))
    assert kernel.tells(VALUE) == "[token mine]"


def test_the_secrets_of_a_profile_are_known_once_they_have_been_used(
    shell: InteractiveShell, kernel: Kernel, client: Client, tmp_path: Path
) -> None:
    redaction.start(shell, client)
    client.get("oneaccess")
    assert isinstance(client.source, LocalSource)
    profile = client.source.profiles()["oneaccess"]
    secrets = {name: secret.reveal() for name, secret in profile.secrets().items()}
    assert kernel.tells(secrets["client_secret"]) == "[secret oneaccess]"
    # An id is no secret, and may be an ordinary word.
    assert kernel.tells(secrets["client_id"]) == secrets["client_id"]


def test_a_secret_that_the_api_refuses_is_known(shell: InteractiveShell, kernel: Kernel, sandbox: Sandbox) -> None:
    profile = {"provider": "oneaccess", "endpoint": sandbox.url, "client_id": "x", "client_secret": "wr0ng-5ecret"}
    client = Client(Profiles.from_settings({"mine": profile}))
    redaction.start(shell, client)
    with pytest.raises(Unauthorized):
        client.get("mine")
    assert kernel.tells("wr0ng-5ecret") == "[secret mine]"
    client.close()


def test_a_created_token_is_known_although_nobody_keeps_it(
    shell: InteractiveShell, kernel: Kernel, client: Client
) -> None:
    redaction.start(shell, client)
    created = client.source.create("astra", {"name": "one"})
    assert kernel.tells(created.reveal()) == "[token astra]"


def test_a_secret_beside_a_token_is_known(shell: InteractiveShell, kernel: Kernel, client: Client) -> None:
    redaction.start(shell, client)
    made = datetime(2026, 1, 15, tzinfo=UTC)
    token = Token(None, profile="p", provider="x", obtained_at=made, metadata={"id_token": Secret(VALUE), "scope": "s"})
    notify_watchers("p", [token])
    assert kernel.tells(VALUE) == "[secret p]"


def test_a_token_that_has_ended_makes_room_and_a_secret_does_not(
    shell: InteractiveShell, kernel: Kernel, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_values, "MAX_VALUES", 2)
    clock = Clock()
    redaction.start(shell, client, clock=clock)
    start = datetime.fromtimestamp(clock.now(), UTC)
    values = [sha256(bytes([number])).hexdigest() for number in range(3)]
    notify_watchers("p", [Secret("a-secret-of-p")])
    for value in values:
        ends = start + timedelta(minutes=1)
        notify_watchers("p", [Token(value, profile="p", provider="x", obtained_at=start, expires_at=ends)])
    assert [kernel.tells(value) for value in values] == ["[token p]"] * 3
    clock.advance(61)
    notify_watchers("p", [Secret("another-secret-of-p")])
    assert [kernel.tells(value) for value in values] == [values[0], values[1], "[token p]"]
    assert kernel.tells("a-secret-of-p another-secret-of-p") == "[secret p] [secret p]"


def test_nothing_is_opened_that_nobody_asked_for(shell: InteractiveShell, kernel: Kernel, client: Client) -> None:
    redaction.start(shell, client)
    kernel.tells("text")
    assert client._source is None


def test_a_token_that_the_server_pushes_is_known(shell: InteractiveShell, kernel: Kernel, client: Client) -> None:
    redaction.start(shell, client)
    sent = with_record("PUSHED", "acme", {}, snippet("python", {"PUSHED": VALUE}))
    try:
        told = shell.user_expressions({EXPRESSION: sent.expression})
        assert told[EXPRESSION]["status"] == "ok"
        assert os.environ["PUSHED"] == VALUE
        assert kernel.tells(VALUE) == "[token acme]"
        assert shell.user_expressions({"other": "1"})["other"]["status"] == "ok"
    finally:
        for variable in ("PUSHED", FILLED_VARIABLE):
            os.environ.pop(variable, None)


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ('{"MINE": {"profile": "acme", "params": {}}}', "[token acme]"),
        ('{"OTHER": {"profile": "acme", "params": {}}}', VALUE),
        ('{"MINE": "acme"}', VALUE),
        ("[]", VALUE),
        ("not JSON", VALUE),
        ("[" * 60_000, VALUE),
    ],
)
def test_what_the_server_has_put_there_before_is_known_without_the_configuration(
    shell: InteractiveShell,
    kernel: Kernel,
    config_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    note: str,
    expected: str,
) -> None:
    (config_dir / "jupyter_tokens_config.json").write_text("{", encoding="utf-8")
    monkeypatch.setenv(FILLED_VARIABLE, note)
    monkeypatch.setenv("MINE", VALUE)
    redaction.start(shell, Client(Profiles.from_settings({})))
    assert kernel.tells(VALUE) == expected


def test_it_can_be_switched_off_and_on(shell: InteractiveShell, kernel: Kernel, client: Client) -> None:
    switch = [True]
    redaction.start(shell, client, lambda: switch[-1])
    known(shell).add(VALUE, "x")
    assert kernel.tells(VALUE) == "[token x]"
    switch.append(False)
    assert kernel.tells(VALUE) == VALUE
    switch.append(True)
    assert kernel.tells(VALUE) == "[token x]"


def test_what_is_sent_on_purpose_passes(shell: InteractiveShell, kernel: Kernel, client: Client) -> None:
    redaction.start(shell, client)
    known(shell).add(VALUE, "x")
    with revealing():
        assert kernel.tells(VALUE) == VALUE
    assert kernel.tells(VALUE) == "[token x]"


def test_starting_twice_is_starting_once_and_stopping_leaves_no_trace(
    shell: InteractiveShell, kernel: Kernel, client: Client
) -> None:
    kernel.tells("the first message")
    assert shell.logger  # IPython makes it when it is first used
    before = {**vars(shell)}, {**vars(kernel.session)}, {**vars(sys.stdout)}
    for _ in range(2):
        redaction.start(shell, client)
        first = known(shell)
        redaction.start(shell, client)
        assert known(shell) is first
        first.add(VALUE, "x")
        assert kernel.tells(VALUE) == "[token x]"
        redaction.stop(shell)
        redaction.stop(shell)
        assert kernel.tells(VALUE) == VALUE
    after = {**vars(shell)}, {**vars(kernel.session)}, {**vars(sys.stdout)}
    after[0].pop("_jupyter_tokens_redaction")
    assert [each.keys() for each in after] == [each.keys() for each in before]
    client.get("oneaccess")
    assert kernel.tells(client.get("oneaccess").reveal()) == client.get("oneaccess").reveal()


def test_the_made_up_value_is_not_left_among_the_known(shell: InteractiveShell, kernel: Kernel, client: Client) -> None:
    redaction.start(shell, client)
    assert "0 values" in repr(known(shell).search())


class _Unsearched(Session):
    """Packs its messages itself, as a future session may."""

    def send(self, stream: Any, msg_or_type: Any, *args: Any, **kwargs: Any) -> Any:
        if msg_or_type == "display_data":
            return stream.send_multipart(Session.serialize(self, self.msg(msg_or_type, kwargs["content"])))
        return super().send(stream, msg_or_type, *args, **kwargs)


class _Failing(Session):
    def send(self, *args: Any, **kwargs: Any) -> Any:
        raise OSError("no")


class _Unsigned(Session):
    def sign(self, msg_list: list[bytes]) -> bytes:
        return os.urandom(4).hex().encode()


@pytest.mark.parametrize(
    ("session", "complaint"),
    [
        (_Unsearched, "was not redacted"),
        (_Failing, "OSError"),
        (_Unsigned, "a wrong signature"),
        (None, "several sessions"),
    ],
)
def test_a_kernel_that_cannot_be_searched_is_told_of_and_narrower_hooks_serve(
    shell: Any, kernel: Kernel, client: Client, session: type[Session] | None, complaint: str
) -> None:
    if session is not None:
        kernel.session = session(key=b"key")
        shell.display_pub.session = kernel.session
    shell.displayhook.session = Session(key=b"key") if session is None else kernel.session
    with pytest.warns(UserWarning, match=complaint):
        redaction.start(shell, client)
    assert not {"send", "serialize"} & vars(kernel.session).keys()
    known(shell).add(VALUE, "x")
    shell.user_ns["value"] = VALUE
    with capture_output() as captured:
        shell.run_cell("value")
    assert VALUE not in captured.stdout


@pytest.mark.filterwarnings("ignore:jupyter_tokens cannot search")
@pytest.mark.parametrize("has_session", [True, False])
def test_the_narrower_hooks_know_what_the_server_pushes(shell: Any, client: Client, *, has_session: bool) -> None:
    if has_session:
        shell.kernel = Kernel()
        shell.kernel.session = shell.displayhook.session = shell.display_pub.session = _Failing(key=b"key")
    redaction.start(shell, client)
    sent = with_record("PUSHED", "acme", {}, snippet("python", {"PUSHED": VALUE}))
    try:
        shell.user_expressions({EXPRESSION: sent.expression})
        with capture_output() as captured:
            shell.run_cell("__import__('os').environ['PUSHED']")
    finally:
        for variable in ("PUSHED", FILLED_VARIABLE):
            os.environ.pop(variable, None)
    assert "[token acme]" in captured.stdout
    assert VALUE not in captured.stdout


def test_in_plain_ipython_the_narrower_hooks_serve_without_a_word(shell: InteractiveShell, client: Client) -> None:
    redaction.start(shell, client)
    known(shell).add(VALUE, "x")
    shell.user_ns["value"] = VALUE
    with capture_output() as captured:
        shell.run_cell("value")
    assert "[token x]" in captured.stdout
    assert VALUE not in captured.stdout


PATTERNS = ("*_TOKEN", "*_KEY", "*_SECRET", "*PASSWORD*")


@pytest.mark.parametrize("name", ["WANDB_API_KEY", "hub_token", "CLIENT_SECRET", "PGPASSWORD", "PASSWORD_OF_DB"])
def test_a_secret_that_the_kernel_was_started_with_is_known_by_the_name_of_its_variable(
    shell: InteractiveShell, kernel: Kernel, client: Client, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, VALUE)
    redaction.start(shell, client, variables=PATTERNS)
    assert kernel.tells(f"<{VALUE}>") == f"<[variable {name}]>"
    assert kernel.tells(f"<{VALUE[:20]}>") == f"<[variable {name}]>"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WANDB_PROJECT", VALUE),
        ("SSH_KEY", "/home/jovyan/.ssh/id_ed25519"),
        ("IDENTITY_KEY", "https://login.example.com/keys/2026"),
        ("PAGE_TOKEN", "0" * 32),
        ("SORT_KEY", "last-name"),
    ],
)
def test_what_does_not_look_like_a_secret_is_shown(
    shell: InteractiveShell, kernel: Kernel, client: Client, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    redaction.start(shell, client, variables=PATTERNS)
    assert kernel.tells(f"<{value}>") == f"<{value}>"


def test_a_variable_that_a_profile_has_filled_has_the_profiles_name(
    shell: InteractiveShell, kernel: Kernel, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSHED_TOKEN", VALUE)
    monkeypatch.setenv(FILLED_VARIABLE, '{"PUSHED_TOKEN": {"profile": "pushed", "params": {}}}')
    redaction.start(shell, client, variables=PATTERNS)
    assert kernel.tells(VALUE) == "[token pushed]"
