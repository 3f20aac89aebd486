"""`portico hash-password`: what a document keeps of a password for basic authentication."""

from __future__ import annotations

import re
import sys
from unicodedata import normalize

import typer
from argon2 import PasswordHasher

from tenants.commands.failures import usage
from tenants.commands.output import OutputFormat, show_data, write
from tenants.commands.session import Output, format_of

# OWASP's Password Storage Cheat Sheet, the first of its choices with less memory: 20 ms of an edge for each check.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
MAX_PASSWORD_CHARS = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("hash-password")(hash_password)


def hash_password(output: Output = None) -> None:
    """Hash a password for basic authentication.

    It is asked for, or read from standard input.
    """
    # Never an argument: a command line can be read by every user of the machine, and stays in the shell's history.
    password = normalize("NFC", _read())  # as the edge does with what a client sends
    if not password:
        raise usage("the password is empty")
    if len(password) > MAX_PASSWORD_CHARS:
        raise usage(f"the password is longer than {MAX_PASSWORD_CHARS} characters")
    if _CONTROL.search(password) is not None:
        raise usage("the password has a control character, which no client can send (RFC 7617)")
    made = HASHER.hash(password)
    shown = format_of(output)
    if shown is OutputFormat.TABLE:
        write(made)
    else:
        show_data({"hash": made}, shown)


def _read() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    try:
        return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise usage("the password on standard input is not UTF-8") from error
