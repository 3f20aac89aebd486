"""Who a request is for, and who it is from, said in every way that could mislead: one tenant is never another."""

from __future__ import annotations

import pytest

from tests.fakes.edges import RunningEdge
from tests.fakes.raw_talk import HOST, answers_in, get, request, talk_to
from tests.fakes.recorder import Recorder
from tests.fakes.verdicts import Forwarded, Refused, Verdict, check

BAD = Refused(400, "bad_request")
BAD_HOST = Refused(400, "bad_host")
UNKNOWN = Refused(421, "unknown_host", goes_on=True)


def host(value: bytes) -> bytes:
    return request(b"GET / HTTP/1.1", b"Host:" + value)


def served_as(value: bytes) -> tuple[bytes, Verdict]:
    return host(b" " + value), Forwarded(request(b"GET / HTTP/1.1", b"Host: " + value))


HOSTS: dict[str, tuple[bytes, Verdict]] = {
    "none": (request(b"GET / HTTP/1.1"), BAD),
    "two": (get(b"Host: other.test"), BAD),
    "the same twice": (get(HOST), BAD),
    "two in one field": (host(b" shop.test, shop.test"), BAD_HOST),
    "empty": (host(b""), BAD_HOST),
    "only spaces": (host(b"  "), BAD_HOST),
    "somebody at a host": (host(b" u@shop.test"), BAD_HOST),
    "a path": (host(b" shop.test/.."), BAD_HOST),
    "a URL": (host(b" http://shop.test"), BAD_HOST),
    "a space and a path": (host(b" a b/.."), BAD_HOST),
    "a query": (host(b" shop.test?"), BAD_HOST),
    "a fragment": (host(b" shop.test#"), BAD_HOST),
    "a backslash": (host(b" shop.test\\evil"), BAD_HOST),
    "an escape": (host(b" shop%2etest"), BAD_HOST),
    "a mask": (host(b" *.test"), BAD_HOST),
    "a port that is no number": (host(b" shop.test:80a"), BAD_HOST),
    "a port that is too large": (host(b" shop.test:65536"), BAD_HOST),
    "two ports": (host(b" shop.test:80:80"), BAD_HOST),
    "two dots": (host(b" shop.test.."), BAD_HOST),
    "a dot before": (host(b" .shop.test"), BAD_HOST),
    "letters that look the same": (host(" \u0455hop.test".encode()), BAD_HOST),
    "letters of full width": (host(" \uff53hop.test".encode()), BAD_HOST),
    "a dot of another script": (host(" shop\u3002test".encode()), BAD_HOST),
    "a name beyond ASCII": (host(" bücher.test".encode()), BAD_HOST),
    "a name in Latin-1": (host(b" b\xfccher.test"), BAD_HOST),
    "NUL": (host(b" shop.test\0"), BAD),
    "an address with a zone": (host(b" [::1%25lo]"), BAD_HOST),
    "a bracket that stays open": (host(b" [::1"), BAD_HOST),
    "another host": (host(b" other.test"), UNKNOWN),
    "a host below": (host(b" a.shop.test"), UNKNOWN),
    "an address": (host(b" 127.0.0.1"), UNKNOWN),
    "an address as a number": (host(b" 2130706433"), UNKNOWN),
    "an IPv6 address": (host(b" [::1]"), UNKNOWN),
    "an A-label that nobody has": (host(b" xn--bcher-kva.test"), UNKNOWN),
    "a port": served_as(b"shop.test:8080"),
    "an empty port": served_as(b"shop.test:"),
    "a trailing dot": served_as(b"shop.test."),
    "capitals": served_as(b"SHOP.Test"),
    "in absolute form, the same": (get(target=b"http://shop.test/a?b"), Forwarded(get(target=b"/a?b"))),
    "in absolute form, the same by https": (get(target=b"https://SHOP.test"), Forwarded(get(target=b"/"))),
    "in absolute form, another": (get(target=b"http://other.test/"), BAD_HOST),
    "in absolute form, with a port": (get(target=b"http://shop.test:80/"), BAD_HOST),
    "in absolute form, somebody at it": (get(target=b"http://u@shop.test/"), BAD_HOST),
    "in absolute form, empty": (get(target=b"http:///"), BAD),
    "in absolute form, a backslash": (get(target=b"http://shop.test\\@other.test/"), BAD),
    "in absolute form, another scheme": (get(target=b"ftp://shop.test/"), BAD),
    "in absolute form, no Host": (request(b"GET http://shop.test/ HTTP/1.1"), BAD),
    "in authority form": (get(target=b"shop.test:80"), BAD),
}


@pytest.mark.parametrize(("sent", "verdict"), HOSTS.values(), ids=HOSTS)
async def test_a_host(edge: RunningEdge, recorder: Recorder, sent: bytes, verdict: Verdict) -> None:
    await check(edge, recorder, sent, verdict)


@pytest.mark.parametrize("target", [b"/", b"http://shop.test/"])
async def test_http_10_without_a_host_is_refused(edge: RunningEdge, recorder: Recorder, target: bytes) -> None:
    (answer,) = answers_in(await talk_to(edge.port, request(b"GET " + target + b" HTTP/1.0")))
    assert (answer.status, answer.error, answer.is_last) == (400, "bad_host", True)
    assert not recorder.connections


SPOOFED = [
    b"X-Forwarded-For: 192.0.2.1",
    b"x-forwarded-for: 192.0.2.1, 127.0.0.1",
    b"X-Forwarded-Host: other.test",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Port: 443",
    b"X-Forwarded-Prefix: /admin",
    b"Forwarded: for=192.0.2.1;host=other.test;proto=https",
    b"X-Real-IP: 192.0.2.1",
    b"X-Request-ID: chosen",
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"tracestate: a=b",
    b"X-Portico-Tenant: other",
    b"X-Portico-Route: admin",
    b"X-Portico-Subject: root",
    b"X-PORTICO-Whatever: 1",
]


def underscored(field: bytes) -> bytes:
    name, _, value = field.partition(b":")
    return name.replace(b"-", b"_") + b":" + value


def mixed(field: bytes) -> bytes:
    return field.replace(b"-", b"_", 1)


@pytest.mark.parametrize("spelt", [bytes, underscored, mixed], ids=["as it is", "with _", "with one _"])
async def test_what_only_the_edge_may_say_is_taken_out_however_it_is_spelt(
    edge: RunningEdge, recorder: Recorder, spelt: type[bytes]
) -> None:
    fields = [spelt(field) for field in SPOOFED]
    await check(edge, recorder, get(*fields, b"X-Own: 1", *fields), Forwarded(get(b"X-Own: 1")))


END_TO_END = (b"Cookie: a", b"Authorization: b")
CONNECTIONS: dict[str, tuple[tuple[bytes, ...], tuple[bytes, ...]]] = {
    "not what the edge adds": ((b"Connection: X-Portico-Tenant, X-Forwarded-For, Forwarded, traceparent",), ()),
    "nor what it would have added": ((b"Connection: x-portico-tenant", b"X-Portico-Tenant: other"), ()),
    "nor what is end to end": ((b"Connection: Host, Cookie, Authorization", *END_TO_END), END_TO_END),
    "its own fields": ((b"Connection: X-One", b"Connection: x-two", b"X-One: 1", b"X-Two: 2", b"X-3: 3"), (b"X-3: 3",)),
    "what keeps it alive": ((b"Connection: keep-alive", b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive"), ()),
    "what goes by hop": ((b"Connection: TE", b"TE: trailers", b"Trailer: X", b"Proxy-Authorization: Basic eA=="), ()),
}


@pytest.mark.parametrize(("fields", "left"), CONNECTIONS.values(), ids=CONNECTIONS)
async def test_what_connection_may_take_out(
    edge: RunningEdge, recorder: Recorder, fields: tuple[bytes, ...], left: tuple[bytes, ...]
) -> None:
    await check(edge, recorder, get(*fields), Forwarded(get(*left)))
