"""The commands that run for as long as they are let: `dev`, `control`, `edge`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Annotated, NoReturn

import typer

from store.settings import Plane, Settings, SettingsError, load_settings
from tenants.commands.failures import USAGE, CommandFailed, usage
from tenants.control import StartFailed, run

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("control")(control)
    app.command("edge", context_settings=PASSED_ON)(edge)


def control(
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="Where the admin API answers [127.0.0.1:8081].")
    ] = None,
    redis: Annotated[
        str | None, typer.Option("--redis", metavar="URL", help="The Redis that holds the configuration.")
    ] = None,
) -> None:
    """Run one control-plane process: the admin API."""
    settings = _load("control", {"control_listen": listen, "redis_url": redis})
    try:
        run(settings)
    except StartFailed as error:
        raise usage(str(error)) from error


def edge(context: typer.Context) -> NoReturn:
    """Run one edge node. `portico edge --help` lists its options."""
    # The planes do not import each other: the edge is another program, which takes this process over.
    os.execv(sys.executable, [sys.executable, "-m", "edge", *context.args])  # noqa: S606 - no shell is wanted


def _load(plane: Plane, flags: Mapping[str, str | None]) -> Settings:
    try:
        return load_settings(plane, flags, os.environ)
    except SettingsError as error:
        raise CommandFailed("the settings cannot be used", error.faults, USAGE) from error
