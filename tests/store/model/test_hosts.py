"""store/model/hosts.py: the one spelling of a host, and which masks cover it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.model.hosts import is_address, is_mask, mask_matches, normalise_host, parent_masks, parse_domain


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("shop.acme.com", "shop.acme.com"),
        ("Shop.ACME.com", "shop.acme.com"),
        ("shop.acme.com.", "shop.acme.com"),
        ("shop.acme.com:8080", "shop.acme.com"),
        ("shop.acme.com.:8080", "shop.acme.com"),
        ("shop.acme.com:", "shop.acme.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("faß.de", "xn--fa-hia.de"),
        ("a。b.com", "a.b.com"),  # the full stop of Chinese and Japanese
        ("*.acme.app", "*.acme.app"),
        ("*.Bücher.example", "*.xn--bcher-kva.example"),
        ("_dmarc.acme.com", "_dmarc.acme.com"),
        ("localhost", "localhost"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:8443", "[::1]"),
        ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
        ("a" * 63 + ".com", "a" * 63 + ".com"),
        (".".join(["a" * 49] * 5), ".".join(["a" * 49] * 5)),
    ],
)
def test_a_host_has_one_spelling(text: str, host: str) -> None:
    assert normalise_host(text) == host
    assert normalise_host(host) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "..",
        ".acme.com",
        "acme..com",
        "shop.acme.com..",
        "-a.com",
        "a-.com",
        "a" * 64 + ".com",
        "a." * 127 + "com",
        "a b.com",
        "a\tb.com",
        "a.com\r\nx",
        "user@a.com",
        "http://a.com",
        "a.com/x",
        "a.com:port",
        "a.com:1:2",
        "a.com:999999",
        "a.*.com",
        "*a.com",
        "*",
        "*.",
        "*.*.com",
        "☃.net",
        "\ud800.com",
        "é" * 300,
        "[::1",
        "[::1]x",
        "[fe80::1%eth0]",
        "[127.0.0.1]",
        "::1",
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a hostname|IPv6|is empty"):
        normalise_host(text)


@given(st.text(max_size=40))
def test_whatever_the_text_there_is_one_spelling_or_a_value_error(text: str) -> None:
    try:
        host = normalise_host(text)
    except ValueError:
        return
    assert normalise_host(host) == host
    assert host.isascii()
    assert host == host.lower()


def test_a_strangers_long_host_is_refused_quickly() -> None:
    started = time.process_time()
    for text in ("é" * 100_000, "a" * 100_000, "." * 100_000, "*." * 50_000, "xn--" * 25_000):
        with pytest.raises(ValueError, match="not a hostname"):
            normalise_host(text)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("shop.acme.com", "shop.acme.com"),
        ("*.acme.app", "*.acme.app"),
        ("Bücher.Example.", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("*.localhost", "*.localhost"),
        ("1.acme.com", "1.acme.com"),
    ],
)
def test_a_tenant_may_bring_a_host_or_a_mask(text: str, domain: str) -> None:
    assert parse_domain(text) == domain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://shop.acme.com", "a domain is a hostname alone, without a scheme and a path"),
        ("shop.acme.com/", "a domain is a hostname alone, without a scheme and a path"),
        ("shop.acme.com:8080", "a domain has no port"),
        ("[::1]", "a domain has no port"),
        ("10.0.0.1", "an IP address is not a domain"),
        ("*.0.0.1", "an IP address is not a domain"),
        ("acme.0x7f", "an IP address is not a domain"),
        ("2130706433", "an IP address is not a domain"),
        ("acme", "a name without a dot is no domain that a tenant can own"),
        ("*.com", "a name without a dot is no domain that a tenant can own"),
        ("*", r"a '\*' stands only at the front, as in \*\.acme\.app"),
        ("a.*.com", r"a '\*' stands only at the front, as in \*\.acme\.app"),
        ("*a.com", r"a '\*' stands only at the front, as in \*\.acme\.app"),
        ("", "is empty; expected a hostname"),
        ("a b.com", "not a hostname"),
        ("%31.example.com", "a hostname has no '%': write the characters themselves"),
        ("*.caf%C3%A9.example", "a hostname has no '%': write the characters themselves"),
    ],
)
def test_what_no_tenant_can_own_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        parse_domain(text)


@pytest.mark.parametrize(
    ("mask", "host", "expected"),
    [
        ("*.acme.app", "a.acme.app", True),
        ("*.acme.app", "a.b.acme.app", True),
        ("*.acme.app", "acme.app", False),
        ("*.acme.app", ".acme.app", False),
        ("*.acme.app", "xacme.app", False),
        ("*.acme.app", "a.acme.app.evil", False),
    ],
)
def test_a_mask_covers_what_is_below_it_and_never_itself(mask: str, host: str, expected: bool) -> None:
    assert mask_matches(mask, host) is expected


def test_the_masks_of_a_host_come_longest_first() -> None:
    assert list(parent_masks("a.b.c")) == ["*.b.c", "*.c"]
    assert list(parent_masks("localhost")) == []


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5).map(".".join))
def test_the_masks_of_a_host_are_those_that_match_it(host: str) -> None:
    masks = list(parent_masks(host))
    assert all(mask_matches(mask, host) and is_mask(mask) for mask in masks)
    assert masks == sorted(masks, key=len, reverse=True)


def test_an_address_is_told_from_a_name() -> None:
    assert is_address("10.0.0.1")
    assert is_address("[::1]")
    assert not is_address("acme.com")
    assert not is_mask("acme.com")
