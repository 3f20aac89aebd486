"""Rewriting paths: leading prefixes, on a segment's boundary, and tenants' patterns by RE2."""

from __future__ import annotations

import pytest
from yarl import URL

from edge.errors import EdgeError
from edge.rewrite import Rewrite, compile_rewrite
from store.model import RouteRewrite


@pytest.mark.parametrize(
    ("rfrom", "rto", "path", "rewritten"),
    [
        ("/mytarget", "/", "/mytarget", "/"),
        ("/mytarget", "/", "/mytarget/", "/"),
        ("/mytarget", "/", "/mytarget/a/mytarget", "/a/mytarget"),
        ("/mytarget", "/", "/mytargets", "/mytargets"),
        ("/mytarget", "/", "/a/mytarget", "/a/mytarget"),
        ("/mytarget/", "/", "/mytarget/a", "/a"),
        ("/a", "/b/c", "/a/d", "/b/c/d"),
        ("/a", "/b/", "/a/d", "/b/d"),
        ("/a", "/b", "/a/", "/b/"),
        ("/", "/api", "/users", "/api/users"),
        ("/", "/api", "/", "/api/"),
        ("/caf\u00e9", "/bar", "/caf%C3%A9/x", "/bar/x"),
        ("/caf\u00e9", "/bar", "/caf%c3%a9/x", "/bar/x"),
        ("/a", "/b", "/c%c3%a9", "/c%c3%a9"),
        ("/a", "/b", "/a%20b", "/a%20b"),
        ("/a", "/b", "/a/x%2Fy", "/b/x%2Fy"),
    ],
)
def test_a_leading_prefix_is_replaced_on_a_segments_boundary(rfrom: str, rto: str, path: str, rewritten: str) -> None:
    assert Rewrite(rfrom, rto).execute(path) == rewritten


def test_a_url_keeps_everything_but_its_path() -> None:
    url = URL("http://user@host:81/a/x%2Fy?b=%20&b=+#f", encoded=True)
    assert str(Rewrite("/a", "/c").execute(url)) == "http://user@host:81/c/x%2Fy?b=%20&b=+#f"


@pytest.mark.parametrize(("rfrom", "rto"), [("a", "/"), ("/a", "b"), ("", "/")])
def test_a_prefix_that_is_no_path_is_refused(rfrom: str, rto: str) -> None:
    with pytest.raises(ValueError, match="begins with"):
        Rewrite(rfrom, rto)


@pytest.mark.parametrize(
    ("document", "path", "rewritten"),
    [
        ({"strip_prefix": "/v1"}, "/v1/users", "/users"),
        ({"strip_prefix": "/v1"}, "/v1", "/"),
        ({"strip_prefix": "/v1"}, "/v10", "/v10"),
        ({"from": "/a", "to": "/b"}, "/a/c", "/b/c"),
        ({"regex": "^/v(\\d+)/", "to": "/api/"}, "/v2/users", "/api/users"),
        ({"regex": "^/v(\\d+)/(.*)$", "to": "/\\2/\\1"}, "/v2/users", "/users/2"),
        ({"regex": "^/x", "to": ""}, "/x/users", "/users"),
        ({"regex": "^/x", "to": ""}, "/x", "/"),
        ({"regex": "^/nothing", "to": "/y"}, "/x", "/x"),
    ],
)
def test_a_documents_rewrite_does_what_it_says(document: dict[str, str], path: str, rewritten: str) -> None:
    assert compile_rewrite(RouteRewrite.model_validate(document))(path) == rewritten


def test_a_pattern_cannot_make_a_path_that_the_edge_refuses() -> None:
    rewrite = compile_rewrite(RouteRewrite.model_validate({"regex": "-", "to": "%2f"}))
    with pytest.raises(EdgeError, match="bad_path"):
        rewrite("/a-b")
