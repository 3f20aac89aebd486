from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.compare.machine import Cores
from loadtest.compare.population import callers_of, checked_document, members, plain_document, put_all
from loadtest.compare.stage import Stage
from store.catalog import Catalog
from store.client import connect
from store.model import parse_document

STAGE = Stage(Path(), Cores(1, 0), 9000, 9001, 1024)


@pytest.mark.parametrize(("count", "calling"), [(1, 1), (99, 99), (100, 100), (250, 100), (1000, 100)])
def test_a_hundred_at_most_call_and_they_are_spread_over_all(count: int, calling: int) -> None:
    everybody = members(count)
    callers = callers_of(everybody)
    places = [[each.host for each in everybody].index(caller.host) for caller in callers]
    assert len(set(places)) == calling
    assert max(places) >= count // 2


def test_the_documents_are_documents() -> None:
    [member] = members(1)
    for document in (plain_document(STAGE), checked_document(member, STAGE)):
        assert parse_document(document).tenant == document["tenant"]


async def test_all_are_committed_with_their_keys(redis_url: str) -> None:
    everybody = members(70)
    async with connect(redis_url, "control") as client:
        catalog = Catalog(client)
        await put_all(catalog, everybody, STAGE)
        assert (await catalog.head()).revision == 70
        for member in everybody[::23]:
            key = await catalog.get_key(member.tenant, member.key.id)
            assert key is not None
            assert key.hash == member.key.hash
            assert await catalog.host_owner(member.host) == member.tenant
