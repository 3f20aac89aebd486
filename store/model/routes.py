"""Routes as documents declare them: which requests, through which checks, to which upstream, changed how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)

from store.model.fields import check_claim, check_field_value, check_method
from store.model.parts import (
    DomainName,
    FieldName,
    FieldValue,
    Given,
    Name,
    ParamName,
    Part,
    PathAlone,
    Scope,
    Size,
    Text,
    as_text,
    check_path_characters,
)
from store.model.paths import PathPattern
from store.model.regexes import compile_regex


def _pattern(raw: object) -> PathPattern:
    return raw if isinstance(raw, PathPattern) else PathPattern.parse_written(as_text(raw, "/v1/*"))


def _distinct(fields: dict[str, Any]) -> dict[str, Any]:
    """Header fields' names are one whatever their case (RFC 9110 section 5.1)."""
    if len({name.lower() for name in fields}) < len(fields):
        raise ValueError("the same header field stands twice, in another case")
    return fields


def _replacement(to: str) -> str:
    if "?" in to:
        raise ValueError("a rewrite changes the path alone: no '?'")
    return check_path_characters(to)


def _expression(pattern: str) -> str:
    compile_regex(pattern)
    return pattern


Path = Annotated[
    PathPattern,
    BeforeValidator(_pattern),
    PlainSerializer(lambda path: path.text),
    WithJsonSchema({"type": "string", "examples": ["/v1", "/v1/*", "/users/{id}", "/users/{id:[0-9]+}"]}),
]
Fields = Annotated[dict[FieldName, FieldValue], AfterValidator(_distinct)]


class FromClaim(Part):
    """A field's value that is a claim of the caller."""

    claim: str


def _source(raw: object) -> str | FromClaim:
    if isinstance(raw, FromClaim):
        return raw
    if isinstance(raw, str):
        return check_field_value(raw)
    if isinstance(raw, Mapping) and set(raw) == {"claim"}:
        return FromClaim(claim=check_claim(as_text(raw["claim"], "{claim: plan}")))
    if isinstance(raw, bool | int | float):
        raise ValueError("expected text: put it in quotes")
    raise ValueError("expected text, or {claim: NAME}")


FieldSource = Annotated[
    str | FromClaim,
    PlainValidator(_source),
    PlainSerializer(lambda value: value if isinstance(value, str) else {"claim": value.claim}),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"claim": {"type": "string"}},
                    "required": ["claim"],
                    "additionalProperties": False,
                },
            ],
            "description": "Text, or what is claimed of the caller.",
            "examples": ["prod", {"claim": "plan"}],
        }
    ),
]


class Match(Part):
    """What else a request must have: header fields and query parameters with exactly these values."""

    headers: Fields = Field(default={}, max_length=16)
    query: dict[ParamName, Text] = Field(default={}, max_length=16)


class SplitShare(Part):
    """An upstream's share of a route's requests."""

    upstream: Name
    weight: StrictInt = Field(ge=0, le=1_000_000)


class HeaderOps(Part):
    """Fields to remove, then fields to set."""

    set: Fields = Field(default={}, max_length=64)
    remove: tuple[FieldName, ...] = Field(default=(), max_length=64)


class RequestHeaderOps(Part):
    """Fields to remove, then fields to set, to a text or to a claim of the caller; without the claim, to nothing."""

    set: Annotated[dict[FieldName, FieldSource], AfterValidator(_distinct)] = Field(default={}, max_length=64)
    remove: tuple[FieldName, ...] = Field(default=(), max_length=64)

    @property
    def claims(self) -> dict[str, str]:
        """Give the claims that are set, by the names of their fields."""
        return {name: value.claim for name, value in self.set.items() if isinstance(value, FromClaim)}

    @property
    def texts(self) -> dict[str, str]:
        """Give the texts that are set, by the names of their fields."""
        return {name: value for name, value in self.set.items() if isinstance(value, str)}


class HeaderRules(Part):
    """What a route changes in the header of its requests and of their answers."""

    request: RequestHeaderOps = RequestHeaderOps()
    response: HeaderOps = HeaderOps()


Expression = Annotated[StrictStr, Field(min_length=1, max_length=512), AfterValidator(_expression)]
Replacement = Annotated[StrictStr, Field(max_length=1024), AfterValidator(_replacement)]


class RouteRewrite(Part):
    """How a route changes the path: by a stripped prefix, by another prefix, or by an RE2 expression."""

    strip_prefix: Annotated[PathAlone | None, Given] = None
    from_path: Annotated[PathAlone | None, Given] = Field(default=None, alias="from")
    pattern: Annotated[Expression | None, Given] = Field(default=None, alias="regex")
    to_path: Annotated[Replacement | None, Given] = Field(default=None, alias="to")

    @property
    def kind(self) -> Literal["strip_prefix", "replace", "regex"]:
        """Which of the three it is."""
        if self.strip_prefix is not None:
            return "strip_prefix"
        return "replace" if self.from_path is not None else "regex"

    @property
    def to(self) -> str:
        """What the match is replaced by."""
        return self.to_path or ""


Method = Annotated[StrictStr, AfterValidator(check_method)]
Methods = Annotated[frozenset[Method], Field(min_length=1, max_length=64)]
Hosts = Annotated[tuple[DomainName, ...], Field(min_length=1, max_length=1000)]


class Route(Part):
    """One route: which requests it takes, what they must pass, and where they go."""

    name: Name
    path: Path
    methods: Annotated[Methods | None, Given] = None
    domains: Annotated[Hosts | None, Given] = None
    match: Match = Match()
    upstream: Annotated[Name | None, Given] = None
    split: tuple[SplitShare, ...] = Field(default=(), max_length=32)
    auth: tuple[Name, ...] = Field(default=(), max_length=16)
    scopes: tuple[Scope, ...] = Field(default=(), max_length=32)
    limits: tuple[Name, ...] = Field(default=(), max_length=16)
    rewrite: Annotated[RouteRewrite | None, Given] = None
    headers: HeaderRules = HeaderRules()
    max_body_bytes: Annotated[Size | None, Given] = Field(default=None, alias="max_body")
    websocket: StrictBool = True
    priority: StrictInt = Field(default=0, ge=-1_000_000, le=1_000_000)
    keep_credentials: StrictBool = False
