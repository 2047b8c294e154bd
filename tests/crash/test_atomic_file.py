"""A process that replaces a file, killed at each single step of it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from jupyter_tokens._util.atomic_file import remove_leftovers

from .fuse import Point
from .home import Home
from .victims import COUNT, ON_LINUX, Forks, Victim

pytestmark = ON_LINUX

PROGRAM = str(Path(__file__).with_name("replacing.py"))
OLD, NEW = "0ld-t0ken-value", "n3w-t0ken-value"


def replace(warm: Forks, home: Home, file: Path, by_name: str, point: Point) -> Victim:
    entry = "_util/atomic_file.py", "replace_file"
    return warm.start(home, "program", PROGRAM, str(file), NEW, by_name, point=point, entry=entry, armed=True)


@pytest.mark.parametrize("by_name", ["", "by name"])
@pytest.mark.parametrize("before", [OLD, None])
def test_each_step(warm: Forks, home: Home, before: str | None, by_name: str, full: bool) -> None:
    file = home.work / "file"

    def prepare() -> None:
        file.unlink(missing_ok=True)
        if before is not None:
            file.touch(0o600)
            file.write_text(before)

    prepare()
    victim = replace(warm, home, file, by_name, COUNT)
    assert victim.wait() == 0, home.log.read_text()
    steps, left, replaced = victim.counted().any, 0, 0
    for number in range(1, steps + 1, 1 if full else 6):
        prepare()
        victim = replace(warm, home, file, by_name, Point("any", number))
        assert victim.wait() == -9
        found = file.read_text() if file.exists() else None
        assert found in {before, NEW}
        assert found is None or stat.S_IMODE(file.stat().st_mode) == 0o600
        leftovers = home.leftovers()
        assert home.holding([NEW]) <= {file, *leftovers}
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in leftovers)
        if not by_name:
            # It never has a name before it is whole.
            assert {path.read_text() for path in leftovers} <= {NEW}
        left += bool(leftovers)
        replaced += found == NEW
        remove_leftovers(home.work, file.name)
        assert not home.holding([NEW]) - {file}
        for empty in home.leftovers():
            assert not empty.stat().st_size
            empty.unlink()
    print(f"\n{steps} steps, {left} times something was left, {replaced} times the new one was in place")
    assert replaced > 0
    if not by_name:
        # A file that was not there before gets its name as a whole. Of another, there are two for a moment.
        assert left <= (0 if before is None else 15)
        assert left > 0 or before is None or not full
