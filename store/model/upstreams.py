"""Upstreams as documents declare them: targets, how one is picked, deadlines, health, retries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, StrictInt, WithJsonSchema

from store.model.faults import did_you_mean
from store.model.fields import check_field_name
from store.model.parts import Given, Part, PathAndQuery, Seconds, Shorthand, as_text
from store.model.targets import Location, parse_target_url


class Target(Part):
    """One address of an upstream; `base_path` goes before every path, "" or "/x"."""

    location: Annotated[
        Location,
        BeforeValidator(parse_target_url),
        PlainSerializer(lambda location: location.url),
        WithJsonSchema({"type": "string", "format": "uri", "examples": ["http://10.0.0.5:9000"]}),
    ] = Field(alias="url")
    weight: StrictInt = Field(default=1, ge=0, le=1000)

    @property
    def url(self) -> str:
        """The target as written; its identity, too."""
        return self.location.url

    @property
    def scheme(self) -> str:
        """http or https."""
        return self.location.scheme

    @property
    def host(self) -> str:
        """The name or address, an IPv6 address without brackets."""
        return self.location.host

    @property
    def port(self) -> int:
        """The port, the scheme's own by default."""
        return self.location.port

    @property
    def base_path(self) -> str:
        """What goes before every path."""
        return self.location.base_path


class Balance(Part):
    """How a target is picked; `hash_by` and `hash_name` say by what, for the kind "hash"."""

    kind: Literal["round_robin", "least_requests", "random_two", "hash"] = "round_robin"
    hash_by: Literal["ip", "header", "cookie"] | None = None
    hash_name: str | None = None


_PLAIN_KINDS = ("round_robin", "least_requests", "random_two")
_HASHES = "{hash: ip}, {hash: {header: NAME}} or {hash: {cookie: NAME}}"


def _balance(raw: object) -> object:
    if isinstance(raw, Balance):
        return raw
    if isinstance(raw, str) and raw in _PLAIN_KINDS:
        return {"kind": raw}
    by = raw.get("hash") if isinstance(raw, Mapping) and set(raw) == {"hash"} else None
    if by == "ip":
        return {"kind": "hash", "hash_by": "ip"}
    if isinstance(by, Mapping) and len(by) == 1:
        kind, name = next(iter(by.items()))
        if kind in ("header", "cookie"):
            text = as_text(name, f"{{hash: {{{kind}: NAME}}}}")
            return {"kind": "hash", "hash_by": kind, "hash_name": check_field_name(text)}
    hint = did_you_mean(raw, _PLAIN_KINDS) if isinstance(raw, str) else ""
    raise ValueError(f"expected {', '.join(_PLAIN_KINDS)}, {_HASHES}{hint}")


def _dump_balance(balance: Balance) -> object:
    if balance.kind != "hash":
        return balance.kind
    return {"hash": "ip" if balance.hash_by == "ip" else {balance.hash_by: balance.hash_name}}


def _object(**properties: object) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


BalanceField = Annotated[
    Balance,
    BeforeValidator(_balance),
    PlainSerializer(_dump_balance),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(_PLAIN_KINDS)},
                _object(
                    hash={
                        "anyOf": [
                            {"const": "ip"},
                            _object(header={"type": "string"}),
                            _object(cookie={"type": "string"}),
                        ]
                    }
                ),
            ],
            "description": "How a target is picked; round_robin when left out.",
        }
    ),
]


class HealthCheck(Part):
    """An active check of each target: a GET that answers below 400 within the timeout is a pass."""

    path: PathAndQuery
    interval_s: Seconds = Field(default=5.0, alias="interval")
    timeout_s: Seconds = Field(default=1.0, alias="timeout")
    healthy_after: StrictInt = Field(default=2, ge=1, le=100)
    unhealthy_after: StrictInt = Field(default=3, ge=1, le=100)


RetryReason = Literal["connect", "reset", "502", "503", "504"]


class Retry(Part):
    """How often, and after what, a request that can safely be repeated goes to another target."""

    attempts: StrictInt = Field(default=1, ge=0, le=5)
    on: frozenset[RetryReason] = Field(default=frozenset({"connect", "reset"}))


class Upstream(Part):
    """A named group of targets and how they are used."""

    targets: tuple[Annotated[Target, Shorthand("url")], ...] = Field(min_length=1, max_length=256)
    balance: BalanceField = Balance()
    connect_timeout_s: Seconds = Field(default=2.0, alias="connect_timeout")
    response_timeout_s: Seconds = Field(default=30.0, alias="response_timeout")
    idle_timeout_s: Seconds = Field(default=60.0, alias="idle_timeout")
    max_connections: StrictInt = Field(default=256, ge=1, le=65_536)
    health: Annotated[HealthCheck | None, Given] = None
    retry: Retry = Retry()
