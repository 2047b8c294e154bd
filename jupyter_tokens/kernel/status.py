"""What a session tells of its tokens: how each is, and what came of a fetch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from .injection import Place, env_place

if TYPE_CHECKING:
    from ..broker import Held, Key, State
    from ..errors import TokenError
    from ..source import About, ProfileEntry
    from ..token import Token

__all__ = ["Outcome", "Status", "untouched", "where"]


class Status(NamedTuple):
    """How a token is: one key, or a configured profile of which nothing is held.

    state : see `broker.State`.
    places : where it is. error : why the last fetch or refresh failed. env : the profile's own variable.
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
    env: str | None

    @classmethod
    def of(
        cls,
        key: Key,
        held: Held | None,
        about: About | ProfileEntry,
        *,
        places: Sequence[Place],
        kept_fresh: bool,
        error: TokenError | None,
        now: float,
    ) -> Status:
        """How a key's token is. held : what the broker holds. now : on `Clock.elapsed`."""
        error = error or (held.error if held is not None else None)
        return cls(
            profile=key.profile,
            params=dict(key.params),
            title=about.title,
            sandbox=about.sandbox,
            state=held.state(now, error) if held is not None else "failed" if error else "none",
            expires_at=held.token.expires_at if held is not None else None,
            places=tuple(places),
            kept_fresh=kept_fresh,
            error=error,
            env=about.env,
        )


class Outcome(NamedTuple):
    """What came of a fetch. places : that it filled. notes : sentences on what else the user should know."""

    key: Key
    token: Token
    about: About
    places: list[Place]
    kept_fresh: bool
    notes: list[str]


def untouched(entry: ProfileEntry) -> Status:
    """A profile of which nothing is held."""
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


def where(token: Token, about: About, asked: Sequence[Place] | None) -> tuple[list[Place], list[str]]:
    """The places that a token goes to, and what the user should know of that."""
    places = list(asked) if asked is not None else [env_place(about.env)] if about.env else []
    if not token.has_value:
        # An environment variable that was not asked for, but is the profile's.
        return [place for place in places if place.kind == "var"], [_described(token)]
    if asked is None and not places:
        return [], [
            "Not injected: the profile names no environment variable; give --env VAR, --var NAME or --file PATH."
        ]
    return places, []


def _described(token: Token) -> str:
    told = ", ".join(f"{name} {token.metadata[name]}" for name in ("name", "id") if name in token.metadata)
    return (
        f"{told}. This API never returns the value of a stored token: read .metadata of get_token({token.profile!r})."
    )
