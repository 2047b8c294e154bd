"""The IAM login that OpenStack's own tools would use, from `OS_*` variables and `clouds.yaml`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import SecretError, detached_errors
from ...token import Secret
from .huawei import IamLogin

__all__ = ["login"]

_SEARCH_HINT = "Check OS_CLOUD, the other OS_* variables, and {files}."
_FILES = ("clouds.yaml", "clouds.yml", "clouds.json")


@detached_errors()
def login(cloud: str) -> IamLogin | Secret:
    """Return the password login for a cloud, or the IAM token in the cloud's configuration. Blocks.

    The name "" means the cloud that OpenStack's tools use by default. Raises `SecretError` if there is no usable login,
    or if openstacksdk is missing.

    Notes
    -----
    `openstacksdk` (extra `openstack`) reads the configuration. A `clouds.yaml` in the current folder is not read: that
    is often a notebook's folder, whose files may come from somebody else.
    """
    try:
        from openstack.config import loader  # noqa: PLC0415 (0.4 s and keystoneauth)
    except ImportError:
        raise SecretError(
            "The setting `credentials: openstack` needs the package openstacksdk.",
            hint="Install it: pip install 'jupyter-tokens[openstack]'",
        ) from None
    hint = _SEARCH_HINT.format(files=", ".join(_search_paths(loader, _FILES[:1])))
    logger = logging.getLogger("openstack.config")
    # The library's warning about an invalid YAML file quotes the file, so the warning is filtered out.
    mute = logging.Filter("jupyter_tokens")
    logger.addFilter(mute)
    try:
        config = loader.OpenStackConfig(
            config_files=_search_paths(loader, _FILES),
            secure_files=_search_paths(loader, [name.replace("clouds", "secure") for name in _FILES]),
            vendor_files=_search_paths(loader, [name.replace("clouds", "clouds-public") for name in _FILES]),
        )
        cloud_config = config.get_one(cloud=cloud or None, validate=False).config
        # Values from variables are not in `auth` but beside it. Only loading the plug-in, which takes half a second,
        # would move them into `auth`.
        settings = {**cloud_config, **{name: value for name, value in cloud_config["auth"].items() if value}}
    except Exception as caught:
        named = f"cloud {cloud!r}" if cloud else "the cloud"
        raise SecretError(
            f"OpenStack's configuration of {named} cannot be read ({type(caught).__name__}).", hint=hint
        ) from None
    finally:
        logger.removeFilter(mute)
    return _to_login(settings, hint)


def _to_login(settings: Mapping[str, Any], hint: str) -> IamLogin | Secret:
    kind = str(settings.get("auth_type"))
    if kind in {"token", "v3token"}:
        return Secret(_text(settings, "token", hint))
    if kind not in {"password", "v3password"}:
        raise SecretError(
            f"OpenStack's configuration has auth_type {kind[:40]!r}. "
            "Only password, v3password, token and v3token are supported.",
            hint=hint,
        )
    return IamLogin(
        _text(settings, "auth_url", hint),
        _text(settings, "username", hint),
        Secret(_text(settings, "password", hint)),
        _text(settings, "user_domain_name", hint),
    )


def _text(settings: Mapping[str, Any], name: str, hint: str) -> str:
    value = settings.get(name)
    if not isinstance(value, str) or not value:
        problem = "is missing" if value is None or value == "" else f"must be a string, not {type(value).__name__}"
        raise SecretError(f"OpenStack's configuration: {name} (OS_{name.upper()}) {problem}.", hint=hint)
    return value


def _search_paths(loader: Any, names: Iterable[str]) -> list[str]:
    return [os.path.join(folder, name) for folder in loader.CONFIG_SEARCH_PATH[1:] for name in names]  # noqa: PTH118 (it takes strings)
