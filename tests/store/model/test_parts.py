"""store/model/parts.py: frozen parts, their fields by the documents' names, and what may be written short."""

from __future__ import annotations

import copy

import pytest
from pydantic import ValidationError

from store.model import HeaderOps, Match, Retry, Route, TenantDocument, Upstream, parse_document
from store.model.parts import Part, spelling_of
from tests.store.model.documents import FULL


def every_part(value: object) -> list[Part]:
    if isinstance(value, tuple | frozenset):
        return [part for each in value for part in every_part(each)]
    if isinstance(value, dict):
        return [part for each in value.values() for part in every_part(each)]
    if not isinstance(value, Part):
        return []
    return [value, *(part for name in type(value).model_fields for part in every_part(getattr(value, name)))]


def test_every_part_is_frozen_and_knows_no_other_field() -> None:
    parts = every_part(parse_document(FULL))
    assert len({type(part) for part in parts}) >= 13
    for part in parts:
        field = next(iter(type(part).model_fields))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, field, None)
        with pytest.raises(ValidationError, match="extra_forbidden"):
            type(part).model_validate({"xyzzy": 1})


def test_fields_are_known_by_the_names_that_documents_use() -> None:
    assert "max_body" in spelling_of(Route)
    assert "connect_timeout" in spelling_of(Upstream)
    assert not any(name.endswith(("_s", "_bytes", "_field")) for name in (*spelling_of(Route), *spelling_of(Upstream)))
    assert spelling_of(TenantDocument) == (
        "tenant", "name", "enabled", "plan", "domains", "upstreams", "auth", "limits", "routes",
    )  # fmt: skip


def test_a_default_is_shared_and_not_copied() -> None:
    first, second = (Route.model_validate({"name": "a", "path": "/"}) for _ in range(2))
    assert first.match is second.match
    assert copy.deepcopy(first) is first


def test_parts_that_say_the_same_are_equal() -> None:
    assert Match(headers={"X-A": "1"}) == Match(headers={"X-A": "1"})
    assert HeaderOps() != HeaderOps(remove=("Cookie",))
    assert Retry(on=frozenset({"connect", "reset"})) == Retry()
