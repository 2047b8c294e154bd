"""`jupyter tokens get` and `jupyter tokens add`, killed."""

from __future__ import annotations

import os
import select
from contextlib import suppress

from .fuse import Point
from .home import Home
from .victims import COUNT, ON_LINUX, Forks, Toll, Victim

pytestmark = ON_LINUX

FULL, FEW = 200, 4


def get(warm: Forks, home: Home, name: str, point: Point | None = None) -> Victim:
    return warm.start(home, "cli", "get", name, point=point, entry=("cli/get.py", "run"), armed=True)


def add(warm: Forks, home: Home, name: str, secret: str, point: Point | None = None) -> Victim:
    """On a terminal, on which the secret is typed when it is asked for; comes back when the process has ended."""
    profile = home.profile()
    settings = [f"--set={key}={profile[key]}" for key in ("endpoint", "client_id", "env")]
    arguments = ["add", name, "--provider=oneaccess", "--store=file", "--no-test", *settings]
    keyboard, screen = os.openpty()
    try:
        victim = warm.start(
            home, "cli", *arguments, point=point, entry=("cli/add.py", "run"), armed=True, terminal=os.ttyname(screen)
        )
        shown = b""
        while victim.end not in (ready := select.select([keyboard, victim.end], [], [], 60)[0]):
            assert ready, shown
            with suppress(OSError):
                shown += os.read(keyboard, 65536)
            if shown.endswith(b"(hidden): "):
                os.write(keyboard, f"{secret}\n".encode())
                shown = b""
        return victim
    finally:
        os.close(keyboard)
        os.close(screen)


def works(warm: Forks, home: Home, name: str) -> None:
    """The next start: it finds the profile and fetches its token, and tidies up."""
    issued = home.issued()
    home.out.write_text("")
    assert get(warm, home, name).wait() == 0, home.log.read_text()
    assert home.out.read_text().strip() in set(home.issued()) - set(issued)
    assert not home.leftovers()


def test_get(warm: Forks, home: Home, full: bool) -> None:
    home.begin_with("first", "s3cr3t-of-the-first-day")
    before = home.profiles()
    victim = get(warm, home, "first", COUNT)
    assert victim.wait() == 0, home.log.read_text()
    toll = Toll("command line, fetch")
    for point in toll.points(victim.counted(), FULL if full else FEW):
        victim = get(warm, home, "first", point)
        assert victim.wait() in {-9, 0}
        toll.note(point, victim)
        assert home.profiles() == before
        works(warm, home, "first")
    home.leave(home.file, home.store("first"))
    works(warm, home, "first")
    assert home.holding(["s3cr3t-of-the-first-day"]) == {home.store("first")}
    assert not home.holding(home.issued())
    toll.tell()


def test_add(warm: Forks, home: Home, full: bool) -> None:
    home.begin_with("first", "s3cr3t-of-the-first-day")
    victim = add(warm, home, "counted", "s3cr3t-counted", COUNT)
    assert victim.wait() == 0, home.log.read_text()
    toll = Toll("command line, add")
    number = 0
    for turn, point in enumerate(toll.points(victim.counted(), FULL if full else FEW), 1):
        name, secret, before = f"profile-{number}", f"s3cr3t-{turn:04}", home.profiles()
        victim = add(warm, home, name, secret, point)
        assert victim.wait() in {-9, 0}, home.log.read_text()
        toll.note(point, victim)
        after = home.profiles()
        new = {**home.profile(), "client_secret": home.reference(name)}
        assert after in (before, {**before, name: new})
        left = home.leftovers()
        toll.left += bool(left)
        assert home.holding([secret]) <= {home.store(name), *left}
        if name in after:
            # It is there as a whole, and the next one has another name. Else the next one repeats it.
            home.accept(secret)
            assert home.store(name).read_text() == secret
            works(warm, home, name)
            number += 1
            home.accept("s3cr3t-of-the-first-day")
        works(warm, home, "first")
        assert home.holding([secret]) <= {home.store(name)}
    assert add(warm, home, "last", "s3cr3t-of-the-last-day").wait() == 0
    home.accept("s3cr3t-of-the-last-day")
    works(warm, home, "last")
    assert not home.holding(home.issued())
    toll.tell()
