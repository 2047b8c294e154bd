"""The page of docs that the table becomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from pathlib import Path

from .cells import APIS, Gets, Row
from .table import BACKOFF, ROWS

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

_INTRODUCTION = """\
# When a token API fails

What you get from each of the five APIs when the API, the network or this machine's clock is at fault, and how many
calls are made. This page is written from the table of the tests: each row is tested on a real Jupyter server, over
real connections to the sandbox, and one API in a real kernel.

In every row:

- **A valid token stays in use** in every kernel, even if it cannot be refreshed. Asking again at once makes no further
  call.
- **Other profiles are not affected**: an API that does not answer blocks no other.
- **When the fault ends, you need not do anything**: the next request gets a token.
- An error is a `TokenError` of the class in the table; over REST, its `reason` is the word in brackets. It contains the
  vendor's code and request id, if there are any, and says what to do (`hint`).
- A ModelArts profile that logs in to IAM gets the same errors if the login fails.
- No log, event or error contains a secret or a token.

"""

_HOW_TO_READ = """\
*Calls* are those that reach the API when there is no token, or when it is due for a refresh. The waits between them are
the longest possible ones: each is shortened by chance, so that many kernels that failed at the same time do not retry
at the same time. All tries and waits of a call end within the profile's `timeout`, 30 seconds by default.

*Through the proxy* is the answer to a vendor's own call through [the proxy](server.md), which makes it once: the
vendor's status and body unchanged (shown for `eiam`), or an error of the server, by its `reason`. OneAccess asks
clients to cache its tokens, so its calls are answered from the cache.

"""

_CODES = """\
These are the codes of the sandbox, in each vendor's form; [troubleshooting.md](troubleshooting.md) says what to do
about each. All APIs except `oneaccess` send a request id.

"""


def page() -> str:
    """The whole page."""
    head = ("what is wrong", "you get", "calls", "what to do", "through the proxy", "more, and where an API differs")
    faults = _table(head, map(_row, ROWS))
    codes = _table(("what is wrong", *(f"`{api}`" for api in APIS)), (_codes(row) for row in ROWS if row.codes))
    return f"{_INTRODUCTION}## Faults\n\n{_HOW_TO_READ}{faults}\n## The vendors' own codes\n\n{_CODES}{codes}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


def _row(row: Row) -> tuple[str, ...]:
    return row.title, _outcome(row.gets), _calls(row.gets), row.gets.hint or "–", _proxied(row), _more(row)


def _outcome(gets: Gets) -> str:
    return "a token" if gets.error is None else f"`{gets.error.__name__}` ({gets.error.reason})"


def _calls(gets: Gets) -> str:
    if not gets.waits:
        return str(gets.calls)
    *others, last = (f"{wait:g}" for wait in gets.waits)
    waits = f"{', '.join(others)} and {last} s" if others else f"{last} s"
    return f"{gets.calls}, waits of {waits}" + ("" if gets.waits == BACKOFF[: len(gets.waits)] else ", as requested")


def _proxied(row: Row) -> str:
    if isinstance(row.proxy, int):
        return f"{row.proxy} {HTTPStatus(row.proxy).phrase}"
    return f"`{row.proxy.reason}`"


def _more(row: Row) -> str:
    by_difference: dict[str, list[str]] = {}
    for api in APIS:
        text = _difference(row.gets, row.of(api)) if api in row.only else "cannot happen: its tokens have no expiry"
        if text:
            by_difference.setdefault(text, []).append(f"`{api}`")
    told = [f"{', '.join(apis)}: {text}" for text, apis in by_difference.items()]
    return "; ".join([row.note, *told] if row.note else told) or "–"


def _difference(usual: Gets, gets: Gets) -> str:
    parts = []
    if gets.error is not usual.error:
        parts.append(f"{_outcome(gets)}, code `{gets.code}`")
    elif gets.status != usual.status:
        parts.append(f"with status {gets.status}")
    if gets.calls != usual.calls:
        parts.append(f"{gets.calls} calls")
    if gets.hint != usual.hint:
        parts.append(f"“{gets.hint}”")
    return ", ".join(parts)


def _codes(row: Row) -> tuple[str, ...]:
    return row.title, *(f"`{row.codes[api]}`" for api in APIS)
