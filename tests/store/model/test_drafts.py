"""store/model/drafts.py: what can be read of a document that is wrong somewhere."""

from __future__ import annotations

from typing import Any

import pytest

from store.model import parse_document
from store.model.drafts import _STAND_INS, Draft
from tests.store.model.documents import FULL, document, holes, put, route, upstream


def test_a_good_document_is_all_there_and_nothing_is_wrong() -> None:
    draft = Draft.of(parse_document(FULL))
    assert draft == Draft.from_raw(FULL)
    assert [domain.host for domain in draft.domains.values()] == ["shop.acme.com"]
    assert all(sketch.has(*FULL["routes"][0]) for sketch in draft.routes.values())


def test_a_part_is_read_without_what_is_wrong_in_it() -> None:
    raw = document(routes=[route(methods="GET", priority=3, nonsense=1), None, route(name="b")])
    draft = Draft.from_raw(raw)
    assert list(draft.routes) == [0, 2]
    sketch = draft.routes[0]
    assert sketch.wrong == {"methods", "nonsense"}
    assert sketch.has("priority", "path")
    assert not sketch.has("priority", "methods")
    assert sketch.part.priority == 3


@pytest.mark.parametrize(
    ("section", "part", "kept"),
    [
        ("upstreams", {"health": {"path": "/"}}, "health"),
        ("auth", {"query": "key"}, "query"),
        ("limits", {"rate": "5/s"}, "rate"),
        ("limits", {"by": "key"}, "by"),
    ],
)
def test_what_is_missing_has_a_stand_in_that_is_marked(section: str, part: dict[str, Any], kept: str) -> None:
    draft = Draft.from_raw(document(**{section: {"x": part}}))
    sketch = getattr(draft, section)["x"]
    assert sketch.has(kept)
    assert sketch.wrong
    assert sketch.wrong <= {"targets", "type", "rate", "by"}


def test_every_part_is_good_with_its_stand_ins() -> None:
    for part, stand_ins in _STAND_INS.items():
        if stand_ins:
            part.model_validate(stand_ins)


@pytest.mark.parametrize("raw", [{}, {"routes": 5, "domains": "x", "upstreams": [], "auth": None, "limits": 1}])
def test_sections_that_cannot_be_read_are_empty(raw: dict[str, Any]) -> None:
    assert Draft.from_raw(raw) == Draft({}, {}, {}, {}, {}, has_all_routes=not raw)


def test_whatever_is_wrong_a_draft_can_be_made() -> None:
    values: list[Any] = [None, 5, "x", [], {}, {5: 6}, [[]]]
    for place in holes(FULL):
        for value in values:
            Draft.from_raw(put(FULL, place, value))
    Draft.from_raw(document(upstreams={5: upstream(), "shop": {5: 6, "targets": ["http://a.test"]}}))
