"""store/first.py: the first asking of a caller, before a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from store.client import Client, connect
from store.decisions import Take
from store.first import FirstAskings
from store.limiter import Limiter
from tests.fakes.waiting import until

HOURLY = Take("hourly", "k", 1000, 3600.0, 1000)
DAILY = HOURLY._replace(name="daily", period_s=86_400.0)
ONE = HOURLY._replace(units=1, burst=1)
IN_REDIS = {"hourly": "{rl:acme}:hourly:k", "daily": "{rl:acme}:daily:k"}


def let_be(*_: object) -> None:
    """Leave a reply for a request that has gone as it is."""


@pytest_asyncio.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    async with connect(redis_url, "data") as opened:
        await Limiter(opened, lambda: 1).take("who-came-before", [HOURLY])  # Redis knows the script from now on
        yield opened


@pytest.mark.parametrize(
    ("heard_of", "takes", "is_asked"),
    [
        ((), (HOURLY,), True),
        (("hourly",), (HOURLY,), False),
        (("daily",), (HOURLY,), True),
        ((), (HOURLY, DAILY), True),
        (("hourly",), (HOURLY, DAILY), True),
        (("hourly", "daily"), (HOURLY, DAILY), False),
    ],
)
async def test_it_asks_unless_all_limits_of_a_caller_have_just_been_heard_of(
    client: Client, heard_of: tuple[str, ...], takes: tuple[Take, ...], is_asked: bool
) -> None:
    names = {IN_REDIS[each] for each in heard_of}
    asked = FirstAskings(client, lambda: 1.0, lambda name, _: name in names, let_be).ask("acme", takes)
    assert (asked is not None) is is_asked
    if asked is not None:
        granted, _, *before = await asked.reply
        assert (granted, before) == (1, [0, 0] * len(takes))
        assert asked.stepped([(0, 0)] * len(takes)) == [(3_600_000 * (24 if of is DAILY else 1), 0) for of in takes]


async def test_a_caller_is_asked_for_once_until_the_reply_is_here(client: Client) -> None:
    first = FirstAskings(client, lambda: 1.0, lambda _, __: False, let_be)
    asked = first.ask("acme", (HOURLY,))
    assert asked is not None
    assert first.ask("acme", (HOURLY,)) is None
    assert first.ask("acme", (HOURLY._replace(key="other"),)) is not None
    first.is_over(asked)
    assert first.ask("acme", (HOURLY,)) is not None


async def test_without_an_open_connection_nobody_is_asked_for_here(redis_url: str) -> None:
    async with connect(redis_url, "data") as unopened:
        first = FirstAskings(unopened, lambda: 1.0, lambda _, __: False, let_be)
        assert first.ask("acme", (HOURLY,)) is None
        await unopened.ping()
        assert first.ask("acme", (HOURLY,)) is not None


async def test_a_request_that_goes_before_the_reply_leaves_the_asking_to_others(client: Client) -> None:
    limiter = Limiter(client, lambda: 1)
    gone = asyncio.create_task(limiter.take("acme", [HOURLY]))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    asked = limiter._ask_first("acme", (HOURLY,))
    assert asked is not None
    assert (await asked.reply)[0] == 1


async def test_who_comes_while_a_first_asking_is_refused_gets_an_answer(client: Client) -> None:
    limiter, other = Limiter(client, lambda: 1), Limiter(client, lambda: 1)
    assert (await other.take("acme", [ONE])).admitted
    first = asyncio.create_task(limiter.take("acme", [ONE]))
    await asyncio.sleep(0)  # it has asked, and will be refused
    forgetting = asyncio.create_task(client.ask("DEL", IN_REDIS["hourly"], is_write=True))  # as time would
    await asyncio.sleep(0)
    rest = [asyncio.create_task(limiter.take("acme", [ONE])) for _ in range(4)]
    async with asyncio.timeout(5):
        decisions = [each.admitted for each in await asyncio.gather(first, *rest)]
    assert decisions == [False, True, False, False, False]
    await forgetting


async def test_what_is_held_of_a_refusal_is_let_go_of_although_nobody_comes_again(client: Client) -> None:
    limiter, other = Limiter(client, lambda: 1), Limiter(client, lambda: 1)
    assert (await other.take("acme", [ONE])).admitted
    assert not (await limiter.take("acme", [ONE])).admitted
    assert limiter._held
    await until(lambda: not limiter._held)
