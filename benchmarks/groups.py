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
        "A token that is held",
        "The call that code makes again and again: the token is there, and good for long. First beside a look-up in a "
        "dict, which is the 1; then each library's own refreshable credential, with ours as the 1.",
        lambda _: chain(tokens.cached(), libraries.held()),
    ),
    "cold": Group(
        "A token that is fetched",
        "One call to each API on a kept connection, from a server with ready answers that costs all of them the same. "
        "A bare GET of the same bytes by `httpx.Client` is the 1: it neither signs nor reads what it gets. What ours "
        "adds to it may be at most what the vendor's SDK adds.",
        tokens.cold,
    ),
    "sandbox": Group(
        "A token that is fetched, from the sandbox",
        "The same calls to the sandbox, which looks at each signature, beside the vendor's SDK. Ours is the 1, and a "
        "part of each time is the sandbox's own.",
        lambda rounds: tokens.strict(_share(rounds, 3)),
    ),
    "herd": Group(
        "A herd",
        f"{libraries.HERD} threads ask at the same moment for a token that has just expired, of an endpoint that takes "
        "20 ms. The 1 is one upstream call, and the time of one bare POST. The calls are the most of all rounds.",
        lambda rounds: libraries.herd(_share(rounds, 40)),
    ),
    "short": Group(
        "Tokens that live for a minute, and for a quarter of an hour",
        "A simulated hour in which somebody asks every 10 seconds. The 1 is what our windows say: a refresh when a "
        "fifth of the life is left, in the background. An asker waits whose own thread makes the call. Where a margin "
        "does not follow the life and is longer than it, each question is an upstream call.",
        lambda _: libraries.short(),
    ),
    "import": Group(
        "Import",
        "What importing adds to Python, and loading the extension to IPython. The ratios are to the promises of 10 ms "
        "and 60 ms; where nothing is promised, to 10 ms.",
        lambda rounds: footprint.promised(_share(rounds, 40)),
    ),
    "footprint": Group(
        "Import and memory beside others",
        "Fresh interpreters that import what a call needs: the vendors' SDKs, other libraries, and all that our first "
        "fetch loads, which is the 1. Memory is what it adds to a bare interpreter's resident set.",
        lambda rounds: footprint.added(rounds // 150),
    ),
    "many": Group(
        "A session that holds 10,000 tokens",
        "1,000 profiles, all injected and kept fresh. The ratios are to the promises.",
        lambda _: held.many(),
    ),
    "redaction": Group(
        "Redaction",
        "A cell that prints 10 MB in a kernel that knows 20 values, seen by the kernel's client; without redaction is "
        "the 1.",
        lambda rounds: redaction.added(_share(rounds, 40)),
    ),
    "scan": Group(
        "Scan",
        "Notebooks of the kinds that people have: our tutorials, pictures, tables, sources with tracebacks; in seconds "
        "of the processor, beside those that 30 MB a second would take. Then detect-secrets on our tutorials, and both "
        "on made-up lines (tests/scan/lines) whose answers are known: the ratio is the share of wrong answers.",
        lambda rounds: scan.scanned(_share(rounds, 200)),
    ),
    "proxy": Group(
        "Over HTTP",
        "The pass-through proxy beside one written with aiohttp on the same server, and a cached token beside a "
        "trivial handler. A rate of at least 0.95 (with an API that takes 50 ms) and 0.9 of theirs is a time for each "
        "request of at most 1.05 and 1.11.",
        lambda rounds: proxy.served(_share(rounds, 100), seconds=min(rounds / 400, 1.0)),
    ),
    "endpoints": Group(
        "Credential endpoints",
        "How long an unmodified SDK in a kernel waits for a credential that the server has: of a hundred answers the "
        "slowest but one, as the median of the rounds. For one SDK that asks again and again 50 ms are promised. All "
        "of them together cost one upstream call for each of the two tokens.",
        lambda rounds: endpoints.answered(_share(rounds, 25), seconds=min(rounds / 400, 0.25)),
    ),
    "workers": Group(
        "In worker processes",
        "A task that authorises its request with a pickled `auth`, whose handle a Jupyter server has issued, beside "
        "one with a literal header. Of the cost of a task 50 µs are promised; of a job whose API takes 10 ms, 5 %.",
        workers.added,
    ),
    "service": Group(
        "The hub's service",
        "A cached token with one client, beside a bare handler on the same server that also has the hub say who asks, "
        "and which is the 1; and with fifty clients, beside the 1,500 requests a second that a replica promises.",
        lambda rounds: hub_service.served(_share(rounds, 25), seconds=min(rounds / 400, 0.25)),
    ),
    "start": Group(
        "The server's start",
        "Of a server without JupyterLab, which loads httpx anyway. The ratios are to the promise of 100 ms.",
        lambda rounds: proxy.started(_share(rounds, 100)),
    ),
    "panel": Group(
        "The panel",
        "What it adds to the page, and how long it takes to lay 200 profiles out in Chromium. The ratios are to the "
        "promises.",
        lambda rounds: chain(panel.loaded(), panel.drawn(_share(rounds, 40))),
    ),
}
