from __future__ import annotations

import pytest
from multidict import CIMultiDict

from edge.framing import (
    BODY_UNTIL_CLOSE,
    CHUNKED_BODY,
    NO_BODY,
    BodyPlan,
    Framing,
    chunk,
    plan_answer_body,
    plan_request_body,
    serialize_head,
)


@pytest.mark.parametrize(
    ("is_chunked", "content_length", "plan"),
    [
        (False, None, NO_BODY),
        (False, 0, BodyPlan(Framing.SIZED, 0)),
        (False, 7, BodyPlan(Framing.SIZED, 7)),
        (True, None, CHUNKED_BODY),
    ],
)
def test_a_request_body_keeps_its_kind_of_end(is_chunked: bool, content_length: int | None, plan: BodyPlan) -> None:
    assert plan_request_body(is_chunked=is_chunked, content_length=content_length) == plan


@pytest.mark.parametrize(
    ("method", "status", "known_length", "is_http_10", "plan"),
    [
        ("GET", 200, 5, False, BodyPlan(Framing.SIZED, 5)),
        ("GET", 200, 0, False, BodyPlan(Framing.SIZED, 0)),
        ("GET", 200, None, False, CHUNKED_BODY),
        ("GET", 200, None, True, BODY_UNTIL_CLOSE),
        ("GET", 200, 5, True, BodyPlan(Framing.SIZED, 5)),
        ("HEAD", 200, 5, False, NO_BODY),
        ("HEAD", 200, None, False, NO_BODY),
        ("GET", 204, None, False, NO_BODY),
        ("GET", 304, 5, False, NO_BODY),
        ("GET", 101, None, False, NO_BODY),
        ("POST", 404, None, False, CHUNKED_BODY),
    ],
)
def test_an_answer_body_is_framed_for_its_client(
    method: str, status: int, known_length: int | None, is_http_10: bool, plan: BodyPlan
) -> None:
    assert plan_answer_body(method, status, known_length, is_http_10=is_http_10) == plan


def test_a_chunk_bears_its_size_in_hexadecimal() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\x00b", "a\x7fb", "é\r\nX-Evil: 1", "é\x0bz"])
def test_a_control_character_in_a_field_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        serialize_head("GET / HTTP/1.1", CIMultiDict({"X": value}))


def test_octets_that_are_not_utf_8_leave_as_they_came() -> None:
    received = b"caf\xe9; \xc3\xa9"
    headers = CIMultiDict({"X-Name": received.decode("utf-8", "surrogateescape"), "Y": "plain"})
    assert serialize_head("GET / HTTP/1.1", headers) == (
        b"GET / HTTP/1.1\r\nX-Name: " + received + b"\r\nY: plain\r\n\r\n"
    )
