"""`%gettoken` in a real shell, with a real sandbox behind the profiles."""

from __future__ import annotations

import json
import os
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyter_tokens import Token, TokenError, get_token
from jupyter_tokens.cli.demo import write_config
from jupyter_tokens.errors import (
    Forbidden,
    NetworkError,
    NotFound,
    NoValue,
    ParameterError,
    Unauthorized,
    UnknownProfile,
)
from jupyter_tokens.kernel import magics
from jupyter_tokens.kernel.session import TokenSession
from jupyter_tokens.protocol.proof import FILLED_VARIABLE
from jupyter_tokens.sandbox import Sandbox, running
from jupyter_tokens.server.snippets import EXPRESSION, inject_snippet

from .shells import VARIABLES, done, magics_of, misused, refused, run, whoami


def refreshers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("jupyter_tokens refresher")]


@pytest.mark.parametrize(
    ("profile", "variable"),
    [
        ("oneaccess", "ONEACCESS_TOKEN"),
        ("pai-dlc", "PAI_DLC_TOKEN"),
        ("modelarts", "MODELARTS_TOKEN"),
        ("eiam", "EIAM_TOKEN"),
    ],
)
def test_a_token_goes_into_the_profiles_variable_and_is_not_shown(
    shell: InteractiveShell, sandbox: Sandbox, profile: str, variable: str
) -> None:
    outcome = done(shell, f"%gettoken {profile}")
    value = os.environ[variable]
    assert whoami(sandbox, value)["api"] == profile
    assert f"injected: ${variable}" in outcome.card
    assert "source: direct" in outcome.card
    assert "sandbox" in outcome.card.splitlines()[0]
    assert "text/html" in outcome.outputs[0].data
    assert value not in outcome.everything
    assert outcome.result.result is None


def test_env_and_var_take_the_place_of_the_profiles_variable(shell: InteractiveShell) -> None:
    both = done(shell, "%gettoken oneaccess --env MINE --var mine")
    assert isinstance(shell.user_ns["mine"], Token)
    assert os.environ["MINE"] == shell.user_ns["mine"].reveal()
    assert "injected: mine, $MINE" in both.card
    only = done(shell, "%gettoken oneaccess --var alone")
    assert shell.user_ns["alone"] is shell.user_ns["mine"]
    assert "injected: alone" in only.card
    assert "ONEACCESS_TOKEN" not in os.environ


def test_a_cached_token_is_not_fetched_again_unless_refresh_asks_for_it(
    shell: InteractiveShell, sandbox: Sandbox
) -> None:
    done(shell, "%gettoken oneaccess")
    first = os.environ["ONEACCESS_TOKEN"]
    done(shell, "%gettoken oneaccess")
    assert get_token("oneaccess").reveal() == first
    assert sandbox.requests["oneaccess"] == 1
    done(shell, "%gettoken oneaccess --refresh")
    assert sandbox.requests["oneaccess"] == 2
    assert os.environ["ONEACCESS_TOKEN"] != first


def test_what_is_injected_is_kept_fresh_until_once_says_no(shell: InteractiveShell) -> None:
    assert "kept fresh: until the kernel ends" in done(shell, "%gettoken oneaccess").card
    assert len(refreshers()) == 1
    held = magics_of(shell)
    key = held.session.client.source.key("oneaccess")
    assert held.session.refresher.keeps(key)
    assert "kept fresh: no" in done(shell, "%gettoken oneaccess --once").card
    assert not held.session.refresher.keeps(key)


def test_once_starts_no_thread(shell: InteractiveShell) -> None:
    done(shell, "%gettoken oneaccess --once")
    assert os.environ["ONEACCESS_TOKEN"]
    assert not refreshers()


def test_whoever_refreshes_a_token_the_places_get_the_new_one(shell: InteractiveShell) -> None:
    done(shell, "%gettoken oneaccess --env MINE --var mine")
    newer = get_token("oneaccess", refresh=True)
    assert os.environ["MINE"] == newer.reveal()
    assert shell.user_ns["mine"] is newer


def test_parameters_have_the_vendors_names_and_may_come_from_python(shell: InteractiveShell, sandbox: Sandbox) -> None:
    done(shell, "job = 'dlc1a2b3c4d5e6f7'\n%gettoken pai-dlc TargetType=job TargetId={job} ExpireTime=60")
    assert whoami(sandbox, os.environ["PAI_DLC_TOKEN"])["subject"]["target_id"] == "dlc1a2b3c4d5e6f7"
    token = get_token("pai-dlc", TargetType="job", TargetId="dlc1a2b3c4d5e6f7", ExpireTime=60)
    assert token.reveal() == os.environ["PAI_DLC_TOKEN"]
    assert token.expires_at is not None
    assert (token.expires_at - token.obtained_at).total_seconds() == pytest.approx(60, abs=1.5)
    assert sandbox.requests["pai-dlc"] == 1


def test_quotes_hold_a_word_together_and_are_not_part_of_it(shell: InteractiveShell, sandbox: Sandbox) -> None:
    done(shell, '%gettoken pai-dlc "TargetType=job" TargetId="dlc1a2b3c4d5e6f7" --env \'MINE\'')
    assert os.environ["MINE"]
    assert whoami(sandbox, os.environ["MINE"])["subject"]["target_id"] == "dlc1a2b3c4d5e6f7"
    refused(shell, "%gettoken modelarts instance_id='no such instance'", NotFound)
    # One word: both calls were made for it.
    assert sandbox.requests["modelarts"] == 2


def test_a_token_that_lives_no_time_is_injected_but_not_kept(shell: InteractiveShell, sandbox: Sandbox) -> None:
    outcome = done(shell, "%gettoken pai-dlc ExpireTime=0")
    assert os.environ["PAI_DLC_TOKEN"]
    assert "state: expired" in outcome.card
    assert "kept fresh: no" in outcome.card
    assert not refreshers()
    assert sandbox.requests["pai-dlc"] == 1


def test_a_token_whose_end_is_not_told_starts_no_thread(shell: InteractiveShell) -> None:
    outcome = done(shell, "%gettoken modelarts")
    assert "not reported by the API" in outcome.card
    assert not refreshers()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        # The server then sends the value itself, and goes on.
        (NetworkError("The network is down."), None),
        (Forbidden("The profile is limited to other kernels."), "failed"),
    ],
)
def test_a_renewal_that_the_kernel_cannot_do_now_is_left_to_the_server(
    bare: InteractiveShell, monkeypatch: pytest.MonkeyPatch, error: TokenError, told: str | None
) -> None:
    monkeypatch.setenv("MINE", "of the start")
    monkeypatch.setenv(FILLED_VARIABLE, json.dumps({"MINE": {"profile": "oneaccess", "params": {}}}))

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(TokenSession, "inject", fails)
    magics.load(bare)
    wanted = {"profile": "oneaccess", "params": {}, "env": "MINE", "obtained_at": "2026-01-15T00:00:00+00:00"}
    for is_renewal, expected in ((False, "failed"), (True, told)):
        sent = inject_snippet({**wanted, "is_renewal": is_renewal})
        outcome = bare.user_expressions({EXPRESSION: sent.expression})[EXPRESSION]["data"]["text/plain"]
        assert (None if outcome == "None" else json.loads(outcome)["state"]) == expected


def test_astras_stored_token_is_described_and_not_injected(shell: InteractiveShell) -> None:
    before = dict(os.environ)
    outcome = done(shell, "%gettoken astra")
    assert "state: fresh" in outcome.card
    assert "never returns the value" in outcome.card
    assert "injected" not in outcome.card
    assert dict(os.environ) == before
    assert not refreshers()


def test_a_stored_token_without_name_and_id_is_described_too(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = Token(None, profile="astra", provider="astra", obtained_at=datetime(2026, 1, 15, tzinfo=UTC))
    monkeypatch.setattr(magics_of(shell).session.client.source, "get", lambda *_, **__: token)
    assert "Stored token. This API never returns the value" in done(shell, "%gettoken astra").card


def test_astras_description_may_go_into_a_variable(shell: InteractiveShell) -> None:
    outcome = done(shell, "%gettoken astra --var stored")
    assert shell.user_ns["stored"].metadata["id"]
    assert "injected: stored" in outcome.card


def test_asking_for_astras_value_is_an_error_that_says_what_to_do(shell: InteractiveShell) -> None:
    outcome = refused(shell, "%gettoken astra --env MINE --var stored", NoValue)
    assert "create_token" in outcome.printed
    assert "MINE" not in os.environ
    assert "stored" not in shell.user_ns


def test_an_astra_profile_that_names_a_variable_still_fills_none(
    shell: InteractiveShell, configured: dict[str, dict[str, Any]], config_dir: Path
) -> None:
    rewrite(config_dir, {**configured, "astra": {**configured["astra"], "env": "MINE"}})
    assert "injected" not in done(shell, "%gettoken astra").card
    assert "MINE" not in os.environ


def rewrite(config_dir: Path, profiles: dict[str, dict[str, Any]]) -> None:
    (config_dir / "jupyter_tokens_config.json").unlink()
    write_config(config_dir, profiles)


def test_a_profile_that_names_no_variable_says_that_nothing_was_injected(
    shell: InteractiveShell, configured: dict[str, dict[str, Any]], config_dir: Path
) -> None:
    profile = {name: value for name, value in configured["oneaccess"].items() if name != "env"}
    rewrite(config_dir, {"oneaccess": profile})
    outcome = done(shell, "%gettoken oneaccess")
    assert "Not injected" in outcome.card
    assert not refreshers()


def test_a_profile_that_changed_gets_a_token_of_its_own(
    shell: InteractiveShell, sandbox: Sandbox, configured: dict[str, dict[str, Any]], config_dir: Path, tmp_path: Path
) -> None:
    done(shell, "%gettoken oneaccess")
    before = os.environ["ONEACCESS_TOKEN"]
    with running() as other:
        (tmp_path / "other").mkdir()
        rewrite(config_dir, other.profiles(tmp_path / "other"))
        done(shell, "%gettoken oneaccess")
        assert os.environ["ONEACCESS_TOKEN"] != before
        assert whoami(other, os.environ["ONEACCESS_TOKEN"])["api"] == "oneaccess"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "profile"),
        ("oneaccess --bogus", "--bogus"),
        ("oneaccess --env", "--env"),
        ("oneaccess word", "name=value"),
        ("oneaccess =1", "name=value"),
        ("pai-dlc ExpireTime=1 ExpireTime=2", "given twice"),
        ("pai-dlc TargetId='dlc1", "closing quotation"),
        ("oneaccess --format json", "needs --file"),
        ("oneaccess --file t --format netrc", "netrc"),
    ],
)
def test_wrong_words_are_a_usage_error_and_nothing_is_sent(
    shell: InteractiveShell, sandbox: Sandbox, line: str, complaint: str
) -> None:
    assert complaint in misused(shell, f"%gettoken {line}")
    assert not sandbox.requests.total()


@pytest.mark.parametrize(
    ("line", "kind", "complaint"),
    [
        ("oneacess", UnknownProfile, "oneaccess"),
        ("pai-dlc Expiretime=60", ParameterError, "ExpireTime"),
        ("pai-dlc ExpireTime=-1", ParameterError, "ExpireTime"),
        ("pai-dlc TargetType=cat", ParameterError, "TargetType"),
        ("oneaccess --env 1A", ParameterError, "'1A'"),
        ("oneaccess --env ''", ParameterError, "''"),
        ("oneaccess --var class", ParameterError, "'class'"),
        ("oneaccess --var ''", ParameterError, "''"),
    ],
)
def test_what_is_wrong_before_anything_is_sent_is_told_without_a_traceback(
    shell: InteractiveShell, sandbox: Sandbox, line: str, kind: type[TokenError], complaint: str
) -> None:
    assert complaint in refused(shell, f"%gettoken {line}", kind).printed
    assert not sandbox.requests.total()
    assert not any(name in os.environ for name in VARIABLES)


def test_a_refusal_tells_the_vendors_code_and_request_id(shell: InteractiveShell) -> None:
    outcome = refused(shell, "%gettoken modelarts instance_id=00000000-0000-0000-0000-000000000000", NotFound)
    error = outcome.error
    assert isinstance(error, NotFound)
    assert error.code
    assert error.request_id
    for fact in ("modelarts", error.code, error.request_id, "404", "400"):
        assert fact in outcome.printed
    assert "MODELARTS_TOKEN" not in os.environ


def test_a_refused_credential_is_told_without_the_credential(
    shell: InteractiveShell, configured: dict[str, dict[str, Any]], sandbox: Sandbox
) -> None:
    secret = Path(configured["oneaccess"]["client_secret"].removeprefix("file:"))
    secret.write_text("wr0ng-5ecret", encoding="utf-8")
    outcome = refused(shell, "%gettoken oneaccess", Unauthorized)
    assert "invalid_client" in outcome.printed
    assert "wr0ng-5ecret" not in outcome.everything
    assert sandbox.requests["oneaccess"] == 1


def test_no_frame_of_a_failed_call_is_kept_with_the_error(shell: InteractiveShell) -> None:
    # IPython's verbose mode prints the variables of each frame, and the providers' hold secrets.
    run(shell, "%xmode Verbose")
    outcome = refused(shell, "%gettoken modelarts instance_id=00000000-0000-0000-0000-000000000000", NotFound)
    assert outcome.error is not None
    assert outcome.error.__cause__ is None
    assert outcome.error.__context__ is None
    frames = [Path(frame.filename).name for frame in traceback.extract_tb(outcome.error.__traceback__)]
    assert frames[-1] == "magics.py"
    assert frames.count("magics.py") == 1


def test_after_an_error_the_next_cell_goes_on(shell: InteractiveShell, sandbox: Sandbox) -> None:
    sandbox.plan({"api": "oneaccess", "kind": "reset", "times": 10})
    refused(shell, "%gettoken oneaccess", NetworkError)
    sandbox.clear_faults()
    done(shell, "%gettoken oneaccess")
    assert whoami(sandbox, os.environ["ONEACCESS_TOKEN"])["api"] == "oneaccess"


def test_an_error_of_a_refresh_leaves_the_injected_token_where_it_is(shell: InteractiveShell, sandbox: Sandbox) -> None:
    done(shell, "%gettoken oneaccess")
    before = os.environ["ONEACCESS_TOKEN"]
    sandbox.plan({"api": "oneaccess", "kind": "403", "times": 1})
    refused(shell, "%gettoken oneaccess --refresh", Forbidden)
    assert os.environ["ONEACCESS_TOKEN"] == before


def test_help_tells_what_it_is_for_and_what_it_does_not_do(shell: InteractiveShell) -> None:
    from IPython.core.oinspect import getdoc

    for name, words in {
        "gettoken": (
            "%gettoken oneaccess --env",
            "{job_id}",
            "takes no secret",
            "--format",
            "--once",
            "name=value",
            "for each use",
        ),
        "tokens": ("what failed", "request to an API"),
        "deltoken": ("restore", "The token is not revoked"),
        "withtoken": ("%%withtoken oneaccess", "even with an error"),
    }.items():
        text = getdoc(shell.find_line_magic(name)) or ""
        for word in words:
            assert word in text, (name, word)
        assert max(map(len, text.splitlines())) < 125


def test_braces_that_are_no_variable_stay(shell: InteractiveShell) -> None:
    outcome = refused(shell, "%gettoken pai-dlc TargetType={nobody_knows}", ParameterError)
    assert "{nobody_knows}" in outcome.printed


# Files


def test_a_file_is_written_and_kept_fresh(shell: InteractiveShell, tmp_path: Path) -> None:
    file = tmp_path / "t"
    outcome = done(shell, f"%gettoken oneaccess --file {file} --format header")
    assert f"injected: {file}" in outcome.card
    assert file.stat().st_mode & 0o777 == 0o600
    newer = get_token("oneaccess", refresh=True)
    assert file.read_text() == f"Authorization: Bearer {newer.reveal()}\n"
    assert "ONEACCESS_TOKEN" not in os.environ
    assert newer.reveal() not in outcome.everything


def test_the_same_file_in_another_format_is_the_same_place(shell: InteractiveShell, tmp_path: Path) -> None:
    file = tmp_path / "t"
    done(shell, f"%gettoken oneaccess --file '{file}' --format json")
    assert json.loads(file.read_text())["token"]
    done(shell, f"%gettoken oneaccess --file '{file}'")
    newer = get_token("oneaccess", refresh=True)
    assert file.read_text() == newer.reveal()
    done(shell, "%deltoken oneaccess")
    assert not file.exists()


def test_a_users_own_file_is_not_overwritten_and_nothing_is_sent(
    shell: InteractiveShell, sandbox: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("my notes\n")
    assert str(file) in refused(shell, f"%gettoken oneaccess --file {file}", ParameterError).printed
    assert file.read_text() == "my notes\n"
    assert not sandbox.requests.total()


# %tokens and %deltoken


def test_tokens_lists_what_is_held_and_what_there_is(shell: InteractiveShell, sandbox: Sandbox) -> None:
    assert "not fetched" in done(shell, "%tokens").card
    assert not sandbox.requests.total()
    done(shell, "%gettoken oneaccess --env MINE --var mine")
    outcome = done(shell, "%tokens")
    (line,) = [line for line in outcome.card.splitlines() if line.startswith("oneaccess")]
    for word in ("(sandbox)", "fresh", "(in ", "$MINE, mine", "yes"):
        assert word in line
    for profile in ("astra", "eiam", "modelarts", "pai-dlc"):
        assert profile in outcome.card
    assert "source: direct" in outcome.card
    assert os.environ["MINE"] not in outcome.everything
    assert sandbox.requests.total() == 1


def test_tokens_without_any_configuration_says_what_to_do(bare: InteractiveShell) -> None:
    done(bare, "%load_ext jupyter_tokens")
    assert "No profile is configured" in done(bare, "%tokens").card


def test_tokens_tells_of_a_configuration_that_cannot_be_read(bare: InteractiveShell, config_dir: Path) -> None:
    done(bare, "%load_ext jupyter_tokens")
    (config_dir / "jupyter_tokens_config.json").write_text("{")
    card = done(bare, "%tokens").card
    assert "The profiles cannot be listed" in card
    assert "jupyter_tokens_config.json cannot be read: error in line 1" in card


def test_tokens_and_deltoken_take_no_other_words(shell: InteractiveShell) -> None:
    assert "oneaccess" in misused(shell, "%tokens oneaccess")
    assert "profile" in misused(shell, "%deltoken")
    assert "--all" in misused(shell, "%deltoken oneaccess --all")


def test_deltoken_forgets_it_everywhere_and_puts_back_what_was_there(
    shell: InteractiveShell, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "before")
    done(shell, "mine = 'before'\n%gettoken oneaccess --env MINE --var mine")
    outcome = done(shell, "%deltoken oneaccess")
    assert "The tokens of oneaccess are forgotten." in outcome.card
    assert "restored" in outcome.card
    assert "mine" in outcome.card
    assert "$MINE" in outcome.card
    assert (os.environ["MINE"], shell.user_ns["mine"]) == ("before", "before")
    assert "fresh  " not in done(shell, "%tokens").card
    done(shell, "%gettoken oneaccess")
    assert sandbox.requests["oneaccess"] == 2


def test_what_the_notebook_has_changed_is_listed_so_and_left_alone_with_one_word_about_it(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "before")
    done(shell, "%gettoken oneaccess --env MINE --var mine")
    done(shell, "import os; os.environ['MINE'] = 'changed'; del mine")
    assert "$MINE (no longer there)" in done(shell, "%tokens").card
    outcome = done(shell, "%deltoken oneaccess")
    assert "$MINE was changed by the notebook; left as it is." in outcome.card
    assert "restored" not in outcome.card
    assert (os.environ["MINE"], "mine" in shell.user_ns) == ("changed", False)
    assert "left as it is" not in done(shell, "%tokens").card


def test_a_cell_that_changes_what_was_lent_to_it_hears_that_it_stays(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "before")
    cell = "%%withtoken oneaccess --env MINE\nimport os; os.environ['MINE'] = 'changed'"
    outcome = run(shell, cell, seen=True)
    assert "$MINE was changed by the notebook; left as it is." in outcome.card
    assert os.environ["MINE"] == "changed"


def test_reset_is_not_undone(shell: InteractiveShell, sandbox: Sandbox) -> None:
    done(shell, "%gettoken oneaccess --var mine")
    done(shell, "%reset -f")
    done(shell, "from jupyter_tokens import get_token; get_token('oneaccess', refresh=True); 'mine' in globals()")
    assert sandbox.requests["oneaccess"] == 2
    assert "mine" not in shell.user_ns
    assert "mine was deleted by the notebook; left as it is." in done(shell, "%tokens").card
    assert "mine" not in done(shell, "%tokens").card


def test_deltoken_of_what_is_not_held_is_no_error_and_of_what_there_is_not_is_one(shell: InteractiveShell) -> None:
    assert "restored" not in done(shell, "%deltoken oneaccess").card
    assert "oneaccess" in refused(shell, "%deltoken oneacess", UnknownProfile).printed


def test_loading_twice_changes_nothing(shell: InteractiveShell) -> None:
    first = magics_of(shell)
    assert run(shell, "%load_ext jupyter_tokens").printed == ""
    assert "already loaded" in run(shell, "%load_ext storemagic").printed + run(shell, "%load_ext storemagic").printed
    magics.load(shell)
    assert magics_of(shell) is first


def test_loading_contacts_nothing_and_starts_no_thread(shell: InteractiveShell, sandbox: Sandbox) -> None:
    assert not sandbox.requests.total()
    assert not refreshers()


def test_loading_works_without_any_configuration(bare: InteractiveShell) -> None:
    done(bare, "%load_ext jupyter_tokens")
    assert "jupyter tokens add" in refused(bare, "%gettoken oneaccess", UnknownProfile).printed


def test_unloading_takes_the_magic_and_the_thread_away_but_not_the_token(shell: InteractiveShell) -> None:
    done(shell, "%gettoken oneaccess")
    value = os.environ["ONEACCESS_TOKEN"]
    assert "no longer kept fresh" in done(shell, "%unload_ext jupyter_tokens").printed
    assert not refreshers()
    for name in ("gettoken", "tokens", "deltoken", "withtoken"):
        assert shell.find_line_magic(name) is None
    assert shell.find_cell_magic("withtoken") is None
    assert os.environ["ONEACCESS_TOKEN"] == value
    get_token("oneaccess", refresh=True)
    assert os.environ["ONEACCESS_TOKEN"] == value


def test_unloading_what_was_never_used_or_never_loaded_is_no_error(shell: InteractiveShell) -> None:
    done(shell, "%unload_ext jupyter_tokens")
    magics.unload(shell)
    assert shell.find_line_magic("gettoken") is None


def test_reloading_loses_nothing(shell: InteractiveShell) -> None:
    done(shell, "%gettoken oneaccess")
    value, running = os.environ["ONEACCESS_TOKEN"], refreshers()
    get_token("oneaccess", refresh=True)
    latest = os.environ["ONEACCESS_TOKEN"]
    assert not done(shell, "%reload_ext jupyter_tokens").printed
    assert refreshers() == running
    get_token("oneaccess", refresh=True)
    assert os.environ["ONEACCESS_TOKEN"] not in (value, latest)


def test_reloading_another_extension_reloads_it(shell: InteractiveShell) -> None:
    done(shell, "%load_ext autoreload")
    assert "autoreload" not in done(shell, "%reload_ext autoreload").printed
    done(shell, "%unload_ext jupyter_tokens")
    done(shell, "%reload_ext jupyter_tokens")
    assert shell.find_line_magic("gettoken")


def test_it_can_be_loaded_again(shell: InteractiveShell) -> None:
    done(shell, "%gettoken oneaccess")
    done(shell, "%unload_ext jupyter_tokens")
    done(shell, "%load_ext jupyter_tokens")
    assert not refreshers()
    done(shell, "%gettoken oneaccess --env MINE")
    assert os.environ["MINE"]
    assert len(refreshers()) == 1
