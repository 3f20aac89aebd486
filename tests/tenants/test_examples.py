"""The worked examples of tenants/README.md, typed into a shell before a running `portico dev`."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.fakes.dev import RunningDev, running_dev, shell
from tests.fakes.examples import EDGE, Example, read_examples
from tests.fakes.source import ROOT

README = ROOT / "tenants" / "README.md"
EXAMPLES = read_examples(README, "Worked examples")
RUN_BY = {
    "A key, from its making to its end": "test_a_key_is_made_and_revoked_as_the_readme_shows_it",
    "Who has used how much": "test_limits_are_looked_at_as_the_readme_shows_it",
}


@pytest.fixture(scope="module")
def dev() -> Iterator[RunningDev]:
    with running_dev() as running:
        yield running


def sample_port(dev: RunningDev) -> int:
    """Where the sample upstream stands."""
    [sample] = [each for each in dev.family() if "loadtest.origin" in each.cmdline()]
    return next(each.laddr.port for each in sample.net_connections() if each.status == "LISTEN")


def typed(example: Example, dev: RunningDev, folder: Path) -> str:
    """Run an example as whoever follows it does; each call is to be answered with the status behind it."""
    portico = folder / "bin" / "portico"
    portico.parent.mkdir()
    portico.write_text(f'#!/bin/sh\nexec {sys.executable} -m tenants "$@"\n')
    portico.chmod(portico.stat().st_mode | stat.S_IXUSR)
    script = example.script.replace(EDGE, f"127.0.0.1:{dev.port('/echo')}")
    script = script.replace("127.0.0.1:9000", f"127.0.0.1:{sample_port(dev)}")
    said = shell(
        script,
        folder,
        PATH=f"{portico.parent}:{os.environ['PATH']}",
        PORTICO_ADMIN_URL=f"http://127.0.0.1:{dev.port('/v1/docs')}",
        PORTICO_TOKEN=dev.token,
    )
    assert re.findall(r"HTTP/1\.1 (\d+)", said) == [str(call.status) for call in example.calls]
    return said


def test_each_example_is_run() -> None:
    assert {title: name in globals() for title, name in RUN_BY.items()} == dict.fromkeys(EXAMPLES, True)


def test_a_key_is_made_and_revoked_as_the_readme_shows_it(dev: RunningDev, tmp_path: Path) -> None:
    said = typed(EXAMPLES["A key, from its making to its end"], dev, tmp_path)
    [row] = re.findall(r"^\w+ +ci +read +.*$", said, re.MULTILINE)
    created, *_, expires = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", row)
    assert (datetime.fromisoformat(expires) - datetime.fromisoformat(created)).days == 90
    assert re.search(r"^key \w+ revoked on 2/2 workers in \d+ ms", said, re.MULTILINE)


def test_limits_are_looked_at_as_the_readme_shows_it(dev: RunningDev, tmp_path: Path) -> None:
    said = typed(EXAMPLES["Who has used how much"], dev, tmp_path)
    shown = said[said.index("limit ") :]
    table, _, data = shown.partition("{")
    [promised] = re.findall(r"^(limit  .*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    assert [cells(line) for line in table.splitlines()] == [cells(line) for line in promised.splitlines()]
    found = json.loads("{" + data)
    assert [(one["name"], one["key"], one["used"], one["left"]) for one in found["items"]] == [
        ("per-team", "red", 2, 2)
    ]


def cells(line: str) -> list[str]:
    """The cells of a row, but for when a count is back: that is another moment each time."""
    row = re.split(r"  +", line.strip())
    return [*row[:6], *row[7:]]
