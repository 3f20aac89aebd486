"""What is heard of sessions that end."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from store import keys
from store.client import connect
from store.endings import Endings, Heard, read_ended, said, session_name
from store.sealing import Sealer
from store.sessions import Kept, Sessions, new_session_id

NAME = session_name("acme", "id")


async def test_a_session_that_ends_is_heard_of_once_and_one_that_was_none_is_not(redis_url: str) -> None:
    async with connect(redis_url, "feed") as feed, aclosing(Endings(feed).heard()) as heard:
        sessions = Sessions(feed, Sealer([b"k" * 32]))
        for name in ("a", "b"):
            await sessions.put("acme", name, Kept("ann", {}), 60)
        assert [await anext(heard) for _ in range(2)] == [Heard(is_gap=True, ended=())] * 2
        for name in ("none", "a", "a", "b"):
            await sessions.delete("acme", name)
        ended: list[object] = []
        while session_name("acme", "b") not in ended:
            now = await anext(heard)
            assert not now.is_gap
            ended += now.ended
        assert ended == [session_name("acme", "a"), session_name("acme", "b")]


def test_what_is_said_of_a_session_does_not_tell_its_id() -> None:
    session_id = new_session_id()
    name = session_name("acme", session_id)
    assert session_id not in said(name)
    assert keys.session("acme", session_id).endswith(name.digest)
    assert read_ended(said(name).encode()) == name


@pytest.mark.parametrize("message", [b"", b"acme", b"acme short", b"\xff\xfe", said(NAME).encode() + b"0"])
def test_what_is_no_ending_is_left_out(message: bytes) -> None:
    assert read_ended(message) is None
