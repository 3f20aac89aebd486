"""What tenants name that is not theirs to reach: an edge node as an operator runs it, and nobody inside hears of it.

What names lead to, and what becomes of one that changes its mind, is in `tests/faults/test_names_that_move.py`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from yarl import URL

from loadtest.node import Node, put_tenant, running_node
from store.catalog import Catalog
from store.client import Client, connect
from store.embedded import RedisProcess
from store.fleet import Fleet
from tests.fakes.edges import running_edge
from tests.fakes.places import PRIVATE, REFUSED, SECRET, WAYS, ask, naming, running_inside, token, told, untold
from tests.fakes.visitors import SECRETS
from tests.fakes.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one node for all of them


@dataclass
class House:
    """A node whose operator allows nothing, and the Redis it is fed by."""

    node: Node
    client: Client
    redis_url: str

    async def put(self, *documents: Mapping[str, Any]) -> None:
        """Write tenants, and wait until the edge serves them."""
        for document in documents:
            revision = await put_tenant(Catalog(self.client), document)
        async with asyncio.timeout(20):
            await Fleet(self.client).wait(revision, 20)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(redis_server: RedisProcess) -> AsyncIterator[House]:
    strict = {**SECRETS, "PORTICO_EGRESS_ALLOW": "", "PORTICO_ACCESS_LOG": "-"}
    async with connect(redis_server.url, "control") as client:
        await client.ask("FLUSHALL")
        async with running_node(redis_server.url, workers=1, **strict) as node:
            yield House(node, client, redis_server.url)


def url(host: str, port: int) -> str:
    """Write a place; an IPv6 address has brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def refused(node: Node, way: str, named: dict[str, str]) -> None:
    """Ask for each tenant's place: each answer is the refusal, the log says why, and repeats no secret."""
    answers = await asyncio.gather(*(ask(node.port, way, tenant) for tenant in named))
    found = dict(zip(named.values(), map(told, answers), strict=True))
    assert found == dict.fromkeys(named.values(), REFUSED[way])
    if way != "upstream":
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    try:
        await until(lambda: not untold("\n".join(node.said), way, named), 5)
    except TimeoutError:
        assert untold("\n".join(node.said), way, named) == []
    log = "\n".join(node.said)
    assert not [text for text in (SECRET, token(), *SECRETS.values()) if text in log]


@pytest.mark.parametrize("way", WAYS)
async def test_no_address_inside_is_connected_to_whoever_names_it(house: House, way: str) -> None:
    async with running_inside() as inside:
        hosts = ["localhost", *(text for text in PRIVATE if "%" not in text)]  # one with a zone is refused when written
        named = {f"{way}-{at}": url(host, inside.port) for at, host in enumerate(hosts)}
        named |= {f"{way}-port-{port}": url("8.8.8.8", port) for port in (22, 25, 6379)}
        await house.put(*(naming(way, place, tenant) for tenant, place in named.items()))
        await refused(house.node, way, named)
        assert inside.connections == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost"])
async def test_where_an_operator_allows_it_the_same_request_arrives(house: House, way: str, host: str) -> None:
    tenant = f"{way}-allowed-{''.join(each for each in host if each.isalnum())}"
    async with running_inside() as inside, running_edge(house.redis_url, SECRETS) as edge:
        await edge.put(naming(way, url(host, inside.port), tenant))
        await ask(edge.port, way, tenant)
        assert inside.connections == 1


async def test_what_is_porticos_own_is_closed_to_every_tenant_though_its_address_is_allowed(house: House) -> None:
    listen, ops = free_ports(2)
    async with running_inside() as inside:
        places = [listen, ops, URL(house.redis_url).port, inside.port]
        own = {"LISTEN": listen, "OPS": ops, "EGRESS_DENY": inside.port}
        env = {f"PORTICO_{name}": f"127.0.0.1:{port}" for name, port in own.items()}
        env |= {"PORTICO_EGRESS_ALLOW": "127.0.0.0/8", "PORTICO_ACCESS_LOG": "-", **SECRETS}
        async with running_node(house.redis_url, workers=1, **env) as node:
            for way in WAYS:
                named = {f"{way}-own-{at}": url("127.0.0.1", port or 0) for at, port in enumerate(places)}
                await house.put(*(naming(way, place, tenant) for tenant, place in named.items()))
                await refused(node, way, named)
        assert inside.connections == 0


def free_ports(count: int) -> list[int]:
    """Find ports of 127.0.0.1 that nobody has at the moment."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()
