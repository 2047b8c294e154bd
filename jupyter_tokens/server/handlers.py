"""The browser's routes: profiles, providers and tokens. Thin: who may, what was asked, and the answer."""

from __future__ import annotations

import json
from functools import partial

from jupyter_server.auth.decorator import authorized
from tornado import web

from ..errors import UnknownProfile
from .base import KERNELS, PROFILES, REVEAL, TOKENS, TokensHandler

__all__ = ["ROUTES", "ProfileHandler", "ProfilesHandler", "ProvidersHandler", "TokenHandler"]


class ProfilesHandler(TokensHandler):
    """`jupyter-tokens/profiles`."""

    @web.authenticated
    @authorized(action="read", resource=PROFILES)
    async def get(self) -> None:
        """Lists the profiles with their states; one that is wrong with what is wrong."""
        from .answers import profile_entry  # noqa: PLC0415 (loads httpx, which no server should start with)

        source = self.extension.source
        profiles = source.profiles()
        profiles.check_readable()
        entries = [profile_entry(source, name) for name in profiles]
        may_reveal = self.extension.allow_reveal and await self.may("read", REVEAL)
        may_edit = self.extension.allow_edit and await self.may("write", PROFILES)
        kernels = self.extension.loaded_in = {i for i in self.extension.loaded_in if i in self.kernel_manager}
        answer = {"profiles": entries, "may_reveal": may_reveal, "may_edit": may_edit, "loaded_in": sorted(kernels)}
        self.finish(json.dumps(answer))


class ProvidersHandler(TokensHandler):
    """`jupyter-tokens/providers`."""

    @web.authenticated
    @authorized(action="read", resource=PROFILES)
    async def get(self) -> None:
        """Lists the providers with JSON schemas of their settings and parameters."""
        from .answers import provider_entries  # noqa: PLC0415 (see above)

        self.finish(json.dumps({"providers": provider_entries()}))


class TokenHandler(TokensHandler):
    """`jupyter-tokens/profiles/{name}/token`."""

    auth_resource = TOKENS

    @web.authenticated
    @authorized(action="write", resource=TOKENS)
    async def post(self, name: str) -> None:
        """Fetches a token, or serves it from the cache: what is known of it, and its value if that may be revealed."""
        from .answers import token_answer  # noqa: PLC0415 (see above)

        body = self.body({"reveal": bool, "refresh": bool, "params": dict})
        reveal = body.get("reveal", False)
        if reveal:
            await self._check_reveal()
        extension = self.extension
        served = await extension.get_token(name, body.get("params", {}), refresh=body.get("refresh", False))
        if reveal:
            # For the error that says why there is none.
            served.token.reveal()
            extension.activity.revealed(self, name)
        extension.activity.served(self, name, to="browser", cached=served.cached)
        now = extension.clock.now()
        self.finish(token_answer(served.profile, served.token, now=now, value=reveal))

    @web.authenticated
    @authorized(action="write", resource=TOKENS)
    async def delete(self, name: str) -> None:
        """Forgets the profile's tokens, whatever their parameters."""
        if name not in self.extension.source.profiles():
            raise UnknownProfile(f"There is no profile {name[:80]!r}.")
        self.extension.renewals.forget(name)
        self.extension.source.forget_profile(name)
        self.set_status(204)
        self.finish()

    async def _check_reveal(self) -> None:
        if not self.extension.allow_reveal:
            self.refuse(403, "The administrator does not allow to reveal tokens.", "reveal_off")
        if not await self.may("read", REVEAL):
            self.refuse(403, "You may fetch tokens, but not reveal them.", "reveal")


class ProfileHandler(TokensHandler):
    """`jupyter-tokens/profiles/{name}`, where the administrator allows it."""

    @web.authenticated
    @authorized(action="read", resource=PROFILES)
    async def get(self, name: str) -> None:
        """The profile as a form shows it, without its secrets."""
        from ..config.editing import editable  # noqa: PLC0415 (see above)

        self._check_edit()
        extension = self.extension
        self.finish(json.dumps(await extension.on_a_thread(partial(editable, name, extension.source.profiles()))))

    @web.authenticated
    @authorized(action="write", resource=PROFILES)
    async def put(self, name: str) -> None:
        """Adds a profile, or changes it, to the settings of the body."""
        from ..config.editing import put  # noqa: PLC0415 (see above)
        from .answers import profile_entry  # noqa: PLC0415 (see above)
        from .edit_rules import check_change  # noqa: PLC0415 (see above)

        self._check_edit()
        settings = self.body(None)
        extension = self.extension
        trusted = await self.may("execute", KERNELS)
        allow = partial(check_change, variables=extension.edit_variables, trusted=trusted)
        created = await extension.on_a_thread(partial(put, name, settings, extension.source.profiles(), allow))
        # Where a typed reference leads there may be a new secret, of which the source sees no change.
        extension.source.forget_profile(name)
        extension.source.look_again()
        self.set_status(201 if created else 200)
        self.finish(json.dumps(profile_entry(extension.source, name)))

    @web.authenticated
    @authorized(action="write", resource=PROFILES)
    async def delete(self, name: str) -> None:
        """Removes a profile, and forgets its tokens."""
        from ..config.editing import remove  # noqa: PLC0415 (see above)

        self._check_edit()
        extension = self.extension
        await extension.on_a_thread(partial(remove, name, extension.source.profiles()))
        extension.renewals.forget(name)
        extension.source.forget_profile(name)
        extension.source.look_again()
        self.set_status(204)
        self.finish()

    def _check_edit(self) -> None:
        if not self.extension.allow_edit:
            self.refuse(403, "The administrator does not allow to change profiles here.", "edit_off")


_PROFILE = r"jupyter-tokens/profiles/(?P<name>[^/]+)"
ROUTES: list[tuple[str, type[TokensHandler]]] = [
    (r"jupyter-tokens/profiles", ProfilesHandler),
    (r"jupyter-tokens/providers", ProvidersHandler),
    (_PROFILE, ProfileHandler),
    (_PROFILE + "/token", TokenHandler),
]
"""Below the server's base URL."""
