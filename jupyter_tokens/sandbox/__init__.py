"""The vendors' token APIs on loopback, for demos and tests. Independent of the rest of jupyter_tokens."""

from .accounts import Accounts
from .app import Sandbox, running
from .faults import FaultError

__all__ = ["Accounts", "FaultError", "Sandbox", "running"]
