"""What the edge made of raw bytes, checked against what a table says: forwarded, byte for byte, or refused.

    await check(edge, recorder, get(b"X : a"), Refused(400, "bad_request"))
    await check(edge, recorder, get(b"TE: trailers"), Forwarded(get()))

Each request is followed by a good one in the same packet, so that every row also says what becomes of the connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.fakes.edges import RunningEdge
from tests.fakes.raw_talk import LAST, answers_in, get, talk_to
from tests.fakes.recorder import Recorder

LAST_FORWARDED = get(target=b"/last")


@dataclass(frozen=True)
class Refused:
    """The edge's own answer; with `goes_on` the connection takes another request, else it ends."""

    status: int
    code: str
    goes_on: bool = False


@dataclass(frozen=True)
class Forwarded:
    """What has to reach the target, without the fields that the edge adds; without `goes_on` the connection ends.

    `is_alone` leaves the good request out, for what asks itself for the connection's end.
    """

    request: bytes
    goes_on: bool = True
    is_alone: bool = False


Verdict = Refused | Forwarded


def to_acme(url: str, **route: Any) -> dict[str, Any]:
    """Give the document of tenant "acme": one route, "all", that leads to one target."""
    return {
        "tenant": "acme",
        "domains": [{"host": "shop.test", "verified_by": "operator"}],
        "upstreams": {"app": {"targets": [url]}},
        "routes": [{"name": "all", "path": "/*", "upstream": "app", **route}],
    }


async def check(
    edge: RunningEdge, recorder: Recorder, sent: bytes, verdict: Verdict, *, in_single_bytes: bool = False
) -> None:
    """Send raw bytes and hold what the client and the target get against the verdict."""
    data = sent if isinstance(verdict, Forwarded) and verdict.is_alone else sent + LAST
    pieces = [bytes([byte]) for byte in data] if in_single_bytes else [data]
    first, *others = answers_in(await talk_to(edge.port, *pieces))
    assert first.is_last is not verdict.goes_on
    assert [(other.status, other.body) for other in others] == ([(200, b"/last ")] if verdict.goes_on else [])
    last = [LAST_FORWARDED] if verdict.goes_on else []
    assert not recorder.unreadable
    if isinstance(verdict, Forwarded):
        target = verdict.request.split(b" ", 2)[1]
        assert (first.status, first.error) == (200, None)
        assert first.body.startswith(target + b" ")
        assert recorder.forwarded == [verdict.request, *last]
        assert len(recorder.connections) == 1
    else:
        assert (first.status, first.error) == (verdict.status, verdict.code)
        assert recorder.forwarded == last
        assert len(recorder.connections) == len(last)
