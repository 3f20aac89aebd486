"""What a request's head says of a browser, and where browsers may be sent."""

from __future__ import annotations

import pytest

from edge.client_edge.sessions.browser import (
    MAX_RETURN_CHARS,
    Site,
    comes_from,
    has_origin,
    is_navigation,
    path_of,
    safe_return_path,
    site_of,
)
from tests.fakes.requests import FakeIncoming, incoming

SHOP = Site("https", "shop.test")


def asked(method: str = "GET", raw_path: str = "/", host: str = "shop.test", **fields: str) -> FakeIncoming:
    named = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return incoming(method, raw_path, [("Host", host), *named])


@pytest.mark.parametrize(
    "path",
    ["/", "/a", "/a/b?c=d&e=%20#f", "/a//b", "/.well-known/x", "/a?next=//evil.test", "/%2Fevil.test", "/@evil.test",
     "/.porticos", "/.portico", "/a/.portico/logout", "/.PORTICO/x", "/?/.portico/logout", "/#/.portico/x",
     "/a?b=/../c", "/caf%C3%A9", "/a%3Fb", "/..a/b...", "/%252eportico/logout",
     "/:80", "/;x", "/a" + "b" * (MAX_RETURN_CHARS - 2)],
)  # fmt: skip
def test_a_path_of_the_same_host_may_be_returned_to(path: str) -> None:
    assert safe_return_path(path) == path


@pytest.mark.parametrize(
    "text",
    ["", "a", "evil.test", "//evil.test", "///evil.test", "https://evil.test", "HTTPS:evil.test", "javascript:alert(1)",
     "/\\evil.test", "\\\\evil.test", "/a\\b", "/\t/evil.test", "/\n/evil.test", "/\r\nSet-Cookie: a=b", "/a b", " /a",
     "/\0", "/\x7f", "/é", "/\u2028", "\u2044\u2044evil.test", "/.portico/logout", "/.portico/login?return_to=/",
     "/a" + "b" * (MAX_RETURN_CHARS - 1),
     # the edge's own pages, by other spellings that browsers or the edge read as theirs
     "/%2eportico/logout", "/%2Eportico/login", "/.p%6Frtico/logout", "/x/../.portico/logout", "/./.portico/login",
     "/x/%2e%2E/.portico/logout", "/x/..//.portico/logout", "/x/.././/.portico/logout?a=b#c",
     "/%2e/.portico/logout", "/../.portico/logout", "/%2eportico//../logout", "/%2eportico/#x", "/.portico//logout",
     # a browser and the edge might go another way by these
     "/..", "/a/../b", "/a/%2E", "/a//../b?c"],
)  # fmt: skip
def test_anything_else_is_not(text: str) -> None:
    assert safe_return_path(text) == "/"


@pytest.mark.parametrize(
    ("raw_path", "path"),
    [
        ("/a/b?c=d", "/a/b?c=d"),
        ("/a?", "/a"),
        ("http://shop.test/a?b=c", "/a?b=c"),
        ("//evil.test/a", "/"),
        ("/a/\\b", "/"),
    ],
)
def test_a_person_comes_back_to_where_they_were_going(raw_path: str, path: str) -> None:
    assert path_of(asked(raw_path=raw_path)) == path


@pytest.mark.parametrize(
    ("request_", "is_one"),
    [
        (asked(Sec_Fetch_Mode="navigate"), True),
        (asked("HEAD", Sec_Fetch_Mode="navigate"), True),
        (asked(Accept="text/html,application/xhtml+xml;q=0.9"), True),
        (asked(Accept="application/json"), False),
        (asked(), False),
        (asked(Accept="*/*"), False),
        (asked(Accept="text/html", Sec_Fetch_Mode="cors"), False),
        (asked(Accept="text/html", Sec_Fetch_Mode="no-cors"), False),
        (asked("POST", Accept="text/html", Sec_Fetch_Mode="navigate"), False),
        (asked(Accept="text/html", Upgrade="websocket", Connection="Upgrade"), False),
    ],
)
def test_only_a_person_on_the_way_to_a_page_is_sent_elsewhere(request_: FakeIncoming, is_one: bool) -> None:
    assert is_navigation(request_) is is_one


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({}, None),
        ({"Sec_Fetch_Site": "same-origin"}, True),
        ({"Sec_Fetch_Site": "none"}, True),
        ({"Sec_Fetch_Site": "same-site"}, False),
        ({"Sec_Fetch_Site": "cross-site"}, False),
        ({"Sec_Fetch_Site": ""}, False),
        ({"Origin": "https://shop.test"}, True),
        ({"Origin": "http://shop.test"}, False),
        ({"Origin": "https://shop.test:444"}, False),
        ({"Origin": "https://evil.test"}, False),
        ({"Origin": "https://shop.test.evil.test"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        # A page that hides where it is: its browser says for it.
        ({"Origin": "null", "Sec_Fetch_Site": "same-origin"}, True),
        ({"Origin": "https://shop.test", "Sec_Fetch_Site": "cross-site"}, False),
    ],
)
def test_who_asks_is_told_by_the_browser_not_by_the_page(fields: dict[str, str], answer: bool | None) -> None:
    assert comes_from(asked("POST", **fields), SHOP) is answer


@pytest.mark.parametrize(
    ("site", "origin", "is_own"),
    [
        (SHOP, "https://shop.test", True),
        (SHOP, "http://shop.test", False),
        (SHOP, "https://other.test", False),
        (SHOP, "null", False),
        (SHOP, None, False),
        (Site("http", "shop.localhost:8080"), "http://shop.localhost:8080", True),
        (Site("http", "shop.localhost:8080"), "http://shop.localhost:9090", False),
        (Site("http", "shop.test"), "https://shop.test", True),
    ],
)
def test_an_upgrade_says_which_page_it_is_for(site: Site, origin: str | None, is_own: bool) -> None:
    assert has_origin(asked(**({} if origin is None else {"Origin": origin})), site) is is_own


@pytest.mark.parametrize(
    ("host", "scheme", "url"),
    [
        ("Shop.Test", "https", "https://shop.test"),
        ("shop.test:443", "https", "https://shop.test"),
        ("shop.test:80", "http", "http://shop.test"),
        ("shop.test:80", "https", "https://shop.test:80"),
        ("[::1]:8080", "http", "http://[::1]:8080"),
    ],
)
def test_a_site_is_spelt_as_browsers_spell_it(host: str, scheme: str, url: str) -> None:
    assert site_of(asked(host=host), scheme).url == url


@pytest.mark.parametrize(
    ("site", "keeps"),
    [
        (Site("https", "shop.test"), True),
        (Site("http", "shop.test"), False),
        (Site("http", "localhost:8080"), True),
        (Site("http", "shop.localhost:8080"), True),
        (Site("http", "127.0.0.1:8080"), True),
        (Site("http", "[::1]:8080"), True),
        (Site("http", "localhost.evil.test"), False),
        (Site("http", "10.0.0.1"), False),
    ],
)
def test_a_secure_cookie_is_kept_from_https_or_from_this_machine(site: Site, keeps: bool) -> None:
    assert site.keeps_cookies is keeps
