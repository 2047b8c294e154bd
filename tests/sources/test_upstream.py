"""One token from one vendor: secrets resolved, flow driven, nothing of them told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import httpx
import keyring.backend
import pytest

from jupyter_tokens.config.keyring_access import call_keyring
from jupyter_tokens.config.profiles import Profile, Profiles
from jupyter_tokens.config.secrets import watch_values
from jupyter_tokens.errors import (
    ConfigurationError,
    InvalidRequest,
    NetworkError,
    ParameterError,
    ResponseError,
    SecretError,
    TokenError,
    Unauthorized,
    UnknownProfile,
)
from jupyter_tokens.providers.alibaba import AlibabaProvider
from jupyter_tokens.providers.signing.canonical import AccessKey
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.sources.upstream import Upstream
from jupyter_tokens.token import Secret
from jupyter_tokens.transport import Transport

from ..doubles import CANARY, Clock, Script, answer, told

ONEACCESS = {
    "provider": "oneaccess",
    "endpoint": "https://acme.example.com",
    "client_id": "cl13nt",
    "client_secret": "env:CLIENT_SECRET",
}
ASTRA = {
    "provider": "astra",
    "endpoint": "https://astra.example.com",
    "api_token": "env:ASTRA",
    "allow_create": True,
}
NOTEBOOKS = {
    "provider": "modelarts",
    "endpoint": "https://modelarts.example.com",
    "access_key": "AKID",
    "secret_key": "env:CLIENT_SECRET",
}
NOTEBOOK = (("project_id", "p"), ("instance_id", "i"))
OWNER = {"account_id": "a", "user_id": "u"}
GOOD = {"access_token": "t0k3n", "expires_in": 60}


class Bench:
    def __init__(self, *answers: httpx.Response | Exception, **profiles: dict[str, Any]) -> None:
        self.script = Script(*answers)
        self.slept: list[float] = []
        self.clock = Clock()
        transport = Transport(clock=self.clock, sleep=self.slept.append, rng=lambda: 1.0, transport=self.script)
        held = Profiles.from_settings({"mine": ONEACCESS, "stored": ASTRA, **profiles})
        self.upstream = Upstream(
            lambda: held, transport, self.clock, subject=lambda name: self.upstream.fetch(Key(name))
        )

    def fails(self, key: Key = Key("mine")) -> TokenError:  # noqa: B008 (a tuple)
        with pytest.raises(TokenError) as caught:
            self.upstream.fetch(key)
        return caught.value


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_SECRET", CANARY)
    monkeypatch.setenv("ASTRA", CANARY)


def test_fetch() -> None:
    bench = Bench(answer(200, GOOD))
    token = bench.upstream.fetch(Key("mine"))
    assert (token.reveal(), token.profile) == ("t0k3n", "mine")
    assert CANARY in bench.script.requests[0].content.decode()


def test_a_secret_is_read_at_each_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(answer(200, GOOD), answer(200, GOOD))
    bench.upstream.fetch(Key("mine"))
    monkeypatch.setenv("CLIENT_SECRET", "changed")
    bench.upstream.fetch(Key("mine"))
    assert "client_secret=changed" in bench.script.requests[1].content.decode()


def test_the_parameters_of_the_key_are_sent() -> None:
    resource = {"type": "application/astra-token", "id": "t"}
    bench = Bench(answer(200, resource))
    params = (*OWNER.items(), ("token_id", "t"))
    assert bench.upstream.fetch(Key("stored", params)).metadata["id"] == "t"
    assert bench.script.requests[0].url.path == "/accounts/a/core/v1/users/u/tokens/t"


def test_an_unknown_profile() -> None:
    assert isinstance(Bench().fails(Key("none")), UnknownProfile)


def test_an_error_names_profile_and_provider() -> None:
    error = Bench(answer(400, {"error": "invalid_client", "error_description": "No."})).fails()
    assert isinstance(error, Unauthorized)
    assert (error.profile, error.provider) == ("mine", "oneaccess")
    assert str(error).startswith("mine: No. [HTTP 400, code invalid_client]")


def test_a_secret_that_cannot_be_resolved_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLIENT_SECRET")
    bench = Bench()
    error = bench.fails()
    assert isinstance(error, SecretError)
    assert (error.profile, error.unsent) == ("mine", True)
    assert bench.script.requests == []


def test_a_vendor_that_echoes_a_secret_is_not_quoted() -> None:
    echo = {"error_code": f"X.{CANARY}", "error_msg": f"Wrong secret {CANARY} of cl13nt", "request_id": CANARY}
    error = Bench(answer(400, echo)).fails()
    assert isinstance(error, InvalidRequest)
    assert error.message == "Wrong secret … of …."
    assert (error.code, error.request_id) == ("X.…", "…")
    assert CANARY not in told(error)


def test_a_secret_with_blanks_that_a_vendor_echoes_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "four  words\tof mine"
    monkeypatch.setenv("CLIENT_SECRET", secret)
    error = Bench(answer(400, {"error_code": "X", "error_msg": f"Wrong secret {secret} of cl13nt"})).fails()
    assert error.message == "Wrong secret … of …."


@pytest.mark.parametrize("cut", range(1, len(CANARY)))
def test_a_secret_that_is_cut_off_with_a_long_message_is_not_quoted(cut: int) -> None:
    echo = {"error_code": "X", "error_msg": "x" * (300 - cut) + CANARY}
    error = Bench(answer(400, echo)).fails()
    assert CANARY[:6] not in told(error)


@pytest.mark.parametrize("cut", range(6, len(CANARY)))
def test_nor_where_an_error_holds_the_messages_of_two_calls(cut: int) -> None:
    echo = {"error_code": "ModelArts.6309", "error_msg": "x" * (300 - cut) + CANARY}
    error = Bench(answer(404, echo), answer(404, echo), notebook=NOTEBOOKS).fails(Key("notebook", NOTEBOOK))
    assert CANARY[:6] not in told(error)
    assert error.message.count("…") == 2


@pytest.mark.parametrize("name", ["error_code", "request_id"])
@pytest.mark.parametrize("cut", range(6, len(CANARY)))
def test_nor_in_the_code_or_request_id_of_the_other_call(cut: int, name: str) -> None:
    echo = {"error_code": "X", "error_msg": "No.", name: "x" * (100 - cut) + CANARY}
    error = Bench(answer(404, echo), answer(404, echo), notebook=NOTEBOOKS).fails(Key("notebook", NOTEBOOK))
    assert CANARY[:6] not in told(error)


def test_short_words_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_SECRET", "a")
    error = Bench(answer(400, {"error_code": "X", "error_msg": "bad"})).fails()
    assert error.message == "bad."


@pytest.mark.parametrize(
    "failure",
    [
        answer(400, {"error_msg": "no"}),
        answer(200, "<html>"),
        httpx.ConnectError("x"),
        answer(200, {**GOOD, "access_token": 5}),
    ],
)
def test_a_traceback_with_locals_shows_no_secret(failure: httpx.Response | Exception) -> None:
    bench = Bench(*[failure] * 4)
    assert CANARY not in told(bench.fails())


def test_an_unwritable_request_shows_no_secret_once_it_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASTRA", f"{CANARY}é")
    bench = Bench()
    error = bench.fails(Key("stored", (*OWNER.items(), ("token_id", "t"))))
    assert isinstance(error, ConfigurationError)
    assert CANARY not in str(error)
    assert CANARY not in told(error.copy())


def test_the_profiles_time_limit_counts() -> None:
    bench = Bench(answer(429, {}, retry_after="5"), mine={**ONEACCESS, "timeout": 5})
    assert bench.fails().retry_after == 5.0
    assert bench.script.requests[0].extensions["timeout"]["read"] == 5.0


def test_the_profiles_time_limit_counts_for_a_keyring_that_waits_for_a_person(
    stored: keyring.backend.KeyringBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And for all who ask meanwhile, while the keyring is asked once."""
    unlocked = threading.Event()
    asked: list[str] = []

    def wait(service: str, user: str) -> str:
        asked.append(user)
        unlocked.wait()
        return CANARY

    monkeypatch.setattr(stored, "get_password", wait)
    bench = Bench(answer(200, GOOD), ring={**ONEACCESS, "client_secret": "keyring:svc/me", "timeout": 0.3})
    with ThreadPoolExecutor(8) as pool:
        errors = list(pool.map(lambda _: bench.fails(Key("ring")), range(8)))
    assert asked == ["me"]
    for error in errors:
        assert isinstance(error, SecretError)
        assert "keyring:svc/me cannot be read: the keyring did not answer within 0.27 s" in str(error)
        assert error.profile == "ring"
    assert bench.script.requests == []
    unlocked.set()
    # The dialog is gone, so the next call gets its answer.
    call_keyring(lambda keyring: None, seconds=30)
    assert bench.upstream.fetch(Key("ring")).reveal() == "t0k3n"


def test_a_fetch_is_retried() -> None:
    bench = Bench(answer(503, {}), answer(200, GOOD))
    assert bench.upstream.fetch(Key("mine")).reveal() == "t0k3n"
    assert bench.slept == [0.5]


CREATED = {"type": "application/astra-token", "id": "t", "token": "v4lue"}


def test_create() -> None:
    bench = Bench(answer(201, CREATED))
    assert bench.upstream.create("stored", {**OWNER, "name": "n"}).reveal() == "v4lue"


def test_create_is_never_retried_once_it_may_have_been_made() -> None:
    bench = Bench(answer(503, {}), answer(201, CREATED))
    with pytest.raises(TokenError):
        bench.upstream.create("stored", {**OWNER, "name": "n"})
    assert len(bench.script.requests) == 1


def test_create_is_retried_where_no_connection_was_made() -> None:
    bench = Bench(httpx.ConnectError("x"), answer(201, CREATED))
    assert bench.upstream.create("stored", {**OWNER, "name": "n"}).reveal() == "v4lue"


@pytest.mark.parametrize("params", [{}, OWNER, {**OWNER, "name": ""}, {**OWNER, "name": "n", "x": 1}])
def test_wrong_parameters_of_create_send_nothing(params: dict[str, object]) -> None:
    bench = Bench()
    with pytest.raises(ParameterError):
        bench.upstream.create("stored", params)
    assert bench.script.requests == []


def test_create_needs_the_profile_to_allow_it() -> None:
    bench = Bench(answer(201, CREATED), stored={**ASTRA, "allow_create": False})
    with pytest.raises(ConfigurationError, match="does not allow creating tokens") as caught:
        bench.upstream.create("stored", {**OWNER, "name": "n"})
    assert (caught.value.profile, caught.value.unsent) == ("stored", True)
    assert bench.script.requests == []


def test_create_where_the_vendor_has_no_such_call() -> None:
    bench = Bench()
    with pytest.raises(TokenError, match="Provider 'oneaccess' cannot create tokens, only fetch them"):
        bench.upstream.create("mine", {})
    assert bench.script.requests == []


# --- the API's own answer, for the proxy

IDS = {"account_id": "a", "user_id": "u", "token_id": "t"}


def stored(**other: object) -> Profile:
    return Profiles.from_settings({"stored": {**ASTRA, **other}})["stored"]


def test_an_answer_comes_as_it_is_whatever_it_says() -> None:
    bench = Bench(answer(200, "{}", x_request_id="r"), answer(404, "<html>", retry_after="3"))
    first, second = (bench.upstream.exchange(stored(), IDS) for _ in range(2))
    assert (first.status, first.body, first.error) == (200, b"{}", None)
    assert ("x-request-id", "r") in first.headers
    assert (second.status, second.body) == (404, b"<html>")
    assert second.error is not None
    assert (second.error.reason, second.error.status, second.error.profile) == ("not_found", 404, "stored")


def test_an_exchange_is_never_made_twice() -> None:
    bench = Bench(answer(503, {}), httpx.ConnectError("x"))
    assert bench.upstream.exchange(stored(), IDS).status == 503
    with pytest.raises(NetworkError) as caught:
        bench.upstream.exchange(stored(), IDS)
    assert (caught.value.profile, caught.value.provider, len(bench.script.requests)) == ("stored", "astra", 2)
    assert bench.slept == []


@pytest.mark.parametrize("status", [100, 101, 199, 600, 999])
def test_a_status_that_no_answer_has(status: int) -> None:
    echo = httpx.Response(status, headers={"x-request-id": CANARY, "content-type": CANARY})
    with pytest.raises(ResponseError, match=f"status {status}") as caught:
        Bench(echo).upstream.exchange(stored(), IDS)
    assert CANARY not in str(caught.value) + repr(caught.value) + str(vars(caught.value))


def test_an_echoed_secret_is_in_no_part_of_the_answer() -> None:
    echo = answer(400, f"you sent {CANARY}", x_request_id=CANARY, x_correlation_id="c", x_trace=quote(CANARY))
    got = Bench(echo).upstream.exchange(stored(), IDS)
    assert got.body == b"you sent ***"
    assert CANARY not in repr(got) + repr(got.error) + str(vars(got.error))
    assert ("x-correlation-id", "c") in got.headers
    assert {"x-request-id", "x-trace"} & dict(got.headers).keys() == set()


def test_the_keys_of_a_chain_are_in_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    key = AccessKey("LTAI", Secret("chain-secret-key"), Secret("chain/sts token"))
    monkeypatch.setattr(AlibabaProvider, "credential", lambda _self, _secrets: key)
    bench = Bench(answer(200, "chain-secret-key chain/sts token chain%2Fsts%20token LTAI"))
    settings = {"provider": "pai-dlc", "endpoint": "https://dlc.example.com", "credentials": "chain"}
    got = bench.upstream.exchange(Profiles.from_settings({"x": settings})["x"], {})
    assert got.body == b"*** *** *** LTAI"


def test_a_secret_that_is_too_short_to_tell_from_other_text_is_left() -> None:
    got = Bench(answer(200, "abc is in abcdef")).upstream.exchange(stored(api_token="abc"), IDS)
    assert got.body == b"abc is in abcdef"


def test_secrets_are_read_at_each_call_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, profile = Bench(answer(200, {}), answer(200, {})), stored(api_token="env:LATE_SECRET")
    with pytest.raises(SecretError):
        bench.upstream.exchange(profile, IDS)
    monkeypatch.setenv("LATE_SECRET", "here-it-is")
    assert bench.upstream.exchange(profile, IDS).status == 200
    monkeypatch.delenv("LATE_SECRET")
    with pytest.raises(SecretError):
        bench.upstream.exchange(profile, IDS)


MODELARTS = {
    "provider": "modelarts",
    "endpoint": "https://modelarts.example.com",
    "iam_endpoint": "https://iam.example.com",
}


def test_an_iam_token_that_the_vendor_echoes_is_not_told() -> None:
    refusal = answer(403, {"error_code": "ModelArts.0108", "error_msg": "MIIsubjectTOKEN may not"})
    bench = Bench(IAM_TOKEN, refusal, theirs={**LOGIN_TO_IAM, **MODELARTS})
    error = bench.fails(Key("theirs", (("project_id", "p"), ("instance_id", "i"))))
    assert error.message == "… may not."
    assert "MIIsubjectTOKEN" not in repr(error) + str(error.__dict__)


def test_an_access_key_that_the_vendor_echoes_is_not_told() -> None:
    keys = {"access_key_id": "id", "access_key_secret": "env:CLIENT_SECRET"}
    dlc = {"provider": "pai-dlc", "endpoint": "https://dlc.example.com", **keys}
    bench = Bench(answer(400, {"Code": "SignatureDoesNotMatch", "Message": f"You sent {CANARY}"}), dlc=dlc)
    assert bench.fails(Key("dlc")).message == "You sent …."


@pytest.fixture
def seen() -> Iterator[list[tuple[str, str]]]:
    """What those are told who keep values out of sight: profile and value."""
    told_of: list[tuple[str, str]] = []
    end = watch_values(lambda profile, value: told_of.append((profile, value.reveal())))
    yield told_of
    end()


def test_who_keeps_values_out_of_sight_is_told_of_the_secrets_and_the_token(seen: list[tuple[str, str]]) -> None:
    Bench(answer(200, GOOD)).upstream.fetch(Key("mine"))
    # Not of the client's id, which is no secret.
    assert sorted(seen) == [("mine", CANARY), ("mine", "t0k3n")]


def test_they_are_told_of_the_secrets_of_a_fetch_that_failed(seen: list[tuple[str, str]]) -> None:
    Bench(answer(401, {"error": "invalid_client"})).fails()
    assert seen == [("mine", CANARY)]


def test_of_secrets_that_cannot_be_resolved_there_is_nothing_to_tell(
    seen: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLIENT_SECRET")
    Bench().fails()
    assert not seen


def test_a_token_of_another_profile_is_exchanged() -> None:
    mine = {
        **ONEACCESS,
        "provider": "oauth2",
        "grant": "token_exchange",
        "subject": "profile:theirs",
        "token": "id_token",
    }
    issued = {
        "access_token": "1d.t0ken.x",
        "token_type": "N_A",
        "issued_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "expires_in": 60,
    }
    bench = Bench(answer(200, GOOD), answer(200, issued), mine=mine, theirs=ONEACCESS)
    assert bench.upstream.fetch(Key("mine")).reveal() == "1d.t0ken.x"
    assert "subject_token=t0k3n" in bench.script.requests[1].content.decode()


STS = {"provider": "huawei-sts", "endpoint": "https://iam.example.com", "auth_token": "profile:theirs"}
IAM_TOKEN = answer(201, {"token": {"expires_at": "2026-01-16T08:30:00Z"}}, x_subject_token="MIIsubjectTOKEN")
STS_KEY = {"access": "AK", "secret": "s3cr3t", "securitytoken": "t0k3n", "expires_at": "2026-01-15T08:45:00.000000Z"}
LOGIN_TO_IAM = {
    "provider": "huawei-iam",
    "endpoint": "https://iam.example.com",
    "username": "u",
    "password": "env:CLIENT_SECRET",
    "domain_name": "d",
}


def test_a_secret_can_be_the_token_of_another_profile() -> None:
    bench = Bench(IAM_TOKEN, answer(201, {"credential": STS_KEY}), mine=STS, theirs=LOGIN_TO_IAM)
    assert bench.upstream.fetch(Key("mine")).reveal("secret_access_key") == "s3cr3t"
    assert bench.script.requests[1].headers["x-auth-token"] == "MIIsubjectTOKEN"


def test_that_token_is_not_told_if_the_vendor_echoes_it() -> None:
    refused = answer(401, {"error": {"code": 401, "message": "MIIsubjectTOKEN is no good"}})
    error = Bench(IAM_TOKEN, refused, mine=STS, theirs=LOGIN_TO_IAM).fails()
    assert error.message == "… is no good."
    assert "MIIsubjectTOKEN" not in repr(error) + str(error.__dict__)


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        ({**LOGIN_TO_IAM, "password": "profile:mine"}, "The profile mine would need its own token"),
        ({**LOGIN_TO_IAM, "password": "profile:nobody"}, "no profile 'nobody'"),
        ({**STS, "auth_token": "profile:theirs"}, "The profile theirs would need its own token"),
    ],
)
def test_where_the_other_profiles_lead_nowhere(theirs: dict[str, str], words: str) -> None:
    assert words in Bench(mine=STS, theirs=theirs).fails().message


def test_several_values_cannot_be_one_secret() -> None:
    sts = {"provider": "huawei-sts", "endpoint": "https://iam.example.com", "auth_token": "env:CLIENT_SECRET"}
    error = Bench(answer(201, {"credential": STS_KEY}), mine=STS, theirs=sts).fails()
    assert "access_key_id, secret_access_key, security_token" in str(error)


def test_the_secret_of_a_user_of_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_ana", "anas own")
    bench = Bench(answer(200, GOOD), mine={**ONEACCESS, "client_secret": "env:SECRET_OF_{user}"})
    bench.upstream.fetch(Key("mine", user="ana"))
    assert "client_secret=anas+own" in bench.script.requests[0].content.decode()
