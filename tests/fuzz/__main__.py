"""Fuzz for a while, with new examples each time: python -m tests.fuzz [--seconds N] [--only FAMILY] [--seed N].

A finding is made as small as it can be, printed, and kept in `corpus/`, where the tests find it; status 1 if there was
one. `FUZZ_S` in the environment is the default of `--seconds`.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import FlakyFailure

from store.embedded import RedisProcess
from tests.fuzz.families import FAMILIES, Family, keep
from tests.fuzz.rig import Rig, Violation, running_rig

ROUND_EXAMPLES = 100
HOUR_S = 3600


class Run:
    """One run: what it has tried and found."""

    def __init__(self, rig: Rig, numbers: random.Random) -> None:
        self._rig = rig
        self._numbers = numbers
        self._began = time.strftime("%Y%m%d%H%M%S", time.gmtime())
        self.examples = 0
        self.findings: set[Path] = set()

    def round(self, name: str) -> None:
        """Try a hundred examples, times the family's share, or until the first finding and what is left of it."""
        family = FAMILIES[name]

        @seed(self._numbers.getrandbits(64))
        @settings(
            max_examples=ROUND_EXAMPLES * family.share,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        @given(family.examples)
        def tried(example: Any) -> None:
            self._try(name, family, example)

        try:
            tried()
        except Violation as found:
            _say(f"{name}: {found}")
        except FlakyFailure as unsteady:
            _say(f"{name}, not every time: {unsteady.exceptions[0]}")

    def _try(self, name: str, family: Family, example: Any) -> None:
        self.examples += 1
        try:
            family.check(self._rig, example)
        except Violation as found:
            # Hypothesis ends with the smallest: each that fails the same way replaces the one before.
            self.findings.add(keep(f"{self._began}-{name}-{found.property_name}", name, example))
            raise


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Fuzz until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz a running edge.")
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("FUZZ_S", HOUR_S)))
    parser.add_argument("--only", choices=sorted(FAMILIES))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    arguments = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())
    names = [arguments.only] if arguments.only else list(FAMILIES)
    until_s = time.monotonic() + arguments.seconds
    _say(f"fuzzing for {arguments.seconds:g} s with --seed {arguments.seed}")
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisProcess(Path(folder)) as redis,
        running_rig(redis.url) as rig,
    ):
        run = Run(rig, random.Random(arguments.seed))
        while time.monotonic() < until_s:
            for name in names:
                if time.monotonic() < until_s:
                    run.round(name)
                    _say(f"{run.examples} examples, {rig.sent} connections, {len(run.findings)} findings")
    for path in sorted(run.findings):
        _say(f"kept: {path.name}")
    return 1 if run.findings else 0


if __name__ == "__main__":
    sys.exit(main())
