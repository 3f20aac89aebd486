"""`portico tenant`: tenants as wholes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tenants.commands.client import Request
from tenants.commands.files import load_raw
from tenants.commands.output import clean, note
from tenants.commands.session import Columns, Output, Tenant, Yes, confirm, open_client, show_document, show_pages
from tenants.commands.writes import Timeout, Wait, report, wait_query

app = typer.Typer(help="Tenants: list, look at, create, delete.", no_args_is_help=True)


@app.command("list")
def list_tenants(output: Output = None) -> None:
    """List all tenants that the token reaches."""
    columns: Columns = {
        "tenant": "tenant",
        "name": lambda item: (item["document"] or {}).get("name"),
        "state": _state,
        "domains": lambda item: _count(item["document"], "domains"),
        "routes": lambda item: _count(item["document"], "routes"),
        "revision": "revision",
    }
    for item in show_pages(("tenants",), columns, "there are no tenants", output):
        if item["document"] is None:
            note(f"{item['tenant']} cannot be read: {clean(item['error'])}")


@app.command("get")
def get_tenant(tenant: Tenant, output: Output = None) -> None:
    """Show a tenant's document."""
    with open_client() as client:
        document = client.send(Request("GET", ("tenants", tenant))).body
    show_document(document, output)


@app.command("create")
def create_tenant(
    tenant: Tenant,
    name: Annotated[str | None, typer.Option("--name", help="What people call it.", show_default=False)] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", metavar="FILE", help="The rest of its document.", show_default=False)
    ] = None,
    wait: Wait = False,
    timeout: Timeout = None,
    output: Output = None,
) -> None:
    """Create a tenant. One that exists is left alone, and that is an error."""
    document = load_raw(file) if file else {}
    document["tenant"] = tenant
    if name is not None:
        document["name"] = name
    query, extra_s = wait_query(wait=wait, timeout=timeout)
    request = Request("PUT", ("tenants", tenant), query, document, {"If-None-Match": "*"}, extra_s)
    with open_client() as client:
        answer = client.send(request).body
    report(answer, f"tenant {tenant} created", output)


@app.command("delete")
def delete_tenant(
    tenant: Tenant, wait: Wait = False, timeout: Timeout = None, yes: Yes = False, output: Output = None
) -> None:
    """Delete a tenant. Its history, API keys and tokens go too; its hosts are free at once."""
    query, extra_s = wait_query(wait=wait, timeout=timeout)
    confirm(f"Delete tenant {tenant} with all that it has?", yes=yes)
    with open_client() as client:
        answer = client.send(Request("DELETE", ("tenants", tenant), query, extra_s=extra_s)).body
    report(answer, f"tenant {tenant} deleted", output)


def _state(item: dict[str, Any]) -> str:
    if item["document"] is None:
        return "unreadable"
    return "enabled" if item["document"].get("enabled", True) else "disabled"


def _count(document: dict[str, Any] | None, name: str) -> int | None:
    return None if document is None else len(document.get(name, ()))
