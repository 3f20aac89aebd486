"""`portico session`: what browsers that have logged in hold, ended from here."""

from __future__ import annotations

from typing import Annotated

import typer

from tenants.commands.client import Request
from tenants.commands.session import Output, Tenant, Yes, confirm, open_client
from tenants.commands.writes import Timeout, Wait, report, wait_query

app = typer.Typer(help="Browser sessions of a tenant: revoke.", no_args_is_help=True)

Subject = Annotated[str | None, typer.Option("--subject", "-s", help="Only those of this subject, as targets know it.")]


@app.callback()
def sessions() -> None:
    """Browser sessions of a tenant: revoke."""


@app.command("revoke")
def revoke(
    tenant: Tenant,
    subject: Subject = None,
    wait: Wait = False,
    timeout: Timeout = None,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """End sessions; with --wait, until no worker takes one any more."""
    query, extra_s = wait_query(wait=wait, timeout=timeout)
    whose = f"the sessions of {subject} at {tenant}" if subject is not None else f"all sessions of {tenant}"
    confirm(f"Revoke {whose}?", yes=yes)
    path = ("tenants", tenant, "sessions", *(() if subject is None else (subject,)))
    with open_client() as client:
        answer = client.send(Request("DELETE", path, query, extra_s=extra_s)).body
    report(answer, f"{whose} revoked", output)
