"""Tokens that programs print: real programs that print what well-known ones were recorded or documented to print."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import jwt
import pytest

from jupyter_tokens.clock import utc
from jupyter_tokens.config.profiles import Profiles
from jupyter_tokens.config.secrets import watch_values
from jupyter_tokens.errors import ResponseError, SecretError, TokenError, UnusableToken
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.token import Token

from ..doubles import CANARY, NOW, Clock, told, vector
from .conftest import refuse_settings

LATER = NOW + 3600
ISO = "2026-01-15T09:30:00Z"
EXEC = "client.authentication.k8s.io/v1"


def program(code: str, *arguments: str) -> str:
    return shlex.join([sys.executable, "-I", "-S", "-c", code, *arguments])


def printing(text: str) -> str:
    return program(f"print({text!r})")


def fetched(command: str, clock: Clock, **settings: Any) -> Token:
    source = LocalSource(
        Profiles.from_settings({"mine": {"provider": "command", "command": command, **settings}}), clock=clock
    )
    return source.get(source.key("mine"))


def refused(command: str, clock: Clock, kind: type[TokenError] = ResponseError, **settings: Any) -> TokenError:
    with pytest.raises(kind) as caught:
        fetched(command, clock, **settings)
    error = caught.value
    assert type(error) is kind
    assert error.hint
    assert error.unsent
    assert not error.retryable
    assert (error.profile, error.provider) == ("mine", "command")
    assert CANARY not in told(error)
    return error


def ends(token: Token) -> float | None:
    return None if token.expires_at is None else token.expires_at.timestamp()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("programs/aws_credential_process", ("AccessKeyId", "SecretAccessKey", "SessionToken")),
        ("programs/aliyun_external", ("access_key_id", "access_key_secret", "sts_token")),
    ],
)
def test_a_temporary_access_key_has_its_three_values(name: str, fields: tuple[str, ...], clock: Clock) -> None:
    printed = vector(name)["program"]["stdout"]
    token = fetched(printing(printed), clock, env={field: field.upper() for field in fields})
    assert token.fields == fields
    assert token.values() == {field: json.loads(printed)[field] for field in fields}
    assert ends(token) == LATER
    inside = json.dumps({"Credentials": json.loads(printed)})
    assert fetched(printing(inside), clock).values() == token.values()


def test_a_temporary_access_key_may_come_with_seconds_instead_of_a_time(clock: Clock) -> None:
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    token = fetched(printing(json.dumps({**dict.fromkeys(names, CANARY), "expires_in": 3600})), clock)
    assert (token.fields, ends(token)) == (names, LATER)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("programs/az_get_access_token", "A"),
        ("programs/kubectl_exec_credential", "k8s-tok"),
        ("programs/google_executable", "jwt"),
    ],
)
def test_what_was_recorded_of_programs_is_read(name: str, value: str, clock: Clock) -> None:
    printed = vector(name)["program"]["stdout"]
    clock.wall = NOW - 3600
    token = fetched(printing(printed), clock)
    stated = json.loads(printed)
    stated = stated.get("status", stated)
    end = stated.get("expirationTimestamp") or utc(stated.get("expires_on") or stated["expiration_time"]).isoformat()
    assert (token.reveal(), token.expires_at) == (value, datetime.fromisoformat(end))


RECORDED: dict[str, tuple[str, float | None]] = {
    "gcloud 528.0.0 auth print-access-token": (f"{CANARY}\n", None),
    "gcloud 528.0.0 auth print-access-token --format=json": (f'{{\n  "token": "{CANARY}"\n}}\n', None),
    "gcloud 528.0.0 config config-helper --format=json": (
        f"""\
{{
  "configuration": {{
    "active_configuration": "default",
    "properties": {{
      "auth": {{
        "access_token_file": "/home/me/token"
      }},
      "core": {{
        "disable_usage_reporting": "True"
      }}
    }}
  }},
  "credential": {{
    "access_token": "{CANARY}",
    "id_token": null,
    "token_expiry": null
  }},
  "sentinels": {{
    "config_sentinel": "/home/me/.config/gcloud/config_sentinel"
  }}
}}
""",
        None,
    ),
    "aws 1.45.11 eks get-token": (
        f"""\
{{
    "kind": "ExecCredential",
    "apiVersion": "client.authentication.k8s.io/v1beta1",
    "spec": {{}},
    "status": {{
        "expirationTimestamp": "{ISO}",
        "token": "{CANARY}"
    }}
}}
""",
        LATER,
    ),
    "gh 2.23.0 auth token": (f"{CANARY}\n", None),
    "oidc-agent 4.2.6, oidc-token ACCOUNT": (f"{CANARY}\n", None),
    "htgettoken 2.2 --quiet --nooidc --out=/dev/stdout -a VAULT -i ISSUER": (f"{CANARY}\n", None),
    "vault 1.20.0 token create -format=json, by root": (
        f"""\
{{
  "request_id": "00000000-0000-0000-0000-000000000000",
  "lease_id": "",
  "lease_duration": 0,
  "renewable": false,
  "data": null,
  "warnings": null,
  "auth": {{
    "client_token": "{CANARY}",
    "accessor": "x",
    "policies": [
      "root"
    ],
    "token_policies": [
      "root"
    ],
    "identity_policies": null,
    "metadata": null,
    "orphan": false,
    "entity_id": "",
    "lease_duration": 0,
    "renewable": false
  }}
}}
""",
        None,
    ),
}
"""What these versions printed, with another token, expiry and home folder.

gcloud and gh were given their tokens. oidc-agent had logged in at the sandbox's OpenID provider by a device code, and
htgettoken asked a stand-in for Vault. Vault's output is that of hashicorp/vault's issue 31198.
"""


PRINTED: dict[str, tuple[str, float | None]] = {
    "gh auth token, Windows": (f"{CANARY}\r", None),
    "oauth2": (json.dumps({"access_token": CANARY, "token_type": "Bearer", "expires_in": 3600}), LATER),
    "numbers as texts": (json.dumps({"access_token": CANARY, "expires_in": "3600"}), LATER),
    "instance metadata": (json.dumps({"access_token": CANARY, "expires_in": 1, "expires_on": str(int(LATER))}), LATER),
    "az --query accessToken": (json.dumps(CANARY), None),
    "gcloud config config-helper": (
        json.dumps(
            {
                "configuration": {"active_configuration": "default"},
                "credential": {"access_token": CANARY, "id_token": "i", "token_expiry": ISO},
                "sentinels": {},
            },
            indent=2,
        ),
        LATER,
    ),
    "gcloud auth print-access-token --format=json": (
        json.dumps({"token": CANARY, "expiry": {"datetime": "2026-01-15 09:30:00.000000", "hour": 9}}),
        LATER,
    ),
    "kubectl with nanoseconds": (
        json.dumps(
            {
                "apiVersion": EXEC,
                "kind": "ExecCredential",
                "status": {"token": CANARY, "expirationTimestamp": "2026-01-15T09:30:00.000000999Z"},
            }
        ),
        LATER,
    ),
    "kubectl without an end": (json.dumps({"kind": "ExecCredential", "status": {"token": CANARY}}), None),
    "vault login": (json.dumps({"auth": {"client_token": CANARY, "lease_duration": 3600}, "lease_duration": 0}), LATER),
    "vault's root token": (json.dumps({"auth": {"client_token": CANARY, "lease_duration": 0}}), None),
    "aws codeartifact, version 1": (json.dumps({"authorizationToken": CANARY, "expiration": LATER + 0.5}), LATER + 0.5),
    "Go without an end": (json.dumps({"access_token": CANARY, "expiry": "0001-01-01T00:00:00Z"}), None),
    "an empty end": (json.dumps({"access_token": CANARY, "expires_on": None, "expiry": "", "expires_in": 3600}), LATER),
    "a token beside a status": (json.dumps({"status": {"phase": "x"}, "token": CANARY, "expires_at": ISO}), LATER),
}


@pytest.mark.parametrize(("printed", "end"), [*RECORDED.values(), *PRINTED.values()], ids=[*RECORDED, *PRINTED])
def test_what_programs_print_is_read(printed: str, end: float | None, clock: Clock) -> None:
    token = fetched(printing(printed), clock)
    assert (token.reveal(), ends(token)) == (CANARY, end)
    assert token.headers() == {"Authorization": f"Bearer {CANARY}"}


JWT = jwt.encode({"exp": LATER}, "k" * 32)
DOCUMENTED: dict[str, tuple[str, str, float | None]] = {
    "gcloud config config-helper --format=json": (PRINTED["gcloud config config-helper"][0], CANARY, LATER),
    "gcloud auth application-default print-access-token": (CANARY, CANARY, None),
    "az account get-access-token --output json --resource https://storage.azure.com": (
        json.dumps(
            {
                "accessToken": CANARY,
                "expiresOn": "2026-01-15 10:30:00.000000",
                "expires_on": int(LATER),
                "subscription": "00000000-0000-0000-0000-000000000000",
                "tenant": "00000000-0000-0000-0000-000000000001",
                "tokenType": "Bearer",
            }
        ),
        CANARY,
        LATER,
    ),
    "aws codeartifact get-authorization-token --output json --domain DOMAIN": (
        json.dumps({"authorizationToken": CANARY, "expiration": "2026-01-15T11:30:00+02:00"}, indent=4),
        CANARY,
        LATER,
    ),
    "aws eks get-token --output json --cluster-name CLUSTER": (
        RECORDED["aws 1.45.11 eks get-token"][0],
        CANARY,
        LATER,
    ),
    "gh auth token": (CANARY, CANARY, None),
    "vault token create -format=json -ttl=1h": (
        json.dumps(
            {
                "request_id": "0b1f8e0e",
                "lease_id": "",
                "lease_duration": 0,
                "renewable": False,
                "data": None,
                "warnings": None,
                "auth": {
                    "client_token": CANARY,
                    "accessor": "x7Kq",
                    "policies": ["default"],
                    "token_policies": ["default"],
                    "metadata": None,
                    "lease_duration": 3600,
                    "renewable": True,
                    "entity_id": "",
                    "token_type": "service",
                    "orphan": False,
                },
            },
            indent=2,
        ),
        CANARY,
        LATER,
    ),
    "vault print token": (CANARY, CANARY, None),
    "oidc-token ACCOUNT": (JWT, JWT, LATER),
    "htgettoken --quiet --nooidc --out=/dev/stdout -a VAULT -i ISSUER": (JWT, JWT, LATER),
}
"""The lines of docs/any-token.md, with what the programs' manuals say that they print, the token and its end."""


def test_the_page_has_the_lines_that_are_tried() -> None:
    page = (Path(__file__).parents[2] / "docs/any-token.md").read_text()
    _, _, table = page.partition("| program | `command` | expiry |\n|---|---|---|\n")
    rows = [row.split(" | ") for row in table.split("\n\n", maxsplit=1)[0].splitlines()]
    assert {command.strip("`"): expiry.startswith("not") for _, command, expiry in rows} == {
        command: end is None for command, (_, _, end) in DOCUMENTED.items()
    }


@pytest.mark.parametrize("command", DOCUMENTED)
def test_a_line_of_the_page_is_a_profile(
    command: str, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed, value, end = DOCUMENTED[command]
    name, *arguments = command.split()
    (tmp_path / "printed").write_text(f"{printed}\n")
    stand_in = tmp_path / name
    stand_in.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\ncat {tmp_path}/printed\n')
    stand_in.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    token = fetched(command, clock)
    assert (token.reveal(), ends(token)) == (value, end)
    assert (tmp_path / "arguments").read_text().split() == arguments


def test_the_time_that_az_prints_without_a_zone_is_local(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = {"accessToken": CANARY, "expiresOn": "2026-01-15 04:30:00.000000"}
    monkeypatch.setenv("TZ", "Etc/GMT+5")
    time.tzset()
    try:
        assert ends(fetched(printing(json.dumps(printed)), clock)) == LATER
        # Its newer versions add seconds since the epoch, which go first.
        printed["expires_on"] = str(int(LATER + 60))
        assert ends(fetched(printing(json.dumps(printed)), clock)) == LATER + 60
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_jwt_says_itself_when_it_ends(clock: Clock) -> None:
    value = jwt.encode({"exp": LATER}, "k" * 32)
    assert ends(fetched(printing(value), clock)) == LATER
    assert ends(fetched(printing(json.dumps({"token": value})), clock)) == LATER
    assert ends(fetched(printing(json.dumps({"token": value, "expires_in": 60})), clock)) == NOW + 60


def test_it_is_run_again_for_each_fetch_and_not_in_between(clock: Clock, tmp_path: Path) -> None:
    code = "import sys, time; f = open(sys.argv[1], 'a+'); f.write('x'); f.seek(0); print('token-%d' % len(f.read()))"
    command = program(code, str(tmp_path / "runs"))
    source = LocalSource(Profiles.from_settings({"mine": {"provider": "command", "command": command}}), clock=clock)
    values = [source.get(source.key("mine"), refresh=refresh).reveal() for refresh in (False, False, True)]
    assert values == ["token-1", "token-1", "token-2"]


def test_no_shell_and_nothing_to_read(clock: Clock) -> None:
    code = "import sys; assert sys.stdin.read() == ''; print('/'.join(sys.argv[1:]))"
    assert fetched(program(code) + " $HOME ~ 'a|b' ;", clock).reveal() == "$HOME/~/a|b/;"


def test_what_it_leaves_in_the_background_holds_nothing_up(clock: Clock) -> None:
    began = time.monotonic()
    assert fetched(f"sh -c 'sleep 15 & echo {CANARY}'", clock).reveal() == CANARY
    assert time.monotonic() - began < 10


WRONG: dict[str, tuple[str, type[TokenError], str, str]] = {
    "not there": (f"no-such-program-here {CANARY}", SecretError, "(no-such-program-here) cannot be run", "full path"),
    "fails": (
        program(f"import sys; print('{CANARY}'); sys.stderr.write('{CANARY}'); sys.exit(3)"),
        SecretError,
        "ended with status 3",
        "log in again",
    ),
    "empty": (program(f"import sys; sys.stderr.write('{CANARY}')"), SecretError, "output is empty", "standard output"),
    "blank": (printing(" \n "), SecretError, "output is empty", "standard output"),
    "several lines": (printing(f"A warning.\n{CANARY}"), ResponseError, "more than one line", "JSON"),
    "git's": (
        printing(vector("programs/git_credential_get")["program"]["stdout"]),
        ResponseError,
        "more than one line",
        "",
    ),
    "a sentence": (printing(f"Log in first: {CANARY}"), ResponseError, "text with spaces", "in a terminal"),
    "not ASCII": (printing(json.dumps({"token": f"{CANARY}é"})), ResponseError, "outside ASCII", "in a terminal"),
    "half of JSON": (printing('{"access_token": "' + CANARY), ResponseError, "JSON that cannot be read", ""),
    "deep JSON": (program("print('{\"a\":' + '[' * 60000)"), ResponseError, "JSON that cannot be read", ""),
    "docker's": (
        printing(vector("programs/docker_credential_get")["program"]["stdout"]),
        ResponseError,
        "JSON without a token",
        "access_token",
    ),
    "an empty string": (printing('""'), ResponseError, "an empty token", "in a terminal"),
    "an empty token": (printing('{"token": "", "access_token": 5}'), ResponseError, "JSON without a token", ""),
    "a permanent key": (
        printing(json.dumps({"Version": 1, "AccessKeyId": "AKIA", "SecretAccessKey": CANARY})),
        ResponseError,
        "an access key without a valid SessionToken",
        "Permanent",
    ),
    "aws sts, by half": (
        printing(json.dumps({"Credentials": {"AccessKeyId": CANARY}})),
        ResponseError,
        "JSON without a token",
        "",
    ),
    "expired": (
        printing(json.dumps({"token": CANARY, "expires_on": NOW})),
        UnusableToken,
        "expired at 2026-01-15 08:30:00Z",
        "Log in",
    ),
    "expired by its life": (printing(json.dumps({"token": CANARY, "expires_in": 0})), UnusableToken, "expired at", ""),
    "no number": (
        printing(json.dumps({"token": CANARY, "expires_in": "soon"})),
        ResponseError,
        "(expires_in) that is not a number",
        "token alone",
    ),
    "true": (printing(json.dumps({"token": CANARY, "expires_in": True})), ResponseError, "is not a number", ""),
    "infinite": (printing('{"token": "x", "expires_in": Infinity}'), ResponseError, "is not a number", ""),
    "endless": (printing('{"token": "x", "expires_in": 1' + "0" * 400 + "}"), ResponseError, "is not a number", ""),
    "no time": (
        printing(json.dumps({"token": CANARY, "expiry": "tomorrow"})),
        ResponseError,
        "(expiry) that is neither",
        "token alone",
    ),
    "a list": (printing(json.dumps({"token": CANARY, "expiry": [1]})), ResponseError, "(expiry) that is neither", ""),
    "no calendar": (
        printing(json.dumps({"token": CANARY, "expires_on": 10**15})),
        ResponseError,
        "out of range",
        "token alone",
    ),
}


@pytest.mark.parametrize(("command", "kind", "words", "hint"), WRONG.values(), ids=WRONG)
def test_what_goes_wrong_is_told_with_what_to_do_and_without_what_was_printed(
    command: str, kind: type[TokenError], words: str, hint: str, clock: Clock
) -> None:
    error = refused(command, clock, kind)
    assert words in error.message
    assert hint in error.hint


def test_a_program_that_says_by_a_code_why_it_failed(clock: Clock) -> None:
    """As Google's executables do, with status 0."""
    failure = {"version": 1, "success": False, "code": "401", "message": CANARY}
    assert refused(printing(json.dumps(failure)), clock).code == "401"
    assert refused(printing(json.dumps({"error": "invalid_grant"})), clock).code == "invalid_grant"
    assert refused(printing(json.dumps({"error": f"no {CANARY}"})), clock).code is None


def test_the_profiles_timeout_is_its_time_limit(clock: Clock) -> None:
    code = "import threading; threading.Event().wait()"
    error = refused(program(code), clock, SecretError, timeout=0.3)
    assert "did not end within 0.27 s" in error.message
    assert "timeout" in error.hint


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "key 'command' is missing"),
        ({"command": "echo 'x"}, "cannot be split into words"),
        ({"command": "command:echo x"}, "without command: before it"),
        ({"command": " "}, "is incomplete"),
        ({"command": "echo\nx"}, "invisible characters"),
        ({"command": ["echo"]}, "must be a string"),
    ],
)
def test_what_a_profile_must_say(settings: dict[str, Any], complaint: str) -> None:
    refuse_settings({"provider": "command", **settings}, complaint)


def test_what_a_program_prints_around_its_token_counts_as_no_secret(clock: Clock) -> None:
    """The whole output would be: then "client.authentication.k8s.io/v1" would be blacked out in every notebook."""
    seen: list[str] = []
    unwatch = watch_values(lambda _profile, value: seen.append(value.reveal()))
    try:
        fetched(printing(json.dumps({"apiVersion": EXEC, "status": {"token": CANARY}})), clock)
    finally:
        unwatch()
    assert set(seen) == {CANARY}
