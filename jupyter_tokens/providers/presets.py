"""Settings for well-known authorization servers: `issuer: "github"`, or with a tenant `issuer: "entra:TENANT"`.

docs/login.md has a row for each server: what else a profile needs, how the server differs, and the source.

No preset has been tested with the real service, because that needs an account there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from .fields import Endpoint, SettingProblem

__all__ = ["PRESETS", "Issuer", "Preset", "find_preset"]

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
    tenant : str
        A description of the tenant, the text after the colon in `issuer`; "" if the preset takes no tenant.
    scope : str
        The scopes of a login if the profile has no scope; "" to choose scopes from the server's metadata.
    authorize : Mapping
        Further parameters of the authorization URL.
    """

    title: str
    settings: Mapping[str, str]
    tenant: str = ""
    scope: str = ""
    authorize: Mapping[str, str] = field(default_factory=dict)

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
        scope="read:user",
    ),
    "gitlab": Preset(
        "GitLab",
        {**_PERSON, "issuer": "https://gitlab.com", "base_url": "https://gitlab.com/api/v4"},
        scope="openid profile email read_api",
    ),
    "google": Preset(
        "Google",
        {**_SECRET, "issuer": "https://accounts.google.com"},
        authorize={"access_type": "offline", "prompt": "consent"},
    ),
    "entra": Preset(
        "Microsoft Entra ID",
        {**_PERSON, "issuer": "https://login.microsoftonline.com/{tenant}/v2.0"},
        tenant="the directory (tenant) ID",
    ),
    "keycloak": Preset("Keycloak", {**_PERSON, "issuer": "https://{tenant}"}, tenant="HOST/realms/REALM"),
    "auth0": Preset(
        "Auth0",
        {**_PERSON, "issuer": "https://{tenant}/"},
        tenant="the domain, such as acme.eu.auth0.com",
    ),
    "okta": Preset(
        "Okta",
        {**_PERSON, "issuer": "https://{tenant}/oauth2/default"},
        tenant="the domain, such as acme.okta.com",
    ),
    "huggingface": Preset(
        "Hugging Face",
        {**_PERSON, "issuer": "https://huggingface.co", "base_url": "https://huggingface.co"},
        scope="openid profile read-repos inference-api",
    ),
    "egi": Preset("EGI Check-in", {**_PERSON, "issuer": "https://aai.egi.eu/auth/realms/egi"}),
    "cern": Preset("CERN", {**_PERSON, "issuer": "https://auth.cern.ch/auth/realms/cern"}),
    "globus": Preset("Globus", {**_PERSON, "issuer": "https://auth.globus.org"}, authorize={"access_type": "offline"}),
    "orcid": Preset(
        "ORCID",
        {
            **_SECRET,
            "issuer": "https://orcid.org",
            "endpoint": "https://orcid.org/oauth/token",
            "authorization_endpoint": "https://orcid.org/oauth/authorize",
            "revocation_endpoint": "https://orcid.org/oauth/revoke",
        },
        scope="openid",
    ),
    "oneaccess-user": Preset(
        "OneAccess, a user's login",
        {
            **_SECRET,
            "endpoint": "https://{tenant}/api/v1/oauth2/token",
            "authorization_endpoint": "https://{tenant}/api/v1/oauth2/authorize",
        },
        tenant="the user domain of the instance",
        scope="get_user_info",
    ),
    "idaas-m2m": Preset(
        "Alibaba Cloud IDaaS, for programs",
        {"grant": "client_credentials", "endpoint": "https://{tenant}/api/v2/iauths_system/oauth2/token"},
        tenant="the domain of the EIAM instance",
    ),
}
"""The presets, by their names in `issuer`."""


def find_preset(issuer: str) -> tuple[Preset, str] | None:
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
        if isinstance(value, str) and find_preset(value) is not None:
            return
        try:
            super().check(key, value)
        except SettingProblem as problem:
            if "://" in str(value):
                raise
            names = (f"{name}:TENANT" if preset.tenant else name for name, preset in PRESETS.items())
            raise SettingProblem(key, f"{problem.problem}, or one of {', '.join(names)}") from None
