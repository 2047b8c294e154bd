"""Imitations of the vendors' token APIs on loopback, for demos and tests. Imports nothing else from jupyter_tokens."""

from .accounts import Accounts
from .app import Sandbox, running
from .faults import FaultError

__all__ = ["Accounts", "FaultError", "Sandbox", "running"]
