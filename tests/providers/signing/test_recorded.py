"""What both algorithms have in common, against what their clouds recorded and published."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jupyter_tokens.providers.signing import acs3, sdk_hmac
from jupyter_tokens.providers.signing.canonical import sha256

from .recorded import Signed, recorded, sign

ALGORITHMS = {"ACS3": acs3.authorization, "SDK-HMAC": sdk_hmac.authorization}
VECTORS = {name: recorded(name) for name in ALGORITHMS}
LETTERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
every_vector = pytest.mark.parametrize(
    ("authorization", "one"),
    [pytest.param(ALGORITHMS[name], one, id=which) for name, ones in VECTORS.items() for which, one in ones.items()],
)


def test_the_vectors_are_there() -> None:
    assert {name: len(ones) for name, ones in VECTORS.items()} == {"ACS3": 14, "SDK-HMAC": 9}


@every_vector
def test_the_recorded_signature_is_met(authorization: Any, one: Signed) -> None:
    assert sign(authorization, one) == one.authorization


@every_vector
def test_the_order_of_query_and_headers_does_not_matter(authorization: Any, one: Signed) -> None:
    headers = dict(reversed(one.signed_headers.items()))
    assert sign(authorization, one, query=one.query[::-1], headers=headers) == one.authorization


@every_vector
def test_one_changed_character_changes_the_signature(authorization: Any, one: Signed) -> None:
    def changed(text: str) -> str:
        return text[:-1] + ("x" if text[-1] != "x" else "y")

    ways: list[dict[str, Any]] = [
        {"method": "PUT"},
        {"path": one.path + "x"},
        {"query": (*one.query, ("a", "b"))},
        {"payload_hash": changed(sha256(one.body))},
        {"key_secret": changed(one.secret)},
        *({"headers": {**one.signed_headers, name: changed(value)}} for name, value in one.signed_headers.items()),
        *(
            {"query": (*one.query[:place], (name, changed(value)), *one.query[place + 1 :])}
            for place, (name, value) in enumerate(one.query)
        ),
    ]
    signatures = [sign(authorization, one, **way).rpartition("=")[2] for way in ways]
    assert one.authorization.rpartition("=")[2] not in signatures
    assert len(set(signatures)) == len(ways)


@pytest.mark.parametrize("authorization", ALGORITHMS.values(), ids=ALGORITHMS)
@given(name=LETTERS, value=LETTERS, other=LETTERS)
def test_signatures_of_different_values_differ(authorization: Any, name: str, value: str, other: str) -> None:
    assume(value != other)
    headers = {"host": "h", "x-sdk-date": "20260115T083000Z"}
    one, two = (
        authorization("GET", "/", [(name, text)], headers, sha256(b""), key_id="i", key_secret="s")
        for text in (value, other)
    )
    assert one != two
