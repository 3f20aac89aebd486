"""store/model/words.py: what pydantic finds, said to whoever wrote the document and not to a programmer."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from store.model import DocumentError, Fault, TenantDocument, parse_document
from store.model.words import _IMPOSSIBLE, found_by
from tests.store.model.documents import (
    FULL,
    document,
    faults_in,
    holes,
    put,
    route,
    upstream,
    with_route,
    with_upstream,
)

NAME = "letters, digits, '.', '_' and '-', at most 63 of them, a letter or digit first and last"


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (document(domians=[]), "domians: unknown field; did you mean 'domains'?"),
        (document(xyzzy=1), "xyzzy: unknown field"),
        (document(domains=[{"host": "a.b", "verifid_by": "operator"}]),
         "domains[0].verifid_by: unknown field; did you mean 'verified_by'?"),
        (with_upstream(target=[]), "upstreams.shop.target: unknown field; did you mean 'targets'?"),
        (with_upstream(connect_timeout_s=2),
         "upstreams.shop.connect_timeout_s: unknown field; did you mean 'connect_timeout'?"),
        (with_upstream(targets=[{"url": "http://a.b", "wieght": 2}]),
         "upstreams.shop.targets[0].wieght: unknown field; did you mean 'weight'?"),
        (with_upstream(targets=[{"location": "http://a.b", "url": "http://a.b"}]),
         "upstreams.shop.targets[0].location: unknown field"),
        (with_upstream(health={"path": "/", "intervall": "5s"}),
         "upstreams.shop.health.intervall: unknown field; did you mean 'interval'?"),
        (with_upstream(retry={"atempts": 1}), "upstreams.shop.retry.atempts: unknown field; did you mean 'attempts'?"),
        (document(auth={"keys": {"type": "api_key", "heder": "X"}}),
         "auth.keys.heder: unknown field; did you mean 'header'?"),
        (document(auth={"keys": {"type": "api_key", "header_field": "X"}}),
         "auth.keys.header_field: unknown field; did you mean 'header'?"),
        (document(limits={"per-key": {"rate": "1/s", "by": "ip", "brust": 2}}),
         "limits.per-key.brust: unknown field; did you mean 'burst'?"),
        (with_route(upsteam="shop"), "routes[0].upsteam: unknown field; did you mean 'upstream'?"),
        (with_route(max_body_bytes=1), "routes[0].max_body_bytes: unknown field; did you mean 'max_body'?"),
        (with_route(match={"header": {}}), "routes[0].match.header: unknown field; did you mean 'headers'?"),
        (with_route(rewrite={"strip_prefx": "/", "strip_prefix": "/v1"}),
         "routes[0].rewrite.strip_prefx: unknown field; did you mean 'strip_prefix'?"),
        (with_route(headers={"requests": {}}), "routes[0].headers.requests: unknown field; did you mean 'request'?"),
        (with_route(headers={"request": {"add": {}}}), "routes[0].headers.request.add: unknown field"),
        (document(routes=[{"name": "b", "path": "/b", "split": [{"upstream": "shop", "wait": 1}]}]),
         "routes[0].split[0].wait: unknown field; did you mean 'weight'?"),
    ],
)  # fmt: skip
def test_an_unknown_field_is_named_with_what_it_may_be_meant_for(raw: dict[str, Any], line: str) -> None:
    assert line in faults_in(raw)


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (document(tenant=5), "tenant: expected text: put it in quotes"),
        (document(tenant=["a"]), "tenant: expected text"),
        (document(name=True), "name: expected text: put it in quotes"),
        (document(name="x" * 257), "name: is longer than 256 characters"),
        (document(name="\ud800"), "name: is not Unicode: it holds half of a surrogate pair"),
        (document(name="a\x1b[2J"), "name: has a line break or another control character"),
        (document(enabled=1), "enabled: expected true or false"),
        (document(enabled="true"), "enabled: expected true or false"),
        (document(domains="shop.acme.com"), "domains: expected a list"),
        (document(domains={"a": 1}), "domains: expected a list"),
        (document(domains=[5, "shop.acme.com"]), "domains[0]: expected text, or a mapping with 'host'"),
        (document(domains=[{}, "shop.acme.com"]), "domains[0].host: is required"),
        (document(upstreams=[]), "upstreams: expected a mapping"),
        (document(upstreams={"shop": []}), "upstreams.shop: expected a mapping"),
        (document(upstreams={"shop": "http://a"}), "upstreams.shop: expected a mapping"),
        (document(upstreams={"shop": {}}), "upstreams.shop.targets: is required"),
        (document(upstreams={"shop": upstream(), "a b": upstream()}), f"upstreams['a b']: is no name: expected {NAME}"),
        (document(upstreams={"shop": upstream(), "[key]": upstream()}),
         f"upstreams['[key]']: is no name: expected {NAME}"),
        (document(upstreams={"shop": upstream(), "": upstream()}), f"upstreams['']: is no name: expected {NAME}"),
        (document(upstreams={"shop": upstream(), 5: upstream()}), f"upstreams[5]: is no name: expected {NAME}"),
        (with_upstream(targets=[]), "upstreams.shop.targets: expected at least one"),
        (with_upstream(targets="http://a"), "upstreams.shop.targets: expected a list"),
        (with_upstream(targets=["http://10.0.0.1"] * 257), "upstreams.shop.targets: has more than 256 entries"),
        (with_upstream(max_connections=0), "upstreams.shop.max_connections: is less than 1"),
        (with_upstream(max_connections=65_537), "upstreams.shop.max_connections: is more than 65536"),
        (with_upstream(max_connections="256"), "upstreams.shop.max_connections: expected a whole number"),
        (with_upstream(max_connections=1.0), "upstreams.shop.max_connections: expected a whole number"),
        (with_upstream(max_connections=True), "upstreams.shop.max_connections: expected a whole number"),
        (with_upstream(retry={"on": "connect"}), "upstreams.shop.retry.on: expected a list"),
        (with_upstream(retry={"on": [502]}),
         "upstreams.shop.retry.on[0]: expected 'connect', 'reset', '502', '503' or '504': put it in quotes"),
        (with_upstream(retry={"on": ["conect"]}),
         "upstreams.shop.retry.on[0]: expected 'connect', 'reset', '502', '503' or '504'; did you mean 'connect'?"),
        (document(routes={"api": route()}), "routes: expected a list"),
        (document(routes=["api"]), "routes[0]: expected a mapping"),
        (with_route(name="a/b"), f"routes[0].name: expected {NAME}"),
        (with_route(upstream=5), "routes[0].upstream: expected text: put it in quotes"),
        (with_route(methods="GET"), "routes[0].methods: expected a list"),
        (with_route(methods=[]), "routes[0].methods: expected at least one"),
        (with_route(methods=["get"]), "routes[0].methods[0]: not a method: 'get'; did you mean 'GET'?"),
        (with_route(match={"headers": {"X-Canary": 1}}),
         "routes[0].match.headers.X-Canary: expected text: put it in quotes"),
        (with_route(match={"query": {"beta": True}}), "routes[0].match.query.beta: expected text: put it in quotes"),
        (with_route(match=[]), "routes[0].match: expected a mapping"),
        (with_route(headers={"request": {"set": {"X B": "v"}}}),
         "routes[0].headers.request.set['X B']: not a header field's name: 'X B'"),
        (with_route(headers={"request": {"set": {"X-A": 1.5}}}),
         "routes[0].headers.request.set.X-A: expected text: put it in quotes"),
        (with_route(priority="1"), "routes[0].priority: expected a whole number"),
        (with_route(priority=10**30), "routes[0].priority: is more than 1000000"),
        (with_route(websocket="yes"), "routes[0].websocket: expected true or false"),
        (with_route(split=[{"upstream": "shop"}], upstream="shop"), "routes[0].split[0].weight: is required"),
        (document(limits={"per-key": {"by": "ip"}}), "limits.per-key.rate: is required"),
        (document(auth={"keys": {}}), "auth.keys.type: is required"),
        (document(auth={"keys": {"type": "apikey"}}),
         "auth.keys.type: expected 'api_key', 'jwt', 'session', 'forward', 'basic'; did you mean 'api_key'?"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_from_a_right_one_in_plain_words(raw: dict[Any, Any], line: str) -> None:
    assert faults_in(raw) == [line]


def test_the_full_document_is_good() -> None:
    parse_document(FULL)


@pytest.mark.parametrize("path", list(holes(FULL)), ids=str)
def test_a_blank_value_is_a_fault_wherever_it_stands(path: tuple[Any, ...]) -> None:
    spelt = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
    faults = [line.partition(": ") for line in faults_in(put(FULL, path, None))]
    # a balance or a `by` is one value to whoever writes it
    assert any(spelt == where or spelt.startswith(f"{where}.") for where, _, _ in faults), faults
    assert any(said.startswith("is empty") or "expected" in said for _, _, said in faults), faults


JARGON = re.compile(r"Input|should|pydantic|validat|[Ii]nstance|NoneType|dict\b|str\b|tuple|frozenset|Traceback|ctx")
PIECES = st.sampled_from(
    ["", "a", "/", "1", "x\ny", "\ud800", "[key]", 0, -1, 1.5, True, None, [], {}, [None], {"a": 1}, 10**30]
)


def broken(data: st.DataObject, changes: int) -> dict[str, Any]:
    raw = FULL
    for _ in range(changes):
        raw = put(raw, data.draw(st.sampled_from(list(holes(raw)))), data.draw(PIECES))
    return raw


@given(st.data(), st.integers(1, 3))
def test_no_fault_speaks_of_python(data: st.DataObject, changes: int) -> None:
    faults: tuple[Fault, ...] = ()
    try:
        parse_document(broken(data, changes))
    except DocumentError as error:
        faults = error.faults
    for fault in faults:
        assert not JARGON.search(fault.message), fault
        assert fault.message.isprintable()
        assert fault.path.isprintable()


@given(st.data())
def test_every_kind_of_error_has_words_of_its_own(data: st.DataObject) -> None:
    raw, found = broken(data, 1), []
    try:
        TenantDocument.model_validate(raw)
    except ValidationError as error:
        found = list(found_by(error, raw))
    assert all(each.message and each.message != _IMPOSSIBLE for each in found), found


def test_a_name_that_is_no_unicode_is_told_with_what_is_wrong_beside_it() -> None:
    assert any("is no name" in line for line in faults_in({"tenant": "a", "limits": {"\ud800": {"tenant": None}}}))
