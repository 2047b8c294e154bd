"""Imitations of the vendors' token APIs and of an OpenID provider, served on loopback for demos and tests."""

from .accounts import Accounts
from .app import Sandbox, running
from .faults import FaultError

__all__ = ["Accounts", "FaultError", "Sandbox", "running"]
