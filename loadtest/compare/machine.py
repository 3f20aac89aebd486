"""The machine: which core does what, how many files may be open, and what a report says of it."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

WANTED_FILES = 65_536


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the system that is measured runs, and where everything else does."""

    system: int
    load: int


def choose_cores(available: set[int]) -> Cores:
    """Take the last core for the system that is measured and the first for the rest; one core has to be both."""
    return Cores(system=max(available), load=min(available))


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run this thread, and whatever it starts meanwhile, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def many_files() -> Iterator[int]:
    """Raise the limit of open files as far as we may, for us and what we start; yields the limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in ((WANTED_FILES, max(WANTED_FILES, before[1])), (before[1], before[1])):
        with suppress(ValueError, OSError):  # only a privileged process may go beyond the hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            break
    try:
        yield resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    finally:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (before[0], resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def describe(cpuinfo: str, cores: Cores) -> str:
    """Say in one line what the machine is and what runs where; `cpuinfo` is the text of /proc/cpuinfo."""
    models = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    where = f"the measured system on core {cores.system}; load, origin and Redis on core {cores.load}"
    return f"{model}, {max(1, len(models))} cores, Linux {platform.release()}; {where}"


def this_machine(cores: Cores) -> str:
    """Describe the machine that this runs on."""
    return describe(Path("/proc/cpuinfo").read_text(), cores)
