"""store/model/targets.py: where a target is, taken apart once, and nothing that could mean another place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.model.targets import parse_target_url


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://10.0.0.5:9000", ("http", "10.0.0.5", 9000, "")),
        ("http://10.0.0.5", ("http", "10.0.0.5", 80, "")),
        ("https://api.acme.test", ("https", "api.acme.test", 443, "")),
        ("HTTPS://API.acme.test./", ("https", "api.acme.test", 443, "")),
        ("http://[2001:db8::1]:8080/base/", ("http", "2001:db8::1", 8080, "/base")),
        ("http://bücher.example/a/b", ("http", "xn--bcher-kva.example", 80, "/a/b")),
        ("http://localhost:1/%20a/.well-known", ("http", "localhost", 1, "/%20a/.well-known")),
    ],
)
def test_a_url_is_taken_apart(url: str, parts: tuple[str, str, int, str]) -> None:
    location = parse_target_url(url)
    assert location == (url, *parts)
    assert parse_target_url(location) is location


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (None, "expected a URL such as http://10.0.0.5:9000"),
        (5, "expected a URL such as"),
        ("", "expected a URL that begins with http:// or https://"),
        ("10.0.0.5:9000", "expected a URL that begins with"),
        ("ftp://a.test", "expected a URL that begins with"),
        ("unix:///run/x.sock", "expected a URL that begins with"),
        ("http://", "expected a URL that begins with"),
        ("http:///a", "expected a URL that begins with"),
        ("http://user:hunter2@a.test", "holds no user or password"),
        ("http://user@a.test", "holds no user or password"),
        ("http://a.test?x=1", "no query and no fragment"),
        ("http://a.test/?", "no query and no fragment"),
        ("http://a.test#x", "no query and no fragment"),
        ("http://a.test:0", "port 0 is no port"),
        ("http://a.test:65536", "not a URL, or its port is none"),
        ("http://a.test:x", "not a URL, or its port is none"),
        ("http://[::1", "not a URL, or its port is none"),
        ("http://a .test", "no space and no control character"),
        ("http://a.test\n", "no space and no control character"),
        ("http://a\t.test", "no space and no control character"),
        ("http://*.a.test", "one host, not a mask"),
        ("http://[fe80::1%25eth0]", "a zone belongs to one machine"),
        ("http://%31.example.com", "a hostname has no '%': write the characters themselves"),
        ("http://2130706433", "an IPv4 address is four decimal numbers"),
        ("http://0x7f.1", "an IPv4 address is four decimal numbers"),
        ("http://127.1", "an IPv4 address is four decimal numbers"),
        ("http://010.0.0.1", "an IPv4 address is four decimal numbers"),
        ("http://a..test", "not a hostname"),
        ("http://-a.test", "not a hostname"),
        ("http://a.test/a//b", "not allowed in a path, or an empty segment"),
        ("http://a.test/é", "not allowed in a path, or an empty segment"),
        ("http://a.test/\\b", "not allowed in a path, or an empty segment"),
        ("http://a.test/a/../b", "no dot segments"),
        ("http://a.test/.", "no dot segments"),
        ("http://a.test/" + "a" * 2048, "at most 2048 characters"),
    ],
)
def test_what_is_no_target_is_refused_and_not_repeated(url: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        parse_target_url(url)
    assert "hunter2" not in str(refusal.value)


@given(st.text(max_size=30).map("http://{}".format) | st.text(max_size=30))
def test_whatever_the_text_it_is_a_location_or_a_value_error(text: str) -> None:
    try:
        location = parse_target_url(text)
    except ValueError:
        return
    assert location.scheme in ("http", "https")
    assert 0 < location.port < 65_536
    assert location.host.isascii()
    assert location.base_path == "" or location.base_path.startswith("/")
