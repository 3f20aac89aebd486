"""What a worker owes to the counts in Redis, paid behind its requests: units not spent, and what Redis did not see."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from store.client import Client
from store.errors import StoreError
from store.lease import returned
from store.local import Debts
from store.meter import Meter
from store.scripts import script

MAX_OWED = 1000

Start = Callable[[Coroutine[Any, Any, None]], None]


class Returns:
    """Gives back and pays, each time in a task of its own that `start` begins and that its owner waits for."""

    def __init__(self, client: Client, start: Start) -> None:
        self._client = client
        self._start = start
        self._owed: list[Debts] = []
        self.calls = 0
        """How often Redis was told."""

    @property
    def is_owing(self) -> bool:
        """Whether a payment has failed: it is tried again with the next."""
        return bool(self._owed)

    def give_back(self, names: Sequence[str], arguments: Sequence[bytes]) -> None:
        """Give units back, by their limits' names in Redis and the arguments of lua/give_back.lua."""
        self._start(self._undo(names, arguments))

    def unwanted(self, names: Sequence[str], meters: Sequence[Meter], reply: Any) -> None:
        """Give back what lua/take.lua has granted to a request that has gone; nothing where the reply is an error."""
        if not isinstance(reply, Exception) and reply[0]:
            self.give_back(names, returned(meters, reply[1], reply[0]))

    def pay(self, debts: Sequence[Debts]) -> None:
        """Pay these and what is owed besides, the last thousand of them."""
        owed, self._owed = [*self._owed, *debts], []
        for each in owed[-MAX_OWED:]:
            self._start(self._charge(each))

    async def _undo(self, names: Sequence[str], arguments: Sequence[bytes]) -> None:
        self.calls += 1
        with suppress(StoreError):  # they are lost to everybody until they would have come back anyway
            await self._client.run(script("give_back"), names, arguments, is_write=True)

    async def _charge(self, debts: Debts) -> None:
        self.calls += 1
        try:
            await self._client.run(script("charge"), debts.names, debts.arguments, is_write=True)
        except StoreError:
            self._owed.append(debts)  # lost once more; if this was counted already, it is counted twice rather than not
