"""What pydantic finds wrong with a document, in words for whoever wrote it.

The words name what was written, by the name it was written with, and what to write instead; they never repeat a value
that might be a secret.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from store.model.auth import AUTH_TYPES, auth_part
from store.model.faults import Found, Loc
from store.model.limits import LIMIT_KINDS, limit_part
from store.model.parts import NAME_FORM, Part, spelling_of
from store.model.routes import HeaderOps, HeaderRules, Match, RequestHeaderOps, Route, RouteRewrite, SplitShare
from store.model.tenant import Domain, TenantDocument
from store.model.upstreams import HealthCheck, Retry, Target, Upstream

# Which part stands where; "*" is an index or a name. It tells what an unknown field could have been.
_PARTS: Mapping[Loc, type[Part]] = {
    (): TenantDocument,
    ("domains", "*"): Domain,
    ("upstreams", "*"): Upstream,
    ("upstreams", "*", "targets", "*"): Target,
    ("upstreams", "*", "health"): HealthCheck,
    ("upstreams", "*", "retry"): Retry,
    ("routes", "*"): Route,
    ("routes", "*", "match"): Match,
    ("routes", "*", "split", "*"): SplitShare,
    ("routes", "*", "rewrite"): RouteRewrite,
    ("routes", "*", "headers"): HeaderRules,
    ("routes", "*", "headers", "request"): RequestHeaderOps,
    ("routes", "*", "headers", "response"): HeaderOps,
}
# Where one of several parts may stand, with the names that pydantic has for them.
_CHOICES: Mapping[int | str, Collection[str]] = {"auth": AUTH_TYPES, "limits": LIMIT_KINDS}
_KEY = "[key]"  # how pydantic says that the key is wrong, not its value

_SLUG = "a to z, 0 to 9 and '-', at most 63 of them, a letter or digit first and last"

_WORDS = {
    "missing": "is required",
    "string_type": "expected text",
    "string_unicode": "is not Unicode: it holds half of a surrogate pair",
    "string_too_short": "is empty",
    "string_too_long": "is longer than {max_length} characters",
    "int_type": "expected a whole number",
    "bool_type": "expected true or false",
    "tuple_type": "expected a list",
    "frozen_set_type": "expected a list",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "greater_than_equal": "is less than {ge}",
    "less_than_equal": "is more than {le}",
    "too_short": "expected at least one",
    "too_long": "has more than {max_length} entries",
    "value_error": "{error}",
    "literal_error": "expected {expected}",
    "union_tag_not_found": "is required",
    "union_tag_invalid": "expected {expected_tags}",
    "model_attributes_type": "expected a mapping",
}
_IMPOSSIBLE = "cannot stand here"


def found_by(error: ValidationError, raw: object) -> Iterator[Found]:
    """Give everything that a validation of a raw document found."""
    errors = error.errors(include_url=False)
    parents = {each["loc"][:depth] for each in errors for depth in range(len(each["loc"]))}
    for each in errors:
        # "too few" is no news where those that were given are wrong
        if each["type"] != "too_short" or each["loc"] not in parents:
            yield _found(each, raw)


def _found(error: ErrorDetails, raw: object) -> Found:
    kind, value = error["type"], error["input"]
    place = _written(error["loc"])
    is_key = place[-1:] == (_KEY,) and not _holds(raw, place)
    loc = place[:-1] if is_key else place
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _unknown_type((*loc, "type"), error)
    if kind == "extra_forbidden":
        if loc[0] == "limits" and len(loc) == 3 and loc[2] in LIMIT_KINDS:
            return Found(loc, "a limit has a rate, a quota or concurrent: one of them")
        part = _part_at(loc[:-1], raw)
        return Found(loc, "unknown field", str(loc[-1]), spelling_of(part) if part else ())
    if is_key and kind != "value_error":
        return Found(loc, f"is no name: expected {NAME_FORM}")
    if kind == "literal_error" and isinstance(value, str):
        options = tuple(_options(error))
        return Found(loc, _filled(kind, error), value, options if len(options) > 1 else ())
    return Found(loc, _message(kind, value, error))


def _written(loc: Loc) -> Loc:
    """Leave out which part was tried of those that can stand there, which pydantic puts after its name."""
    kinds = _CHOICES.get(loc[0]) if loc else None
    return (*loc[:2], *loc[3:]) if kinds is not None and len(loc) > 2 and loc[2] in kinds else loc


def _unknown_type(loc: Loc, error: ErrorDetails) -> Found:
    if error["type"] == "union_tag_not_found":
        return Found(loc, "is required")
    written = error["input"]["type"]
    return Found(loc, _message(error["type"], written, error), str(written), tuple(AUTH_TYPES))


def _part_at(loc: Loc, raw: object) -> type[Part] | None:
    """Give the part that stands at a place of the raw document."""
    if len(loc) == 2 and loc[0] in _CHOICES and isinstance(raw, Mapping):
        part_of, section = auth_part if loc[0] == "auth" else limit_part, raw.get(loc[0])
        return part_of(section.get(loc[1]) if isinstance(section, Mapping) else None)  # a name may not be as written
    return _PARTS.get(tuple(_general(loc)))


def _message(kind: str, value: object, error: ErrorDetails) -> str:
    if kind == "string_pattern_mismatch":
        return f"expected {_SLUG if error['loc'] == ('tenant',) else NAME_FORM}"
    words = _filled(kind, error)
    if value is None and words.startswith("expected"):
        return f"is empty; {words}"
    if isinstance(value, bool | int | float) and kind in ("string_type", "literal_error", "union_tag_invalid"):
        return f"{words}: put it in quotes"
    return words


def _filled(kind: str, error: ErrorDetails) -> str:
    context: dict[str, Any] = error.get("ctx", {})
    return _WORDS.get(kind, _IMPOSSIBLE).format_map(context)


def _options(error: ErrorDetails) -> Iterable[str]:
    return str(error["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")


def _holds(raw: object, loc: Loc) -> bool:
    """Say whether the last step is the name of a field as written."""
    value = raw
    for step in loc[:-1]:
        if isinstance(value, Mapping):
            value = value.get(step)
        else:
            value = value[step] if isinstance(value, list | tuple) and isinstance(step, int) else None
    return isinstance(value, Mapping) and loc[-1] in value


def _general(loc: Loc) -> Iterator[int | str]:
    """Replace indexes and names by "*"."""
    for depth, step in enumerate(loc):
        is_named = depth == 1 and loc[0] in ("upstreams", "auth", "limits")
        yield "*" if is_named or isinstance(step, int) else step
