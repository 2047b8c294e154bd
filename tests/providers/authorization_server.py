"""A real OAuth 2.0 server on loopback: Authlib's, which shares no code with ours."""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc.jwk import import_key

SCOPES = ("read", "write")
LIFE = 900


@dataclass
class Client(ClientMixin):
    """A registered client; method : how it may prove who it is."""

    id: str
    method: str
    secret: str = ""
    public_key: dict[str, Any] = field(default_factory=dict)
    grants: tuple[str, ...] = ("client_credentials",)

    def check_client_secret(self, client_secret: str) -> bool:
        return secrets.compare_digest(self.secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return endpoint == "token" and method == self.method

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grants

    def get_allowed_scope(self, scope: str) -> str:
        return " ".join(name for name in (scope or "").split() if name in SCOPES)


class _Grant(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")


class _Assertion(JWTBearerClientAssertion):
    CLIENT_AUTH_METHOD = "private_key_jwt"

    def __init__(self, audience: str) -> None:
        super().__init__()
        self._audience = audience
        self._seen: set[str] = set()

    def get_audiences(self) -> list[str]:
        return [self._audience]

    def validate_jti(self, claims: dict[str, Any], jti: str) -> bool:
        fresh = jti not in self._seen
        self._seen.add(jti)
        return fresh

    def resolve_client_public_key(self, client: Client) -> Any:
        return import_key(client.public_key)


@dataclass
class Served(AuthorizationServer):
    """The server, its clients by id, and what it was asked and has issued."""

    url: str
    clients: dict[str, Client]
    issued: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(scopes_supported=SCOPES)
        self.register_grant(_Grant)
        self.register_client_auth_method("private_key_jwt", _Assertion(self.url))
        generator = BearerTokenGenerator(lambda **_given: secrets.token_urlsafe(32), expires_generator=LIFE)
        self.register_token_generator("default", generator)

    def query_client(self, client_id: str) -> Client | None:
        return self.clients.get(client_id)

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        self.issued.append(token["access_token"])

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: Any) -> OAuth2Request:
        # Authlib refuses plain http by its URL; loopback has no other.
        made = _Request("POST", self.url.replace("http:", "https:"), headers=request.headers)
        made.payload = BasicOAuth2Payload(request.form)
        return made

    def handle_response(self, status: int, body: Any, headers: Any) -> tuple[int, Any, Any]:
        return status, body, headers


class _Request(OAuth2Request):
    @property
    def form(self) -> dict[str, str]:
        data: dict[str, str] = self.payload.data
        return data


@contextmanager
def serving(*clients: Client) -> Iterator[Served]:
    """Serves `POST /oauth/token/` until the block ends; the slash is part of it."""

    class Handler(BaseHTTPRequestHandler):
        form: dict[str, str]

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
            self.form = dict(parse_qsl(body, keep_blank_values=True, strict_parsing=True))
            served.forms.append(self.form)
            found = self.path == "/oauth/token/"
            status, told, headers = served.create_token_response(self) if found else (404, {}, [])
            data = json.dumps(told).encode()
            self.send_response(status)
            for name, value in [*headers, ("Content-Length", str(len(data)))]:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Says nothing."""

    # What the server writes into its own log at DEBUG is every token.
    log = logging.getLogger("authlib")
    level = log.level
    log.setLevel(logging.INFO)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Served(
            f"http://127.0.0.1:{server.server_address[1]}/oauth/token/", {client.id: client for client in clients}
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
            log.setLevel(level)
