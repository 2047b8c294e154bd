"""Makes calls to token APIs: resolves a profile's secrets, and runs a flow of its provider.

A flow is a generator that yields requests and gets their responses.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from .._util.encodings import encoded_forms
from ..clock import Clock, SystemClock
from ..config.profiles import Profile, Profiles
from ..config.secrets import notify_watchers
from ..errors import ApiError, ConfigurationError, TokenError
from ..providers.answers import malformed, plain, refusal
from ..providers.base import Call, Driven, Listed
from ..providers.login import LoginInUse, login_needed
from ..providers.params import ParamValue
from ..token import Secret, Token
from ..transport import Transport
from .cache import Key
from .login_store import LoginStore

__all__ = ["Answer", "Share", "Upstream", "Wanted"]

_MIN_LENGTH = 6
"""Secrets with fewer characters are not removed from a vendor's message, because they may be ordinary words."""
_STATUS = range(200, 600)
_REFUSED = 400
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Answer(NamedTuple):
    """An API's own response to a call. If the API echoes the profile's secrets, they are removed.

    Attributes
    ----------
    status : int
        The HTTP status.
    headers : tuple
        Pairs of lower-case name and value, without those that hold a secret.
    body : bytes
        The body, with *** in place of each secret.
    error : ApiError or None
        The error for the user if the API refused the call, else None.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    error: ApiError | None


class Wanted(NamedTuple):
    """A token that is about to be fetched. `identity` distinguishes credentials, see `Provider.identity`."""

    profile: Profile
    params: Mapping[str, ParamValue]
    identity: Any


Share = Callable[[Wanted, Callable[[], Token]], Token]
"""Returns a token that another process has fetched, or the result of the call."""


@dataclass(frozen=True)
class _Resolved:
    """A profile's secrets, the credential made from them, and, if a person logs in, the key of the login."""

    profile: Profile
    secrets: Mapping[str, Secret]
    credential: Any
    login_key: Secret | None = None

    def identity(self) -> Any:
        """Return `Provider.identity` and the key of a login: only processes that can read the login share tokens."""
        found = self.profile.provider.identity(self.secrets, self.credential)
        return found if self.login_key is None or found is None else (found, self.login_key)


class Upstream:
    """Calls the token APIs of the profiles. Thread-safe; every call blocks.

    Parameters
    ----------
    profiles : callable
        Returns the current profiles.
    transport : Transport, optional
        For tests.
    clock : Clock, optional
        For tests.
    subject : callable
        Returns the token of the profile with a given name, for another profile that uses this token as a secret.
    """

    def __init__(
        self,
        profiles: Callable[[], Profiles],
        transport: Transport | None = None,
        clock: Clock | None = None,
        *,
        subject: Callable[[str], Token],
    ) -> None:
        self._profiles = profiles
        self._subject = subject
        self._clock = clock or SystemClock()
        self._transport = transport or Transport(clock=self._clock)

    @cached_property
    def logins(self) -> LoginStore:
        """The store of people's logins."""
        return LoginStore(self._clock)

    def fetch(self, key: Key, share: Share = lambda _, call: call()) -> Token:
        """Fetch a token from the API, or get it from `share`, which decides whether to call the API.

        Raises `TokenError`, which names the profile and contains no secret.
        """
        profile = self._profiles()[key.profile]
        if key.user:
            profile = profile.for_user(key.user)
        params = dict(key.params)

        def around(resolved: _Resolved, call: Callable[[], Token]) -> Token:
            return share(Wanted(profile, params, resolved.identity()), call)

        token, _ = self._run(profile, self._resolve, profile.provider.retrieve, params, around=around, idempotent=True)
        notify_watchers(profile.name, [token])
        return token

    def create(self, name: str, params: Mapping[str, object]) -> Token:
        """Create a new token, if the API has a call for that. Raises `TokenError`.

        The call is not retried if the API may already have received it.
        """
        profile = self._profiles()[name]
        call_params = profile.create_params(params)
        token, _ = self._run(profile, self._resolve, profile.provider.create, call_params, idempotent=False)
        notify_watchers(profile.name, [token])
        return token

    def list_values(self, profile: Profile, param: str, given: Mapping[str, object]) -> list[Listed]:
        """List the values that a parameter can have; `given` are parameters of the call. Raises `TokenError`."""
        call_params = profile.list_params(param, given)

        def flow(call: Call) -> Driven[list[Listed]]:
            return profile.provider.list_values(call, param)

        found, _ = self._run(profile, self._resolve, flow, call_params, idempotent=True)
        return found

    def drive(self, profile: Profile, flow: Callable[[Call], Driven[_T]], *sent: object) -> _T:
        """Run a login's flow with the profile's own parameters and client. Not retried once a request may have arrived.

        `sent` are the secrets of this login, or dataclasses with such secrets. Raises `TokenError`, which contains none
        of these secrets.
        """
        params = profile.call_params({})
        result, _ = self._run(profile, self._resolve_client, flow, params, sent=sent, idempotent=False)
        notify_watchers(profile.name, _iter_secrets(result))
        return result

    def exchange(self, profile: Profile, params: Mapping[str, ParamValue], path: str = "") -> Answer:
        """Make one call and return the API's own response, even if it is a refusal. Never retried.

        Parameters
        ----------
        profile : Profile
            The profile to use.
        params : Mapping
            The checked parameters of the call.
        path : str
            The path from the vendor's documentation, if the API has several such calls.

        Raises
        ------
        TokenError
            If the profile's secrets cannot be read, there is no response, or it is a redirect or not valid HTTP.
        """
        flow = profile.provider.exchange
        response, secrets = self._run(profile, self._resolve, flow, params, path=path, attempts=1)
        if response.status_code not in _STATUS:
            invalid = malformed(response, f"has the status {response.status_code}")
            _sanitize(invalid, profile, secrets)
            raise invalid
        # The longest first: a form may contain another one.
        values = {secret.reveal() for secret in secrets}
        hidden = sorted({form for value in values for form in encoded_forms(value)}, key=len, reverse=True)
        headers = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers.raw)
        body = response.content
        for form in hidden:
            body = body.replace(form.encode(), b"***")
        error = None
        if response.status_code >= _REFUSED:
            error = refusal(response, now=self._clock.now(), body=None, code=None, message=None, meanings={})
            _sanitize(error, profile, secrets)
        safe_headers = tuple(pair for pair in headers if not any(form in pair[1] for form in hidden))
        return Answer(response.status_code, safe_headers, body, error)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _run(
        self,
        profile: Profile,
        resolve: Callable[[Profile], _Resolved],
        flow: Callable[[Call], Driven[_T]],
        params: Mapping[str, ParamValue],
        *,
        path: str = "",
        sent: Sequence[object] = (),
        around: Callable[[_Resolved, Callable[[], _T]], _T] = lambda _, call: call(),
        **how: Any,
    ) -> tuple[_T, list[Secret]]:
        """Run a flow. Return its result, and all secrets that were used.

        `around` gets a function that makes the call, and decides whether to make it. Errors contain no secret, and none
        of `sent`. `how` is passed on to `Transport.run`.
        """
        _log.debug("%s: calling the API of provider %s", profile.name, profile.provider.id)
        secrets: Mapping[str, Secret] = {}
        credential: object = None
        login_in_use: LoginInUse | None = None
        try:
            resolved = resolve(profile)
            secrets, credential = resolved.secrets, resolved.credential
            call = Call(profile.name, params, credential, self._clock, path)
            login: AbstractContextManager[LoginInUse | None] = nullcontext()
            if resolved.login_key is not None:
                login = self.logins.using(profile)

            def run() -> _T:
                nonlocal login_in_use
                try:
                    with login as login_in_use:
                        call_with_login = replace(call, login=login_in_use)
                        return self._transport.run(
                            lambda: flow(call_with_login), timeout=profile.timeout, verify=profile.verify, **how
                        )
                except TokenError as error:
                    hidden = chain.from_iterable(map(_iter_secrets, (credential, login_in_use, *sent)))
                    _sanitize(error, profile, [*secrets.values(), *hidden])
                    raise

            result = around(resolved, run)
            # The credential now also holds what the flow added to it, such as the tokens of an IAM login.
            return result, list(_profile_secrets(profile, secrets, credential))
        except TokenError as error:
            _sanitize(error, profile, [*secrets.values(), *_iter_secrets(credential)])
            raise
        finally:
            notify_watchers(profile.name, _profile_secrets(profile, secrets, credential))
            notify_watchers(profile.name, _iter_secrets(login_in_use))

    def _resolve(self, profile: Profile) -> _Resolved:
        # The login is read first, so that an unattended run without a login fails before it waits for a keyring.
        login = self.logins.read(profile) if profile.provider.logs_in else None
        if profile.provider.logs_in and login is None:
            raise login_needed(profile.name)
        resolved = self._resolve_client(profile)
        return resolved if login is None else replace(resolved, login_key=login.key)

    def _resolve_client(self, profile: Profile) -> _Resolved:
        secrets = profile.secrets()
        self._check_chain(profile)
        secrets |= {key: self._subject_value(name) for key, name in profile.subjects.items()}
        credential = profile.provider.credential(secrets)
        return _Resolved(profile, secrets, credential)

    def _subject_value(self, name: str) -> Secret:
        """Return the value of another profile's token. Errors name the other profile."""
        try:
            return Secret(self._subject(name).reveal())
        except TokenError as error:
            copy = error.copy()
        copy.message = f"Profile {name}: {copy.message}"
        raise copy

    def _check_chain(self, profile: Profile, before: Sequence[str] = ()) -> None:
        """Raise `ConfigurationError` if profiles use each other's tokens in a circle."""
        for name in profile.subjects.values():
            if name in (chain := [*before, profile.name]):
                raise ConfigurationError(
                    f"The profile {name} would need its own token: {' → '.join([*chain, name])} (each profile uses the "
                    "token of the next).",
                    hint="In one of these profiles, replace the reference profile:NAME.",
                )
            self._check_chain(self._profiles()[name], chain)


def _sanitize(error: TokenError, profile: Profile, secrets: Iterable[Secret]) -> None:
    """Name the profile in an error, and remove the secrets from the error's message, code and request id."""
    error.profile, error.provider = profile.name, profile.provider.id
    known = list(secrets)
    for name in ("message", "code", "request_id"):
        setattr(error, name, _redact(getattr(error, name), known))
    error.args = (error.message,)


def _profile_secrets(profile: Profile, resolved: Mapping[str, Secret], credential: object) -> Iterator[Secret]:
    """Yield the secrets of a profile, but not ids and user names, which may be given as references too."""
    known = profile.provider.settings()
    for key, secret in resolved.items():
        if known[key].secret:
            yield secret
    yield from _iter_secrets(credential)


def _iter_secrets(credential: object) -> Iterator[Secret]:
    """Yield the secrets inside a credential, such as the keys of a chain or the tokens of an IAM login."""
    if isinstance(credential, Secret):
        yield credential
    elif isinstance(credential, Mapping):
        for value in tuple(credential.values()):
            yield from _iter_secrets(value)
    elif is_dataclass(credential):
        for part in fields(credential):
            yield from _iter_secrets(getattr(credential, part.name))


def _redact(text: str | None, secrets: Iterable[Secret]) -> str | None:
    """Return a vendor's text with "…" in place of these secrets: some APIs echo what they were sent."""
    values = [secret.reveal() for secret in secrets]
    # The vendor's text has passed through `plain`, so a secret may appear there as `plain` writes it.
    for value in dict.fromkeys([*values, *(plain(value, len(value)) for value in values)]):
        if not text or len(value) < _MIN_LENGTH:
            continue
        text = text.replace(value, "…")
        # A long message is cut off, possibly inside an echoed secret. The cut may be in the middle of the text, because
        # an error may hold two vendor messages.
        for length in range(len(value) - 1, _MIN_LENGTH - 1, -1) if value[:_MIN_LENGTH] in text else ():
            text = re.sub(re.escape(value[:length]) + r"(?=[.,) ]|$)", "…", text)
    return text
