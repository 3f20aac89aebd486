"""Addresses that a tenant may lead the edge to, and those that it may not; and the ways in which it can try.

await put(naming("key-set", "http://10.0.0.1:80", "t1"))     # ... a document that names the place in one of the WAYS
await ask(port, "key-set", "t1")                             # ... a request for which the edge has to ask there
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.fakes.edges import Answer
from tests.fakes.issuers import signing_key
from tests.fakes.openid import PUBLIC_CLIENT_ID
from tests.fakes.raw_talk import talk_to
from tests.fakes.recorder import Recorder, running_recorder
from tests.fakes.visitors import LOGIN

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::8a", "::ffff:8.8.8.8"]
PRIVATE = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "168.63.129.16", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
    "::ffff:0:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001:db8::1", "2001::1", "2002:7f00:1::",
    "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd12:3456::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo", "fec0::1",
    "ff02::1", "ff0e::1",
]  # fmt: skip

ODD_SPELLINGS = {
    "2130706433": "four decimal numbers",
    "0x7f000001": "four decimal numbers",
    "0X7F.0.0.1": "four decimal numbers",
    "0177.0.0.1": "four decimal numbers",
    "017700000001": "four decimal numbers",
    "127.1": "four decimal numbers",
    "127.0.0.0x1": "four decimal numbers",
    "0": "four decimal numbers",
    "127.0.0.1.": "four decimal numbers",
    "\uff11\uff12\uff17.0.0.1": "four decimal numbers",
    "127\u30020\u30020\u30021": "four decimal numbers",
    "\u2460\u2461\u2466.0.0.1": "four decimal numbers",
    "127.0.0.1%2e": "no '%'",
    "%31%32%37.0.0.1": "no '%'",
    "[::1%25lo]": "zone",
    "127.0.0.1..": "not a hostname",
    "id.test@127.0.0.1": "no user or password",
    "127.0.0.1\\@id.test": "no user or password",
}
"""Hosts that some system or other takes for an address of this machine, and why no document may name one."""

WAYS = ("upstream", "key-set", "forward-auth", "issuer")
REFUSED = {
    "upstream": (502, "upstream_connect"),
    **dict.fromkeys(("key-set", "forward-auth", "issuer"), (503, "auth_unavailable")),
}
"""What the client is told, by the way: the status and the code."""
SECRET = "hunter2"  # in the URLs that a tenant names, so that a log that repeats one is found out
NOWHERE = "http://127.0.0.1:9"


def naming(way: str, place: str, tenant: str, target: str = NOWHERE) -> dict[str, Any]:
    """Make a document that names a place (scheme, host and port) in one way, and a target unless that is the place."""
    who: dict[str, Any] = {
        "key-set": {"type": "jwt", "issuer": "https://id.test/", "audience": "shop"},
        "forward-auth": {"type": "forward"},
        "issuer": {"type": "session", "issuer": place, "client_id": PUBLIC_CLIENT_ID},
    }.get(way, {})
    if way in ("key-set", "forward-auth"):
        who["jwks_url" if way == "key-set" else "url"] = f"{place}/{SECRET}?key={SECRET}"
    return {
        "tenant": tenant,
        "domains": [{"host": f"{tenant}.localhost", "verified_by": "operator"}],
        "upstreams": {"app": {"targets": [f"{place}/{SECRET}" if way == "upstream" else target]}},
        "auth": {"who": who} if who else {},
        "routes": [{"name": "all", "path": "/*", "upstream": "app", "auth": ["who"] if who else []}],
    }


@cache
def token() -> str:
    """Make a token that only its issuer's keys can tell from a good one."""
    now_s = int(time.time())
    return signing_key().sign(
        {"iss": "https://id.test/", "aud": "shop", "sub": "u1", "iat": now_s, "exp": now_s + 3600}
    )


async def ask(port: int, way: str, tenant: str) -> Answer:
    """Send the edge a request for which it has to ask the place that the tenant names."""
    path = LOGIN if way == "issuer" else "/"
    shown = f"Authorization: Bearer {token()}\r\n" if way == "key-set" else ""
    head = f"GET {path} HTTP/1.1\r\nHost: {tenant}.localhost:{port}\r\nConnection: close\r\n{shown}\r\n"
    return Answer.parse(await talk_to(port, head.encode()))


def told(answer: Answer) -> tuple[int, str]:
    """Give the status and the code of an error of the edge's."""
    return answer.status, json.loads(answer.body)["error"]


def untold(log: str, way: str, named: dict[str, str]) -> list[str]:
    """List the places, of those that tenants have named, of which the log does not say that the filter closed them."""
    said = [line for line in log.splitlines() if "address not allowed by the egress filter" in line]
    marks: Sequence[tuple[str, str]] = [(place, _mark(way, tenant, place)) for tenant, place in named.items()]
    return [place for place, mark in marks if not any(mark in line for line in said)]


def _mark(way: str, tenant: str, place: str) -> str:
    if way == "issuer":
        return f"the OpenID provider {place} cannot"
    return f"tenant {tenant}: a key set" if way == "key-set" else f'"tenant":"{tenant}"'


@dataclass
class Inside:
    """What listens on this machine, by IPv4 and IPv6, on one port: nobody who is not allowed may connect to it."""

    recorders: list[Recorder]

    @property
    def port(self) -> int:
        return self.recorders[0].port

    @property
    def connections(self) -> int:
        return sum(len(each.connections) for each in self.recorders)


@asynccontextmanager
async def running_inside() -> AsyncIterator[Inside]:
    """Listen on 127.0.0.1 and ::1, and so for all that leads there: mapped, 0.0.0.0, ::."""
    async with running_recorder() as first, running_recorder("::1", first.port) as second:
        yield Inside([first, second])
