"""The fleet, history and settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from store.settings import describe_settings
from tenants.commands.client import Request
from tenants.commands.output import OutputFormat, show_data, show_table, write
from tenants.commands.session import Output, Tenant, format_of, open_client, show_pages
from tenants.commands.writes import Timeout, Wait, report, wait_query


def _read_revision(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise typer.BadParameter(f"expected a revision as `portico history` lists them, not {text!r}")
    return int(text)


Revision = Annotated[
    int,
    typer.Argument(metavar="REVISION", parser=_read_revision, help="The revision to go back to.", show_default=False),
]


REVISION_COLUMNS = {"revision": "revision", "at": "at", "action": "action", "by": "actor"}


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("nodes")(nodes)
    app.command("history")(history)
    app.command("rollback")(rollback)
    app.command("settings")(settings)


def nodes(output: Output = None) -> None:
    """List every live worker. Its node, pid, applied revision, lag, last error, and what it refused."""
    with open_client() as client:
        fleet = client.send(Request("GET", ("nodes",))).body
    shown = format_of(output)
    if shown is not OutputFormat.TABLE:
        show_data(fleet, shown)
        return
    rows = [
        (one["node"], one["worker"].rsplit("/", 2)[-2] if one["worker"].count("/") >= 2 else one["worker"],
         one["pid"], one["revision"], one["lag"], one["last_error"])
        for one in fleet["workers"]
    ]  # fmt: skip
    show_table(("node", "worker", "pid", "revision", "lag", "last error"), rows, "no worker is alive")
    refusals = [
        (one["worker"], no["tenant"], no["revision"], no["serving"] or "nothing", no["reason"])
        for one in fleet["workers"]
        for no in one["refused"]
    ]
    if refusals:
        write("\nrefused:")
        show_table(("worker", "tenant", "revision", "served instead", "reason"), refusals, "")


def history(tenant: Tenant, output: Output = None) -> None:
    """List a tenant's revisions, newest first."""
    show_pages(("tenants", tenant, "revisions"), REVISION_COLUMNS, f"tenant {tenant} has no history", output)


def rollback(
    tenant: Tenant, revision: Revision, wait: Wait = False, timeout: Timeout = None, output: Output = None
) -> None:
    """Write an old revision again, as a new one."""
    query, extra_s = wait_query(wait=wait, timeout=timeout)
    request = Request("POST", ("tenants", tenant, "rollback"), query, {"revision": revision}, extra_s=extra_s)
    with open_client() as client:
        answer = client.send(request).body
    report_rollback(answer, f"tenant {tenant} is as it was at revision {revision}", output)


def report_rollback(answer: Mapping[str, Any], sentence: str, output: OutputFormat | None) -> None:
    """Show what a rollback did; `sentence` says what is so now, and maybe was before."""
    report(answer, sentence if answer["changed"] else f"{sentence} already", output)


def settings(output: Output = None) -> None:
    """List every setting and what it is now. Secrets are not shown."""
    rows: list[dict[str, Any]] = [
        {
            "setting": row.setting.name,
            "flag": row.setting.flag,
            "environment": row.setting.env,
            "default": row.setting.default,
            "unit": row.setting.unit,
            "value": row.shown,
            "source": row.source,
            "planes": sorted(row.setting.planes),
            "help": row.setting.help,
        }
        for row in describe_settings(os.environ)
    ]
    shown = format_of(output)
    if shown is not OutputFormat.TABLE:
        show_data(rows, shown)
        return
    for row in rows:
        # two lines each: a table of this would fit no terminal
        write(f"{row['environment']}  {row['flag'] or '(no flag)'}  = {row['value'] or '(empty)'}  [{row['source']}]")
        write(f"    {', '.join(row['planes'])}: {row['help']}")
