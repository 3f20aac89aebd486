"""store/model/document.py: a document as a whole, or everything that is wrong with it at once."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from store.model import (
    ApiKeyAuth,
    DocumentError,
    JwtAuth,
    RateLimit,
    TenantDocument,
    dump_document,
    load_yaml_documents,
    parse_document,
    read_document,
)
from store.model.bounds import MAX_DOCUMENT_BYTES, size_of
from tests.store.model.documents import document, faults_in, route, with_route

# The example of the contract, word for word, with the `…` of its header rules filled in.
CONTRACT = r"""
tenant: acme                       # slug: [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?
name: Acme Inc.
enabled: true
domains:
  - shop.acme.com                  # exact
  - "*.acme.app"                   # mask; exact beats mask, longer mask beats shorter
  - {host: www.acme.test, verified_by: operator}   # only an operator's token may say so
upstreams:
  shop:
    targets:
      - http://10.0.0.5:9000
      - {url: http://10.0.0.6:9000, weight: 2}
    balance: round_robin           # | least_requests | random_two | {hash: {header: X-User}}
    connect_timeout: 2s
    response_timeout: 30s          # to the response head
    idle_timeout: 60s              # between body bytes
    max_connections: 256
    health: {path: /healthz, interval: 5s, timeout: 1s, healthy_after: 2, unhealthy_after: 3}
    retry: {attempts: 1, on: [connect, reset, "502", "503", "504"]}
auth:
  keys:  {type: api_key, header: X-API-Key}          # or query: NAME
  users: {type: jwt, issuer: https://id.acme.com/, audience: shop, jwks_url: https://id.acme.com/jwks.json, algorithms: [RS256]}
  login: {type: session}
limits:
  per-key: {rate: 100/s, burst: 200, by: key}
  per-ip:  {rate: 600/m, by: ip, on_store_loss: local}
  month:   {quota: 1000000/month, by: key}
  busy:    {concurrent: 50, by: tenant}
routes:
  - name: api
    path: /v1/*
    methods: [GET, POST]
    domains: [shop.acme.com]
    match: {headers: {X-Canary: "1"}, query: {beta: "1"}}
    upstream: shop
    auth: [keys, users]
    limits: [per-key, per-ip]
    rewrite: {strip_prefix: /v1}
    headers: {request: {set: {X-Env: prod}, remove: [Cookie]}, response: {set: {X-Served-By: edge}, remove: [Server]}}
    max_body: 10MiB
    websocket: true
    priority: 0
"""  # noqa: E501  # the contract's own line


def the_contracts_example() -> dict[str, Any]:
    (raw,) = load_yaml_documents(CONTRACT)
    assert isinstance(raw, dict)
    return raw


def test_every_field_of_the_contracts_example_is_parsed() -> None:
    parsed = parse_document(the_contracts_example())
    assert (parsed.tenant, parsed.name, parsed.enabled) == ("acme", "Acme Inc.", True)
    assert [(domain.host, domain.verified_by) for domain in parsed.domains] == [
        ("shop.acme.com", None),
        ("*.acme.app", None),
        ("www.acme.test", "operator"),
    ]
    shop = parsed.upstreams["shop"]
    assert [(t.scheme, t.host, t.port, t.base_path, t.weight) for t in shop.targets] == [
        ("http", "10.0.0.5", 9000, "", 1),
        ("http", "10.0.0.6", 9000, "", 2),
    ]
    assert (shop.balance.kind, shop.balance.hash_by, shop.balance.hash_name) == ("round_robin", None, None)
    assert (shop.connect_timeout_s, shop.response_timeout_s, shop.idle_timeout_s) == (2.0, 30.0, 60.0)
    assert shop.max_connections == 256
    health = shop.health
    assert health is not None
    assert (health.path, health.interval_s, health.timeout_s) == ("/healthz", 5.0, 1.0)
    assert (health.healthy_after, health.unhealthy_after) == (2, 3)
    assert (shop.retry.attempts, set[str](shop.retry.on)) == (1, {"connect", "reset", "502", "503", "504"})
    keys, per_key, per_ip = parsed.auth["keys"], parsed.limits["per-key"], parsed.limits["per-ip"]
    assert isinstance(per_key, RateLimit)
    assert isinstance(per_ip, RateLimit)
    assert isinstance(keys, ApiKeyAuth)
    assert (keys.type, keys.header, keys.query) == ("api_key", "X-API-Key", None)
    users = parsed.auth["users"]
    assert isinstance(users, JwtAuth)
    assert (users.issuer, users.audience) == ("https://id.acme.com/", "shop")
    assert (users.jwks_url, users.algorithms) == ("https://id.acme.com/jwks.json", ("RS256",))
    assert (per_key.count, per_key.period_s, per_key.burst, per_key.by.kind) == (100, 1.0, 200, "key")
    assert (per_ip.count, per_ip.period_s, per_ip.burst, per_ip.on_store_loss) == (600, 60.0, 600, "local")


def test_every_field_of_the_contracts_route_is_parsed() -> None:
    (api,) = parse_document(the_contracts_example()).routes
    assert (api.name, api.path.text, api.methods) == ("api", "/v1/*", frozenset({"GET", "POST"}))
    assert (api.domains, api.upstream, api.split) == (("shop.acme.com",), "shop", ())
    assert (api.match.headers, api.match.query) == ({"X-Canary": "1"}, {"beta": "1"})
    assert (api.auth, api.limits) == (("keys", "users"), ("per-key", "per-ip"))
    assert api.rewrite is not None
    assert (api.rewrite.kind, api.rewrite.strip_prefix) == ("strip_prefix", "/v1")
    assert (api.headers.request.set, api.headers.request.remove) == ({"X-Env": "prod"}, ("Cookie",))
    assert (api.headers.response.set, api.headers.response.remove) == ({"X-Served-By": "edge"}, ("Server",))
    assert (api.max_body_bytes, api.websocket, api.priority) == (10 * 2**20, True, 0)
    assert api.keep_credentials is False


def test_what_is_left_out_has_the_contracts_defaults() -> None:
    parsed = parse_document({"tenant": "a", "upstreams": {"u": {"targets": ["http://a.test"]}}})
    upstream = parsed.upstreams["u"]
    assert (parsed.enabled, parsed.domains, parsed.routes) == (True, (), ())
    assert (upstream.connect_timeout_s, upstream.response_timeout_s, upstream.idle_timeout_s) == (2.0, 30.0, 60.0)
    assert (upstream.max_connections, upstream.health) == (256, None)
    assert (upstream.retry.attempts, set[str](upstream.retry.on)) == (1, {"connect", "reset"})


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_document() -> None:
    raw = {
        "tenant": "Acme!",
        "enabled": "yes",
        "upstreams": {"shop": {"targets": ["ftp://a"], "conect_timeout": "2s", "retry": {"attempts": 9}}},
        "routes": [
            {"path": "v1", "upstream": "shopp", "auth": ["keys"], "limits": ["fast"]},
            None,
            route(upstream="web", split=[{"upstream": "shop", "weight": 1}], domains=["www.acme.com"]),
        ],
        "domians": [],
    }
    assert faults_in(raw) == [
        "tenant: expected a to z, 0 to 9 and '-', at most 63 of them, a letter or digit first and last",
        "enabled: expected true or false",
        "upstreams.shop.targets[0]: expected a URL that begins with http:// or https://",
        "upstreams.shop.conect_timeout: unknown field; did you mean 'connect_timeout'?",
        "upstreams.shop.retry.attempts: is more than 5",
        "routes[0].path: a path begins with '/'",
        "routes[0].upstream: no upstream named 'shopp'; did you mean 'shop'?",
        "routes[0].auth[0]: no auth method named 'keys'",
        "routes[0].limits[0]: no limit named 'fast'",
        "routes[0].name: is required",
        "routes[1]: is empty; expected a mapping",
        "routes[2].upstream: no upstream named 'web'",
        "routes[2].split: a route has an upstream or a split, not both",
        "routes[2].domains[0]: 'www.acme.com' is not a domain of this tenant",
        "domians: unknown field; did you mean 'domains'?",
    ]


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (None, "expected a mapping with the fields of a tenant, not nothing"),
        ([], "expected a mapping with the fields of a tenant, not a list"),
        ("tenant: a", "expected a mapping with the fields of a tenant, not 'tenant: a'"),
        (5, "expected a mapping with the fields of a tenant, not 5"),
        ({}, "tenant: is required"),
    ],
)
def test_what_is_no_document_at_all_is_refused(raw: object, line: str) -> None:
    assert faults_in(raw) == [line]


def test_parsing_leaves_what_was_written_as_it_was() -> None:
    raw = the_contracts_example()
    before = copy.deepcopy(raw)
    parse_document(raw)
    assert raw == before
    broken = document(routes=[{"path": 1}], domains=[None])
    before = copy.deepcopy(broken)
    faults_in(broken)
    assert broken == before


def test_a_dumped_document_holds_what_was_written_and_no_default() -> None:
    raw = document(routes=[route(methods=["POST", "GET"], priority=0, websocket=True, max_body=1024)])
    dumped = dump_document(parse_document(raw))
    assert dumped == document(routes=[route(methods=["GET", "POST"], max_body="1KiB")])
    assert list(dumped) == ["tenant", "domains", "upstreams", "auth", "limits", "routes"]


def test_a_parsed_document_cannot_be_changed() -> None:
    parsed = parse_document(document())
    with pytest.raises(ValueError, match="frozen"):
        parsed.tenant = "other"  # type: ignore[misc]  # that it is refused is the point
    assert isinstance(parsed, TenantDocument)


def test_a_document_that_is_too_long_is_refused_before_anything_is_read() -> None:
    assert faults_in(document(name="x" * MAX_DOCUMENT_BYTES)) == ["the document is longer than 256 KiB of JSON"]
    assert faults_in(document(name="é" * (MAX_DOCUMENT_BYTES // 2))) == ["the document is longer than 256 KiB of JSON"]


def test_a_document_that_would_be_too_long_once_written_out_is_refused() -> None:
    # so that what the control plane takes, every edge can read
    hosts = [f"é{at}.é" for at in range(1000)]
    routes = [route(name=f"r{at}", path=f"/{at}", domains=hosts[:20]) for at in range(1000)]
    raw = document(domains=hosts, routes=routes)
    assert size_of(raw) < MAX_DOCUMENT_BYTES
    assert faults_in(raw) == ["the document is longer than 256 KiB of JSON"]


def test_a_document_without_end_is_refused() -> None:
    endless: dict[str, Any] = document()
    endless["more"] = endless
    unwritable = "the document holds itself, or a number of thousands of digits"
    assert faults_in(endless) == [unwritable]
    assert faults_in(document(more=10**5000)) == [unwritable]
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert faults_in(document(more=deep)) == ["the document is nested too deep"]


def test_no_fault_repeats_what_may_be_a_secret() -> None:
    secret = "hunter2"
    raw = document(
        upstreams={"shop": {"targets": [f"http://user:{secret}@10.0.0.5", f"http://10.0.0.5:{secret}"]}},
        routes=[route(headers={"request": {"set": {"Authorization": f"{secret}\n", "X-A": [secret]}}})],
    )
    lines = faults_in(raw)
    assert len(lines) == 4
    assert secret not in "\n".join(lines)


def test_a_document_error_is_what_both_planes_catch() -> None:
    with pytest.raises(DocumentError):
        parse_document({"tenant": "a", "routes": 5})


def test_a_worker_reads_a_checked_document_as_it_was_parsed() -> None:
    raw = dump_document(parse_document(with_route(auth=["keys"])))
    assert read_document(raw) == parse_document(raw)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (None, "expected a mapping"),
        ({"tenant": "acme", "routes": "none"}, "routes"),
        (with_route(upstream="shopp"), "no upstream named 'shopp'"),
        (with_route(path="v1"), "a path begins with '/'"),
    ],
)
def test_a_document_that_nobody_checked_is_refused_by_its_form(raw: object, words: str) -> None:
    with pytest.raises(DocumentError, match=words):
        read_document(raw)


def test_a_worker_does_not_judge_again_what_routes_are_to_each_other() -> None:
    raw = document(routes=[route(name="one"), route(name="other")])
    assert faults_in(raw)
    assert [each.name for each in read_document(raw).routes] == ["one", "other"]
