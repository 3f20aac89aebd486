"""What a process and all its descendants have cost: processor time and resident memory, read from /proc."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Stat:
    """One process: its own time, user and system, and that of its children that have ended and been waited for."""

    pid: int
    parent: int
    cpu_ticks: int
    resident_pages: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a tree of processes has used so far, and holds now."""

    cpu_s: float
    resident_bytes: int


def parse_stat(text: str) -> Stat:
    """Read a line of /proc/PID/stat; a process may have any name, brackets and spaces included (proc(5))."""
    pid = int(text.partition(" ")[0])
    rest = text.rpartition(")")[2].split()
    return Stat(pid, int(rest[1]), sum(int(ticks) for ticks in rest[11:15]), int(rest[21]))


def cost_of(stats: Iterable[Stat], root: int) -> Cost:
    """Add up the process `root` and all its descendants. Raises ProcessLookupError when there is no such process."""
    known = {stat.pid: stat for stat in stats}
    if root not in known:
        raise ProcessLookupError(f"process {root} has ended")
    children: defaultdict[int, list[int]] = defaultdict(list)
    for stat in known.values():
        children[stat.parent].append(stat.pid)
    family, to_visit = [], [root]
    while to_visit:
        pid = to_visit.pop()
        family.append(known[pid])
        to_visit += children[pid]
    return Cost(
        sum(stat.cpu_ticks for stat in family) / TICKS_PER_S, sum(stat.resident_pages for stat in family) * PAGE_BYTES
    )


def cost_now(root: int) -> Cost:
    """Read what a process and its descendants have cost until now. Raises ProcessLookupError."""
    stats = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has ended since
                stats.append(parse_stat((folder / "stat").read_text(errors="replace")))
    return cost_of(stats, root)


def busy_s(text: str) -> float:
    """Read the seconds that all cores together have worked, from the text of /proc/stat (proc(5))."""
    user, nice, system, _idle, _iowait, *others = (int(ticks) for ticks in text.splitlines()[0].split()[1:9])
    return (user + nice + system + sum(others)) / TICKS_PER_S


class Bystanders:
    """How many cores others kept busy on this machine since this was made."""

    def __init__(self) -> None:
        self._started = self._now()

    def cores(self) -> float:
        """Return their share until now; ours, and that of all we started, is not in it."""
        wall_s, others_s = (now - then for now, then in zip(self._now(), self._started, strict=True))
        return max(0.0, others_s / wall_s)

    def _now(self) -> tuple[float, float]:
        return time.monotonic(), busy_s(Path("/proc/stat").read_text()) - cost_now(os.getpid()).cpu_s
