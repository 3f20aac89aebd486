"""From an HTTP request to a call of the service and back: the same steps for every operation, in this order."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterable
from time import perf_counter
from typing import Any

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from store.errors import StoreError
from store.model import Fault
from store.model.faults import did_you_mean
from tenants.actors import NOBODY, Actor
from tenants.api.bodies import parse_json
from tenants.api.models import Given, Taken, WorkerRefusal, Written
from tenants.api.operations import Call, Operation, Outcome
from tenants.api.preconditions import entity_tag, parse_if_match
from tenants.api.queries import DEFAULT_WAIT_S, Query, WriteQuery
from tenants.errors import INVALID, MALFORMED, TIMEOUT, UNAUTHENTICATED, WRONG_MEDIA_TYPE, Refused
from tenants.service import Service
from tenants.writer import Expectation

BODY_TIMEOUT_S = 10.0
JSON_PATCH = "application/json-patch+json"
CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FIXED_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_POLICY,
    "Server": "portico",
    "X-Content-Type-Options": "nosniff",
}


class Endpoint:
    """The aiohttp handler of one operation."""

    def __init__(self, operation: Operation, service: Service) -> None:
        self._operation = operation
        self._service = service

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Authenticate, then read the query, the preconditions and the body; call; wait for the fleet; answer."""
        operation = self._operation
        actor = NOBODY if operation.is_public else await self._authenticate(request)
        query = read_query(operation.query, request.query)
        call = Call(
            service=self._service,
            actor=actor,
            path=request.match_info,
            query=query,
            expectation=_read_preconditions(operation, request),
            body=await _read_body(operation, request),
            if_none_match=request.headers.get(hdrs.IF_NONE_MATCH),
        )
        started_s = perf_counter()
        outcome = await operation.handler(call)
        if isinstance(query, WriteQuery) and query.wait and isinstance(outcome.body, Written):
            written = await self._wait(call, outcome.body)
            wait_ms = math.ceil((perf_counter() - started_s) * 1000)
            return _respond(operation, outcome, written.model_copy(update={"wait_ms": wait_ms}))
        return _respond(operation, outcome, outcome.body)

    async def _authenticate(self, request: web.Request) -> Actor:
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refused(UNAUTHENTICATED, "send a token: Authorization: Bearer TOKEN")
        return await self._service.tokens.authenticate(token.strip())

    async def _wait(self, call: Call, written: Written) -> Written:
        timeout_s = DEFAULT_WAIT_S if call.query.timeout is None else call.query.timeout
        try:
            state = await self._service.fleet.wait(written.revision, timeout_s, call.path.get("tenant"))
        except StoreError:
            # The write is done, and may hold a secret that is shown only now: it is not taken back by this.
            return written.model_copy(update={"wait_error": "the store cannot be reached to ask the fleet"})
        refused = [
            WorkerRefusal(
                worker=one.worker_id,
                tenant=one.tenant,
                revision=one.revision,
                reason=one.reason,
                serving=one.serving or None,
            )
            for one in state.refused
        ]
        return written.model_copy(
            update={
                "applied": state.applied,
                "workers": state.workers,
                "lagging": list(state.lagging),
                "refused": refused,
            }
        )


def read_query(model: type[Query], given: Any) -> Query:
    """Read a query (a multidict of texts) as its model; `Refused` with 400 names every parameter that is wrong."""
    twice = sorted({name for name in given if len(given.getall(name)) > 1})
    if twice:
        raise Refused(MALFORMED, f"given twice in the query: {', '.join(twice)}")
    try:
        query = model.model_validate(dict(given))
    except ValidationError as error:
        faults = faults_of(error, model)
        raise Refused(MALFORMED, f"the query is wrong: {_summary(faults)}", faults) from error
    if isinstance(query, WriteQuery) and query.timeout is not None and not query.wait:
        raise Refused(MALFORMED, "timeout says how long to wait: it needs wait=fleet")
    return query


def read_model(model: type[Taken], value: object) -> Taken:
    """Read a body as its model; `Refused` with 422 names every place that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = faults_of(error, model)
        raise Refused(INVALID, f"the body is wrong: {_summary(faults)}", faults) from error


def faults_of(error: ValidationError, model: type[BaseModel]) -> list[Fault]:
    """The faults that pydantic found, with paths as documents have them (`scopes[0]`)."""
    found = error.errors(include_url=False, include_input=False)
    return [Fault(_path(item["loc"]), _message(item, model.model_fields)) for item in found]


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _message(item: Any, known: Iterable[str]) -> str:
    if item["type"] == "extra_forbidden":
        return f"is not known here{did_you_mean(str(item['loc'][-1]), known)}"
    if item["type"] == "missing":
        return "is missing"
    return str(item["msg"]).removeprefix("Value error, ")


def _summary(faults: list[Fault]) -> str:
    return "; ".join(f"{fault.path}: {fault.message}" if fault.path else fault.message for fault in faults)


def _read_preconditions(operation: Operation, request: web.Request) -> Expectation:
    if_match = request.headers.get(hdrs.IF_MATCH)
    if operation.is_conditional:
        return parse_if_match(if_match, request.headers.get(hdrs.IF_NONE_MATCH))
    if if_match is not None:
        raise Refused(MALFORMED, "If-Match has no meaning for this operation")
    return Expectation()


async def _read_body(operation: Operation, request: web.Request) -> Any:
    if operation.body is None:
        return None
    if operation.body == "merge patch" and request.content_type == JSON_PATCH:
        # RFC 6902 is another language: its operations must not be taken for members of a document
        raise Refused(WRONG_MEDIA_TYPE, f"a patch is application/merge-patch+json here, not {JSON_PATCH}")
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            raw = await request.read()
    except TimeoutError as error:
        raise Refused(TIMEOUT, f"the body did not arrive within {BODY_TIMEOUT_S:g}s") from error
    value = parse_json(raw)
    return value if isinstance(operation.body, str) else read_model(operation.body, value)


def _respond(operation: Operation, outcome: Outcome, body: Any) -> web.Response:
    headers = {}
    if outcome.tag is not None:
        headers[hdrs.ETAG] = entity_tag(outcome.tag)
    if outcome.location is not None:
        headers[hdrs.LOCATION] = outcome.location
    if body is None:
        return web.Response(status=outcome.status, headers=headers)
    return web.Response(
        status=outcome.status, text=_text(body), content_type=operation.media_type, charset="utf-8", headers=headers
    )


def _text(body: object) -> str:
    if isinstance(body, str):
        return body
    value = body.to_json() if isinstance(body, Given) else body
    return json.dumps(value, ensure_ascii=False)


async def set_fixed_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Add what every answer carries; connect it to the application's `on_response_prepare`."""
    response.headers.update(FIXED_HEADERS)
