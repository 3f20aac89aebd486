"""store/model/checks.py: what a document's parts must be to each other."""

from __future__ import annotations

from typing import Any

import pytest

from store.model import parse_document
from tests.store.model.documents import document, faults_in, jwt, route, with_route, with_upstream


def splits(*shares: tuple[str, int], **fields: Any) -> dict[str, Any]:
    split = [{"upstream": name, "weight": weight} for name, weight in shares]
    return document(
        upstreams={"shop": {"targets": ["http://a.test"]}, "canary": {"targets": ["http://b.test"]}},
        routes=[{"name": "api", "path": "/", "split": split, **fields}],
    )


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        # names and hosts, once each
        (document(routes=[route(), route(path="/b"), route(path="/c")]),
         ["routes[1].name: routes[0] is 'api' too", "routes[2].name: routes[0] is 'api' too"]),
        (document(domains=["a.test", "A.test.", {"host": "a.test"}]),
         ["domains[1]: domains[0] is 'a.test' too", "domains[2].host: domains[0] is 'a.test' too"]),
        (with_route(auth=["keys", "keys"]), ["routes[0].auth[1]: 'keys' stands twice"]),
        (with_route(limits=["per-ip", "per-ip"]), ["routes[0].limits[1]: 'per-ip' stands twice"]),
        (with_route(domains=["shop.acme.com", "SHOP.acme.com"]),
         ["routes[0].domains[1]: 'shop.acme.com' stands twice"]),
        # upstreams
        (with_upstream(targets=["http://10.0.0.1", {"url": "http://10.0.0.1:80/", "weight": 2}]),
         ["upstreams.shop.targets[1]: targets[0] is the same address"]),
        (with_upstream(targets=[{"url": "http://10.0.0.1", "weight": 0}]),
         ["upstreams.shop.targets: every target has weight 0"]),
        (with_upstream(health={"path": "/", "interval": "1s", "timeout": "2s"}),
         ["upstreams.shop.health.timeout: is longer than the interval"]),
        (with_upstream(health={"path": "/", "interval": "500ms"}),
         ["upstreams.shop.health.timeout: is longer than the interval"]),
        # auth
        (document(auth={"ask": {"type": "forward", "url": "https://a.test", "copy_headers": ["X-Forwarded-User"]}}),
         ["auth.ask.copy_headers[0]: X-Forwarded-User is the edge's own: no service can set it"]),
        (document(auth={"ask": {"type": "forward", "url": "https://a.test", "copy_headers": [
            "X-Role", "Host", "Content-Length", "transfer_encoding", "Keep-Alive", "x-role", "X_Role"]}}),
         ["auth.ask.copy_headers[1]: Host says which host the client asked for: no service can set it",
          "auth.ask.copy_headers[2]: Content-Length is of one message or connection alone: no service can set it",
          "auth.ask.copy_headers[3]: transfer_encoding is of one message or connection alone: no service can set it",
          "auth.ask.copy_headers[4]: Keep-Alive is of one message or connection alone: no service can set it",
          "auth.ask.copy_headers[5]: copy_headers[0] is 'X-Role' too"]),
        (document(auth={"ask": {"type": "forward", "url": "https://a.test", "timeout": "30001ms"}}),
         ["auth.ask.timeout: is longer than 30s, and each request waits for it"]),
        (with_route(scopes=["read"], auth=[], limits=[]),
         ["routes[0].scopes: nobody is asked who calls: the route has no auth"]),
        (document(auth={"keys": {"type": "api_key"}, "ask": {"type": "forward", "url": "https://a.test"}},
                  routes=[route(scopes=["read"], auth=["keys", "ask"], limits=[])]),
         ["routes[0].scopes: who comes by 'ask' has no scopes, and could never pass"]),
        (with_route(keep_credentials=True),
         ["routes[0].keep_credentials: nobody's credentials are taken: the route has no auth"]),
        (document(auth={"ask": {"type": "forward", "url": "https://a.test"}, "login": {"type": "session"}},
                  routes=[route(auth=["ask", "login"], limits=[], keep_credentials=True)]),
         ["routes[0].keep_credentials: by 'ask' no credential is ever taken out"]),
        (with_route(scopes=["read", "read"], auth=["keys"]), ["routes[0].scopes[1]: 'read' stands twice"]),
        (document(auth={"ask": {"type": "forward", "url": "https://a.test"}},
                  limits={"each": {"rate": "1/s", "by": "subject"}},
                  routes=[route(auth=["ask"], limits=["each"])]),
         ["routes[0].limits[0]: 'each' counts by subject, but 'ask' has no subject_header"]),
        (document(auth={"keys": {"type": "api_key", "header": "X", "query": "y"}}),
         ["auth.keys: a key comes in a header or in the query: name one of them"]),
        (document(auth={"keys": {"type": "api_key", "header": "Host"}}),
         ["auth.keys.header: Host has a meaning of its own: no credential can come in it"]),
        (document(auth={"keys": {"type": "api_key", "header": "transfer_encoding"}}),
         ["auth.keys.header: transfer_encoding has a meaning of its own: no credential can come in it"]),
        (document(auth={"keys": {"type": "api_key", "header": "cookie"}}),
         ["auth.keys.header: cookie has a meaning of its own: no credential can come in it"]),
        (document(auth={"users": jwt(header="Cookie")}),
         ["auth.users.header: Cookie has a meaning of its own: no credential can come in it"]),
        (document(auth={"keys": {"type": "api_key", "header": "Sec-WebSocket-Key"}}),
         ["auth.keys.header: Sec-WebSocket-Key has a meaning of its own: no credential can come in it"]),
        # where a route's requests go
        (document(routes=[{"name": "api", "path": "/"}]), ["routes[0].upstream: is required, or split"]),
        (document(routes=[{"name": "api", "path": "/", "split": []}]), ["routes[0].upstream: is required, or split"]),
        (splits(("shop", 1), upstream="shop"), ["routes[0].split: a route has an upstream or a split, not both"]),
        (splits(("shop", 0), ("canary", 0)), ["routes[0].split: every share has weight 0"]),
        (splits(("shop", -1)), ["routes[0].split[0].weight: is less than 0"]),
        (splits(("shop", 1), ("canary", 1), ("shop", 2)),
         ["routes[0].split[2].upstream: split[0] is 'shop' too: add the weights"]),
        # limits that count by who calls
        (with_route(limits=["per-key"]),
         ["routes[0].limits[0]: 'per-key' counts by key, but the route has no auth"]),
        (document(limits={"s": {"rate": "1/s", "by": "subject"}}, routes=[route(limits=["s"], auth=[])]),
         ["routes[0].limits[0]: 's' counts by subject, but the route has no auth"]),
        (with_route(headers={"request": {"set": {"X-Plan": {"claim": "plan"}, "X-A": "b"}}}),
         ["routes[0].headers.request.set.X-Plan: takes a claim, but the route has no auth"]),
        (with_route(auth=["keys"], headers={"request": {"set": {"X-Plan": {"claim": "plan"}, "X-A": "b"}}}),
         ["routes[0].headers.request.set.X-Plan: takes a claim, but no auth of the route knows any"]),
        (document(auth={"users": jwt()}, routes=[
            route(auth=["users"], headers={"request": {"set": {"X-Portico-Plan": {"claim": "plan"}}}})]),
         ["routes[0].headers.request.set.X-Portico-Plan: X-Portico-Plan is the edge's own: no rule can change it"]),
        (document(limits={"k": {"rate": "1/s", "by": "key", "every_route": True},
                          "s": {"concurrent": 1, "by": "subject", "every_route": True}}),
         ["limits.k.every_route: counts by key, but no route has auth",
          "limits.s.every_route: counts by subject, but no route has auth"]),
        (document(limits={"p": {"quota": "1/day", "by": {"claim": "plan"}, "every_route": True}},
                  routes=[route(auth=["keys"]), route(name="b", path="/b")]),
         ["limits.p.every_route: counts by a claim, but no auth of any route knows any"]),
        (document(limits={"p": {"rate": "1/s", "by": {"claim": "plan"}}}, routes=[route(limits=["p"])]),
         ["routes[0].limits[0]: 'p' counts by claim, but the route has no auth"]),
    ],
)  # fmt: skip
def test_parts_that_do_not_go_together_are_refused(raw: dict[str, Any], lines: list[str]) -> None:
    assert faults_in(raw) == lines


@pytest.mark.parametrize(
    "raw",
    [
        with_route(limits=["per-key"], auth=["keys"]),
        with_route(limits=["per-ip"]),
        document(
            limits={"k": {"rate": "1/s", "by": "key", "every_route": True}},
            routes=[route(), route(name="b", path="/b", auth=["keys"])],
        ),
        document(limits={"k": {"rate": "1/s", "by": "key", "every_route": True}}, routes=[]),  # they may come later
        document(limits={"i": {"rate": "1/s", "by": "ip", "every_route": True}}),
        document(
            auth={"keys": {"type": "api_key"}, "users": jwt()},
            limits={"p": {"rate": "1/s", "by": {"claim": "plan"}, "every_route": True}},
            routes=[route(auth=["keys"]), route(name="b", path="/b", auth=["keys", "users"])],
        ),
        with_route(auth=["keys"], keep_credentials=True),
        document(
            auth={"keys": {"type": "api_key"}, "ask": {"type": "forward", "url": "https://a.test"}},
            routes=[route(auth=["ask", "keys"], limits=[], keep_credentials=True)],
        ),
        with_route(keep_credentials=False),
        with_upstream(targets=["http://10.0.0.1", "http://10.0.0.1:81", "https://10.0.0.1", "http://10.0.0.1/b"]),
        with_upstream(targets=["http://10.0.0.1", {"url": "http://10.0.0.2", "weight": 0}]),
        with_upstream(health={"path": "/", "interval": "1s", "timeout": "1s"}),
        splits(("shop", 95), ("canary", 5)),
        splits(("shop", 1), ("canary", 0)),
        document(auth={"keys": {"type": "api_key", "header": "Authorization"}}),
        document(auth={"keys": {"type": "api_key", "query": "api_key"}}),
        document(auth={"keys": {"type": "api_key", "header": "Cookie-Key"}, "users": jwt(header="User-Agent")}),
        document(
            auth={"keys": {"type": "api_key"}, "users": jwt()},
            routes=[route(auth=["keys", "users"], headers={"request": {"set": {"X-Plan": {"claim": "plan"}}}})],
        ),
        with_route(headers={"request": {"set": {"Host": "origin.test", "Cookie": "a=b"}, "remove": ["cookie"]}}),
        with_route(headers={"response": {"set": {"Set-Cookie": "a=b"}, "remove": ["Server"]}}),
    ],
)
def test_parts_that_go_together_are_accepted(raw: dict[str, Any]) -> None:
    parse_document(raw)


OWN = "is the edge's own: no rule can change it"


@pytest.mark.parametrize(
    ("rules", "lines"),
    [
        ({"request": {"set": {"Content-Length": "5"}}},
         [f"routes[0].headers.request.set.Content-Length: Content-Length {OWN}"]),
        ({"request": {"set": {"X_Forwarded_For": "1.2.3.4"}, "remove": ["X-Portico-Subject"]}},
         [f"routes[0].headers.request.set.X_Forwarded_For: X_Forwarded_For {OWN}",
          f"routes[0].headers.request.remove[0]: X-Portico-Subject {OWN}"]),
        ({"request": {"remove": ["Cookie", "Connection"]}},
         [f"routes[0].headers.request.remove[1]: Connection {OWN}"]),
        ({"request": {"remove": ["host"]}},
         ["routes[0].headers.request.remove[0]: no request can go without its Host"]),
        ({"response": {"set": {"Transfer-Encoding": "chunked", "X-Request-ID": "1"}, "remove": ["RateLimit"]}},
         [f"routes[0].headers.response.set.Transfer-Encoding: Transfer-Encoding {OWN}",
          f"routes[0].headers.response.set.X-Request-ID: X-Request-ID {OWN}",
          f"routes[0].headers.response.remove[0]: RateLimit {OWN}"]),
        ({"request": {"set": {"X-A": "1", "x-a": "2"}}},
         ["routes[0].headers.request.set: the same header field stands twice, in another case"]),
    ],
)  # fmt: skip
def test_a_rule_for_what_is_the_edges_own_is_refused(rules: dict[str, Any], lines: list[str]) -> None:
    assert faults_in(with_route(headers=rules)) == lines


ODD_SEGMENT = "routes[0].rewrite.to: a target's path has no empty segments, and none that is '.' or '..'"


@pytest.mark.parametrize(
    ("rewrite", "lines"),
    [
        ({}, ["routes[0].rewrite: expected one of strip_prefix, from (with to) and regex (with to)"]),
        ({"to": "/b"}, ["routes[0].rewrite: expected one of strip_prefix, from (with to) and regex (with to)"]),
        ({"strip_prefix": "/a", "from": "/a", "to": "/b"},
         ["routes[0].rewrite: expected one of strip_prefix, from (with to) and regex (with to)"]),
        ({"strip_prefix": "/a", "to": "/b"}, ["routes[0].rewrite.to: strip_prefix has no 'to'; use from and to"]),
        ({"from": "/a"}, ["routes[0].rewrite.to: is required with from"]),
        ({"regex": "a"}, ["routes[0].rewrite.to: is required with regex"]),
        ({"from": "/a", "to": "b"}, ["routes[0].rewrite.to: expected a path that begins with '/'"]),
        ({"from": "/a", "to": "/\\1"}, ["routes[0].rewrite.to: expected a path that begins with '/'"]),
        ({"from": "/a", "to": "//x"}, [ODD_SEGMENT]),
        ({"from": "/a", "to": "/../x"}, [ODD_SEGMENT]),
        ({"from": "/a", "to": "/x/%2E%2e"}, [ODD_SEGMENT]),
        ({"from": "/a", "to": "/x/."}, [ODD_SEGMENT]),
        ({"regex": r"^/v(\d+)/", "to": r"/\2"}, ["routes[0].rewrite.to: the regex has no group 2"]),
        ({"regex": r"^/v(?P<n>\d+)/", "to": r"/\g<m>"}, ["routes[0].rewrite.to: the regex has no group m"]),
        ({"regex": "a", "to": "/\\x41"},
         ["routes[0].rewrite.to: a backslash stands before a group's number, as in \\1, or its name, as in \\g<id>"]),
        ({"regex": "a", "to": "/\\"},
         ["routes[0].rewrite.to: a backslash stands before a group's number, as in \\1, or its name, as in \\g<id>"]),
        ({"regex": "a", "to": "/\\101"},
         ["routes[0].rewrite.to: a backslash stands before a group's number, as in \\1, or its name, as in \\g<id>"]),
        ({"regex": "(", "to": "/"},
         ["routes[0].rewrite.regex: not a regular expression that RE2 takes: missing ): ("]),
        ({"regex": "(?=a)", "to": "/"},
         ["routes[0].rewrite.regex: not a regular expression that RE2 takes: invalid perl operator: (?="]),
    ],
)  # fmt: skip
def test_a_rewrite_that_does_not_say_one_thing_is_refused(rewrite: dict[str, Any], lines: list[str]) -> None:
    assert faults_in(with_route(rewrite=rewrite)) == lines


@pytest.mark.parametrize(
    ("rewrite", "kind"),
    [
        ({"strip_prefix": "/v1"}, "strip_prefix"),
        ({"from": "/a", "to": "/b"}, "replace"),
        ({"from": "/a", "to": "/..x/.well-known"}, "replace"),
        ({"regex": r"^/v(\d+)/", "to": "/api/"}, "regex"),
        ({"regex": r"^/v(\d+)/(?P<id>\w+)", "to": r"/api/\g<id>/\1/\g<0>"}, "regex"),
        ({"regex": "x", "to": ""}, "regex"),
    ],
)
def test_a_rewrite_is_of_one_kind(rewrite: dict[str, Any], kind: str) -> None:
    parsed = parse_document(with_route(rewrite=rewrite)).routes[0].rewrite
    assert parsed is not None
    assert parsed.kind == kind
    assert parsed.to == rewrite.get("to", "")


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        # a wrong auth is not "no auth", and wrong methods are not "any method": nothing is made up
        ({"auth": "keys", "limits": ["per-key"], "keep_credentials": True}, ["routes[0].auth: expected a list"]),
        ({"upstream": 5}, ["routes[0].upstream: expected text: put it in quotes"]),
        ({"split": 5, "upstream": "shop"}, ["routes[0].split: expected a list"]),
    ],
)
def test_a_field_that_is_wrong_gives_no_second_fault_elsewhere(fields: dict[str, Any], lines: list[str]) -> None:
    assert faults_in(with_route(**fields)) == lines


@pytest.mark.parametrize("wrong", [route(auth="keys"), route(auth=["kyes"]), 5])
def test_where_it_is_not_known_what_auth_a_route_has_no_limit_of_every_route_is_idle(wrong: Any) -> None:
    limits = {
        kind: {"rate": "1/s", "by": by, "every_route": True} for kind, by in (("k", "key"), ("p", {"claim": "p"}))
    }
    (line,) = faults_in(document(limits=limits, routes=[wrong, route(name="b", path="/b")]))
    assert line.startswith("routes[0]")


def test_a_method_of_an_unknown_type_is_not_said_to_know_no_claims() -> None:
    raw = document(
        auth={"users": jwt(type="jwtt")},
        limits={
            "p": {"rate": "1/s", "by": {"claim": "plan"}},
            "c": {"rate": "1/s", "by": "ip", "cost": {"claim": "c"}},
        },
        routes=[route(auth=["users"], limits=["p", "c"], headers={"request": {"set": {"X-P": {"claim": "plan"}}}})],
    )
    (line,) = faults_in(raw)
    assert line.startswith("auth.users.type: expected ")


def test_routes_whose_rank_is_not_known_are_in_no_conflict() -> None:
    for field, wrong in {"methods": ["get"], "match": 5, "priority": "1", "domains": [], "path": "v1"}.items():
        raw = document(routes=[route(), route(name="other", **{field: wrong})])
        assert len(faults_in(raw)) == 1, field


def test_routes_with_the_same_rank_are_refused_with_both_names() -> None:
    (line,) = faults_in(document(routes=[route(), route(name="other", path="/v1/*")]))
    assert line.startswith("routes[1]: ")
    assert "'api'" in line
    assert "'other'" in line
    assert "priority" in line


def test_where_very_many_routes_are_in_conflict_it_is_said_that_not_all_are_listed() -> None:
    lines = faults_in(document(routes=[route(name=f"r{at}") for at in range(30)]))
    assert len(lines) == 21
    assert lines[-1].endswith(": is the last of 20 routes listed as in conflict; there may be more")
