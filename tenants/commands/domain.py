"""`portico domain`: a tenant's hosts."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tenants.commands.client import Request
from tenants.commands.output import OutputFormat, note, show_data, show_fields
from tenants.commands.session import Output, Tenant, Yes, confirm, format_of, open_client, show_pages
from tenants.commands.writes import Timeout, Wait, report, wait_query

app = typer.Typer(help="Domains of a tenant: list, look at, claim, vouch, give up.", no_args_is_help=True)

Host = Annotated[
    str, typer.Argument(metavar="HOST", help="A hostname, or a mask such as '*.acme.app'.", show_default=False)
]


@app.command("list")
def list_domains(tenant: Tenant, output: Output = None) -> None:
    """List a tenant's domains and how far each is."""
    columns = {name: name for name in ("host", "state", "served", "reason", "since")}
    show_pages(("tenants", tenant, "domains"), columns, f"tenant {tenant} has no domains", output)


@app.command("get")
def get_domain(tenant: Tenant, host: Host, output: Output = None) -> None:
    """Look at one domain."""
    with open_client() as client:
        domain = client.send(Request("GET", ("tenants", tenant, "domains", host))).body
    shown = format_of(output)
    if shown is OutputFormat.TABLE:
        show_fields({name: value for name, value in domain.items() if name != "records"})
    else:
        show_data(domain, shown)


@app.command("create")
def create_domain(
    tenant: Tenant,
    host: Host,
    vouch: Annotated[bool, typer.Option("--vouch", help="Vouch for it at once; operators only.")] = False,
    wait: Wait = False,
    timeout: Timeout = None,
    output: Output = None,
) -> None:
    """Claim a host for a tenant."""
    body: dict[str, Any] = {"host": host, "verified_by": "operator"} if vouch else {"host": host}
    query, extra_s = wait_query(wait=wait, timeout=timeout)
    with open_client() as client:
        answer = client.send(Request("POST", ("tenants", tenant, "domains"), query, body, extra_s=extra_s)).body
    _report(answer, output)


@app.command("verify")
def verify_domain(
    tenant: Tenant, host: Host, wait: Wait = False, timeout: Timeout = None, output: Output = None
) -> None:
    """Vouch for a host; operators only. The tenant's routes are served under it from then on."""
    query, extra_s = wait_query(wait=wait, timeout=timeout)
    path = ("tenants", tenant, "domains", host, "verify")
    with open_client() as client:
        answer = client.send(Request("POST", path, query, extra_s=extra_s)).body
    _report(answer, output)


@app.command("delete")
def delete_domain(
    tenant: Tenant,
    host: Host,
    wait: Wait = False,
    timeout: Timeout = None,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Give a host up; anybody may claim it then."""
    query, extra_s = wait_query(wait=wait, timeout=timeout)
    confirm(f"Give up {host}?", yes=yes)
    with open_client() as client:
        answer = client.send(Request("DELETE", ("tenants", tenant, "domains", host), query, extra_s=extra_s)).body
    report(answer, f"domain {host} given up", output)


def _report(answer: dict[str, Any], output: OutputFormat | None) -> None:
    if answer["next_step"]:
        note(f"next: {answer['next_step']}")
    report(answer, f"domain {answer['host']} is {answer['state']}", output)
