"""Settings for well-known authorization servers: `issuer: "github"`, or with a tenant `issuer: "entra:TENANT"`.

No preset has been tested with the real service, because that needs an account there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from .fields import Endpoint, SettingProblem

__all__ = ["PRESETS", "Issuer", "Preset", "preset_of"]

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,250}")


@dataclass(frozen=True, slots=True)
class Preset:
    """The settings for a well-known authorization server.

    Attributes
    ----------
    title : str
        The server's display name.
    settings : Mapping
        Settings of `oauth2`, which a profile's own settings override. `{tenant}` is replaced by the tenant.
    source : str
        The title of the page in the server's documentation.
    tenant : str
        A description of the tenant, the text after the colon in `issuer`; "" if the preset takes no tenant.
    scope : str
        The scopes of a login if the profile has no scope; "" to choose scopes from the server's metadata.
    authorize : Mapping
        Further parameters of the authorization URL.
    note : str
        What else a profile needs for this server, and how the server differs from others.
    """

    title: str
    settings: Mapping[str, str]
    source: str
    tenant: str = ""
    scope: str = ""
    authorize: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def filled(self, tenant: str) -> dict[str, str]:
        """Return the settings, with the tenant in place of `{tenant}`."""
        return {key: value.replace("{tenant}", tenant) for key, value in self.settings.items()}


_PERSON = {"grant": "authorization_code", "auth_method": "none"}
_SECRET = {"grant": "authorization_code", "auth_method": "form"}

PRESETS: Mapping[str, Preset] = {
    "github": Preset(
        "GitHub",
        {
            "grant": "device_code",
            "auth_method": "none",
            "endpoint": "https://github.com/login/oauth/access_token",
            "authorization_endpoint": "https://github.com/login/oauth/authorize",
            "device_endpoint": "https://github.com/login/device/code",
            "base_url": "https://api.github.com",
        },
        "Authorizing OAuth apps",
        scope="read:user",
        note="Enable the device flow in the app. A login in a browser needs auth_method form and the client's secret. "
        "An OAuth app's token does not expire; a logout does not revoke it.",
    ),
    "gitlab": Preset(
        "GitLab",
        {**_PERSON, "issuer": "https://gitlab.com", "base_url": "https://gitlab.com/api/v4"},
        "OAuth 2.0 identity provider API",
        scope="openid profile email read_api",
        note="Allow the application the scopes openid, profile, email and read_api. For your own GitLab, give its URL "
        "as issuer.",
    ),
    "google": Preset(
        "Google",
        {**_SECRET, "issuer": "https://accounts.google.com"},
        "OAuth 2.0 for Mobile & Desktop Apps",
        authorize={"access_type": "offline", "prompt": "consent"},
        note="A client of the type Desktop app has a secret too. Set scope to openid email and the scopes of the API.",
    ),
    "entra": Preset(
        "Microsoft Entra ID",
        {**_PERSON, "issuer": "https://login.microsoftonline.com/{tenant}/v2.0"},
        "Microsoft identity platform and OAuth 2.0 authorization code flow",
        tenant="the directory (tenant) ID",
        note="Use the ID, not a name, because the metadata contains the ID. For an API, set scope to "
        "openid offline_access api://…/.default. A logout does not revoke the token.",
    ),
    "keycloak": Preset(
        "Keycloak",
        {**_PERSON, "issuer": "https://{tenant}"},
        "Securing applications and services with OpenID Connect",
        tenant="HOST/realms/REALM",
        note="Register a public client, with Standard flow or OAuth 2.0 Device Authorization Grant switched on.",
    ),
    "auth0": Preset(
        "Auth0",
        {**_PERSON, "issuer": "https://{tenant}/"},
        "Authorization Code Flow with PKCE",
        tenant="the domain, such as acme.eu.auth0.com",
        note="Give audience for a token of your API, which has to allow offline access. Auth0 compares redirect URIs "
        "including the port: use --device on the command line.",
    ),
    "okta": Preset(
        "Okta",
        {**_PERSON, "issuer": "https://{tenant}/oauth2/default"},
        "OpenID Connect & OAuth 2.0 API",
        tenant="the domain, such as acme.okta.com",
        note="The client needs the grant Refresh Token. For another authorization server, give its issuer URI.",
    ),
    "huggingface": Preset(
        "Hugging Face",
        {**_PERSON, "issuer": "https://huggingface.co", "base_url": "https://huggingface.co"},
        "Sign in with Hugging Face",
        scope="openid profile read-repos inference-api",
        note="A public app has no secret.",
    ),
    "egi": Preset(
        "EGI Check-in",
        {**_PERSON, "issuer": "https://aai.egi.eu/auth/realms/egi"},
        "EGI Check-in: Service Providers",
        note="Register the client as public, in the federation registry.",
    ),
    "cern": Preset(
        "CERN",
        {**_PERSON, "issuer": "https://auth.cern.ch/auth/realms/cern"},
        "CERN Authorization Service: Application configuration",
        note="To call another application's API, add a second profile with grant token_exchange and its audience.",
    ),
    "globus": Preset(
        "Globus",
        {**_PERSON, "issuer": "https://auth.globus.org"},
        "Globus Auth: Developer Guide",
        authorize={"access_type": "offline"},
        note="Give the scopes of one API only: a token for another API in the same answer is not used. "
        "Globus has no device flow.",
    ),
    "orcid": Preset(
        "ORCID",
        {
            **_SECRET,
            "issuer": "https://orcid.org",
            "endpoint": "https://orcid.org/oauth/token",
            "authorization_endpoint": "https://orcid.org/oauth/authorize",
            "revocation_endpoint": "https://orcid.org/oauth/revoke",
        },
        "3-legged OAuth",
        scope="openid",
        note="Redirect URIs must be https: log in from a Jupyter server with https, not from the command line. "
        "Tokens last 20 years.",
    ),
    "oneaccess-user": Preset(
        "OneAccess, a user's login",
        {
            **_SECRET,
            "endpoint": "https://{tenant}/api/v1/oauth2/token",
            "authorization_endpoint": "https://{tenant}/api/v1/oauth2/authorize",
        },
        "OneAccess API Reference: Application Integration, OAuth2",
        tenant="the user domain of the instance",
        scope="get_user_info",
        note="A login gets one token, without a refresh token, unless the application is configured to issue one. "
        "OneAccess does not document PKCE.",
    ),
    "idaas-m2m": Preset(
        "Alibaba Cloud IDaaS, for programs",
        {"grant": "client_credentials", "endpoint": "https://{tenant}/api/v2/iauths_system/oauth2/token"},
        "M2M client token",
        tenant="the domain of the EIAM instance",
        note="Write scope as AUDIENCE, a vertical bar and SCOPE; separate several by spaces.",
    ),
}
"""The presets, by their names in `issuer`."""


def preset_of(issuer: str) -> tuple[Preset, str] | None:
    """Return the preset that `issuer` names, and the tenant; None if `issuer` names no preset, as a URL does.

    Raises `SettingProblem` if the tenant is missing, invalid or not expected.
    """
    name, colon, tenant = issuer.partition(":")
    preset = PRESETS.get(name)
    if preset is None:
        return None
    if bool(preset.tenant) != bool(colon) or (colon and not _TENANT.fullmatch(tenant)):
        after = f"{name}:TENANT, where TENANT is {preset.tenant}" if preset.tenant else f"{name}, without a tenant"
        raise SettingProblem("issuer", f"must be {after}")
    return preset, tenant


class Issuer(Endpoint):
    """The URL of an issuer, or the name of a preset."""

    type_schema: ClassVar = {"type": "string"}

    def check(self, key: str, value: object) -> None:
        if isinstance(value, str) and preset_of(value) is not None:
            return
        try:
            super().check(key, value)
        except SettingProblem as problem:
            if "://" in str(value):
                raise
            raise SettingProblem(key, f"{problem.problem}, or one of {', '.join(PRESETS)}") from None
