"""Profiles for a sandbox, in the form of `c.TokenProfiles.profiles`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from . import alibaba_sts, astra, eiam, huawei_sts, modelarts, openid
from .accounts import Accounts


def _reference(directory: Path, name: str, secret: str) -> str:
    """Write a secret to a file that only this user can read; return a reference to the file."""
    path = directory / name
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(secret)
    return f"file:{path}"


def _alibaba(accounts: Accounts, url: str, directory: Path) -> dict[str, Any]:
    access_key, secret = next(iter(accounts.alibaba.items()))
    reference = _reference(directory, "alibaba", secret)
    return {"endpoint": url, "access_key_id": access_key, "access_key_secret": reference}


def _huawei(accounts: Accounts, url: str, directory: Path) -> dict[str, Any]:
    access_key, secret = next(iter(accounts.huawei.items()))
    return {"endpoint": url, "access_key": access_key, "secret_key": _reference(directory, "huawei", secret)}


def profiles(accounts: Accounts, url: str, secrets_dir: str | Path) -> dict[str, dict[str, Any]]:
    """Return five profiles named after their providers; secrets are written to files of mode 0600 in `secrets_dir`."""
    directory = Path(secrets_dir).resolve()
    client_id, client_secret = next(iter(accounts.oneaccess.items()))
    alibaba = _alibaba(accounts, url, directory)
    return {
        "modelarts": {
            "provider": "modelarts",
            **_huawei(accounts, url, directory),
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
        # No `env`: this API returns a token's value only when it creates the token.
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


def neighbours(accounts: Accounts, url: str, secrets_dir: str | Path) -> dict[str, dict[str, Any]]:
    """Return profiles for the APIs that `profiles` leaves out; their secrets are also written to `secrets_dir`."""
    directory = Path(secrets_dir).resolve()
    user, password = next(iter(accounts.iam.items()))
    alibaba = _alibaba(accounts, url, directory)
    return {
        "pai-dsw": {
            "provider": "pai-dsw",
            **alibaba,
            "params": {"InstanceId": "dsw-730abcdefghij"},
            "env": "PAI_DSW_TOKEN",
        },
        "eiam-oauth": {
            "provider": "eiam-oauth",
            **alibaba,
            "params": {
                "InstanceId": eiam.INSTANCE,
                "ApplicationId": eiam.APPLICATION,
                "Audience": "https://example.com",
                "ScopeValues": ["User:Read:ALL"],
            },
            "env": "EIAM_OAUTH_TOKEN",
        },
        "dashscope": {
            "provider": "dashscope",
            "endpoint": url,
            "api_key": _reference(directory, "dashscope", accounts.dashscope[0]),
            "env": "DASHSCOPE_API_KEY",
        },
        "huawei-iam": {
            "provider": "huawei-iam",
            "endpoint": url,
            "username": user,
            "password": _reference(directory, "iam", password),
            "domain_name": "sandbox",
            "params": {"project_id": modelarts.PROJECT},
            "env": "HUAWEI_IAM_TOKEN",
        },
        "alibaba-sts": {
            "provider": "alibaba-sts",
            **alibaba,
            "params": {"RoleArn": alibaba_sts.ROLE_ARN, "RoleSessionName": "sandbox"},
            "env": {
                "AccessKeyId": "ALIBABA_CLOUD_ACCESS_KEY_ID",
                "AccessKeySecret": "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
                "SecurityToken": "ALIBABA_CLOUD_SECURITY_TOKEN",
            },
        },
        "huawei-sts": {
            "provider": "huawei-sts",
            **_huawei(accounts, url, directory),
            "params": {"agency_urn": huawei_sts.AGENCY_URN, "agency_session_name": "sandbox"},
            "env": {
                "access_key_id": "HUAWEICLOUD_SDK_AK",
                "secret_access_key": "HUAWEICLOUD_SDK_SK",
                "security_token": "HUAWEICLOUD_SDK_SECURITY_TOKEN",
            },
        },
        # For this profile, a person has to log in, as `demo`.
        "openid": {
            "provider": "oauth2",
            "grant": "authorization_code",
            "issuer": f"{url}{openid.PREFIX}",
            "client_id": openid.PUBLIC_CLIENT,
            "auth_method": "none",
            "env": "OPENID_TOKEN",
        },
    }
