"""Durations, sizes and rates as people write them, parsed once into numbers with units in their names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)")
_DURATION_US = {"ms": 10**3, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86_400 * 10**6}
_SIZE = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB|kB|MB|GB)?")
_SIZE_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_RATE = re.compile(r"([0-9]{1,12})/(s|m|h|d|second|minute|hour|day)")
_QUOTA = re.compile(r"([0-9]{1,12})/(minute|hour|day|month)")
_PERIOD_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
MAX_SIZE_BYTES = 2**40
MAX_RATE_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in each period."""

    count: int
    period_s: float


@dataclass(frozen=True, slots=True)
class UnitsPerWindow:
    """So many in each window of the calendar."""

    units: int
    window: str


def parse_duration_s(text: str) -> float:
    """Read "2s", "500ms", "1.5m", "1h", "1d", to the microsecond; ValueError otherwise, and for zero."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("expected a duration such as 500ms, 2s, 1m or 1h")
    microseconds = round(Decimal(match[1]) * _DURATION_US[match[2]])
    if microseconds == 0:
        raise ValueError("a duration is longer than zero")
    return microseconds / 10**6


def format_duration(seconds: float) -> str:
    """Write a duration in its largest whole unit: 90 -> "90s", 120 -> "2m", 0.5 -> "500ms"."""
    microseconds = round(seconds * 10**6)
    for unit in ("d", "h", "m", "s", "ms"):
        if microseconds % _DURATION_US[unit] == 0:
            return f"{microseconds // _DURATION_US[unit]}{unit}"
    return f"{microseconds // 1000}.{microseconds % 1000:03}".rstrip("0") + "ms"


def parse_size_bytes(text: str) -> int:
    """Read "10MiB", "512KiB", "1GB" or plain bytes; ValueError otherwise, and beyond 1 TiB."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("expected a size such as 10MiB, 512KiB, 1GB or a number of bytes")
    size_bytes = int(match[1]) * _SIZE_BYTES[match[2] or "B"]
    if size_bytes > MAX_SIZE_BYTES:
        raise ValueError(f"a size is at most {format_size(MAX_SIZE_BYTES)}")
    return size_bytes


def format_size(size_bytes: int) -> str:
    """Write a size in its largest whole binary unit: 10485760 -> "10MiB"."""
    for unit in ("GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _SIZE_BYTES[unit] == 0:
            return f"{size_bytes // _SIZE_BYTES[unit]}{unit}"
    return f"{size_bytes}B"


def parse_rate(text: str) -> Rate:
    """Read "100/s", "600/m", "1000/h", "5/d"; ValueError otherwise, for none, and beyond a million a second."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError("expected a rate such as 100/s, 600/m, 1000/h or 5000/d")
    rate = Rate(int(match[1]), _PERIOD_S[match[2][0]])
    if rate.count == 0:
        raise ValueError("a rate admits at least one")
    if rate.count / rate.period_s > MAX_RATE_PER_S:
        raise ValueError(f"a rate is at most {MAX_RATE_PER_S}/s")
    return rate


def parse_quota(text: str) -> UnitsPerWindow:
    """Read "1000000/month", "500/day", "60/hour", "5/minute"; ValueError otherwise, and for none."""
    match = _QUOTA.fullmatch(text)
    if match is None:
        raise ValueError("expected a quota such as 1000000/month, 5000/day, 500/hour or 10/minute")
    if int(match[1]) == 0:
        raise ValueError("a quota admits at least one")
    return UnitsPerWindow(int(match[1]), match[2])


def format_quota(quota: UnitsPerWindow) -> str:
    """Write a quota as it is read."""
    return f"{quota.units}/{quota.window}"


def format_rate(rate: Rate) -> str:
    """Write a rate as it is read."""
    unit = next(unit for unit, period_s in _PERIOD_S.items() if period_s == rate.period_s)
    return f"{rate.count}/{unit}"
