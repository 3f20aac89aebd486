"""store/model/limits.py: how often may be called."""

from __future__ import annotations

from typing import Any

import pytest

from store.model import dump_document, parse_document
from store.model.limits import ConcurrentLimit, QuotaLimit, RateLimit
from tests.store.model.documents import document, faults_in, with_route


def limit(**fields: Any) -> dict[str, Any]:
    return document(limits={"a": {"rate": "5/s", "by": "ip", **fields}})


@pytest.mark.parametrize(
    ("by", "kind", "name"),
    [(kind, kind, None) for kind in ("tenant", "route", "key", "subject", "ip")]
    + [({"header": "X-Team"}, "header", "X-Team"), ({"claim": "plan"}, "claim", "plan")]
    + [({"claim": "https://acme.com/plan"}, "claim", "https://acme.com/plan")],
)
def test_a_limit_counts_by_one_thing(by: Any, kind: str, name: str | None) -> None:
    document = parse_document(limit(by=by))
    parsed = document.limits["a"].by
    assert (parsed.kind, parsed.header or parsed.claim) == (kind, name)
    assert None in (parsed.header, parsed.claim)
    assert dump_document(document)["limits"]["a"]["by"] == by


@pytest.mark.parametrize(("fields", "burst"), [({}, 5), ({"burst": 1}, 1), ({"burst": 200}, 200)])
def test_a_burst_is_one_periods_worth_unless_it_is_given(fields: dict[str, Any], burst: int) -> None:
    parsed = parse_document(limit(**fields)).limits["a"]
    assert isinstance(parsed, RateLimit)
    assert (parsed.count, parsed.period_s, parsed.burst, parsed.on_store_loss) == (5, 1.0, burst, "local")


BY = "limits.a.by: expected tenant, route, key, subject, ip, {header: NAME} or {claim: NAME}"


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (limit(rate=5), "limits.a.rate: expected text such as 100/s"),
        (limit(rate="5"), "limits.a.rate: expected a rate such as 100/s, 600/m, 1000/h or 5000/d"),
        (limit(rate=None), "limits.a.rate: is empty; expected text such as 100/s"),
        (limit(rate="1/d", burst=1_000_000_000), "limits.a: the limit is too large to be counted exactly"),
        (limit(burst=0), "limits.a.burst: is less than 1"),
        (limit(burst="5"), "limits.a.burst: expected a whole number"),
        (limit(burst=None), "limits.a.burst: is empty: give it a value, or leave it out"),
        (limit(by="keys"), f"{BY}; did you mean 'key'?"),
        (limit(by={"headers": "X"}), BY),
        (limit(by={"header": "X", "kind": "header"}), BY),
        (limit(by={"header": "X Y"}), "limits.a.by: not a header field's name: 'X Y'"),
        (limit(by={"header": 5}), "limits.a.by: expected text such as {header: X-Team}"),
        (limit(by={"claim": 5}), "limits.a.by: expected text such as {claim: plan}"),
        (limit(by={"claim": ""}), "limits.a.by: a claim's name is 1 to 128 characters long"),
        (limit(by={"claim": "a\nb"}), "limits.a.by: has a line break or another control character"),
        (limit(by=["ip"]), BY),
        (limit(on_store_loss="close"),
         "limits.a.on_store_loss: expected 'local', 'open' or 'closed'; did you mean 'closed'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_limit_is_said(raw: dict[str, Any], line: str) -> None:
    assert faults_in(raw) == [line]


def of_kind(**fields: Any) -> dict[str, Any]:
    return document(limits={"a": {"by": "ip", **fields}})


@pytest.mark.parametrize(
    ("text", "units", "window"),
    [("1000000/month", 1_000_000, "month"), ("5/day", 5, "day"), ("1/hour", 1, "hour"), ("9/minute", 9, "minute")],
)
def test_a_quota_is_so_many_in_each_window_of_the_calendar(text: str, units: int, window: str) -> None:
    parsed = parse_document(of_kind(quota=text))
    limit = parsed.limits["a"]
    assert isinstance(limit, QuotaLimit)
    assert (limit.quota.units, limit.quota.window) == (units, window)
    assert dump_document(parsed)["limits"]["a"]["quota"] == text


def test_so_many_may_be_under_way_at_once() -> None:
    limit = parse_document(of_kind(concurrent=50, shadow=True)).limits["a"]
    assert isinstance(limit, ConcurrentLimit)
    assert (limit.concurrent, limit.shadow, limit.every_route) == (50, True, False)


@pytest.mark.parametrize("cost", [5, {"claim": "cost"}])
def test_what_a_request_costs_is_written_as_it_was_read(cost: Any) -> None:
    raw = document(limits={"a": {"rate": "9/s", "by": "ip", "cost": cost}})
    assert dump_document(parse_document(raw))["limits"]["a"]["cost"] == cost


ONE_OF = "a limit has a rate, a quota or concurrent: one of them"


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "limits.a.rate: is required"),
        ({"quota": "5/week"},
         "limits.a.quota: expected a quota such as 1000000/month, 5000/day, 500/hour or 10/minute"),
        ({"quota": "0/day"}, "limits.a.quota: a quota admits at least one"),
        ({"quota": 5}, "limits.a.quota: expected text such as 1000000/month"),
        ({"quota": "5/day", "burst": 5}, "limits.a.burst: unknown field"),
        ({"quota": "5/day", "cost": 6}, "limits.a: a request costs more than the quota: none would ever be admitted"),
        ({"rate": "5/s", "cost": 6}, "limits.a: a request costs more than the burst: none would ever be admitted"),
        ({"rate": "5/s", "cost": 0},
         "limits.a.cost: expected a number from 1 to 1000000000, {header: NAME} or {claim: NAME}"),
        ({"rate": "5/s", "quota": "5/day"}, f"limits.a.quota: {ONE_OF}"),
        ({"quota": "5/day", "concurrent": 5}, f"limits.a.concurrent: {ONE_OF}"),
        ({"concurrent": 0}, "limits.a.concurrent: is less than 1"),
        ({"concurrent": "5"}, "limits.a.concurrent: expected a whole number"),
        ({"concurrent": 5, "cost": 2}, "limits.a.cost: unknown field"),
        ({"concurrent": 5, "shadow": "yes"}, "limits.a.shadow: expected true or false"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_limit_of_any_kind_is_said(fields: dict[str, Any], line: str) -> None:
    assert faults_in(of_kind(**fields)) == [line]


def test_what_a_client_could_say_itself_is_no_cost() -> None:
    raw = with_route(auth=["keys"], limits=["a"])
    raw["limits"]["a"] = {"rate": "9/s", "by": "ip", "cost": {"header": "X-Cost"}}
    line = "routes[0].limits[0]: 'a' costs what X-Cost says, but no auth of the route has it in copy_headers"
    assert faults_in(raw) == [line]
    raw = with_route(auth=["keys"], limits=["a"])
    raw["limits"]["a"] = {"rate": "9/s", "by": {"claim": "plan"}}
    assert faults_in(raw) == ["routes[0].limits[0]: 'a' counts by a claim, but no auth of the route knows any"]
    raw = with_route(auth=["keys"], limits=["a"])
    raw["limits"]["a"] = {"rate": "9/s", "by": "ip", "cost": {"claim": "cost"}}
    assert faults_in(raw) == ["routes[0].limits[0]: 'a' costs what a claim says, but no auth of the route knows any"]
