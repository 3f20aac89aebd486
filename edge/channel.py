"""What a master and its workers say to each other: lines of JSON over a pair of sockets.

The master first tells a worker its `Orders`. From then on a worker sends a `Report` every second, once when it
has begun to serve, once before it ends, and whenever the master asks. The end of the channel is the other's end.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

MAX_LINE_BYTES = 1 << 20

State = Literal["starting", "serving", "draining"]


class ChannelError(Exception):
    """The other side said something that is not of this protocol."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker must know to start; `flags` as its node was given them, by the settings' names."""

    index: int
    listen_fds: tuple[int, ...]
    flags: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """How a worker is. `asked` is the number of the question it answers, 0 when nobody asked.

    `samples` are its metrics, `config` what its watcher says, `fault` why it cannot start.
    """

    state: State
    asked: int = 0
    samples: Mapping[str, float] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""


def encode(message: Mapping[str, Any]) -> bytes:
    """Make one line of a message."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def encode_orders(orders: Orders) -> bytes:
    """Make the first line that a master writes."""
    return encode(asdict(orders))


def encode_report(report: Report) -> bytes:
    """Make a line that a worker writes."""
    return encode(asdict(report))


def encode_question(number: int) -> bytes:
    """Make the line that asks a worker for a report."""
    return encode({"ask": number})


def read_orders(link: socket.socket) -> Orders:
    """Read the orders from the channel, blocking. Raises ChannelError when the master is gone or babbles."""
    with link.makefile("rb") as lines:
        said = _decode(lines.readline(MAX_LINE_BYTES))
    try:
        return Orders(said["index"], tuple(said["listen_fds"]), said["flags"])
    except (KeyError, TypeError) as error:
        raise ChannelError("the master's orders are incomplete") from error


def decode_report(line: bytes) -> Report:
    """Read a worker's line. Raises ChannelError."""
    try:
        return Report(**_decode(line))
    except TypeError as error:
        raise ChannelError("a worker's report has unknown fields") from error


def decode_question(line: bytes) -> int:
    """Read a master's line. Raises ChannelError."""
    number = _decode(line).get("ask")
    if not isinstance(number, int):
        raise ChannelError("the master asked for nothing known")
    return number


async def open_channel(link: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Make streams of one end of the channel; the socket is theirs from then on."""
    link.setblocking(False)
    return await asyncio.open_unix_connection(sock=link, limit=MAX_LINE_BYTES)


def _decode(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError as error:
        raise ChannelError("a line of the channel is not JSON") from error
    if not isinstance(said, dict):
        raise ChannelError("a line of the channel is not an object")
    return said
