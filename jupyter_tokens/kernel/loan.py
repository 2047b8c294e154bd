"""A token for the length of a block: what was there before comes back after it, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError, TokenError
from .status import Outcome, where

if TYPE_CHECKING:
    from .injection import Place
    from .session import TokenSession

__all__ = ["Loan"]


class Loan:
    """A token that is lent for the length of a `with` block, which gets its `Outcome`.

    It is kept fresh meanwhile. After the block, also after an exception or an interrupt, its places are as they were,
    and a token that was not held before is forgotten. May be closed twice, also if it was never opened.
    """

    def __init__(
        self, session: TokenSession, profile: str, params: Mapping[str, Any], places: Sequence[Place] | None
    ) -> None:
        self._session = session
        self._asked = profile, params, places
        self._endings: list[Callable[[], None]] = []

    def __enter__(self) -> Outcome:
        try:
            return self._open()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _open(self) -> Outcome:
        session = self._session
        profile, params, places = self._asked
        source = session._source()
        key = source.key(profile, params)
        if source.held(key) is None:
            self._endings.append(partial(session._forget_loan, key))
        key, token, about = session._get(profile, params, places)
        filled, notes = where(token, about, places)
        if not filled:
            raise ParameterError(
                "There is nowhere to put the token for this cell: the profile names no environment variable, or the "
                "token has no value.",
                hint="Give --env VAR, --var NAME or --file PATH.",
                profile=profile,
            )
        # Each ending is noted before what it ends, so that an interrupt in between leaves nothing open.
        loan = session.injections.loan(key, token, filled)
        self._endings.append(loan.give_back)
        loan.lay()
        token, held = session._latest(key, token)
        if held is not None and token.expires_at is not None:
            self._endings.append(partial(session._drop_loan, self, key))
            session._keep_loan(self, key)
        session._tell()
        return Outcome(key, token, about, filled, session.refresher.keeps(key), notes)

    def close(self) -> None:
        """Puts back what was there before. Raises `TokenError` for a file that could not be."""
        problem: TokenError | None = None
        while self._endings:
            try:
                self._endings[-1]()
            except TokenError as error:
                problem = error.copy()
            # After it, so that an interrupted ending is not left out when this is called again.
            self._endings.pop()
        if problem is not None:
            raise problem
