"""The parts of a tenant's document: frozen models with the document's own spelling as aliases.

Each value that people write as text (a duration, a size, a rate, a path) is parsed here, once, and written back in the
same spelling by `dump_document`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictStr,
    StringConstraints,
    WithJsonSchema,
)

from store.model.fields import check_field_name, check_field_value, check_param_name
from store.model.hosts import normalise_host
from store.model.units import format_duration, format_size, parse_duration_s, parse_size_bytes

Name = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")]


class Part(BaseModel):
    """A frozen part that knows its fields and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def as_text(raw: object, example: str) -> str:
    """Give a text back; ValueError with an example for anything else."""
    if not isinstance(raw, str):
        raise ValueError(f"expected text such as {example}")
    return raw


Seconds = Annotated[
    float,
    BeforeValidator(lambda raw: parse_duration_s(as_text(raw, "2s"))),
    Field(le=86_400.0),
    PlainSerializer(format_duration),
    WithJsonSchema({"type": "string", "description": "a duration", "examples": ["500ms", "2s", "1m"]}),
]


def _size(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise ValueError("expected a size such as 10MiB or a number of bytes")
    return parse_size_bytes(str(raw))


Size = Annotated[
    int,
    BeforeValidator(_size),
    PlainSerializer(format_size),
    WithJsonSchema({"type": ["string", "integer"], "description": "a size", "examples": ["10MiB", 65536]}),
]


def long_form(raw: object, shorthand: str) -> object:
    """Let a part be written as one text: its `shorthand` field."""
    if isinstance(raw, str):
        return {shorthand: raw}
    if not isinstance(raw, Mapping | Part):
        raise ValueError(f"expected text, or a mapping with {shorthand!r}")
    return raw


Host = Annotated[
    StrictStr,
    AfterValidator(normalise_host),
    WithJsonSchema({"type": "string", "examples": ["shop.acme.com", "*.acme.app"]}),
]
FieldName = Annotated[StrictStr, AfterValidator(check_field_name)]
FieldValue = Annotated[StrictStr, AfterValidator(check_field_value)]
ParamName = Annotated[StrictStr, AfterValidator(check_param_name)]


def _url_path(path: str) -> str:
    if not path.startswith("/") or any(c <= " " or c == "\x7f" or c == "#" for c in path):
        raise ValueError("expected a path that begins with '/'")
    return path


UrlPath = Annotated[StrictStr, AfterValidator(_url_path), Field(max_length=1024)]


def aliases_of(part: type[Part]) -> dict[str, Any]:
    """Give the fields of a part by the names that documents use."""
    return {field.alias or name: field for name, field in part.model_fields.items()}
