"""Differences between documents, as a person would say them."""

from __future__ import annotations

import pytest

from tenants.diff import Difference, find_differences


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"enabled": False}, {"enabled": True}, [Difference("enabled", "changed", False, True)]),
        ({}, {"name": "x"}, [Difference("name", "added", None, "x")]),
        ({"limits": {"a": {"rate": "1/s"}}}, {"limits": {}},
         [Difference("limits.a", "removed", {"rate": "1/s"}, None)]),
        ({"domains": ["a.test"]}, {"domains": [{"host": "a.test", "verified_by": "operator"}]},
         [Difference("domains[a.test]", "changed", "a.test", {"host": "a.test", "verified_by": "operator"})]),
        ({}, {"routes": [{"name": "a"}, {"name": "b"}]},
         [Difference(f"routes[{name}]", "added", None, {"name": name}) for name in "ab"]),
        ({"upstreams": {"u": {}}}, {}, [Difference("upstreams.u", "removed", {}, None)]),
        ({"methods": ["GET"]}, {"methods": ["GET", "PUT"]},
         [Difference("methods", "changed", ["GET"], ["GET", "PUT"])]),
    ],
)  # fmt: skip
def test_what_differs_is_named(before: object, after: object, expected: list[Difference]) -> None:
    assert list(find_differences(before, after)) == expected


def test_a_route_put_in_front_is_one_difference_and_not_one_for_every_route_after_it() -> None:
    old = [{"name": name, "path": f"/{name}"} for name in ("b", "c", "d")]
    new = [{"name": "a", "path": "/a"}, *old]
    assert [one.path for one in find_differences({"routes": old}, {"routes": new})] == ["routes[a]"]


def test_a_field_of_a_route_is_named_by_the_route() -> None:
    old = {"routes": [{"name": "api", "path": "/a", "headers": {"request": {"set": {"X": "1"}}}}]}
    new = {"routes": [{"name": "api", "path": "/a", "headers": {"request": {"set": {"X": "2"}}}}]}
    assert list(find_differences(old, new)) == [
        Difference("routes[api].headers.request.set.X", "changed", "1", "2"),
    ]


def test_another_order_alone_is_said() -> None:
    old = {"routes": [{"name": "a"}, {"name": "b"}]}
    new = {"routes": [{"name": "b"}, {"name": "a"}]}
    assert list(find_differences(old, new)) == [Difference("routes", "reordered", ["a", "b"], ["b", "a"])]
