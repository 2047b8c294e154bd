"""Installs handles in the worker processes of multiprocessing, concurrent.futures, joblib and the other engines."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from ..client import shared_client
from ..errors import ConfigurationError, ParameterError, TokenError
from ..kernel import token_file
from ..kernel.refresher import Refresher
from ..protocol.handles import Handle
from ..protocol.messages import env_variables, parse_env

if TYPE_CHECKING:
    from ..sources.cache import Key
    from ..token import Token

__all__ = ["install", "uninstall"]


def install(handle: Handle | str, *, inject: str | bool = False, file: str | None = None) -> None:
    """Use a handle in this process: `get_token` and unpickled `auth` objects then get tokens from the handle's issuer.

    Use this function as the initializer of a pool. It may be called several times, with handles for several profiles.

    Parameters
    ----------
    handle : Handle or str
        The result of `issue_handle`, or the path of a file that `jupyter tokens handle` wrote.
    inject : str or bool, default False
        Also put the token into this environment variable, and keep the variable up to date. True means the variable
        that the profile names.
    file : str, optional
        Also write the token to this file (mode 0600), and keep the file up to date.

    Raises
    ------
    TokenError
        If the handle's file cannot be read, or if the token cannot be fetched, injected or written to `file`.
    """
    if isinstance(handle, str):
        handle = Handle.read(handle)
    shared_client().install(handle)
    if inject is not False or file is not None:
        _places().put(handle, inject, file)


def uninstall(handle: Handle) -> None:
    """Stop using a handle: remove the variables and files that `install` filled, and forget the tokens.

    A variable or file stays if another installed handle fills it too, or if its content was changed since.
    """
    if _places.cache_info().currsize:
        _places().clear(handle)
    shared_client().uninstall(handle)


@cache
def _places() -> _Places:
    return _Places()


if hasattr(os, "register_at_fork"):  # not on Windows
    # A forked child does not have the thread that keeps the tokens fresh.
    os.register_at_fork(after_in_child=_places.cache_clear)


class _Places:
    """The variables and files of this process that hold tokens. One thread keeps the tokens fresh."""

    def __init__(self) -> None:
        self._refresher = Refresher(shared_client())
        # For each handle: the key, the variables by the token's fields, and the file.
        self._filled: dict[str, tuple[Key, dict[str, str], str | None]] = {}
        # For each variable and file: the digest of what was last written to it.
        self._written: dict[str, bytes] = {}
        shared_client().source.watch(self._on_token)

    def put(self, handle: Handle, inject: str | bool, file: str | None) -> None:
        source = shared_client().source
        key = source.key(handle.profile, dict(handle.params))
        token = source.get(key)
        env = source.about(handle.profile).env if inject is True else inject or None
        if inject and not env:
            problem = f"The profile {handle.profile!r} sets no environment variable."
            raise ConfigurationError(problem, hint="Name the variable: inject='NAME'.")
        variables = env_variables(parse_env(env) if isinstance(env, str) else env)
        for variable in variables.values():
            if not (variable.isascii() and variable.isidentifier()):
                raise ParameterError(f"{variable[:80]!r} is not a valid name for an environment variable.")
        path = None if file is None else token_file.absolute_path(file)
        self._filled[handle.id] = key, variables, path
        self._write(token, variables, path)
        self._refresher.keep(key)

    def clear(self, handle: Handle) -> None:
        if handle.id not in self._filled:
            return
        key, variables, path = self._filled.pop(handle.id)
        # Another handle may fill the same variables and file.
        others = tuple(self._filled.values())
        if key not in {other for other, _, _ in others}:
            self._refresher.drop(key)
        for variable in set(variables.values()).difference(*(names.values() for _, names, _ in others)):
            if token_file.digest(os.fsencode(os.environ.get(variable, ""))) in self._own_digests(variable):
                os.environ.pop(variable, None)
        if path is None or path in {other for _, _, other in others}:
            return
        if token_file.holds(path, self._own_digests(path)):
            with suppress(ParameterError):
                token_file.restore(path, None, own_digests=self._own_digests(path))

    def _on_token(self, key: Key, token: Token) -> None:
        for filled_key, variables, path in tuple(self._filled.values()):
            if filled_key == key:
                # A file that cannot be written now is written with the next token.
                with suppress(TokenError):
                    self._write(token, variables, path)
        self._refresher.reschedule(key)

    def _write(self, token: Token, variables: dict[str, str], path: str | None) -> None:
        values = {name: token.reveal(field) for field, name in variables.items()}
        os.environ.update(values)
        self._written.update({name: token_file.digest(os.fsencode(value)) for name, value in values.items()})
        if path is not None:
            data = token_file.content(token, "raw")
            token_file.write(path, data, own_digests=self._own_digests(path))
            self._written[path] = token_file.digest(data)

    def _own_digests(self, place: str) -> list[bytes]:
        return [self._written[place]] if place in self._written else []
