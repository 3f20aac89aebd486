"""The OpenAPI 3.1 document, made from the table of operations and the models that the operations themselves use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from store.model import document_json_schema, plans_json_schema
from tenants.api.models import Problem
from tenants.api.operations import Operation
from tenants.api.problems import MEDIA_TYPE as PROBLEM_TYPE
from tenants.errors import KINDS

Json = dict[str, Any]

DOCUMENT = "TenantDocument"
PATCH = "MergePatch"
PLANS = "Plans"
COMPONENTS = "#/components/schemas/"

ABOUT = """The control plane of Portico. A write is committed to the store in one step; with `?wait=fleet` the answer
says what every live worker of the fleet made of it. Send a token as `Authorization: Bearer TOKEN`: an operator's
reaches everything, a tenant's its own tenant alone. Errors are problem documents (RFC 9457) that name every fault."""

PATH_PARAMETERS = {
    "tenant": "The tenant's name.",
    "host": "A hostname or mask, as in the document.",
    "id": "The id, as answered when it was created.",
    "subject": "Who has logged in, as targets know it in `X-Portico-Subject`.",
}

DOCUMENT_EXAMPLE: Json = {
    "name": "Acme Inc.",
    "domains": ["shop.acme.com"],
    "upstreams": {"shop": {"targets": ["http://10.0.0.5:9000"]}},
    "routes": [{"name": "all", "path": "/*", "upstream": "shop"}],
}

PLANS_EXAMPLE: Json = {
    "plans": {
        "default": {"limits": {"per-ip": {"rate": "10/s", "by": "ip"}}},
        "gold": {"limits": {"month": {"quota": "1000000/month", "by": "tenant"}}},
    }
}

# What documents are called here, and by which media type they are sent.
CONTENTS = {
    "document": (DOCUMENT, "application/json"),
    "merge patch": (PATCH, "application/merge-patch+json"),
    "plans": (PLANS, "application/json"),
}

IF_MATCH: Json = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": 'Write only if the document is at this revision, such as `"42"`; `*`: only if it exists.',
    "schema": {"type": "string"},
}


def build_openapi(operations: Iterable[Operation]) -> Json:
    """Return the document for these operations."""
    table = tuple(operations)
    names, schemas = _schemas(table)
    paths: dict[str, Json] = {}
    for operation in table:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, names)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Portico admin API", "version": _version(), "description": ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in table)],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "x-problems": [
            {
                "code": kind.code,
                "status": kind.status,
                "title": kind.title,
                "can_retry": kind.can_retry,
                "blame": kind.blame,
            }
            for kind in KINDS
        ],
    }


def _version() -> str:
    try:
        return version("portico")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


Names = Mapping[Any, str]  # model -> the name of its schema


def _schemas(table: Iterable[Operation]) -> tuple[Names, Json]:
    models: dict[Any, JsonSchemaMode] = {Problem: "serialization"}
    for operation in table:
        if operation.answer is not None:
            models[operation.answer] = "serialization"
        if isinstance(operation.body, type):
            models[operation.body] = "validation"
    references, definitions = models_json_schema(list(models.items()), ref_template=f"{COMPONENTS}{{model}}")
    names = {model: str(reference["$ref"]).removeprefix(COMPONENTS) for (model, _), reference in references.items()}
    own, documents = definitions.get("$defs", {}), _document_schemas()
    assert own.keys().isdisjoint(documents), "two schemas of one name"
    schemas: Json = {**own, **documents}
    schemas[PATCH] = {
        "title": PATCH,
        "type": "object",
        "description": f"A merge patch (RFC 7396) of a {DOCUMENT}: null removes, objects merge, all else replaces.",
        "examples": [{"name": "Acme Inc.", "limits": {"per-ip": None}}],
        "externalDocs": {"url": "https://www.rfc-editor.org/rfc/rfc7396"},
    }
    return names, dict(sorted(schemas.items()))


def _document_schemas() -> Json:
    schemas: Json = {}
    described = ((DOCUMENT, document_json_schema(), DOCUMENT_EXAMPLE), (PLANS, plans_json_schema(), PLANS_EXAMPLE))
    for name, found, example in described:
        schema = _rehome(found)
        schemas |= schema.pop("$defs", {})  # what both refer to, such as limits, is the same
        schema.pop("$schema", None)
        schemas[name] = {**schema, "examples": [example]}
    return schemas


def _rehome(value: Any) -> Any:
    # references into the document's own $defs become references to the components of this document
    if isinstance(value, dict):
        return {
            name: re.sub(r"^#/\$defs/", COMPONENTS, inner) if name == "$ref" else _rehome(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_rehome(inner) for inner in value]
    return value


def _operation(operation: Operation, names: Names) -> Json:
    shown: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [*_path_parameters(operation), *_query_parameters(operation), *_header_parameters(operation)],
        "responses": _responses(operation, names),
    }
    if operation.is_public:
        shown["security"] = []
    if operation.body is not None:
        shown["requestBody"] = {"required": True, "content": _body(operation, names)}
    return shown


def _path_parameters(operation: Operation) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATH_PARAMETERS[name],
            "schema": {"type": "string"},
        }
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]


def _query_parameters(operation: Operation) -> list[Json]:
    schema = operation.query.model_json_schema()
    parameters = []
    for name, described in schema.get("properties", {}).items():
        inner = _never_null({key: value for key, value in described.items() if key not in ("title", "description")})
        parameters.append(
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "description": described.get("description", ""),
                "schema": inner,
            }
        )
    return parameters


def _never_null(schema: Json) -> Json:
    # A parameter that is not given is left out: there is no null in a query.
    kept = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key != "anyOf" and value is not None}
    return {**rest, **kept[0]} if len(kept) == 1 else rest


def _header_parameters(operation: Operation) -> list[Json]:
    return [IF_MATCH] if operation.is_conditional else []


def _body(operation: Operation, names: Names) -> Json:
    if isinstance(operation.body, str):
        name, media_type = CONTENTS[operation.body]
        return {media_type: {"schema": {"$ref": f"{COMPONENTS}{name}"}}}
    assert isinstance(operation.body, type)
    return {"application/json": {"schema": {"$ref": f"{COMPONENTS}{names[operation.body]}"}}}


def _responses(operation: Operation, names: Names) -> Json:
    responses = {str(status): _success(operation, status, names) for status in operation.statuses}
    for status in _refusals(operation):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_TYPE: {"schema": {"$ref": f"{COMPONENTS}{names[Problem]}"}}},
        }
    return dict(sorted(responses.items()))


def _refusals(operation: Operation) -> tuple[int, ...]:
    always = () if operation.is_public else (400, 401, 500, 503)
    for_body = (408, 413) if operation.body is not None else ()
    return (*always, *for_body, *operation.refusals)


def _success(operation: Operation, status: int, names: Names) -> Json:
    phrase = HTTPStatus(status).phrase
    if status == HTTPStatus.NOT_MODIFIED:
        return {"description": phrase}
    schema: Json = {"type": "object"}
    if operation.media_type != "application/json":
        schema = {"type": "string"}
    elif operation.answer is not None:
        schema = {"$ref": f"{COMPONENTS}{names[operation.answer]}"}
    elif operation.content is not None:
        schema = {"$ref": f"{COMPONENTS}{CONTENTS[operation.content][0]}"}
    return {"description": phrase, "content": {operation.media_type: {"schema": schema}}}
