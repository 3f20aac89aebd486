"""What Redis keeps of limits, as lua/take.lua and lua/give_back.lua do it, with a clock of the test's."""

from __future__ import annotations

from collections.abc import Sequence

from store.gcra import Pace
from store.meter import US_PER_S, Kept, Meter, State, take_all
from store.quota import WINDOWS, bounds_s

MAX_LOWS = 3


class KeptLimits:
    """Some limits that are taken from together, for one caller."""

    def __init__(self, meters: Sequence[Meter]) -> None:
        self.meters = list(meters)
        self.kept: list[Kept | None] = [None for _ in meters]
        self.lows: list[list[tuple[int, int]]] = [[] for _ in meters]
        self.taken_at_us = 0

    def take(self, now_us: int, wanted: int, life_us: int) -> tuple[int, list[State]]:
        """Take as many as are left; `taken_at_us` says when, for giving them back."""
        self.taken_at_us = max([now_us, *(lows[-1][0] + 1 for lows in self.lows if lows)])
        granted, before, kept = take_all(self.kept, self.meters, now_us, wanted, life_us)
        for at, of in enumerate(self.meters):
            if not granted and isinstance(of, Pace) and (cut := of.cut(self.kept[at], now_us)) is not None:
                self.kept[at], self.lows[at] = cut, [(self.taken_at_us, 0)]
        for at, after in enumerate(kept):
            is_put_off = granted > 1 and before[at][0] < life_us
            self._note(at, 0 if is_put_off else before[at][0])
            self.kept[at] = after
        return granted, before

    def _note(self, at: int, ahead_us: int) -> None:
        if isinstance(self.meters[at], Pace):
            lows = [low for low in self.lows[at] if low[1] < ahead_us] + [(self.taken_at_us, ahead_us)]
            if len(lows) > MAX_LOWS:
                lows[:2] = [(lows[1][0], lows[0][1])]
            self.lows[at] = lows

    def give_back(self, arguments: Sequence[bytes]) -> None:
        """Take back what lua/give_back.lua would be given with these arguments."""
        taken_at_us, *moved = map(int, arguments)
        for at, kept in enumerate(self.kept):
            us, part, parts = moved[3 * at : 3 * at + 3]
            if kept is not None and kept[2] == parts:
                if parts:
                    self.kept[at] = self._moved_back(at, kept, (us, part), taken_at_us)
                elif kept[1] == bounds_s(WINDOWS[part], taken_at_us // US_PER_S)[0] * US_PER_S:
                    self.kept[at] = (max(0, kept[0] - us), kept[1], 0)

    def _moved_back(self, at: int, kept: Kept, back: State, taken_at_us: int) -> Kept:
        since = [low for low in self.lows[at] if low[0] > taken_at_us]
        if since and back[0] >= since[0][1]:
            back = (since[0][1], 0)
        whole_us = back[0] + (back[1] > 0)
        reduced = [(when, ahead - whole_us * (when > taken_at_us)) for when, ahead in self.lows[at]]
        reduced = [(when, max(0, ahead)) for when, ahead in reduced]
        self.lows[at] = [low for n, low in enumerate(reduced) if all(low[1] < later[1] for later in reduced[n + 1 :])]
        left = (kept[0] - back[0]) * kept[2] + kept[1] - back[1]
        return left // kept[2], left % kept[2], kept[2]
