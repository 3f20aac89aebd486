"""What every command shares: where the admin API is, as whom to ask, and how to show the answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from store.settings import SettingsError, load_settings
from tenants.commands.client import AdminClient
from tenants.commands.failures import CommandFailed, usage
from tenants.commands.output import OutputFormat, show_data, show_table


@dataclass(frozen=True, slots=True)
class Root:
    """The options in front of the command."""

    admin_url: str | None = None
    output: OutputFormat | None = None


NOTHING_IN_FRONT = Root()
_root: ContextVar[Root] = ContextVar("root", default=NOTHING_IN_FRONT)

Columns = Mapping[str, str | Callable[[Any], object]]
"""The columns of a table, by their heads: the field of an item that is in them, or what makes it of an item."""

Output = Annotated[
    OutputFormat | None,
    typer.Option("--output", "-o", help="table for people, json or yaml for programs", show_default="table"),
]
Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def set_root(root: Root) -> None:
    """Remember the options in front of the command."""
    _root.set(root)


def format_of(output: OutputFormat | None, default: OutputFormat = OutputFormat.TABLE) -> OutputFormat:
    """The format to use: the command's own option, else the one in front of it, else the default."""
    return output or _root.get().output or default


def open_client() -> AdminClient:
    """Return a client for the admin API that the settings name; the caller closes it."""
    try:
        settings = load_settings("cli", {"admin_url": _root.get().admin_url}, os.environ)
    except SettingsError as error:
        raise CommandFailed("the settings cannot be used", error.faults, exit_code=2) from error
    if not settings.token:
        raise usage("no token: set PORTICO_TOKEN to an operator's or a tenant's token")
    return AdminClient(settings.admin_url, settings.token)


def show_pages(path: tuple[str, ...], columns: Columns, empty: str, output: OutputFormat | None) -> list[Any]:
    """Read a paged list to its end and show it; `empty` says that there is nothing. Returns the items."""
    with open_client() as client:
        items = list(client.pages(path))
    shown = format_of(output)
    if shown is OutputFormat.TABLE:
        rows = [[item[cell] if isinstance(cell, str) else cell(item) for cell in columns.values()] for item in items]
        show_table(list(columns), rows, empty)
    else:
        show_data(items, shown)
    return items


def show_document(document: object, output: OutputFormat | None) -> None:
    """Show a document, or a part of one, as it is written in files: as YAML unless JSON is asked for."""
    shown = format_of(output, OutputFormat.YAML)
    show_data(document, OutputFormat.YAML if shown is OutputFormat.TABLE else shown)


def confirm(question: str, *, yes: bool) -> None:
    """Ask a person at a terminal before something is deleted; a script has decided already."""
    if yes or not (os.isatty(0) and os.isatty(1)):
        return
    typer.confirm(question, abort=True)
