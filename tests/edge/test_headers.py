"""What stays behind at the edge, and what the edge says of its own."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiMapping

from edge.fields import RouteFields, UnreadFields
from edge.headers import (
    TRUST_NOBODY,
    Origin,
    Received,
    TrustedProxies,
    anonymous_origin_of,
    connection_options,
    field_value,
    forwarded_value,
    is_ours,
    new_identifiers,
    strip_answer_headers,
    strip_request_headers,
    toolkit_headers,
)
from edge.repeated import RepeatedFields

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ORIGIN = Origin("192.0.2.1", ("192.0.2.1",), "https", "shop.acme.com", "r1", TRACE, "")


def fields(*pairs: tuple[str, str]) -> CIMultiDict[str]:
    return CIMultiDict(pairs)


def received(*pairs: tuple[str, str], peer: str | None = "192.0.2.1") -> Received:
    return Received(fields(*pairs), peer, "http", "shop.acme.com")


def origin_of(head: Received, trusted: TrustedProxies = TRUST_NOBODY) -> Origin:
    """Settle an origin with its identifiers, as a request's path does."""
    origin, (request_id, traceparent) = anonymous_origin_of(head, trusted), new_identifiers()
    return origin._replace(request_id=origin.request_id or request_id, traceparent=origin.traceparent or traceparent)


def request_headers(headers: MultiMapping[str], origin: Origin, tenant: str, route: str) -> CIMultiDict[str]:
    """Put together what a target is sent, as a request's path does."""
    repeated = RepeatedFields(Received(headers, None, "http", ""), TRUST_NOBODY)
    repeated.origin = origin
    unread = UnreadFields(repeated, headers, (origin.request_id, origin.traceparent), RouteFields(tenant, route))
    return unread.opened()


# -- Hop by hop ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "HTTP2-Settings",
        "uPGRADE",
    ],
)
def test_a_hop_by_hop_field_stays_behind_both_ways(name: str) -> None:
    headers = fields((name, "x"), ("Accept", "*/*"))
    assert list(strip_request_headers(headers, is_edge=True)) == ["Accept"]
    assert list(strip_answer_headers(headers)) == ["Accept"]


@pytest.mark.parametrize(
    "name", ["Expect", "Content-Length", "Content_Length", "Transfer_Encoding", "Proxy_Connection"]
)
def test_what_the_edge_answers_or_frames_itself_is_not_forwarded(name: str) -> None:
    assert not strip_request_headers(fields((name, "1")), is_edge=True)


def test_an_answer_keeps_its_length_for_when_it_has_no_body() -> None:
    assert strip_answer_headers(fields(("Content-Length", "5")))["Content-Length"] == "5"


def test_fields_that_connection_names_stay_behind_both_ways() -> None:
    headers = fields(
        ("Connection", "close, X-One"), ("Connection", "x-two"), ("X-One", "1"), ("X-Two", "2"), ("X-Three", "3")
    )
    assert list(strip_request_headers(headers, is_edge=True)) == ["X-Three"]
    assert list(strip_answer_headers(headers)) == ["X-Three"]


def test_only_spaces_and_tabs_are_blanks_around_a_members_name() -> None:
    assert connection_options(fields(("Connection", "\t x-a \t,, \xa0x-b,x-c\u2028"))) == {
        "x-a",
        "\xa0x-b",
        "x-c\u2028",
    }


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "Host", "Set-Cookie", "Content-Type", "Cache-Control"])
def test_connection_cannot_take_an_end_to_end_field_out(name: str) -> None:
    headers = fields(("Connection", f"close, {name}"), (name, "x"))
    assert name.lower() not in connection_options(headers)
    assert strip_request_headers(headers, is_edge=True)[name] == "x"
    assert strip_answer_headers(headers)[name] == "x"


def test_connection_cannot_take_our_own_fields_out() -> None:
    headers = fields(("Connection", "X-Portico-Tenant, X-Forwarded-For, X-Request-ID"))
    sent = request_headers(headers, ORIGIN, "acme", "api")
    assert (sent["X-Portico-Tenant"], sent["X-Forwarded-For"], sent["X-Request-ID"]) == ("acme", "192.0.2.1", "r1")


def test_repeated_fields_and_their_order_survive() -> None:
    pairs = [("Cookie", "a=1"), ("X-A", "1"), ("Cookie", "b=2")]
    assert list(strip_request_headers(fields(*pairs), is_edge=True).items()) == pairs
    assert list(strip_answer_headers(fields(*pairs)).items()) == pairs


@given(st.lists(st.tuples(st.text("ConectiUpgrad-X_", min_size=1), st.text("abc, X-")), max_size=8))
def test_stripping_never_keeps_what_is_hop_by_hop_or_invents_a_field(pairs: list[tuple[str, str]]) -> None:
    kept = strip_request_headers(CIMultiDict(pairs), is_edge=True)
    assert not {name.lower() for name in kept} & {"connection", "upgrade", "te"}
    assert set(kept.items()) <= set(pairs)


def test_the_memory_for_field_names_is_bounded() -> None:
    for number in range(10_000):
        assert f"X-{number}" in strip_request_headers(fields((f"X-{number}", "")), is_edge=True)
    assert "Upgrade" not in strip_request_headers(fields(("Upgrade", "x")), is_edge=True)


# -- What a client may not say -------------------------------------------------------------------------------------

SPOOFED = [
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Anything",
    "Forwarded",
    "X-Real-IP",
    "X-Request-ID",
    "traceparent",
    "tracestate",
    "X-Portico-Tenant",
    "X-Portico-Route",
    "X-Portico-Subject",
    "X-Portico-Whatever",
]


@pytest.mark.parametrize("name", [*SPOOFED, *(name.replace("-", "_") for name in SPOOFED if "-" in name)])
def test_a_name_of_ours_sent_by_a_client_is_removed_in_either_spelling(name: str) -> None:
    assert is_ours(name.lower())
    sent = request_headers(fields((name, "spoofed")), ORIGIN, "acme", "api")
    assert "spoofed" not in sent.values()
    assert "_" not in "".join(sent)


@pytest.mark.parametrize("name", ["x-api-key", "x_api_key", "forwarded-x", "x-forwarded", "x-real-ips"])
def test_a_name_like_ours_is_the_clients(name: str) -> None:
    assert not is_ours(name)


def test_the_target_is_told_who_asked_for_what() -> None:
    sent = request_headers(fields(("Host", "shop.acme.com"), ("Accept", "*/*")), ORIGIN, "acme", "api")
    assert dict(sent) == {
        "Host": "shop.acme.com",
        "Accept": "*/*",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.acme.com",
        "Forwarded": "for=192.0.2.1;host=shop.acme.com;proto=https",
        "X-Request-ID": "r1",
        "traceparent": TRACE,
        "X-Portico-Tenant": "acme",
        "X-Portico-Route": "api",
    }


def test_the_targets_own_host_may_replace_the_clients() -> None:
    sent = toolkit_headers(received(("Host", "shop.acme.com")), "10.0.0.5:9000")
    assert (sent.getall("Host"), sent["X-Forwarded-Host"]) == (["10.0.0.5:9000"], "shop.acme.com")


# -- Where a request came from -------------------------------------------------------------------------------------

TRUSTED = TrustedProxies(["10.0.0.0/8", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "chain"),
    [
        ("192.0.2.1", [], ["192.0.2.1"]),
        ("192.0.2.1", ["203.0.113.9"], ["192.0.2.1"]),
        ("10.0.0.1", [], ["10.0.0.1"]),
        ("10.0.0.1", ["203.0.113.9"], ["203.0.113.9", "10.0.0.1"]),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.9"], ["203.0.113.9", "10.0.0.1"]),
        ("10.0.0.1", ["1.1.1.1", "203.0.113.9, 10.0.0.2"], ["203.0.113.9", "10.0.0.2", "10.0.0.1"]),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], ["10.0.0.3", "10.0.0.2", "10.0.0.1"]),
        ("10.0.0.1", ["203.0.113.9:4711"], ["203.0.113.9", "10.0.0.1"]),
        ("10.0.0.1", ["[2001:db9::1]:4711"], ["2001:db9::1", "10.0.0.1"]),
        ("10.0.0.1", ["2001:db9::1"], ["2001:db9::1", "10.0.0.1"]),
        ("10.0.0.1", ["::ffff:203.0.113.9"], ["203.0.113.9", "10.0.0.1"]),
        ("10.0.0.1", ["203.0.113.9, unknown"], ["10.0.0.1"]),
        ("10.0.0.1", ["203.0.113.9, <script>"], ["10.0.0.1"]),
        ("10.0.0.1", ["\t 203.0.113.9 \t"], ["203.0.113.9", "10.0.0.1"]),
        ("10.0.0.1", ["203.0.113.9\xa0"], ["10.0.0.1"]),
        ("10.0.0.1", ["203.0.113.9,, 10.0.0.2"], ["10.0.0.2", "10.0.0.1"]),
        ("::ffff:10.0.0.1", ["203.0.113.9"], ["203.0.113.9", "::ffff:10.0.0.1"]),
        ("2001:db8::7", ["203.0.113.9"], ["203.0.113.9", "2001:db8::7"]),
        (None, ["203.0.113.9"], ["unknown"]),
    ],
)
def test_the_client_is_the_right_most_address_that_is_not_trusted(
    peer: str | None, forwarded_for: list[str], chain: list[str]
) -> None:
    head = received(*(("X-Forwarded-For", value) for value in forwarded_for), peer=peer)
    origin = origin_of(head, TRUSTED)
    assert (origin.client, list(origin.chain)) == (chain[0], chain)
    assert request_headers(head.headers, origin, "t", "r").getall("X-Forwarded-For") == [", ".join(chain)]


def test_a_chain_of_trusted_hops_has_an_end() -> None:
    origin = origin_of(received(("X-Forwarded-For", ",".join(["10.0.0.1"] * 1000)), peer="10.0.0.1"), TRUSTED)
    assert len(origin.chain) == 33


def test_scheme_and_host_are_believed_from_a_trusted_proxy_alone() -> None:
    pairs = [("X-Forwarded-Proto", "HTTPS"), ("X-Forwarded-Host", "www.acme.com")]
    trusted, stranger = origin_of(received(*pairs, peer="10.0.0.1"), TRUSTED), origin_of(received(*pairs), TRUSTED)
    assert (trusted.scheme, trusted.host) == ("https", "www.acme.com")
    assert (stranger.scheme, stranger.host) == ("http", "shop.acme.com")
    assert origin_of(received(("X-Forwarded-Proto", "gopher"), peer="10.0.0.1"), TRUSTED).scheme == "http"


def test_a_trace_goes_on_from_a_trusted_proxy_and_begins_anew_from_a_stranger() -> None:
    pairs = [("traceparent", TRACE), ("tracestate", "a=1"), ("tracestate", "b=2"), ("X-Request-ID", "their-own")]
    trusted, stranger = origin_of(received(*pairs, peer="10.0.0.1"), TRUSTED), origin_of(received(*pairs), TRUSTED)
    assert (trusted.traceparent, trusted.tracestate, trusted.request_id) == (TRACE, "a=1, b=2", "their-own")
    assert stranger.traceparent != TRACE
    assert re.fullmatch(f"00-{stranger.request_id}-[0-9a-f]{{16}}-00", stranger.traceparent)
    assert stranger.tracestate == ""


@pytest.mark.parametrize(
    "bad",
    [
        "",
        TRACE.upper(),
        "ff" + TRACE[2:],
        TRACE + "-more",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
    ],
)
def test_a_bad_traceparent_is_replaced_whoever_sent_it(bad: str) -> None:
    origin = origin_of(received(("traceparent", bad), ("tracestate", "a=1"), peer="10.0.0.1"), TRUSTED)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", origin.traceparent)
    assert origin.tracestate == ""


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, "a\tb", 'a"b', "é"])
def test_a_bad_request_id_is_replaced_whoever_sent_it(bad: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", origin_of(received(("X-Request-ID", bad), peer="10.0.0.1"), TRUSTED).request_id)


def test_no_two_requests_have_the_same_identifier() -> None:
    assert len({origin_of(received()).request_id for _ in range(1000)}) == 1000


def test_nobody_is_trusted_unless_told_so() -> None:
    assert not TrustedProxies().trusts("127.0.0.1")
    assert TrustedProxies(["127.0.0.1"]).trusts("127.0.0.1")
    with pytest.raises(ValueError, match="nonsense"):
        TrustedProxies(["nonsense"])


@pytest.mark.parametrize(
    ("chain", "host", "value"),
    [
        (("192.0.2.1",), "a.b", "for=192.0.2.1;host=a.b;proto=http"),
        (("192.0.2.1", "10.0.0.1"), "a.b:80", 'for=192.0.2.1, for=10.0.0.1;host="a.b:80";proto=http'),
        (("2001:db8::1",), "a.b", 'for="[2001:db8::1]";host=a.b;proto=http'),
        (("unknown",), 'a"b\\', 'for=unknown;host="a\\"b\\\\";proto=http'),
    ],
)
def test_forwarded_quotes_what_is_no_token(chain: tuple[str, ...], host: str, value: str) -> None:
    assert forwarded_value(ORIGIN._replace(chain=chain, host=host, scheme="http")) == value


# -- The toolkit's ---------------------------------------------------------------------------------------------------


def test_an_application_appends_its_peer_and_names_the_target_as_host() -> None:
    head = received(("Host", "shop.acme.com"), ("X-Forwarded-For", "203.0.113.9"), ("Upgrade", "h2c"), ("X-A", "1"))
    assert dict(toolkit_headers(head, "127.0.0.1:9000")) == {
        "Host": "127.0.0.1:9000",
        "X-A": "1",
        "X-Forwarded-For": "203.0.113.9, 192.0.2.1",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "shop.acme.com",
    }


@pytest.mark.parametrize(
    ("text", "value"), [("user 42", "user 42"), ("a\r\nX: y", "a%0D%0AX: y"), ("é", "%C3%A9"), (" a ", "%20a%20")]
)
def test_any_text_becomes_a_field_value_without_control_characters(text: str, value: str) -> None:
    assert field_value(text) == value
