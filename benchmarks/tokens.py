"""A cached token beside a look-up in a dict; a cold one beside a bare GET, and the vendors' SDKs beside both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import httpx

from jupyter_tokens import client as kernel_client
from jupyter_tokens.client import Client, get_token
from jupyter_tokens.config.profiles import Profiles

from .answers import answering
from .measure import Row, medians
from .vendors import TARGETS, profiles, sandboxed, sdks

_BARE, _OURS, _SDK = "bare httpx.Client GET", "get_token(refresh=True)", "official SDK"


CACHED_SECONDS = 3e-6
"""What `get_token` may take if the token is held."""


def cached() -> Iterator[Row]:
    """`get_token` of a token that is held."""
    with answering() as url:
        kernel_client._shared = Client(Profiles.from_settings(profiles(url)))
        token = get_token("oneaccess")
        get_token("pai-dlc", TargetType="job", TargetId="dlc1")
        table = {"oneaccess": token}
        calls: dict[str, Callable[[], object]] = {
            "dict look-up": lambda: table["oneaccess"],
            "get_token(name)": lambda: get_token("oneaccess"),
            "get_token(name, two parameters)": lambda: get_token("pai-dlc", TargetType="job", TargetId="dlc1"),
        }
        taken = medians(calls, rounds=200, warm=100, inner=1000)
    base = taken["dict look-up"]
    yield from (Row("cached", name, seconds, seconds / base) for name, seconds in taken.items())
    # The promise is absolute.
    ours = taken["get_token(name)"]
    yield Row("cached", "get_token(name), of 3 µs", ours, ours / CACHED_SECONDS, 1.0)


def cold(rounds: int) -> Iterator[Row]:
    """A fetched token, each API beside a bare `httpx.Client` GET of the same answer on a kept connection.

    The SDKs have rounds of their own: what they leave in the processor's caches slows whoever comes next.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with answering() as url, httpx.Client() as bare:
        client = Client(Profiles.from_settings(profiles(url)))
        official = sdks(url)
        for name, target in TARGETS.items():
            calls: dict[str, Callable[[], object]] = {
                _BARE: lambda target=target: bare.get(url + target),
                _OURS: lambda name=name: client.get(name, refresh=True),
            }
            taken = medians(calls, rounds=rounds, warm=30)
            for label, seconds in taken.items():
                yield Row(f"cold {name}", label, seconds, seconds / taken[_BARE])
            if name in official:
                beside = medians({_BARE: calls[_BARE], _SDK: official[name]}, rounds=rounds, warm=30)
                yield Row(f"cold {name}", _SDK, beside[_SDK], beside[_SDK] / beside[_BARE])
                added, by_sdk = taken[_OURS] - taken[_BARE], beside[_SDK] - beside[_BARE]
                yield Row(f"cold {name}", "what ours adds to the GET, of what the SDK adds", added, added / by_sdk, 1.0)
        client.close()


def strict(rounds: int) -> Iterator[Row]:
    """The same from the sandbox, which looks at each signature: an SDK beside `get_token`, which is the 1 here."""
    with sandboxed() as url:
        client = Client(Profiles.from_settings(profiles(url)))
        for name, official in sdks(url).items():
            calls = {_OURS: lambda name=name: client.get(name, refresh=True), _SDK: official}
            taken = medians(calls, rounds=rounds, warm=10)
            for label, seconds in taken.items():
                yield Row(f"sandbox {name}", label, seconds, seconds / taken[_OURS])
        client.close()
