"""A cached token beside a look-up in a dict; a cold one beside a bare GET, and the vendors' SDKs beside both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from jupyter_tokens.kernel import client as kernel_client
from jupyter_tokens.kernel.client import Client, get_token
from jupyter_tokens.profiles import Profiles

from .answers import answering
from .measure import Row, medians

PROJECT = "0123456789abcdef0123456789abcdef"
INSTANCE = "6fa459ea-ee8a-3ca4-894e-db77e160355e"


def _profiles(url: str) -> dict[str, dict[str, Any]]:
    alibaba = {"endpoint": url, "access_key_id": "LTAIbenchmark", "access_key_secret": "benchmark-secret"}
    huawei = {"endpoint": url, "access_key": "HWBENCHMARK", "secret_key": "benchmark-secret"}
    ids = {"InstanceId": "idaas_a", "ApplicationId": "app_b", "ApplicationTokenId": "token_c"}
    return {
        "pai-dlc": {"provider": "pai-dlc", **alibaba},
        "modelarts": {"provider": "modelarts", **huawei, "params": {"project_id": PROJECT, "instance_id": INSTANCE}},
        "eiam": {"provider": "eiam", **alibaba, "params": ids},
        "oneaccess": {"provider": "oneaccess", "endpoint": url, "client_id": "id", "client_secret": "benchmark-secret"},
    }


def cached() -> Iterator[Row]:
    """`get_token` of a token that is held."""
    with answering() as url:
        kernel_client._shared = Client(Profiles.of(_profiles(url)))
        token = get_token("oneaccess")
        get_token("pai-dlc", TargetType="job", TargetId="dlc1")
        table = {"oneaccess": token}
        calls: dict[str, Callable[[], object]] = {
            "dict look-up": lambda: table["oneaccess"],
            "get_token(name)": lambda: get_token("oneaccess"),
            "get_token(name, two parameters)": lambda: get_token("pai-dlc", TargetType="job", TargetId="dlc1"),
        }
        taken = medians(calls, rounds=200, warm=100, inner=1000)
    base = taken["dict look-up"]
    yield from (Row("cached", name, seconds, seconds / base) for name, seconds in taken.items())
    # The promise is absolute, 1 µs.
    yield Row("cached", "get_token(name), of 1 µs", taken["get_token(name)"], taken["get_token(name)"] / 1e-6, 1.0)


def cold(rounds: int) -> Iterator[Row]:
    """A fetched token, each API beside a bare `httpx.Client` GET of the same answer on a kept connection."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with answering() as url, httpx.Client() as bare:
        client = Client(Profiles.of(_profiles(url)))
        paths = {
            "pai-dlc": "/api/v1/tokens",
            "modelarts": f"/v1/{PROJECT}/demanager/instances/{INSTANCE}/token",
            "eiam": "/?ApplicationId=app_b&ApplicationTokenId=token_c&InstanceId=idaas_a",
            "oneaccess": "/api/v2/tenant/token",
        }
        sdks = _sdks(url)
        for name, path in paths.items():
            calls: dict[str, Callable[[], object]] = {
                "bare httpx.Client GET": lambda path=path: bare.get(url + path),
                "get_token(refresh=True)": lambda name=name: client.get(name, refresh=True),
            }
            if name in sdks:
                calls["official SDK"] = sdks[name]
            taken = medians(calls, rounds=rounds, warm=30)
            base = taken["bare httpx.Client GET"]
            for label, seconds in taken.items():
                limit = 1.15 if label.startswith("get_token") else None
                yield Row(f"cold {name}", label, seconds, seconds / base, limit)


def _sdks(url: str) -> Mapping[str, Callable[[], object]]:
    from alibabacloud_eiam20211201 import models as eiam_models
    from alibabacloud_eiam20211201.client import Client as EiamClient
    from alibabacloud_pai_dlc20201203 import models as dlc_models
    from alibabacloud_pai_dlc20201203.client import Client as DlcClient
    from alibabacloud_tea_openapi import models as open_api
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkmodelarts.v1 import ModelArtsClient, ShowNotebookRequest

    config = open_api.Config(
        access_key_id="LTAIbenchmark",
        access_key_secret="benchmark-secret",
        endpoint=url.removeprefix("http://"),
        protocol="http",
    )
    dlc, eiam = DlcClient(config), EiamClient(config)
    credentials = BasicCredentials("HWBENCHMARK", "benchmark-secret", PROJECT)
    modelarts = ModelArtsClient.new_builder().with_credentials(credentials).with_endpoint(url).build()
    ids = eiam_models.ObtainApplicationTokenRequest(
        instance_id="idaas_a", application_id="app_b", application_token_id="token_c"
    )
    return {
        "pai-dlc": lambda: dlc.get_token(dlc_models.GetTokenRequest()),
        "eiam": lambda: eiam.obtain_application_token(ids),
        "modelarts": lambda: modelarts.show_notebook(ShowNotebookRequest(id=INSTANCE)),
    }
