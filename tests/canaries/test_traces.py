"""The search can fail: a value that is planted in a place of each kind, in each form, is found there."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens._util.encodings import encoded_forms

from ..e2e.browser import jp_asyncio_loop, jp_server_cleanup
from .browsing import Browsing
from .house import House
from .leveldb import blocks
from .places import ALLOWED, ARGUMENTS, BROWSER, CONSOLE, ENVIRONMENT, FILE, KINDS, PAGE, REQUEST, unexpected
from .processes import Processes
from .report import report
from .traces import Place, Search, Trace, files

__all__ = ["jp_asyncio_loop", "jp_server_cleanup"]  # fixtures

VALUE = 'c4n4ry "planted" & <7fc0b7ff7322a11b>/+=\\%'
WHOSE = "secret of nobody"


@pytest.fixture
def search() -> Search:
    return Search({VALUE: WHOSE, "another-value": "token of another"})


@pytest.mark.parametrize("form", sorted(encoded_forms(VALUE)))
def test_a_value_is_found_in_each_form_and_encoding(search: Search, form: str) -> None:
    for data in (form.encode(), form.encode("utf-16-le"), b"\xff" + form.encode("utf-16-be")):
        assert search.found_in(b"\x80\xff\0 before " + data + b" after") == {WHOSE}
        assert search.found_in(b"\x80" * 7 + gzip.compress(data) + b"more") == {WHOSE}


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_in_any_kind_of_place_is_unexpected(search: Search, kind: str) -> None:
    # Also where another value may be.
    name = next((place.name for place in ALLOWED if place.kind == kind), "somewhere")
    found = search.found([Trace(kind, name, f"x{VALUE}".encode()), Trace(kind, "elsewhere", b"nothing")])
    assert unexpected(found.places) == [Place(kind, name, WHOSE)]
    assert found.sizes == {kind: (2, len(VALUE) + 1 + len("nothing"))}
    told = report({VALUE: WHOSE}, found, {"kernel": {"0"}})
    assert "must not be: 1\n" in told
    assert f"| {kind} | {name} | {WHOSE} |" in told
    assert VALUE not in told


def test_what_may_be_in_a_place_may_not_be_in_the_one_beside_it() -> None:
    for place in ALLOWED:
        beside = [place._replace(name=f"{place.name}x"), place._replace(whose="token of another")]
        assert unexpected([place, *beside]) == sorted(beside)


def test_a_name_is_searched_as_well(search: Search) -> None:
    assert search.found([Trace(FILE, f"work/{VALUE}", b"")]).places.total() == 1


def test_hidden_files_deep_ones_and_links_are_searched(search: Search, tmp_path: Path) -> None:
    (tmp_path / ".a" / ".b").mkdir(parents=True)
    (tmp_path / ".a" / ".b" / ".file~").write_bytes(f"\0{VALUE}\0".encode())
    (tmp_path / "link").symlink_to("another-value")
    found = search.found(files(FILE, tmp_path))
    assert {(place.name, place.whose) for place in found.places} == {
        (".a/.b/.file~", WHOSE),
        ("link", "token of another"),
    }


def test_arguments_and_environment_of_a_process_are_searched(search: Search, tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start()
    command = [sys.executable, "-c", "print(flush=True); input()", VALUE]
    environment = {**os.environ, "HOME": str(tmp_path), "PLANTED": VALUE}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        assert process.stdout is not None
        process.stdout.readline()
        processes.look()
        process.communicate(b"\n")
    found = search.found(processes.end())
    name = Path(sys.executable).name
    role = name.rstrip("0123456789.")
    assert set(found.places) == {Place(ARGUMENTS, name, WHOSE), Place(ENVIRONMENT, f"{role}: PLANTED", WHOSE)}


@contextmanager
def echo() -> Iterator[str]:
    """A server whose answers hold what they were asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f"<p>{self.path}</p>".encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_what_a_browser_asks_for_is_told_prints_and_keeps_is_searched(search: Search, tmp_path: Path) -> None:
    house = House(tmp_path)
    unused: Any = None
    with echo() as url, Browsing(house, unused, unused).open() as page:
        page.goto(f"{url}/page")
        page.evaluate("value => { localStorage.planted = value; console.log(value); }", VALUE)
        page.evaluate("value => fetch('/asked?' + encodeURIComponent(value)).then(answer => answer.text())", VALUE)
        page.evaluate("value => { document.body.textContent = value; }", VALUE)
    found = search.found([*house.traces, *files(FILE, house.folder)])
    assert {place for place in found.places if place.kind != FILE} == {
        Place(REQUEST, "GET /asked", WHOSE),
        Place(BROWSER, "GET /asked", WHOSE),
        Place(CONSOLE, "log", WHOSE),
        Place(PAGE, "what it shows at the end", WHOSE),
        Place(PAGE, "what it stores", WHOSE),
    }
    kept = {place.name for place in found.places if place.kind == FILE}
    assert any(name.startswith("browser/Default/Local Storage/leveldb/") for name in kept), kept


def test_what_chromium_has_compressed_is_searched(search: Search, tmp_path: Path) -> None:
    house = House(tmp_path)
    unused: Any = None
    half = len(VALUE) // 2
    # Said half of it before, the rest alone is written, and where the half is; and more than a log may be long.
    store = """([half, value]) => {
      localStorage.a = half + '!';
      localStorage.b = value;
      localStorage.c = 'x'.repeat(4.8 * 1024 * 1024);
    }"""
    tables: list[bytes] = []
    with echo() as url:
        # What it finds in its log when it starts, it writes into a table. A browser that is busy when it is closed may
        # have written nothing, or not all of it.
        for _ in range(10):
            for script in (store, "() => localStorage.a"):
                with Browsing(house, unused, unused).open() as page:
                    page.goto(f"{url}/page")
                    page.evaluate(script, [VALUE[:half], VALUE])
            tables = [path.read_bytes() for path in house.profile.rglob("Local Storage/leveldb/*.ldb")]
            if any(VALUE.encode() in block for table in tables for block in blocks(table)):
                break
    assert any(WHOSE in search.found_in(table) for table in tables)
    assert not any(VALUE.encode() in table for table in tables)
    assert any(VALUE.encode() in block for table in tables for block in blocks(table))
