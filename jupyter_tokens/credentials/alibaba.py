"""Alibaba Cloud access keys: from a profile's settings, or from the vendor's own chain; knows no API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import SecretError
from ..signing.canonical import AccessKey
from ..token import Secret

__all__ = ["access_key", "chain"]


def access_key(secrets: Mapping[str, Secret]) -> AccessKey:
    """The key that a profile names with `access_key_id`, `access_key_secret` and `security_token`."""
    return AccessKey(secrets["access_key_id"].reveal(), secrets["access_key_secret"], secrets.get("security_token"))


def chain() -> AccessKey:
    """The first key of the vendor's chain: environment, OIDC, files, metadata service. Blocks.

    The work is `alibabacloud-credentials`' (extra `alibaba`): it also renews temporary keys.
    """
    try:
        from alibabacloud_credentials.client import Client  # noqa: PLC0415 (275 ms and 43 MB)
    except ImportError:
        raise SecretError(
            "credentials 'chain' needs the package alibabacloud-credentials.",
            hint="Install it: pip install 'jupyter-tokens[alibaba]'",
            unsent=True,
        ) from None
    try:
        found: Any = Client().get_credential()
    except Exception as error:
        raise SecretError(
            f"Alibaba Cloud's credential chain found no access key ({type(error).__name__}).",
            hint="Set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or log in with the aliyun CLI.",
            unsent=True,
        ) from None
    token = found.security_token
    return AccessKey(found.access_key_id, Secret(found.access_key_secret), Secret(token) if token else None)
