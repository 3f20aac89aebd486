"""Redis processes of other modes than one plain server: a Sentinel, and a cluster of one node or two."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import redis

from store.embedded import RedisProcess, find_redis_binary


def wait_until(is_so: Callable[[], bool], timeout_s: float = 20) -> None:
    """Ask until it is so; for states of a server that no event tells us of."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


class SentinelProcess(RedisProcess):
    """A Sentinel that watches one master under the name `main`."""

    def __init__(self, data_dir: Path, master: RedisProcess, replicas: int = 0) -> None:
        super().__init__(data_dir)
        self._master = master
        self._replicas = replicas

    def start(self) -> SentinelProcess:
        """Start it and wait until it knows the master's replicas."""
        super().start()
        try:
            with redis.Redis(port=self.port) as raw:
                wait_until(lambda: len(raw.sentinel_slaves("main")) == self._replicas)
        except BaseException:
            self.close()
            raise
        return self

    def __enter__(self) -> SentinelProcess:
        return self.start()

    def _command(self) -> list[str]:
        config = self.data_dir / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.data_dir}\nlogfile {self.data_dir / 'redis.log'}\n"
            f"unixsocket {self.data_dir / 'redis.sock'}\n"
            f"sentinel monitor main 127.0.0.1 {self._master.port} 1\n"
            "sentinel down-after-milliseconds main 300\n"
            "sentinel failover-timeout main 2000\n"
        )
        return [str(find_redis_binary()), str(config), "--sentinel"]


class ReplicaProcess(RedisProcess):
    """A replica of another process, in step with it once started."""

    def __init__(self, data_dir: Path, master: RedisProcess) -> None:
        super().__init__(data_dir)
        self._master = master

    def start(self) -> ReplicaProcess:
        """Start it and wait until it follows the master."""
        with redis.Redis.from_url(self._master.url) as raw:
            raw.config_set("repl-diskless-sync-delay", 0)  # Redis 7 waits 5 s for more replicas to come
        super().start()
        try:
            with redis.Redis.from_url(self.url) as raw:
                raw.replicaof("127.0.0.1", self._master.port)
            with redis.Redis.from_url(self._master.url) as raw:
                # A confirmed write is the only sure sign: a replica is called online before it is sent anything.
                wait_until(lambda: bool(raw.set("nudge", 1)) and raw.wait(1, 1000) == 1)
                raw.delete("nudge")
        except BaseException:
            self.close()
            raise
        return self

    def __enter__(self) -> ReplicaProcess:
        return self.start()


ALL_SLOTS = range(16384)


class ClusterProcess(RedisProcess):
    """A Redis Cluster of one node that holds every slot; with `slots`, a node of a cluster that `meet` makes."""

    ports = range(20_000, 22_000)  # 10,000 above is its bus: below those that the system gives to outgoing connections

    def __init__(self, data_dir: Path, slots: range = ALL_SLOTS) -> None:
        super().__init__(data_dir)
        self._slots = slots

    def start(self) -> ClusterProcess:
        """Start it and wait until the cluster says that it is well, if this is all of it."""
        super().start()
        try:
            self._take_slots()
            if self._slots == ALL_SLOTS:
                self.wait_until_well()
        except BaseException:
            self.close()
            raise
        return self

    def meet(self, other: ClusterProcess) -> None:
        """Make one cluster of this node and another, which has the rest of the slots."""
        with redis.Redis.from_url(self.url) as raw:
            raw.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port)
        for node in (self, other):
            node.wait_until_well()

    def wait_until_well(self) -> None:
        """Return when this node says that all slots are served."""
        with redis.Redis.from_url(self.url) as raw:
            wait_until(lambda: b"cluster_state:ok" in raw.execute_command("CLUSTER", "INFO"))

    def _take_slots(self) -> None:
        with redis.Redis.from_url(self.url) as raw:
            raw.execute_command("CLUSTER", "ADDSLOTS", *self._slots)

    def __enter__(self) -> ClusterProcess:
        return self.start()

    @property
    def cluster_url(self) -> str:
        """The address for clients."""
        return f"redis+cluster://127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        return [*super()._command(), "--cluster-enabled", "yes"]
