"""The addresses of targets' names, looked up in threads of their own, so that nobody waits for a stranger's DNS.

A lookup cannot be stopped once it has begun, and a tenant's name servers may keep it for as long as the system has
patience. So a tenant has few lookups under way at once and a name has one; whoever waits gives up by a deadline of its
own, and what is found in the end serves those who come after. The loop's threads are left alone: libuv has two for
lookups, and every connection that is made passes through them.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio import Future, Semaphore, Task
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Thread
from weakref import WeakValueDictionary

IPAddress = IPv4Address | IPv6Address
Addresses = tuple[IPAddress, ...]
LookUp = Callable[[str], Addresses]

RESOLVED_FOR_S = 5.0
FAILED_FOR_S = 1.0
REFRESH_WAIT_S = 0.2  # known addresses serve when new ones take longer than that
LOOKUPS_PER_TENANT = 4
LOOKUPS_IN_ALL = 256  # threads that wait cost little; this many take 64 tenants whose DNS hangs


def system_addresses(host: str) -> Addresses:
    """Ask the system for a name's addresses, for as long as it takes; OSError when there are none."""
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError("not a name that can be looked up") from error
    return tuple(dict.fromkeys(ip_address(info[4][0]) for info in infos))


class Resolver:
    """Looks names up for all tenants of a worker; `look_up` blocks, and is called in a thread of its own."""

    def __init__(self, look_up: LookUp = system_addresses, *, per_tenant: int = LOOKUPS_PER_TENANT) -> None:
        self._look_up = look_up
        self._per_tenant = per_tenant
        self._of_tenants: WeakValueDictionary[str, Semaphore] = WeakValueDictionary()
        self._of_all = Semaphore(LOOKUPS_IN_ALL)

    async def look_up(self, tenant: str, host: str) -> Addresses:
        """Give a name's addresses, when the tenant's turn has come and they are found; OSError when there are none."""
        of_tenant = self._of_tenants.get(tenant)
        if of_tenant is None:
            of_tenant = self._of_tenants[tenant] = Semaphore(self._per_tenant)
        async with of_tenant, self._of_all:
            found: Future[Addresses] = asyncio.get_running_loop().create_future()
            # A daemon: a name server that does not answer must not keep the process from ending.
            Thread(target=_run, args=(self._look_up, host, found), name="lookup", daemon=True).start()
            return await found


def _run(look_up: LookUp, host: str, found: Future[Addresses]) -> None:
    try:
        tell = partial(_tell, found, look_up(host), None)
    except Exception as error:
        tell = partial(_tell, found, (), error)
    with suppress(RuntimeError):  # the loop was closed meanwhile: nobody is left to be told
        found.get_loop().call_soon_threadsafe(tell)


def _tell(found: Future[Addresses], addresses: Addresses, error: Exception | None) -> None:
    if found.done():
        return
    if error is None:
        found.set_result(addresses)
    else:
        found.set_exception(error)


class Name:
    """One name, or address, of one tenant's target, and what is known of it."""

    def __init__(self, host: str, tenant: str, resolver: Resolver) -> None:
        self._host = host
        self._tenant = tenant
        self._resolver = resolver
        self._addresses: Addresses = ()
        self._fault = ""
        self._known_until_s = 0.0
        self._lookup: Task[None] | None = None
        with suppress(ValueError):
            self._addresses = (ip_address(host),)
            self._known_until_s = float("inf")

    async def addresses(self) -> Addresses:
        """Give its addresses: those of a moment ago, or the last good ones while DNS is slow or down.

        The caller sets a deadline. OSError when there are none, for a second without looking again.
        """
        loop = asyncio.get_running_loop()
        if loop.time() >= self._known_until_s:
            if self._lookup is None:
                self._lookup = loop.create_task(self._renew())
            # Unlike awaiting the task, this leaves it alone when we are cancelled or give up.
            await asyncio.wait({self._lookup}, timeout=REFRESH_WAIT_S if self._addresses else None)
            if self._lookup is not None:
                self._known_until_s = loop.time() + RESOLVED_FOR_S
        if not self._addresses:
            raise OSError(self._fault)
        return self._addresses

    async def _renew(self) -> None:
        try:
            found = await self._resolver.look_up(self._tenant, self._host)
            self._fault = "" if found else "the name has no address"
        except Exception as error:  # whatever it was, there are no addresses
            found, self._fault = (), getattr(error, "strerror", None) or str(error)
        finally:
            self._lookup = None
        self._addresses = found or self._addresses
        pause_s = RESOLVED_FOR_S if self._addresses else FAILED_FOR_S
        self._known_until_s = asyncio.get_running_loop().time() + pause_s
