"""The ways out of a kernel, as cells. `value` is a token's text there, and `ONEACCESS_TOKEN` in the environment too.

`python -m tests.e2e.ways_out` writes the tables of docs/redaction.md.
"""

from __future__ import annotations

import base64
import random
import re
import string
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["NOT_STOPPED", "PAGE", "PART", "RECORDS", "REQUESTS", "STOPPED", "TOKENS", "Way", "tables"]

PAGE = Path(__file__).parents[2] / "docs" / "redaction.md"


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
    Way("slice", "print(value[:-6])"),
    Way("one character a line", "print('\\n'.join(value))"),
    Way("spaces between the characters", "print(*value)"),
    Way(
        "split, with another output in between",
        "from IPython.display import display\nprint(value[:-20], flush=True, end='')\ndisplay(1)\nprint(value[-20:])",
    ),
    Way("`rich` in colours, wrapped", "import rich; rich.print({'access_token': value, 'n': 1})"),
    Way(
        "`rich` table with narrow columns",
        "from rich.table import Table\nfrom rich.console import Console\ntable = Table(width=44)\n"
        "for title in 'abc': table.add_column(title, overflow='fold')\n"
        "table.add_row('more text', value, 'text that goes on for some lines')\n"
        "Console(width=44, force_terminal=True, force_jupyter=False).print(table)",
    ),
    Way(
        "`rich` log handler",
        "import logging\nfrom rich.console import Console\nfrom rich.logging import RichHandler\n"
        "handler = RichHandler(console=Console(width=60, force_terminal=True, force_jupyter=False))\n"
        "handler.emit(logging.LogRecord('x', 20, '/a/file.py', 12, 'sent token=%s to the host', (value,), None))",
    ),
    Way(
        "`rich` traceback with locals",
        "from rich.console import Console\n"
        "def call(headers): return 1 / 0\n"
        "try: call({'Authorization': 'Bearer ' + value})\n"
        "except ZeroDivisionError: Console().print_exception(show_locals=True)",
    ),
    Way("`pprint`, wrapped", "import pprint; pprint.pprint({'words': f'a b {value} c d'}, width=20)"),
    Way("`textwrap`", "import textwrap; print(textwrap.fill(f'token {value}', 20))"),
    Way(
        "e-mail",
        "from email.message import EmailMessage\nmail = EmailMessage()\n"
        "mail.set_content(f'Grüße, token={value}', cte='quoted-printable'); print(mail.as_string())",
    ),
    Way("`%whos`", "%whos"),
    Way("pandas Series", "import pandas; print(pandas.Series({'access_token': value}))"),
    Way("pandas table", "import pandas; pandas.DataFrame({'access_token': [value], 'n': [1]})"),
    Way("`!env`", "!env"),
    Way("lines of 30 characters", "!printenv ONEACCESS_TOKEN | fold -w 30"),
    Way("base64 in lines of 20", "!printenv ONEACCESS_TOKEN | tr -d '\\n' | base64 -w 20"),
    Way("`set -x` of a shell", "!bash -xc 'true \"Authorization: Bearer $ONEACCESS_TOKEN\"' 2>&1"),
    Way(
        "JSON of .NET",
        "print(''.join('\\\\u{:04X}'.format(ord(c)) if c in '<>&+=' else c for c in value))",
    ),
    Way(
        "HTML of mustache and handlebars",
        "print(''.join('&#x{:X};'.format(ord(c)) if c in '/=&<>' else c for c in value))",
    ),
    Way("URL in a URL", "from urllib.parse import quote; print(quote(quote('https://a/?t=' + value), safe=''))"),
    Way("LaTeX", "from IPython.display import Latex; Latex(value.replace('_', r'\\_').replace('&', r'\\&'))"),
]
REQUESTS = (
    "user expressions",
    "help (`value?`)",
    "tooltip (Shift-Tab)",
    "completion of a key (Tab)",
    "history",
    "prompt of `input`",
)
RECORDS = {
    "`%notebook FILE`": "%notebook record.txt",
    "`%history -o -f FILE`": "%history -o -f record.txt",
    "`%logstart -o FILE`": "%logstart -o -q record.txt\n---\nvalue\n---\n%logstop",
}
NOT_STOPPED = [
    Way("fewer than 16 characters of it", "print(value[:15])", lambda value: value[:15]),
    Way(
        "base64 of a part",
        "import base64; print(base64.b64encode(value[:24].encode()).decode())",
        lambda value: base64.b64encode(value[:24].encode()).decode(),
    ),
    Way("reversed", "value[::-1]", lambda value: value[::-1]),
    Way(
        "each character by the next one",
        "print(''.join(chr(ord(character) + 1) for character in value))",
        lambda value: "".join(chr(ord(character) + 1) for character in value),
    ),
    Way("list of numbers", "print(list(value.encode()))", lambda value: str(list(value.encode()))),
    Way(
        "compressed",
        "import base64, zlib; print(base64.b64encode(zlib.compress(value.encode())).decode())",
        lambda value: base64.b64encode(zlib.compress(value.encode())).decode(),
    ),
    Way("base32", "import base64; base64.b32encode(value.encode())", lambda v: base64.b32encode(v.encode()).decode()),
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


def _made(size: int, alphabet: str) -> str:
    return "".join(random.Random(size).choices(alphabet, k=size))


_LETTERS = string.ascii_letters + string.digits
_URL_SAFE = f"{_LETTERS}-_"
TOKENS = {
    "`modelarts`: 32 hexadecimal digits": _made(32, "0123456789abcdef"),
    "IAM login of `modelarts`: 4,000 characters of base64, `-` for `/`": f"MIIR{_made(3994, f'{_LETTERS}+-')}==",
    "`pai-dlc`, `id_token`: a JWT of 300 characters": f"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{_made(220, _URL_SAFE)}."
    f"{_made(43, _URL_SAFE)}",
    "`oneaccess`: 40 hexadecimal digits": _made(40, "0123456789abcdef"),
    "`astra`: 44 characters of base64": f"{_made(43, f'{_LETTERS}+/')}=",
    "`eiam`: 125 letters and digits, from `SATF` on": f"SATF{_made(121, _LETTERS)}",
    "`oauth2`: a JWT of 1,100 characters": f"eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.{_made(722, _URL_SAFE)}."
    f"{_made(342, _URL_SAFE)}",
}
"""Values as long as those of each provider, and of the same characters."""


def tables() -> str:
    """The part of docs/redaction.md that tests hold."""
    stopped = [*(way.name for way in STOPPED), *REQUESTS, *RECORDS]
    lines = [f"- {name}" for name in TOKENS]
    lines += ["", "| way | |", "|---|---|"]
    lines += [f"| {name} | stopped |" for name in stopped]
    lines += [f"| {way.name} | not stopped |" for way in NOT_STOPPED]
    return "\n".join(lines)


PART = re.compile(r"(?<=<!-- written by tests/e2e/ways_out.py -->\n\n).*?(?=\n\n<!-- end -->)", re.DOTALL)

if __name__ == "__main__":
    PAGE.write_text(PART.sub(lambda _: tables(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
