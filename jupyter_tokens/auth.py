"""`TokenAuth`: adds a fresh token to each request that is made with httpx, httpx2 or requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urljoin, urlsplit

import httpx

try:
    import httpx2
except ImportError:
    _AUTHS: tuple[type, ...] = (httpx.Auth,)
    _RESENDABLE: tuple[type, ...] = (httpx.ByteStream,)
else:
    # httpx2 accepts only subclasses of its own `Auth`. If httpx2 is installed as `httpx`, both classes are the same.
    _AUTHS = tuple(dict.fromkeys((httpx.Auth, httpx2.Auth)))
    _RESENDABLE = (httpx.ByteStream, httpx2.ByteStream)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping

    from .token import Token

__all__ = ["TokenAuth"]


class TokenAuth(*_AUTHS):  # type: ignore[misc]
    """Authorises requests of httpx, httpx2 or requests (`auth=`): sends a fresh token, and a newer token after a 401.

    Parameters
    ----------
    profile, params
        The profile's name and the parameters of the call that fetched the token.
    renew : callable or None
        `renew(None)` returns a fresh token, and `renew(refused)` returns a token newer than the token `refused`. If
        `renew` is None, `token` is used for every request.
    token : Token, optional
        Only used if `renew` is None.

    Notes
    -----
    After a 401, a request is repeated once, if `renew` is given and the body can be sent again. If many requests are
    refused at the same time, the token is only refreshed once: all of them use the first token newer than the refused
    token.

    A pickled `TokenAuth` contains the profile's name and the parameters, but no token. The process that unpickles it
    uses its own token source: see `docs/workers.md`.
    """

    def __init__(
        self,
        profile: str,
        params: Mapping[str, Any],
        renew: Callable[[Token | None], Token] | None,
        token: Token | None = None,
    ) -> None:
        self._profile = profile
        self._params = params
        self._renew = renew
        self._token = token

    def __repr__(self) -> str:
        return f"<TokenAuth {self._profile}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self._renew is None:
            raise TypeError(
                "The auth of a token from create_token() cannot be pickled: the token cannot be fetched again."
            )
        return _unpickle, (self._profile, dict(self._params))

    def _fresh(self, refused: Token | None = None) -> Token:
        if self._renew is not None:
            return self._renew(refused)
        assert self._token is not None
        return self._token

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Authorise one request of a synchronous httpx or httpx2 client."""
        token = self._fresh()
        request.headers.update(token.headers())
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and self._renew is not None:
            request.headers.update(self._fresh(token).headers())
            if _can_resend(request):
                yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Authorise one request of an asynchronous client. A refresh runs on a thread, not on the event loop."""
        token = await asyncio.to_thread(self._fresh)
        request.headers.update(token.headers())
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and self._renew is not None:
            request.headers.update((await asyncio.to_thread(self._fresh, token)).headers())
            if _can_resend(request):
                yield request

    def __call__(self, request: Any) -> Any:
        """Authorise one request of `requests`. After a 401, the request is sent once more, with a newer token."""
        token = self._fresh()
        request.headers.update(token.headers())
        origin = urlsplit(request.url)[:2]
        if self._renew is not None:
            start = _position(request.body)
            retried = False

            def retry_once(response: Any, **options: Any) -> Any:
                nonlocal retried
                # requests also calls this hook after a redirect, and the token must not be sent to another host.
                redirected = urlsplit(response.request.url)[:2] != origin
                if retried or redirected or response.status_code != httpx.codes.UNAUTHORIZED:
                    return response
                retried = True
                response.content  # noqa: B018 (reads the whole body, so that the connection can be used again)
                response.close()
                newer = self._fresh(token)
                resent = response.request.copy()
                if not isinstance(resent.body, str | bytes | None):
                    if start is None:
                        return response
                    resent.body.seek(start)
                resent.headers.update(newer.headers())
                # If the second response is a redirect, requests follows the redirect with a copy of the first request.
                # So the first request needs the newer token too.
                request.headers.update(newer.headers())
                answer = response.connection.send(resent, **options)
                answer.history.append(response)
                answer.request = resent
                return answer

            request.register_hook("response", retry_once)

        def strip_after_redirect(response: Any, **_: Any) -> Any:
            if response.is_redirect and urlsplit(urljoin(response.url, response.headers["location"]))[:2] != origin:
                for name in token.headers().keys() - {"Authorization"}:
                    # For another host, requests itself removes Authorization, but no other header.
                    for sent in (request, response.request):
                        sent.headers.pop(name, None)
            return response

        request.register_hook("response", strip_after_redirect)
        return request


def _unpickle(profile: str, params: Mapping[str, Any]) -> TokenAuth:
    """Restore a pickled `TokenAuth`. The result fetches no token before its first request."""

    def renew(refused: Token | None) -> Token:
        from .client import shared_client  # noqa: PLC0415 (opened at the first request)

        source = shared_client().source
        return source.get(source.key(profile, params), newer_than=None if refused is None else refused.obtained_at)

    return TokenAuth(profile, params, renew)


def _can_resend(request: httpx.Request) -> bool:
    # A body that is read from a file or an iterator cannot be sent again. Then the caller gets the 401, and the next
    # request has the newer token.
    return isinstance(request.stream, _RESENDABLE)


def _position(body: Any) -> int | None:
    """Return the current position in a request body that is a file; None if the body cannot be rewound."""
    try:
        position: int = body.tell()
    except (AttributeError, OSError):
        return None
    return position
