"""`portico route`: single routes of a tenant's document, changed at the revision that was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from tenants.commands.client import AdminClient, ApiRefused, Request
from tenants.commands.failures import CommandFailed, usage
from tenants.commands.files import load_raw
from tenants.commands.output import OutputFormat, show_data, show_table
from tenants.commands.session import Output, Tenant, Yes, confirm, format_of, open_client, show_document
from tenants.commands.writes import Timeout, Wait, report, wait_query

MAX_TRIES = 5
PRECONDITION_FAILED = 412

app = typer.Typer(help="Routes of a tenant: list, look at, create, delete.", no_args_is_help=True)

RouteName = Annotated[str, typer.Argument(metavar="ROUTE", help="The route's name.", show_default=False)]
Routes = list[dict[str, Any]]


@app.command("list")
def list_routes(tenant: Tenant, output: Output = None) -> None:
    """List a tenant's routes."""
    with open_client() as client:
        routes, _ = _read(client, tenant)
    shown = format_of(output)
    if shown is not OutputFormat.TABLE:
        show_data(routes, shown)
        return
    rows = [
        (one["name"], one["path"], one.get("methods") or "any", one.get("domains") or "all", _destination(one),
         one.get("auth"), one.get("limits"))
        for one in routes
    ]  # fmt: skip
    heads = ("route", "path", "methods", "domains", "upstream", "auth", "limits")
    show_table(heads, rows, f"tenant {tenant} has no routes")


@app.command("get")
def get_route(tenant: Tenant, route: RouteName, output: Output = None) -> None:
    """Show one route."""
    with open_client() as client:
        routes, _ = _read(client, tenant)
    found = _find(tenant, routes, route)
    show_document(found, output)


@app.command("create")
def create_route(  # noqa: PLR0913 - a command's options are its parameters
    tenant: Tenant,
    route: RouteName,
    path: Annotated[str | None, typer.Option("--path", help="The path pattern, such as '/v1/*'.")] = None,
    upstream: Annotated[str | None, typer.Option("--upstream", help="The upstream to forward to.")] = None,
    method: Annotated[list[str] | None, typer.Option("--method", help="A method; repeatable. Default: any.")] = None,
    domain: Annotated[list[str] | None, typer.Option("--domain", help="A domain; repeatable. Default: all.")] = None,
    auth: Annotated[list[str] | None, typer.Option("--auth", help="A way to authenticate; repeatable.")] = None,
    limit: Annotated[list[str] | None, typer.Option("--limit", help="A limit; repeatable.")] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", metavar="FILE", help="A file with the rest of the route.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of one with this name.")] = False,
    wait: Wait = False,
    timeout: Timeout = None,
    output: Output = None,
) -> None:
    """Add a route to a tenant's document."""
    given = {"path": path, "upstream": upstream, "methods": method, "domains": domain, "auth": auth, "limits": limit}
    new = {**(load_raw(file) if file else {}), "name": route}
    new.update({name: value for name, value in given.items() if value})
    if "path" not in new:
        raise usage("a route needs a path: --path, or one in the file")

    def edit(routes: Routes) -> Routes:
        is_there = any(one["name"] == route for one in routes)
        if is_there and not replace:
            raise CommandFailed(
                f"tenant {tenant!r} has a route {route!r} already; --replace puts this one in its place"
            )
        return [new if one["name"] == route else one for one in routes] if is_there else [*routes, new]

    report(change_routes(tenant, edit, wait=wait, timeout=timeout), f"route {route} written", output)


@app.command("delete")
def delete_route(
    tenant: Tenant,
    route: RouteName,
    wait: Wait = False,
    timeout: Timeout = None,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Take a route out of a tenant's document."""
    confirm(f"Delete route {route} of {tenant}?", yes=yes)

    def edit(routes: Routes) -> Routes:
        gone = _find(tenant, routes, route)
        return [one for one in routes if one is not gone]

    report(change_routes(tenant, edit, wait=wait, timeout=timeout), f"route {route} deleted", output)


def change_routes(tenant: str, edit: Callable[[Routes], Routes], *, wait: bool, timeout: str | None) -> dict[str, Any]:
    """Edit the routes at the revision they were read at, and again when somebody else was faster, a few times."""
    query, extra_s = wait_query(wait=wait, timeout=timeout)
    with open_client() as client:
        for _ in range(MAX_TRIES):
            routes, etag = _read(client, tenant)
            headers = {"If-Match": etag, "Content-Type": "application/merge-patch+json"}
            patch = {"routes": edit(routes)}
            request = Request("PATCH", ("tenants", tenant), query, patch, headers, extra_s)
            try:
                answer: dict[str, Any] = client.send(request).body
            except ApiRefused as error:
                if error.status != PRECONDITION_FAILED:
                    raise
            else:
                return answer
    raise CommandFailed(f"tenant {tenant!r} is being changed by others; nothing was written, try again")


def _read(client: AdminClient, tenant: str) -> tuple[Routes, str]:
    reply = client.send(Request("GET", ("tenants", tenant)))
    return list(reply.body.get("routes") or ()), reply.etag or "*"


def _find(tenant: str, routes: Routes, name: str) -> dict[str, Any]:
    for route in routes:
        if route["name"] == name:
            return route
    raise CommandFailed(f"tenant {tenant!r} has no route {name!r}")


def _destination(route: dict[str, Any]) -> str:
    if route.get("upstream"):
        return str(route["upstream"])
    return ", ".join(f"{share['upstream']} {share['weight']}" for share in route.get("split") or ())
