"""The `portico` command: the nouns of the admin API, declarative configuration, and the processes to run.

Everything but `validate`, `settings`, `hash-password` and the processes speaks HTTP with the admin API at
PORTICO_ADMIN_URL, as the holder of PORTICO_TOKEN. Exit status: 0 done, 1 refused, 2 usage or cannot connect.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from tenants.commands import config, domain, fleet, limits, logins, passwords, plans, processes, route, secrets, tenant
from tenants.commands.failures import REFUSED, USAGE, CommandFailed
from tenants.commands.output import OutputFormat, clean
from tenants.commands.session import Root, set_root

app = typer.Typer(
    name="portico",
    help="The multi-tenant edge: run it, and change what it serves.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
processes.register(app)
config.register(app)
fleet.register(app)
limits.register(app)
passwords.register(app)
app.add_typer(tenant.app, name="tenant")
app.add_typer(domain.app, name="domain")
app.add_typer(plans.app, name="plans")
app.add_typer(route.app, name="route")
app.add_typer(secrets.keys, name="key")
app.add_typer(secrets.tokens, name="token")
app.add_typer(logins.app, name="session")


def _show_version(asked: bool) -> None:
    if asked:
        try:
            sys.stdout.write(f"portico {version('portico')}\n")
        except PackageNotFoundError:
            sys.stdout.write("portico, not installed\n")
        raise typer.Exit


@app.callback()
def root(
    admin_url: Annotated[
        str | None, typer.Option("--admin-url", metavar="URL", help="The admin API to talk to [PORTICO_ADMIN_URL].")
    ] = None,
    output: Annotated[OutputFormat | None, typer.Option("--output", "-o", help="How to show what is found.")] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """The multi-tenant edge: run it, and change what it serves."""
    set_root(Root(admin_url, output))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process; whatever happens, errors are lines on standard error."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        status = app(args=None if arguments is None else list(arguments), prog_name="portico", standalone_mode=False)
        sys.stdout.flush()
    except CommandFailed as error:
        return _fail(error.lines(), error.exit_code)
    except typer.TyperException as error:
        return _fail_usage(error.format_message().replace("Value error, ", ""), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return _fail(["stopped"], 128 + signal.SIGINT)
    except BrokenPipeError:
        # whoever read our output has enough of it; keep the interpreter from flushing into the closed pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except Exception as error:
        return _fail([f"something went wrong here: {type(error).__name__}: {error}"], USAGE)
    return status if isinstance(status, int) else 0


def _fail_usage(message: str, status: int) -> int:
    if message.startswith("Usage:"):  # asked for nothing: the answer is the help
        sys.stderr.write(message + "\n")
        return status
    return _fail(message.splitlines(), status)


def _fail(lines: Sequence[str], status: int) -> int:
    first, *rest = lines or [""]
    sys.stderr.write("\n".join([f"portico: {clean(first)}", *(clean(line) for line in rest)]) + "\n")
    return status
