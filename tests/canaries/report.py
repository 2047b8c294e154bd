"""What a run has shown, for a person: what was searched, where a value was found and may be, and what is not seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from .places import ALLOWED, KINDS, unexpected
from .traces import Found

NOT_SEEN = (
    "the memory of processes, and what is swapped out: a freed string stays until it is overwritten",
    "the clipboard, where Copy puts a token on purpose",
    "the wire to the vendor, which carries secrets and tokens by its nature; of the calls, the addresses are searched",
    "the answers that a kernel gets from the server by itself, but for one that was asked for in the same way",
    "processes that lived for less than the tenth of a second between two looks",
    "what Chromium encrypts in its profile (cookies, session files), and parts of values in pieces or pictures",
)


def report(values: Mapping[str, str], found: Found, cores: Mapping[str, set[str]]) -> str:
    """Markdown. values : whose each is. cores : limits of core files, by what sort of process."""
    return "\n".join([*_values(values), *_places(found), *_searched(found), *_limits(cores)])


def _values(values: Mapping[str, str]) -> Iterator[str]:
    yield f"# Canaries\n\n{len(values)} values were looked for, each in every form that `forms.py` knows, in UTF-8 and "
    yield "UTF-16, also within gzip and LevelDB's blocks:\n"
    yield from _table(("value", "how many"), sorted(Counter(values.values()).items()))


def _places(found: Found) -> Iterator[str]:
    wrong = unexpected(found.places)
    yield f"\n## Where a value is and must not be: {len(wrong)}\n"
    if wrong:
        yield from _table(("kind of place", "place", "value"), wrong)
    yield "\n## Where a value is, and may be\n"
    rows = [(*place, allowed.why) for place, allowed in ALLOWED.items() if place in found.places]
    yield from _table(("kind of place", "place", "value", "why"), rows)


def _searched(found: Found) -> Iterator[str]:
    yield "\n## What was searched\n"
    rows = [(kind, *found.sizes.get(kind, (0, 0))) for kind in KINDS]
    yield from _table(("kind of place", "how many", "bytes"), rows)


def _limits(cores: Mapping[str, set[str]]) -> Iterator[str]:
    yield "\nCore files, the limit in bytes: " + "; ".join(
        f"{role or 'others'} {', '.join(sorted(limits))}" for role, limits in sorted(cores.items())
    )
    yield "\n## What is not seen\n"
    yield from (f"- {each}" for each in NOT_SEEN)
    yield ""


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    names = list(head)
    for row in (names, ["---"] * len(names), *rows):
        yield "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |"
