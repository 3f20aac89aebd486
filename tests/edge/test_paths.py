"""One spelling for each path, and nothing that two servers could read differently."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.errors import EdgeError
from edge.paths import canonical_text, has_parameters, normalise_path, split_target, without_parameters


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("/", "/"),
        ("/v1/users/42", "/v1/users/42"),
        ("/a/", "/a/"),
        ("/a:b@c;d=e,f", "/a:b@c;d=e,f"),
        ("/a;v=1/b", "/a;v=1/b"),
        ("/a;/b;;", "/a;/b;;"),
        ("/a%3bv/.b;v/...;v", "/a%3Bv/.b;v/...;v"),
        ("/%253b/a", "/%253b/a"),
        ("/.well-known/acme", "/.well-known/acme"),
        ("/...", "/..."),
        ("//a///b//", "/a/b/"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/%61%2Db", "/a-b"),
        ("/%7euser", "/~user"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/%c3%a9", "/%C3%A9"),
        ("/é", "/%C3%A9"),
        ("/\udcff", "/%FF"),
        ('/a{b}|"c"', "/a%7Bb%7D%7C%22c%22"),
        ("/%3f%23%25", "/%3F%23%25"),
        ("/%252e%252e/a", "/%252e%252e/a"),
    ],
)
def test_a_path_has_one_spelling(raw: str, normal: str) -> None:
    assert normalise_path(raw) == normal
    assert normalise_path(normal) == normal


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "*",
        "a/b",
        "/..",
        "/a/../..",
        "/%2e%2e/etc",
        "/a\\b",
        "/a%5cb",
        "/a%2fb",
        "/a%2Fb",
        "/a%00",
        "/a\x00",
        "/a b",
        "/a\tb",
        "/a\x7f",
        "/a#b",
        "/%",
        "/%2",
        "/%zz",
        "/a/..;/b",
        "/a/..;x=1/b",
        "/a/b/..%3b",
        "/.;/admin",
        "/.;v=1/admin",
        "/a/.;",
        "/.%3B/admin",
        "/%2e;/admin",
        "/a/%2e%2E;/b",
        "/a/.%2e%3bx/b",
        "/;/admin",
        "/;x/admin",
        "/a/;x",
        "//;x/admin",
        "/%3bx/admin",
        "/a/%3B",
    ],
)
def test_what_servers_disagree_about_is_refused(raw: str) -> None:
    with pytest.raises(EdgeError) as raised:
        normalise_path(raw)
    assert (raised.value.code, raised.value.status) == ("bad_path", 400)


@given(st.text(alphabet="/.%2eEfF5cC3bBaé;\udc80~", max_size=30))
@example("/%25%32%65")
@example("a/../;x")
@example("a/%3bx")
def test_normalising_twice_is_normalising_once_and_leaves_nothing_to_disagree_about(text: str) -> None:
    try:
        normal = normalise_path("/" + text)
    except EdgeError:
        return
    assert normalise_path(normal) == normal
    assert "//" not in normal
    assert not {".", ".."} & set(normal.split("/"))
    assert all(re.split(";|%3B", segment)[0] not in ("", ".", "..") for segment in normal.split("/") if segment)
    assert normal.isascii()
    assert canonical_text(normal) == normal


@pytest.mark.parametrize(
    ("path", "bare"),
    [
        ("/a/b/", "/a/b/"),
        ("/a;v=1/b", "/a/b"),
        ("/a;v=1;w/b%3Bx;y/", "/a/b/"),
        ("/a%253B/b;", "/a%253B/b"),
    ],
)
def test_a_path_is_told_without_its_segments_parameters(path: str, bare: str) -> None:
    assert without_parameters(path) == bare
    assert has_parameters(path) is (path != bare)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("/a", "/a"),
        ("/caf\u00e9", "/caf%C3%A9"),
        ("/%41%2f", "/A%2F"),
        ("/a b", "/a%20b"),
        ("/100%", "/100%25"),
        ("/a//..", "/a//.."),
    ],
)
def test_a_patterns_text_is_spelt_like_requests_but_nothing_is_refused(text: str, canonical: str) -> None:
    assert canonical_text(text) == canonical


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a?b=1?c", "/a", "b=1?c"),
        ("/a", "/a", ""),
        ("/http://x", "/http://x", ""),
        ("http://a.b/c?d", "/c", "d"),
        ("HTTPS://a.b", "/", ""),
        ("http://a.b?c=/d", "/", "c=/d"),
        ("*", "*", ""),
        ("ftp://a.b/c", "ftp://a.b/c", ""),
    ],
)
def test_a_request_target_is_split_into_path_and_query(target: str, path: str, query: str) -> None:
    assert split_target(target) == (path, query)
