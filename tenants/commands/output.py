"""What a command shows: a table or lines for people, JSON or YAML for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import yaml
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

UNLIMITED_COLUMNS = 100_000
# Milliseconds are for programs.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class OutputFormat(StrEnum):
    """How to show what was found."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def to_json(value: object) -> str:
    """JSON to be read by a program, indented for the person who looks at it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def to_yaml(value: object) -> str:
    """YAML in the order given, without anchors."""
    return yaml.dump(value, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=110).rstrip("\n")


def show_data(value: object, output: OutputFormat) -> None:
    """Write JSON or YAML to standard output; a table is the command's own business."""
    write(to_json(value) if output is OutputFormat.JSON else to_yaml(value))


def show_table(heads: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Write a table to standard output; `empty` says on standard error that there is nothing to show."""
    listed = [[_cell(value) for value in row] for row in rows]
    if not listed:
        note(empty)
        return
    # A pipe gets the same columns without the rule: one line for each row, and one for the heads.
    box = SIMPLE_HEAD if sys.stdout.isatty() else None
    table = Table(box=box, pad_edge=False, show_edge=False, header_style="bold")
    for head in heads[:-1]:
        table.add_column(head, overflow="fold", no_wrap=True)
    table.add_column(heads[-1], overflow="fold")  # the one that gives way on a narrow terminal
    for row in listed:
        table.add_row(*(Text(cell) for cell in row))
    console = _console()
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        write(line.rstrip())


def show_fields(fields: Mapping[str, object]) -> None:
    """Write one thing as lines of `name: value` to standard output, values in one column."""
    widest = max(len(name) for name in fields) + 2
    for name, value in fields.items():
        write(f"{name + ':':<{widest}}{_cell(value)}")


def write(text: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Write a line for people to standard error, so that what a program reads stays clean."""
    sys.stderr.write(text + "\n")


def clean(text: str) -> str:
    """A text that moves no cursor: control characters, as escape sequences are made of, are shown as `\\x1b`."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return value.partition(".")[0].replace("T", " ") + "Z"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return clean(", ".join(str(item) for item in value)) or "-"
    return clean(str(value))


def _console() -> Console:
    # On a terminal rich folds to its width; in a pipe every row stays one line.
    if sys.stdout.isatty():
        return Console(file=sys.stdout, highlight=False, markup=False)
    return Console(file=sys.stdout, width=UNLIMITED_COLUMNS, highlight=False, markup=False, no_color=True)


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)
