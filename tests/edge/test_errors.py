"""The codes of the edge's own answers."""

from __future__ import annotations

import json

import pytest

from edge.errors import ERRORS, EdgeError, body_of, fields_of

CONTRACT = {
    "bad_request": 400,
    "bad_host": 400,
    "bad_path": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "no_route": 404,
    "method_not_allowed": 405,
    "slow_request": 408,
    "body_too_large": 413,
    "uri_too_long": 414,
    "unknown_host": 421,
    "rate_limited": 429,
    "headers_too_large": 431,
    "upstream_connect": 502,
    "upstream_reset": 502,
    "upstream_protocol": 502,
    "no_target": 503,
    "overloaded": 503,
    "store_down": 503,
    "upstream_timeout": 504,
}


@pytest.mark.parametrize("code", CONTRACT)
def test_each_code_has_its_status(code: str) -> None:
    assert EdgeError(code).status == CONTRACT[code] == ERRORS[code].status


def test_a_code_that_nobody_declared_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        EdgeError("made_up")


@pytest.mark.parametrize(
    ("code", "is_safe"),
    [("upstream_connect", True), ("no_target", True), ("upstream_reset", False), ("upstream_timeout", False)],
)
def test_only_what_cannot_have_taken_effect_is_safe_to_retry(code: str, is_safe: bool) -> None:
    assert EdgeError(code).retry_safe is is_safe


def test_doubt_about_framing_closes_the_connection() -> None:
    assert EdgeError("bad_request").must_close
    assert not EdgeError("no_route").must_close
    assert EdgeError("no_route", must_close=True).must_close


def test_the_client_reads_the_code_and_the_request_and_nothing_else() -> None:
    error = EdgeError("upstream_connect", "10.0.0.5:9000 refused")
    assert json.loads(body_of(error, 'r"1')) == {"error": "upstream_connect", "request_id": 'r"1'}
    assert "10.0.0.5" in str(error)


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (EdgeError("no_route"), {}),
        (EdgeError("rate_limited", retry_after_s=0.2), {"Retry-After": "1"}),
        (EdgeError("rate_limited", retry_after_s=2.1), {"Retry-After": "3"}),
        (EdgeError("store_down"), {"Retry-After": "1"}),
        (EdgeError("method_not_allowed", headers=(("Allow", "GET, HEAD"),)), {"Allow": "GET, HEAD"}),
    ],
)
def test_the_fields_say_what_to_do_next(error: EdgeError, fields: dict[str, str]) -> None:
    assert dict(fields_of(error)) == {"Content-Type": "application/json", **fields}
