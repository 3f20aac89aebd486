"""Thousands of slow clients at once: what each holds of memory, how it ends, and what one beside them sees.

    python -m loadtest slow [--many 5000] [--few 2000] [--deadline 10] [--stall 30] [--only T54,T55] [--write-results]

Each kind of slowness has a node of its own with one worker. What a client holds is the difference that it makes to the
worker's resident memory at its highest; how long it lasted counts from when it came, or poured last.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import uvloop

from loadtest.compare.machine import many_files
from loadtest.results import RESULTS, write_part
from loadtest.slow.kinds import DEADLINE_S, FEW, MANY, STALL_S, Scale
from loadtest.slow.report import bomb_faults, faults, report
from loadtest.slow.stage import measure

ROWS = ("T54", "T55", "T56", "T62")
SPARE_FILES = 500
FILES_EACH = 2
"""A client has a connection to the edge and one to a target behind it, and a worker or the targets hold both."""


def affordable(wanted: int, open_files: int) -> int:
    """Bound the number of clients by the files that a process may open."""
    return min(wanted, (open_files - SPARE_FILES) // FILES_EACH)


def _rows(text: str) -> tuple[str, ...]:
    rows = tuple(text.split(","))
    if not set(rows) <= set(ROWS):
        raise argparse.ArgumentTypeError(f"rows are {', '.join(ROWS)}")
    return rows


def main(argv: Sequence[str]) -> int:
    """Measure and print; 1 when something is not as promised."""
    parser = argparse.ArgumentParser(prog="python -m loadtest slow", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--many", type=int, default=MANY, help="clients of T54 and T55")
    parser.add_argument("--few", type=int, default=FEW, help="handshakes of T54, and clients of T56")
    parser.add_argument("--deadline", type=float, default=DEADLINE_S, help="of heads, bodies, targets; seconds")
    parser.add_argument("--stall", type=float, default=STALL_S, help="of answers that nobody reads; seconds")
    parser.add_argument("--only", type=_rows, default=(), help="rows of the fault matrix, separated by commas")
    parser.add_argument("--write-results", action="store_true", help=f"write {RESULTS.parent.name}/{RESULTS.name} too")
    options = parser.parse_args(argv)
    if options.many < 1 or options.few < 1 or options.deadline <= 0 or options.stall <= 0:
        parser.error("all figures are above 0")
    if options.only and options.write_results:
        parser.error("the results hold all rows")
    with many_files() as open_files:
        many, few = affordable(options.many, open_files), affordable(options.few, open_files)
        scale = Scale(many, few, options.deadline, options.stall)
        if (many, few) != (options.many, options.few):
            sys.stderr.write(f"{open_files} open files are enough for {many} and {few} clients\n")
        found, bombs = uvloop.run(measure(scale, options.only))
    text = report(found, bombs, scale, open_files)
    sys.stdout.write(text + "\n")
    if options.write_results:
        write_part(text)
    return int(any(map(faults, found)) or (bombs is not None and bool(bomb_faults(bombs))))
