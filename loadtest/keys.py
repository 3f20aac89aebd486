"""A million API keys: what a worker holds of them, what each kind of key takes, and whether a revocation is exact.

    python -m loadtest keys [--keys 1000000] [--tenants 1,1000] [--asked 5000] [--used 110000] [--revoked 200]

The keys are in a Redis of the measurement's own, of one tenant or spread over many; the worker is a process, asked over
one keep-alive connection, one request after the other. Known is a key that this worker has seen, unknown one that it
has to ask Redis for, never is one that nobody has (of the right form, so that its checksum does not refuse it). Then
more different keys are used than a worker remembers, and its memory is read. In the end keys that the worker knows are
revoked, one by one: as soon as the fleet is said to have it, each must be refused, and others must not be. A 503 is no
verdict: it says that Redis did not tell in its 50 ms, as on a machine that is busy with something else; it is counted
apart from verdicts that were wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import psutil
import uvloop

from loadtest.interpreter import this_interpreter
from loadtest.node import Node, put_tenant, running_node, running_origin_process
from loadtest.propagation import percentile
from loadtest.results import RESULTS, write_part
from store import keys as names
from store.catalog import KEEP, Catalog, Change
from store.client import Client, connect
from store.codec import encode_api_key
from store.embedded import RedisProcess
from store.fleet import Fleet
from store.scripts import Argument
from store.secrets import ALPHABET, ID_CHARS, ApiKeyRecord, NewKey, new_api_key

AT_ONCE = 16
PUT_AT_ONCE = 2000
FLEET_TIMEOUT_S = 5.0
MIB = 1 << 20
UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Scale:
    """How much to measure: `used` different keys in all, `asked` requests of each kind, one by one."""

    keys: int
    asked: int
    used: int
    revoked: int


@dataclass(frozen=True, slots=True)
class Shape:
    """What was found with the keys of so many tenants; times are in ms."""

    tenants: int
    bare_mib: float
    used_mib: float
    known_ms: tuple[float, ...]
    unknown_ms: tuple[float, ...]
    never_ms: tuple[float, ...]
    never_again_ms: tuple[float, ...]
    revoked_ms: tuple[float, ...]
    tally: Tally


@dataclass(slots=True)
class Tally:
    """Answers that were not as they must be: verdicts that were `wrong`, and 503s, which are none."""

    wrong: int = 0
    unavailable: int = 0

    def take(self, status: int, expected: int) -> None:
        """Count an answer."""
        if status == UNAVAILABLE:
            self.unavailable += 1
        elif status != expected:
            self.wrong += 1


@dataclass(frozen=True, slots=True)
class Held:
    """A key that is in Redis, and whose it is."""

    tenant: str
    key: NewKey


@dataclass(slots=True)
class Caller:
    """A keep-alive connection to the edge."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def status(self, tenant: str, secret: str) -> int:
        """Ask once with a key; returns the answer's status."""
        self.writer.write(f"GET / HTTP/1.1\r\nHost: {host_of(tenant)}\r\nX-API-Key: {secret}\r\n\r\n".encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        await self.reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0))
        return int(head.split(b" ", 2)[1])


def host_of(tenant: str) -> str:
    """Return the host of a tenant."""
    return f"{tenant}.example.com"


async def measure(scale: Scale, tenants: int) -> Shape:
    """Set everything up and measure one shape."""
    with tempfile.TemporaryDirectory(prefix="portico-") as folder, RedisProcess(Path(folder)) as redis:
        async with connect(redis.url, "control") as client, running_origin_process() as port:
            held = await populate(client, scale, tenants, f"http://127.0.0.1:{port}")
            async with running_node(redis.url, workers=1) as node, caller_of(node) as caller:
                return await _measure(scale, tenants, held, _Stage(client, node, caller, Tally()))


@dataclass(frozen=True, slots=True)
class _Stage:
    client: Client
    node: Node
    caller: Caller
    tally: Tally

    async def memory_mib(self) -> float:
        [pid] = await self.node.worker_pids()
        return float(psutil.Process(pid).memory_info().rss) / MIB


async def _measure(scale: Scale, tenants: int, held: Sequence[Held], stage: _Stage) -> Shape:
    for tenant in {each.tenant for each in held}:
        await stage.caller.status(tenant, "none")  # so that its document is compiled before the clock starts
    bare_mib = await stage.memory_mib()
    one_by_one, crowd = held[: scale.asked], held[scale.asked :]
    never = [Held(each.tenant, new_api_key()) for each in one_by_one]
    unknown_ms = await _ask(stage, one_by_one, 200)
    known_ms = await _ask(stage, one_by_one, 200)
    never_ms, again_ms = await _ask(stage, never, 401), await _ask(stage, never, 401)
    await _use(stage, crowd)
    used_mib = await stage.memory_mib()
    async with caller_of(stage.node) as fresh:  # the first one has idled for longer than the edge keeps it
        revoked_ms = await _revoke(replace(stage, caller=fresh), held[: scale.revoked], held[scale.revoked])
    return Shape(tenants, bare_mib, used_mib, known_ms, unknown_ms, never_ms, again_ms, revoked_ms, stage.tally)


async def _ask(stage: _Stage, held: Sequence[Held], expected: int) -> tuple[float, ...]:
    """Ask with each key, and count the answers; how long each took."""
    times_ms = []
    for each in held:
        began_s = perf_counter()
        status = await stage.caller.status(each.tenant, each.key.text)
        times_ms.append((perf_counter() - began_s) * 1000)
        stage.tally.take(status, expected)
    return tuple(times_ms)


async def _use(stage: _Stage, held: Sequence[Held]) -> None:
    """Use each key once, many at a time."""

    async def use(share: Sequence[Held]) -> None:
        async with caller_of(stage.node) as caller:
            await _ask(replace(stage, caller=caller), share, 200)

    await asyncio.gather(*(use(held[first::AT_ONCE]) for first in range(AT_ONCE)))


async def _revoke(stage: _Stage, held: Sequence[Held], bystander: Held) -> tuple[float, ...]:
    """Revoke keys that the worker knows, and count the answers; how long until the fleet had each.

    A worker that is not said to have it counts as a wrong verdict.
    """
    catalog, fleet = Catalog(stage.client), Fleet(stage.client)
    times_ms = []
    for each in held:
        await _ask(stage, [each], 200)
        began_s = perf_counter()
        commit = await catalog.commit(Change(each.tenant, KEEP, drop_keys=(each.key.id,)), None)
        state = await fleet.wait(commit.revision, FLEET_TIMEOUT_S, each.tenant)
        times_ms.append((perf_counter() - began_s) * 1000)
        stage.tally.wrong += state.applied != state.workers
        await _ask(stage, [each], 401)
        await _ask(stage, [bystander], 200)
    return tuple(times_ms)


async def populate(client: Client, scale: Scale, tenants: int, origin: str) -> list[Held]:
    """Put the tenants and all the keys into Redis; returns those whose secrets are known, in an order of chance."""
    catalog, chance = Catalog(client), random.Random(1)
    all_tenants = [f"t{number}" for number in range(tenants)]
    for tenant in all_tenants:
        await put_tenant(catalog, document(tenant, origin))
    held = [Held(all_tenants[number % tenants], new_api_key()) for number in range(scale.used)]
    for number, tenant in enumerate(all_tenants):
        count = scale.keys // tenants + (number < scale.keys % tenants)
        await _put_keys(client, tenant, count, [each.key for each in held[number::tenants]])
    chance.shuffle(held)
    return held


async def _put_keys(client: Client, tenant: str, count: int, real: Sequence[NewKey]) -> None:
    """Write the records as commits would: nobody ever reads those that are made up."""
    made_up = count - len(real)
    records = [(key.id, key.hash) for key in real] + [(_some_id(), os.urandom(32)) for _ in range(made_up)]
    for first in range(0, count, PUT_AT_ONCE):
        args: list[Argument] = []
        for key_id, digest in records[first : first + PUT_AT_ONCE]:
            args += [key_id, encode_api_key(ApiKeyRecord(key_id, "made by loadtest", digest, 0))]
        await client.ask("HSET", names.api_keys(tenant), *args, is_write=True)


def _some_id() -> str:
    return "".join(random.choices(ALPHABET, k=ID_CHARS))


def document(tenant: str, origin: str) -> dict[str, object]:
    """Return a tenant whose one route wants a key."""
    return {
        "tenant": tenant,
        "domains": [{"host": host_of(tenant), "verified_by": "operator"}],
        "upstreams": {"web": {"targets": [origin]}},
        "auth": {"keys": {"type": "api_key"}},
        "routes": [{"name": "all", "path": "/*", "upstream": "web", "auth": ["keys"]}],
    }


@asynccontextmanager
async def caller_of(node: Node) -> AsyncIterator[Caller]:
    """Open a connection to the node."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.close()


def report(shapes: Sequence[Shape], scale: Scale) -> str:
    """Write the part of the results, in Markdown."""
    machine = f"{os.cpu_count()} cores, Linux {platform.release()}, {this_interpreter()}"
    asked = f"{scale.asked:,} requests of each kind, one by one; {scale.used:,} different keys used in all"
    lines = [
        "# A million API keys",
        "",
        "Written by `python -m loadtest keys --write-results`; not by hand.",
        "",
        f"* {machine}; shared by Redis, the worker, the upstream and the client",
        f"* {scale.keys:,} keys; {asked}; {scale.revoked:,} revoked, three verdicts checked with each",
        "* times are medians, to the upstream and back",
        "",
        "| | " + " | ".join(_tenants_of(shape) for shape in shapes) + " |",
        "|---|" + "---:|" * len(shapes),
    ]
    rows = {
        "memory of a worker before, MiB": [f"{shape.bare_mib:.1f}" for shape in shapes],
        f"memory after {scale.used:,} keys, MiB": [f"{shape.used_mib:.1f}" for shape in shapes],
        "known key, ms": [_spread(shape.known_ms) for shape in shapes],
        "unknown to the worker, ms": [_spread(shape.unknown_ms) for shape in shapes],
        "nobody's key, ms": [_spread(shape.never_ms) for shape in shapes],
        "nobody's key again, ms": [_spread(shape.never_again_ms) for shape in shapes],
        "revoked on all workers, ms": [_spread(shape.revoked_ms) for shape in shapes],
        "503, of all requests": [str(shape.tally.unavailable) for shape in shapes],
        "wrong verdicts": [str(shape.tally.wrong) for shape in shapes],
    }
    return "\n".join([*lines, *(f"| {what} | {' | '.join(cells)} |" for what, cells in rows.items())])


def _tenants_of(shape: Shape) -> str:
    return "of one tenant" if shape.tenants == 1 else f"of {shape.tenants:,} tenants"


def _spread(times_ms: Sequence[float]) -> str:
    ordered = sorted(times_ms)
    return f"{percentile(ordered, 50):.2f} (p99 {percentile(ordered, 99):.2f})"


def _counts(text: str) -> tuple[int, ...]:
    counts = text.split(",")
    if not all(each.isdecimal() and int(each) for each in counts):
        raise argparse.ArgumentTypeError("whole numbers from 1, separated by commas")
    return tuple(map(int, counts))


def main(argv: Sequence[str]) -> int:
    """Measure and print; 1 when a verdict was wrong."""
    parser = argparse.ArgumentParser(prog="python -m loadtest keys", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--tenants", type=_counts, default=(1, 1000), help="shapes to measure, separated by commas")
    parser.add_argument("--asked", type=int, default=5000, help="requests of each kind, one by one")
    parser.add_argument("--used", type=int, default=110_000, help="different keys used in all")
    parser.add_argument("--revoked", type=int, default=200)
    parser.add_argument("--write-results", action="store_true", help=f"write {RESULTS.parent.name}/{RESULTS.name} too")
    options = parser.parse_args(argv)
    scale = Scale(options.keys, options.asked, options.used, options.revoked)
    if not scale.revoked < scale.asked <= scale.used <= scale.keys:
        parser.error("there must be more keys than are used, no fewer used than asked, and fewer revoked than those")
    shapes = [uvloop.run(measure(scale, tenants)) for tenants in options.tenants]
    text = report(shapes, scale)
    sys.stdout.write(text + "\n")
    if options.write_results:
        write_part(text)
    return int(any(shape.tally.wrong for shape in shapes))
