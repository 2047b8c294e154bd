"""The canonical request that both signatures are made over."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import pickle
from random import Random
from urllib.parse import parse_qsl, unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tokens.providers.signing import canonical
from jupyter_tokens.providers.signing.canonical import AccessKey
from jupyter_tokens.token import Secret

from ...doubles import CANARY, VECTORS, vector

UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PAIRS = st.lists(st.tuples(TEXT, TEXT))


def test_recorded_canonical_requests_are_met() -> None:
    seen = 0
    for file in VECTORS.glob("*.json"):
        data = vector(file.stem)
        expected = data.get("canonical_request") or (data.get("signature") or {}).get("canonical_request")
        if not expected:
            continue
        seen += 1
        method, uri, query, *headers, _, names, payload_hash = expected.split("\n")
        parts = [part.partition("=") for part in query.split("&") if part]
        pairs = [(unquote(name), unquote(value)) for name, _, value in parts]
        given_headers = dict(line.split(":", 1) for line in headers)
        hashed = hashlib.sha256(expected.encode()).hexdigest()
        made = canonical.canonical_request(method, uri, pairs[::-1], given_headers, payload_hash)
        assert made == (hashed, names)
    assert seen == 23


@given(TEXT)
def test_percent_encoding_is_rfc_3986_and_can_be_undone(text: str) -> None:
    encoded = canonical.percent_encode(text)
    assert set(encoded) <= set(UNRESERVED + "%")
    assert unquote(encoded) == text


@pytest.mark.parametrize(
    ("text", "encoded"), [(" ", "%20"), ("*", "%2A"), ("~", "~"), ("/", "%2F"), ("+", "%2B"), ("é", "%C3%A9")]
)
def test_percent_encoding_of_what_forms_do_otherwise(text: str, encoded: str) -> None:
    assert canonical.percent_encode(text) == encoded


@given(PAIRS, st.randoms())
def test_the_order_of_the_query_does_not_matter(pairs: list[tuple[str, str]], random: Random) -> None:
    shuffled = pairs.copy()
    random.shuffle(shuffled)
    assert canonical.canonical_query(shuffled) == canonical.canonical_query(pairs)


@given(PAIRS, PAIRS)
def test_different_queries_stay_different(one: list[tuple[str, str]], other: list[tuple[str, str]]) -> None:
    same = sorted(one) == sorted(other)
    assert (canonical.canonical_query(one) == canonical.canonical_query(other)) is same


def test_query_sorts_by_encoded_name_then_value() -> None:
    pairs = [("b", "2"), ("a", "z"), ("a", "b"), ("A", ""), ("a b", "*")]
    assert canonical.canonical_query(pairs) == "A=&a=b&a=z&a%20b=%2A&b=2"


def test_headers_are_lower_case_sorted_and_stripped() -> None:
    block, names = canonical.canonical_headers({"X-B": " 2 ", "host": "h", "A": "1"})
    assert (block, names) == ("a:1\nhost:h\nx-b:2\n", "a;host;x-b")


def test_method_is_upper_case() -> None:
    expected = hashlib.sha256(b"GET\n/\n\n\n\nhash").hexdigest()
    assert canonical.canonical_request("get", "/", [], {}, "hash") == (expected, "")


@given(st.binary())
def test_hashes_are_those_of_the_standard_library(data: bytes) -> None:
    assert canonical.sha256(data) == hashlib.sha256(data).hexdigest()


@given(TEXT, TEXT)
def test_hmac_takes_texts_as_utf8(key: str, text: str) -> None:
    expected = hmac.new(key.encode(), text.encode(), "sha256").hexdigest()
    assert canonical.hmac_sha256(key, text) == expected


@given(st.lists(st.tuples(TEXT.filter(bool), TEXT)))
def test_what_goes_on_the_wire_is_what_is_signed(pairs: list[tuple[str, str]]) -> None:
    query = canonical.canonical_query(pairs)
    target = "/a%2Fb/c~d" + (f"?{query}" if query else "")
    assert httpx.Request("GET", f"https://h{target}").url.raw_path.decode() == target
    assert sorted(parse_qsl(query, keep_blank_values=True)) == sorted(pairs)


def test_an_access_key_shows_no_secret() -> None:
    key = AccessKey("AKID", Secret(CANARY), Secret(CANARY))
    shown = [repr(key), str(key), f"{key}", repr(dir(key)), repr(copy.deepcopy(key)), json.dumps(key, default=str)]
    assert "AKID" in shown[0]
    assert CANARY not in "".join(shown)
    with pytest.raises(TypeError):
        pickle.dumps(key)
    with pytest.raises(TypeError):
        vars(key)
