"""Fields that nobody has looked at: the same on the wire as if somebody had."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from edge.fields import RouteFields, UnreadFields
from edge.framing import serialize_fields
from edge.headers import TRUST_NOBODY, Received
from edge.repeated import MAX_BLOCKS, RepeatedFields

CLIENT = CIMultiDict(
    [("Host", "shop.test"), ("X-API-Key", "secret"), ("x-api-key", "again"), ("Accept", "*/*"), ("TE", "trailers")]
)
OWN = (
    b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.test\r\n"
    b"Forwarded: for=192.0.2.1;host=shop.test;proto=http\r\n"
)
REQUEST = b"X-Request-ID: r1\r\ntraceparent: 00-t1\r\nX-Portico-Tenant: acme\r\nX-Portico-Route: api\r\n"


def repeated(headers: CIMultiDict[str] = CLIENT) -> RepeatedFields:
    return RepeatedFields(Received(headers, "192.0.2.1", "http", "shop.test"), TRUST_NOBODY)


def unread(kept: RepeatedFields | None = None, headers: CIMultiDict[str] = CLIENT) -> UnreadFields:
    return UnreadFields(kept or repeated(headers), headers, ("r1", "00-t1"), RouteFields("acme", "api"))


def test_a_target_is_sent_the_clients_fields_where_they_came_from_and_what_the_request_is_known_by() -> None:
    client = b"Host: shop.test\r\nX-API-Key: secret\r\nx-api-key: again\r\nAccept: */*\r\n"
    assert unread().serialized() == client + OWN + REQUEST


def test_what_is_removed_is_gone_however_it_was_spelt_and_however_often_it_came() -> None:
    fields = unread()
    fields.remove("x-Api-Key")
    assert fields.serialized() == b"Host: shop.test\r\nAccept: */*\r\n" + OWN + REQUEST


@pytest.mark.parametrize("removed", [(), ("X-API-Key",), ("X-API-Key", "Accept"), ("X-Nothing",)])
@pytest.mark.parametrize("added", [(), (("X-Portico-Subject", "k1"),)])
def test_looking_at_them_changes_nothing(removed: tuple[str, ...], added: tuple[tuple[str, str], ...]) -> None:
    fields = unread()
    for name in removed:
        fields.remove(name)
    for name, value in added:
        fields.add(name, value)
    assert serialize_fields(fields.opened()) == fields.serialized()


def test_one_requests_changes_are_not_the_nexts() -> None:
    kept = repeated()
    first, second = unread(kept), unread(kept)
    first.remove("X-API-Key")
    first.add("X-Portico-Subject", "k1")
    assert b"X-Portico-Subject" in first.serialized()
    assert b"X-API-Key: secret" in second.serialized()
    assert b"X-Portico-Subject" not in second.serialized()


def test_octets_beyond_ascii_leave_as_they_came() -> None:
    headers = CIMultiDict({"X-Name": b"caf\xe9".decode("utf-8", "surrogateescape")})
    assert b"X-Name: caf\xe9\r\n" in unread(headers=headers).serialized()


def test_a_connection_remembers_a_few_sets_of_removed_fields_at_most() -> None:
    kept = repeated()
    for number in range(5 * MAX_BLOCKS):
        kept.block(CLIENT, (f"X-{number}",))
        assert len(kept._blocks) <= MAX_BLOCKS
