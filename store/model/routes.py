"""Routes as documents declare them: which requests, through which checks, to which upstream, changed how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)

from store.model.fields import check_method
from store.model.parts import FieldName, FieldValue, Host, Name, ParamName, Part, Size, UrlPath, as_text
from store.model.paths import PathPattern

Path = Annotated[
    PathPattern,
    BeforeValidator(lambda raw: raw if isinstance(raw, PathPattern) else PathPattern.parse(as_text(raw, "/v1/*"))),
    PlainSerializer(lambda path: path.text),
    WithJsonSchema({"type": "string", "examples": ["/v1", "/v1/*", "/users/{id}", "/users/{id:[0-9]+}"]}),
]


class Match(Part):
    """What else a request must have: header fields and query parameters with exactly these values."""

    headers: dict[FieldName, FieldValue] = Field(default={}, max_length=16)
    query: dict[ParamName, StrictStr] = Field(default={}, max_length=16)


class SplitShare(Part):
    """An upstream's share of a route's requests."""

    upstream: Name
    weight: StrictInt = Field(ge=0, le=1_000_000)


class HeaderOps(Part):
    """Fields to remove, then fields to set."""

    set: dict[FieldName, FieldValue] = Field(default={}, max_length=64)
    remove: tuple[FieldName, ...] = Field(default=(), max_length=64)


class HeaderRules(Part):
    """What a route changes in the header of its requests and of their answers."""

    request: HeaderOps = HeaderOps()
    response: HeaderOps = HeaderOps()


class RouteRewrite(Part):
    """How a route changes the path: by a stripped prefix, by another prefix, or by an RE2 expression."""

    strip_prefix: UrlPath | None = None
    from_path: UrlPath | None = Field(default=None, alias="from")
    pattern: StrictStr | None = Field(default=None, alias="regex", max_length=512)
    to_path: Annotated[StrictStr, Field(max_length=1024)] | None = Field(default=None, alias="to")

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


class Route(Part):
    """One route: which requests it takes, what they must pass, and where they go."""

    name: Name
    path: Path
    methods: frozenset[Method] | None = Field(default=None, min_length=1)
    domains: tuple[Host, ...] | None = Field(default=None, min_length=1)
    match: Match = Match()
    upstream: Name | None = None
    split: tuple[SplitShare, ...] = Field(default=(), max_length=32)
    auth: tuple[Name, ...] = Field(default=(), max_length=16)
    limits: tuple[Name, ...] = Field(default=(), max_length=16)
    rewrite: RouteRewrite | None = None
    headers: HeaderRules = HeaderRules()
    max_body_bytes: Size | None = Field(default=None, alias="max_body")
    websocket: StrictBool = True
    priority: StrictInt = Field(default=0, ge=-1_000_000, le=1_000_000)
    keep_credentials: StrictBool = False
