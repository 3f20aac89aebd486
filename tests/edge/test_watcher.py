from __future__ import annotations

import pytest

from edge.watcher import Position, regression
from store.changes import Changes


@pytest.mark.parametrize(
    ("position", "epoch", "revision", "word"),
    [
        (Position(), "", 0, None),
        (Position(), "a", 7, None),
        (Position("a", 7), "a", 7, None),
        (Position("a", 7), "a", 8, None),
        (Position("a", 7), "a", 6, "went back"),
        (Position("a", 7), "b", 900, "replaced"),
        (Position("a", 7), "", 0, "empty"),
    ],
)
def test_a_store_that_cannot_be_what_came_after_is_not_followed(
    position: Position, epoch: str, revision: int, word: str | None
) -> None:
    found = regression(position, Changes(epoch, revision, (), complete=True))
    assert (found is None) if word is None else (found is not None and word in found)
