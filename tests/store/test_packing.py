"""store/packing.py: what goes to Redis is the same bytes, packed at once or prepared."""

from __future__ import annotations

import hiredis
import pytest

from store.packing import packed, prepared
from store.scripts import script


@pytest.mark.parametrize(
    "keys",
    [
        ("{rl:acme}:n:k",),
        ("",),
        ("{rl:acme}:n:k", "{rl:acme}:m:" + "x" * 5000),
        ("a key", "a key", "$5\r\na key\r\n"),
        ("grüße", "\udcff"),
    ],
    ids=["one", "empty", "long", "like the places", "beyond ASCII"],
)
@pytest.mark.parametrize("arguments", [(), (1, 0, b"20000", "0")], ids=["alone", "with arguments"])
def test_a_prepared_command_is_the_one_that_would_be_packed(
    keys: tuple[str, ...], arguments: tuple[int | bytes | str, ...]
) -> None:
    take = script("take")
    assert prepared(take, len(keys), arguments).with_keys(keys) == packed(
        ("EVALSHA", take.sha, len(keys), *keys, *arguments)
    )


def test_redis_reads_what_is_packed_as_it_was_given() -> None:
    reader = hiredis.Reader()
    reader.feed(prepared(script("take"), 2, (1, 0)).with_keys(("a", "b")))
    assert reader.gets() == [b"EVALSHA", script("take").sha.encode(), b"2", b"a", b"b", b"1", b"0"]
