"""The plan of faults: what can be planned, and when it happens."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_tokens.sandbox import FaultError
from jupyter_tokens.sandbox.faults import KINDS, TOKEN_KINDS, Plan

VARIANTS = {"oneaccess": frozenset({"expired"}), "astra": frozenset[str](), "eiam": frozenset(TOKEN_KINDS)}


@pytest.fixture
def plan() -> Plan:
    return Plan(VARIANTS)


def kinds(plan: Plan, api: str, calls: int) -> list[str | None]:
    faults = [plan.next_fault(api) for _ in range(calls)]
    return [None if fault is None else fault.kind for fault in faults]


def test_once_unless_said_otherwise_and_in_order(plan: Plan) -> None:
    plan.add({"api": "oneaccess", "kind": "500"})
    plan.add({"api": "oneaccess", "kind": "reset", "times": 2})
    assert kinds(plan, "oneaccess", 4) == ["500", "reset", "reset", None]


@pytest.mark.parametrize("times", [0, None])
def test_until_cleared(plan: Plan, times: int | None) -> None:
    plan.add({"api": "oneaccess", "kind": 503, "times": times})
    assert kinds(plan, "oneaccess", 3) == ["503"] * 3
    assert plan.summary() == [{"api": "oneaccess", "kind": "503", "times": None}]
    plan.clear()
    assert kinds(plan, "oneaccess", 1) == [None]


class Meanwhile(dict[str, Any]):
    """A fault that is read while the server's thread takes the last one."""

    plan: Plan

    def __getitem__(self, name: str) -> Any:
        self.plan.next_fault("eiam")
        return super().__getitem__(name)


def test_a_fault_that_is_spent_while_another_is_planned_does_not_come_back(plan: Plan) -> None:
    plan.add({"api": "eiam", "kind": "500"})
    wanted = Meanwhile({"api": "oneaccess", "kind": "503"})
    wanted.plan = plan
    plan.add(wanted)
    assert plan.summary() == [{"api": "oneaccess", "kind": "503", "times": 1}]


def test_only_the_api_that_was_named(plan: Plan) -> None:
    plan.add({"api": "eiam", "kind": "disabled"})
    assert kinds(plan, "oneaccess", 1) == [None]
    assert kinds(plan, "eiam", 2) == ["disabled", None]


def test_a_star_means_every_api_for_which_the_kind_makes_sense(plan: Plan) -> None:
    plan.add({"api": "*", "kind": "expired", "times": 2})
    assert [kinds(plan, api, 1)[0] for api in VARIANTS] == ["expired", None, "expired"]
    plan.add({"api": "*", "kind": "html"})
    assert kinds(plan, "astra", 1) == ["html"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_planned(plan: Plan, kind: str) -> None:
    plan.add({"api": "eiam", "kind": kind})
    assert kinds(plan, "eiam", 1) == [kind]


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("text", "an object"),
        ({"api": "eiam"}, "at least 'api' and 'kind'"),
        ({"api": "nobody", "kind": "500"}, "known APIs: oneaccess, astra, eiam and *"),
        ({"api": ["eiam"], "kind": "500"}, "unknown api"),
        ({"api": "eiam", "kind": "explode"}, "reset-mid"),
        ({"api": "eiam", "kind": "199"}, "from 200 to 599"),
        ({"api": "eiam", "kind": 600}, "from 200 to 599"),
        ({"api": "eiam", "kind": "20000"}, "from 200 to 599"),
        ({"api": "eiam", "kind": "02000"}, "from 200 to 599"),
        ({"api": "eiam", "kind": "0404"}, "from 200 to 599"),
        ({"api": "eiam", "kind": True}, "unknown kind True"),
        ({"api": "eiam", "kind": ["reset"]}, "unknown kind"),
        ({"api": "eiam", "kind": "²"}, "unknown kind"),
        ({"api": "oneaccess", "kind": "disabled"}, "only for eiam"),
        ({"api": "astra", "kind": "expired"}, "only for oneaccess, eiam"),
        ({"api": "oneaccess", "kind": "stalled"}, "only for eiam"),
        ({"api": "eiam", "kind": "500", "time": 2}, "unknown option 'time'"),
        ({"api": "eiam", "kind": "500", "times": -1}, "'times' must be"),
        ({"api": "eiam", "kind": "500", "times": "2"}, "'times' must be"),
        ({"api": "eiam", "kind": "500", "times": True}, "'times' must be"),
        ({"api": "eiam", "kind": "500", "retry_after": "1"}, "'retry_after' must be"),
        ({"api": "eiam", "kind": "500", "retry_after": float("inf")}, "'retry_after' must be"),
        ({"api": "eiam", "kind": "slow", "interval": -1}, "'interval' must be"),
        ({"api": "eiam", "kind": "huge", "bytes": 0}, "'bytes' must be"),
        ({"api": "eiam", "kind": "500", "headers": ["a"]}, "'headers' must be"),
        ({"api": "eiam", "kind": "500", "headers": {"A b": "c"}}, "'headers' must be"),
        ({"api": "eiam", "kind": "500", "headers": {"A": "c\r\nD: e"}}, "'headers' must be"),
        ({"api": "eiam", "kind": "500", "headers": {"A": 7}}, "'headers' must be"),
        ({"api": "eiam", "kind": "500", "headers": {"Content-Length": "7"}}, "'headers' must be"),
        ({"api": "eiam", "kind": "500", "body": {}}, "'body' must be"),
        ({"api": "eiam", "kind": "redirect", "location": "a\nb"}, "'location' must be"),
    ],
)
def test_what_cannot_be_planned_is_told(plan: Plan, fault: Any, complaint: str) -> None:
    with pytest.raises(FaultError) as caught:
        plan.add(fault)
    assert complaint in str(caught.value)
    assert plan.summary() == []
