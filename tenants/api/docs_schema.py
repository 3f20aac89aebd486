"""JSON Schema as tables for people, in HTML, pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

Json = dict[str, Any]

_BOUNDS = (
    ("pattern", "matches {}"),
    ("minimum", "≥ {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "≤ {}"),
    ("exclusiveMaximum", "< {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
)


def render_schema(name: str, schema: Json) -> str:
    """One named schema: its description and a table of its members."""
    about = f"<p>{prose(str(schema['description']))}</p>" if schema.get("description") else ""
    return f'<section class="schema" id="schema-{escape(name)}"><h3>{escape(name)}</h3>{about}{_body(schema)}</section>'


def name_type(schema: Any) -> str:
    """A schema's type in a few words, as HTML; references are links to where they are described."""
    if not isinstance(schema, dict) or not schema:
        return "any value"
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        return f'<a href="#schema-{escape(name)}">{escape(name)}</a>'
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            joint = " and " if choice == "allOf" else " or "
            return joint.join(dict.fromkeys(name_type(one) for one in schema[choice]))
    if "const" in schema:
        return _code(schema["const"])
    if "enum" in schema:
        return " or ".join(_code(one) for one in schema["enum"])
    return _plain_type(schema)


def render_members(schema: Json) -> str:
    """A table of an object's members; nothing when it has none."""
    rows = "".join(_member(name, inner, schema) for name, inner in schema.get("properties", {}).items())
    return table(("field", "type", "what"), rows) if rows else ""


def table(heads: tuple[str, ...], rows: str) -> str:
    """A table of ready rows, in a frame that scrolls by itself on a narrow screen."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    return f'<div class="frame"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def describe(schema: Any) -> str:
    """What there is to say of a value besides its type, as HTML."""
    return " · ".join(_remarks(schema)) if isinstance(schema, dict) else ""


def prose(text: str) -> str:
    """A sentence as HTML; what stands between backticks is code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))


def _body(schema: Json) -> str:
    members = render_members(schema)
    if members:
        return members
    return f'<p class="type">{name_type({key: value for key, value in schema.items() if key != "title"})}</p>'


def _plain_type(schema: Json) -> str:
    kind = schema.get("type", "any value")
    if isinstance(kind, list):
        return " or ".join(escape(str(one)) for one in kind)
    if kind == "array":
        return f"list of {name_type(schema.get('items', {}))}"
    extra = schema.get("additionalProperties")
    if kind == "object" and isinstance(extra, dict) and extra:
        return f"object of {name_type(extra)} by name"
    return escape(str(kind))


def _member(name: str, inner: Any, owner: Json) -> str:
    needed = ' <span class="needed">required</span>' if name in owner.get("required", ()) else ""
    return f"<tr><td><code>{escape(name)}</code>{needed}</td><td>{name_type(inner)}</td><td>{describe(inner)}</td></tr>"


def _remarks(schema: Json) -> Iterator[str]:
    if schema.get("description"):
        yield prose(str(schema["description"]))
    for key, words in _BOUNDS:
        if key in schema:
            yield escape(words.format(schema[key]))
    if schema.get("default") is not None:
        yield f"default {_code(schema['default'])}"
    examples = schema.get("examples")
    if isinstance(examples, list) and examples and not isinstance(examples[0], dict):
        yield f"such as {_code(examples[0])}"


def _code(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"<code>{escape(text)}</code>"
