"""store/model/limits.py: how often may be called."""

from __future__ import annotations

from typing import Any

import pytest

from store.model import dump_document, parse_document
from store.model.limits import RateLimit
from tests.store.model.documents import document, faults_in


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
