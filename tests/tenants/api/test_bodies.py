"""JSON as it arrives: bounded and strict."""

from __future__ import annotations

import json
import time

import pytest

from tenants.api.bodies import MAX_BODY_BYTES, MAX_DEPTH, deepest, parse_json
from tenants.errors import MALFORMED, NOT_JSON, Kind, Refused


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "", "ü€\U0001f600", [], {}, {"a": [{"b": None}]}, "[[["])
def test_json_is_read_as_it_is(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", NOT_JSON),
        (b"  \n", NOT_JSON),
        (b"tenant: acme", NOT_JSON),
        (b"{", NOT_JSON),
        (b"{}{}", NOT_JSON),
        (b"{'a': 1}", NOT_JSON),
        (b"[1,]", NOT_JSON),
        (b"\xff\xfe", NOT_JSON),
        (b"\xef\xbb\xbf{}", NOT_JSON),
        (b'"\x00"', NOT_JSON),
        (b"NaN", NOT_JSON),
        (b"[Infinity]", NOT_JSON),
        (b"[1e999]", MALFORMED),
        (b"[" + b"9" * 5000 + b"]", MALFORMED),
        (b'{"a": 1, "a": 2}', MALFORMED),
        (b'["\\ud800"]', MALFORMED),
        (b'{"\\udfff": 1}', MALFORMED),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), MALFORMED),
    ],
)
def test_what_is_not_plain_json_is_refused(raw: bytes, kind: Kind) -> None:
    with pytest.raises(Refused) as refused:
        parse_json(raw)
    assert refused.value.kind == kind


def test_the_place_of_a_syntax_error_is_named() -> None:
    with pytest.raises(Refused, match=r"line 2, column 8"):
        parse_json(b'{\n  "a": }')


@pytest.mark.parametrize(
    ("text", "depth"),
    [("1", 0), ("[]", 1), ('[{"a": []}]', 3), ('"[[["', 0), (r'["\"[", []]', 2), (r'["\\", [[]]]', 3), ('"[', 0)],
)
def test_brackets_in_strings_are_not_depth(text: str, depth: int) -> None:
    assert deepest(text) == depth


@pytest.mark.parametrize(
    "raw",
    [b"[" * MAX_BODY_BYTES, b'"\\' * (MAX_BODY_BYTES // 2), b'{"a":' * (MAX_BODY_BYTES // 5), b'"' * MAX_BODY_BYTES],
)
def test_the_worst_that_fits_costs_no_more_than_a_moment(raw: bytes) -> None:
    started_s = time.process_time()
    with pytest.raises(Refused):
        parse_json(raw)
    assert time.process_time() - started_s < 1.0
