"""The measurement with many keys, in small: its verdicts are exact, and its table has what was found."""

from __future__ import annotations

import pytest

from loadtest.keys import Scale, Shape, Tally, main, measure, report

SMALL = Scale(keys=2000, asked=40, used=200, revoked=5)


@pytest.mark.parametrize("tenants", [1, 3])
async def test_known_unknown_and_revoked_keys_each_get_the_right_verdict(tenants: int) -> None:
    shape = await measure(SMALL, tenants)
    assert shape.tally == Tally(wrong=0, unavailable=0)
    assert [len(times) for times in (shape.known_ms, shape.unknown_ms, shape.never_ms, shape.never_again_ms)] == [
        40
    ] * 4
    assert len(shape.revoked_ms) == 5
    assert 10 < shape.bare_mib < shape.used_mib + 10


def test_the_table_has_a_column_for_each_shape() -> None:
    one = Shape(1, 60.0, 90.0, (1.0,), (2.0,), (3.0,), (4.0,), (5.0,), Tally())
    many = Shape(1000, 61.0, 91.0, (1.0,), (2.0,), (3.0,), (4.0,), (5.0,), Tally(wrong=7, unavailable=3))
    text = report([one, many], SMALL)
    assert text.startswith("# A million API keys\n")
    assert "| | of one tenant | of 1,000 tenants |" in text
    assert "| memory after 200 keys, MiB | 90.0 | 91.0 |" in text
    assert "| unknown to the worker, ms | 2.00 (p99 2.00) | 2.00 (p99 2.00) |" in text
    assert "| 503, of all requests | 0 | 3 |" in text
    assert "| wrong verdicts | 0 | 7 |" in text


def test_a_503_is_no_verdict_and_a_revoked_key_that_is_let_in_is_a_wrong_one() -> None:
    tally = Tally()
    for status, expected in ((200, 200), (401, 401), (503, 401), (503, 200), (200, 401), (401, 200), (502, 200)):
        tally.take(status, expected)
    assert tally == Tally(wrong=3, unavailable=2)


@pytest.mark.parametrize("arguments", [["--keys", "10"], ["--revoked", "5000"], ["--tenants", "0"]])
def test_figures_that_do_not_go_together_are_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
