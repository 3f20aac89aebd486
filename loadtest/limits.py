"""What one limit costs a request, counted ahead of requests or one by one.

    python -m loadtest limits [--rounds 5] [--takes 20000] [--write-results]

Sixty-four requests at a time take from one limit, all with one key or each with its own, as `edge` has them taken: the
middleware of a route with one limit, `RateLimit` fields included, before a Redis of its own. Two forms take turns: the
one that the edge uses, and the exact one, which asks Redis for each request. CPU is this process' own, less that of the
same requests without a limit; Redis' is counted apart.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import uvloop

from edge.client_edge.limits import Counting, NamedLimit, take_limits
from edge.context import Identity, ProxyContext
from edge.middleware import ProxyMiddleware
from edge.telemetry.counters import Counters
from edge.worker import settle_memory
from loadtest.interpreter import this_interpreter
from loadtest.results import RESULTS, write_part
from store.client import Client, connect
from store.decisions import Decision, Take, meter_of, names_of, states_of
from store.embedded import RedisProcess
from store.guards import Guards
from store.limiter import Limiter
from store.model import RateLimit
from store.scripts import Argument, script

ROUNDS = 5
TAKES = 20_000
AT_ONCE = 64
LIMIT = {"rate": "100000/s", "burst": 100_000, "by": "key"}
BARS = {("ahead", "one hot key"): 6.0, ("ahead", "each its own key"): 15.0}
MAX_CALLS_ON_A_HOT_KEY = 0.05

Keys = Callable[[int], str]
PATTERNS: dict[str, Keys] = {"one hot key": lambda _: "hot", "each its own key": lambda number: f"k{number}"}


class OneByOne(Limiter):
    """The exact form: Redis is asked for each request, and for nobody else."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, lambda: 1)
        self._redis = client

    def take_at_once(self, tenant: str, takes: tuple[Take, ...]) -> Decision | None:  # noqa: ARG002
        """Decide nothing without Redis."""
        return None

    async def take(self, tenant: str, takes: Sequence[Take]) -> Decision:
        """Ask for one unit."""
        meters = [meter_of(take.shape) for take in takes]
        arguments: list[Argument] = [1, 0, *(argument for of in meters for argument in of.arguments)]
        self._asked_times += 1
        reply = await self._redis.run(script("take"), names_of(tenant, takes), arguments, is_write=True)
        states = list(zip(reply[2::2], reply[3::2], strict=True))
        is_taken = reply[0] == 1
        return Decision(is_taken, states_of(takes, meters, states, is_taken=is_taken), 0.0, "store")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request costs on the average: CPU of the worker, and calls to Redis."""

    cpu_us: float
    calls: float


async def cost_of(middleware: ProxyMiddleware | None, limiter: Limiter | None, keys: Sequence[str]) -> Cost:
    """Have as many requests as there are keys, so many at once."""
    waiting = iter(keys)
    base = ProxyContext()

    async def requests() -> None:
        for key in waiting:
            ctx = base.copy_for(None)  # type: ignore[arg-type]  # a limit by key does not look at the request
            ctx._identity = Identity(key, key)
            result = None if middleware is None else middleware(ctx)
            if result is not None:
                await result

    calls, began_s = 0 if limiter is None else limiter.calls, process_time()
    await asyncio.gather(*(requests() for _ in range(AT_ONCE)))
    spent_us = (process_time() - began_s) * 1e6
    return Cost(spent_us / len(keys), 0.0 if limiter is None else (limiter.calls - calls) / len(keys))


async def measure(url: str, rounds: int, takes: int) -> dict[tuple[str, str], Cost]:
    """Measure each form with each pattern of keys in turn; medians, less what the requests themselves cost."""
    found: dict[tuple[str, str], list[Cost]] = {}
    numbers = itertools.count()
    async with connect(url, "data") as client:
        await client.ping()
        forms: dict[str, Limiter] = {"ahead": Limiter(client, lambda: 1), "one by one": OneByOne(client)}
        guards = Guards(client, "loadtest", lambda: 1)
        limit = [NamedLimit("per-key", RateLimit.model_validate(LIMIT))]
        settle_memory()  # as a worker does
        for _ in range(rounds + 1):  # the first is to warm up
            for (form, limiter), (pattern, key_of) in itertools.product(forms.items(), PATTERNS.items()):
                keys = [key_of(next(numbers)) for _ in range(takes)]
                bare = await cost_of(None, None, keys)
                middleware = take_limits(form.replace(" ", "-"), "r", limit, Counting(limiter, guards, Counters()))
                cost = await cost_of(middleware, limiter, keys)
                found.setdefault((form, pattern), []).append(Cost(cost.cpu_us - bare.cpu_us, cost.calls))
        for limiter in forms.values():
            await limiter.aclose()
    return {
        case: Cost(statistics.median(c.cpu_us for c in costs[1:]), statistics.median(c.calls for c in costs[1:]))
        for case, costs in found.items()
    }


def report(found: dict[tuple[str, str], Cost], how: str = "") -> tuple[str, bool]:
    """Write the part of the results, in Markdown, and say whether every bar is met."""
    lines = [
        "# What a limit costs a request",
        "",
        "Written by `python -m loadtest limits --write-results`; not by hand.",
        "",
        f"* {os.cpu_count()} cores, Linux {platform.release()}, {this_interpreter()}",
        *([f"* {how}"] if how else []),
        "",
        "| form | keys | CPU µs/request | bar | Redis calls/request | bar | verdict |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    all_met = True
    for (form, pattern), cost in found.items():
        bar = BARS.get((form, pattern))
        most_calls = MAX_CALLS_ON_A_HOT_KEY if (form, pattern) == ("ahead", "one hot key") else None
        is_met = (bar is None or cost.cpu_us <= bar) and (most_calls is None or cost.calls <= most_calls)
        all_met = all_met and is_met
        verdict = "" if bar is None else "met" if is_met else "MISSED"
        bars = ("" if bar is None else f"≤ {bar:g}", "" if most_calls is None else f"≤ {most_calls:g}")
        lines.append(
            f"| {form} | {pattern} | {cost.cpu_us:.1f} | {bars[0]} | {cost.calls:.3f} | {bars[1]} | {verdict} |"
        )
    return "\n".join(lines), all_met


def main(argv: list[str]) -> int:
    """Measure and print; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m loadtest limits", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--takes", type=int, default=TAKES, help="requests in each measurement")
    parser.add_argument("--write-results", action="store_true", help=f"write {RESULTS.parent.name}/{RESULTS.name} too")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, RedisProcess(Path(folder) / "redis") as redis:
        found = uvloop.run(measure(redis.url, options.rounds, options.takes))
    how = f"{AT_ONCE} requests at a time, {options.takes:,} in each of {options.rounds} rounds; medians"
    text, is_met = report(found, how)
    sys.stdout.write(f"{text}\n")
    if options.write_results:
        write_part(text)
    return 0 if is_met else 1
