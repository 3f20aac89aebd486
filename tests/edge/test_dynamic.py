"""`DynamicMiddleware` beyond what its document shows."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession, web

from edge import DynamicMiddleware
from edge.dynamic import Handler, Middleware
from tests.fakes.web_apps import answering, serving


def marking(mark: str) -> Middleware:
    """Make a middleware that adds a mark to the answer, the innermost first."""

    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        answer.headers["X-Marks"] = answer.headers.get("X-Marks", "") + mark
        return answer

    return middleware


async def marks(dynmw: DynamicMiddleware, *hosts: str) -> list[str]:
    """Ask an application with these middlewares as each of the hosts; the marks on its answers."""
    app = web.Application(middlewares=[dynmw])
    app.router.add_get("/", answering("x"))
    found = []
    async with serving(app) as url, ClientSession() as client:
        for host in hosts:
            async with client.get(url, headers={"Host": host}) as answer:
                found.append(answer.headers.get("X-Marks", ""))
    return found


async def test_the_first_added_is_outermost() -> None:
    dynmw = DynamicMiddleware([marking("1"), marking("2")], [("", "named", marking("3"))])
    assert await marks(dynmw, "a.test") == ["321"]


@pytest.mark.parametrize(
    ("domain", "runs"),
    [
        ("", "bar foo.bar foobar FOO.bar. foo.bar:80 [::1]:80"),
        ("*", "bar foo.bar foobar FOO.bar. foo.bar:80 [::1]:80"),
        ("bar", "bar foo.bar FOO.bar. foo.bar:80"),
        ("Foo.Bar", "foo.bar FOO.bar. foo.bar:80"),
        (".bar", "foo.bar FOO.bar. foo.bar:80"),
        ("*.bar", "foo.bar FOO.bar. foo.bar:80"),
        ("baz", ""),
    ],
)
async def test_a_middleware_runs_for_the_hosts_with_its_suffix_by_whole_labels(domain: str, runs: str) -> None:
    dynmw = DynamicMiddleware()
    dynmw.add_handler(marking("x"), domain)
    hosts = ["bar", "foo.bar", "foobar", "FOO.bar.", "foo.bar:80", "[::1]:80"]
    assert await marks(dynmw, *hosts) == ["x" if host in runs.split() else "" for host in hosts]
    assert [dynmw.contains_matching_domain_handler(host) for host in hosts] == [host in runs.split() for host in hosts]


def test_middlewares_are_asked_for_by_index_name_and_domain() -> None:
    dynmw = DynamicMiddleware()
    one, two, three = marking("1"), marking("2"), marking("3")
    dynmw.add_handler(one)
    dynmw.add_named_handler(two, "two", domain="foo.bar")
    dynmw.add_handler(three, domain="bar")
    assert (dynmw.get_handler(0), dynmw.get_handler(-1)) == (one, three)
    assert (dynmw.get_named_handler("two"), dynmw.get_named_handler("one")) == (two, None)
    assert dynmw.get_domain_handlers("bar") == [three]
    assert dynmw.get_matching_domain_handlers("x.foo.bar") == [one, two, three]
    assert dynmw.contains_named_handler("two")
    assert dynmw.contains_domain_handler("foo.bar")
    assert not dynmw.contains_domain_handler("baz")
    assert [(entry.domain, entry.name) for entry in dynmw] == [("", None), ("foo.bar", "two"), ("bar", None)]
    with pytest.raises(IndexError):
        dynmw.get_handler(3)


def test_middlewares_are_deleted_by_index_name_and_domain() -> None:
    dynmw = DynamicMiddleware([marking("0")])
    one = marking("1")
    dynmw.add_named_handler(one, "one")
    dynmw.add_handler(marking("2"), "foo.bar")
    dynmw.add_handler(marking("3"), "bar")
    with pytest.raises(IndexError):
        dynmw.del_handler(4)
    assert dynmw.del_named_handler(marking("other"), "one") is False
    assert dynmw.del_named_handler("one") is True
    dynmw.del_domain_handlers("bar")
    assert len(dynmw) == 2
    dynmw.del_matching_domain_handlers("foo.bar")
    assert len(dynmw) == 0


def test_a_name_keeps_its_place_when_it_is_overwritten() -> None:
    dynmw = DynamicMiddleware()
    one, two, other = marking("1"), marking("2"), marking("x")
    dynmw.add_named_handler(one, "one")
    dynmw.add_named_handler(two, "two")
    dynmw.add_named_handler(other, "one", domain="bar")
    assert [(entry.domain, entry.name, entry.handler) for entry in dynmw] == [("bar", "one", other), ("", "two", two)]


def test_iterating_is_not_disturbed_by_changes() -> None:
    dynmw = DynamicMiddleware([marking("1"), marking("2")])
    seen = 0
    for _ in dynmw:
        dynmw.del_handlers()
        seen += 1
    assert seen == 2


def test_what_cannot_be_called_is_no_middleware() -> None:
    with pytest.raises(TypeError, match="request and a handler"):
        DynamicMiddleware().add_handler("not callable")  # type: ignore[arg-type]
