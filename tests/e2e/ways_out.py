"""The ways out of a kernel, as cells. `value` is a token's text there, and `ONEACCESS_TOKEN` in the environment too."""

from __future__ import annotations

import base64
import codecs
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["NOT_STOPPED", "STOPPED", "Way"]


class Way(NamedTuple):
    """A way out. code : cells, between lines of hyphens. shows : what is seen of the value where it is not stopped.

    late : whether it is seen only when another thread of the kernel gets round to it, maybe after the cell.
    """

    name: str
    code: str
    shows: Callable[[str], str] = str
    late: bool = False


def _image(value: str) -> str:
    """The picture's only row, as it stands in the notebook: from the first whole group of three bytes on."""
    size = 8 + 25
    data = zlib.compress(b"\0" + value.encode())
    row = struct.pack(">I", len(data)) + b"IDAT" + data
    return base64.b64encode(row[-size % 3 :]).decode().rstrip("=")[:-2]


STOPPED = [
    Way("result of a cell", "value"),
    Way("`print`", "print(value)"),
    Way("f-string", 'print(f"Bearer {value}")'),
    Way("`%s`", 'print("token=%s;" % value)'),
    Way("`str.format`", 'print("token={}".format(value))'),
    Way("`join`", 'print(",".join(["a", value, "b"]))'),
    Way("dict", '{"nested": [{"token": value}]}'),
    Way("`json.dumps`", 'import json; print(json.dumps({"text": json.dumps({"token": value})}))'),
    Way("`.encode()`", "value.encode()"),
    Way("`pickle`", "import pickle; pickle.dumps([value])"),
    Way("`os.environ`", "dict(os.environ)"),
    Way("`%env`", "%env ONEACCESS_TOKEN"),
    Way("`!echo`", "!echo $ONEACCESS_TOKEN"),
    Way("`%%bash`", "%%bash\necho $ONEACCESS_TOKEN"),
    Way("output that was captured and shown later", "%%capture kept\nprint(value)\n---\nkept.show()"),
    Way("text of an exception", "raise RuntimeError(f'401 for {value}')"),
    Way(
        "`%xmode Verbose`: locals in a traceback",
        "%xmode Verbose\n---\ndef call(secret):\n    return 1 / 0\ncall(value)\n---\n%xmode Context",
    ),
    Way(
        "traceback of an httpx error, with its headers",
        "%xmode Verbose\n---\nimport httpx\n"
        'headers = {"Authorization": f"Bearer {value}"}\n'
        'httpx.get("http://127.0.0.1:9/", headers=headers)\n---\n%xmode Context',
    ),
    Way("`logging`", 'import logging; logging.warning("sent %s", value)'),
    Way("`warnings.warn`", "import warnings; warnings.warn(value)"),
    Way("HTML display", 'from IPython.display import HTML, display; display(HTML(f"<b>{value}</b>"))'),
    Way("escaped HTML", "import html; from IPython.display import HTML; HTML(html.escape(f'<{value}>'))"),
    Way("table (`_repr_html_`)", "class Table:\n    def _repr_html_(self): return f'<td>{value}</td>'\nTable()"),
    Way("`rich`", "from rich.pretty import pprint; pprint({'token': value})"),
    Way(
        "raw MIME bundle",
        'from IPython.display import display; display({"application/json": {value: [value]}}, raw=True)',
    ),
    Way("metadata of a display", 'from IPython.display import display; display(1, metadata={"note": value})'),
    Way(
        "`update_display`",
        "from IPython.display import display\nhandle = display('empty', display_id=True)\nhandle.update(value)",
    ),
    Way("`clear_output` and a new text", "from IPython.display import clear_output; clear_output(); print(value)"),
    Way("value of a widget", "import ipywidgets; field = ipywidgets.Text(value=value); field"),
    Way("Output widget", "import ipywidgets; out = ipywidgets.Output()\nwith out: print(value)\nout"),
    Way("message of a comm", "import comm; comm.create_comm(target_name='x', data={'token': value}).close()"),
    Way(
        "binary part of a comm's message",
        "import comm; comm.create_comm(target_name='x', buffers=[b'<' + value.encode() + b'>']).close()",
    ),
    Way("file descriptor 1", 'os.write(1, f"{value}\\n".encode()); None', late=True),
    Way(
        "a subprocess's output",
        "import subprocess; subprocess.run(['sh', '-c', 'echo $ONEACCESS_TOKEN']); None",
        late=True,
    ),
    Way(
        "a subprocess's errors",
        "import subprocess; subprocess.run(['sh', '-c', 'echo $ONEACCESS_TOKEN >&2']); None",
        late=True,
    ),
    Way("a thread", "import threading; t = threading.Thread(target=print, args=[value]); t.start(); t.join()"),
    Way("base64", "import base64; print(base64.b64encode(value.encode()).decode())"),
    Way(
        "header of Basic authentication",
        "import base64; print('Basic', base64.b64encode(f'user:{value}'.encode()).decode())",
    ),
    Way("base64 for URLs", "import base64; base64.urlsafe_b64encode(b'xy' + value.encode())"),
    Way("hexadecimal digits", "value.encode().hex()"),
    Way("URL", "from urllib.parse import quote; print('https://host/?access_token=' + quote(value, safe=''))"),
    Way("progress line", "for i in range(3): print(f'\\r{i} {value}', end='', flush=True)"),
    Way(
        "split over two prints",
        "half = len(value) // 2\nprint(value[:half], end='', flush=True); print(value[half:], flush=True)",
    ),
    Way("one character at a time", "for letter in value: print(letter, end='', flush=True)"),
    Way("`sys.__stdout__`", "import sys; print(value, file=sys.__stdout__, flush=True)", late=True),
    Way(
        "a forked child",
        "pid = os.fork()\nif not pid:\n    print(value, flush=True)\n    os._exit(0)\nos.waitpid(pid, 0); None",
        late=True,
    ),
    Way("secret of the profile, read in this process", "print(secret)"),
]
NOT_STOPPED = [
    Way("slice", "print(value[:-6])", lambda value: value[:-6]),
    Way("reversed", "value[::-1]", lambda value: value[::-1]),
    Way("rot13", "import codecs; codecs.encode(value, 'rot13')", lambda value: codecs.encode(value, "rot13")),
    Way("one character a line", "print('\\n'.join(value))", "\\n".join),
    Way("spaces between the characters", "print(*value)", " ".join),
    Way("list of numbers", "print(list(value.encode()))", lambda value: str(list(value.encode()))),
    Way(
        "compressed",
        "import base64, zlib; print(base64.b64encode(zlib.compress(value.encode())).decode())",
        lambda value: base64.b64encode(zlib.compress(value.encode())).decode(),
    ),
    Way("base32", "import base64; base64.b32encode(value.encode())", lambda v: base64.b32encode(v.encode()).decode()),
    Way(
        "split, with another output in between",
        "from IPython.display import display\nprint(value[:20], flush=True, end='')\ndisplay(1)\nprint(value[20:])",
        lambda value: value[20:],
    ),
    Way(
        "image",
        "from IPython.display import Image, display\n"
        "import struct, zlib\n"
        "def chunk(kind, data):\n"
        "    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))\n"
        "size = chunk(b'IHDR', struct.pack('>2I5B', len(value), 1, 8, 0, 0, 0, 0))\n"
        "pixels = chunk(b'IDAT', zlib.compress(b'\\0' + value.encode()))\n"
        "display(Image(b'\\x89PNG\\r\\n\\x1a\\n' + size + pixels + chunk(b'IEND', b'')))",
        _image,
    ),
    Way(
        "file",
        "from pathlib import Path\nwritten = Path('leak.txt').write_text(value)\n"
        "print('kept:', Path('leak.txt').read_text() == value)",
        lambda _value: "kept: True",
    ),
    Way(
        "network",
        "import socket\nhere, there = socket.socketpair()\nwith here, there:\n    here.sendall(value.encode())\n"
        "    print('received:', there.recv(1000).decode() == value)",
        lambda _value: "received: True",
    ),
]
