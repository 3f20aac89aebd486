"""tests/fuzz/wire.py: the reader that everything else is held against."""

from __future__ import annotations

import pytest

from tests.fuzz.seeds import ANSWERS, REQUESTS
from tests.fuzz.wire import Incomplete, Malformed, read_answer, read_request, read_requests

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize("data", REQUESTS)
def test_what_the_mutations_begin_with_is_well_formed(data: bytes) -> None:
    requests, why = read_requests(data)
    assert requests
    assert why == "end" or b"?switch" in data or b"?early" in data


@pytest.mark.parametrize("data", ANSWERS)
def test_the_answers_to_begin_with_are_well_formed(data: bytes) -> None:
    assert read_answer(data, 0, "GET", has_ended=True).status


def test_bodies_and_what_follows_them_are_told_apart() -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: u\r\n\r\n"
    requests, why = read_requests(chunked + HEAD + b"Content-Length: 2\r\n\r\nde" + HEAD + b"\r\n")
    assert [request.body for request in requests] == [b"abc", b"de", b""]
    assert why == "end"


@pytest.mark.parametrize(
    "data",
    [
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: \0\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        HEAD + b"Content-Length: +1\r\n\r\nx",
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n",
    ],
)
def test_what_is_not_to_the_letter_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_request(data)


@pytest.mark.parametrize("size", range(1, 80, 3))
def test_what_ends_too_early_is_incomplete(size: int) -> None:
    whole = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    assert read_request(whole).end == len(whole)
    with pytest.raises(Incomplete):
        read_request(whole[: min(size, len(whole) - 1)])
