"""Sets of fields that come again: looked up where nothing about them differs, and forgotten in time."""

from __future__ import annotations

from ipaddress import ip_network

from multidict import CIMultiDict

from edge.headers import Received, TrustedProxies
from edge.repeated import MAX_KNOWN, KnownFields, RepeatedFields

TRUSTED = TrustedProxies([str(ip_network("10.0.0.0/8"))])


def look_up(known: KnownFields, peer: str = "192.0.2.1", scheme: str = "http", **fields: str) -> RepeatedFields:
    headers = CIMultiDict({"Host": "a", **{name.replace("_", "-"): value for name, value in fields.items()}})
    raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return known.of(raw, Received(headers, peer, scheme, "a"))


def test_the_same_fields_from_the_same_address_come_to_the_same() -> None:
    known = KnownFields(TRUSTED)
    assert look_up(known, Accept="x") is look_up(known, Accept="x")


def test_another_value_address_or_scheme_is_another_set() -> None:
    known = KnownFields(TRUSTED)
    first = look_up(known, Accept="x")
    others = [
        look_up(known, Accept="y"),
        look_up(known, "192.0.2.2", Accept="x"),
        look_up(known, scheme="https", Accept="x"),
    ]
    assert first not in others
    assert [each.origin.client for each in others] == ["192.0.2.1", "192.0.2.2", "192.0.2.1"]
    assert others[2].origin.scheme == "https"


def test_two_clients_behind_one_proxy_are_told_apart() -> None:
    known = KnownFields(TRUSTED)
    clients = [look_up(known, "10.0.0.1", X_Forwarded_For=client).origin.client for client in ("1.1.1.1", "2.2.2.2")]
    assert clients == ["1.1.1.1", "2.2.2.2"]


def test_what_came_long_ago_is_forgotten() -> None:
    known = KnownFields(TRUSTED)
    first = look_up(known, Accept="first")
    for number in range(MAX_KNOWN):
        look_up(known, Accept=str(number))
    assert len(known._known) == MAX_KNOWN
    assert look_up(known, Accept="first") is not first
