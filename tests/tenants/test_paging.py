"""Pages of lists that are read whole."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tenants.errors import Refused
from tenants.paging import slice_oldest_first


@dataclass(frozen=True)
class Thing:
    id: str
    created_at_ms: int


THINGS = [Thing(id_, at_ms) for id_, at_ms in [("b", 2), ("a", 2), ("z", 1), ("c", 3)]]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9])
def test_every_item_is_on_exactly_one_page_oldest_first(limit: int) -> None:
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = slice_oldest_first(THINGS, cursor, limit)
        seen += [thing.id for thing in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == ["z", "a", "b", "c"]


def test_the_next_page_is_found_although_the_last_item_shown_is_gone() -> None:
    cursor = slice_oldest_first(THINGS, None, 2).cursor
    rest = [thing for thing in THINGS if thing.id != "a"]
    assert [thing.id for thing in slice_oldest_first(rest, cursor, 2).items] == ["b", "c"]


@pytest.mark.parametrize("cursor", ["x", "-", "1", "1-", "-a", "1-a b", "9" * 40 + "-a", "1-a\n"])
def test_a_cursor_of_somebody_elses_making_is_refused(cursor: str) -> None:
    with pytest.raises(Refused, match="cursor"):
        slice_oldest_first(THINGS, cursor, 2)
