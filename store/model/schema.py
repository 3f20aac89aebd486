"""Documents described as JSON Schema, draft 2020-12, in their own spelling."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from store.model.plans import MAX_PLANS
from store.model.tenant import TenantDocument
from store.model.units import format_duration

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ADAPTER = TypeAdapter(TenantDocument)


def document_json_schema() -> dict[str, Any]:
    """Describe documents: their fields, by the names that documents use, with every shorthand.

    What one field must be to another is not in it. A field that may be left out may not be null.
    """
    described = _plain(_ADAPTER.json_schema(by_alias=True, mode="validation"))
    return {"$schema": DIALECT, **described}


def plans_json_schema() -> dict[str, Any]:
    """Describe plans: each with limits as a tenant's document has them, which are described once for both."""
    document = document_json_schema()
    limits = document["properties"]["limits"]
    [name] = limits["patternProperties"]
    plan = {
        "type": "object",
        "description": "Limits of every route of every tenant of the plan, besides the tenant's own.",
        "properties": {"limits": limits},
        "additionalProperties": False,
    }
    plans = {
        "type": "object",
        "description": "Plans by name; `default` is the one of tenants that name none.",
        "maxProperties": MAX_PLANS,
        "patternProperties": {name: {"$ref": "#/$defs/Plan"}},
        "additionalProperties": False,
    }
    return {
        "$schema": DIALECT,
        "$defs": {**document["$defs"], "Plan": plan},
        "type": "object",
        "properties": {"plans": plans},
        "required": ["plans"],
        "additionalProperties": False,
    }


def _plain(node: Any) -> Any:
    """Leave out what pydantic says of Python: titles, discriminators, null for what is left out, its defaults."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _of_property(key, value) for key, value in node.items() if not _is_noise(key, value)}
    if "patternProperties" in kept:
        kept["additionalProperties"] = False
    choices = [each for each in kept.get("anyOf", ()) if each != {"type": "null"}]
    if len(choices) == 1:
        del kept["anyOf"]
        return {**choices[0], **kept}
    return {**kept, "anyOf": choices} if choices else kept


def _of_property(key: str, value: Any) -> Any:
    if key in ("properties", "patternProperties", "$defs"):  # names here are fields, not keywords
        return {name: _plain(each) for name, each in value.items()}
    if key == "default" and isinstance(value, float):
        return format_duration(value)
    return value if key in ("examples", "default", "enum", "const") else _plain(value)


def _is_noise(key: str, value: Any) -> bool:
    return key in ("title", "discriminator") or (key == "default" and (value is None or isinstance(value, dict)))
