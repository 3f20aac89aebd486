"""Tokens that are known, keys that come and go, issuers that are lost: what goes on, how long, and what then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fakes.doors import Door, open_door
from tests.fakes.issuers import signing_key
from tests.fakes.waiting import until

DAY_S = 86_400


@pytest_asyncio.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door() as made:
        yield made


async def test_a_token_for_one_audience_that_was_found_good_is_not_good_for_another(door: Door) -> None:
    token = door.issuer.token()
    assert await door.opens(token)
    assert door.knows(token)
    for other in (door.make(audience="admin"), door.make(subject_claim="uid"), door.make(algorithms=["PS256"])):
        assert not door.knows(token, other)
        await door.is_wrong(token, other)
    assert not door.knows(token, door.make("other"))


async def test_a_known_token_is_judged_without_waiting_until_it_ends(door: Door) -> None:
    token = door.issuer.token(exp=int(door.clock.now_s) + 100, nbf=int(door.clock.now_s))
    assert not door.knows(token)
    assert await door.opens(token)
    assert door.knows(token)
    door.clock.now_s += 159
    assert door.knows(token)
    door.clock.now_s += 1
    assert not door.knows(token)
    await door.is_wrong(token)


async def test_a_known_token_is_not_known_before_it_begins(door: Door) -> None:
    token = door.issuer.token(nbf=int(door.clock.now_s))
    assert await door.opens(token)
    now_s = door.clock.now_s
    door.clock.now_s = now_s - 60
    assert door.knows(token)
    door.clock.now_s = now_s - 61
    assert not door.knows(token)


async def test_a_wrong_token_is_not_remembered(door: Door) -> None:
    await door.is_wrong(signing_key("other").sign(door.issuer.claims(), kid="k1"))
    assert len(door.tokens) == 0


async def test_a_known_token_ends_with_the_key_that_has_signed_it(door: Door) -> None:
    token = door.issuer.token(exp=int(door.clock.now_s) + DAY_S)
    assert await door.opens(token)
    door.issuer.rotate(keep=False)
    door.clock.now_s += 601
    assert door.knows(token)  # the set is fetched anew meanwhile
    await until(lambda: not door.knows(token), 5)
    await door.is_wrong(token)
    assert await door.opens(door.issuer.token())


async def test_a_rotation_is_noticed_and_old_tokens_go_on_while_their_key_is_published(door: Door) -> None:
    old = door.issuer.token()
    assert await door.opens(old)
    door.issuer.rotate()
    door.clock.now_s += 31
    assert await door.opens(door.issuer.token(sub="new"))
    assert await door.opens(old)
    assert door.issuer.fetches == 2


async def test_an_issuer_that_is_down_changes_nothing_for_a_day_and_then_it_is_a_503_and_no_401(door: Door) -> None:
    long = int(door.clock.now_s) + 3 * DAY_S
    known, unseen = door.issuer.token(sub="a", exp=long), door.issuer.token(sub="b", exp=long)
    assert await door.opens(known)
    await door.issuer.stop()
    door.clock.now_s += DAY_S - 1
    assert await door.opens(known)
    assert await door.opens(unseen)
    door.clock.now_s += 1
    await door.is_lost(known)
    await door.is_lost(unseen)
    await door.is_wrong(door.issuer.token(exp=1))  # this one is wrong whatever the issuer would say


async def test_without_any_key_set_it_is_a_503_and_no_401(door: Door) -> None:
    await door.issuer.stop()
    await door.is_lost(door.issuer.token())
    assert (await door.refusal("nonsense")).status == 401
    assert (await door.refusal(None)).status == 401


async def test_a_key_that_the_issuer_cannot_be_asked_about_is_a_503_and_no_401(door: Door) -> None:
    assert await door.opens(door.issuer.token())
    door.issuer.is_down = True
    door.issuer.rotate()
    door.clock.now_s += 31
    await door.is_lost(door.issuer.token())


async def test_a_flood_of_unknown_keys_makes_one_fetch_in_30_seconds(door: Door) -> None:
    assert await door.opens(door.issuer.token())
    door.clock.now_s += 31
    stranger = signing_key("stranger")
    for _ in range(3):
        await asyncio.gather(*(door.is_wrong(stranger.sign(door.issuer.claims(), kid=f"k{at}")) for at in range(50)))
    assert door.issuer.fetches == 2


async def test_a_hundred_requests_at_once_on_a_cold_set_make_one_fetch(door: Door) -> None:
    tokens = [door.issuer.token(sub=f"u{at}") for at in range(100)]
    found = await asyncio.gather(*map(door.opens, tokens))
    assert [who.subject for who in found] == [f"u{at}" for at in range(100)]
    assert door.issuer.fetches == 1


async def test_a_client_that_goes_while_the_issuer_is_asked_takes_nobody_along(door: Door) -> None:
    door.issuer.gate.clear()
    gone, stays = (asyncio.create_task(door.opens(door.issuer.token(sub=sub))) for sub in "ab")
    await until(lambda: door.issuer.fetches, 5)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    door.issuer.gate.set()
    assert (await stays).subject == "b"


async def test_a_token_that_ends_while_its_issuer_is_asked_opens_nothing(door: Door) -> None:
    door.issuer.gate.clear()
    waiting = asyncio.create_task(door.is_wrong(door.issuer.token(exp=int(door.clock.now_s))))
    await until(lambda: door.issuer.fetches, 5)
    door.clock.now_s += 60
    door.issuer.gate.set()
    await waiting


async def test_a_key_without_a_name_signs_tokens_without_one(door: Door) -> None:
    door.issuer.keys = [signing_key(None)]
    assert await door.opens(door.issuer.token())
    door.clock.now_s += 31
    await door.is_wrong(door.issuer.token({"kid": "k1"}))


async def test_a_method_gives_its_key_set_back(door: Door) -> None:
    assert len(door.key_sets) == 1
    door.method.close()
    assert len(door.key_sets) == 0
