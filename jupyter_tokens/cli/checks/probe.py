"""What stands behind an endpoint: name, connection, TLS and clock, by one request that holds no credential."""

from __future__ import annotations

import email.utils
import time
from typing import NamedTuple

import httpx

from ...errors import NetworkError
from ...providers.base import COMMON_HEADERS
from ...providers.fields import parsed_url
from ...transport import connect_error, open_route, proxy_for

__all__ = ["Answered", "probe", "proxied"]


class Answered(NamedTuple):
    """skew : seconds by which this machine's clock is ahead of the API's, or None if the API does not say."""

    status: int
    skew: float | None


def proxied(url: str) -> bool:
    """Whether the environment names a proxy for a URL."""
    return proxy_for(parsed_url(url)) is not None


def probe(url: str, *, verify: bool | str = True, seconds: float = 5.0) -> Answered:
    """Asks once, by the same proxy and with the same trust as a call for a token. Blocks. Raises `NetworkError`.

    seconds : for each step; a name service that hangs is not bounded by it.
    """
    request = httpx.Request("HEAD", parsed_url(url), headers=COMMON_HEADERS)
    request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
    host = request.url.host
    try:
        with open_route(request.url, verify) as transport:
            asked = time.time()
            answer = transport.handle_request(request)
            heard = time.time()
            answer.close()
    except httpx.ConnectError as error:
        problem = connect_error(host, error, proxy_for(request.url))
    except httpx.HTTPError as error:
        # Only the kind: the text may hold a proxy's URL, and that a password.
        problem = NetworkError(
            f"{host} cannot be reached ({type(error).__name__}).",
            hint="Check the endpoint, the network and the proxy settings.",
        )
    else:
        return Answered(answer.status_code, _skew(answer.headers.get("date"), asked, heard))
    raise problem


def _skew(date: str | None, asked: float, heard: float) -> float | None:
    try:
        # A Date has whole seconds: it was said half a second later, by and large.
        return (asked + heard) / 2 - (email.utils.parsedate_to_datetime(date or "").timestamp() + 0.5)
    except ValueError:
        return None
