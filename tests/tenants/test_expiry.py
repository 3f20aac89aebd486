"""Until when a key is good, and what it may be called."""

from __future__ import annotations

import pytest

from store.model import DocumentError, parse_document
from tenants.errors import Refused
from tenants.expiry import Expiry, check_name, check_scopes
from tenants.times import from_rfc3339, to_rfc3339

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("expiry", "at_ms"),
    [
        (Expiry(), None),
        (Expiry(span="90d"), NOW_MS + 90 * DAY_MS),
        (Expiry(span="500ms"), NOW_MS + 500),
        (Expiry(moment=to_rfc3339(NOW_MS + 1)), NOW_MS + 1),
        (Expiry(moment="2027-01-16T09:00:00+01:00"), 1_800_086_400_000),
    ],
)
def test_when_it_ends(expiry: Expiry, at_ms: int | None) -> None:
    assert expiry.at_ms(NOW_MS) == at_ms


@pytest.mark.parametrize(
    ("expiry", "path"),
    [
        (Expiry("1d", "2030-01-01T00:00:00Z"), "expires_at"),
        (Expiry(span="soon"), "expires_in"),
        (Expiry(span="0s"), "expires_in"),
        (Expiry(span="-1d"), "expires_in"),
        (Expiry(span="9999d"), "expires_in"),
        (Expiry(moment="tomorrow"), "expires_at"),
        (Expiry(moment="2030-01-01T00:00:00"), "expires_at"),
        (Expiry(moment=to_rfc3339(NOW_MS)), "expires_at"),
        (Expiry(moment="2190-01-01T00:00:00Z"), "expires_at"),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_field(expiry: Expiry, path: str) -> None:
    with pytest.raises(Refused) as refused:
        expiry.at_ms(NOW_MS)
    assert [fault.path for fault in refused.value.faults] == [path]


@pytest.mark.parametrize("name", ["", "   ", "a" * 101, "a\nb", "\x1b[31mred", "a\u202eb"])
def test_a_name_that_a_list_cannot_show_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        check_name(name)


def test_a_name_loses_the_blanks_around_it() -> None:
    assert check_name("  Müllers Schlüssel ") == "Müllers Schlüssel"


def test_scopes_are_kept_once_and_in_order() -> None:
    assert check_scopes(("orders:write", "orders:read", "orders:write")) == ("orders:read", "orders:write")


def test_every_scope_that_cannot_be_used_is_named() -> None:
    with pytest.raises(Refused) as refused:
        check_scopes(("fine", "", "two words", "x" * 129))
    assert [fault.path for fault in refused.value.faults] == ["scopes[1]", "scopes[2]", "scopes[3]"]
    assert {fault.message for fault in refused.value.faults} == {
        "a scope is 1 to 128 characters of ASCII, with no space, quote or backslash"
    }


@pytest.mark.parametrize(
    ("scope", "is_one"),
    [
        ("orders:read", True),
        ("https://acme.com/orders.read", True),
        ("!orders+read@{acme}", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("two words", False),
        ('"quoted"', False),
        ("back\\slash", False),
        ("größe", False),
        ("line\n", False),
    ],
)
def test_a_key_can_have_every_scope_that_a_route_can_ask_for_and_no_other(scope: str, is_one: bool) -> None:
    raw = {
        "tenant": "acme",
        "upstreams": {"web": {"targets": ["http://10.0.0.1"]}},
        "auth": {"keys": {"type": "api_key"}},
        "routes": [{"name": "all", "path": "/*", "upstream": "web", "auth": ["keys"], "scopes": [scope]}],
    }
    if is_one:
        assert parse_document(raw).routes[0].scopes == check_scopes((scope,)) == (scope,)
        return
    with pytest.raises(Refused) as refused:
        check_scopes((scope,))
    with pytest.raises(DocumentError) as unread:
        parse_document(raw)
    (of_route,), (of_key,) = unread.value.faults, refused.value.faults
    assert (of_route.path, of_key.path) == ("routes[0].scopes[0]", "scopes[0]")
    assert of_route.message == of_key.message


@pytest.mark.parametrize("at_ms", [0, 1, 1_700_000_000_123, 4_102_444_800_000])
def test_a_moment_is_read_as_it_is_written(at_ms: int) -> None:
    assert from_rfc3339(to_rfc3339(at_ms)) == at_ms
