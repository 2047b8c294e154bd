"""Checks whether a host is this machine's loopback, so that nobody else can read what is sent to it."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

__all__ = ["is_loopback", "is_loopback_host"]


def is_loopback_host(host: str) -> bool:
    """Whether a host is `localhost` or a loopback address."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_loopback(url: str) -> bool:
    """Whether a URL's host is `localhost` or a loopback address."""
    return is_loopback_host(urlsplit(url).hostname or "")
