"""Pages of lists that are read whole, oldest first, pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from tenants.errors import MALFORMED, Refused


class Dated(Protocol):
    """Something with a moment of creation, and an id that no other item of its list has."""

    @property
    def id(self) -> str:
        """The id."""
        ...

    @property
    def created_at_ms(self) -> int:
        """When it was made, in Unix ms."""
        ...


Item = TypeVar("Item", bound=Dated)


@dataclass(frozen=True, slots=True)
class Slice(Generic[Item]):
    """Some items, oldest first; `cursor` continues after them, None at the end."""

    items: tuple[Item, ...]
    cursor: str | None


def slice_oldest_first(items: Iterable[Item], cursor: str | None, limit: int) -> Slice[Item]:
    """Return up to `limit` items after `cursor`, which still works when the item that it names is gone.

    `Refused` with 400 when the cursor is none that this function made.
    """
    start = _read_cursor(cursor) if cursor else (-1, "")
    after = sorted((item for item in items if _place(item) > start), key=_place)
    shown = tuple(after[:limit])
    return Slice(shown, "-".join(map(str, _place(shown[-1]))) if len(after) > limit else None)


def _place(item: Dated) -> tuple[int, str]:
    return item.created_at_ms, item.id


def _read_cursor(cursor: str) -> tuple[int, str]:
    match = re.fullmatch(r"([0-9]{1,15})-([0-9A-Za-z]{1,64})", cursor)
    if match is None:
        raise Refused(MALFORMED, "the cursor is not one that a page before has answered")
    return int(match[1]), match[2]
