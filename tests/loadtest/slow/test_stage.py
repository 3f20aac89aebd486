"""The measurement of slow clients, in small: each kind ends as it must, and everybody else is answered."""

from __future__ import annotations

import pytest

from loadtest.slow.kinds import Kind, Scale, kinds
from loadtest.slow.report import bomb_faults, faults
from loadtest.slow.stage import measure
from loadtest.slow.targets import bomb

SMALL = Scale(many=60, few=30, deadline_s=1.5, stall_s=2.0)


@pytest.mark.parametrize("row", ["T54", "T55", "T56"])
async def test_slow_clients_end_as_they_must_and_hold_little(row: str) -> None:
    found, bombs = await measure(SMALL, (row,))
    assert [each.kind.what for each in found] == [each.what for each in kinds(SMALL) if each.row == row]
    assert bombs is None
    # When is a matter of what else the machine does: a second of it may be missing.
    assert not [(each, said) for each in found if (said := set(faults(each)) - {"not in time"})]
    assert all(
        each.kind.due_s - each.kind.early_s <= each.first_s <= each.last_s < 3 * each.kind.due_s + 2 for each in found
    )
    assert all(each.each_kib > 1 for each in found)


async def test_a_body_that_unpacks_to_gigabytes_passes_both_ways_as_it_is() -> None:
    found, bombs = await measure(SMALL, ("T62",))
    assert not found
    assert bombs is not None
    assert bombs.identical == bombs.sent
    assert "not the same" not in bomb_faults(bombs)
    assert bombs.unpacked_bytes > 900 * bombs.packed_bytes


def test_a_bomb_unpacks_to_what_is_said() -> None:
    assert len(bomb(128 << 20)) == 2 * len(bomb(64 << 20)) < 200_000


def test_a_kind_has_its_bar_and_its_deadline_from_the_matrix() -> None:
    by_row: dict[str, list[Kind]] = {}
    for kind in kinds(Scale()):
        by_row.setdefault(kind.row, []).append(kind)
    assert {row: {kind.bar_kib for kind in of} for row, of in by_row.items()} == {
        "T54": {None},
        "T55": {120},
        "T56": {320},
    }
    assert [kind.count for kind in by_row["T54"]] == [5000, 5000, 2000]
