"""What kubectl and docker talk to: an API server and registry on loopback."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_tokens.sandbox import Sandbox

VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.4",
    **dict.fromkeys(("buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "platform"), "x"),
}
# Of an image whose configuration, the blob below, is an empty object.
MANIFEST: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    "config": {
        "mediaType": "application/vnd.docker.container.image.v1+json",
        "size": 2,
        "digest": f"sha256:{hashlib.sha256(b'{}').hexdigest()}",
    },
    "layers": [],
}


class Cluster:
    """An API server that is a registry as well, and takes any token that the sandbox has issued."""

    def __init__(self, sandbox: Sandbox, certificate: tuple[Path, Path]) -> None:
        self.shown: list[str] = []
        cluster = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                scheme, _, shown = self.headers.get("Authorization", "").partition(" ")
                value = base64.b64decode(shown).decode().partition(":")[2] if scheme == "Basic" else shown
                cluster.shown.append(value)
                if value not in sandbox.issued:
                    self.answer(401, {"kind": "Status", "status": "Failure", "reason": "Unauthorized", "code": 401})
                elif "/manifests/" in self.path:
                    self.answer(200, MANIFEST, MANIFEST["mediaType"])
                elif self.path.startswith("/v2"):
                    self.answer(200, {})
                else:
                    self.answer(200, VERSION)

            def answer(self, status: int, body: Any, media: str = "application/json") -> None:
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", media)
                self.send_header("Content-Length", str(len(text)))
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="x"')
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.host = f"127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Iterator[Cluster]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()
