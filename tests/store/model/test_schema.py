"""store/model/schema.py: JSON Schema that takes every document that is accepted, in the document's own spelling."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from store.model import DocumentError, document_json_schema, parse_document, parse_plans, plans_json_schema
from tests.store.model.documents import FULL, document, holes, jwt, put, route, upstream, with_route, with_upstream

SCHEMA = document_json_schema()
PLANS_SCHEMA = plans_json_schema()  # it has all of the other's $defs

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "null": lambda value: value is None,
}
_ASSERTIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "type": lambda kinds, value: any(_TYPES[kind](value) for kind in ([kinds] if isinstance(kinds, str) else kinds)),
    "enum": lambda options, value: value in options,
    "const": lambda only, value: value == only,
    "anyOf": lambda choices, value: any(takes(choice, value) for choice in choices),
    "oneOf": lambda choices, value: sum(takes(choice, value) for choice in choices) == 1,
    "$ref": lambda ref, value: takes(PLANS_SCHEMA["$defs"][ref.removeprefix("#/$defs/")], value),
    "required": lambda names, value: not isinstance(value, dict) or set(names) <= set(value),
    "items": lambda each, value: not isinstance(value, list) or all(takes(each, item) for item in value),
    "minItems": lambda least, value: not isinstance(value, list) or len(value) >= least,
    "maxItems": lambda most, value: not isinstance(value, list) or len(value) <= most,
    "maxProperties": lambda most, value: not isinstance(value, dict) or len(value) <= most,
    "minProperties": lambda least, value: not isinstance(value, dict) or len(value) >= least,
    "minLength": lambda least, value: not isinstance(value, str) or len(value) >= least,
    "maxLength": lambda most, value: not isinstance(value, str) or len(value) <= most,
    "pattern": lambda form, value: not isinstance(value, str) or re.search(form, value) is not None,
    "minimum": lambda least, value: not isinstance(value, int) or value >= least,
    "maximum": lambda most, value: not isinstance(value, int) or value <= most,
}
_TOGETHER = {"properties", "patternProperties", "additionalProperties"}
_ANNOTATIONS = {"$schema", "$defs", "description", "examples", "default", "format", "uniqueItems"}


def takes(schema: Mapping[str, Any], value: object) -> bool:
    """Say whether a schema takes a value; knows the keywords that ours uses, and fails on any other."""
    unknown = set(schema) - set(_ASSERTIONS) - _TOGETHER - _ANNOTATIONS
    assert not unknown, unknown
    if not all(_ASSERTIONS[word](told, value) for word, told in schema.items() if word in _ASSERTIONS):
        return False
    return not isinstance(value, dict) or all(takes_field(schema, name, field) for name, field in value.items())


def takes_field(schema: Mapping[str, Any], name: str, value: object) -> bool:
    named = schema.get("properties", {})
    if name in named:
        return takes(named[name], value)
    forms = [inner for form, inner in schema.get("patternProperties", {}).items() if re.search(form, name)]
    if forms:
        return all(takes(inner, value) for inner in forms)
    rest = schema.get("additionalProperties", True)
    return rest if isinstance(rest, bool) else takes(rest, value)


def test_it_says_which_draft_it_is() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document_json_schema() == json.loads(json.dumps(SCHEMA))


@pytest.mark.parametrize(
    "raw",
    [
        {"tenant": "a"},
        FULL,
        document(),
        document(domains=["a.test", {"host": "*.b.test"}, {"host": "c.test", "verified_by": "operator"}]),
        with_upstream(targets=["http://a.test", {"url": "http://b.test", "weight": 2}]),
        with_upstream(balance="least_requests"),
        with_upstream(balance={"hash": "ip"}),
        with_upstream(balance={"hash": {"cookie": "sid"}}),
        document(limits={"a": {"rate": "1/s", "by": {"header": "X-Team"}}, "b": {"rate": "1/s", "by": "ip"}}),
        document(limits={"a": {"rate": "1/s", "by": {"claim": "plan"}}}),
        document(auth={"users": jwt()}),
        document(
            auth={"users": jwt()},
            routes=[route(auth=["users"], headers={"request": {"set": {"X-A": "b", "X-Plan": {"claim": "plan"}}}})],
        ),
        with_route(max_body=1024),
        with_route(max_body="1KiB"),
        with_route(rewrite={"from": "/a", "to": "/b"}),
        document(routes=[{"name": "a", "path": "/", "split": [{"upstream": "shop", "weight": 1}]}]),
    ],
)
def test_it_takes_every_shorthand(raw: dict[str, Any]) -> None:
    parse_document(raw)
    assert takes(SCHEMA, raw)


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"tenant": "A"},
        document(domians=[]),
        document(domains=[5]),
        document(domains="a.test"),
        document(upstreams={"a b": upstream()}),
        document(routes=None),
        with_upstream(connect_timeout=2),
        with_upstream(connect_timeout_s="2s"),
        with_upstream(balance="fastest"),
        with_upstream(health=None),
        with_upstream(max_connections=0),
        document(auth={"keys": {"type": "jwt"}}),
        document(limits={"a": {"rate": "1/s"}}),
        document(limits={"a": {"rate": "1/s", "by": {"claim": "plan", "header": "X-A"}}}),
        with_route(methods=[]),
        with_route(upstream=None),
        with_route(headers={"request": {"set": {"X-A": 1}}}),
        with_route(headers={"request": {"set": {"X-A": {"claims": "plan"}}}}),
        with_route(headers={"response": {"set": {"X-A": {"claim": "plan"}}}}),
        document(auth={"users": jwt(algorithms=["HS256"])}),
    ],
)
def test_it_refuses_what_is_refused_for_its_form(raw: dict[str, Any]) -> None:
    assert not takes(SCHEMA, raw)


VALUES = ["a", "/", "2s", "1/s", "ip", "", 0, 1, 1.5, True, None, [], {}, ["a"], {"a": 1}, "x" * 5000]


def test_it_takes_every_document_that_is_accepted() -> None:
    accepted = 0
    for place in holes(FULL):
        for value in VALUES:
            raw = put(FULL, place, value)
            try:
                parse_document(raw)
            except DocumentError:
                continue
            accepted += 1
            assert takes(SCHEMA, raw), (place, value)
    assert accepted > 50


def test_it_has_no_name_of_a_model_that_documents_do_not_use() -> None:
    text = json.dumps({name: list(part.get("properties", ())) for name, part in SCHEMA["$defs"].items()})
    assert not re.search(r"_field|_s\"|_bytes|location|from_path|to_path|\"pattern\"", text)
    assert set(SCHEMA["$defs"]["RouteRewrite"]["properties"]) == {"strip_prefix", "from", "regex", "to"}


def described(node: Any) -> list[tuple[Any, Any]]:
    """Give every field's schema that names a default, with the default."""
    if isinstance(node, list):
        return [found for each in node for found in described(each)]
    if not isinstance(node, dict):
        return []
    own = [(node, node["default"])] if "default" in node and not isinstance(node["default"], dict | list) else []
    return own + [found for each in node.values() for found in described(each)]


def test_its_defaults_and_examples_are_values_that_it_takes() -> None:
    defaults = described(SCHEMA)
    assert len(defaults) > 10
    assert all(takes(schema, default) for schema, default in defaults)
    assert SCHEMA["$defs"]["Upstream"]["properties"]["response_timeout"]["default"] == "30s"


def test_nothing_in_it_may_be_null() -> None:
    assert '"null"' not in json.dumps(SCHEMA)


def test_each_of_its_parts_is_used() -> None:
    used = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(SCHEMA)))
    assert used == set(SCHEMA["$defs"])
    assert takes(SCHEMA["$defs"]["Route"], route())


def test_what_plans_are_made_of_is_what_documents_are_made_of() -> None:
    assert PLANS_SCHEMA["$schema"] == SCHEMA["$schema"]
    assert {name: PLANS_SCHEMA["$defs"][name] for name in SCHEMA["$defs"]} == SCHEMA["$defs"]
    assert PLANS_SCHEMA["$defs"]["Plan"]["properties"]["limits"] == SCHEMA["properties"]["limits"]


@pytest.mark.parametrize(
    ("raw", "is_taken"),
    [
        ({"plans": {}}, True),
        ({"plans": {"default": {}, "gold": {"limits": {"a": {"quota": "5/day", "by": "key"}}}}}, True),
        ({"plans": {"gold": {"limits": {"a": {"concurrent": 5, "by": {"header": "X-Team"}, "shadow": True}}}}}, True),
        ({}, False),
        ({"plans": None}, False),
        ({"plans": []}, False),
        ({"plans": {}, "tenant": "a"}, False),
        ({"plans": {"-gold": {}}}, False),
        ({"plans": {"gold": {"routes": []}}}, False),
        ({"plans": {"gold": {"limits": {"a": {"rate": "1/s"}}}}}, False),
        ({"plans": {f"p{n}": {} for n in range(101)}}, False),
    ],
)
def test_plans_are_described_as_they_are_read(raw: dict[str, Any], is_taken: bool) -> None:
    assert takes(PLANS_SCHEMA, raw) is is_taken
    if is_taken:
        parse_plans(raw)
        return
    with pytest.raises(DocumentError):
        parse_plans(raw)
