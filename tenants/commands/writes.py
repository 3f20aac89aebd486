"""What the commands that write have in common: waiting for the fleet, and saying what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from store.model.units import parse_duration_s
from tenants.commands.failures import CommandFailed, usage
from tenants.commands.output import OutputFormat, show_data, write
from tenants.commands.session import format_of

DEFAULT_TIMEOUT = "2s"

Wait = Annotated[bool, typer.Option("--wait", help="Wait until every live worker of the fleet has it; exit 1 if not.")]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout", metavar="TIME", help="How long --wait waits at most, such as 500ms or 5s [2s]."),
]


def wait_query(*, wait: bool, timeout: str | None) -> tuple[dict[str, str | None], float]:
    """The query parameters of a write, and how many seconds longer its answer may take."""
    if not wait:
        if timeout is not None:
            raise usage("--timeout says how long to wait: it needs --wait")
        return {}, 0.0
    text = timeout or DEFAULT_TIMEOUT
    try:
        wait_s = parse_duration_s(text)
    except ValueError as error:
        raise usage(f"--timeout: {error}") from error
    return {"wait": "fleet", "timeout": text}, wait_s


def fleet_words(answer: Mapping[str, Any]) -> str:
    """What the fleet made of a write, in a few words; nothing when it was not asked."""
    if answer.get("wait_error"):
        return str(answer["wait_error"])
    if answer.get("applied") is None:
        return ""
    words = f"applied by {answer['applied']} of {answer['workers']} workers"
    if answer["refused"]:
        words += f", refused by {', '.join(sorted({str(one['worker']) for one in answer['refused']}))}"
    if answer["lagging"]:
        words += f", not yet by {', '.join(answer['lagging'])}"
    return words


def is_everywhere(answer: Mapping[str, Any]) -> bool:
    """Whether nothing is known to be missing: also when the fleet was not asked."""
    return not (answer.get("wait_error") or answer.get("lagging") or answer.get("refused"))


def require_everywhere(answer: Mapping[str, Any]) -> None:
    """End with status 1 when the fleet was asked and not all of it has the write, which is done all the same."""
    if is_everywhere(answer):
        return
    faults = [f"{one['worker']}: {one['tenant']}: {one['reason']}" for one in answer.get("refused") or ()]
    raise CommandFailed(
        f"written as revision {answer['revision']}, but not served everywhere: {fleet_words(answer)}", faults
    )


def revoked_words(answer: Mapping[str, Any]) -> str:
    """What became of a revocation, in a few words: on how many workers of how many, how fast, and on which not."""
    if answer.get("applied") is None:
        return "revoked"
    words = f"revoked on {answer['applied']}/{answer['workers']} workers in {answer['wait_ms']} ms"
    missing = sorted({*answer["lagging"], *(str(one["worker"]) for one in answer["refused"])})
    return f"{words}, not yet on {', '.join(missing)}" if missing else words


def report_revoked(answer: Mapping[str, Any], what: str, output: OutputFormat | None) -> None:
    """Show that something was revoked, as `report` shows other writes."""
    shown = format_of(output)
    if shown is OutputFormat.TABLE:
        error = answer.get("wait_error")
        write(f"{what} {revoked_words(answer)} (revision {answer['revision']}{f', {error}' if error else ''})")
    else:
        show_data(answer, shown)
    require_everywhere(answer)


def report(answer: Mapping[str, Any], sentence: str, output: OutputFormat | None) -> None:
    """Show what a write did, as one sentence or as data, and end with status 1 when it is not served everywhere."""
    shown = format_of(output)
    if shown is OutputFormat.TABLE:
        words = fleet_words(answer)
        write(f"{sentence} (revision {answer['revision']}{f', {words}' if words else ''})")
    else:
        show_data(answer, shown)
    require_everywhere(answer)
