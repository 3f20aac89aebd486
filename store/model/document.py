"""From what was written to a document, or to everything that is wrong with it at once; and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from store.model.access import ApiKeyAuth, RateLimit
from store.model.checks import Draft, check
from store.model.faults import DocumentError, Fault, did_you_mean
from store.model.parts import Part, aliases_of
from store.model.routes import HeaderOps, HeaderRules, Match, Route, RouteRewrite, SplitShare
from store.model.tenant import Domain, TenantDocument
from store.model.unsupported import unsupported
from store.model.upstreams import HealthCheck, Retry, Target, Upstream

Loc = tuple[int | str, ...]

# Which part stands where; "*" is an index or a name. It tells what an unknown field could have been.
_PARTS: Mapping[Loc, type[Part]] = {
    (): TenantDocument,
    ("domains", "*"): Domain,
    ("upstreams", "*"): Upstream,
    ("upstreams", "*", "targets", "*"): Target,
    ("upstreams", "*", "health"): HealthCheck,
    ("upstreams", "*", "retry"): Retry,
    ("auth", "*"): ApiKeyAuth,
    ("limits", "*"): RateLimit,
    ("routes", "*"): Route,
    ("routes", "*", "match"): Match,
    ("routes", "*", "split", "*"): SplitShare,
    ("routes", "*", "rewrite"): RouteRewrite,
    ("routes", "*", "headers"): HeaderRules,
    ("routes", "*", "headers", "request"): HeaderOps,
    ("routes", "*", "headers", "response"): HeaderOps,
}
_NAMED = frozenset({"upstreams", "auth", "limits"})
_LISTED = frozenset({"domains", "targets", "routes", "split"})

_WORDS = {
    "missing": "is required",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "bool_type": "expected true or false",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "frozen_set_type": "expected a list",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "model_attributes_type": "expected a mapping",
}


def parse_document(raw: object) -> TenantDocument:
    """Check a document as a whole and give it parsed; DocumentError names every fault, each with its path."""
    if not isinstance(raw, Mapping):
        raise DocumentError([Fault("", "expected a mapping with the fields of a tenant")])
    refused = unsupported(raw)
    try:
        document = TenantDocument.model_validate(raw)
    except ValidationError as error:
        skip = [fault.path for fault in refused]
        errors = _meaningful(error.errors(include_url=False))
        faults = [fault for fault in map(_fault, errors) if not _is_below(fault.path, skip)]
        faults += check(_draft(raw))
        raise DocumentError(_in_order([*refused, *faults])) from None
    faults = check(Draft.of(document))
    if refused or faults:
        raise DocumentError(_in_order([*refused, *faults]))
    return document


def dump_document(document: TenantDocument) -> dict[str, Any]:
    """Write a document in the spelling it is read in, defaults left out; parsing that gives an equal document."""
    dumped = document.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    for upstream in dumped.get("upstreams", {}).values():
        upstream["targets"] = [_shortest(target, "url") for target in upstream["targets"]]
    if "domains" in dumped:
        dumped["domains"] = [_shortest(domain, "host") for domain in dumped["domains"]]
    for route in dumped.get("routes", ()):
        if route.get("methods"):
            route["methods"].sort()
    for upstream in dumped.get("upstreams", {}).values():
        if "on" in upstream.get("retry", {}):
            upstream["retry"]["on"].sort()
    return dumped


def document_json_schema() -> dict[str, Any]:
    """Describe documents as JSON Schema (draft 2020-12), in their own spelling."""
    return TypeAdapter(TenantDocument).json_schema(by_alias=True, mode="validation")


def _shortest(part: dict[str, Any], only: str) -> object:
    return part[only] if set(part) == {only} else part


def _draft(raw: Mapping[str, Any]) -> Draft:
    """Take what can be read of a document that is wrong somewhere, so that its references are checked as well."""

    def readable(items: Iterable[tuple[Any, Any]], part: type[Any]) -> dict[Any, Any]:
        return {key: _readable(value, part) for key, value in items}

    def named(field: str, part: type[Any]) -> dict[str, Any]:
        value = raw.get(field)
        return readable(value.items(), part) if isinstance(value, Mapping) else {}

    def listed(field: str, part: type[Any]) -> dict[int, Any]:
        value = raw.get(field)
        return readable(enumerate(value), part) if isinstance(value, list | tuple) else {}

    domains = listed("domains", Domain)
    return Draft(
        domains={at: domain for at, domain in domains.items() if domain is not None},
        are_domains_known=None not in domains.values(),
        upstreams=named("upstreams", Upstream),
        auth=named("auth", ApiKeyAuth),
        limits=named("limits", RateLimit),
        routes={at: route for at, route in listed("routes", Route).items() if route is not None},
    )


def _meaningful(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out "too few" where the reason is that those given are wrong, which is said already."""
    parents = {error["loc"][:depth] for error in errors for depth in range(len(error["loc"]))}
    return [error for error in errors if not (error["type"] == "too_short" and error["loc"] in parents)]


def _readable(value: object, part: type[Part]) -> Part | None:
    """Give a part, without those of its fields that are wrong where it can do without them; None where it cannot."""
    if part is Domain and isinstance(value, str):
        value = {"host": value}
    try:
        return part.model_validate(value)
    except ValidationError as error:
        wrong = {fault["loc"][0] for fault in error.errors() if fault["loc"]}
    if not isinstance(value, Mapping) or not wrong:
        return None
    try:
        return part.model_validate({key: kept for key, kept in value.items() if key not in wrong})
    except ValidationError:
        return None


def _fault(error: ErrorDetails) -> Fault:
    loc = tuple(step for step in error["loc"] if step != "[key]")
    if error["loc"][-1:] == ("[key]",):
        return Fault(path_of(loc), f"not a name that can stand here: {error['input']!r}")
    if error["type"] == "extra_forbidden":
        name = str(loc[-1])
        part = _PARTS.get(tuple(_general(loc[:-1])))
        return Fault(path_of(loc), f"unknown field{did_you_mean(name, aliases_of(part)) if part else ''}")
    return Fault(path_of(loc), _message(error))


def _message(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_type" and isinstance(error["input"], bool | int | float):
        return f"expected text: quote it, {str(error['input']).lower()!r}"
    if error["input"] is None and kind in _WORDS and kind != "missing":
        return f"is empty; {_WORDS[kind]}"
    if kind == "string_pattern_mismatch":
        return f"not a name that can stand here: {error['input']!r}"
    if kind == "literal_error":
        return f"expected {context['expected']}"
    if kind == "too_short":
        return "expected at least one"
    if kind == "too_long":
        return f"more than {context['max_length']}"
    if kind in _WORDS:
        return _WORDS[kind]
    return error["msg"].removeprefix("Input ").removeprefix("Value ")


def _general(loc: Loc) -> Iterable[int | str]:
    """Replace indexes and names by "*"."""
    before: int | str = ""
    for depth, step in enumerate(loc):
        is_named = (before in _NAMED and depth == 1) or (before in _LISTED and isinstance(step, int))
        yield "*" if is_named else step
        before = step


def path_of(loc: Iterable[int | str]) -> str:
    """Spell a place as the document's reader would: routes[0].upstream."""
    path = ""
    for step in loc:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path


def _is_below(path: str, places: Iterable[str]) -> bool:
    parents = [place.rpartition(".")[0] for place in places]
    return any(path == parent or path.startswith(f"{parent}.") for parent in parents)


_ORDER = {name: at for at, name in enumerate(aliases_of(TenantDocument))}


def _in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Sort faults as the document's fields stand, each once."""
    unique = dict.fromkeys(faults)
    return sorted(unique, key=lambda fault: _ORDER.get(fault.path.partition(".")[0].partition("[")[0], -1))
