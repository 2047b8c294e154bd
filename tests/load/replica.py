"""One of several processes that keep the same profiles in hand: `replica.py SECONDS`; all of them begin at a line.

Prints one line of JSON at the end: how many asks there were, errors by kind, tokens that had expired when they were
handed out, and the median time of an ask.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import Counter

from jupyter_tokens.errors import TokenError
from jupyter_tokens.sources.local import LocalSource

PAUSE = 0.1


def main() -> None:
    source = LocalSource()
    keys = [source.key(name) for name in source.profiles()]
    errors: Counter[str] = Counter()
    dead, taken = 0, []
    print("ready", flush=True)
    sys.stdin.readline()
    ends = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < ends:
        for key in keys:
            began = time.perf_counter()
            try:
                token = source.get(key)
            except TokenError as error:
                errors[error.reason] += 1
                continue
            taken.append(time.perf_counter() - began)
            dead += token.expires_at is None or token.expires_at.timestamp() <= time.time()
        time.sleep(PAUSE)
    told = {"asks": len(taken), "errors": errors, "dead": dead, "median": statistics.median(taken)}
    print(json.dumps(told), flush=True)
    source.close()


if __name__ == "__main__":
    main()
