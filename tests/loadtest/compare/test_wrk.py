from __future__ import annotations

import json

import pytest

from loadtest.compare.processes import DriveError
from loadtest.compare.stage import Caller
from loadtest.compare.wrk import MARK, Load, parse, script_for


def reported(**changed: int) -> str:
    found = {"requests": 10_000, "duration_us": 2_000_000, "bytes": 5_000, "p50_us": 1_500, "p99_us": 9_000}
    return f"Running 2s test\n  1 threads\n{MARK}{json.dumps({**found, 'failed': 0, 'broken': 0, **changed})}\n"


def test_what_wrk_reports_is_read_in_seconds_and_milliseconds() -> None:
    assert parse(reported()) == Load(10_000, 2.0, 5_000, 1.5, 9.0)


def test_an_answer_that_is_an_error_is_not_a_completed_request() -> None:
    assert parse(reported(failed=10)).requests == 9_990


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"failed": 11}, "11 were refused"),
        ({"broken": 11}, "11 broken off"),
        ({"requests": 0}, "of 0 requests"),
        ({"requests": 5, "failed": 5}, "5 were refused"),
    ],
)
def test_a_round_of_errors_measures_nothing(changed: dict[str, int], reason: str) -> None:
    with pytest.raises(DriveError, match=reason):
        parse(reported(**changed))


def test_a_wrk_that_reports_nothing_measures_nothing() -> None:
    with pytest.raises(DriveError, match="nothing"):
        parse("Running 2s test\n")


def test_the_script_has_a_request_for_each_caller_with_its_key() -> None:
    script = script_for([Caller("a.example.com"), Caller("b.example.com", "secret")], "/")
    assert r'requests[1] = "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"' in script
    assert r'requests[2] = "GET / HTTP/1.1\r\nHost: b.example.com\r\nX-API-Key: secret\r\n\r\n"' in script


def test_a_caller_does_not_show_its_key() -> None:
    assert "secret" not in repr(Caller("b.example.com", "secret"))
