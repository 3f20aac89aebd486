"""Limits that hold across the fleet: counted on Redis' clock, ahead of requests where they come often (`lease`).

Each asking has 50 ms. While Redis does not answer, each limit does what it declares: `local` (its share, limit / live
workers, counted in this process), `open` (admitted) or `closed` (refused; one such limit refuses the request).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from redis.exceptions import NoScriptError

from store.breaker import CLOSED, after_failure, may_try
from store.client import Client
from store.decisions import Decision, LimitState, Take, names_of, states_of
from store.errors import StoreError
from store.first import First, FirstAskings
from store.held import Held
from store.lease import NOTHING, Grant
from store.local import LocalCounts
from store.meter import State
from store.returns import Returns
from store.scripts import Argument, script
from store.wire import let_go

IDLE_S = 1.0
LONGEST_WAIT_S = 0.05
"""Who has waited for so long for others' asking does not begin one."""


Name = tuple[str, tuple[Take, ...]]
Asking = tuple[int, float]
"""How many units, and for how long they live."""


class Limiter:
    """Counts takes in Redis, and by itself while Redis is lost.

    `client` has the role `data`; `live_workers` says among how many the limits are shared when counted
    locally; `now` is a monotonic clock in seconds. The owner owes `aclose()`.
    """

    def __init__(
        self, client: Client, live_workers: Callable[[], int], now: Callable[[], float] = time.monotonic
    ) -> None:
        if client.role != "data":
            raise ValueError("the limiter needs a client of the role 'data': it must not wait")
        self._client = client
        self._now = now
        self._local = LocalCounts(live_workers, now)
        self._breaker = CLOSED
        self._is_closed = False
        self._held: dict[Name, Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._returns = Returns(client, self._start)
        self._first = FirstAskings(client, now, self._local.has_heard_of, self._returns.unwanted)
        self._timer: asyncio.TimerHandle | None = None
        self._asked_times = 0

    @property
    def calls(self) -> int:
        """How often Redis was asked, or given something back."""
        return self._asked_times + self._returns.calls

    @property
    def is_store_lost(self) -> bool:
        """Whether the next limit would be decided without Redis."""
        return not may_try(self._breaker, self._now())[0]

    @property
    def drift(self) -> int:
        """How many units are held here that nobody has spent yet."""
        return sum(held.units for held in self._held.values())

    def take_at_once(self, tenant: str, takes: tuple[Take, ...]) -> Decision | None:
        """Decide without waiting, by what is held here or was refused just now; None where Redis has to be asked."""
        held = self._held.get((tenant, takes))
        if held is None:
            return None
        now_s = self._now()
        if held.spend(now_s):
            return held.decided(now_s, is_taken=True)
        if now_s < held.refused_until_s and not held.units:
            return held.decided(now_s, is_taken=False)
        return None

    def refused_at_once(self, tenant: str, takes: tuple[Take, ...]) -> Decision | None:
        """Repeat a refusal of just now, where there cannot be more yet; None where none is known. Takes nothing."""
        held = self._held.get((tenant, takes))
        if held is None or held.units:
            return None
        now_s = self._now()
        return held.decided(now_s, is_taken=False) if now_s < held.refused_until_s else None

    def states_at_once(self, tenant: str, takes: tuple[Take, ...]) -> tuple[LimitState, ...]:
        """Say where limits stand as far as is known here, and nothing of the others; takes of none and asks nobody."""
        held = self._held.get((tenant, takes))
        if held is None or held.grant is NOTHING:
            return self._local.states(takes, names_of(tenant, takes))
        return states_of(takes, held.meters, held.states(self._now()), is_taken=False)

    async def take(self, tenant: str, takes: Sequence[Take]) -> Decision:
        """Take one from every limit, or none of them; never raises for a lost store.

        It waits for one asking of Redis, its own or that of others, of 50 ms at most; now and then for a second.
        Raises ValueError for a limit that cannot be counted (see `decisions.meter_of`).
        """
        takes = tuple(takes)
        if not takes:
            return Decision(True, (), 0.0, "store")
        asked = self._ask_first(tenant, takes)
        if asked is not None:
            try:
                decision = self._decide_first(tenant, takes, asked, await asked.reply)
            except asyncio.CancelledError:
                let_go(asked.reply, asked.unwanted)
                raise
            finally:
                self._first.is_over(asked)
            if decision is not None:
                return decision
        decision = self.take_at_once(tenant, takes)
        due_s = self._now() + LONGEST_WAIT_S
        while decision is None:
            held = self._held.get((tenant, takes))
            if held is not None and held.is_asking:
                decision = await self._told(held)
            elif self._now() <= due_s and self._may_ask():
                decision = await self._asked(held or self._hold(tenant, takes))
            else:
                if held is not None:
                    held.wake()  # whoever waits behind this one decides for itself, too
                return self._decide_locally(tenant, takes, held)
        return decision

    def _ask_first(self, tenant: str, takes: tuple[Take, ...]) -> First | None:
        """Ask for a caller of whom nothing is held; None for any who is to be asked for with others."""
        if (tenant, takes) in self._held or self._breaker is not CLOSED:
            return None
        return self._first.ask(tenant, takes)

    def _decide_first(self, tenant: str, takes: tuple[Take, ...], asked: First, found: Any) -> Decision | None:
        """Say what Redis has decided for such a caller; None to ask again, by all that there is."""
        if isinstance(found, NoScriptError):
            return None
        self._asked_times += 1
        if isinstance(found, Exception):
            self._breaker = after_failure(self._breaker, self._now())
            self._local.note_lost(asked.at_s)
            return self._decide_locally(tenant, takes, None)
        if self._local.has_counted or self._returns.is_owing:
            self._is_back()
        before = _states(found)
        if found[0]:
            after = asked.stepped(before)
            self._local.remember(asked.names, asked.meters, after)
            return Decision(True, states_of(takes, asked.meters, after, is_taken=True), 0.0, "store")
        held = Held(tenant, takes)
        held.asked(asked.at_s, 1, held.terms.life_s)
        held.granted(Grant(0, found[1], before))
        # Others may have come meanwhile, and wait with what is held for them: that stays where they look for it.
        self._held.setdefault((tenant, takes), held)
        self._go_on()
        return self._decide(held)

    async def aclose(self) -> None:
        """Give back what is held and has not been spent; safe to call twice. Who waits decides as without Redis."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for held in self._held.values():
            self._tell_all_without_redis(held)
            self._give_back(held)
        self._held.clear()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- asking Redis ----------------------------------------------------------------------------------------------

    def _may_ask(self) -> bool:
        if self._breaker is CLOSED:
            return True
        is_tried, self._breaker = may_try(self._breaker, self._now())
        return is_tried

    async def _asked(self, held: Held) -> Decision | None:
        """Have Redis asked, for this request and for those that wait; None to look again."""
        asking = held.wanted(self._now(), 1 + len(held.waiting))
        if asking[0] == 1:  # in place: a task of its own would cost as much as all the rest
            return await self._ask(held, asking, is_for_one=True)
        held.is_asking = True
        self._start(self._ask_for_all(held, asking))
        return await self._told(held)

    async def _told(self, held: Held) -> Decision | None:
        """Wait for what becomes of the asking that is under way; None to look again."""
        waiter: asyncio.Future[Decision | None] = asyncio.get_running_loop().create_future()
        held.waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._pass_on(held, waiter)
            raise

    def _pass_on(self, held: Held, waiter: asyncio.Future[Decision | None]) -> None:
        """Let the others have what was for a request that is gone."""
        if waiter in held.waiting:
            held.waiting.remove(waiter)
        elif waiter.done() and not waiter.cancelled():
            decision = waiter.result()
            if decision is None:
                held.wake()
            elif decision.admitted and decision.source == "store":
                held.units += 1
                if held.counts_from_now:
                    self._give_back(held)

    async def _ask_for_all(self, held: Held, asking: Asking) -> None:
        await self._ask(held, asking, is_for_one=False)

    async def _ask(self, held: Held, asking: Asking, *, is_for_one: bool) -> Decision | None:
        held.is_asking = True
        now_s = self._now()
        has_left = self._give_back(held)
        wanted, life_s = asking
        held.asked(now_s, wanted, life_s)
        self._renew(held)
        self._asked_times += 1
        try:
            if has_left:
                await asyncio.sleep(0)  # the giving back goes first
            arguments: list[Argument] = [wanted, held.life_us, *held.arguments]
            unwanted = partial(self._returns.unwanted, held.names, held.meters)
            reply = await self._client.run(script("take"), held.names, arguments, unwanted, is_write=True)
        except StoreError:
            self._breaker = after_failure(self._breaker, self._now())
            self._local.note_lost(now_s)
            held.is_asking = False
            self._tell_all_without_redis(held)
            return self._decide_locally(held.tenant, held.takes, held) if is_for_one else None
        except BaseException:
            held.is_asking = False
            held.wake()
            raise
        held.is_asking = False
        if self._breaker is not CLOSED or self._local.has_counted or self._returns.is_owing:
            self._is_back()
        held.granted(Grant(reply[0], reply[1], _states(reply)))
        decision = self._decide(held) if is_for_one else None
        self._distribute(held)
        if held.counts_from_now or self._is_closed:
            self._give_back(held)
        return decision

    def _decide(self, held: Held) -> Decision | None:
        now_s = held.asked_at_s
        if held.spend_at_once():
            return held.decided(now_s, is_taken=True)
        return held.decided(now_s, is_taken=False) if now_s < held.refused_until_s else None

    def _distribute(self, held: Held) -> None:
        """Tell those who wait what has become of them; who cannot be told yet asks again, for all of them."""
        waiting, held.waiting = held.waiting, []
        for at, waiter in enumerate(waiting):
            if waiter.done():
                continue
            decision = self._decide(held)
            if decision is None:
                held.waiting = waiting[at:]
                held.wake()
                return
            waiter.set_result(decision)

    # -- without Redis ---------------------------------------------------------------------------------------------

    def _decide_locally(self, tenant: str, takes: tuple[Take, ...], held: Held | None) -> Decision:
        if held is not None and held.grant is not NOTHING:
            return self._local.take(takes, held.names, held.states(self._now()))
        return self._local.take(takes, names_of(tenant, takes))

    def _tell_all_without_redis(self, held: Held) -> None:
        waiting, held.waiting = held.waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(self._decide_locally(held.tenant, held.takes, held))

    def _is_back(self) -> None:
        """Redis has answered: what was counted without it is owed to it."""
        self._breaker = CLOSED
        self._returns.pay(self._local.settle())

    # -- what is held ----------------------------------------------------------------------------------------------

    def _hold(self, tenant: str, takes: tuple[Take, ...]) -> Held:
        held = self._held[tenant, takes] = Held(tenant, takes)
        return held

    def _renew(self, held: Held) -> None:
        """Keep those held in the order in which Redis was asked for them, so that the first are those to let go of."""
        name = (held.tenant, held.takes)
        self._held.pop(name, None)
        self._held[name] = held
        self._go_on()

    def _go_on(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(IDLE_S, self._let_go)

    def _let_go(self) -> None:
        """Let go of what nobody has asked for in a second."""
        self._timer = None
        before_s = self._now() - IDLE_S
        while self._held:
            name, held = next(iter(self._held.items()))
            if held.asked_at_s > before_s or held.is_asking or held.waiting:
                break
            del self._held[name]
            if held.grant is not NOTHING:  # else Redis has never told where they stand
                self._local.remember(held.names, held.meters, held.states(self._now()))
            self._give_back(held)
        if self._held:
            self._go_on()

    def _give_back(self, held: Held) -> bool:
        """Give back what is left, in a task of its own; whether anything is."""
        arguments = held.unspent()
        if arguments is None or self._breaker is not CLOSED:
            return False
        self._returns.give_back(held.names, arguments)
        return True

    def _start(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _states(reply: Sequence[int]) -> list[State]:
    """Read where each limit stood before, of what lua/take.lua returns."""
    if len(reply) == 4:  # as mostly
        return [(reply[2], reply[3])]
    return list(zip(reply[2::2], reply[3::2], strict=True))
