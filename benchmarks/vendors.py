"""The five APIs as profiles, and the vendors' own SDKs as calls, of one URL: the ready answers' or the sandbox's."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_tokens.sandbox.alibaba_sts import ROLE_ARN
from jupyter_tokens.sandbox.astra import ACCOUNT, USER
from jupyter_tokens.sandbox.astra import TOKEN as ASTRA_TOKEN
from jupyter_tokens.sandbox.eiam import APPLICATION, INSTANCE
from jupyter_tokens.sandbox.eiam import TOKEN as APPLICATION_TOKEN
from jupyter_tokens.sandbox.modelarts import INSTANCE as NOTEBOOK
from jupyter_tokens.sandbox.modelarts import PROJECT

from .served import telling

_ALIBABA, _HUAWEI = ("LTAIbenchmark", "benchmark-secret"), ("HWBENCHMARK", "benchmark-secret")
_CLIENT, _BEARER = ("benchmark", "benchmark-secret"), "benchmark-bearer"
_ACCOUNTS = {
    "alibaba": dict([_ALIBABA]),
    "huawei": dict([_HUAWEI]),
    "oneaccess": dict([_CLIENT]),
    "astra": [_BEARER],
}

TARGETS = {
    "pai-dlc": "/api/v1/tokens",
    "modelarts": f"/v1/{PROJECT}/notebooks/{NOTEBOOK}",
    "eiam": f"/?ApplicationId={APPLICATION}&ApplicationTokenId={APPLICATION_TOKEN}&InstanceId={INSTANCE}",
    "oneaccess": "/api/v2/tenant/token",
}
"""What each profile's call asks for, on the wire."""


def profiles(url: str) -> dict[str, dict[str, Any]]:
    """By the names of their providers."""
    alibaba = {"endpoint": url, "access_key_id": _ALIBABA[0], "access_key_secret": _ALIBABA[1]}
    huawei = {"endpoint": url, "access_key": _HUAWEI[0], "secret_key": _HUAWEI[1]}
    ids = {"InstanceId": INSTANCE, "ApplicationId": APPLICATION, "ApplicationTokenId": APPLICATION_TOKEN}
    stored = {"account_id": ACCOUNT, "user_id": USER, "token_id": ASTRA_TOKEN}
    client = {"client_id": _CLIENT[0], "client_secret": _CLIENT[1]}
    role = {"RoleArn": ROLE_ARN, "RoleSessionName": "benchmark"}
    return {
        "pai-dlc": {"provider": "pai-dlc", **alibaba},
        "modelarts": {"provider": "modelarts", **huawei, "params": {"project_id": PROJECT, "instance_id": NOTEBOOK}},
        "eiam": {"provider": "eiam", **alibaba, "params": ids},
        "oneaccess": {"provider": "oneaccess", "endpoint": url, **client},
        "astra": {"provider": "astra", "endpoint": url, "api_token": _BEARER, "params": stored},
        "alibaba-sts": {"provider": "alibaba-sts", **alibaba, "params": role},
    }


def sdks(url: str) -> Mapping[str, Callable[[], object]]:
    """The same calls by the vendors' SDKs, each with a client that is kept. OneAccess has none."""
    return {**_alibaba(url), "modelarts": _huawei(url), "astra": _astra(url)}


def _alibaba(url: str) -> dict[str, Callable[[], object]]:
    from alibabacloud_eiam20211201 import models as eiam_models
    from alibabacloud_eiam20211201.client import Client as EiamClient
    from alibabacloud_pai_dlc20201203 import models as dlc_models
    from alibabacloud_pai_dlc20201203.client import Client as DlcClient
    from alibabacloud_tea_openapi import models as open_api

    config = open_api.Config(
        access_key_id=_ALIBABA[0],
        access_key_secret=_ALIBABA[1],
        endpoint=url.removeprefix("http://"),
        protocol="http",
    )
    dlc, eiam = DlcClient(config), EiamClient(config)
    ids = eiam_models.ObtainApplicationTokenRequest(
        instance_id=INSTANCE, application_id=APPLICATION, application_token_id=APPLICATION_TOKEN
    )
    return {
        "pai-dlc": lambda: dlc.get_token(dlc_models.GetTokenRequest()),
        "eiam": lambda: eiam.obtain_application_token(ids),
    }


def _huawei(url: str) -> Callable[[], object]:
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkmodelarts.v1 import ModelArtsClient, ShowNotebookRequest

    client = (
        ModelArtsClient.new_builder().with_credentials(BasicCredentials(*_HUAWEI, PROJECT)).with_endpoint(url).build()
    )
    return lambda: client.show_notebook(ShowNotebookRequest(id=NOTEBOOK))


def _astra(url: str) -> Callable[[], object]:
    import requests
    from astraSDK.common import SDKCommon

    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {_BEARER}"
    base = f"{url}/accounts/{ACCOUNT}/"
    # By itself the toolkit builds https addresses only; it has no class for tokens, and this is how its others ask.
    toolkit = SDKCommon({"base": base, "session": session, "domain": url, "account_id": ACCOUNT})
    target = f"{base}core/v1/users/{USER}/tokens/{ASTRA_TOKEN}"
    return lambda: toolkit.apicall("get", target, {}, toolkit.headers, {}, quiet=True).json()["id"]


@contextmanager
def sandboxed() -> Iterator[str]:
    """The URL of a sandbox in a process of its own, which knows the accounts above."""
    with tempfile.TemporaryDirectory() as folder:
        accounts = Path(folder, "accounts.json")
        accounts.write_text(json.dumps(_ACCOUNTS))
        accounts.chmod(0o600)
        with telling(["jupyter_tokens.cli.app", "sandbox", "--accounts", str(accounts)]) as told:
            url: str = json.loads(told)["url"]
            yield url
