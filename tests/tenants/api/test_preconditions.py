"""If-Match and If-None-Match."""

from __future__ import annotations

import pytest

from tenants.api.preconditions import entity_tag, is_not_modified, parse_if_match
from tenants.errors import Refused
from tenants.writer import Expectation


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "expected"),
    [
        (None, None, Expectation()),
        ('"42"', None, Expectation(revisions=frozenset({42}))),
        ("42", None, Expectation(revisions=frozenset({42}))),
        ('"1", "2"', None, Expectation(revisions=frozenset({1, 2}))),
        ('W/"42"', None, Expectation(revisions=frozenset())),
        ('"of-another-server"', None, Expectation(revisions=frozenset())),
        (" * ", None, Expectation(exists=True)),
        (None, "*", Expectation(exists=False)),
    ],
)
def test_what_a_write_expects(if_match: str | None, if_none_match: str | None, expected: Expectation) -> None:
    assert parse_if_match(if_match, if_none_match) == expected


@pytest.mark.parametrize(
    ("if_match", "if_none_match"),
    [("", None), ('"42', None), ("abc", None), ('"1",,"2"', None), ("-1", None), (None, '"42"'), ('"1"', "*")],
)
def test_what_cannot_be_read_is_refused(if_match: str | None, if_none_match: str | None) -> None:
    with pytest.raises(Refused):
        parse_if_match(if_match, if_none_match)


@pytest.mark.parametrize(
    ("expectation", "revision", "exists", "is_met"),
    [
        (Expectation(), 0, False, True),
        (Expectation(), 7, True, True),
        (Expectation(revisions=frozenset({7})), 7, True, True),
        (Expectation(revisions=frozenset({7})), 8, True, False),
        (Expectation(revisions=frozenset({0})), 0, False, False),
        (Expectation(revisions=frozenset()), 7, True, False),
        (Expectation(exists=True), 7, True, True),
        (Expectation(exists=True), 0, False, False),
        (Expectation(exists=False), 0, False, True),
        (Expectation(exists=False), 7, True, False),
    ],
)
def test_when_an_expectation_is_met(expectation: Expectation, revision: int, exists: bool, is_met: bool) -> None:
    assert expectation.is_met(revision, exists=exists) is is_met


@pytest.mark.parametrize(
    ("header", "is_known"),
    [(None, False), ('"7"', True), ('W/"7"', True), ('"6", "7"', True), ('"8"', False), ("*", True), ("junk", False)],
)
def test_a_reader_who_has_the_revision_is_told_so(header: str | None, is_known: bool) -> None:
    assert is_not_modified(header, 7) is is_known


def test_the_tag_of_a_revision_is_strong() -> None:
    assert entity_tag(7) == '"7"'
