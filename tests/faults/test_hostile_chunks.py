"""Answers in chunks that nobody should send, and odd ones that anybody may, however their bytes arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain

import pytest
import pytest_asyncio

from tests.fakes.chunks import FAULTY, SOUND
from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.listening import listening
from tests.fakes.raw_talk import Said, answers_in, get, talk_to
from tests.fakes.verdicts import to_acme

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GOOD = HEAD + b"4\r\ngood\r\n0\r\n\r\n"
BEGUN = b"4\r\nabcd\r\n"


@dataclass
class ChunkTarget:
    """A target that answers /NUMBER with these pieces, one packet each, and anything else well; `asked` has the paths
    that each of its connections was asked for."""

    answers: Sequence[tuple[bytes, ...]]
    port: int = 0
    asked: list[list[str]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other."""
        asked: list[str] = []
        self.asked.append(asked)
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
            asked.append(path)
            number = path.removeprefix("/")
            for piece in self.answers[int(number)] if number.isdigit() else (GOOD,):
                writer.write(piece)
                for _ in range(3):  # in which the edge, in the same loop, reads it
                    await asyncio.sleep(0)


@asynccontextmanager
async def running_chunks(edge: RunningEdge, answers: Sequence[tuple[bytes, ...]]) -> AsyncIterator[ChunkTarget]:
    """Run such a target, and have the edge lead to it."""
    target = ChunkTarget(answers)
    async with listening(target.serve) as target.port:
        await edge.put(to_acme(f"http://127.0.0.1:{target.port}"))
        yield target


@pytest_asyncio.fixture
async def edge(redis_url: str) -> AsyncIterator[RunningEdge]:
    """A whole edge worker without a tenant."""
    async with running_edge(redis_url) as running:
        yield running


def in_every_way(body: bytes) -> list[tuple[bytes, ...]]:
    """Give an answer whole, byte by byte, and split at each place of its body."""
    data = HEAD + body
    splits: Iterator[int] = iter(range(len(HEAD), len(data)))
    return [(data,), tuple(data[at : at + 1] for at in range(len(data))), *((data[:at], data[at:]) for at in splits)]


async def heard(port: int, path: str) -> Said | None:
    """Ask on a connection of its own; None when the answer breaks off."""
    with suppress(ConnectionResetError):
        (answer,) = answers_in(await talk_to(port, get(b"Connection: close", target=path.encode())))
        return answer
    return None


@pytest.mark.parametrize("body", FAULTY.values(), ids=FAULTY)
async def test_an_answer_whose_chunks_are_in_doubt_is_never_whole_and_its_connection_is_over(
    edge: RunningEdge, body: bytes
) -> None:
    answers = in_every_way(BEGUN + body)
    async with running_chunks(edge, answers) as target:
        said = await asyncio.gather(*(heard(edge.port, f"/{number}") for number in range(len(answers))))
        assert {(each.status, each.error) for each in said if each} <= {(502, "upstream_protocol")}
        after = await asyncio.gather(*(heard(edge.port, "/after") for _ in answers))
        assert [each.body for each in after if each] == [b"good"] * len(answers)
    spoilt = [asked for asked in target.asked if asked != ["/after"] * len(asked)]
    assert sorted(chain(*spoilt)) == sorted(f"/{number}" for number in range(len(answers)))
    assert len(spoilt) == len(answers)


@pytest.mark.parametrize(("body", "expected"), SOUND.values(), ids=SOUND)
async def test_an_answer_in_odd_chunks_passes_whole_and_its_connection_goes_on(
    edge: RunningEdge, body: bytes, expected: bytes
) -> None:
    answers = in_every_way(BEGUN + body)
    async with running_chunks(edge, answers) as target:
        for number in range(len(answers)):
            said = await heard(edge.port, f"/{number}")
            assert said is not None
            assert (said.status, said.body) == (200, b"abcd" + expected)
            names = {line.partition(b":")[0] for line in said.head.split(b"\r\n")}
            assert not names & {b"X", b"Server-Timing", b"Set-Cookie"}  # of the trailers of the one before
        assert len(target.asked) == 1
