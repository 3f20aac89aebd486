"""Whole documents: dumped and parsed again they are the same; whatever else was written makes faults."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from store.model import DocumentError, dump_document, load_yaml_documents, parse_document
from tests.store.model.documents import jwt

CONTRACT = """
tenant: acme
name: Acme Inc.
enabled: true
domains:
  - shop.acme.com
  - "*.acme.app"
  - {host: www.acme.test, verified_by: operator}
upstreams:
  shop:
    targets:
      - http://10.0.0.5:9000
      - {url: http://10.0.0.6:9000, weight: 2}
    balance: round_robin
    connect_timeout: 2s
    response_timeout: 30s
    idle_timeout: 60s
    max_connections: 256
    health: {path: /healthz, interval: 5s, timeout: 1s, healthy_after: 2, unhealthy_after: 3}
    retry: {attempts: 1, on: [connect, reset, "502", "503", "504"]}
auth:
  keys: {type: api_key, header: X-API-Key}
limits:
  per-key: {rate: 100/s, burst: 200, by: key}
  per-ip: {rate: 600/m, by: ip, on_store_loss: local}
routes:
  - name: api
    path: /v1/*
    methods: [GET, POST]
    domains: [shop.acme.com]
    match: {headers: {X-Canary: "1"}, query: {beta: "1"}}
    upstream: shop
    auth: [keys]
    limits: [per-key, per-ip]
    rewrite: {regex: "^/v(\\\\d+)/", to: "/api/"}
    headers: {request: {set: {X-Env: prod}, remove: [Cookie]}, response: {set: {X-A: b}, remove: [Server]}}
    max_body: 10MiB
    websocket: true
    priority: 0
"""


def test_the_contracts_example_comes_back_without_its_defaults() -> None:
    (raw,) = load_yaml_documents(CONTRACT)
    dumped = dump_document(parse_document(raw))
    assert dumped["domains"] == ["shop.acme.com", "*.acme.app", {"host": "www.acme.test", "verified_by": "operator"}]
    assert dumped["upstreams"] == {
        "shop": {
            "targets": ["http://10.0.0.5:9000", {"url": "http://10.0.0.6:9000", "weight": 2}],
            "health": {"path": "/healthz"},
            "retry": {"on": ["502", "503", "504", "connect", "reset"]},
        }
    }
    assert dumped["limits"] == {
        "per-key": {"rate": "100/s", "burst": 200, "by": "key"},
        "per-ip": {"rate": "600/m", "by": "ip"},
    }
    (route,) = dumped["routes"]
    assert route == {key: value for key, value in raw["routes"][0].items() if key not in ("websocket", "priority")}
    assert parse_document(dumped) == parse_document(raw)


# -- Documents as people write them --------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "B-1", "x.y", "on", "1e3", "007", "null", "a" * 63])
DURATIONS = st.builds(
    "{}{}".format,
    st.sampled_from(["1", "2", "90", "0.5", "1.1", "0.0011", "1000", "1.000001", "0.000001"]),
    st.sampled_from(["ms", "s", "m"]),
).filter(lambda text: text != "0.000001ms")  # less than a microsecond
SIZES = st.integers(0, 2**40) | st.sampled_from(["0", "10MiB", "1kB", "512KiB", "1GB", "1024GiB", "7B"])
RATES = st.builds("{}/{}".format, st.integers(1, 10**6), st.sampled_from(["s", "m", "h", "d", "second", "hour", "day"]))
HOSTS = [
    "shop.acme.com",
    "SHOP.acme.app.",
    "*.acme.app",
    "*.a.b.acme.app",
    "bücher.example",
    "localhost",
    "*.localhost",
]
VALUES = st.sampled_from(["1", "", "a b", "é", "true", "1e3", "a: b", "#", "'\"", "0o17", "2021-01-01", "12:30"])
HEADERS = st.dictionaries(st.sampled_from(["X-A", "x-b", "Accept"]), VALUES, max_size=3)
URLS = st.sampled_from(
    ["http://10.0.0.5:9000", "https://a.test/base/", "http://[::1]:80", "HTTP://Bücher.example/a%20b"]
)
PATHS = [
    "/",
    "/v1",
    "/v1/*",
    "/u/{id}",
    "/u/{id:[0-9]{2}}",
    "/{t:.*}",
    r"/{x:\x25\w+}",
    "/%C3%A9/{x}.json",
    "/{a:b|c}/*",
]


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def together(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda made: {key: value for part in made for key, value in part.items()})


BALANCES = st.sampled_from(
    [
        "round_robin",
        "least_requests",
        "random_two",
        {"hash": "ip"},
        {"hash": {"header": "X-U"}},
        {"hash": {"cookie": "c"}},
    ]
)
UPSTREAMS = together(
    st.fixed_dictionaries(
        {
            "targets": st.lists(URLS, min_size=1, max_size=3, unique=True).map(
                lambda urls: [urls[0], *({"url": url, "weight": at} for at, url in enumerate(urls[1:]))]
            )
        }
    ),
    optional(
        balance=BALANCES,
        connect_timeout=DURATIONS,
        response_timeout=DURATIONS,
        idle_timeout=DURATIONS,
        max_connections=st.integers(1, 65_536),
        health=together(
            st.just({"path": "/h?x=1", "interval": "1d"}), optional(timeout=DURATIONS, healthy_after=st.just(9))
        ),
        retry=optional(attempts=st.integers(0, 5), on=st.lists(st.sampled_from(["connect", "502"]), unique=True)),
    ),
)
API_KEYS = st.sampled_from([{}, {"header": "X-API-Key"}, {"header": "x-other"}, {"query": "key"}]).map(
    lambda made: {"type": "api_key", **made}
)
JWTS = optional(
    header=st.just("x-token"), algorithms=st.just(["ES256", "EdDSA"]), subject_claim=VALUES.filter(bool)
).map(lambda made: jwt(**made))
AUTH = API_KEYS | JWTS
LIMITS = together(
    st.fixed_dictionaries({"rate": RATES, "by": st.sampled_from(["tenant", "route", "ip", {"header": "X-Team"}])}),
    optional(burst=st.integers(1, 10_000), on_store_loss=st.sampled_from(["local", "open", "closed"])),
)
REWRITES = st.sampled_from(
    [
        {"strip_prefix": "/v1"},
        {"from": "/a", "to": "/b/"},
        {"regex": r"^/v(\d+)/", "to": "/api/"},
        {"regex": "x", "to": ""},
    ]
)
OPERATIONS = optional(set=HEADERS, remove=st.lists(st.sampled_from(["Cookie", "X-Z"]), unique=True))


def _with_effect(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is refused since it changes nothing: to keep credentials where none are taken."""
    keeps_nothing = fields.get("keep_credentials") and not fields.get("auth")
    return {**fields, "keep_credentials": False} if keeps_nothing else fields


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    hosts = draw(st.lists(st.sampled_from(HOSTS), unique=True))
    upstreams = draw(st.dictionaries(NAMES, UPSTREAMS, min_size=1, max_size=2))
    auth = draw(st.dictionaries(NAMES, AUTH, max_size=2))
    limits = draw(st.dictionaries(NAMES, LIMITS, max_size=2))
    shares = [{"upstream": name, "weight": at + 1} for at, name in enumerate(upstreams)]
    routes = optional(
        methods=st.lists(st.sampled_from(["GET", "POST", "PROPFIND"]), min_size=1, unique=True),
        match=optional(headers=HEADERS, query=st.dictionaries(st.sampled_from(["a", "é"]), VALUES)),
        rewrite=REWRITES,
        headers=optional(request=OPERATIONS, response=OPERATIONS),
        max_body=SIZES,
        websocket=st.booleans(),
        keep_credentials=st.booleans(),
        auth=st.lists(st.sampled_from(list(auth)), unique=True) if auth else st.just([]),
        limits=st.lists(st.sampled_from(list(limits)), unique=True) if limits else st.just([]),
        **({"domains": st.lists(st.sampled_from(hosts), min_size=1, unique=True)} if hosts else {}),
    )
    target = st.sampled_from([{"split": shares}, {"upstream": next(iter(upstreams))}])
    made = draw(st.lists(st.tuples(st.sampled_from(PATHS), routes, target), max_size=4))
    named = [
        {"name": f"r{at}", "path": path, "priority": at, **_with_effect(fields), **to}
        for at, (path, fields, to) in enumerate(made)
    ]
    domains = [{"host": host, "verified_by": "operator"} if len(host) % 2 else host for host in hosts]
    whole = {
        "tenant": "acme",
        "domains": domains,
        "upstreams": upstreams,
        "auth": auth,
        "limits": limits,
        "routes": named,
    }
    return whole | draw(optional(name=VALUES, enabled=st.booleans()))


@given(documents())
def test_a_dumped_document_is_the_same_document(raw: dict[str, Any]) -> None:
    document = parse_document(raw)
    dumped = dump_document(document)
    assert parse_document(dumped) == document
    assert dump_document(parse_document(dumped)) == dumped
    assert json.loads(json.dumps(dumped)) == dumped


@given(documents())
def test_a_dumped_document_survives_yaml(raw: dict[str, Any]) -> None:
    document = parse_document(raw)
    written = yaml.safe_dump(dump_document(document), sort_keys=False, allow_unicode=True)
    assert [parse_document(read) for read in load_yaml_documents(written)] == [document]


# -- Documents as nobody should write them -------------------------------------------------------------------------

WORDS = [
    "", "a", "acme", "shop", "shop.acme.com", "*.a.b", "http://a", "2s", "1/s", "10MiB", "/v1/*", "/{x:[}",
    "GET", "get", "api_key", "jwt",
    "key", "ip", "connect", "502", "round_robin", "operator", "\ud800", "\0", "x" * 300, "é", "[key]", "a.b",
    "a[0]", "-", "%",
]  # fmt: skip
FIELDS = [
    "tenant", "name", "enabled", "domains", "upstreams", "auth", "limits", "routes", "host", "verified_by",
    "targets", "url", "weight",
    "balance", "hash", "header", "cookie", "health", "path", "interval", "timeout", "retry", "attempts", "on",
    "type", "query", "rate", "burst",
    "by", "claim", "quota", "concurrent", "methods", "match", "headers", "upstream", "split", "rewrite",
    "strip_prefix", "from", "to", "regex",
    "request", "response", "set", "remove", "max_body", "websocket", "priority", "keep_credentials",
    "connect_timeout", "on_store_loss",
]  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 10)
    | st.sampled_from([10**20, -(10**400), 1.5, float("inf"), float("nan")])
    | st.sampled_from(WORDS)
    | st.text(max_size=5)
)
KEYS = st.sampled_from(FIELDS) | st.sampled_from(WORDS)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=30
)


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A good document with one to four of its places made into something else."""
    raw = copy.deepcopy(draw(documents()))  # parts of it are constants of the strategies
    for _ in range(draw(st.integers(1, 4))):
        place: Any = raw
        while place:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):
                place[key] = draw(JSON)
                break
            place = place[key]
        if isinstance(place, dict) and draw(st.booleans()):
            place[draw(KEYS)] = draw(JSON)
    return raw


def check_faults(raw: object) -> None:
    try:
        document = parse_document(raw)
    except DocumentError as error:
        faults = error.faults
        assert len(set(faults)) == len(faults) > 0
        assert all(fault.message and "\n" not in str(fault) for fault in faults)
        assert all(len(str(fault)) < 1000 for fault in faults)
        str(error).encode()
    else:
        assert parse_document(dump_document(document)) == document


@settings(max_examples=300)
@given(JSON)
def test_any_json_is_a_document_or_faults(raw: object) -> None:
    check_faults(raw)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(FIELDS[:8]), JSON))
def test_any_fields_are_a_document_or_faults(raw: dict[str, Any]) -> None:
    check_faults({"tenant": "acme", **raw})


@settings(max_examples=300)
@given(damaged())
def test_a_damaged_document_is_a_document_or_faults(raw: dict[str, Any]) -> None:
    check_faults(raw)


@pytest.mark.parametrize(
    "raw", [None, [], "text", 1, True, {1: 2}, {"tenant": "a", 1: 2}, {None: 1}, {"tenant": b"a"}, {("a",): 1}]
)
def test_what_no_json_holds_is_faults_too(raw: object) -> None:
    with pytest.raises(DocumentError):
        parse_document(raw)
