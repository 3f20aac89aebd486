"""Request lines and fields that two servers could read differently: refused, or forwarded in one spelling only."""

from __future__ import annotations

import pytest

from tests.fakes.edges import RunningEdge
from tests.fakes.raw_talk import HOST, answers_in, get, post, request, talk_to
from tests.fakes.recorder import Recorder
from tests.fakes.verdicts import Forwarded, Refused, Verdict, check, to_acme

BAD = Refused(400, "bad_request")
TOO_LARGE = Refused(431, "headers_too_large")


def bad_path(target: bytes) -> tuple[bytes, Verdict]:
    return get(target=target), Refused(400, "bad_path", goes_on=True)


def line(text: bytes) -> bytes:
    return request(text, HOST)


def forwarded_as(target: bytes, expected: bytes) -> tuple[bytes, Verdict]:
    return get(target=target), Forwarded(get(target=expected))


LINES: dict[str, tuple[bytes, Verdict]] = {
    "a method in lower case": (line(b"get / HTTP/1.1"), BAD),
    "a method that nobody knows": (line(b"FROB / HTTP/1.1"), BAD),
    "TRACE would show what proxies added": (
        line(b"TRACE / HTTP/1.1"),
        Refused(501, "method_not_implemented", goes_on=True),
    ),
    "TRACE with a body": (
        request(b"TRACE / HTTP/1.1", HOST, b"Content-Length: 1", body=b"x"),
        Refused(501, "method_not_implemented", goes_on=True),
    ),
    "CONNECT is for forward proxies": (line(b"CONNECT shop.test:443 HTTP/1.1"), Refused(501, "method_not_implemented")),
    "HTTP/1.2": (line(b"GET / HTTP/1.2"), BAD),
    "a version in lower case": (line(b"GET / http/1.1"), BAD),
    "a version with a leading zero": (line(b"GET / HTTP/01.1"), BAD),
    "no version at all": (line(b"GET /"), Refused(505, "version_not_supported")),
    "another protocol of the same shape": (line(b"DESCRIBE / RTSP/1.0"), BAD),
    "RTSP with a method of ours": (line(b"GET / RTSP/1.0"), BAD),
    "RTSP of the version that is ours": (line(b"OPTIONS / RTSP/1.1"), BAD),
    "ICE": (line(b"SOURCE / ICE/1.1"), BAD),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", BAD),
    "a TLS hello": (bytes.fromhex("16030100c8010000c40303") + b"\0" * 190, BAD),
    "a space before the method": (line(b" GET / HTTP/1.1"), BAD),
    "a space after the version": (line(b"GET / HTTP/1.1 "), BAD),
    "a space in the target": (line(b"GET /a b HTTP/1.1"), BAD),
    "tabs for spaces": (line(b"GET\t/\tHTTP/1.1"), BAD),
    "two spaces before the target are one": (line(b"GET  / HTTP/1.1"), Forwarded(get())),
    "empty lines before a request are skipped": (b"\r\n\r\n" + get(), Forwarded(get())),
    "a method of an extension": (line(b"PURGE / HTTP/1.1"), Forwarded(line(b"PURGE / HTTP/1.1"))),
    "the target * is nobody's": (line(b"OPTIONS * HTTP/1.1"), BAD),
    "a target of 9 KB": (get(target=b"/" + b"a" * 9000), Refused(414, "uri_too_long")),
    "a target of 9 KB in absolute form": (
        get(target=b"http://shop.test/" + b"a" * 9000),
        Refused(414, "uri_too_long"),
    ),
    "a target of 8 KiB": forwarded_as(b"/" + b"a" * 8191, b"/" + b"a" * 8191),
}

PATHS: dict[str, tuple[bytes, Verdict]] = {
    "dot segments are resolved": forwarded_as(b"/a/../b/./c", b"/b/c"),
    "encoded dot segments are resolved": forwarded_as(b"/a/%2e%2E/b", b"/b"),
    "empty segments are left out": forwarded_as(b"//a//b", b"/a/b"),
    "an authority that is none": forwarded_as(b"//evil.test/b", b"/evil.test/b"),
    "unreserved characters are bare": forwarded_as(b"/%61%2db%7e", b"/a-b~"),
    "what is encoded twice stays so": forwarded_as(b"/%252e%252e/a", b"/%252e%252e/a"),
    "an encoded line end stays one": forwarded_as(b"/a%0d%0aX:%201", b"/a%0D%0AX:%201"),
    "a query goes as it came": forwarded_as(b'/?a=%zz&b="<>{}|\\^`&c=../%2f%00', b'/?a=%zz&b="<>{}|\\^`&c=../%2f%00'),
    "a URL in a query is no absolute form": forwarded_as(b"/?http://evil.test/", b"/?http://evil.test/"),
    "above the root": bad_path(b"/../etc"),
    "above the root, encoded": bad_path(b"/a/%2e%2e/%2e%2e/etc"),
    "above the root, in absolute form": bad_path(b"http://shop.test/../etc"),
    "parameters": forwarded_as(b"/a;v=1/b%3bv;", b"/a;v=1/b%3Bv;"),
    "two dots with a parameter": bad_path(b"/a/..;/b"),
    "a dot with a parameter": bad_path(b"/.;/admin/x"),
    "an encoded dot with a parameter": bad_path(b"/%2e;/admin/x"),
    "two dots, one encoded, with an encoded parameter": bad_path(b"/a/.%2e%3bv/admin/x"),
    "nothing with a parameter": bad_path(b"/;x/admin/x"),
    "nothing with a parameter, behind an empty segment": bad_path(b"//;x/admin/x"),
    "nothing with an encoded parameter, in absolute form": bad_path(b"http://shop.test/%3Bx/admin/x"),
    "an encoded slash": bad_path(b"/a%2fb"),
    "a backslash": bad_path(b"/a\\..\\b"),
    "an encoded backslash": bad_path(b"/a%5Cb"),
    "an encoded NUL": bad_path(b"/a%00"),
    "an escape that is none": bad_path(b"/%zz"),
    "a fragment": bad_path(b"/a#b"),
    "a fragment after a query": bad_path(b"/a?b#c"),
    "a fragment in absolute form": bad_path(b"http://shop.test/a?b#c"),
    "NUL in a target": (get(target=b"/a\0b"), BAD),
    "a control character in a target": (get(target=b"/a?b=\x01"), BAD),
    "DEL in a target": (get(target=b"/a?b=\x7f"), BAD),
    "bytes of no encoding in a target": (get(target=b"/\xff\xfe"), BAD),
    "UTF-8 in a target": (get(target=b"/caf\xc3\xa9"), BAD),
}

FIELDS: dict[str, tuple[bytes, Verdict]] = {
    "a space before the colon": (get(b"X : a"), BAD),
    "a space before the colon of Host": (request(b"GET / HTTP/1.1", b"Host : shop.test"), BAD),
    "a folded field": (get(b"X: a\r\n b"), BAD),
    "a field folded with a tab": (get(b"X: a\r\n\tb"), BAD),
    "a first line that is folded": (request(b"GET / HTTP/1.1", b" Host: shop.test"), BAD),
    "bare LF everywhere": (b"GET / HTTP/1.1\nHost: shop.test\n\n", BAD),
    "one bare LF": (b"GET / HTTP/1.1\r\nHost: shop.test\nX: a\r\n\r\n", BAD),
    "a bare LF at the end": (b"GET / HTTP/1.1\r\nHost: shop.test\r\n\n", BAD),
    "bare CR everywhere": (b"GET / HTTP/1.1\rHost: shop.test\r\r", BAD),
    "a bare CR in a value": (get(b"X: a\rb"), BAD),
    "NUL in a value": (get(b"X: a\0b"), BAD),
    "NUL in a name": (get(b"X\0: a"), BAD),
    "VT in a value": (get(b"X: a\x0bb"), BAD),
    "ESC in a value": (get(b"X: a\x1bb"), BAD),
    "DEL in a value": (get(b"X: a\x7fb"), BAD),
    "an empty name": (get(b": a"), BAD),
    "a name without a colon": (get(b"X"), BAD),
    "a name with a space": (get(b"X Y: a"), BAD),
    "a name with a bracket": (get(b"X(Y): a"), BAD),
    "a name beyond ASCII": (get(b"X\xc3\xa9: a"), BAD),
    "101 fields": (get(*(b"X-%d: a" % at for at in range(100))), TOO_LARGE),
    "100 fields": (get(*(b"X-%d: a" % at for at in range(99))), Forwarded(get(*(b"X-%d: a" % at for at in range(99))))),
    "a value of 9 KB": (get(b"X: " + b"a" * 9000), TOO_LARGE),
    "a value of 9 KB that looks like a path": (get(b"Referer: /" + b"a" * 9000), TOO_LARGE),
    "a name of 9 KB": (get(b"X" * 9000 + b": a"), TOO_LARGE),
    "800 KB in fields that are each small": (get(*(b"X-%d: %b" % (at, b"a" * 8000) for at in range(99))), TOO_LARGE),
    "a tab in a value": (get(b"X: a\tb"), Forwarded(get(b"X: a\tb"))),
    "bytes of no encoding in a value": (get(b"X: \xff\xc3\xa9\xfe"), Forwarded(get(b"X: \xff\xc3\xa9\xfe"))),
    "space around a value": (get(b"X: \t a \t"), Forwarded(get(b"X: a"))),
    "an expectation that nobody knows": (post(b"Expect: 200-ok"), Refused(417, "expectation_failed")),
    "an expectation among others": (post(b"Expect: 100-continue, x"), Refused(417, "expectation_failed")),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "verdict"), LINES.values(), ids=LINES)
async def test_a_request_line(edge: RunningEdge, recorder: Recorder, sent: bytes, verdict: Verdict) -> None:
    await check(edge, recorder, sent, verdict)


@pytest.mark.parametrize(("sent", "verdict"), PATHS.values(), ids=PATHS)
async def test_a_path(edge: RunningEdge, recorder: Recorder, sent: bytes, verdict: Verdict) -> None:
    await check(edge, recorder, sent, verdict)


AUTHORIZED: dict[str, tuple[bytes, Verdict]] = {
    "as it is": (get(target=b"/admin/x"), Refused(401, "unauthorized", goes_on=True)),
    "with a parameter at its end": (get(target=b"/admin/x;v=1"), Refused(401, "unauthorized", goes_on=True)),
    "with a parameter in its prefix": bad_path(b"/admin;v=1/x"),
    "with an encoded parameter in its prefix": bad_path(b"/%61dmin%3bv/x"),
    "with an empty parameter, behind a dot segment": bad_path(b"/a/../admin;/x"),
    "one of another route": forwarded_as(b"/admins;v=1/x", b"/admins;v=1/x"),
}


@pytest.mark.parametrize(("sent", "verdict"), AUTHORIZED.values(), ids=AUTHORIZED)
async def test_a_path_of_a_route_with_auth(
    edge: RunningEdge, recorder: Recorder, sent: bytes, verdict: Verdict
) -> None:
    document = to_acme(recorder.url)
    document["auth"] = {"keys": {"type": "api_key"}}
    document["routes"].append({"name": "admin", "path": "/admin/*", "upstream": "app", "auth": ["keys"]})
    await edge.put(document)
    await check(edge, recorder, sent, verdict)


@pytest.mark.parametrize(("sent", "verdict"), FIELDS.values(), ids=FIELDS)
async def test_a_field(edge: RunningEdge, recorder: Recorder, sent: bytes, verdict: Verdict) -> None:
    await check(edge, recorder, sent, verdict)


@pytest.mark.parametrize("version", [b"HTTP/0.9", b"HTTP/2.0"])
async def test_a_version_that_the_edge_does_not_speak(edge: RunningEdge, recorder: Recorder, version: bytes) -> None:
    (answer,) = answers_in(await talk_to(edge.port, get(version=version)))
    assert (answer.status, answer.error, answer.is_last) == (505, "version_not_supported", True)
    assert not recorder.connections


async def test_http_10_is_served_as_11_and_ended(edge: RunningEdge, recorder: Recorder) -> None:
    (answer,) = answers_in(await talk_to(edge.port, get(version=b"HTTP/1.0")))
    assert (answer.status, answer.is_last) == (200, True)
    assert recorder.forwarded == [get()]


async def test_http_10_goes_on_where_it_asks_for_that(edge: RunningEdge, recorder: Recorder) -> None:
    await check(edge, recorder, get(b"Connection: keep-alive", version=b"HTTP/1.0"), Forwarded(get()))


async def test_what_follows_a_request_that_ends_its_connection_is_not_served(
    edge: RunningEdge, recorder: Recorder
) -> None:
    (answer,) = answers_in(await talk_to(edge.port, get(b"Connection: close") + get(target=b"/smuggled")))
    assert (answer.status, answer.body[:2], answer.is_last) == (200, b"/ ", True)
    assert len(recorder.forwarded) == 1
