"""How often may be called, as documents declare it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, StrictInt, WithJsonSchema, model_validator

from store.gcra import pace
from store.model.faults import did_you_mean
from store.model.fields import check_claim, check_field_name
from store.model.parts import Given, Part, as_text
from store.model.units import Rate, format_rate, parse_rate


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


Burst = Annotated[StrictInt, Field(ge=1, le=1_000_000_000)]


class RateLimit(Part):
    """So many requests in each period, and `burst` at once (by default one period's worth)."""

    rate: Annotated[
        Rate,
        BeforeValidator(lambda raw: raw if isinstance(raw, Rate) else parse_rate(as_text(raw, "100/s"))),
        PlainSerializer(format_rate),
        WithJsonSchema({"type": "string", "examples": ["100/s", "600/m", "1000/h"]}),
    ]
    burst_field: Annotated[Burst | None, Given] = Field(default=None, alias="burst")
    by: Annotated[
        By,
        BeforeValidator(_by),
        PlainSerializer(_written),
        WithJsonSchema(
            {
                "anyOf": [
                    {"enum": list(_PLAIN_KINDS)},
                    *(
                        {
                            "type": "object",
                            "properties": {kind: {"type": "string"}},
                            "required": [kind],
                            "additionalProperties": False,
                        }
                        for kind in ("header", "claim")
                    ),
                ],
                "description": "What is counted by: one count for each of its values.",
            }
        ),
    ]
    on_store_loss: Literal["local", "open", "closed"] = "local"

    @model_validator(mode="after")
    def _can_be_counted(self) -> RateLimit:
        """Refuse what the limiter could not count exactly, such as a burst that takes decades to return."""
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
