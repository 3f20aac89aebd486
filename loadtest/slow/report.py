"""What was found of each kind of slow client, whether it is as promised, and the table of it; pure."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadtest.interpreter import this_interpreter
from loadtest.slow.bystander import Seen
from loadtest.slow.kinds import Kind, Scale

BOMB_BAR_KIB = 1024.0


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of one kind; `ends` counts how they ended, `left` is what targets' connections they left."""

    kind: Kind
    each_kib: float
    ends: Mapping[str, int]
    first_s: float
    last_s: float
    alone: Seen
    beside: Seen
    left: int


@dataclass(frozen=True, slots=True)
class Bombs:
    """What was found of bodies that unpack to a thousand times their size: how many came back as they were."""

    sent: int
    packed_bytes: int
    unpacked_bytes: int
    identical: int
    grown_kib: float
    alone: Seen
    beside: Seen


def faults(found: Found) -> list[str]:
    """Name what is not as promised: nothing when all is."""
    kind, said = found.kind, []
    if found.ends != {kind.end: kind.count}:
        said.append("ended otherwise")
    if not kind.due_s - kind.early_s <= found.first_s <= found.last_s <= kind.due_s + kind.late_s:
        said.append("not in time")
    if kind.bar_kib is not None and found.each_kib > kind.bar_kib:
        said.append("memory")
    if found.beside.failed:
        said.append("the bystander")
    if found.left > 0:
        said.append("targets' connections are left")
    return said


def bomb_faults(bombs: Bombs) -> list[str]:
    """Name what is not as promised of these."""
    checks = {
        "not the same": bombs.identical != bombs.sent,
        "memory": bombs.grown_kib > BOMB_BAR_KIB,
        "the bystander": bombs.beside.failed > 0,
    }
    return [name for name, is_fault in checks.items() if is_fault]


def report(found: Sequence[Found], bombs: Bombs | None, scale: Scale, open_files: int) -> str:
    """Write the part of the results, in Markdown."""
    machine = f"{os.cpu_count()} cores, Linux {platform.release()}, {this_interpreter()}"
    lines = [
        "# Slow clients",
        "",
        "Written by `python -m loadtest slow --write-results`; not by hand.",
        "",
        f"* {machine}; shared by the worker, the clients, the targets and Redis; {open_files:,} open files for each",
        f"* {_settings(scale)}",
        "* memory is the highest resident memory of the worker less that before, for each client",
        "* the bystander asks on one connection, one request after the other; p99 in ms alone, and beside them",
        "",
        "| row | clients | of them | KiB each | bar | ended | after s | bystander p99 ms | its answers | verdict |",
        "|---|---|---:|---:|---:|---|---:|---:|---:|---|",
        *(_line(each) for each in found),
    ]
    if bombs is not None:
        lines += ["", _bombs_line(bombs)]
    return "\n".join(lines)


def _settings(scale: Scale) -> str:
    said = f"deadlines: {scale.deadline_s:g} s for heads, handshakes, the grace of bodies, bodies that stop and targets"
    said += f" that take nothing, {scale.stall_s:g} s for answers that nobody reads"
    return f"{said} (unless set otherwise 10, 10, 10, 30, 60 and 30 s)"


def _line(found: Found) -> str:
    kind = found.kind
    ends = ", ".join(f"{count:,} {end}" for end, count in sorted(found.ends.items()))
    cells = [
        kind.row,
        kind.what,
        f"{kind.count:,}",
        f"{found.each_kib:.1f}",
        "" if kind.bar_kib is None else f"≤ {kind.bar_kib:g}",
        ends,
        f"{found.first_s:.1f}-{found.last_s:.1f} (due {kind.due_s:g}, at most {kind.due_s + kind.late_s:g})",
        f"{found.alone.p99_ms:.1f}, {found.beside.p99_ms:.1f}",
        _answers(found.beside),
        _verdict(faults(found)),
    ]
    return f"| {' | '.join(cells)} |"


def _bombs_line(bombs: Bombs) -> str:
    sizes = f"{bombs.packed_bytes / 1e6:.1f} MB of gzip that unpack to {bombs.unpacked_bytes / 2**30:g} GiB"
    return (
        f"T62: {sizes}, up and back down through the edge, {bombs.sent} times: {bombs.identical} came back as they "
        f"were; resident memory +{bombs.grown_kib:.0f} KiB (bar {BOMB_BAR_KIB:.0f}); bystander's p99 "
        f"{bombs.alone.p99_ms:.1f} ms alone, {bombs.beside.p99_ms:.1f} beside, {_answers(bombs.beside)} answers: "
        f"{_verdict(bomb_faults(bombs))}"
    )


def _answers(seen: Seen) -> str:
    return f"{seen.asked - seen.failed:,} of {seen.asked:,}"


def _verdict(said: Sequence[str]) -> str:
    return f"MISSED: {', '.join(said)}" if said else "holds"
