"""How often may be called, as documents declare it: by a rate, by a quota, or so many at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    Tag,
    WithJsonSchema,
    model_validator,
)

from store.gcra import pace
from store.model.faults import did_you_mean
from store.model.fields import check_claim, check_field_name
from store.model.parts import Given, Part, as_text
from store.model.units import Rate, UnitsPerWindow, format_quota, format_rate, parse_quota, parse_rate
from store.quota import quota


class By(Part):
    """What a limit counts by."""

    kind: Literal["tenant", "route", "key", "subject", "ip", "header", "claim"]
    header: str | None = None
    claim: str | None = None

    @property
    def needs_auth(self) -> bool:
        """Whether there is nothing to count by where nobody says who calls."""
        return self.kind in ("key", "subject", "claim")


_PLAIN_KINDS = ("tenant", "route", "key", "subject", "ip")


def _by(raw: object) -> object:
    if isinstance(raw, By):
        return raw
    if isinstance(raw, str) and raw in _PLAIN_KINDS:
        return {"kind": raw}
    if isinstance(raw, Mapping) and len(raw) == 1:
        kind, name = next(iter(raw.items()))
        if kind == "header":
            return {"kind": "header", "header": check_field_name(as_text(name, "{header: X-Team}"))}
        if kind == "claim":
            return {"kind": "claim", "claim": check_claim(as_text(name, "{claim: plan}"))}
    hint = did_you_mean(raw, _PLAIN_KINDS) if isinstance(raw, str) else ""
    raise ValueError(f"expected {', '.join(_PLAIN_KINDS)}, {{header: NAME}} or {{claim: NAME}}{hint}")


def _written(by: By) -> object:
    """Write it as documents do."""
    return by.kind if by.kind in _PLAIN_KINDS else {by.kind: by.header or by.claim}


def _one_of(*kinds: str) -> list[dict[str, object]]:
    """Describe a mapping with one of these names."""
    return [
        {
            "type": "object",
            "properties": {kind: {"type": "string"}},
            "required": [kind],
            "additionalProperties": False,
        }
        for kind in kinds
    ]


class Cost(Part):
    """What a request costs: always the same, or what a trusted service or the issuer of its token says."""

    units: int = 1
    header: str | None = None
    claim: str | None = None

    @property
    def is_fixed(self) -> bool:
        """Say whether it is the same for all requests."""
        return self.header is None and self.claim is None


MAX_COUNT = 1_000_000_000


def _cost(raw: object) -> object:
    if isinstance(raw, Cost):
        return raw
    if isinstance(raw, int) and not isinstance(raw, bool) and 1 <= raw <= MAX_COUNT:
        return {"units": raw}
    if isinstance(raw, Mapping) and len(raw) == 1:
        kind, name = next(iter(raw.items()))
        if kind == "header":
            return {"header": check_field_name(as_text(name, "{header: X-Cost}"))}
        if kind == "claim":
            return {"claim": check_claim(as_text(name, "{claim: cost}"))}
    raise ValueError(f"expected a number from 1 to {MAX_COUNT}, {{header: NAME}} or {{claim: NAME}}")


def _written_cost(cost: Cost) -> object:
    if cost.header is not None:
        return {"header": cost.header}
    return cost.units if cost.claim is None else {"claim": cost.claim}


Costs = Annotated[
    Cost,
    BeforeValidator(_cost),
    PlainSerializer(_written_cost),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_COUNT}, *_one_of("header", "claim")],
            "description": "What a request costs.",
        }
    ),
]
CountedBy = Annotated[
    By,
    BeforeValidator(_by),
    PlainSerializer(_written),
    WithJsonSchema(
        {
            "anyOf": [{"enum": list(_PLAIN_KINDS)}, *_one_of("header", "claim")],
            "description": "What is counted by: one count for each of its values.",
        }
    ),
]
Burst = Annotated[StrictInt, Field(ge=1, le=MAX_COUNT)]


class LimitPart(Part):
    """What limits of every kind say."""

    by: CountedBy
    on_store_loss: Literal["local", "open", "closed"] = "local"
    shadow: StrictBool = False
    every_route: StrictBool = False


class RateLimit(LimitPart):
    """So many requests in each period, and `burst` at once (by default one period's worth)."""

    rate: Annotated[
        Rate,
        BeforeValidator(lambda raw: raw if isinstance(raw, Rate) else parse_rate(as_text(raw, "100/s"))),
        PlainSerializer(format_rate),
        WithJsonSchema({"type": "string", "examples": ["100/s", "600/m", "1000/h"]}),
    ]
    burst_field: Annotated[Burst | None, Given] = Field(default=None, alias="burst")
    cost: Costs = Cost()

    @model_validator(mode="after")
    def _can_be_counted(self) -> RateLimit:
        """Refuse what the limiter could not count exactly, such as a burst that takes decades to return."""
        if self.cost.units > self.burst:
            raise ValueError("a request costs more than the burst: none would ever be admitted")
        pace(self.count, self.period_s, self.burst)
        return self

    @property
    def count(self) -> int:
        """How many are admitted in a period."""
        return self.rate.count

    @property
    def period_s(self) -> float:
        """How long a period is, in seconds."""
        return self.rate.period_s

    @property
    def burst(self) -> int:
        """How many may come at once."""
        return self.rate.count if self.burst_field is None else self.burst_field


class QuotaLimit(LimitPart):
    """So many requests in each minute, hour, day or month of the calendar, in UTC."""

    quota: Annotated[
        UnitsPerWindow,
        BeforeValidator(
            lambda raw: raw if isinstance(raw, UnitsPerWindow) else parse_quota(as_text(raw, "1000000/month"))
        ),
        PlainSerializer(format_quota),
        WithJsonSchema({"type": "string", "examples": ["1000000/month", "5000/day", "500/hour"]}),
    ]
    cost: Costs = Cost()

    @model_validator(mode="after")
    def _can_be_counted(self) -> QuotaLimit:
        if self.cost.units > self.quota.units:
            raise ValueError("a request costs more than the quota: none would ever be admitted")
        quota(self.quota.units, self.quota.window)
        return self


class ConcurrentLimit(LimitPart):
    """So many requests under way at once."""

    concurrent: Annotated[StrictInt, Field(ge=1, le=1_000_000)]


Limit = RateLimit | QuotaLimit | ConcurrentLimit
LIMIT_KINDS: dict[str, type[Limit]] = {"rate": RateLimit, "quota": QuotaLimit, "concurrent": ConcurrentLimit}


def kind_of_limit(raw: object) -> str:
    """Say which kind of limit a raw one is, by what it counts with; a rate where it says nothing of it."""
    if isinstance(raw, Mapping):
        return next((kind for kind in LIMIT_KINDS if kind in raw), "rate")
    return next((kind for kind, part in LIMIT_KINDS.items() if isinstance(raw, part)), "rate")


def limit_part(raw: object) -> type[Limit]:
    """Give the part that a raw limit is."""
    return LIMIT_KINDS[kind_of_limit(raw)]


AnyLimit = Annotated[
    Annotated[RateLimit, Tag("rate")]
    | Annotated[QuotaLimit, Tag("quota")]
    | Annotated[ConcurrentLimit, Tag("concurrent")],
    Discriminator(kind_of_limit),
]
