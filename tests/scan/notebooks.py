"""Notebooks for tests: one with a place of every kind, and ordinary ones as front ends write them."""

from __future__ import annotations

import base64
import hashlib
import random
import uuid
from typing import Any

from hypothesis import strategies as st

Notebook = dict[str, Any]

WIDGETS = "application/vnd.jupyter.widget-state+json"


def output(data: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": data}


def code(source: Any = "1", outputs: Any = (), cell_id: str = "c0ffee01") -> dict[str, Any]:
    cell = {"cell_type": "code", "id": cell_id, "metadata": {}, "execution_count": 1}
    return {**cell, "source": source, "outputs": list(outputs)}


def notebook(*cells: dict[str, Any], metadata: Any = None) -> Notebook:
    return {"cells": list(cells), "metadata": metadata or {}, "nbformat": 4, "nbformat_minor": 5}


def ordinary() -> Notebook:
    """Pictures, plots, tables, widgets, hashes, ids: much that looks random, and nothing that is secret."""
    rng = random.Random(4)
    picture = "iVBORw0KGgo" + base64.b64encode(rng.randbytes(300_000)).decode() + "\n"
    hashes = "".join(
        f"{hashlib.sha1(rng.randbytes(9)).hexdigest()} {uuid.UUID(int=rng.getrandbits(128))}\n" for _ in range(500)
    )
    rows = "".join(
        f"<tr><th>{i}</th><td>{hashlib.md5(rng.randbytes(9)).hexdigest()}</td><td>{rng.random()}</td></tr>\n"
        for i in range(300)
    )
    figure = {
        "data": [{"type": "scatter", "uid": str(uuid.UUID(int=5)), "x": {"dtype": "f8", "bdata": picture[:4000]}}],
        "layout": {"mapbox": {"accesstoken": "pk.eyJ1IjoidXNlciIsImEiOiJhYmNkZWYifQ.abcdefghijklmnop1234"}},
    }
    model = uuid.UUID(int=rng.getrandbits(128)).hex
    widgets = {
        model: {
            "model_module": "@jupyter-widgets/controls",
            "model_module_version": "2.0.0",
            "model_name": "FloatProgressModel",
            "state": {"layout": f"IPY_MODEL_{model}", "value": 0.5, "description": "Token: 100%", "_view_count": None},
            "buffers": [{"data": picture[11:4011], "encoding": "base64", "path": ["value"]}],
        }
    }
    return notebook(
        {"cell_type": "markdown", "id": "a1b2c3d4", "metadata": {}, "source": ["![p](attachment:p.png)\n", "`token`"],
         "attachments": {"p.png": {"image/png": picture}}},
        code(["import torch\n", "tokenizer = AutoTokenizer.from_pretrained('bert-base-uncased-2018', token=None)\n"]),
        code(outputs=[output({"image/png": picture, "text/plain": ["<Figure size 640x480 with 1 Axes>"]})]),
        code(outputs=[output({"text/html": rows.splitlines(keepends=True), "application/vnd.plotly.v1+json": figure})]),
        code(outputs=[{"output_type": "stream", "name": "stdout", "text": hashes.splitlines(keepends=True)}]),
        code(outputs=[output({"application/vnd.jupyter.widget-view+json": {"model_id": model}})]),
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "widgets": {WIDGETS: {"state": widgets, "version_major": 2, "version_minor": 0}},
        },
    )  # fmt: skip


_TEXTS = st.text(max_size=20)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)
_LINES = st.lists(_TEXTS.map(lambda text: text.replace("\n", "") + "\n"), max_size=4) | _TEXTS
_OUTPUTS = st.builds(output, st.dictionaries(_TEXTS, _LINES | _JSON, max_size=3))
_CELLS = st.builds(
    lambda source, outputs, metadata: {**code(source, outputs), "metadata": metadata},
    _LINES,
    st.lists(_OUTPUTS, max_size=2),
    st.dictionaries(_TEXTS, _JSON, max_size=2),
)
NOTEBOOKS = st.builds(
    lambda cells, metadata, widgets: notebook(
        *cells, metadata={**metadata, "title": "", "widgets": {WIDGETS: widgets}}
    ),
    st.lists(_CELLS, max_size=3),
    st.dictionaries(_TEXTS, _JSON, max_size=2),
    st.dictionaries(_TEXTS, _JSON, max_size=2),
)


def strings(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every string that is a value."""
    if isinstance(node, str):
        return [path]
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [found for name, value in items for found in strings(value, (*path, name))]


def at(node: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        node = node[step]
    return node
