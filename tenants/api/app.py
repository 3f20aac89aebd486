"""The admin API: one table of operations, and the application that serves it."""

from __future__ import annotations

from functools import cache
from typing import Any

from aiohttp import web

from tenants.api import domains, fleet, keys, limits, plans, sessions, tenants
from tenants.api.bodies import MAX_BODY_BYTES
from tenants.api.docs import render_docs
from tenants.api.endpoint import Endpoint, set_fixed_headers
from tenants.api.models import Health
from tenants.api.openapi import build_openapi
from tenants.api.operations import Call, Operation, Outcome
from tenants.api.problems import problems
from tenants.service import Service


async def get_openapi(_call: Call) -> Outcome:
    """Answer the OpenAPI document."""
    return Outcome(describe())


async def get_docs(_call: Call) -> Outcome:
    """Answer the page that shows it."""
    return Outcome(page())


async def get_live(_call: Call) -> Outcome:
    """Answer that the process runs; the store is not asked."""
    return Outcome(Health(status="ok"))


async def get_ready(call: Call) -> Outcome:
    """Answer that the store answers; 503 when it does not."""
    await call.service.fleet.head()
    return Outcome(Health(status="ok"))


OPERATIONS: tuple[Operation, ...] = (
    *tenants.OPERATIONS,
    *domains.OPERATIONS,
    *keys.OPERATIONS,
    *plans.OPERATIONS,
    *limits.OPERATIONS,
    *sessions.OPERATIONS,
    *fleet.OPERATIONS,
    Operation(
        "getOpenapi", "GET", "/v1/openapi.json", "This API, described (OpenAPI 3.1)", get_openapi, "About",
        is_public=True,
    ),
    Operation(
        "getDocs", "GET", "/v1/docs", "This API, to be read by people", get_docs, "About", is_public=True,
        media_type="text/html",
    ),
    Operation(
        "getLive", "GET", "/livez", "Whether this process runs", get_live, "About", answer=Health, is_public=True,
    ),
    Operation(
        "getReady", "GET", "/readyz", "Whether this process can reach the store", get_ready, "About", answer=Health,
        is_public=True, refusals=(503,),
    ),
)  # fmt: skip


@cache
def describe() -> dict[str, Any]:
    """The OpenAPI document of the table above; made once, to be left unchanged."""
    return build_openapi(OPERATIONS)


@cache
def page() -> str:
    """The documentation page; made once."""
    return render_docs(describe())


def build_app(service: Service) -> web.Application:
    """The application; it holds nothing that has to be closed, the service's owner closes the store's clients."""
    app = web.Application(middlewares=[problems], client_max_size=MAX_BODY_BYTES)
    app.on_response_prepare.append(set_fixed_headers)
    for operation in OPERATIONS:
        handle = Endpoint(operation, service).handle
        if operation.method == "GET":
            app.router.add_get(operation.path, handle)  # and HEAD
        else:
            app.router.add_route(operation.method, operation.path, handle)
    return app
