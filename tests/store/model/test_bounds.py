"""store/model/bounds.py: how much a document may be."""

from __future__ import annotations

from typing import Any

import pytest

from store.model import DocumentError
from store.model.bounds import MAX_DOCUMENT_BYTES, MAX_GROWTH, refuse_beyond, size_of, within_counts
from store.model.hosts import parse_domain
from store.model.tenant import MAX_ENTRIES
from store.model.units import format_duration, format_size, parse_duration_s, parse_size_bytes
from tests.store.model.documents import document, faults_in, route, upstream


@pytest.mark.parametrize(
    ("raw", "size_bytes"), [({}, 2), ({"a": "é"}, 10), ({"a": [1, None, True]}, 19), ({"a": "\ud800"}, 11)]
)
def test_the_size_is_that_of_compact_json(raw: dict[str, Any], size_bytes: int) -> None:
    assert size_of(raw) == size_bytes


def test_the_bound_itself_is_accepted() -> None:
    refuse_beyond(MAX_DOCUMENT_BYTES)
    with pytest.raises(DocumentError, match="longer than 256 KiB"):
        refuse_beyond(MAX_DOCUMENT_BYTES + 1)


@pytest.mark.parametrize("section", list(MAX_ENTRIES))
def test_of_a_section_with_too_many_entries_the_first_are_looked_at(section: str) -> None:
    most = MAX_ENTRIES[section]
    is_named = section in ("upstreams", "auth", "limits")
    entries: Any = {f"n{at}": None for at in range(most + 3)} if is_named else [None] * (most + 3)
    kept, found = within_counts({section: entries})
    assert len(kept[section]) == most
    assert [(item.loc, item.message) for item in found] == [
        ((section,), f"has {most + 3} entries; at most {most} are accepted")
    ]
    assert within_counts(kept) == (kept, [])


def test_too_many_entries_and_what_is_wrong_in_the_first_are_said_together() -> None:
    routes = [route(name=f"r{at}", path=f"/{at}") for at in range(1001)]
    routes[3]["upstream"] = "nowhere"
    assert faults_in(document(routes=routes)) == [
        "routes: has 1001 entries; at most 1000 are accepted",
        "routes[3].upstream: no upstream named 'nowhere'",
    ]


def test_a_name_without_end_is_refused_and_what_is_under_it_not_read() -> None:
    name = "x" * 1000
    (line,) = faults_in(document(upstreams={"shop": upstream(), name: {"targets": [0] * 1000}}))
    assert line.startswith(f"upstreams['{'x' * 60}'...]: is no name: expected letters")


@pytest.mark.parametrize(
    ("written", "dumped"),
    [
        ("é.é", parse_domain("é.é")),
        ("1.1d", format_duration(parse_duration_s("1.1d"))),
        ("9.111111d", format_duration(parse_duration_s("9.111111d"))),
        ("9GB", format_size(parse_size_bytes("9GB"))),
    ],
)
def test_nothing_grows_more_by_being_written_out_than_is_reckoned_with(written: str, dumped: str) -> None:
    assert size_of({"": [dumped] * 100}) <= MAX_GROWTH * size_of({"": [written] * 100})
