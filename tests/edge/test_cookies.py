"""The edge's own cookies: which are read, which never reach a target, how browsers are told to keep or forget them."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from edge.cookies import cookie_dropped, cookie_set, drop_own_cookies, own_cookies
from edge.headers import strip_request_headers

OWN = "__Host-portico.login=abc"


@pytest.mark.parametrize(
    ("values", "left"),
    [
        (["a=1; b=2"], ["a=1; b=2"]),
        ([OWN], []),
        ([f"{OWN}; a=1"], ["a=1"]),
        ([f"a=1; {OWN}"], ["a=1"]),
        ([f"a=1; {OWN}; b=2"], ["a=1; b=2"]),
        ([f"a=1;{OWN};b=2"], ["a=1;b=2"]),
        ([f"a=1;  {OWN};   b=2"], ["a=1;   b=2"]),
        ([f'a="x y"; {OWN}; b=%20=; ;c'], ['a="x y"; b=%20=; ;c']),
        (["__Host-portico-login.x=1; __Host-portico=2; __Host-porticox=3; z=9"], ["z=9"]),
        (["x=__Host-portico.login; y__Host-portico=1"], ["x=__Host-portico.login; y__Host-portico=1"]),
        (["__host-portico.login=1"], ["__host-portico.login=1"]),
        ([f"\t{OWN}\t; a=1"], ["a=1"]),
        (["__Host-portico.login"], []),
        (["a=1", OWN, f"b=2; {OWN}"], ["a=1", "b=2"]),
    ],
)
def test_the_edges_cookies_are_taken_out_and_the_others_stay_byte_for_byte(values: list[str], left: list[str]) -> None:
    fields = CIMultiDict([("X-A", "1"), *[("Cookie", value) for value in values], ("X-B", "2")])
    drop_own_cookies(fields)
    assert fields.getall("Cookie", []) == left
    assert (fields["X-A"], fields["X-B"]) == ("1", "2")


def test_no_target_of_the_edge_gets_them_and_an_applications_proxy_does() -> None:
    headers = CIMultiDict([("Cookie", f"a=1; {OWN}"), ("X-A", "1")])
    assert strip_request_headers(headers, is_edge=True)["Cookie"] == "a=1"
    assert strip_request_headers(headers, is_edge=False)["Cookie"] == f"a=1; {OWN}"
    assert "Cookie" not in strip_request_headers(CIMultiDict([("cookie", OWN)]), is_edge=True)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], {}),
        (["a=1"], {}),
        ([f"a=1; {OWN}"], {"__Host-portico.login": "abc"}),
        ([f"{OWN}; __Host-portico.login=other"], {"__Host-portico.login": "abc"}),
        ([OWN, "__Host-portico.other = x=y "], {"__Host-portico.login": "abc", "__Host-portico.other": "x=y"}),
        (["__Host-portico.login"], {"__Host-portico.login": ""}),
    ],
)
def test_the_edges_cookies_are_read_and_of_two_the_first_counts(values: list[str], found: dict[str, str]) -> None:
    assert own_cookies(CIMultiDict([("Cookie", value) for value in values])) == found


def test_a_cookie_is_for_its_host_alone_by_a_safe_way_and_out_of_a_scripts_reach() -> None:
    kept = "; Path=/; Secure; HttpOnly; SameSite=Lax"
    assert cookie_set("__Host-portico.a", "x-_y") == f"__Host-portico.a=x-_y{kept}"
    assert cookie_set("__Host-portico.a", "x", 600) == f"__Host-portico.a=x; Max-Age=600{kept}"
    assert cookie_set("__Host-portico.a", "x; Domain=evil\r\n") == f"__Host-portico.a=x%3B%20Domain%3Devil%0D%0A{kept}"


def test_a_browser_forgets_a_host_cookie_only_when_it_is_told_with_the_same_attributes() -> None:
    assert cookie_dropped("__Host-portico.a") == "__Host-portico.a=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"
