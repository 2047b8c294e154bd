"""How quickly notebooks are scanned, and what is found in made-up lines, beside detect-secrets."""

from __future__ import annotations

import base64
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyter_tokens.cli.demo import notebooks_folder
from jupyter_tokens.scan.files import scan_file
from jupyter_tokens.scan.values import Known
from tests.scan.made_up import lines

from .measure import Row

_RATE = 30e6
"""Bytes a second that are promised."""
_MOST_MISSED, _MOST_FALSE = 0.15, 0.03
_OTHER = "detect-secrets"


def scanned(rounds: int) -> Iterator[Row]:
    """All notebooks and those of each kind; our tutorials by both, in turn; and both on lines whose answer is known."""
    with tempfile.TemporaryDirectory() as folder:
        kinds = _written(Path(folder))
        tutorials = kinds["tutorials"]
        every = [path for each in kinds.values() for path in each]
        for name, paths in {"all notebooks": every, **kinds}.items():
            size = sum(path.stat().st_size for path in paths)
            seconds = statistics.median(_seconds(lambda paths=paths: _scan(paths)) for _ in range(max(rounds, 1)))
            limit = 1.0 if paths is every else None
            note = f"{size / 1e6:.1f} MB, {size / seconds / 1e6:.0f} MB a second"
            yield Row("scan", name, seconds, seconds / (size / _RATE), limit, note=note)
        if not find_spec("detect_secrets"):
            yield Row("scan", f"tutorials by {_OTHER}", 0.0, 0.0, absent=True, note="not installed")
            return
        times = [
            (_seconds(lambda: _scan(tutorials)), _seconds(lambda: _detect(tutorials))) for _ in range(max(rounds, 1))
        ]
        ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
        yield Row("scan", "tutorials by jupyter_tokens", ours, 1.0)
        yield Row("scan", f"tutorials by {_OTHER}", theirs, theirs / ours)
        file = Path(folder) / "line.ipynb"
        yield from _judged("jupyter_tokens", lambda text: bool(_scan([_one(file, text)])), promised=True)
        yield from _judged(_OTHER, lambda text: bool(_detect([_one(file, text)])), promised=False)


def _judged(name: str, finds: Callable[[str], bool], *, promised: bool) -> Iterator[Row]:
    """The ratio is the share that is missed, or found in vain."""
    rng = random.Random(2026)
    secret = [finds(line.text) for line in lines("secret", rng)]
    harmless = [not finds(line.text) for line in lines("harmless", rng)]
    for what, right, limit in (("with a secret", secret, _MOST_MISSED), ("without one", harmless, _MOST_FALSE)):
        wrong = 1 - sum(right) / len(right)
        note = f"of {len(right)}"
        yield Row("scan", f"{name}: lines {what}", 0.0, wrong, limit if promised else None, count=sum(right), note=note)


def _seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def _scan(paths: list[Path]) -> int:
    known = Known({})
    return sum(len(scan_file(path, known).findings) for path in paths)


def _detect(paths: list[Path]) -> int:
    from detect_secrets import SecretsCollection
    from detect_secrets.settings import default_settings

    secrets = SecretsCollection()
    with default_settings():
        for path in paths:
            secrets.scan_file(str(path))
    return sum(1 for _ in secrets)


def _one(file: Path, line: str) -> Path:
    """A notebook with this line in a source."""
    notebook = {"cells": [_cell(line)], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    file.write_text(json.dumps(notebook, indent=1), encoding="utf-8")
    return file


def _written(folder: Path) -> dict[str, list[Path]]:
    """Notebooks of each kind: our own as they are, and what fills those of others, a third of it pictures."""
    rng = random.Random(2026)
    made = {
        "pictures": [_picture(rng) for _ in range(24)],
        "tables": [_table(rng) for _ in range(40)],
        "code and tracebacks": [_code() for _ in range(2)],
    }
    kinds = {"tutorials": sorted(notebooks_folder().glob("*.ipynb"))}
    for kind, cells in made.items():
        path = folder / f"{kind}.ipynb"
        notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        path.write_text(json.dumps(notebook, indent=1), encoding="utf-8")
        kinds[kind] = [path]
    return kinds


def _cell(source: str, *outputs: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": 1}
    return {**cell, "source": source.splitlines(keepends=True), "outputs": list(outputs)}


def _shown(**data: str) -> dict[str, Any]:
    kinds = {kind.replace("_", "/"): text.splitlines(keepends=True) for kind, text in data.items()}
    return {"output_type": "display_data", "metadata": {}, "data": kinds}


def _picture(rng: random.Random) -> dict[str, Any]:
    return _cell("plot()", _shown(image_png=base64.encodebytes(rng.randbytes(60_000)).decode(), text_plain="<Figure>"))


def _table(rng: random.Random) -> dict[str, Any]:
    """As pandas prints a frame, and as HTML."""
    names = ("name", "id", "x", "y", "total_key_figure")
    rows = [
        (f"row {n} of a thing", f"{rng.getrandbits(64):016x}", f"{rng.random():.6f}", f"{rng.random():.6f}", f"{n}")
        for n in range(300)
    ]
    plain = "\n".join("  ".join(f"{cell:>20}" for cell in row) for row in (names, *rows))
    head = "".join(f"      <th>{name}</th>\n" for name in names)
    body = "".join("    <tr>\n" + "".join(f"      <td>{cell}</td>\n" for cell in row) + "    </tr>\n" for row in rows)
    page = f'<table border="1" class="dataframe">\n  <thead>\n{head}  </thead>\n  <tbody>\n{body}  </tbody>\n</table>'
    return _cell("frame", _shown(text_html=page, text_plain=plain))


def _code() -> dict[str, Any]:
    """Sources, and tracebacks that show them in colours."""
    sources = [path.read_text(encoding="utf-8") for path in sorted(Path(json.__file__).parents[1].glob("*.py"))[:60]]
    trace = [
        "\n".join(f"\x1b[0;32m{n:>6}\x1b[0m \x1b[0;34m{line}\x1b[0m" for n, line in enumerate(text.splitlines()))
        for text in sources
    ]
    return _cell("\n".join(sources), {"output_type": "error", "ename": "E", "evalue": "", "traceback": trace})
