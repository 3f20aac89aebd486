"""store/model/units.py: what people write as durations, sizes and rates, and what is written back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.model.units import (
    MAX_SIZE_BYTES,
    Rate,
    format_duration,
    format_rate,
    format_size,
    parse_duration_s,
    parse_rate,
    parse_size_bytes,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2s", 2.0),
        ("500ms", 0.5),
        ("1m", 60.0),
        ("1.5m", 90.0),
        ("1h", 3600.0),
        ("1d", 86_400.0),
        ("0.25s", 0.25),
        ("1.1s", 1.1),
        ("0.001ms", 0.000001),
    ],
)
def test_a_duration_is_read_to_the_microsecond(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "2", "s", "2 s", " 2s", "2s ", "-2s", "+2s", "2S", "1e3s", "1.s", ".5s", "2s\n", "٢s", "1w", "1h30m"]
)
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 500ms, 2s, 1m or 1h"):
        parse_duration_s(text)


@pytest.mark.parametrize("text", ["0s", "0.0ms", "0.0001ms"])
def test_a_duration_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration is longer than zero"):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (90.0, "90s"),
        (120.0, "2m"),
        (0.5, "500ms"),
        (3600.0, "1h"),
        (86_400.0, "1d"),
        (1.1, "1100ms"),
        (0.0015, "1.5ms"),
        (0.000001, "0.001ms"),
        (60.00006, "60000.06ms"),
    ],
)
def test_a_duration_is_written_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(1, 10**11).map(lambda microseconds: microseconds / 10**6))
def test_every_duration_survives_being_written(seconds: float) -> None:
    assert parse_duration_s(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("65536", 65_536),
        ("512B", 512),
        ("10MiB", 10 * 2**20),
        ("512KiB", 512 * 2**10),
        ("2GiB", 2 * 2**30),
        ("1kB", 1000),
        ("3MB", 3 * 10**6),
        ("1GB", 10**9),
    ],
)
def test_a_size_is_read_in_bytes(text: str, size_bytes: int) -> None:
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "10 MiB", "10mib", "10M", "1.5MiB", "-1", "MiB", "1_000", "10MiB\n"])
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as 10MiB, 512KiB, 1GB or a number of bytes"):
        parse_size_bytes(text)


def test_a_size_beyond_all_reason_is_refused() -> None:
    assert parse_size_bytes("1024GiB") == MAX_SIZE_BYTES
    with pytest.raises(ValueError, match="a size is at most 1024GiB"):
        parse_size_bytes("1025GiB")


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0B"), (1000, "1000B"), (1024, "1KiB"), (10_485_760, "10MiB"), (2**40, "1024GiB"), (2**20 + 1, "1048577B")],
)
def test_a_size_is_written_in_its_largest_whole_unit(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text


@given(st.integers(0, MAX_SIZE_BYTES))
def test_every_size_survives_being_written(size_bytes: int) -> None:
    assert parse_size_bytes(format_size(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/s", Rate(100, 1.0)),
        ("600/m", Rate(600, 60.0)),
        ("1000/h", Rate(1000, 3600.0)),
        ("5/d", Rate(5, 86_400.0)),
        ("5/second", Rate(5, 1.0)),
        ("5/minute", Rate(5, 60.0)),
        ("5/hour", Rate(5, 3600.0)),
        ("5/day", Rate(5, 86_400.0)),
        ("1000000/s", Rate(1_000_000, 1.0)),
    ],
)
def test_a_rate_is_so_many_in_a_period(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate
    assert parse_rate(format_rate(rate)) == rate


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("100", "expected a rate such as"),
        ("100/", "expected a rate such as"),
        ("100/w", "expected a rate such as"),
        ("100 / s", "expected a rate such as"),
        ("1.5/s", "expected a rate such as"),
        ("-1/s", "expected a rate such as"),
        ("100/ms", "expected a rate such as"),
        ("0/s", "a rate admits at least one"),
        ("1000001/s", "a rate is at most 1000000/s"),
        ("60000001/m", "a rate is at most 1000000/s"),
    ],
)
def test_what_is_no_rate_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_rate(text)
