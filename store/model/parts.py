"""What the parts of a tenant's document are made of: frozen models with the document's own spelling as aliases.

Each value that people write as text (a duration, a size, a rate, a path) is parsed here, once, and written back in the
same spelling by `dump_document`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    StrictStr,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from store.model.fields import SCOPE_FORM, check_field_name, check_field_value, check_param_name, check_scope
from store.model.hosts import parse_domain
from store.model.units import MAX_SIZE_BYTES, format_duration, format_size, parse_duration_s, parse_size_bytes

MAX_DURATION_S = 86_400.0

MAX_NAME_LENGTH = 63
NAME_FORM = f"letters, digits, '.', '_' and '-', at most {MAX_NAME_LENGTH} of them, a letter or digit first and last"
Name = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")]


class Part(BaseModel):
    """A frozen part that knows its fields and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self  # pydantic copies defaults, a third of the time of parsing; what nobody changes needs no copy


@cache
def spelling_of(part: type[Part]) -> tuple[str, ...]:
    """Give the names of a part's fields as documents use them."""
    return tuple(field.alias or name for name, field in part.model_fields.items())


def as_text(raw: object, example: str) -> str:
    """Give a text back, or raise ValueError with what it might have been."""
    if not isinstance(raw, str):
        raise ValueError(f"expected text such as {example}")
    return raw


def _given(raw: object) -> object:
    if raw is None:
        raise ValueError("is empty: give it a value, or leave it out")
    return raw


# For a field that may be left out. A blank value is nobody's intention: `domains:` with nothing after it is not "all".
Given = BeforeValidator(_given)


def _duration(raw: object) -> float:
    seconds = parse_duration_s(as_text(raw, "2s"))
    if seconds > MAX_DURATION_S:
        raise ValueError("a duration is at most 1d here")
    return seconds


Seconds = Annotated[
    float,
    BeforeValidator(_duration),
    PlainSerializer(format_duration),
    WithJsonSchema({"type": "string", "description": "A duration.", "examples": ["500ms", "2s", "1m"]}),
]


def _size(raw: object) -> int:
    if isinstance(raw, str):
        return parse_size_bytes(raw)
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw <= MAX_SIZE_BYTES:
        raise ValueError("expected a size such as 10MiB or a number of bytes")
    return raw


Size = Annotated[
    int,
    BeforeValidator(_size),
    PlainSerializer(format_size),
    WithJsonSchema({"type": ["string", "integer"], "description": "A size.", "examples": ["10MiB", 65536]}),
]


@dataclass(frozen=True, slots=True)
class Shorthand:
    """Marks a part that may be written as one text: its field of this name."""

    field: str

    def __get_pydantic_core_schema__(self, part: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._long_form, handler(part))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        part = handler(schema)
        text = handler.resolve_ref_schema(part)["properties"][self.field]
        return {"anyOf": [text, part]}

    def _long_form(self, raw: object) -> object:
        if isinstance(raw, str):
            return {self.field: raw}
        if not isinstance(raw, Mapping | Part):
            raise ValueError(f"expected text, or a mapping with {self.field!r}")
        return raw


DomainName = Annotated[
    StrictStr,
    AfterValidator(parse_domain),
    WithJsonSchema({"type": "string", "examples": ["shop.acme.com", "*.acme.app"]}),
]
FieldName = Annotated[StrictStr, AfterValidator(check_field_name)]
FieldValue = Annotated[StrictStr, AfterValidator(check_field_value)]
ParamName = Annotated[StrictStr, AfterValidator(check_param_name)]
Scope = Annotated[StrictStr, AfterValidator(check_scope), WithJsonSchema({"type": "string", "pattern": SCOPE_FORM})]
Text = Annotated[StrictStr, Field(max_length=4096)]


def check_path_characters(text: str) -> str:
    """Give a piece of a path back, or raise ValueError for what no path holds bare."""
    if not text.isascii() or not text.isprintable() or " " in text or "#" in text:
        raise ValueError("characters that are not allowed in a path: percent-encode them")
    return text


def _path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("expected a path that begins with '/'")
    return check_path_characters(path)


def _path_alone(path: str) -> str:
    if "?" in path:
        raise ValueError("expected a path without a query")
    return _path(path)


PathAndQuery = Annotated[StrictStr, Field(max_length=1024), AfterValidator(_path)]
PathAlone = Annotated[StrictStr, Field(max_length=1024), AfterValidator(_path_alone)]
