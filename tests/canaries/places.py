"""Where a value may be, and why: each place by its whole name, so that none hides another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .traces import Place

FILE = "file"
ENVIRONMENT = "environment of a process"
ARGUMENTS = "arguments of a process"
COMMAND = "output of a command"
TERMINAL = "terminal"
MESSAGE = "message of a kernel"
CLIENT = "answer to a client"
BROWSER = "answer to the browser"
REQUEST = "request of the browser"
SOCKET = "websocket of the browser"
CONSOLE = "console of the browser"
PAGE = "page"
KINDS = (
    FILE, ENVIRONMENT, ARGUMENTS, COMMAND, TERMINAL, MESSAGE, CLIENT, BROWSER, REQUEST, SOCKET, CONSOLE, PAGE,
)  # fmt: skip


class Allowed(NamedTuple):
    """A value may be in this place. seen : whether it is there each time; else it is gone too soon for each look."""

    place: Place
    why: str
    seen: bool = True


def _tokens(kind: str, name: str, apis: str, why: str) -> Iterator[Allowed]:
    return (Allowed(Place(kind, name, f"token of {api}"), why) for api in apis.split())


def _secrets(kind: str, name: str, whose: str, why: str) -> Iterator[Allowed]:
    return (Allowed(Place(kind, name, f"secret of {each}"), why) for each in whose.split())


def _all() -> Iterator[Allowed]:
    why = "a file that the user laid down, and a profile refers to"
    for name in ("alibaba", "huawei", "iam", "oneaccess", "astra", "wrong", "command", "start"):
        yield from _secrets(FILE, f"secrets/{name}", name, why)
    why = "a literal, which the user wrote into a configuration of mode 0600"
    yield from _secrets(FILE, "home/config/jupyter_tokens_config.json", "literal", why)
    yield from _secrets(FILE, "home/xdg/python_keyring/keyring_pass.cfg", "typed panel", "the keyring")
    for name in ("stored", "edited"):
        file = f"home/config/jupyter_tokens_secrets/{name}.client_secret"
        yield from _secrets(FILE, file, name, "the user chose a file in place of the keyring")
    yield from _tokens(FILE, "work/kept.token", "modelarts", "`%gettoken --file`, not yet taken back")
    file = "home/config/jupyter_tokens_secrets/openid.login"
    yield Allowed(Place(FILE, file, "token of openid-refresh_token"), "the login, in a file of mode 0600")
    why = "the address that the browser comes back to; the code is good once, with a verifier that only we know"
    yield Allowed(Place(CLIENT, "GET jupyter-tokens/login/callback", "token of openid-code"), why)
    why = "ipykernel's own log at DEBUG, past its session; docs/redaction.md and docs/kernels.md say so"
    yield from _tokens(FILE, "logs/ipykernel.log", "oneaccess", why)
    why = "printed by a cell's subprocess, and copied by ipykernel to its own standard output; docs/redaction.md"
    yield from _tokens(FILE, "home/server.log", "oneaccess", why)
    for stream in ("stdout", "stderr"):
        yield from _tokens(COMMAND, f"nbconvert: {stream}", "oneaccess", why)

    started = "a profile with `inject_at_start`"
    yield from _tokens(ENVIRONMENT, "kernel: START_TOKEN", "oneaccess", started)
    yield from _tokens(ENVIRONMENT, "child of a kernel: START_TOKEN", "oneaccess", started)
    for name, api in (("ONEACCESS_TOKEN", "oneaccess"), ("IAM_TOKEN", "modelarts"), ("SHORT_TOKEN", "pai-dlc")):
        yield from _tokens(ENVIRONMENT, f"child of a kernel: {name}", api, "`%gettoken` put it into this variable")
    why = "the user gave it to this command, for a profile with `env:`"
    yield Allowed(Place(ENVIRONMENT, "command: GIVEN_SECRET", "secret of given"), why, seen=False)

    why = "printing a token is what this command is for"
    for form in ("value", "env", "json", "header", "exec-credential"):
        yield from _tokens(COMMAND, f"get typed --format {form}: stdout", "oneaccess", why)
    for words in ("get stored --refresh", "get given --format value"):
        yield from _tokens(COMMAND, f"{words}: stdout", "oneaccess", why)

    token = "POST jupyter-tokens/profiles/oneaccess/token (reveal)"
    yield from _tokens(CLIENT, token, "oneaccess", "the client asked to reveal it")
    yield from _tokens(CLIENT, "POST jupyter-tokens/kernels/{id}/token", "oneaccess", "the kernel proved who it is")
    why = "the vendor's own answer, through the proxy"
    path = "v1/{id}/demanager/instances/{id}/token"
    yield from _tokens(CLIENT, f"GET jupyter-tokens/proxy/modelarts/{path}", "modelarts", why)
    yield from _tokens(CLIENT, "GET jupyter-tokens/proxy/pai-dlc/api/v1/tokens", "pai-dlc", why)
    yield from _tokens(CLIENT, "POST jupyter-tokens/proxy/eiam/", "eiam", why)
    yield from _tokens(BROWSER, token, "oneaccess", "Reveal and Copy were pressed in the side panel")
    name = "api/kernels/{id}/channels received: comm_msg of jupyter_tokens.reveal"
    yield from _tokens(SOCKET, name, "pai-dlc", "Show and Copy were pressed in a widget")
    yield from _secrets(REQUEST, "POST login", "login", "the user typed it into Jupyter's own form")
    why = "the user typed it into the side panel's form"
    yield from _secrets(REQUEST, "PUT jupyter-tokens/profiles/panel", "panel mistyped", why)


ALLOWED = {allowed.place: allowed for allowed in _all()}


def unexpected(places: Iterable[Place]) -> list[Place]:
    """Those where no value may be."""
    return sorted(place for place in places if place not in ALLOWED)
