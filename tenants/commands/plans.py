"""`portico plans`: the plans as a whole; `portico apply` writes them."""

from __future__ import annotations

import typer

from tenants.commands.client import Request
from tenants.commands.fleet import REVISION_COLUMNS, Revision, report_rollback
from tenants.commands.session import Output, open_client, show_document, show_pages
from tenants.commands.writes import Timeout, Wait, wait_query

app = typer.Typer(help="The plans: look at them, list their revisions, go back.", no_args_is_help=True)


@app.command("get")
def get_plans(output: Output = None) -> None:
    """Show the plans, as `apply` takes them."""
    with open_client() as client:
        document = client.send(Request("GET", ("plans",))).body
    show_document(document, output)


@app.command("history")
def list_revisions(output: Output = None) -> None:
    """List the revisions of the plans, newest first."""
    show_pages(("plans", "revisions"), REVISION_COLUMNS, "the plans have no history", output)


@app.command("rollback")
def roll_back(revision: Revision, wait: Wait = False, timeout: Timeout = None, output: Output = None) -> None:
    """Write the plans of an old revision again, as a new one."""
    query, extra_s = wait_query(wait=wait, timeout=timeout)
    request = Request("POST", ("plans", "rollback"), query, {"revision": revision}, extra_s=extra_s)
    with open_client() as client:
        answer = client.send(request).body
    report_rollback(answer, f"the plans are as they were at revision {revision}", output)
