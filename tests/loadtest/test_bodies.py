from __future__ import annotations

from loadtest.bodies import Passage, is_within_bars, measure, report

SIZE_BYTES = 64 * 1024 * 1024


async def test_a_large_body_passes_both_ways_unchanged_and_in_flat_memory() -> None:
    passages = await measure(SIZE_BYTES)
    assert [passage.what for passage in passages] == ["upload", "download"]
    assert is_within_bars(passages), report(passages, SIZE_BYTES)


def test_a_body_that_changed_or_grew_the_memory_is_no_success() -> None:
    fine = Passage("upload", True, 1.0, 1024)
    assert is_within_bars([fine])
    assert not is_within_bars([fine, Passage("download", False, 1.0, 1024)])
    assert not is_within_bars([fine, Passage("download", True, 1.0, 64 * 1024 * 1024)])
