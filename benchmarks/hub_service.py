"""A cached token of the hub's service beside a bare handler that has the hub say who asks, on the same server.

`python -m benchmarks.hub_service` serves both, with the profiles in Jupyter's configuration, and prints its port.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from .answers import answering
from .load import interleaved
from .measure import Row
from .served import housed, telling

_TOKEN = "benchmark-hub-token"
_PER_SECOND = 1500
"""What is promised of one replica with fifty clients."""
_ROUTES = {"bare handler": "/bare", "token": "/services/jupyter-tokens/v1/token"}


def served(rounds: int, seconds: float) -> Iterator[Row]:
    """Rates and medians at one client and at fifty, in interleaved rounds."""
    body = b'{"profile": "oneaccess"}'
    asked = {
        name: f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: token {_TOKEN}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
        for name, path in _ROUTES.items()
    }
    with answering() as url, _serving(url) as port:
        taken = interleaved(port, asked, rounds, (1, 50), seconds)
    for clients in (1, 50):
        bare, ours = (statistics.median(s.p50 for s in taken[name, clients]) for name in asked)
        yield Row("service", f"bare handler, {clients} clients, p50", bare, 1.0)
        yield Row("service", f"token, {clients} clients, p50", ours, ours / bare, 1.5 if clients == 1 else None)
    for name in asked:
        each = statistics.median(s.each for s in taken[name, 50])
        limit = 1.0 if name == "token" else None
        yield Row("service", f"{name}, 50 clients, 1 / rate, of 1 / {_PER_SECOND} s", each, each * _PER_SECOND, limit)


@contextmanager
def _serving(url: str) -> Iterator[int]:
    profile = {"provider": "oneaccess", "endpoint": url, "client_id": "id", "client_secret": "benchmark"}
    grants = {"grants": {"oneaccess": {"groups": ["physics"]}}}
    with (
        housed({"oneaccess": profile}, TokenService=grants) as (_, environment),
        # The audit is written as it is in earnest.
        telling([__name__], environment, subprocess.DEVNULL) as port,
    ):
        yield int(port)


def _main() -> None:
    import asyncio
    import logging

    from tornado import web
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets

    from jupyter_tokens.service.app import TokenService

    class Whoami(web.RequestHandler):
        def get(self) -> None:
            scopes = ["access:services!service=jupyter-tokens", "access:servers!server=ada/"]
            self.finish(json.dumps({"kind": "user", "name": "ada", "groups": ["physics"], "scopes": scopes}))

    class Bare(web.RequestHandler):
        async def post(self) -> None:
            hub = service.callers.hub
            token = self.request.headers["Authorization"].removeprefix("token ")
            user = await hub.user_for_token(token, sync=False)
            if user is None or not hub.check_scopes(hub.access_scopes, user):
                raise web.HTTPError(403)
            self.finish(json.dumps({"name": user["name"]}))

    async def serve() -> None:
        sockets = bind_sockets(0, "127.0.0.1")
        port = sockets[0].getsockname()[1]
        service.callers.hub.api_url = f"http://127.0.0.1:{port}/hub/api"
        service.callers.hub.access_scopes = {"access:services!service=jupyter-tokens"}
        application = service.application("/services/jupyter-tokens/")
        application.add_handlers(".*$", [("/bare", Bare), ("/hub/api/user", Whoami)])
        HTTPServer(application).add_sockets(sockets)
        print(port, flush=True)
        await asyncio.Event().wait()

    logging.getLogger("jupyter_tokens").addHandler(logging.StreamHandler())
    logging.getLogger("jupyter_tokens").setLevel(logging.INFO)
    service = TokenService.configured()
    asyncio.run(serve())


if __name__ == "__main__":
    _main()
