"""`portico limits`: how much of a tenant's limits is used now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from typing import Annotated, Any

import typer

from store.model import did_you_mean
from store.model.faults import shown
from tenants.commands.client import AdminClient, Request
from tenants.commands.failures import CommandFailed
from tenants.commands.output import OutputFormat, note, show_data, show_table
from tenants.commands.session import Output, Tenant, format_of, open_client

PAGE = "200"
MOST_SHOWN = 100
HEADS = ("limit", "rule", "key", "used", "of", "left", "back in", "note")
_STEPS = ((2 * 86_400, 86_400, "d"), (7200, 3600, "h"), (120, 60, "min"), (10, 1, "s"))

Row = Mapping[str, Any]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("limits")(limits)


def limits(
    tenant: Tenant,
    limit: Annotated[str | None, typer.Option("--limit", metavar="NAME", help="Only this limit.")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="KEY", help="Only this caller, as it is listed.")] = None,
    output: Output = None,
) -> None:
    """Show what a tenant's limits count now, most used first. The table has 100 rows at most, json and yaml all."""
    with open_client() as client:
        found = _read(client, tenant, {"name": limit, "key": key})
        if limit is not None and not found["limits"] and not found["items"]:
            raise _unknown(client, tenant, limit)
    written = format_of(output)
    if written is not OutputFormat.TABLE:
        show_data(found, written)
        return
    rules = {one["name"]: one for one in found["limits"]}
    counts = nlargest(MOST_SHOWN, found["items"], key=_share)
    used = {one["name"] for one in found["items"] if one["in_force"]}
    idle = [] if key is not None else [one for name, one in rules.items() if name not in used]
    rows = [_row(one, rules.get(one["name"])) for one in counts] + [_idle_row(one) for one in idle]
    show_table(HEADS, _aligned(rows), f"nothing is counted of tenant {tenant}" + (" by that" if limit or key else ""))
    if len(counts) < len(found["items"]):
        note(f"and {len(found['items']) - len(counts)} more that are used less: see --limit, --key or --output json")


def _read(client: AdminClient, tenant: str, query: Mapping[str, str | None]) -> dict[str, Any]:
    """Read all pages; what was found twice, as counts come and go, stands once."""
    items: dict[tuple[str, ...], Row] = {}
    cursor: str | None = None
    while True:
        request = Request("GET", ("tenants", tenant, "limits"), {**query, "limit": PAGE, "cursor": cursor})
        page = client.send(request).body
        items.update({(one["name"], one["key"], one["kind"]): one for one in page["items"]})
        cursor = page["cursor"]
        if cursor is None:
            return {
                "at": page["at"],
                "limits": page["limits"],
                "items": sorted(items.values(), key=_share, reverse=True),
            }


def _unknown(client: AdminClient, tenant: str, limit: str) -> CommandFailed:
    """Say that there is no limit of this name, neither declared nor still counted, and which there are."""
    page = client.send(Request("GET", ("tenants", tenant, "limits"), {"limit": "1"})).body
    names = sorted(one["name"] for one in page["limits"])
    hint = did_you_mean(limit, names)
    return CommandFailed(f"tenant {tenant} has no limit {shown(limit)}{hint}", [f"it has {', '.join(names) or 'none'}"])


def _share(one: Row) -> float:
    return (one["used"] + one["owed"]) / one["most"] if one["most"] and one["used"] is not None else -1.0


def _row(one: Row, rule: Row | None) -> list[object]:
    notes = [
        "" if one["in_force"] else "not in force",
        "shadow" if one["shadow"] else "",
        f"{one['owed']} owed" if one["owed"] else "",
        f"on {one['workers']} worker{'s' * (one['workers'] != 1)}" if one["workers"] else "",
    ]
    known = _words(rule) if rule is not None and one["in_force"] else one["kind"]
    numbers = [one["used"], one["most"], one["left"]]
    return [one["name"], known, one["key"], *numbers, _time(one["back_in_s"]), ", ".join(filter(None, notes))]


def _idle_row(rule: Row) -> list[object]:
    notes = ["nobody now", *(["shadow"] if rule["declared"].get("shadow") else [])]
    return [rule["name"], _words(rule), None, 0, rule["most"], rule["most"], None, ", ".join(notes)]


def _words(rule: Row) -> str:
    declared = rule["declared"]
    if rule["kind"] == "concurrent":
        return f"{declared['concurrent']} at once"
    return str(declared[rule["kind"]])


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    for least, unit, word in _STEPS:
        if seconds >= least:
            return f"{seconds / unit:.0f} {word}"
    return f"{seconds:.1f} s"


def _aligned(rows: Sequence[Sequence[object]]) -> Iterable[list[object]]:
    """Right-align the numbers, as digits are compared."""
    widths = {at: max([len(HEADS[at]), *(len(_digits(row[at])) for row in rows)]) for at in (3, 4, 5)}
    for row in rows:
        yield [_digits(value).rjust(widths[at]) if at in widths else value for at, value in enumerate(row)]


def _digits(value: object) -> str:
    return "-" if value is None else str(value)
