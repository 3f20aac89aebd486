"""Limits of requests under way at once, across the fleet: a place is taken before a request and left after it.

What a worker has under way is told to Redis as a number, again and again while it is not none, and counts for five
seconds: so the places of a worker that dies are free then, and no lost call loses a place. A place that is left is kept
for a moment for whoever comes next, so that a steady stream costs few calls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from store import keys
from store.breaker import CLOSED, after_failure, may_try
from store.client import Client
from store.decisions import Source
from store.errors import StoreError
from store.scripts import Argument, script

LIFE_S = 5.0
RENEW_S = 1.0
LINGER_S = 0.02
KEPT_PART = 10
"""A worker keeps no more empty places than the tenth part of all: others may be waiting for them."""
AGAIN_S = 0.01
"""Who is refused asks once more after so long: what has just been left may still be on its way."""
REFUSED_FOR_S = 0.01
"""For so long a refusal is repeated without asking."""
RETRY_AFTER_S = 1.0


class Place(NamedTuple):
    """A limit of requests under way: `most` at once for each `key`."""

    name: str
    key: str
    most: int
    on_store_loss: str = "local"


class Entry(NamedTuple):
    """Whether a request may go on; `left` is how many more could, as far as this worker knows."""

    admitted: bool
    left: int
    source: Source


class Room:
    """The places of one limit and caller: `counted` in Redis as this worker's, of which `running` are taken."""

    __slots__ = (
        "counted",
        "full_until_s",
        "is_asking",
        "most",
        "name",
        "others",
        "running",
        "told_at_s",
        "untold_until_s",
        "waiting",
    )

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self.most = most
        self.running = 0
        self.counted = 0
        self.others = 0
        self.told_at_s = 0.0
        self.untold_until_s = 0.0
        """Until when Redis may count what it was asked for last, whose answer has not come."""
        self.full_until_s = 0.0
        self.waiting: list[asyncio.Future[Entry | None]] = []
        self.is_asking = False

    @property
    def left(self) -> int:
        """How many more could be taken, by what Redis said last."""
        return max(0, self.most - self.others - self.running)

    def entered(self, source: Source = "store") -> Entry:
        """Take a place."""
        self.running += 1
        return Entry(True, self.left, source)


class Guards:
    """Takes places in Redis, and by itself while Redis is lost; the owner owes `aclose()`.

    `worker_id` is who it counts for; `live_workers` says among how many the places are shared without Redis.
    """

    def __init__(
        self,
        client: Client,
        worker_id: str,
        live_workers: Callable[[], int],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._worker_id = worker_id
        self._live_workers = live_workers
        self._now = now
        self._breaker = CLOSED
        self._rooms: dict[str, Room] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._trimming: asyncio.TimerHandle | None = None
        self._renewing: asyncio.TimerHandle | None = None
        self.calls = 0
        """How often Redis was asked."""

    @property
    def running(self) -> int:
        """How many places are taken by requests of this worker."""
        return sum(room.running for room in self._rooms.values())

    def enter_at_once(self, tenant: str, place: Place) -> Entry | None:
        """Take a place that is kept here, or be refused as a moment ago; None where Redis has to be asked."""
        room = self._rooms.get(keys.places(tenant, place.name, place.key))
        if room is None:
            return None
        room.most = place.most
        if room.running < min(room.counted, place.most) and self._now() < room.told_at_s + LIFE_S:
            return room.entered()
        return Entry(False, 0, "store") if self._now() < room.full_until_s else None

    async def enter(self, tenant: str, place: Place) -> Entry:
        """Take a place; never raises for a lost store. Who was admitted owes one `leave`."""
        entry = self.enter_at_once(tenant, place)
        if entry is not None:
            return entry
        name = keys.places(tenant, place.name, place.key)
        entry = await self._entered(name, place)
        if entry.admitted or entry.source != "store":
            return entry
        await asyncio.sleep(AGAIN_S)
        return await self._entered(name, place)

    def _room(self, name: str, place: Place) -> Room:
        """Find the room of this name now: one in which nobody is may be forgotten while a request awaits something."""
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = Room(name, place.most)
            self._keep_up()
        return room

    async def _entered(self, name: str, place: Place) -> Entry:
        if not self._may_ask():
            return self._without_redis(name, place)
        room = self._room(name, place)
        waiter: asyncio.Future[Entry | None] = asyncio.get_running_loop().create_future()
        room.waiting.append(waiter)
        if not room.is_asking:
            room.is_asking = True
            self._start(self._ask(room))
        try:
            return await waiter or self._without_redis(name, place)
        except asyncio.CancelledError:
            self._pass_on(room, waiter)
            raise

    def left(self, tenant: str, place: Place) -> int | None:
        """Say how many more requests could go on, as far as this worker knows; None where it knows nothing."""
        room = self._rooms.get(keys.places(tenant, place.name, place.key))
        return None if room is None else room.left

    def leave(self, tenant: str, place: Place) -> None:
        """Give a place back; it is kept for a moment."""
        room = self._rooms.get(keys.places(tenant, place.name, place.key))
        if room is not None and room.running:
            self._left(room)

    async def aclose(self) -> None:
        """Free what nobody has taken; what requests still have counts on for its life."""
        for _ in range(2):  # the second time what was granted meanwhile
            for timer in (self._trimming, self._renewing):
                if timer is not None:
                    timer.cancel()
            self._trimming = self._renewing = None
            self._trim()
            while self._tasks:
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def _left(self, room: Room) -> None:
        room.running -= 1
        room.full_until_s = 0.0
        if (room.counted - room.running) * KEPT_PART > room.most:
            self._start(self._tell_redis(room))  # at once
        else:
            self._trim_later()

    def _trim_later(self) -> None:
        if self._trimming is None:
            self._trimming = asyncio.get_running_loop().call_later(LINGER_S, self._trim)

    def _pass_on(self, room: Room, waiter: asyncio.Future[Entry | None]) -> None:
        """Leave the place that was taken for a request that is gone."""
        if waiter in room.waiting:
            room.waiting.remove(waiter)
        elif waiter.done() and not waiter.cancelled():
            entry = waiter.result()
            if entry is not None and entry.admitted:
                self._left(room)

    def _without_redis(self, name: str, place: Place) -> Entry:
        if place.on_store_loss == "closed":
            return Entry(False, 0, "closed")
        room = self._room(name, place)
        if place.on_store_loss == "open":
            return room.entered("open")
        share = max(1, place.most // max(1, self._live_workers()))
        return room.entered("local") if room.running < share else Entry(False, 0, "local")

    # -- asking Redis ----------------------------------------------------------------------------------------------

    def _may_ask(self) -> bool:
        if self._breaker is CLOSED:
            return True
        is_tried, self._breaker = may_try(self._breaker, self._now())
        return is_tried

    async def _ask(self, room: Room) -> None:
        """Ask for all who wait, and tell them; they decide for themselves where Redis does not answer."""
        try:
            while room.waiting:
                asked_for = len(room.waiting)
                granted = await self._count(room, asked_for)
                waiting, room.waiting = room.waiting[:asked_for], room.waiting[asked_for:]
                self._tell(room, waiting, granted)
        finally:
            room.is_asking = False
            self._tell(room, room.waiting, None)
            room.waiting = []
        if room.running < room.counted:  # those that it was for have gone
            self._trim_later()

    def _tell(self, room: Room, waiting: list[asyncio.Future[Entry | None]], granted: int | None) -> None:
        for waiter in waiting:
            if waiter.done():
                continue
            if granted is None:
                waiter.set_result(None)
            elif room.running < room.counted:
                waiter.set_result(room.entered())
            else:
                room.full_until_s = self._now() + REFUSED_FOR_S
                waiter.set_result(Entry(False, 0, "store"))

    async def _count(self, room: Room, wanted: int) -> int | None:
        """Say how many are running, and ask for so many more; how many were granted, None when Redis is lost."""
        self.calls += 1
        room.told_at_s = self._now()
        room.counted = running = room.running  # nobody takes a place while it is being given up
        arguments: list[Argument] = [self._worker_id, room.most, running, wanted, int(LIFE_S * 1e6)]
        try:
            granted, in_fleet = await self._client.run(script("enter"), [room.name], arguments, is_write=True)
        except StoreError:
            self._breaker = after_failure(self._breaker, self._now())
            if wanted:  # they may have been counted all the same
                room.untold_until_s = room.told_at_s + LIFE_S
            return None
        self._breaker = CLOSED
        room.untold_until_s = 0.0
        room.counted = running + granted
        room.others = in_fleet - room.counted
        if room.running < room.counted - granted:
            self._trim_later()
        return int(granted)

    def _trim(self) -> None:
        """Free the places that nobody has taken again."""
        self._trimming = None
        for room in list(self._rooms.values()):
            if room.running < room.counted:
                self._start(self._tell_redis(room))

    def _keep_up(self) -> None:
        if self._renewing is None:
            self._renewing = asyncio.get_running_loop().call_later(RENEW_S, self._renew)

    def _renew(self) -> None:
        """Say again what is running, and forget rooms in which nobody is."""
        self._renewing = None
        for name, room in list(self._rooms.items()):
            if room.running or room.counted or self._now() < room.untold_until_s:
                if room.told_at_s <= self._now() - RENEW_S / 2:
                    self._start(self._tell_redis(room))
            elif not (room.is_asking or room.waiting):
                del self._rooms[name]
        if self._rooms:
            self._keep_up()

    async def _tell_redis(self, room: Room) -> None:
        """Say how many are running; whoever is asking says it anyway."""
        if room.is_asking or not self._may_ask():
            return
        room.is_asking = True
        try:
            await self._count(room, 0)
        finally:
            await self._ask(room)

    def _start(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
