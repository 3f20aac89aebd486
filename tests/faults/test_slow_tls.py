"""Clients by TLS that do not read their answers: what each costs, and that it is cut in time."""

from __future__ import annotations

import asyncio
import re
import ssl
from pathlib import Path

import trustme

from tests.fakes.waiting import until
from tests.faults.slow_site import BIG_BYTES, good_traffic, has_asked_targets, running_site, warmed

CLIENTS = 60
STALLED_TLS_KIB = 450
"""What a plain one may cost, and TLS' own state and buffers."""


async def test_answers_by_tls_that_nobody_reads_are_cut_and_cost_little(redis_url: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("shop.test")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    tls = {
        "PORTICO_LISTEN_TLS": "127.0.0.1:0",
        "PORTICO_TLS_CERT": str(tmp_path / "cert.pem"),
        "PORTICO_TLS_KEY": str(tmp_path / "key.pem"),
    }
    async with running_site(redis_url, PORTICO_WRITE_TIMEOUT="5s", **tls) as site:
        before_kib = await warmed(site)

        [port] = re.findall(r"https://127\.0\.0\.1:(\d+)", "".join(site.node.said))

        async def ask() -> asyncio.StreamWriter:
            _, writer = await asyncio.open_connection("127.0.0.1", int(port), ssl=trusting, server_hostname="shop.test")
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"GET /bytes/%d HTTP/1.1\r\nHost: shop.test\r\n\r\n" % BIG_BYTES)
            return writer

        async with good_traffic(site):
            writers = await asyncio.gather(*(ask() for _ in range(CLIENTS)))
            await until(lambda: has_asked_targets(site, CLIENTS))
            await asyncio.sleep(0.5)  # nothing tells when the last buffer on the way is full
            each_kib = (site.private_kib() - before_kib) / CLIENTS
            await site.drained(connections=1)
            for writer in writers:
                writer.transport.abort()
    assert each_kib <= STALLED_TLS_KIB
