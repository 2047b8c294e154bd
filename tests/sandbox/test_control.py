"""The sandbox's own routes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jupyter_tokens.sandbox import Sandbox

from .client import Answer, Clock, acs3, call, eiam, login, oneaccess, sdk_hmac
from .test_astra import NEW, astra
from .test_breakage import CALLS
from .test_eiam import IDS
from .test_modelarts import token_path

ZERO = dict.fromkeys(CALLS, 0)


def whoami(url: str, token: str, scheme: str = "Bearer") -> Answer:
    return call(url, "GET", "/_sandbox/whoami", {"Authorization": f"{scheme} {token}"})


def plan(url: str, faults: Any) -> Answer:
    return call(url, "POST", "/_sandbox/faults", {}, faults if isinstance(faults, str) else json.dumps(faults))


def test_requests_are_counted_by_api_and_can_be_reset(url: str) -> None:
    requests = "/_sandbox/requests"
    assert call(url, "GET", requests).json() == ZERO
    for number, api in enumerate(ZERO, start=1):
        for _ in range(number):
            CALLS[api](url)
    assert list(call(url, "GET", requests).json().items()) == list(zip(ZERO, range(1, len(ZERO) + 1), strict=True))
    assert call(url, "DELETE", requests).status == 204
    assert call(url, "GET", requests).json() == ZERO


def test_faults_are_planned_listed_and_cleared(url: str) -> None:
    one = {"api": "oneaccess", "kind": "500"}
    assert plan(url, one).status == 201
    assert plan(url, [{**one, "times": 2}, {"api": "*", "kind": "html", "times": 0}]).status == 201
    listed = call(url, "GET", "/_sandbox/faults").json()
    assert [(fault["kind"], fault["times"]) for fault in listed] == [("500", 1), ("500", 2), ("html", None)]
    assert oneaccess(url).status == 500
    assert call(url, "DELETE", "/_sandbox/faults").status == 204
    assert call(url, "GET", "/_sandbox/faults").json() == []
    assert oneaccess(url).status == 200


@pytest.mark.parametrize(
    ("faults", "complaint"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        (
            {"api": "nobody", "kind": "500"},
            (
                "known APIs: modelarts, iam, pai-dlc, oneaccess, astra, eiam, pai-dsw, eiam-oauth, dashscope, "
                "alibaba-sts, huawei-sts, openid and *"
            ),
        ),
        ([{"api": "oneaccess", "kind": "500"}, {"api": "oneaccess", "kind": "explode"}], "gzip-bomb"),
    ],
)
def test_a_bad_fault_plans_nothing(url: str, faults: Any, complaint: str) -> None:
    answer = plan(url, faults)
    assert answer.status == 400
    assert complaint in answer.json()["message"]
    assert call(url, "GET", "/_sandbox/faults").json() == []


def test_whoami_knows_what_was_issued(sandbox: Sandbox, clock: Clock) -> None:
    url = sandbox.url
    created = astra(url, "POST", body=NEW)
    tokens = {
        "modelarts": (sdk_hmac(url, token_path()).json()["token"], None),
        "iam": (login(url).headers["x-subject-token"], "2026-01-16T08:30:00Z"),
        "pai-dlc": (acs3(url, query={"ExpireTime": "60"}).json()["Token"], "2026-01-15T08:31:00Z"),
        "oneaccess": (oneaccess(url).json()["access_token"], "2026-01-15T09:00:00Z"),
        "astra": (created.json()["token"], None),
        "eiam": (eiam(url, IDS).json()["ApplicationToken"]["ApplicationToken"], "2026-01-16T08:30:00Z"),
    }
    for api, (token, expires_at) in tokens.items():
        for scheme in ("Bearer", "token"):
            answer = whoami(url, token, scheme)
            assert (answer.json()["api"], answer.json()["expires_at"]) == (api, expires_at)
            assert token not in answer.body.decode()
    clock.now += 60
    assert whoami(url, tokens["pai-dlc"][0]).status == 401
    assert whoami(url, tokens["oneaccess"][0]).status == 200
    astra(url, "DELETE", created.headers["location"])
    assert whoami(url, tokens["astra"][0]).status == 401


def test_whoami_refuses_what_it_never_issued(url: str) -> None:
    assert whoami(url, "made-up").status == 401
    assert call(url, "GET", "/_sandbox/whoami").headers["www-authenticate"] == "Bearer"


def test_unknown_routes_list_the_known_ones_and_no_web_page_has_business_here(url: str) -> None:
    unknown = call(url, "PATCH", "/_sandbox/faults")
    assert unknown.status == 404
    assert "POST /_sandbox/faults" in unknown.json()["message"]
    assert call(url, "GET", "/_sandbox/requests", {"Origin": "http://evil.example"}).status == 403
