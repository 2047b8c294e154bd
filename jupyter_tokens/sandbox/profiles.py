"""Profiles that lead to a sandbox, in the form of `c.TokenProfiles.profiles`; knows that form and nothing behind it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from . import astra, eiam, modelarts
from .accounts import Accounts


def _reference(directory: Path, name: str, secret: str) -> str:
    """Writes the secret to a file that only this user can read: a literal one in a configuration is refused."""
    path = directory / name
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(secret)
    return f"file:{path}"


def profiles(accounts: Accounts, url: str, secrets_dir: str | Path) -> dict[str, dict[str, Any]]:
    """Five profiles named as their providers; the secrets go to 0600 files in `secrets_dir`, ids stand as they are."""
    directory = Path(secrets_dir).resolve()
    alibaba_id, alibaba_secret = next(iter(accounts.alibaba.items()))
    huawei_id, huawei_secret = next(iter(accounts.huawei.items()))
    client_id, client_secret = next(iter(accounts.oneaccess.items()))
    alibaba = {
        "endpoint": url,
        "access_key_id": alibaba_id,
        "access_key_secret": _reference(directory, "alibaba", alibaba_secret),
    }
    return {
        "modelarts": {
            "provider": "modelarts",
            "endpoint": url,
            "access_key": huawei_id,
            "secret_key": _reference(directory, "huawei", huawei_secret),
            "params": {"project_id": modelarts.PROJECT, "instance_id": modelarts.INSTANCE},
            "env": "MODELARTS_TOKEN",
        },
        "pai-dlc": {
            "provider": "pai-dlc",
            **alibaba,
            "params": {"TargetType": "job", "TargetId": "dlc1a2b3c4d5e6f7"},
            "env": "PAI_DLC_TOKEN",
        },
        "oneaccess": {
            "provider": "oneaccess",
            "endpoint": url,
            "client_id": client_id,
            "client_secret": _reference(directory, "oneaccess", client_secret),
            "env": "ONEACCESS_TOKEN",
        },
        # No `env`: this API never returns a token's value.
        "astra": {
            "provider": "astra",
            "endpoint": url,
            "api_token": _reference(directory, "astra", accounts.astra[0]),
            "params": {"account_id": astra.ACCOUNT, "user_id": astra.USER, "token_id": astra.TOKEN},
            "allow_create": True,
        },
        "eiam": {
            "provider": "eiam",
            **alibaba,
            "params": {
                "InstanceId": eiam.INSTANCE,
                "ApplicationId": eiam.APPLICATION,
                "ApplicationTokenId": eiam.TOKEN,
            },
            "env": "EIAM_TOKEN",
        },
    }
