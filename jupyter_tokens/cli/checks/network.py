"""Checks of the proxy variables, and of each endpoint's name resolution, connection, TLS and clock."""

from __future__ import annotations

import email.utils
import os
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from ...errors import NetworkError, TokenError
from ...providers.base import COMMON_HEADERS
from ...providers.fields import Endpoint, parsed_url
from ...transport import check_proxy, connect_error, open_route, proxy_for
from . import CheckResult, fail, ok, warn, within

if TYPE_CHECKING:
    from ...config.profiles import Profile

__all__ = ["endpoints", "probe", "proxies"]

SECONDS = 6.0
"""Time limit for checking all endpoints together, in seconds. It is kept even without a network."""
SKEW_FAILS = 900.0
"""Alibaba Cloud and Huawei Cloud refuse a signature if its date is wrong by more than this, in seconds."""
SKEW_WARNS = 60.0

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def proxies() -> Iterator[CheckResult]:
    """Check the environment variables for proxies and certificates. Shows a proxy's host, never its password."""
    variables = {name.upper(): text for name, text in os.environ.items() if text and name.upper() in _PROXIES}
    for name, text in variables.items():
        try:
            host = _proxy_host(text)
        except ValueError:
            yield fail("proxy", f"{name} is not a URL", f"set {name} to http://HOST:PORT")
        except TokenError as problem:
            yield fail("proxy", f"{name}: {problem.message.rstrip('.')}", problem.hint.rstrip("."))
        else:
            yield ok("proxy", f"{name} uses the proxy {host}")
    if not variables:
        yield ok("proxy", "no proxy variable is set")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(name)
        if path and not Path(path).exists():
            yield fail("certificates", f"{name} names {path}, which does not exist", f"correct or unset {name}")


def endpoints(profiles: Iterable[Profile], *, seconds: float = SECONDS) -> Iterator[CheckResult]:
    """Check each endpoint once. Blocks for at most `seconds`."""
    targets = {(url, profile.verify): None for profile in profiles for url in _urls(profile)}
    calls = [partial(probe, url, verify=verify, seconds=seconds - 1) for url, verify in targets]
    timeout_error = TokenError(f"cannot be reached: no answer within {seconds:g} s", hint="check the network and DNS")
    for (url, _), answer in zip(targets, within(seconds, calls, timeout_error), strict=True):
        if isinstance(answer, TokenError):
            yield fail("endpoint", f"{url}: {answer.message.rstrip('.')}", answer.hint.rstrip("."))
        else:
            yield answer


def _clock_result(reached: str, skew: float | None) -> CheckResult:
    if skew is None:
        return warn("clock", f"{reached}, but reports no time", "make sure that this machine's clock is right")
    offset = f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the API's"
    if abs(skew) >= SKEW_FAILS:
        return fail(
            "clock",
            f"{reached}, {offset}; signatures are refused if the clocks differ by more than 15 minutes",
            "set the clock (NTP)",
        )
    if abs(skew) >= SKEW_WARNS:
        return warn(
            "clock",
            f"{reached}, {offset}",
            "set the clock (NTP): signatures are refused if the clocks differ by more than 15 minutes",
        )
    return ok("endpoint", f"{reached}, the clocks agree")


def _urls(profile: Profile) -> Iterator[str]:
    provider = profile.provider
    if provider.base():
        yield provider.base()
    for key, setting in provider.settings().items():
        url = str(getattr(provider, key)).rstrip("/")
        if isinstance(setting, Endpoint) and url and url != provider.base():
            yield url


def _proxy_host(text: str) -> str:
    """Return the host of a proxy, with its port. Raises ValueError if the text is not a URL.

    Raises `TokenError` if this kind of proxy is not supported.
    """
    parts = urlsplit(text if "://" in text else f"http://{text}")
    port = "" if parts.port is None else f":{parts.port}"
    if not parts.hostname:
        raise ValueError
    check_proxy(parts.geturl())
    return f"{parts.hostname}{port}"


def probe(url: str, *, verify: bool | str = True, seconds: float = 5.0) -> CheckResult:
    """Send one request, with the same proxy and certificates as a call for a token, and compare the clocks. Blocks.

    Parameters
    ----------
    url : str
        The endpoint.
    verify : bool or str
        True, or the path of a CA bundle.
    seconds : float
        Time limit for each step, except name resolution.

    Raises
    ------
    NetworkError
        The endpoint cannot be reached.
    """
    request = httpx.Request("HEAD", parsed_url(url), headers=COMMON_HEADERS)
    request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
    host, proxy = request.url.host, proxy_for(request.url)
    try:
        with open_route(request.url, verify) as transport:
            sent_at = time.time()
            answer = transport.handle_request(request)
            received_at = time.time()
            answer.close()
    except httpx.ConnectError as error:
        raise connect_error(host, error, proxy) from None
    except httpx.HTTPError as error:
        # Only the type: the text may contain a proxy's URL with a password.
        raise NetworkError(
            f"{host} cannot be reached ({type(error).__name__}).",
            hint="Check the endpoint, the network and the proxy settings.",
        ) from None
    way = " through the proxy" if proxy else ""
    reached = f"{url} answers{way}" + (", TLS is good" if url.startswith("https") else "")
    return _clock_result(reached, _skew(answer.headers.get("date"), sent_at, received_at))


def _skew(date: str | None, sent_at: float, received_at: float) -> float | None:
    """Return by how many seconds this machine's clock is ahead of the API's; None if the API reports no time."""
    try:
        # A Date header has whole seconds, so on average half a second is cut off.
        return (sent_at + received_at) / 2 - (email.utils.parsedate_to_datetime(date or "").timestamp() + 0.5)
    except ValueError:
        return None
