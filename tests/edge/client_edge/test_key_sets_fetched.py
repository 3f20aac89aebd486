"""Key sets of real issuers: when they are fetched, how long they go on, and what becomes of who waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from edge.client_edge.jwks import MAX_SET_BYTES
from edge.client_edge.key_sets import FETCH_TIMEOUT_S, KeySet, KeySets, SetState, asking
from edge.errors import EdgeError
from edge.outgoing import Outgoing
from edge.upstreams.egress import EgressFilter
from tests.fakes.issuers import Clock, Issuer, running_issuer
from tests.fakes.timing import within
from tests.fakes.waiting import until

DAY_S = 86_400.0


class Sets:
    """Key sets before a real issuer, with a clock of their own."""

    def __init__(self, issuer: Issuer, outgoing: Outgoing) -> None:
        self.issuer = issuer
        self.clock = Clock(0.0)
        self.key_sets = KeySets(asking(outgoing), self.clock)
        self.set = self.hold()

    def hold(self, tenant: str = "acme", path: str = "jwks") -> KeySet:
        return self.key_sets.hold(tenant, f"{self.issuer.name}{path}")

    async def kid(self, kid: str | None = "k1", held: KeySet | None = None) -> str | None:
        key = await (held or self.set).key(kid, "RS256")
        return None if key is None else key.kid

    async def is_lost(self, kid: str = "k1", held: KeySet | None = None) -> EdgeError:
        with pytest.raises(EdgeError) as caught:
            await self.kid(kid, held)
        assert (caught.value.status, caught.value.code) == (503, "auth_unavailable")
        return caught.value

    async def settled(self) -> None:
        await until(lambda: not self.set.state.is_asking, 5)


@pytest_asyncio.fixture
async def sets() -> AsyncIterator[Sets]:
    outgoing = Outgoing(lambda *_: True)
    async with running_issuer() as issuer:
        made = Sets(issuer, outgoing)
        yield made
        await made.key_sets.aclose()
        await outgoing.aclose()


async def test_nothing_is_fetched_until_somebody_shows_a_token(sets: Sets) -> None:
    assert (len(sets.key_sets), sets.issuer.fetches, sets.set.state) == (1, 0, SetState())
    assert await sets.kid() == "k1"
    assert sets.issuer.fetches == 1


async def test_a_hundred_requests_on_a_cold_set_share_one_fetch(sets: Sets) -> None:
    sets.issuer.gate.clear()
    waiting = [asyncio.create_task(sets.kid()) for _ in range(100)]
    await until(lambda: sets.issuer.fetches, 5)
    sets.issuer.gate.set()
    assert await asyncio.gather(*waiting) == ["k1"] * 100
    assert sets.issuer.fetches == 1


async def test_one_waiters_client_may_go_and_the_others_still_get_their_answer(sets: Sets) -> None:
    sets.issuer.gate.clear()
    gone, stays = asyncio.create_task(sets.kid()), asyncio.create_task(sets.kid())
    await until(lambda: sets.issuer.fetches, 5)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    sets.issuer.gate.set()
    assert await stays == "k1"
    assert sets.issuer.fetches == 1


async def test_a_set_that_is_due_is_fetched_while_requests_go_on(sets: Sets) -> None:
    await sets.kid()
    fingerprint = sets.set.state.keys[0].fingerprint
    sets.clock.now_s += 601
    sets.issuer.gate.clear()
    assert [sets.set.trusts(fingerprint) for _ in range(100)] == [True] * 100
    assert await sets.kid() == "k1"
    await until(lambda: sets.issuer.fetches == 2, 5)
    sets.issuer.gate.set()
    await sets.settled()
    assert sets.set.state.fetched_s == sets.clock.now_s


async def test_a_key_that_the_issuer_withdraws_is_trusted_until_the_set_is_due(sets: Sets) -> None:
    await sets.kid()
    fingerprint = sets.set.state.keys[0].fingerprint
    sets.issuer.rotate(keep=False)
    sets.clock.now_s += 601
    assert sets.set.trusts(fingerprint)
    await sets.settled()
    assert not sets.set.trusts(fingerprint)
    assert await sets.kid() is None


async def test_a_set_that_nobody_has_used_for_long_is_fetched_before_it_is_believed(sets: Sets) -> None:
    await sets.kid()
    fingerprint = sets.set.state.keys[0].fingerprint
    sets.issuer.rotate(keep=False)
    sets.clock.now_s += 3600
    assert not sets.set.trusts(fingerprint)
    assert await sets.kid("k1") is None
    assert await sets.kid("k2") == "k2"
    assert sets.issuer.fetches == 2


async def test_and_when_the_issuer_is_down_by_then_it_is_believed_all_the_same(sets: Sets) -> None:
    await sets.kid()
    sets.issuer.is_down = True
    sets.clock.now_s += 3600
    assert await sets.kid() == "k1"


async def test_a_new_key_is_noticed_with_the_first_token_that_it_has_signed(sets: Sets) -> None:
    await sets.kid()
    sets.issuer.rotate()
    sets.clock.now_s += 31
    assert await sets.kid("k2") == "k2"
    assert await sets.kid("k1") == "k1"
    assert sets.issuer.fetches == 2


async def test_unknown_keys_make_one_fetch_in_30_seconds(sets: Sets) -> None:
    await sets.kid()
    for until_s in (31.0, 61.5, 92.0):
        before = sets.issuer.fetches
        sets.clock.now_s = until_s - 0.5
        found = await asyncio.gather(*(sets.kid(f"guess {at}") for at in range(200)))
        sets.clock.now_s = until_s + 29
        found += [await sets.kid(f"guess {at}") for at in range(200)]
        assert set(found) == {None}
        assert sets.issuer.fetches == before + 1


async def test_an_issuer_that_is_down_is_believed_for_a_day_and_then_nobody_can_tell(sets: Sets) -> None:
    await sets.kid()
    fingerprint = sets.set.state.keys[0].fingerprint
    await sets.issuer.stop()
    for now_s in (601.0, 3600.0, 43_200.0, DAY_S - 1):
        sets.clock.now_s = now_s
        assert await sets.kid() == "k1"
        await sets.settled()
        assert sets.set.trusts(fingerprint)
    sets.clock.now_s = DAY_S
    assert not sets.set.trusts(fingerprint)
    await sets.is_lost()
    await sets.issuer.start()
    sets.clock.now_s += 31
    assert await sets.kid() == "k1"


async def test_a_key_that_is_not_known_cannot_be_judged_while_the_issuer_is_down(sets: Sets) -> None:
    await sets.kid()
    sets.issuer.is_down = True
    sets.clock.now_s += 31
    await sets.is_lost("k2")
    await sets.is_lost("k2")
    assert sets.issuer.fetches == 2
    assert await sets.kid("k1") == "k1"


async def test_without_a_first_set_nobody_can_tell_and_the_issuer_is_not_pestered(sets: Sets) -> None:
    await sets.issuer.stop()
    errors = [await sets.is_lost() for _ in range(20)]
    assert errors[0].retry_after_s == 1.0
    await sets.issuer.start()
    await sets.is_lost()
    assert sets.issuer.fetches == 0
    sets.clock.now_s += 1
    assert await sets.kid() == "k1"


async def test_a_request_says_when_to_come_back_for_an_issuer_that_keeps_failing(sets: Sets) -> None:
    sets.issuer.is_down = True
    for _ in range(8):
        await sets.is_lost()
        sets.clock.now_s = sets.set.state.retry_at_s()
    await sets.is_lost()
    assert (await sets.is_lost()).retry_after_s == 30.0


async def test_an_issuer_that_says_nothing_is_given_up(sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.client_edge.key_sets.FETCH_TIMEOUT_S", 0.05)
    sets.issuer.gate.clear()
    async with within(FETCH_TIMEOUT_S / 2):
        await sets.is_lost()
    assert sets.set.state.failures == 1


async def test_a_request_waits_for_one_fetch_however_long_that_takes_to_fail(sets: Sets) -> None:
    sets.issuer.gate.clear()
    waiting = asyncio.create_task(sets.is_lost())
    await until(lambda: sets.issuer.fetches, 5)
    sets.clock.now_s += FETCH_TIMEOUT_S
    sets.issuer.is_down = True
    sets.issuer.gate.set()
    assert (await waiting).retry_after_s == 1.0
    assert sets.issuer.fetches == 1


@pytest.mark.parametrize(
    "lie",
    [b"", b"<html>Maintenance</html>", b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AAAA"}]}', b"[" * 60_000,
     b'{"keys": []}' + b" " * MAX_SET_BYTES, b" " * 2_000_000],
)  # fmt: skip
async def test_what_is_no_key_set_does_not_take_the_place_of_one(sets: Sets, lie: bytes) -> None:
    await sets.kid()
    sets.issuer.lie = lie
    sets.clock.now_s += 601
    await sets.kid()
    await sets.settled()
    assert sets.set.state.failures == 1
    assert await sets.kid() == "k1"
    await sets.is_lost(held=sets.hold("other"))


@pytest.mark.parametrize("status", [201, 204, 301, 400, 404, 500])
async def test_only_a_200_brings_a_set(sets: Sets, status: int) -> None:
    sets.issuer.status = status
    await sets.is_lost()


async def test_a_redirect_is_not_followed(sets: Sets) -> None:
    await sets.is_lost(held=sets.hold(path="moved"))
    assert sets.issuer.fetches == 0


async def test_a_private_address_is_not_asked() -> None:
    outgoing = Outgoing(EgressFilter().allows)
    async with running_issuer() as issuer:
        sets = Sets(issuer, outgoing)
        await sets.is_lost()
        assert issuer.fetches == 0
        await sets.key_sets.aclose()
        await outgoing.aclose()


async def test_a_set_says_itself_when_it_is_due(sets: Sets) -> None:
    sets.issuer.fields = {"Cache-Control": "max-age=120"}
    await sets.kid()
    sets.clock.now_s += 121
    await sets.kid()
    await sets.settled()
    assert sets.issuer.fetches == 2


async def test_tenants_do_not_share_a_set_and_holders_do(sets: Sets) -> None:
    other = sets.hold("other")
    assert other is not sets.set
    assert sets.hold() is sets.set
    await sets.kid()
    await sets.kid(held=other)
    assert (len(sets.key_sets), sets.issuer.fetches) == (2, 2)
    sets.set.release()
    assert len(sets.key_sets) == 2
    sets.set.release()
    other.release()
    assert len(sets.key_sets) == 0


async def test_who_waits_for_a_set_that_is_given_back_meanwhile_gets_an_answer(sets: Sets) -> None:
    sets.issuer.gate.clear()
    waiting = asyncio.create_task(sets.kid())
    await until(lambda: sets.issuer.fetches, 5)
    sets.set.release()
    sets.issuer.gate.set()
    assert await waiting == "k1"


async def test_the_keys_of_all_tenants_are_bounded_and_the_idlest_go_first(sets: Sets) -> None:
    key_sets = KeySets(sets.key_sets._ask, sets.clock, max_keys=2)
    a, b, c = (key_sets.hold(tenant, sets.issuer.jwks_url) for tenant in "abc")
    for held in (a, b, a, c):
        sets.clock.now_s += 1
        assert await sets.kid(held=held) == "k1"
    assert [bool(held.state.keys) for held in (a, b, c)] == [True, False, True]
    assert await sets.kid(held=b) == "k1"
    assert [bool(held.state.keys) for held in (a, b, c)] == [False, True, True]
    await key_sets.aclose()


async def test_at_the_end_of_a_worker_no_fetch_is_left(sets: Sets) -> None:
    before = asyncio.all_tasks()
    sets.issuer.gate.clear()
    waiting = [asyncio.create_task(sets.is_lost(held=held)) for held in (sets.set, sets.hold("other"))]
    await until(lambda: sets.issuer.fetches == 2, 5)
    sets.set.release()
    await sets.key_sets.aclose()
    await asyncio.gather(*waiting)
    await sets.is_lost()
    assert not [task for task in asyncio.all_tasks() - before if "KeySet._ask" in repr(task)]
    assert sets.issuer.fetches == 2


async def test_an_outage_is_logged_once_and_without_the_url(sets: Sets, caplog: pytest.LogCaptureFixture) -> None:
    held = sets.hold(path="jwks?key=hunter2")
    sets.issuer.is_down = True
    for _ in range(5):
        await sets.is_lost(held=held)
        sets.clock.now_s += 31
    assert [record.getMessage() for record in caplog.records if record.name == "portico.edge"] == [
        "tenant acme: a key set cannot be fetched: the issuer answered 503"
    ]
