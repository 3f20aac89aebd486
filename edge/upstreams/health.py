"""Active health checks: a GET to each target now and then, and a pure decision what the outcome means.

A target counts as healthy until checks say otherwise, so that a new one takes traffic at once; an unhealthy one takes
none until it has passed often enough.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass

from multidict import CIMultiDict

from edge.errors import EdgeError
from edge.framing import serialize_head
from edge.pool import Address, ConnectionPool
from store.model import HealthCheck

log = logging.getLogger("portico.edge")

JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Health:
    """What checks have found: `streak` outcomes in a row that contradict `is_healthy`."""

    is_healthy: bool = True
    streak: int = 0


def after_check(health: Health, settings: HealthCheck, *, is_passed: bool) -> Health:
    """Take one outcome in: enough in a row turn the verdict."""
    if is_passed == health.is_healthy:
        return Health(health.is_healthy)
    needed = settings.healthy_after if is_passed else settings.unhealthy_after
    streak = health.streak + 1
    return Health(is_passed) if streak >= needed else Health(health.is_healthy, streak)


class HealthMonitor:
    """Checks one target from now until `stop`; `health` is the verdict so far, `settings` what it checks by.

    `base_path` goes before the path of the checks as it goes before every other.
    """

    def __init__(self, url: str, pool: ConnectionPool, settings: HealthCheck, base_path: str = "") -> None:
        self.settings = settings
        self.health = Health()
        self._url = url
        self._pool = pool
        self._base_path = base_path
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """End the checks; idempotent."""
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            is_passed = await self._check()
            self._pool.counters.checks["passed" if is_passed else "failed"] += 1
            before, self.health = self.health, after_check(self.health, self.settings, is_passed=is_passed)
            if self.health.is_healthy != before.is_healthy:
                log.warning("target %s is %s", self._url, "healthy" if self.health.is_healthy else "unhealthy")
            spread = 1 + JITTER * (2 * random.random() - 1)  # noqa: S311  # so that workers do not check all at once
            await asyncio.sleep(self.settings.interval_s * spread)

    async def _check(self) -> bool:
        try:
            return await is_answering(self._pool, self.settings, self._base_path)
        except Exception:  # whatever it was, a target that cannot be asked is not healthy, and is asked again
            log.exception("the check of target %s failed", self._url)
            return False


async def is_answering(pool: ConnectionPool, settings: HealthCheck, base_path: str = "") -> bool:
    """Ask a target once, on a connection of its own; a head below 400 in time is a pass, redirects are not followed."""
    head = CIMultiDict({"Host": host_field(pool.address), "Accept": "*/*", "Connection": "close"})
    try:
        async with asyncio.timeout(settings.timeout_s):
            connection = await pool.connect()
            try:
                connection.begin("GET", asks_upgrade=False)
                connection.write(serialize_head(f"GET {base_path}{settings.path} HTTP/1.1", head))
                message, _, _ = await connection.head()
            except BaseException:
                connection.abort()
                raise
            connection.close()
    except (EdgeError, TimeoutError):
        return False
    return message.code < 400


def host_field(address: Address) -> str:
    """Spell a target's own name as `Host` has it: without its scheme's default port (RFC 9110 section 7.2)."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return host if address.port == (443 if address.is_tls else 80) else f"{host}:{address.port}"
