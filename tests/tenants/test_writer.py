"""Read, decide, commit, and again when somebody else was faster: against a real Redis, by two writers."""

from __future__ import annotations

import asyncio

import pytest

from store.catalog import Catalog, Change, Commit
from store.client import connect
from store.codec import TenantRecord
from store.model import parse_document
from tenants.actors import Actor
from tenants.errors import CONTENDED, PRECONDITION_FAILED, Refused
from tenants.writer import MAX_ATTEMPTS, Current, Draft, Edit, Expectation, Write, WriteOptions, Writer, decide

OPERATOR = Actor("operator", "bootstrap")
NOW_MS = 1_800_000_000_000


def draft(**fields: object) -> Draft:
    """A document to be."""
    return Draft(parse_document({"tenant": "acme", **fields}))


def write(expectation: Expectation = Expectation()) -> Write:  # noqa: B008 - a frozen value
    """A write of acme by an operator."""
    return Write(OPERATOR, "acme", "test", WriteOptions(expectation))


def naming(name: str) -> Edit:
    """An edit that gives the tenant this name, whatever it was."""
    return lambda _: draft(name=name)


def adding(limit: str) -> Edit:
    """An edit that adds a limit to what is there."""

    def edit(current: Current) -> Draft:
        limits = current.require_record().document.get("limits", {})
        return draft(limits={**limits, limit: {"rate": "1/s", "by": "ip"}})

    return edit


async def test_two_writers_that_never_heard_of_each_other_lose_nothing(catalog: Catalog) -> None:
    writers = [Writer(catalog, lambda: NOW_MS), Writer(catalog, lambda: NOW_MS)]
    await writers[0].write(write(), naming("acme"))
    await asyncio.gather(*(writers[number % 2].write(write(), adding(f"l{number}")) for number in range(60)))
    record = (await writers[0].read("acme")).require_record()
    assert len(record.document["limits"]) == 60
    assert (await catalog.head()).revision == 61


async def test_a_writer_that_is_always_too_late_gives_up_and_says_so(catalog: Catalog, redis_url: str) -> None:
    fast = Writer(catalog, lambda: NOW_MS)
    await fast.write(write(), naming("first"))
    tries = 0

    class Outrun(Catalog):
        """The real catalog, on which somebody else commits just before every commit of ours."""

        async def commit(self, change: Change, expected_revision: int | None) -> Commit:
            nonlocal tries
            tries += 1
            await fast.write(write(), naming(f"faster {tries}"))
            return await super().commit(change, expected_revision)

    async with connect(redis_url, "control") as client:
        with pytest.raises(Refused) as refused:
            await Writer(Outrun(client), lambda: NOW_MS, lambda _: 0.0).write(write(), naming("slower"))
    assert refused.value.kind == CONTENDED
    assert tries == MAX_ATTEMPTS
    assert (await fast.read("acme")).require_record().document["name"] == f"faster {tries}"


async def test_an_expectation_is_checked_again_after_a_conflict(catalog: Catalog) -> None:
    writer = Writer(catalog, lambda: NOW_MS)
    revision = (await writer.write(write(), naming("first"))).revision
    expecting = write(Expectation(revisions=frozenset({revision})))
    results = await asyncio.gather(
        *(writer.write(expecting, naming(name)) for name in ("a", "b")), return_exceptions=True
    )
    [refused] = [result for result in results if isinstance(result, Refused)]
    assert refused.kind == PRECONDITION_FAILED


async def test_an_edit_that_refuses_writes_nothing(catalog: Catalog) -> None:
    def edit(_: Current) -> Draft:
        raise Refused(CONTENDED, "no")

    with pytest.raises(Refused, match="no"):
        await Writer(catalog, lambda: NOW_MS).write(write(), edit)
    assert (await catalog.head()).revision == 0


@pytest.mark.parametrize(
    ("current", "new", "is_changed", "new_hosts"),
    [
        (Current("acme", 0, None), draft(), True, set()),
        (Current("acme", 0, None), draft(domains=["a.test"]), True, {"a.test"}),
        (Current("acme", 5, TenantRecord({"tenant": "acme"})), draft(), False, set()),
        (Current("acme", 5, TenantRecord({"tenant": "acme"})), draft(name="x"), True, set()),
        (Current("acme", 5, TenantRecord({"tenant": "acme"}), "damaged"), draft(), True, set()),
        (Current("acme", 5, None, "damaged"), Draft(None), True, set()),
        (Current("acme", 0, None), Draft(None), False, set()),
    ],
)
def test_what_a_draft_would_change(current: Current, new: Draft, is_changed: bool, new_hosts: set[str]) -> None:
    plan = decide(write(), current, new, NOW_MS)
    assert plan.is_changed is is_changed
    assert plan.new_hosts == new_hosts
