"""Proxy variables, and each endpoint: name, connection, TLS, and the clock that a signature is judged by."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...errors import TokenError
from ...providers.fields import Endpoint
from ...transport import check_proxy
from .finding import Finding, fail, ok, warn, within
from .probe import Answered, probe, proxied

if TYPE_CHECKING:
    from ...config.profiles import Profile

__all__ = ["endpoints", "proxies"]

SECONDS = 6.0
"""For all endpoints together, so also where no network is."""
SKEW_FAILS = 900.0
"""Seconds by which a signature's date may be off, with Alibaba Cloud as with Huawei Cloud."""
SKEW_WARNS = 60.0

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def proxies() -> Iterator[Finding]:
    """What the environment says of proxies and certificates; of a proxy the host alone: its URL may hold a password."""
    there = {name.upper(): text for name, text in os.environ.items() if text and name.upper() in _PROXIES}
    for name, text in there.items():
        host = _host_of(text)
        problem = _proxy_problem(text)
        if host is None:
            yield fail("proxy", f"{name} is no URL", f"set {name} to http://HOST:PORT")
        elif problem is not None:
            yield fail("proxy", f"{name}: {problem.message.rstrip('.')}", problem.hint.rstrip("."))
        else:
            yield ok("proxy", f"{name} leads by way of {host}")
    if not there:
        yield ok("proxy", "no proxy variable is set")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(name)
        if path and not Path(path).exists():
            yield fail("certificates", f"{name} names {path}, which is not there", f"correct or unset {name}")


def endpoints(profiles: Iterable[Profile], *, seconds: float = SECONDS) -> Iterator[Finding]:
    """Each endpoint once. Blocks for at most so many seconds."""
    places = {(url, profile.verify): None for profile in profiles for url in _urls(profile)}
    works = [partial(probe, url, verify=verify, seconds=seconds - 1) for url, verify in places]
    for (url, _), answer in zip(places, within(seconds, works), strict=True):
        if isinstance(answer, Answered):
            yield _judged(url, answer)
        elif isinstance(answer, TokenError):
            yield fail("endpoint", f"{url}: {answer.message.rstrip('.')}", answer.hint.rstrip("."))
        else:
            yield fail(
                "endpoint", f"{url} cannot be reached: no answer in time", "check the network and the name service"
            )


def _judged(url: str, answer: Answered) -> Finding:
    way = " by way of the proxy" if proxied(url) else ""
    reached = f"{url} answers{way}" + (", TLS is good" if url.startswith("https") else "")
    if answer.skew is None:
        return warn("clock", f"{reached}, but tells no time", "make sure that this machine's clock is right")
    off = f"this machine's clock is {abs(answer.skew):.0f} s {'ahead of' if answer.skew > 0 else 'behind'} it"
    if abs(answer.skew) >= SKEW_FAILS:
        return fail("clock", f"{reached}, {off}: signatures are refused from 15 minutes on", "set the clock (NTP)")
    if abs(answer.skew) >= SKEW_WARNS:
        return warn("clock", f"{reached}, {off}", "set the clock (NTP): from 15 minutes on, signatures are refused")
    return ok("endpoint", f"{reached}, the clocks agree")


def _urls(profile: Profile) -> Iterator[str]:
    provider = profile.provider
    if provider.base():
        yield provider.base()
    for key, setting in provider.settings().items():
        url = str(getattr(provider, key)).rstrip("/")
        if isinstance(setting, Endpoint) and url and url != provider.base():
            yield url


def _proxy_problem(text: str) -> TokenError | None:
    try:
        check_proxy(text if "://" in text else f"http://{text}")
    except TokenError as error:
        return error
    return None


def _host_of(url: str) -> str | None:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        return None
