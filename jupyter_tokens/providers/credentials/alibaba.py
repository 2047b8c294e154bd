"""Access keys of Alibaba Cloud, from a profile's settings or from the vendor's credential chain."""

from __future__ import annotations

import codecs
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from ..._util.text_file import Stamp, stamp
from ...errors import SecretError, detached_errors
from ...token import Secret
from ..signing.canonical import AccessKey

__all__ = ["access_key", "chain"]

_CHAIN_HINT = (
    "Log in with the aliyun CLI, or set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET and restart"
    " this process: the chain reads these two only once. The chain also reads ALIBABA_CLOUD_OIDC_TOKEN_FILE with"
    " ALIBABA_CLOUD_ROLE_ARN and ALIBABA_CLOUD_OIDC_PROVIDER_ARN, {cli}, {ini}, the metadata service of ECS, and"
    " ALIBABA_CLOUD_CREDENTIALS_URI."
)

_lock = threading.Lock()
_shared_client: tuple[Stamp, Any] | None = None


def access_key(secrets: Mapping[str, Secret]) -> AccessKey:
    """Return the access key from a profile's `access_key_id`, `access_key_secret` and `security_token`."""
    return AccessKey(secrets["access_key_id"].reveal(), secrets["access_key_secret"], secrets.get("security_token"))


@detached_errors()
def chain() -> AccessKey:
    """Return the first access key of the vendor's chain: environment, OIDC, files, metadata service. Blocks.

    Raises `SecretError` if the chain has no access key, or if its package is missing.

    Notes
    -----
    The package `alibabacloud-credentials` (extra `alibaba`) runs the chain. It caches a temporary key, and renews it
    before the key expires.
    """
    try:
        from alibabacloud_credentials.client import Client  # noqa: PLC0415 (275 ms and 43 MB)
    except ImportError:
        raise SecretError(
            "The setting credentials 'chain' needs the package alibabacloud-credentials.",
            hint="Install it: pip install 'jupyter-tokens[alibaba]'",
        ) from None
    files = _files()
    try:
        credential: Any = _client(Client, files).get_credential()
        key, secret, token = credential.access_key_id, credential.access_key_secret, credential.security_token
        # The vendor's files may contain a number where a string should be.
        if not all(isinstance(part, str) for part in (key, secret, token or "")):
            raise TypeError
    except Exception as caught:
        # The vendor's error is not shown: it may quote the response of a metadata service, including keys.
        raise SecretError(
            f"Alibaba Cloud's credential chain found no access key ({type(caught).__name__}).",
            hint=" ".join([*_unreadable(files), _CHAIN_HINT.format(cli=files[0], ini=files[1])]),
        ) from None
    return AccessKey(key, Secret(secret), Secret(token) if token else None)


def _files() -> tuple[str, str]:
    from alibabacloud_credentials.utils import auth_constant, auth_util  # noqa: PLC0415 (see `chain`)

    ini = auth_util.environment_credentials_file or os.path.join(auth_constant.HOME, ".alibabacloud", "credentials.ini")  # noqa: PTH118 (the vendor's own string)
    return os.path.join(auth_constant.HOME, ".aliyun", "config.json"), ini  # noqa: PTH118


def _client(client_class: Any, files: tuple[str, ...]) -> Any:
    """Return the client of this process. If the files have changed, it is a new client: a client reads files only once.

    There is one client for all calls, because each client starts a thread. It tries the whole chain at each call, so
    that it notices keys that are added or removed.
    """
    from alibabacloud_credentials.provider import DefaultCredentialsProvider  # noqa: PLC0415 (see `chain`)

    global _shared_client  # noqa: PLW0603 (one client for the process)
    current = stamp(files)
    with _lock:
        if _shared_client is None or _shared_client[0] != current:
            logging.getLogger("credentials").addFilter(_is_not_the_vendors)
            _shared_client = (
                current,
                client_class(provider=DefaultCredentialsProvider(reuse_last_provider_enabled=False)),
            )
        return _shared_client[1]


def _unreadable(files: Iterable[str]) -> Iterator[str]:
    """Yield a hint for each file that the vendor's library cannot read. The library does not report this itself."""
    for file in files:
        with suppress(OSError), open(file, "rb") as stream:  # noqa: PTH123 (a string from the vendor)
            if stream.read(3).startswith(_BYTE_ORDER_MARKS):
                yield f"{file} begins with a byte order mark, which the library cannot read: save it without the mark."


_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _is_not_the_vendors(record: logging.LogRecord) -> bool:
    """Whether to log a record. The vendor's records are dropped: they quote keys, and would go to standard error."""
    return "alibabacloud_credentials" not in record.pathname
