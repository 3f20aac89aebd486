"""A process of its own that counts the time it is given: started by `timing`, ends when that closes its input."""

from __future__ import annotations

import mmap
import select
import sys
import time

TICK_S = 0.01
MOST_S = 3 * TICK_S
"""As much as is counted between two ticks at most: if there was more, then this process stood still."""


def main() -> None:
    """Add to the number in the file whose descriptor is given, for as long as the input is open."""
    given_s = memoryview(mmap.mmap(int(sys.argv[1]), 8)).cast("d")
    last_s = time.monotonic()
    while not select.select([sys.stdin], [], [], TICK_S)[0]:
        now_s = time.monotonic()
        given_s[0] += min(now_s - last_s, MOST_S)
        last_s = now_s


if __name__ == "__main__":
    main()
