"""Whatever stands in the configuration: profiles, or an error that names the place and quotes no secret."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keyring.backend
import pytest
from hypothesis import strategies as st

from jupyter_tokens.config import editing
from jupyter_tokens.config.files import load_mode, load_profiles
from jupyter_tokens.config.profiles import COMMON, Profile, Profiles
from jupyter_tokens.errors import ConfigurationError, ParameterError, TokenError
from jupyter_tokens.providers.catalogue import provider_class, provider_ids
from jupyter_tokens.server.answers import provider_entries
from jupyter_tokens.sources.cache import Key
from jupyter_tokens.sources.local import LocalSource
from jupyter_tokens.transport import Transport, proxy_for

from ..doubles import CANARY, Clock
from .conftest import Fuzz
from .strange import TEXTS, WRONG, as_json, bodies, mutated, say_enough, strict, typed
from .test_vendor_answers import PROFILES, Vendor, response

# Literal secrets stand in nearly all of it.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*literal secret:UserWarning")]

URLS = (
    "https://",
    "https://[::1",
    "https://[::1%25eth0]/",
    "https://a b/",
    "https://ex\u00e4mple.com",
    "https://xn--a",
    "https://h:99999",
    "https://h:x",
    "https://h/%zz/{project_id}",
    "http://127.0.0.1:0",
    "http://localhost\\@evil.example",
    "https://h?q",
    "https://u:p@h",
    "https://" + "a" * 300,
    "https://a..b",
    "https://\u2100.com",
    "file:///etc/passwd",
    "//h",
)
_WORDS = st.sampled_from(
    [
        *URLS,
        "https://vendor.example.com",
        "cn-hangzhou",
        "eu-de",
        "chain",
        "env:X",
        "file:~nobody/x",
        CANARY,
        "basic",
        "a=b",
    ]
)


@st.composite
def profiles(draw: Callable[..., Any]) -> Any:
    """The settings of one: right ones with some changed, or of any name and kind."""
    if draw(st.booleans()):
        return draw(mutated(draw(st.sampled_from(sorted(PROFILES)).map(PROFILES.__getitem__))))
    kind = draw(st.sampled_from(provider_ids()))
    known = provider_class(kind)
    names = st.sampled_from([*known.settings(), *COMMON])
    settings = draw(st.dictionaries(names | TEXTS, _WORDS | TEXTS | WRONG, max_size=6))
    params = draw(st.dictionaries(st.sampled_from([*known.params, "x"]) | TEXTS, TEXTS | WRONG, max_size=3))
    right = PROFILES.get(kind, {"provider": kind})
    return {**right, **settings, **draw(st.sampled_from([{}, {"params": params}]))}


def used(profile: Profile, calls: dict[str, Any]) -> None:
    """Everything that is done with a profile before a vendor has answered, and after."""
    profile.allows("python3", ["a/b.ipynb"])
    repr(profile)
    with typed(ParameterError):
        params = profile.call_params(calls)
        clock = Clock()
        transport = Transport(clock=clock, sleep=clock.advance, transport=Vendor(response(404, b"{}")))
        held: Any = {profile.name: profile}
        upstream = LocalSource(held, transport=transport, clock=clock)
        with typed(TokenError):
            upstream.fetch(Key(profile.name, tuple(params.items())))


def test_a_profile_of_any_settings(fuzz: Fuzz) -> None:
    def check(name: str, settings: Any, calls: dict[str, Any]) -> None:
        with typed(ConfigurationError):
            profile = Profiles.from_settings({name: settings})[name]
            # The chains look at this machine; test_credentials tries what they find.
            # And a program of any name is not run.
            if getattr(profile.provider, "credentials", "") == "" and profile.provider.id != "command":
                used(profile, calls)

    no_params: dict[str, Any] = {}
    known = [("a", {**PROFILES["oneaccess"], "endpoint": url}, no_params) for url in URLS]
    calls = st.dictionaries(st.sampled_from(["TargetId", "ExpireTime", "scope", "token_id"]) | TEXTS, WRONG, max_size=2)
    fuzz(check, TEXTS, profiles(), calls, times=80, known=known)


def test_an_endpoint_of_any_text(fuzz: Fuzz) -> None:
    def check(url: str, key: str) -> None:
        with typed(ConfigurationError):
            used(Profiles.from_settings({"a": {**PROFILES["login"], key: url}})["a"], {})

    near = st.sampled_from(URLS) | st.text(st.sampled_from("ahtps:/\\.[]%@?#0 é\u2100_-"), max_size=12).map(
        lambda text: f"https://{text}"
    )
    fuzz(check, near | TEXTS, st.sampled_from(["endpoint", "iam_endpoint"]), times=60)


def test_which_proxy_a_call_takes(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    def check(bypass: str, proxy: str) -> None:
        monkeypatch.setenv("NO_PROXY", bypass)
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        found = proxy_for(httpx.URL("https://vendor.example.com"))
        assert found is None or "://" in found

    texts = TEXTS.filter(lambda text: "\0" not in text and not any("\ud800" <= mark <= "\udfff" for mark in text))
    fuzz(check, texts, texts)


CONFIG: dict[str, Any] = {"TokenProfiles": {"profiles": PROFILES, "mode": "direct"}, "version": 1}


def read(file: Path) -> None:
    with typed(ConfigurationError):
        load_mode([file])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = load_profiles([file])
        found.injected_at_start()
        for name in found:
            with typed(ConfigurationError):
                found[name]


def test_a_json_file_of_any_content(fuzz: Fuzz, tmp_path: Path) -> None:
    file = tmp_path / "jupyter_tokens_config.json"
    file.touch(mode=0o600)

    def check(data: bytes) -> None:
        file.write_bytes(data)
        read(file)

    fuzz(check, bodies(CONFIG), times=40)


def test_a_python_file_of_any_values(fuzz: Fuzz, tmp_path: Path) -> None:
    file = tmp_path / "jupyter_tokens_config.py"
    file.touch(mode=0o600)
    values = WRONG.map(repr) | st.sampled_from(
        [f"{{'a': {CANARY!r}", "{1}", "{b'a': {}}", "{1: {2: 3}}", "object()", "c"]
    )
    lines = st.sampled_from(
        [
            "c.TokenProfiles.profiles = {}",
            "c.TokenProfiles.profiles['a'] = {}",
            "c.TokenProfiles.profiles.update({})",
            "c.TokenProfiles.profiles.append({})",
            "c.TokenProfiles.profiles.a.b = {}",
            "c.TokenProfiles.mode = {}",
            "c.TokenProfiles = {}",
            "c.TokenProfiles.profiles = {{'a': {{'provider': {}}}}}",
            "raise SystemExit({})",
        ]
    )

    def check(written: list[tuple[str, str]]) -> None:
        file.write_bytes(
            "\n".join(["inf = nan = 0", *(line.format(value) for line, value in written)]).encode(
                "utf-8", "surrogatepass"
            )
        )
        read(file)

    fuzz(check, st.lists(st.tuples(lines, values), min_size=1, max_size=3), times=50)


def test_the_file_that_profiles_are_written_to(fuzz: Fuzz, stored: keyring.backend.KeyringBackend) -> None:
    file = editing.path()
    secret = {"value": CANARY, "store": "file"}
    right = {**PROFILES["oneaccess"], "client_secret": secret}

    def check(data: bytes, name: str, settings: Any) -> None:
        file.write_bytes(data)
        held = Profiles({})
        for step in (
            lambda: editing.editable(name, held),
            lambda: editing.put(name, settings, held),
            lambda: editing.editable(name, held),
            lambda: editing.remove(name, held),
        ):
            before = file.read_bytes()
            try:
                shown = step()
            except ConfigurationError as error:
                say_enough(error)
                left = file.read_bytes() == before or "is changed" in error.message
                assert left
            else:
                assert CANARY not in repr(shown)
                # What was written is read again.
                json.loads(file.read_bytes())

    names = st.sampled_from(["oneaccess", "astra", "new"]) | TEXTS
    settings = mutated(right).filter(lambda made: isinstance(made, dict)) | profiles().filter(
        lambda made: isinstance(made, dict)
    )
    deep = [as_json({**CONFIG, "other": wrong}) for wrong in ("@abyss", "@deeper")]
    known = [(data, "new", {**PROFILES["astra"], "api_token": "env:X"}) for data in deep]
    fuzz(check, st.just(as_json(CONFIG)) | bodies(CONFIG) | st.just(b"{}"), names, settings, times=40, known=known)


def test_every_schema_is_json() -> None:
    strict(json.dumps(provider_entries()))
