"""store/model/plans.py: limits by plan, read as tenants' limits are, and what means nothing in them."""

from __future__ import annotations

from typing import Any

import pytest

from store.model import DocumentError, Fault, dump_plans, missing_plan, parse_document, parse_plans

RATE = {"rate": "10/s", "by": "key"}


def test_plans_are_written_as_they_were_read() -> None:
    raw = {
        "plans": {
            "default": {"limits": {"per-key": RATE}},
            "gold": {
                "limits": {
                    "month": {"quota": "1000000/month", "by": "tenant"},
                    "at-once": {"concurrent": 5, "by": "ip"},
                }
            },
            "free": {},
        }
    }
    plans = parse_plans(raw)
    assert list(plans) == ["default", "gold", "free"]
    assert dump_plans(plans) == raw
    assert parse_plans(dump_plans(plans)) == plans


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (None, ["plans: expected a mapping of plans, and nothing besides it"]),
        ({"plans": []}, ["plans: expected a mapping of plans, and nothing besides it"]),
        ({"plans": {}, "tenant": "a"}, ["plans: expected a mapping of plans, and nothing besides it"]),
        ({"plans": {"a": 5, "b": {"routes": []}}},
         ["plans.a: expected a mapping with 'limits' alone", "plans.b: expected a mapping with 'limits' alone"]),
        ({"plans": {"a": {"limits": {"x": {"rate": "fast", "by": "key"}}}, "b": {"limits": {"y": {"rate": "1/s"}}}}},
         ["plans.a.limits.x.rate: expected a rate such as 100/s, 600/m, 1000/h or 5000/d",
          "plans.b.limits.y.by: is required"]),
        ({"plans": {"a": {"limits": {"x": {**RATE, "every_route": True}}}}},
         ["plans.a.limits.x.every_route: the limits of a plan are of every route anyway"]),
        ({"plans": {"a": {"limits": {"x": {**RATE, "cost": {"claim": "c"}}}}}},
         ["plans.a.limits.x.cost: what a request costs a plan is a number"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_plans_is_said_with_its_place(raw: Any, lines: list[str]) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_plans(raw)
    assert [str(fault) for fault in caught.value.faults] == lines


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(DocumentError, match="is no name"):
        parse_plans({"plans": {"-gold": {}}})


def test_there_are_not_too_many() -> None:
    with pytest.raises(DocumentError, match="more than 100"):
        parse_plans({"plans": {f"p{n}": {} for n in range(101)}})


def test_a_tenant_names_its_plan() -> None:
    assert parse_document({"tenant": "acme", "plan": "gold"}).plan == "gold"
    assert parse_document({"tenant": "acme"}).plan is None


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (None, None),
        ("gold-1", None),
        ("default", None),  # whether or not there is one
        (5, None),  # no name, which is a fault of its own
        ("gold", "there is no plan 'gold'; did you mean 'gold-1'?"),
        ("other", "there is no plan 'other'"),
    ],
)
def test_a_plan_that_is_not_there_is_said_with_the_one_that_may_be_meant(plan: object, message: str | None) -> None:
    assert missing_plan(plan, {"gold-1", "free"}) == (Fault("plan", message) if message else None)
