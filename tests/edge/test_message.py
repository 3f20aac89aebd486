"""The request and the answer as middlewares see and change them."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict
from yarl import URL

from edge.errors import EdgeError
from edge.message import ProxyRequest, ProxyResponse
from tests.fakes.requests import Pieces, incoming


def request_for(path: str = "/a", query: str = "", base: str | None = "http://target:9000") -> ProxyRequest:
    received = incoming(raw_path=path)
    return ProxyRequest(received, path, query, CIMultiDict(received.headers), None if base is None else URL(base))


class Bytes(Pieces):
    """An answer's body."""

    known_length = None
    is_aborted = False

    def whole(self) -> bytes | None:
        """Give nothing at once."""
        return None

    async def read(self) -> bytes:
        """Give the next piece."""
        return await self.readany()

    def abort(self) -> None:
        """Note it."""
        self.is_aborted = True

    async def release(self) -> None:
        """Note it."""
        self.is_aborted = True


# -- The query -----------------------------------------------------------------------------------------------------

AWKWARD = "a=1&a=2&b=%20+&&c&d=%zz&%E9=%FF"


def test_a_query_that_nobody_changes_survives_byte_for_byte() -> None:
    request = request_for(query=AWKWARD)
    assert request.params.getall("a") == ["1", "2"]
    assert request.query_string == AWKWARD
    assert str(request.url) == f"http://target:9000/a?{AWKWARD}"


def test_changed_parameters_are_written_with_repeats_and_order_kept() -> None:
    request = request_for(query="b=1&a=x%20y&b=2&empty=")
    request.params["new"] = "ä&="
    assert request.query_string == "b=1&a=x+y&b=2&empty=&new=%C3%A4%26%3D"
    del request.params["b"]
    assert request.query_string == "a=x+y&empty=&new=%C3%A4%26%3D"


def test_bytes_that_are_not_utf8_survive_a_change_beside_them() -> None:
    request = request_for(query="x=%FF")
    request.params["y"] = "1"
    assert request.query_string == "x=%FF&y=1"


def test_parameters_may_be_set_as_a_whole_and_so_may_the_query() -> None:
    request = request_for(query="a=1")
    request.params = [("b", "2"), ("b", "3")]
    assert request.query_string == "b=2&b=3"
    request.query_string = "c=4"
    assert dict(request.params) == {"c": "4"}
    request.params = {}
    assert request.query_string == ""
    assert str(request.url) == "http://target:9000/a"


# -- The URL -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://target:9000", "http://target:9000/a%2Fb?q=%20"),
        ("http://target:9000/", "http://target:9000/a%2Fb?q=%20"),
        ("https://target/api/", "https://target/api/a%2Fb?q=%20"),
        (None, "http://shop.acme.com/a%2Fb?q=%20"),
    ],
)
def test_the_url_joins_the_targets_path_with_the_raw_path_and_query(base: str | None, url: str) -> None:
    assert str(request_for("/a%2Fb", "q=%20", base).url) == url


def test_setting_the_url_sets_target_path_and_query() -> None:
    request = request_for(base="http://target:9000/api")
    request.url = URL("http://other/x?y=1")
    assert (request.path, request.query_string, str(request.url)) == ("/x", "y=1", "http://other/x?y=1")
    request.url = URL("/z")
    assert str(request.url) == "http://other/z"


def test_a_url_taken_changed_and_set_is_what_it_says() -> None:
    request = request_for(base="http://target:9000/api")
    request.url = request.url / "b"
    assert str(request.url) == "http://target:9000/api/a/b"


def test_where_the_upstream_chooses_the_target_a_url_cannot() -> None:
    request = request_for(base=None)
    request.url = request.url.with_path("/b")
    assert request.path == "/b"
    with pytest.raises(ValueError, match="the route's upstream"):
        request.url = URL("http://169.254.169.254/")


# -- Upgrades ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "version", "upgrade"),
    [
        ([("Upgrade", "websocket"), ("Connection", "keep-alive, Upgrade")], (1, 1), "websocket"),
        ([("Upgrade", "websocket"), ("Connection", "keep-alive"), ("Connection", "upgrade")], (1, 1), "websocket"),
        ([("Upgrade", "websocket")], (1, 1), None),
        ([("Connection", "Upgrade")], (1, 1), None),
        ([("Upgrade", "websocket"), ("Connection", "upgrades")], (1, 1), None),
        ([("Upgrade", "websocket"), ("Connection", "Upgrade")], (1, 0), None),
        ([("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings")], (1, 1), None),
        ([("Upgrade", "HTTP/2.0, TLS/1.2"), ("Connection", "Upgrade")], (1, 1), None),
        ([("Upgrade", "h2c, , chat/1"), ("Upgrade", "websocket"), ("Connection", "Upgrade")], (1, 1), "chat/1"),
        ([("Upgrade", "x,\t WebSocket \t,"), ("Connection", ",close \t,\t upgrade ,")], (1, 1), "x"),
        ([("Upgrade", "websocket"), ("Connection", "\xa0upgrade")], (1, 1), None),
        ([("Upgrade", "websocket"), ("Connection", "upgrade\u2028")], (1, 1), None),
        ([("Upgrade", "websocket"), ("Connection", "x,\x85upgrade")], (1, 1), None),
        ([("Upgrade", "websocket"), ("Connection", "\x1cupgrade")], (1, 1), None),
        ([("Upgrade", "\xa0websocket"), ("Connection", "upgrade")], (1, 1), None),
    ],
)
def test_an_upgrade_is_asked_for_by_both_fields_and_in_http_11(
    fields: list[tuple[str, str]], version: tuple[int, int], upgrade: str | None
) -> None:
    received = incoming(headers=fields, version=version)
    request = ProxyRequest(received, "/", "", CIMultiDict())
    assert (request.upgrade, request.is_upgrade) == (upgrade, upgrade is not None)


@pytest.mark.parametrize(("method", "offer"), [("GET", "websocket"), ("POST", None)])
def test_an_offer_that_the_method_does_not_allow_is_no_upgrade(method: str, offer: str | None) -> None:
    received = incoming(method, headers=[("Upgrade", "websocket"), ("Connection", "Upgrade")])
    assert ProxyRequest(received, "/", "", CIMultiDict()).upgrade == offer


# -- Bodies --------------------------------------------------------------------------------------------------------


async def test_a_requests_body_is_loaded_once_and_within_bounds() -> None:
    request = ProxyRequest(incoming(body=[b"ab", b"cd"]), "/", "", CIMultiDict())
    assert request.content is None
    assert await request.load_content() == b"abcd" == request.content == await request.load_content()
    with pytest.raises(EdgeError, match="body_too_large"):
        await ProxyRequest(incoming(body=[b"ab", b"cd"]), "/", "", CIMultiDict()).load_content(max_bytes=3)


async def test_a_request_without_a_body_stays_without_one() -> None:
    request = ProxyRequest(incoming(), "/", "", CIMultiDict())
    assert await request.load_content() == b""
    assert request.content is None


async def test_an_answers_body_is_loaded_once_and_within_bounds() -> None:
    response = ProxyResponse(200, CIMultiDict(), Bytes([b"ab", b"cd"]))
    assert await response.load_content() == b"abcd" == response.content == await response.load_content()
    body = Bytes([b"ab", b"cd"])
    with pytest.raises(EdgeError, match="upstream_protocol"):
        await ProxyResponse(200, CIMultiDict(), body).load_content(max_bytes=3)
    assert body.is_aborted


async def test_an_early_answer_is_made_of_status_fields_and_bytes() -> None:
    response = ProxyResponse.of(418, {"X-A": "1"}, b"tea")
    assert (response.status, response.headers["x-a"], await response.load_content()) == (418, "1", b"tea")
    assert ProxyResponse.of(204).content == b""
