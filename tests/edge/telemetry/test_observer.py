from __future__ import annotations

import pytest
from aiohttp.http_parser import RawRequestMessage
from aiohttp.http_writer import HttpVersion11
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from edge.context import Identity, ProxyContext, ProxyRequest
from edge.errors import EdgeError
from edge.exchange import Exchange
from edge.serve import Served
from edge.telemetry.access_log import AccessRecord
from edge.telemetry.counters import Counters
from edge.telemetry.observer import Observer, without_authority


class Kept:
    """A log that keeps its records."""

    def __init__(self, is_enabled: bool = True) -> None:
        self.is_enabled = is_enabled
        self.records: list[AccessRecord] = []

    def add(self, record: AccessRecord) -> None:
        self.records.append(record)


class Nowhere:
    peer: str | None = "192.0.2.1"
    scheme = "http"
    writing_paused = False

    def write(self, data: bytes) -> None:
        raise AssertionError("nothing is written here")

    async def drain(self) -> None:
        raise AssertionError("nothing is written here")

    def abort(self) -> None:
        raise AssertionError("nothing is written here")


def served(target: str = "/a?key=secret", status: int = 200) -> Served:
    headers = CIMultiDictProxy(CIMultiDict({"Host": "shop.acme.com"}))
    message = RawRequestMessage("GET", target, HttpVersion11, headers, (), False, None, False, False, URL("/"))
    exchange = Exchange(Nowhere(), message, EMPTY_PAYLOAD)
    exchange.status = status
    exchange.bytes_sent = 120
    return Served(exchange, "192.0.2.1", started_s=10.0)


def known(one: Served) -> ProxyContext:
    """Give a request its route and its caller."""
    ctx = ProxyContext().copy_for(ProxyRequest(one.exchange, "/a", "", CIMultiDict()))
    ctx.tenant, ctx.route = "acme", "api"
    ctx.identity = Identity("key1", "key1")
    one.ctx = ctx
    return ctx


def observed(one: Served, *, is_log_enabled: bool = True) -> tuple[Counters, list[AccessRecord]]:
    counters, log = Counters(), Kept(is_log_enabled)
    Observer(counters, log, lambda: 10.25)(one)
    return counters, log.records


def test_a_served_request_is_counted_and_logged_with_its_route_and_caller() -> None:
    one = served()
    known(one)
    counters, [record] = observed(one)
    samples = counters.samples()
    assert samples['portico_requests_total{status="2xx"}'] == 1
    assert samples["portico_request_duration_seconds_sum"] == 0.25
    assert samples["portico_sent_bytes_total"] == 120
    assert samples['portico_auth_total{outcome="accepted",method="api_key"}'] == 1
    assert (record.tenant, record.route, record.subject, record.status) == ("acme", "api", "key1", 200)
    assert (record.duration_s, record.remote, record.host) == (0.25, "192.0.2.1", "shop.acme.com")


def test_the_target_that_was_asked_last_is_logged_with_its_attempts_and_its_time() -> None:
    one = served()
    ctx = known(one)
    _, [untried] = observed(one)
    assert (untried.target, untried.attempts, untried.upstream_s) == ("", 0, None)
    ctx.target, ctx.attempts, ctx.upstream_s = "10.0.0.5:9000", 2, 0.125
    _, [record] = observed(one)
    assert (record.target, record.attempts, record.upstream_s) == ("10.0.0.5:9000", 2, 0.125)


def test_the_query_is_not_logged_but_that_there_was_one_is() -> None:
    _, [record] = observed(served("/a?key=secret"))
    assert (record.path, record.has_query) == ("/a", True)
    assert "secret" not in repr(record)


def test_an_answer_of_the_edges_own_is_counted_by_its_code_and_logged_with_its_detail() -> None:
    one = served(status=401)
    one.error = EdgeError("unauthorized", "no such key")
    counters, [record] = observed(one)
    assert counters.by_error["unauthorized"] == 1
    assert (counters.auth_refused, sum(counters.auth_accepted.values())) == (1, 0)
    assert (record.error, record.detail, record.tenant) == ("unauthorized", "no such key", "")


def test_a_client_that_went_away_is_nobodys_error() -> None:
    one = served(status=0)
    one.is_client_gone = True
    counters, [record] = observed(one)
    assert counters.aborted == 1
    assert not any(counters.by_error.values())
    assert (record.error, record.status) == ("client_gone", 0)


def test_a_tunnel_is_counted_but_how_long_it_lasted_is_not_compared_with_answers() -> None:
    counters, [record] = observed(served(status=101))
    samples = counters.samples()
    assert samples['portico_requests_total{status="1xx"}'] == 1
    assert samples["portico_request_duration_seconds_count"] == 0
    assert record.duration_s == 0.25


def test_no_record_is_made_for_a_log_that_is_off() -> None:
    counters, records = observed(served(), is_log_enabled=False)
    assert not records
    assert counters.samples()['portico_requests_total{status="2xx"}'] == 1


@pytest.mark.parametrize(
    ("target", "path"),
    [("http://user:password@host/a/b", "/a/b"), ("http://host", "/"), ("*", "/"), ("", "/"), ("host:80", "/")],
)
def test_of_an_absolute_target_only_the_path_is_logged(target: str, path: str) -> None:
    assert without_authority(target) == path
    _, [record] = observed(served(f"{target}?q"))
    assert record.path == path
