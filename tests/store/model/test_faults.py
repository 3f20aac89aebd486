"""store/model/faults.py: faults in the order of the document, bounded, on one line each."""

from __future__ import annotations

import time
from typing import Any

import pytest

from store.errors import StoreError
from store.model.faults import MAX_FAULTS, DocumentError, Fault, Found, Loc, did_you_mean, faults_of, path_of, shown


@pytest.mark.parametrize(
    ("loc", "path"),
    [
        ((), ""),
        (("routes", 0, "upstream"), "routes[0].upstream"),
        (("limits", "per-key", "rate"), "limits.per-key.rate"),
        (("routes", 1, "headers", "request", "set", "X-Env"), "routes[1].headers.request.set.X-Env"),
        (("upstreams", "a b"), "upstreams['a b']"),
        (("upstreams", ""), "upstreams['']"),
        (("a\nb: all is well",), "['a\\nb: all is well']"),
        (("x" * 200,), "['" + "x" * 60 + "'...]"),
    ],
)
def test_a_place_is_spelt_as_the_reader_would(loc: Loc, path: str) -> None:
    assert path_of(loc) == path


def test_an_error_prints_one_fault_a_line() -> None:
    error = DocumentError([Fault("a.b", "is wrong"), Fault("", "is long")])
    assert str(error) == "a.b: is wrong\nis long"
    assert error.faults == (Fault("a.b", "is wrong"), Fault("", "is long"))
    assert isinstance(error, ValueError)
    assert isinstance(error, StoreError)
    assert not error.retry_safe


def test_faults_come_in_the_order_of_the_document_and_each_once() -> None:
    raw: dict[str, Any] = {"routes": [{"path": 1, "name": 2}, {}], "tenant": 5}
    found = [
        Found(("tenant",), "t"),
        Found(("routes", 1), "second"),
        Found(("routes", 0, "upstream"), "missing"),
        Found(("domains",), "absent"),
        Found(("routes", 0, "name"), "n"),
        Found(("routes", 0, "path"), "p"),
        Found(("routes", 0, "path"), "p"),
        Found((), "whole"),
    ]
    assert [str(fault) for fault in faults_of(found, raw)] == [
        "whole",
        "routes[0].path: p",
        "routes[0].name: n",
        "routes[0].upstream: missing",
        "routes[1]: second",
        "tenant: t",
        "domains: absent",
    ]


def test_the_tenth_comes_after_the_ninth() -> None:
    found = [Found(("routes", at), "x") for at in (10, 9, 100)]
    assert [fault.path for fault in faults_of(found, {"routes": [{}] * 101})] == [
        "routes[9]",
        "routes[10]",
        "routes[100]",
    ]


def test_of_very_many_faults_the_first_are_listed_and_the_rest_counted() -> None:
    found = [Found(("routes", at), "x") for at in range(MAX_FAULTS + 7)]
    faults = faults_of(found, {"routes": [None] * (MAX_FAULTS + 7)})
    assert len(faults) == MAX_FAULTS + 1
    assert faults[-1] == Fault("", "and 7 faults more")


def test_a_name_gets_the_suggestion_most_like_it() -> None:
    found = [Found(("routes", 0, "upstream"), "no upstream named 'shopp'", "shopp", ("web", "shop"))]
    assert faults_of(found, {})[0].message == "no upstream named 'shopp'; did you mean 'shop'?"
    assert did_you_mean("shopp", ["web"]) == ""
    assert did_you_mean("", ["a"]) == ""


def test_suggestions_for_a_strangers_names_take_no_time() -> None:
    known = [f"upstream-{'x' * 40}-{at}" for at in range(1000)]
    found = [Found(("routes", at), "no", f"upstreem-{'x' * 40}-{at}", known) for at in range(1000)]
    started = time.process_time()
    faults_of(found, {})
    did_you_mean("x" * 100_000, known)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(
    ("value", "text"),
    [("a\nb", "'a\\nb'"), (5, "5"), (None, "NoneType"), ({"secret": 1}, "dict"), ("y" * 99, "'" + "y" * 60 + "'...")],
)
def test_a_value_is_shown_on_one_short_line(value: object, text: str) -> None:
    assert shown(value) == text
