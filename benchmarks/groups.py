"""The groups of the benchmarks in the order of the page, and what each of them measures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import NamedTuple

from . import (
    endpoints,
    footprint,
    held,
    hub_service,
    libraries,
    panel,
    proxy,
    redaction,
    scan,
    tokens,
    workers,
)
from .measure import Row

ROUNDS = 600
"""Interleaved rounds of a cold call, by default; the others follow from it."""


class Group(NamedTuple):
    """Rows under one heading. rows : measures them, in so many rounds of a cold call."""

    title: str
    about: str
    rows: Callable[[int], Iterable[Row]]


def _share(rounds: int, of: int) -> int:
    return max(rounds // of, 1)


GROUPS = {
    "cached": Group(
        "A cached token",
        "The call that code makes again and again, when the token is cached and valid for a long time. First in "
        "comparison with a look-up in a dict, then with the refreshable credentials of other libraries. The "
        "ratios are relative to the dict, and to jupyter_tokens.",
        lambda _: chain(tokens.cached(), libraries.held()),
    ),
    "cold": Group(
        "A fetched token",
        "One call to each API over a kept connection. The server has its responses ready, and takes the same "
        "time for all callers. The ratios are relative to a GET of the same bytes with `httpx.Client`, which "
        "signs nothing and parses nothing. What `get_token` adds to this GET should be at most what the vendor's "
        "SDK adds.",
        tokens.cold,
    ),
    "sandbox": Group(
        "A fetched token, from the sandbox",
        "The same calls to the sandbox, which checks each signature, in comparison with the vendor's SDK. The "
        "times include the work of the sandbox. The ratios are relative to `get_token`.",
        lambda rounds: tokens.strict(_share(rounds, 3)),
    ),
    "herd": Group(
        "Many threads at once",
        f"{libraries.HERD} threads ask at the same moment for a token that has just expired. The endpoint takes "
        "20 ms. The ratios are relative to one upstream call, and to the time of one bare POST. The number of "
        "calls is the highest of all rounds.",
        lambda rounds: libraries.herd(_share(rounds, 40)),
    ),
    "short": Group(
        "Tokens that live for a minute, and for a quarter of an hour",
        "A simulated hour in which a caller asks every 10 seconds. The ratios are relative to the number of "
        "calls that our refresh windows need: one refresh in the background when a fifth of the life is left. A "
        "caller has waited if its own thread made the upstream call. A library whose refresh margin is fixed, "
        "and longer than the token's life, makes an upstream call each time.",
        lambda _: libraries.short(),
    ),
    "import": Group(
        "Import",
        "The time that an import adds to the start of Python, and the time to load the IPython extension. The "
        "ratios are relative to the promises of 10 ms and 60 ms, and to 10 ms where nothing is promised.",
        lambda rounds: footprint.promised(_share(rounds, 40)),
    ),
    "footprint": Group(
        "Import and memory, compared with other packages",
        "New interpreters import what a call needs: the vendors' SDKs, other libraries, and everything that our "
        "first fetch loads. The ratios are relative to ours. Memory is what the import adds to the resident set "
        "of a bare interpreter.",
        lambda rounds: footprint.added(rounds // 150),
    ),
    "many": Group(
        "A session that holds 10,000 tokens",
        "Tokens of 1,000 profiles, all injected and kept fresh. The ratios are relative to the promises.",
        lambda _: held.many(),
    ),
    "redaction": Group(
        "Redaction",
        "A cell prints 10 MB in a kernel that knows 20 values. The time is until the kernel's client has "
        "received the output. The ratios are relative to the same cell without redaction.",
        lambda rounds: redaction.added(_share(rounds, 40)),
    ),
    "scan": Group(
        "Scan",
        "Typical notebooks: our tutorials, notebooks with pictures, tables, and sources with tracebacks. The "
        "times are CPU seconds. The ratios are relative to a scan of 30 MB per second. Then detect-secrets on "
        "our tutorials, and both tools on made-up lines (tests/scan/lines) with a known correct result: there "
        "the ratio is the share of wrong results.",
        lambda rounds: scan.scanned(_share(rounds, 200)),
    ),
    "proxy": Group(
        "Over HTTP",
        "The pass-through proxy in comparison with a proxy written with aiohttp on the same server, and a cached "
        "token in comparison with a trivial handler. A rate of at least 0.95 (with an API that takes 50 ms) and "
        "0.9 of theirs means a time for each request of at most 1.05 and 1.11.",
        lambda rounds: proxy.served(_share(rounds, 100), seconds=min(rounds / 400, 1.0)),
    ),
    "endpoints": Group(
        "Credential endpoints",
        "How long an unmodified SDK in a kernel waits for a credential that the server has cached: the 99th "
        "percentile, as the median of the rounds. The promise is 50 ms for one SDK that asks again and again. "
        "All requests together need one upstream call for each of the two tokens.",
        lambda rounds: endpoints.answered(_share(rounds, 25), seconds=min(rounds / 400, 0.25)),
    ),
    "workers": Group(
        "In worker processes",
        "A task that authorises its request with a pickled `auth`, whose handle a Jupyter server has issued, in "
        "comparison with a task that sends a literal header. The promises are 50 µs for a task, and 5 % for a "
        "job whose API takes 10 ms.",
        workers.added,
    ),
    "service": Group(
        "The hub's service",
        "A cached token with one client, relative to a bare handler on the same server that also asks the hub "
        "who the caller is. With 50 clients, relative to the promise of 1,500 requests per second for a replica.",
        lambda rounds: hub_service.served(_share(rounds, 25), seconds=min(rounds / 400, 0.25)),
    ),
    "start": Group(
        "The server's start",
        "A server without JupyterLab. JupyterLab itself loads httpx, which is part of the time here. The ratios "
        "are relative to the promise of 100 ms.",
        lambda rounds: proxy.started(_share(rounds, 100)),
    ),
    "panel": Group(
        "The panel",
        "What the panel adds to the page, and how long it takes to show 200 profiles in Chromium. The ratios are "
        "relative to the promises.",
        lambda rounds: chain(panel.loaded(), panel.drawn(_share(rounds, 40))),
    ),
}
