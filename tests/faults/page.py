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

What you get of each of the five APIs when something is wrong with it, with the network or with this machine's clock,
and how many calls it costs. This page is made from the table that the tests hold the product to: every cell is tried on
a real Jupyter server, over real connections to the sandbox, and one column in a real kernel.

What holds in every row:

- **A token that lives goes on being served**, in every kernel, whatever becomes of its refresh. Who asks again at once
  costs no further call.
- **The other profiles go on**: an API that is silent holds up no other.
- **When the fault ends, nobody has to do anything**: the next ask gets a token.
- An error is a `TokenError` of the class that the table names; over REST its `reason` is the word in brackets. It keeps
  the vendor's code and request id where the vendor gave one, and says what to do (`hint`).
- A profile of ModelArts that logs in to IAM gets the same where it is the login that fails.
- No log, event or error holds a secret or a token.

"""

_HOW_TO_READ = """\
*Calls* are those that reach the API when nothing is held, or when a refresh is due. The waits between them are the
longest that they can be: chance cuts each, so that many kernels that failed together do not come back together. All
tries and waits of a call stay within the profile's `timeout`, 30 seconds by default.

*Through the proxy* is what a vendor's own call gets by way of [the proxy](server.md), which makes it once: the vendor's
status and body as they came (here `eiam`'s), or an error of the server's own, by its `reason`. OneAccess asks for its
tokens to be cached, so its calls are answered from the cache.

"""

_CODES = """\
The codes are those that the sandbox refuses with, in each vendor's form; what to do about one is in
[troubleshooting.md](troubleshooting.md). A request id comes with each, but from `oneaccess`, whose API has none.

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
    return f"{gets.calls}, waits of {waits}" + ("" if gets.waits == BACKOFF[: len(gets.waits)] else ", as asked")


def _proxied(row: Row) -> str:
    if isinstance(row.proxy, int):
        return f"{row.proxy} {HTTPStatus(row.proxy).phrase}"
    return f"`{row.proxy.reason}`"


def _more(row: Row) -> str:
    by_difference: dict[str, list[str]] = {}
    for api in APIS:
        text = _difference(row.gets, row.of(api)) if api in row.only else "cannot have it, as it tells no end"
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
