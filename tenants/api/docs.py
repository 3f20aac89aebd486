"""The admin API as one page for people: made from its OpenAPI document, without scripts and without other servers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import escape
from http import HTTPStatus
from typing import Any

from tenants.api.docs_schema import Json, describe, name_type, prose, render_schema, table
from tenants.api.docs_style import STYLE


def render_docs(openapi: Json) -> str:
    """Return the page for an OpenAPI 3.1 document made by `build_openapi`."""
    info = openapi["info"]
    operations = list(_operations(openapi))
    tags = [tag["name"] for tag in openapi["tags"]]
    body = "".join(_group(openapi, tag, [one for one in operations if one[2]["tags"] == [tag]]) for tag in tags)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style></head><body>"
        f"{_navigation(info, tags, operations)}<main><header><p class='over'>Version {escape(info['version'])} · "
        f"<a href='/v1/openapi.json'>OpenAPI 3.1 document</a></p><h1>{escape(info['title'])}</h1>"
        f"<p class='lead'>{prose(info['description'])}</p></header>{body}{_problems(openapi)}{_schemas(openapi)}"
        "</main></body></html>"
    )


def _operations(openapi: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _navigation(info: Json, tags: list[str], operations: list[tuple[str, str, Json]]) -> str:
    parts = [f"<nav aria-label='Contents'><a class='brand' href='#'>{escape(info['title'])}</a>"]
    for tag in tags:
        parts.append(f"<h2>{escape(tag)}</h2><ul>")
        parts.extend(
            f"<li><a href='#{operation['operationId']}'>{_badge(method)}<span>{_path(path)}</span></a></li>"
            for method, path, operation in operations
            if operation["tags"] == [tag]
        )
        parts.append("</ul>")
    parts.append(
        "<h2>Reference</h2><ul><li><a href='#problems'>Problems</a></li><li><a href='#schemas'>Schemas</a></li>"
    )
    return "".join([*parts, "</ul></nav>"])


def _group(openapi: Json, tag: str, operations: list[tuple[str, str, Json]]) -> str:
    cards = "".join(_card(openapi, method, path, operation) for method, path, operation in operations)
    return f"<section class='group'><h2>{escape(tag)}</h2>{cards}</section>"


def _card(openapi: Json, method: str, path: str, operation: Json) -> str:
    return (
        f"<details class='card' id='{escape(operation['operationId'])}'>"
        f"<summary>{_badge(method)}<code class='path'>{_path(path)}</code>"
        f"<span class='what'>{escape(operation['summary'])}</span></summary><div class='inside'>"
        f"{_parameters(operation)}{_body(operation)}{_responses(operation)}{_curl(openapi, method, path, operation)}"
        "</div></details>"
    )


def _parameters(operation: Json) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code>{_needed(one)}</td><td>{escape(one['in'])}</td>"
        f"<td>{name_type(one['schema'])}</td><td>{_parameter_words(one)}</td></tr>"
        for one in operation["parameters"]
    )
    return f"<h4>Parameters</h4>{table(('name', 'in', 'type', 'what'), rows)}" if rows else ""


def _parameter_words(parameter: Json) -> str:
    return describe({**parameter["schema"], "description": parameter["description"]})


def _needed(parameter: Json) -> str:
    return " <span class='needed'>required</span>" if parameter["required"] else ""


def _body(operation: Json) -> str:
    content: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    return "".join(
        f"<h4>Body</h4><p>{name_type(one['schema'])} <span class='media'>{escape(media)}</span></p>"
        for media, one in content.items()
    )


def _responses(operation: Json) -> str:
    answers = operation["responses"].items()
    rows = "".join(
        f"<tr><td>{_status(status)}</td><td>{escape(one['description'])}</td><td>{_answer(one)}</td></tr>"
        for status, one in answers
        if status < "400"
    )
    problems = " ".join(_status(status) for status, _ in answers if status >= "400")
    more = f"<p class='problems'>Problems: {problems}</p>" if problems else ""
    return f"<h4>Answers</h4>{table(('status', 'meaning', 'body'), rows)}{more}"


def _status(status: str) -> str:
    return f"<span class='status s{status[0]}'>{escape(status)}</span>"


def _answer(response: Json) -> str:
    content: dict[str, Any] = response.get("content", {})
    return ", ".join(name_type(one["schema"]) for one in content.values()) or "—"


def _curl(openapi: Json, method: str, path: str, operation: Json) -> str:
    words = ["curl" if method == "GET" else f"curl -X {method}"]
    if operation.get("security") != []:
        words.append('-H "Authorization: Bearer $PORTICO_TOKEN"')
    for media, one in operation.get("requestBody", {}).get("content", {}).items():
        words.append(f"-H 'Content-Type: {media}' -d '{json.dumps(_example(openapi, one['schema']))}'")
    concrete = re.sub(r"\{(\w+)\}", lambda found: f"${found[1].upper()}", path)
    words.append(f'"$PORTICO_ADMIN_URL{concrete}"')
    return f"<h4>By hand</h4><pre><code>{escape(' '.join(words))}</code></pre>"


def _example(openapi: Json, schema: Json) -> object:
    named = openapi["components"]["schemas"][str(schema["$ref"]).rsplit("/", 1)[-1]]
    return named["examples"][0]


def _problems(openapi: Json) -> str:
    rows = "".join(
        f"<tr id='{escape(one['code'])}'><td><code>{escape(one['code'])}</code></td>"
        f"<td>{_status(str(one['status']))} "
        f"{escape(HTTPStatus(one['status']).phrase)}</td><td>{escape(one['title'])}</td>"
        f"<td>{escape(one['blame'])}</td><td>{'yes' if one['can_retry'] else 'no'}</td></tr>"
        for one in openapi["x-problems"]
    )
    heads = ("code", "status", "what it means", "whose fault", "retry unchanged")
    return f"<section id='problems'><h2>Problems</h2>{table(heads, rows)}</section>"


def _schemas(openapi: Json) -> str:
    shown = "".join(render_schema(name, schema) for name, schema in openapi["components"]["schemas"].items())
    return f"<section id='schemas'><h2>Schemas</h2>{shown}</section>"


def _badge(method: str) -> str:
    return f"<span class='method m-{method.lower()}'>{method}</span>"


def _path(path: str) -> str:
    return escape(path).replace("{", "<em>{").replace("}", "}</em>")
