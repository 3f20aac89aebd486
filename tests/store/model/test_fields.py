"""store/model/fields.py: what a tenant may call a header field, a parameter, a method, and what is the edge's own."""

from __future__ import annotations

import pytest

from edge.headers import HOP_BY_HOP
from store.model.fields import (
    can_carry_credential,
    check_field_name,
    check_field_value,
    check_line,
    check_method,
    check_param_name,
    is_of_one_message,
    is_reserved_for_answers,
    is_reserved_for_requests,
)


@pytest.mark.parametrize("name", ["X-API-Key", "x", "a!#$%&'*+.^_`|~b", "A" * 256])
def test_a_token_is_a_field_name(name: str) -> None:
    assert check_field_name(name) == name


@pytest.mark.parametrize("name", ["", "X B", "X:", "X\r\n", "Ünal", "X(", "A" * 257])
def test_anything_else_is_no_field_name(name: str) -> None:
    with pytest.raises(ValueError, match="not a header field's name: "):
        check_field_name(name)


@pytest.mark.parametrize("value", ["", "a b", "a\tb", "é", "v" * 4096])
def test_a_line_of_text_is_a_field_value(value: str) -> None:
    assert check_field_value(value) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a\r\nSet-Cookie: x", "no line break"),
        ("a\nb", "no line break"),
        ("a\x00b", "no line break"),
        ("\x7f", "no line break"),
        (" a", "no space around it"),
        ("a\t", "no space around it"),
        ("v" * 4097, "at most 4096 characters"),
    ],
)
def test_a_value_that_would_break_the_message_is_refused_and_not_repeated(value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        check_field_value(value)
    assert "Set-Cookie" not in str(refusal.value)


@pytest.mark.parametrize("method", ["GET", "PROPFIND", "M-SEARCH"])
def test_a_method_is_in_capitals(method: str) -> None:
    assert check_method(method) == method


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("get", "not a method: 'get'; did you mean 'GET'\\?"),
        ("", "not a method: ''$"),
        ("G T", "not a method: 'G T'$"),
        ("*", "not a method: "),
        ("TRACE", "the edge does not forward TRACE"),
        ("CONNECT", "the edge does not forward CONNECT"),
    ],
)
def test_what_is_no_method_or_not_forwarded_is_refused(method: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_method(method)


@pytest.mark.parametrize("name", ["beta", "filter[x]", "é", "a.b"])
def test_a_parameter_has_any_name_that_a_query_can_hold(name: str) -> None:
    assert check_param_name(name) == name


@pytest.mark.parametrize("name", ["", "a&b", "a=b", "a#b", "a b", "a\n", "n" * 257])
def test_a_parameter_has_no_name_that_ends_it(name: str) -> None:
    with pytest.raises(ValueError, match="not a query parameter's name: "):
        check_param_name(name)


@pytest.mark.parametrize("text", ["Acme\nInc.", "\x1b[31mAcme", "a\x9bb", "\x7f", "\t"])
def test_a_name_that_a_terminal_would_obey_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="has a line break or another control character"):
        check_line(text)


@pytest.mark.parametrize("name", sorted({*HOP_BY_HOP, "content-length", "expect"}))
def test_what_frames_a_message_is_the_edges_own_both_ways(name: str) -> None:
    for spelling in (name, name.upper(), name.replace("-", "_")):
        assert is_reserved_for_requests(spelling)
        assert is_reserved_for_answers(spelling)


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X_Forwarded_Host",
        "Forwarded",
        "X-Request-ID",
        "traceparent",
        "X-Portico-Tenant",
        "x-portico-anything",
    ],
)
def test_what_the_edge_tells_targets_is_its_own(name: str) -> None:
    assert is_reserved_for_requests(name)


@pytest.mark.parametrize("name", ["X-Request-ID", "RateLimit", "ratelimit-policy"])
def test_what_the_edge_tells_clients_is_its_own(name: str) -> None:
    assert is_reserved_for_answers(name)


@pytest.mark.parametrize("name", ["Host", "Cookie", "Authorization", "X-Env", "Server", "Content-Type"])
def test_everything_else_is_the_tenants(name: str) -> None:
    assert not is_reserved_for_requests(name)
    assert not is_reserved_for_answers(name)


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "cookie",
        "CONTENT_TYPE",
        "If-Match",
        "Sec_WebSocket_Key",
        "Transfer-Encoding",
        "X-Forwarded-User",
        "X-Portico-Key",
        "X-Request-ID",
    ],
)
def test_in_a_field_with_a_meaning_of_its_own_no_credential_can_come(name: str) -> None:
    assert not can_carry_credential(name)


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key", "User-Agent", "Cookie-Key", "Secret", "X-Host"])
def test_in_any_other_it_can(name: str) -> None:
    assert can_carry_credential(name)


@pytest.mark.parametrize(
    ("name", "is_one"), [("Content_Length", True), ("te", True), ("X-Forwarded-For", False), ("X-Role", False)]
)
def test_what_frames_a_message_or_concerns_a_connection_is_of_one_message(name: str, is_one: bool) -> None:
    assert is_of_one_message(name) is is_one
