"""A worker that does what the node's flags say: what a master must cope with, in a process of its own.

`act`: serve, fault (cannot start), die (once it serves), freeze (says nothing more), babble (not the protocol),
linger (ignores SIGTERM). `act_0`, `act_1`: of that worker only. It answers every connection with its process id.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time

import uvloop

from edge.channel import Orders, Report, decode_question, encode_report, open_channel, read_orders

ACCEPTED_S = 0.1


async def run(link: socket.socket, orders: Orders) -> None:
    act = orders.flags.get(f"act_{orders.index}", orders.flags.get("act", "serve"))
    reader, writer = await open_channel(link)
    if act == "fault":
        writer.write(encode_report(Report("starting", fault="the moon is in the way")))
        await writer.drain()
        sys.exit(2)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, (lambda: None) if act == "linger" else stop.set)
    servers = [await asyncio.start_server(answer, sock=socket.socket(fileno=fd)) for fd in orders.listen_fds]

    def report(state: str, asked: int = 0) -> bytes:
        samples = {"portico_connections_total": 10.0, "portico_connections_open": 1.0}
        return encode_report(Report(state, asked, samples, {"revision": 7 + orders.index, "is_store_up": True}))  # type: ignore[arg-type]

    writer.write(report("serving"))
    await writer.drain()
    if act == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "freeze":
        time.sleep(3600)  # noqa: ASYNC251 - that is the point
    if act == "babble":
        writer.write(b"hello?\n")
    stopped = asyncio.create_task(stop.wait())
    while not stopped.done():
        line = asyncio.create_task(reader.readline())
        await asyncio.wait([stopped, line], return_when=asyncio.FIRST_COMPLETED)
        if line.done():
            if not line.result():
                return
            writer.write(report("serving", decode_question(line.result())))
        line.cancel()
    writer.write(report("draining"))
    await writer.drain()
    for server in servers:
        server.close()
    await asyncio.sleep(ACCEPTED_S)  # who has been accepted is answered, as by a real worker


async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(str(os.getpid()).encode())
    writer.close()


if __name__ == "__main__":
    channel = socket.socket(fileno=int(sys.argv[1]))
    uvloop.run(run(channel, read_orders(channel)))
