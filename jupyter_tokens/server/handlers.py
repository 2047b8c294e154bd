"""The routes for browsers, except those for handles, logins and the vendor proxy."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from tornado import web

from .._util.threads import run_in_thread
from ..config.editing import draft, editable, put
from ..config.found import find_credentials
from ..config.secret_store import usable
from ..errors import ParameterError, UnknownProfile
from .answers import profile_entry, provider_entries, token_answer
from .base import INJECT, KERNELS, PROFILES, REVEAL, TOKENS, TokensHandler, error_facts
from .edit_rules import check_change
from .holdings import Holding
from .kernel_proof import check_adopted
from .kernel_push import Injection, Injector, Outcome, Removal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jupyter_client.manager import KernelManager

    from ..config.editing import Change
    from ..config.profiles import Profile

__all__ = [
    "HistoryHandler",
    "HoldingsHandler",
    "ImportHandler",
    "InjectHandler",
    "InjectionHandler",
    "ProfileHandler",
    "ProfilesHandler",
    "ProvidersHandler",
    "TokenHandler",
    "ValuesHandler",
]

GRACE_SECONDS = 2.0
"""How long the response waits for a kernel that does not seem busy, in seconds."""
BUSY_GRACE_SECONDS = 1.0
"""How long the response waits for a kernel that seems busy, in seconds. It waits because a kernel that has just replied
seems busy until the server receives its idle status."""


class ProfilesHandler(TokensHandler):
    """The route `jupyter-tokens/profiles`."""

    @web.authenticated
    @authorized(action="read", resource=PROFILES)
    async def get(self) -> None:
        """List the profiles with their states, and invalid profiles with their errors."""
        source = self.extensionapp.source
        profiles = await self.extensionapp.profiles()
        profiles.check_readable()
        entries = [profile_entry(source, name) for name in profiles]
        may_reveal = self.extensionapp.allow_reveal and await self.is_authorized("read", REVEAL)
        may_edit = self.extensionapp.allow_edit and await self.is_authorized("write", PROFILES)
        answer = {
            "profiles": entries,
            "may_reveal": may_reveal,
            "may_edit": may_edit,
            "loaded_in": sorted(self.extensionapp.loaded_in),
        }
        if source.problem is not None:
            answer["problem"] = error_facts(source.problem)
        self.finish(json.dumps(answer))


class ProvidersHandler(TokensHandler):
    """The route `jupyter-tokens/providers`."""

    @web.authenticated
    @authorized(action="read", resource=PROFILES)
    async def get(self) -> None:
        """List the providers with JSON schemas of their settings and parameters, and the stores for secrets."""
        stores = await run_in_thread(usable)
        self.finish(json.dumps({"providers": provider_entries(), "secret_stores": stores}))


class ImportHandler(TokensHandler):
    """The route `jupyter-tokens/import`."""

    @web.authenticated
    @authorized(action="write", resource=PROFILES)
    async def get(self) -> None:
        """List credentials on this machine, without values; an empty list if the user may not write references."""
        self.check_edit()
        known = await run_in_thread(find_credentials) if await self.is_authorized("execute", KERNELS) else []
        self.finish(json.dumps({"found": [one._asdict() for one in known]}))


class TokenHandler(TokensHandler):
    """The route `jupyter-tokens/profiles/{name}/token`."""

    auth_resource = TOKENS

    @web.authenticated
    @authorized(action="write", resource=TOKENS)
    async def post(self, name: str) -> None:
        """Return facts about a token, fetched or from the cache; with `"reveal": true` in the body, also its value."""
        body = self.body({"reveal": bool, "refresh": bool, "params": dict})
        reveal = body.get("reveal", False)
        if reveal:
            await self._check_reveal(name)
        extension = self.extensionapp
        served = await extension.get_token(name, body.get("params", {}), refresh=body.get("refresh", False))
        if reveal:
            # Raises an error that says why, if there is no value.
            served.token.values()
            extension.activity.revealed(self, name)
        extension.activity.served(self, name, to="browser", cached=served.cached)
        now = extension.clock.now()
        self.finish(token_answer(served.profile, served.token, now=now, value=reveal))

    @web.authenticated
    @authorized(action="write", resource=TOKENS)
    async def delete(self, name: str) -> None:
        """Forget all tokens of the profile. Kernels keep their tokens, but the server no longer renews these."""
        if name not in self.extensionapp.source.profiles():
            raise UnknownProfile(f"There is no profile {name[:80]!r}.")
        self.extensionapp.renewals.forget(name)
        self.extensionapp.source.forget_profile(name)
        self.extensionapp.activity.forgotten(self, name)
        self.set_status(204)
        self.finish()

    async def _check_reveal(self, name: str) -> None:
        profile = await self.extensionapp.profile(name)
        if not self.extensionapp.allow_reveal or not profile.may_reveal:
            self.refuse(403, "The administrator does not allow tokens to be revealed.", "reveal_off")
        if not await self.is_authorized("read", REVEAL):
            self.refuse(403, "You may fetch tokens, but not reveal them.", "reveal")


class ValuesHandler(TokensHandler):
    """The route `jupyter-tokens/profiles/{name}/values`."""

    auth_resource = TOKENS

    @web.authenticated
    @authorized(action="write", resource=TOKENS)
    async def post(self, name: str) -> None:
        """List the values that a parameter can have, if the API can list them: ids and names, never a token.

        With `settings` in the body, these settings are used instead of the saved profile's, so that a form can offer
        the values before the profile is saved.
        """
        body = self.body({"param": str, "params": dict, "settings": dict}, "param")
        saved = "settings" not in body
        profile = await self.extensionapp.profile(name) if saved else await self._draft(name, body["settings"])
        await self.send_values(profile, body["param"], body.get("params", {}))

    async def _draft(self, name: str, settings: dict[str, Any]) -> Profile:
        self.check_edit()
        if not await self.is_authorized("write", PROFILES):
            self.refuse(
                403, "Only users who may change profiles can list values for settings that are not saved.", "profiles"
            )
        extension = self.extensionapp
        allow = await _rules(self)
        return await run_in_thread(partial(draft, name, settings, extension.source.profiles(), allow))


class ProfileHandler(TokensHandler):
    """The route `jupyter-tokens/profiles/{name}`. Every method is refused if profiles cannot be edited here."""

    @web.authenticated
    @authorized(action="read", resource=PROFILES)
    async def get(self, name: str) -> None:
        """Return the profile's settings for a form, without its secrets."""
        self.check_edit()
        extension = self.extensionapp
        self.finish(json.dumps(await run_in_thread(partial(editable, name, extension.source.profiles()))))

    @web.authenticated
    @authorized(action="write", resource=PROFILES)
    async def put(self, name: str) -> None:
        """Add or change a profile. The body contains its settings."""
        self.check_edit()
        settings = self.body(None)
        extension = self.extensionapp
        allow = await _rules(self)
        created = await run_in_thread(partial(put, name, settings, extension.source.profiles(), allow))
        # The source only notices changed settings, not a new secret behind the same reference.
        extension.source.forget_profile(name)
        extension.source.expire_config()
        self.set_status(201 if created else 200)
        self.finish(json.dumps(profile_entry(extension.source, name)))

    @web.authenticated
    @authorized(action="write", resource=PROFILES)
    async def delete(self, name: str) -> None:
        """Remove a profile, log out the person who is logged in for it, and forget the profile's tokens."""
        self.check_edit()
        extension = self.extensionapp
        revoked = await run_in_thread(partial(extension.source.remove_profile, name))
        extension.renewals.forget(name)
        if revoked is not None:
            extension.activity.login(self, name, "out")
        self.set_status(204)
        self.finish()


async def _rules(handler: TokensHandler) -> Change:
    """Return the function that checks whether the request's user may make a change to a profile."""
    trusted = await handler.is_authorized("execute", KERNELS)
    return partial(check_change, variables=handler.extensionapp.edit_variables, trusted=trusted)


class HoldingsHandler(TokensHandler):
    """The route `jupyter-tokens/holdings`."""

    auth_resource = INJECT

    @web.authenticated
    @authorized(action="read", resource=INJECT)
    async def get(self) -> None:
        """List the tokens that kernels hold, and the active handles, with which workers get tokens."""
        known, handles = self.extensionapp.holdings.current(), self.extensionapp.handles
        entries = [handles.to_dict(issued) for issued in handles.in_use()]
        self.finish(json.dumps({"holdings": [holding.to_dict() for holding in known], "handles": entries}))


class HistoryHandler(TokensHandler):
    """The route `jupyter-tokens/history`."""

    auth_resource = INJECT

    @web.authenticated
    @authorized(action="read", resource=INJECT)
    async def get(self) -> None:
        """List the last events; see `Activity.history`."""
        self.finish(json.dumps({"history": self.extensionapp.activity.history()}))


class InjectHandler(TokensHandler):
    """The route `jupyter-tokens/kernels/{id}/inject`.

    Answers 200 if the injection or removal is done, 202 if the kernel has not answered yet, and 409 if it failed.
    """

    auth_resource = INJECT

    @web.authenticated
    @authorized(action="execute", resource=INJECT)
    async def post(self, kernel_id: str) -> None:
        """Put a token, fetched or from the cache, into the kernel."""
        body = self.body({"profile": str, "params": dict, "env": (str, dict), "refresh": bool}, "profile")
        kernel = await self._kernel(kernel_id)
        name, params, extension = body["profile"], body.get("params", {}), self.extensionapp
        profile = await extension.profile(name)
        await self.check_limits(name, kernel_id)
        env = body.get("env", profile.env)
        if env is None:
            raise ParameterError(
                "The profile does not say which environment variable to set.",
                hint='Set env in the profile, or send "env" in the request.',
            )
        if isinstance(env, dict) and not all(isinstance(variable, str) for variable in env.values()):
            self.refuse(400, "The field 'env' must be a string, or an object whose values are strings.", "body")
        profile.check_env(env)
        # Raises for an unsupported language or an invalid name, before a token is fetched.
        injector = Injector(extension, kernel, name, params, env)
        self._check_queue(kernel_id)
        token = (await extension.get_token(name, params, refresh=body.get("refresh", False))).token
        # The queue may have filled up while the token was fetched.
        self._check_queue(kernel_id)
        injection = Injection(kernel_id, name, env, injector.language.lower(), token.expires_at)

        async def inject() -> Outcome:
            outcome = await injector.run(token)
            for variable in injector.variables.values():
                extension.holdings.record(Holding(kernel_id, name, variable, outcome.expires_at, outcome.kept_by))
            extension.renewals.start(kernel_id, injector, outcome.token)
            extension.activity.injected(self, name, kernel_id)
            return outcome

        await self._queue(kernel, injection, inject, "an injection")

    @web.authenticated
    @authorized(action="execute", resource=INJECT)
    async def delete(self, kernel_id: str) -> None:
        """Remove a profile's tokens from the kernel. The query parameter `profile` names the profile."""
        name = self.get_query_argument("profile", "")
        extension = self.extensionapp
        variables = extension.holdings.variables(kernel_id, name)
        if name not in extension.source.profiles() and not variables:
            raise UnknownProfile(f"There is no profile {name[:80]!r}.")
        kernel = await self._kernel(kernel_id)
        self._check_queue(kernel_id)
        sent = {env: extension.renewals.sent_value(kernel_id, env) for env in variables}
        removal = Removal(extension, kernel, name, sent)
        # First, so that no renewal puts the token back.
        extension.renewals.release(kernel_id, variables)
        injection = Injection(kernel_id, name, ", ".join(variables), removal.language.lower(), None)

        async def remove() -> Outcome:
            try:
                outcome = await removal.run()
            except Exception:
                for env in extension.holdings.variables(kernel_id, name):
                    extension.holdings.mark_not_renewed(kernel_id, env)
                raise
            extension.holdings.remove(kernel_id, name)
            extension.activity.forgotten(self, name, kernel_id)
            return outcome

        await self._queue(kernel, injection, remove, "a removal")

    async def _queue(
        self, kernel: KernelManager, injection: Injection, work: Callable[[], Awaitable[Outcome]], what: str
    ) -> None:
        def report(_: asyncio.Task[None]) -> None:
            if injection.state == "failed":
                self.log.warning("jupyter_tokens: %s failed: %s", what, json.dumps(injection.to_dict()))

        task = self.extensionapp.injections.start(injection, work)
        task.add_done_callback(report)
        is_busy = getattr(kernel, "execution_state", None) == "busy"
        await asyncio.wait({task}, timeout=BUSY_GRACE_SECONDS if is_busy else GRACE_SECONDS)
        if injection.state == "failed":
            self.refuse(409, str(injection.message), "kernel")
        self.set_status(200 if injection.state == "done" else 202)
        self.finish(json.dumps(injection.to_dict()))

    def _check_queue(self, kernel_id: str) -> None:
        if self.extensionapp.injections.is_full(kernel_id):
            self.refuse(
                429,
                "Too many injections or removals are waiting for this kernel. Try again later.",
                "too_many",
                retry_after=5.0,
            )

    async def _kernel(self, kernel_id: str) -> KernelManager:
        if kernel_id not in self.kernel_manager:
            self.refuse(404, "There is no such kernel.", "kernel")
        await check_adopted(self.kernel_manager, kernel_id)
        kernel: KernelManager = self.kernel_manager.get_kernel(kernel_id)
        if not kernel.shell_port:
            self.refuse(409, "The kernel is not reachable: it is still starting, or a gateway runs it.", "kernel")
        if not await ensure_async(kernel.is_alive()):
            self.refuse(409, "The kernel has died.", "kernel")
        return kernel


class InjectionHandler(TokensHandler):
    """The route `GET jupyter-tokens/kernels/{id}/inject/{injection id}`: the state of an injection."""

    auth_resource = INJECT

    @web.authenticated
    @authorized(action="read", resource=INJECT)
    async def get(self, kernel_id: str, injection_id: str) -> None:
        """Return the state of the injection."""
        injection = self.extensionapp.injections.get(injection_id)
        if injection is None or injection.kernel_id != kernel_id:
            self.refuse(
                404,
                "There is no such injection in this kernel, or too many others have ended since.",
                "unknown_injection",
            )
        self.finish(json.dumps(injection.to_dict()))
