"""The status of a token, and the results of fetch and forget, for the magics and the widgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from ..errors import TokenError
    from ..protocol.messages import About, Env, ProfileEntry
    from ..sources.cache import Key, Standing, State
    from ..token import Token
    from .injection import Place

__all__ = ["Forgotten", "Outcome", "Status", "is_fixed_on_server", "not_fetched"]


class Status(NamedTuple):
    """The state of one token, or of a configured profile without a token.

    Attributes
    ----------
    profile : str
        Name of the profile.
    params : mapping
        Request parameters, by the vendor's names.
    title : str
        Title of the provider.
    sandbox : bool
        Whether the profile's endpoint is on this machine.
    state : State
        See `sources.cache.State`.
    expires_at : datetime or None
        When the token expires; None if there is no token, or if the API reports no expiry.
    places : tuple of Place
        Where the token is.
    kept_fresh : bool
        Whether the token is kept fresh there.
    error : TokenError or None
        Why the last fetch, refresh or injection failed; None if nothing failed.
    env : Env
        The environment variable or variables that the profile sets.
    changed : tuple of Place
        Places where the token was put, but that hold something else, or nothing, by now.
    """

    profile: str
    params: Mapping[str, Any]
    title: str
    sandbox: bool
    state: State
    expires_at: datetime | None
    places: tuple[Place, ...]
    kept_fresh: bool
    error: TokenError | None
    env: Env
    changed: tuple[Place, ...] = ()


class Outcome(NamedTuple):
    """The result of a fetch.

    Attributes
    ----------
    key : Key
        The token's profile and parameters.
    token : Token
        The token.
    about : About
        Facts about the profile.
    places : list of Place
        Where the token was put.
    kept_fresh : bool
        Whether the token is kept fresh there.
    notes : list of str
        Sentences about what else the user should know.
    """

    key: Key
    token: Token
    about: About
    places: list[Place]
    kept_fresh: bool
    notes: list[str]


class Forgotten(NamedTuple):
    """The result of forgetting a profile's tokens.

    Attributes
    ----------
    places : list of Place
        Places that were restored to what was there before.
    notes : list of str
        Sentences about places that were left alone.
    """

    places: list[Place]
    notes: list[str]


def not_fetched(entry: ProfileEntry) -> Status:
    """Return the status of a profile without a token."""
    return Status(
        profile=entry.name,
        params={},
        title=entry.title,
        sandbox=entry.sandbox,
        state="failed" if entry.error is not None else "none",
        expires_at=None,
        places=(),
        kept_fresh=False,
        error=entry.error,
        env=entry.env,
    )


def is_fixed_on_server(key: Key, standing: Standing, entry: ProfileEntry | None) -> bool:
    """Whether a call that failed here would probably succeed now, because the Jupyter server holds a token."""
    if standing.token is not None or key.params or entry is None:
        return False
    return entry.state in {"fresh", "aging"} and not entry.failing
