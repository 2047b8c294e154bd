"""The server extension: its configuration, its routes, and the server's token source."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from jupyter_core.utils import ensure_async
from jupyter_server.auth import AllowAllAuthorizer, PasswordIdentityProvider
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from traitlets import Bool, Enum, List, Unicode, default

from .._util.threads import run_in_thread
from .._version import __version__
from ..clock import Clock, SystemClock
from ..config.files import TokenProfiles, remove_leftovers
from ..protocol.handles import ID, Handles
from ..protocol.hub import SERVICE_VARIABLE, TOKEN_VARIABLE, HubServer
from ..protocol.proof import CERT_VARIABLE, CLIENT_CERT_VARIABLE, URL_VARIABLE, ProofVerifier
from ..sources.cache import Key
from ..sources.hub import HubSource
from ..sources.local import Fetched, LocalSource
from .activity import Activity, count_fetch, count_hit, counted
from .base import TokensHandler
from .endpoints import EndpointHandler, KernelSdkHandler, Secrets
from .handle_handlers import (
    HandleHandler,
    HandleRenewalHandler,
    HandlesHandler,
    HandleTokenHandler,
    KernelHandleHandler,
    KernelHandlesHandler,
)
from .handlers import (
    HistoryHandler,
    HoldingsHandler,
    ImportHandler,
    InjectHandler,
    InjectionHandler,
    ProfileHandler,
    ProfilesHandler,
    ProvidersHandler,
    TokenHandler,
    ValuesHandler,
)
from .holdings import Holdings, Renewals
from .kernel_handlers import KernelHoldingsHandler, KernelProfilesHandler, KernelTokenHandler, KernelValuesHandler
from .kernel_push import InjectionQueue
from .kernel_start import set_default_provisioner
from .login_handlers import CALLBACK, CallbackHandler, KernelLoginHandler, LoginHandler, LoginStateHandler
from .vendor_proxy import VendorProxyHandler

if TYPE_CHECKING:
    from ..config.profiles import Profile, Profiles
    from ..token import Token
    from .save_hook import SaveHook

__all__ = ["ROUTES", "Served", "TokensExtension", "public_url"]

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 (compared with, not bound to)
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_NONE: Mapping[str, Any] = {}
_SCRUBBED = [
    spell(name)
    for name in ("secret", "password", "token", "auth", "key", "code", "assertion")
    for spell in (str.lower, str.upper, str.capitalize)
]
_PROFILE = r"jupyter-tokens/profiles/(?P<name>[^/]+)"
_KERNEL = r"jupyter-tokens/kernels/(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)"
_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_HANDLE = rf"/handles/(?P<handle_id>{ID})"


ROUTES: tuple[tuple[str, type[TokensHandler]], ...] = (
    (r"jupyter-tokens/profiles", ProfilesHandler),
    (r"jupyter-tokens/providers", ProvidersHandler),
    (r"jupyter-tokens/import", ImportHandler),
    (_PROFILE, ProfileHandler),
    (_PROFILE + "/token", TokenHandler),
    (_PROFILE + "/values", ValuesHandler),
    (_PROFILE + "/login", LoginHandler),
    (_PROFILE + r"/login/(?P<login_id>[0-9a-f]{32})", LoginStateHandler),
    (CALLBACK, CallbackHandler),
    (r"jupyter-tokens/holdings", HoldingsHandler),
    (r"jupyter-tokens/history", HistoryHandler),
    (_KERNEL + "/inject", InjectHandler),
    (_KERNEL + r"/inject/(?P<injection_id>[0-9a-f]{32})", InjectionHandler),
    (r"jupyter-tokens/proxy/(?P<name>[^/]+)(?P<path>/.*)", VendorProxyHandler),
    (r"jupyter-tokens/handles", HandlesHandler),
    ("jupyter-tokens" + _HANDLE, HandleHandler),
    ("jupyter-tokens" + _HANDLE + "/renew", HandleRenewalHandler),
    ("jupyter-tokens" + _HANDLE + "/token", HandleTokenHandler),
    (_KERNEL + "/handles", KernelHandlesHandler),
    (_KERNEL + _HANDLE + "/(?P<action>renew|revoke)", KernelHandleHandler),
    (_KERNEL + "/token", KernelTokenHandler),
    (_KERNEL + "/login", KernelLoginHandler),
    (_KERNEL + "/profiles", KernelProfilesHandler),
    (_KERNEL + "/values", KernelValuesHandler),
    (_KERNEL + "/holdings", KernelHoldingsHandler),
    (_KERNEL + "/sdk", KernelSdkHandler),
    (_KERNEL + r"/sdk/(?P<tool>[a-z]+)/(?P<name>[^/]+)", EndpointHandler),
)
"""The extension's routes, as paths below the server's base URL. Tests compare the routes, and the permissions that the
handlers require, with rest-api.yml."""


class Served(NamedTuple):
    """A token that is handed out.

    Attributes
    ----------
    profile : Profile
        The token's profile.
    token : Token
        The token.
    cached : bool
        Whether the token came from the cache, without a call to the API.
    """

    profile: Profile
    token: Token
    cached: bool


class TokensExtension(ExtensionApp):
    """The server extension. Its profiles are configured separately, in `jupyter_tokens_config`."""

    name = "jupyter_tokens"
    description = "Short-lived cloud tokens; their long-lived secrets stay with the server."
    version = __version__
    load_other_extensions = True
    # Listed for --help-all; config/files.py reads them.
    classes = [TokenProfiles]  # noqa: RUF012 (traitlets declares it as an instance variable)

    allow_reveal = Bool(
        default_value=True,
        help="Whether users may get a token's value in the side panel or through the vendor proxy. Kernels get their "
        "tokens in any case.",
    ).tag(config=True)
    allow_edit = Bool(
        help="Whether profiles can be added, changed and removed over REST. The default is true for a server that "
        "listens on loopback or a unix socket, with Jupyter's own login, no Authorizer and no gateway. Users who may "
        "also execute code in kernels can write references, which make the server read a file, a variable or a keyring "
        "entry; their kernels can read these anyway. Other users can only send secrets by value.",
    ).tag(config=True)
    edit_variables = List(
        Unicode(),
        help="Additional environment variables, or patterns with *, that profiles written over REST may fill. Names "
        "that end in _TOKEN, _KEY, _KEY_ID, _AK, _SK, _SECRET, _PASSWORD or _CREDENTIALS are always allowed. Be "
        "careful: many other variables can make a program load code.",
    ).tag(config=True)
    load_in_kernels = Bool(
        default_value=True,
        help="Whether to load the extension in every IPython kernel that this server starts: %gettoken works without "
        "%load_ext, and redaction is on from the first cell. Kernels are left as they are if jupyter_tokens is not "
        "installed in their environment, if their command is not `python -m ipykernel_launcher` or `python -m "
        "ipykernel`, or if you have chosen another kernel provisioner.",
    ).tag(config=True)
    scan_on_save = Enum(
        ["off", "warn", "redact", "refuse"],
        default_value="off",
        help="What to do if a notebook contains a token of this server, or something that looks like a token, when it "
        "is saved. off: nothing. warn: warn in the log and the browser. redact: also redact outputs. refuse: do not "
        "save it. For a notebook that is shared by jupyter-collaboration, refuse redacts the file instead, including "
        "the sources.",
    ).tag(config=True)

    service_url = Unicode(
        help="URL of the hub's token service. Its profiles are served in addition to the server's own. "
        f"The default is the value of the environment variable {SERVICE_VARIABLE}.",
    ).tag(config=True)

    @default("service_url")
    def _service_url_default(self) -> str:
        return os.environ.get(SERVICE_VARIABLE, "")

    @default("allow_edit")
    def _allow_edit_default(self) -> bool:
        """Whether everyone who can log in can also run code as the server's user. Then editing gives no new access."""
        app = self.serverapp
        return (
            app is not None
            and (bool(app.sock) or app.ip in _LOOPBACK)
            # Exactly this class: a subclass such as JupyterHub's has several users.
            and type(app.identity_provider) is PasswordIdentityProvider
            and app.identity_provider.auth_enabled
            and type(app.authorizer) is AllowAllAuthorizer
            and not app.gateway_config.gateway_enabled
        )

    clock: Clock = SystemClock()
    """The clock; tests replace it."""
    activity: Activity
    holdings: Holdings
    injections: InjectionQueue
    renewals: Renewals
    secrets: Secrets

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._published: dict[str, str] = {}
        self._save_hook: SaveHook | None = None
        self.loaded_in: set[str] = set()
        """Ids of the kernels that were started with the extension loaded."""

    @cached_property
    def source(self) -> LocalSource:
        """The server's token source. Opened at first use, always on the thread of the server's event loop."""
        source = self._open_source()
        source.observe(partial(self._on_fetched, source))
        source.watch(lambda key, _: self.server.io_loop.add_callback(self.renewals.on_token, key))
        counted.add(source)
        return source

    async def profiles(self) -> Profiles:
        """Return this server's profiles, and the profiles that a hub's service grants. Raises `TokenError`."""
        source = self.source
        if source.refresh_due:
            await run_in_thread(source.refresh_profiles)
        return source.profiles()

    async def profile(self, name: str) -> Profile:
        """Return a profile by its name, even if it was added a moment ago. Raises `TokenError`."""
        await self.profiles()
        return self.source.profile(name)

    def _open_source(self) -> LocalSource:
        token = os.environ.get(TOKEN_VARIABLE)
        if self.service_url and token:
            return HubSource(HubServer(self.service_url, token), clock=self.clock)
        if self.service_url:
            self.log.warning(
                "jupyter_tokens: the hub's token service is not used: its URL is set, but the environment variable %s "
                "is not.",
                TOKEN_VARIABLE,
            )
        return LocalSource(clock=self.clock)

    @cached_property
    def gate(self) -> ProofVerifier:
        """Checks the proofs of the server's kernels."""
        return ProofVerifier(self.clock)

    @cached_property
    def handles(self) -> Handles:
        """The handles that this server has issued."""
        return Handles(self.clock)

    @property
    def issuer_address(self) -> tuple[str, str | None]:
        """The server's URL for workers with a handle, and its certificate as PEM, or None without TLS."""
        server = self.server
        # Only the certificates: the file may also contain the private key.
        found = _CERTIFICATE.findall(Path(server.certfile).read_text()) if server.certfile and not server.sock else []
        return public_url(server), "\n".join(found) or None

    def initialize_settings(self) -> None:
        self.activity = Activity(self.server, self.clock)
        self.holdings = Holdings(self.server.kernel_manager, self.activity.held)
        self.injections = InjectionQueue()
        self.renewals = Renewals(self)
        self.secrets = Secrets(self.server.kernel_manager)
        # A client of the proxy may put its own secret into the query. Our routes log no queries, but Jupyter logs the
        # query of a mistyped path. Jupyter's filter is case-sensitive, so each name is added in three spellings.
        scrubbed = "extra_log_scrub_param_keys"
        self.settings[scrubbed] = [*self.settings.get(scrubbed, ()), *_SCRUBBED]
        set_default_provisioner(self.server.kernel_manager)
        if self.scan_on_save != "off":
            from .save_hook import SaveHook  # noqa: PLC0415 (only if it is switched on)

            self._save_hook = SaveHook(self)

    def initialize_handlers(self) -> None:
        self.handlers.extend(ROUTES)

    async def get_token(
        self,
        name: str,
        params: Mapping[str, Any] = _NONE,
        *,
        refresh: bool = False,
        newer_than: datetime | None = None,
    ) -> Served:
        """Return a token of a profile.

        Parameters
        ----------
        name : str
            Name of the profile.
        params : mapping, optional
            Request parameters, which are added to the profile's parameters or override them.
        refresh : bool, default False
            Fetch even if the cached token is fresh.
        newer_than : datetime, optional
            `obtained_at` of a token that an API has refused. Fetch unless the cached token is newer. See
            `TokenCache.get`.

        Raises
        ------
        TokenError
            The profile or a parameter is unknown or invalid, or the token could not be fetched.
        """
        source, profile = self.source, await self.profile(name)
        token, cached = await source.serve(source.key(name, params), refresh=refresh, newer_than=newer_than)
        if cached:
            count_hit(profile.provider.id)
        return Served(profile, token, cached)

    async def create_token(self, name: str, params: Mapping[str, Any]) -> Served:
        """Create a new token by a call to the API. The token is not cached. Raises `TokenError`."""
        profile = self.source.profile(name)
        token = await run_in_thread(lambda: self.source.create(name, params), name)
        if self._save_hook is not None:
            self._save_hook.add_token(Key(name), token)
        return Served(profile, token, cached=False)

    async def allows_kernel(self, name: str, kernel_id: str) -> bool:
        """Whether a kernel of this server may get a profile's token.

        Raises `TokenError` if the profile is unknown or invalid.
        """
        profile = await self.profile(name)
        if profile.kernels is None and profile.notebooks is None:
            return True
        server = self.server
        paths = []
        if profile.notebooks is not None:
            sessions = await ensure_async(server.session_manager.list_sessions())
            paths = [session["path"] for session in sessions if session["kernel"]["id"] == kernel_id]
        return profile.allows(server.kernel_manager.get_kernel(kernel_id).kernel_name, paths)

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        # Kernels inherit these variables. They cannot be set earlier, because extensions load before the port is known.
        self._published = {URL_VARIABLE: public_url(serverapp)}
        if serverapp.certfile and not serverapp.sock:
            self._published[CERT_VARIABLE] = _absolute(serverapp.certfile)
            if (serverapp.ssl_options or {}).get("cert_reqs") == ssl.CERT_REQUIRED:
                self._published[CLIENT_CERT_VARIABLE] = "required"
        # If this server was started in a kernel of another server, it has inherited that server's variables.
        for name in (CERT_VARIABLE, CLIENT_CERT_VARIABLE):
            os.environ.pop(name, None)
        os.environ.update(self._published)
        remove_leftovers()
        self.activity.register()
        if self._save_hook is not None:
            # Extensions that were loaded after this one may have replaced the contents manager.
            self._save_hook.install()

    async def stop_extension(self) -> None:
        for name, value in self._published.items():
            # Another server in this process may have published its own values since.
            if os.environ.get(name) == value:
                del os.environ[name]
        await self.injections.close()
        await self.renewals.close()
        if "source" in vars(self):
            counted.discard(self.source)
            self.source.close()

    @property
    def server(self) -> ServerApp:
        """The server that runs this extension."""
        assert self.serverapp is not None
        return self.serverapp

    def _on_fetched(self, source: LocalSource, fetched: Fetched) -> None:
        # Called on the thread of the fetch, before the cache has the outcome.
        count_fetch(fetched, refresh=source.held(fetched.key) is not None)
        self.activity.fetched(fetched)


def _absolute(path: str) -> str:
    return str(Path(path).absolute())


def public_url(serverapp: ServerApp) -> str:
    """Return the URL at which kernels on this machine reach the extension; for a unix socket, `http+unix://…`."""
    parts = urlsplit(serverapp.connection_url)
    # If the server listens on all addresses, Jupyter returns the machine's own name, which often cannot be resolved.
    # Loopback works with TLS too: kernels trust this server's certificate, whatever name is in it.
    loopback = _WILDCARDS.get(serverapp.ip)
    if loopback and not serverapp.sock:
        parts = parts._replace(netloc=f"{loopback}:{serverapp.port}")
    return f"{parts.geturl().rstrip('/')}/jupyter-tokens"
