"""The commands that run for as long as they are let: `dev`, `control`, `edge`.

Each is a program of its own, and this process becomes it: the command line imports no plane, and whoever started
`portico edge` has the edge's own process id and exit status.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (dev, control, edge):
        app.command(command.__name__, context_settings=PASSED_ON)(command)


def dev(context: typer.Context) -> NoReturn:
    """Run everything on this machine, to try it. `portico dev --help` lists its options."""
    _become("tenants.dev", context)


def control(context: typer.Context) -> NoReturn:
    """Run one control plane. `portico control --help` lists its options."""
    _become("tenants.control", context)


def edge(context: typer.Context) -> NoReturn:
    """Run one edge node. `portico edge --help` lists its options."""
    _become("edge", context)


def _become(module: str, context: typer.Context) -> NoReturn:
    os.execv(sys.executable, [sys.executable, "-m", module, *context.args])  # noqa: S606 - no shell is wanted
