"""store/model/routes.py: which requests a route takes, and what it does with them."""

from __future__ import annotations

from typing import Any

import pytest

from store.model import PathKind, dump_document, parse_document
from store.model.paths import PathPattern
from store.model.routes import Route
from tests.store.model.documents import document, faults_in, jwt, route, with_route


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1", PathKind.EXACT),
        ("/users/{id}", PathKind.PARAMETER),
        ("/users/{id:[0-9]+}", PathKind.PARAMETER),
        ("/v1/*", PathKind.PREFIX),
        ("/{tail:.*}", PathKind.REGEX),
    ],
)
def test_a_path_of_each_kind_is_parsed(path: str, kind: PathKind) -> None:
    assert parse_document(with_route(path=path)).routes[0].path.kind is kind


def test_a_route_made_by_hand_takes_a_parsed_path() -> None:
    pattern = PathPattern.parse("/a")
    assert Route(name="a", path=pattern).path is pattern


@pytest.mark.parametrize(("written", "size_bytes"), [("10MiB", 10 * 2**20), ("0", 0), (0, 0), (65_536, 65_536)])
def test_a_size_is_text_or_a_number_of_bytes(written: Any, size_bytes: int) -> None:
    assert parse_document(with_route(max_body=written)).routes[0].max_body_bytes == size_bytes


SIZE = "routes[0].max_body: expected a size such as 10MiB"


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"path": "v1"}, "routes[0].path: a path begins with '/'"),
        ({"path": None}, "routes[0].path: is empty; expected text such as /v1/*"),
        ({"path": 1}, "routes[0].path: expected text such as /v1/*"),
        ({"path": "/{id:[}"}, "routes[0].path: not a regular expression that RE2 takes: missing ]: ["),
        ({"methods": ["GET", "TRACE"]}, "routes[0].methods[1]: the edge does not forward TRACE"),
        ({"methods": None}, "routes[0].methods: is empty: give it a value, or leave it out"),
        ({"domains": None}, "routes[0].domains: is empty: give it a value, or leave it out"),
        ({"domains": []}, "routes[0].domains: expected at least one"),
        ({"match": {"headers": {"X-A": "1", "x-a": "2"}}},
         "routes[0].match.headers: the same header field stands twice, in another case"),
        ({"match": {"query": {"a&b": "1"}}}, "routes[0].match.query['a&b']: not a query parameter's name: 'a&b'"),
        ({"match": {"query": {"a": "x" * 4097}}}, "routes[0].match.query.a: is longer than 4096 characters"),
        ({"match": {"headers": {f"X-{at}": "" for at in range(17)}}},
         "routes[0].match.headers: has more than 16 entries"),
        ({"max_body": "10MB/s"}, f"{SIZE}, 512KiB, 1GB or a number of bytes"),
        ({"max_body": -1}, f"{SIZE} or a number of bytes"),
        ({"max_body": 1.5}, f"{SIZE} or a number of bytes"),
        ({"max_body": True}, f"{SIZE} or a number of bytes"),
        ({"max_body": 10**50}, f"{SIZE} or a number of bytes"),
        ({"max_body": None}, "routes[0].max_body: is empty: give it a value, or leave it out"),
        ({"rewrite": {"strip_prefix": "/a?b"}}, "routes[0].rewrite.strip_prefix: expected a path without a query"),
        ({"rewrite": {"strip_prefix": "/é"}},
         "routes[0].rewrite.strip_prefix: characters that are not allowed in a path: percent-encode them"),
        ({"rewrite": {"from": "/a", "to": "/b?c"}}, "routes[0].rewrite.to: a rewrite changes the path alone: no '?'"),
        ({"rewrite": {"regex": "a", "to": "/\r\nX: y"}},
         "routes[0].rewrite.to: characters that are not allowed in a path: percent-encode them"),
        ({"rewrite": {"regex": "", "to": "/"}}, "routes[0].rewrite.regex: is empty"),
        ({"rewrite": {"regex": "a" * 513, "to": "/"}}, "routes[0].rewrite.regex: is longer than 512 characters"),
        ({"auth": None}, "routes[0].auth: is empty; expected a list"),
        ({"headers": {"request": {"remove": "Cookie"}}}, "routes[0].headers.request.remove: expected a list"),
        ({"headers": {"request": {"remove": ["X Y"]}}},
         "routes[0].headers.request.remove[0]: not a header field's name: 'X Y'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_route_is_said(fields: dict[str, Any], line: str) -> None:
    assert faults_in(with_route(**fields)) == [line]


@pytest.mark.parametrize("source", ["prod", "", {"claim": "plan"}, {"claim": "https://acme.com/plan"}])
def test_a_field_of_a_request_is_set_to_a_text_or_a_claim_and_written_back_as_it_was(source: Any) -> None:
    asking = route(auth=["users"], headers={"request": {"set": {"X-A": source}}})
    parsed = parse_document(document(auth={"users": jwt()}, routes=[asking]))
    ops = parsed.routes[0].headers.request
    assert ops.texts | ops.claims == {"X-A": source if isinstance(source, str) else source["claim"]}
    assert bool(ops.claims) == isinstance(source, dict)
    dumped = dump_document(parsed)
    assert dumped["routes"][0]["headers"] == {"request": {"set": {"X-A": source}}}
    assert parse_document(dumped) == parsed


@pytest.mark.parametrize(
    ("side", "source", "words"),
    [
        ("request", 5, "expected text: put it in quotes"),
        ("request", True, "expected text: put it in quotes"),
        ("request", None, "is empty; expected text, or {claim: NAME}"),
        ("request", ["a"], "expected text, or {claim: NAME}"),
        ("request", {}, "expected text, or {claim: NAME}"),
        ("request", {"claims": "plan"}, "expected text, or {claim: NAME}"),
        ("request", {"claim": "plan", "or": "free"}, "expected text, or {claim: NAME}"),
        ("request", {"claim": 5}, "expected text such as {claim: plan}"),
        ("request", {"claim": ""}, "a claim's name is 1 to 128 characters long"),
        ("request", "a\nb", "a header field's value has no line break and no other control character"),
        ("response", {"claim": "plan"}, "expected text"),
    ],
)
def test_what_no_field_can_be_set_to_is_refused(side: str, source: Any, words: str) -> None:
    raw = with_route(auth=["keys"], headers={side: {"set": {"X-A": source}}})
    assert faults_in(raw) == [f"routes[0].headers.{side}.set.X-A: {words}"]
