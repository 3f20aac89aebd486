"""Load at a rate, whatever the answers do: each request has its moment, and its latency counts from then.

    python -m loadtest.compare.paced_load PORT RATE SECONDS REQUESTS_FILE

The file is a JSON list of requests, sent in turn. When all connections are busy a request waits, and that wait is part
of its latency, so a system that stalls cannot hide it. One epoll loop over plain sockets. Prints JSON.
"""

from __future__ import annotations

import gc
import json
import math
import select
import socket
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from time import perf_counter

CONNECTIONS = 128
WARM_UP_SHARE = 0.2
END_TIMEOUT_S = 5.0
BODY_END = b"xxxx\n"  # of the origin's answer


class Paced:
    """The connections and what each is waiting for; the owner owes `close`. Raises ConnectionError when one is lost."""

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self.latencies_s: list[float] = []
        self.failed = 0
        self._requests: Iterator[bytes] = cycle(requests)
        self._waiting = select.epoll()
        self._links: dict[int, socket.socket] = {}
        self._due: dict[int, float] = {}
        self._received: dict[int, bytes] = {}
        self._late: deque[float] = deque()
        for _ in range(CONNECTIONS):
            link = socket.create_connection(("127.0.0.1", port))
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._links[link.fileno()] = link
            self._waiting.register(link, select.EPOLLIN)
        self._free = deque(self._links)

    @property
    def is_busy(self) -> bool:
        """Whether an answer is still to come."""
        return bool(self._due or self._late)

    def close(self) -> None:
        """Close all connections."""
        self._waiting.close()
        for link in self._links.values():
            link.close()

    def send(self, due: float) -> None:
        """Send the next request, which was due then, now or as soon as a connection is free."""
        if not self._free:
            self._late.append(due)
            return
        file = self._free.popleft()
        self._due[file] = due
        self._received[file] = b""
        self._links[file].sendall(next(self._requests))

    def receive(self, timeout_s: float) -> None:
        """Wait so long for answers, and take what has come."""
        # epoll's own timeout has a resolution of milliseconds, select's of microseconds.
        if not select.select([self._waiting], (), (), timeout_s)[0]:
            return
        for file, _event in self._waiting.poll(0):
            data = self._links[file].recv(65536)
            if not data or file not in self._due:
                raise ConnectionError("a connection was closed, or answered unasked")
            data = self._received[file] + data
            is_good = data[9:12] == b"200"
            if is_good and not data.endswith(BODY_END):
                self._received[file] = data
                continue
            self.failed += not is_good
            self.latencies_s.append(perf_counter() - self._due.pop(file))
            self._free.append(file)
            if self._late:
                self.send(self._late.popleft())

    def drive(self, rate_per_s: float, seconds: float) -> None:
        """Send at this rate for so long, then wait for the last answers."""
        started = perf_counter()
        interval_s, number, count = 1 / rate_per_s, 0, int(rate_per_s * seconds)
        while number < count:
            due = started + number * interval_s
            while due <= perf_counter() and number < count:
                self.send(due)
                number += 1
                due = started + number * interval_s
            self.receive(max(0.0, due - perf_counter()))
        until = perf_counter() + END_TIMEOUT_S
        while self.is_busy:
            if perf_counter() > until:
                raise ConnectionError("answers are missing")
            self.receive(END_TIMEOUT_S)


def summary(latencies_s: Sequence[float], failed: int) -> dict[str, float]:
    """Return the percentiles (nearest rank) in milliseconds, without those of the warm-up."""
    kept = sorted(latencies_s[int(len(latencies_s) * WARM_UP_SHARE) :])
    p50, p99 = (kept[max(0, math.ceil(len(kept) * share) - 1)] * 1000 for share in (0.5, 0.99))
    return {"requests": len(latencies_s), "failed": failed, "p50_ms": p50, "p99_ms": p99}


def main(port: int, rate_per_s: float, seconds: float, file: str) -> None:
    """Drive and print."""
    paced = Paced(port, [text.encode() for text in json.loads(Path(file).read_text())])
    gc.disable()  # a collection would be a latency of ours
    try:
        paced.drive(rate_per_s, seconds)
    finally:
        paced.close()
    print(json.dumps(summary(paced.latencies_s, paced.failed)))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
