"""Names of tenants that lead inside, from the first or later on (DNS rebinding): nobody there hears of it.

The edge's DNS is the test's; all else is real. What is good is at 127.0.0.1, the only address that may be reached, and
whoever comes to 127.0.0.2 on the same port has been led astray. What is good is named localhost, the one name that may
be asked in the clear.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

import edge.assembly
from edge.client_edge.key_sets import STALE_S
from edge.client_edge.sessions import providers
from edge.client_edge.sessions.providers import FRESH_S
from edge.upstreams.names import Addresses, Resolver
from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.issuers import Clock, running_issuer
from tests.fakes.openid import CLIENT_SECRET, RunningProvider, running_provider
from tests.fakes.origins import CLOSE, READ_HEAD, EvilOrigin, RunningOrigin, Send, running_evil_origin
from tests.fakes.places import PRIVATE, REFUSED, SECRET, WAYS, ask, naming, running_inside, token, told, untold
from tests.fakes.recorder import Recorder, running_recorder
from tests.fakes.visitors import SECRETS, Visitor, answered, document, operators

HERE, INSIDE = "127.0.0.1", "127.0.0.2"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LOST = (503, "auth_unavailable")
CLOSED = "address not allowed by the egress filter"


class Names:
    """A DNS: it gives each answer of a list once, and the last one from then on; or those of a table."""

    def __init__(self) -> None:
        self.table: dict[str, Addresses] = {}
        self.answers: list[Addresses] = []

    def lead(self, *answers: str) -> None:
        """Answer so, one time after the other; several addresses of one answer with a blank between them."""
        self.answers = [tuple(ip_address(text) for text in answer.split()) for answer in answers]

    def __call__(self, host: str) -> Addresses:
        if host in self.table:
            return self.table[host]
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """The DNS of an edge that believes it for no time, and keeps no connection for which it need not ask again."""
    names = Names()
    monkeypatch.setattr(edge.assembly, "Resolver", partial(Resolver, names))
    monkeypatch.setattr("edge.upstreams.names.RESOLVED_FOR_S", 0.0)
    monkeypatch.setattr("edge.outgoing.KEEP_ALIVE_S", 0.0)
    return names


@pytest.fixture(scope="module")
def one_provider() -> Iterator[RunningProvider]:
    with running_provider() as running:
        yield running


@dataclass
class Log:
    """What the edge has logged, complete once it has ended."""

    path: Path
    caplog: pytest.LogCaptureFixture

    def text(self) -> str:
        return self.path.read_text() + self.caplog.text


@pytest.fixture
def log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    """The edge's log, in which no secret may be."""
    log = Log(tmp_path / "access.log", caplog)
    yield log
    assert not [text for text in (SECRET, CLIENT_SECRET, token()) if text in log.text()]


@asynccontextmanager
async def strict_edge(redis_url: str, log: Log, allow: str = f"{HERE}/32", **flags: str) -> AsyncIterator[RunningEdge]:
    async with running_edge(redis_url, SECRETS, egress_allow=allow, access_log=str(log.path), **flags) as running:
        yield running


@asynccontextmanager
async def two_places() -> AsyncIterator[tuple[EvilOrigin, Recorder]]:
    """Run a service that may be reached, and on the same port of another address one that may not."""
    async with running_evil_origin(READ_HEAD, Send(OK), CLOSE) as good, running_recorder(INSIDE, good.port) as inside:
        yield good, inside


@pytest.mark.parametrize("way", WAYS)
async def test_a_name_that_leads_inside_leads_nowhere(redis_url: str, names: Names, log: Log, way: str) -> None:
    async with running_inside() as inside, strict_edge(redis_url, log, "") as edge:
        hosts = {f"{way}-{at}": f"p{at}.test" for at in range(len(PRIVATE))}
        names.table = {host: (ip_address(text),) for host, text in zip(hosts.values(), PRIVATE, strict=True)}
        hosts[f"{way}-dot"] = "dotted.test."
        names.table |= {host: (ip_address(HERE),) for host in ("dotted.test.", "dotted.test")}
        named = {tenant: f"https://{host}:{inside.port}" for tenant, host in hosts.items()}
        for tenant, place in named.items():
            await edge.put(naming(way, place, tenant))
        answers = await asyncio.gather(*(ask(edge.port, way, tenant) for tenant in named))
        found = dict(zip(named.values(), map(told, answers), strict=True))
        assert found == dict.fromkeys(named.values(), REFUSED[way])
        assert inside.connections == 0
    assert untold(log.text(), way, named) == []


@pytest.mark.parametrize("way", ["upstream", "forward-auth"])
async def test_a_target_or_service_whose_name_comes_to_lead_inside_is_asked_no_more(
    redis_url: str, origin: RunningOrigin, names: Names, log: Log, way: str
) -> None:
    """Were the name looked up once for the check and once for the connection, the first request would go astray."""
    names.lead(HERE, INSIDE)
    async with two_places() as (good, inside), strict_edge(redis_url, log) as edge:
        await edge.put(naming(way, f"http://localhost:{good.port}", "acme", origin.url))
        assert (await ask(edge.port, way, "acme")).status == 200
        assert len(good.connections) == 1
        for _ in range(3):
            assert told(await ask(edge.port, way, "acme")) == REFUSED[way]
        assert (len(good.connections), len(inside.connections)) == (1, 0)
    assert CLOSED in log.text()


@pytest.mark.parametrize("way", ["upstream", "forward-auth"])
async def test_of_several_addresses_of_a_name_those_inside_are_passed_over(
    redis_url: str, origin: RunningOrigin, names: Names, log: Log, way: str
) -> None:
    names.lead(f"{INSIDE} {HERE}")
    async with two_places() as (good, inside), strict_edge(redis_url, log) as edge:
        await edge.put(naming(way, f"http://localhost:{good.port}", "acme", origin.url))
        for _ in range(3):
            assert (await ask(edge.port, way, "acme")).status == 200
        assert (len(good.connections), len(inside.connections)) == (3, 0)


async def test_a_key_set_whose_name_comes_to_lead_inside_goes_on_for_a_day_and_then_nobody_can_tell(
    redis_url: str, origin: RunningOrigin, names: Names, log: Log, clock: Clock
) -> None:
    names.lead(HERE, INSIDE)
    async with running_issuer() as issuer, running_recorder(INSIDE, issuer.port) as inside:
        async with strict_edge(redis_url, log) as edge:
            named = naming("key-set", "http://localhost", "acme", origin.url)
            named["auth"]["who"]["jwks_url"] = f"http://localhost:{issuer.port}/jwks"
            await edge.put(named)
            for after_s in (0.0, 601.0, STALE_S - 602.0):
                clock.now_s += after_s
                assert (await ask(edge.port, "key-set", "acme")).status == 200
            clock.now_s += 1.0
            assert told(await ask(edge.port, "key-set", "acme")) == LOST
        assert (issuer.fetches, len(inside.connections)) == (1, 0)
    assert untold(log.text(), "key-set", {"acme": ""}) == []


async def test_an_issuer_whose_name_comes_to_lead_inside_is_believed_for_a_day_and_then_nobody_logs_in(
    redis_url: str, one_provider: RunningProvider, names: Names, log: Log, clock: Clock
) -> None:
    names.lead(HERE, INSIDE)
    place = one_provider.issuer.replace(HERE, "localhost")
    await one_provider.tell(describes={"issuer": place})
    async with running_recorder(INSIDE, port_of(one_provider)) as inside, strict_edge(redis_url, log) as edge:
        await edge.put(naming("issuer", place, "acme"))
        for after_s in (0.0, FRESH_S, STALE_S - FRESH_S - 1.0):
            clock.now_s += after_s
            assert (await ask(edge.port, "issuer", "acme")).status == 302
        clock.now_s += providers.PAUSE_S
        assert told(await ask(edge.port, "issuer", "acme")) == LOST
        assert not inside.connections
    assert (await one_provider.seen())["described"] == 1
    assert untold(log.text(), "issuer", {"acme": place}) == []


async def test_a_token_endpoint_whose_name_comes_to_lead_inside_gets_neither_code_nor_secret(
    redis_url: str, origin: RunningOrigin, one_provider: RunningProvider, names: Names, log: Log
) -> None:
    names.lead(HERE, INSIDE)
    port = port_of(one_provider)
    await one_provider.tell(describes={"token_endpoint": f"http://localhost:{port}/token"})
    async with running_recorder(INSIDE, port) as inside, strict_edge(redis_url, log, **operators(one_provider)) as edge:
        await edge.put(document(origin.url))
        first, second = Visitor(edge), Visitor(edge)
        assert (await first.log_in()).status == 302
        assert told(await second.get(await answered(await second.begin()))) == LOST
        assert not inside.connections
        assert (await first.get("/echo")).status == 200
        assert (await one_provider.seen())["tokens"] == 1
    assert CLOSED in log.text()


@pytest.mark.parametrize("member", ["token_endpoint", "jwks_uri"])
@pytest.mark.parametrize("host", [INSIDE, f"[::ffff:{INSIDE}]", "localhost"])
async def test_what_an_issuer_describes_as_its_own_may_not_be_inside_either(
    redis_url: str, origin: RunningOrigin, one_provider: RunningProvider, names: Names, log: Log, member: str, host: str
) -> None:
    names.lead(INSIDE)
    port = port_of(one_provider)
    await one_provider.tell(describes={member: f"http://{host}:{port}/{member}"})
    async with running_recorder(INSIDE, port) as inside, strict_edge(redis_url, log, **operators(one_provider)) as edge:
        await edge.put(document(origin.url))
        visitor = Visitor(edge)
        assert told(await visitor.get(await answered(await visitor.begin()))) == LOST
        assert not inside.connections
    assert CLOSED in log.text()


@pytest.mark.parametrize(
    ("way", "status"), [("upstream", 302), ("forward-auth", 302), ("key-set", 503), ("issuer", 503)]
)
async def test_a_redirect_is_not_followed_even_to_where_one_may_go(
    redis_url: str, log: Log, way: str, status: int
) -> None:
    async with running_recorder() as there:
        moved = f"HTTP/1.1 302 Found\r\nLocation: {there.url}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with running_evil_origin(READ_HEAD, Send(moved), CLOSE) as here:
            async with strict_edge(redis_url, log) as edge:
                await edge.put(naming(way, here.url, "acme"))
                assert (await ask(edge.port, way, "acme")).status == status
        assert (len(here.connections), len(there.connections)) == (1, 0)


@pytest.mark.parametrize("member", ["token_endpoint", "jwks_uri"])
async def test_a_redirect_of_what_an_issuer_describes_is_not_followed(
    redis_url: str, origin: RunningOrigin, one_provider: RunningProvider, log: Log, member: str
) -> None:
    async with running_recorder() as there:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {there.url}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with running_evil_origin(READ_HEAD, Send(moved), CLOSE) as here:
            await one_provider.tell(describes={member: here.url})
            async with strict_edge(redis_url, log, **operators(one_provider)) as edge:
                await edge.put(document(origin.url))
                visitor = Visitor(edge)
                assert told(await visitor.get(await answered(await visitor.begin()))) == LOST
        assert (len(here.connections), len(there.connections)) == (1, 0)


def port_of(provider: RunningProvider) -> int:
    return int(provider.issuer.rpartition(":")[2])
