"""Declarative configuration: validate, diff, apply, export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from store.model import PLANS
from tenants.commands.apply import PRUNED, SPARE, Applied, Step, apply_all, rehearse_all
from tenants.commands.client import AdminClient, ApiRefused, Request
from tenants.commands.failures import CommandFailed, FaultsFound
from tenants.commands.files import Files, MoreFiles, load_files
from tenants.commands.output import (
    OutputFormat,
    clean,
    note,
    show_data,
    show_table,
    to_json,
    to_yaml,
    write,
)
from tenants.commands.session import Output, format_of, open_client
from tenants.commands.writes import Timeout, Wait, wait_query

Prune = Annotated[bool, typer.Option("--prune", help="Also delete every tenant that the files do not describe.")]
Documents = list[dict[str, Any]]
ONE_TENANTS_TROUBLE = frozenset({"not_found", "record_unreadable"})
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and show what would change; write nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("validate")(validate)
    app.command("diff")(diff)
    app.command("apply")(apply)
    app.command("export")(export)


def validate(files: Files = None, more: MoreFiles = None, output: Output = None) -> None:
    """Check configuration files, offline. Every fault is listed with its path."""
    loaded = load_files(files, more)
    shown = format_of(output)
    if shown is OutputFormat.TABLE:
        rows: list[tuple[object, ...]] = [(PLANS, None, None, loaded.plans.place)] if loaded.plans else []
        rows += [(one.tenant, len(one.document.domains), len(one.document.routes), one.place) for one in loaded.tenants]
        show_table(("tenant", "domains", "routes", "where"), rows, "")
        return
    names = [*((PLANS,) if loaded.plans else ()), *(one.tenant for one in loaded.tenants)]
    show_data([{"tenant": name, "valid": True} for name in names], shown)


def diff(files: Files = None, more: MoreFiles = None, prune: Prune = False, output: Output = None) -> None:
    """Show what `apply` would change."""
    loaded = load_files(files, more)
    with open_client() as client:
        show_steps(rehearse_all(client, loaded, prune=prune), format_of(output))


def apply(  # noqa: PLR0913 - a command's options are its parameters
    files: Files = None,
    more: MoreFiles = None,
    dry_run: DryRun = False,
    wait: Wait = False,
    timeout: Timeout = None,
    prune: Prune = False,
    output: Output = None,
) -> None:
    """Make tenants and plans what the files say. All of it is checked before the first write."""
    with _nothing_written():
        loaded = load_files(files, more)
    query, extra_s = wait_query(wait=wait, timeout=timeout)
    shown = format_of(output)
    with open_client() as client:
        with _nothing_written():
            steps = rehearse_all(client, loaded, prune=prune)
        if dry_run:
            show_steps(steps, shown)
            return
        results = apply_all(client, steps, query, extra_s)
    show_results(results, shown)
    missed = [one for one in results if not one.is_done]
    if missed:
        faults = [fault for one in missed for fault in one.faults()]
        raise CommandFailed(f"{len(missed)} of {len(results)} documents are not as the files say", faults)


def export(
    tenants: Annotated[list[str] | None, typer.Argument(metavar="[TENANT]...", show_default=False)] = None,
    output: Output = None,
) -> None:
    """Write documents for `apply`. The plans and all tenants', unless some are named; exit 1 if any cannot be read."""
    shown = format_of(output, OutputFormat.YAML)
    with open_client() as client:
        documents, missed = _read_named(client, tenants) if tenants else _read_all(client)
    if shown is OutputFormat.JSON and (documents or not missed):
        write(to_json(documents[0] if len(documents) == 1 else documents))
    elif documents:
        write("\n---\n".join(to_yaml(document) for document in documents))
    elif not missed:
        note("there are no tenants")
    if missed:
        count = len(documents) + len(missed)
        raise CommandFailed(f"{len(missed)} of {count} document{'s' * (count > 1)} could not be exported", missed)


@contextmanager
def _nothing_written() -> Iterator[None]:
    """Add to faults what a reader of `apply` wants to know first."""
    try:
        yield
    except FaultsFound as error:
        raise CommandFailed(f"{error.message}; nothing was written", error.faults) from error


def _read_all(client: AdminClient) -> tuple[Documents, list[str]]:
    documents, missed = _read_plans(client)
    items = list(client.pages(("tenants",)))
    missed += [f"{item['tenant']}: cannot be read: {item['error']}" for item in items if item["document"] is None]
    return documents + [item["document"] for item in items if item["document"] is not None], missed


def _read_plans(client: AdminClient) -> tuple[Documents, list[str]]:
    """The plans, first of all, if there are any and the token is one of those who may look at them."""
    try:
        return [client.send(Request("GET", ("plans",))).body], []
    except ApiRefused as error:
        if error.code == "record_unreadable":
            return [], [f"{PLANS}: {error.message}"]
        if error.code not in ("not_found", "forbidden"):
            raise
        return [], []


def _read_named(client: AdminClient, tenants: list[str]) -> tuple[Documents, list[str]]:
    documents: Documents = []
    missed: list[str] = []
    for tenant in tenants:
        try:
            documents.append(client.send(Request("GET", ("tenants", tenant))).body)
        except ApiRefused as error:
            if error.code not in ONE_TENANTS_TROUBLE or len(tenants) == 1:
                raise
            missed.append(f"{tenant}: {error.message}")
    return documents, missed


def show_steps(steps: list[Step], output: OutputFormat) -> None:
    """Show what would change, tenant by tenant."""
    if output is not OutputFormat.TABLE:
        show_data([step.shown() for step in steps], output)
        return
    for step in steps:
        write(f"{step.tenant}: {step.verb if step.verb != SPARE else f'left as it is, for it {step.note}'}")
        for difference in step.differences:
            write(f"  {_difference(difference)}")


def show_results(results: list[Applied], output: OutputFormat) -> None:
    """Show what was done, tenant by tenant."""
    if output is not OutputFormat.TABLE:
        show_data([one.shown() for one in results], output)
        return
    rows = [(one.tenant, one.verb, one.revision if one.verb != PRUNED else None, one.note) for one in results]
    show_table(("tenant", "result", "revision", "note"), rows, "nothing to do")


def _difference(difference: dict[str, Any]) -> str:
    path, verb = clean(difference["path"]), difference["verb"]
    before, after = (clean(json.dumps(difference[side], ensure_ascii=False)) for side in ("before", "after"))
    match verb:
        case "added":
            return f"+ {path}: {after}"
        case "removed":
            return f"- {path}: {before}"
        case "reordered":
            return f"~ {path}: order"
        case _:
            return f"~ {path}: {before} -> {after}"
