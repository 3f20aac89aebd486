"""What arrives in a body: JSON, bounded in size (by the application), depth and kind, pure."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from tenants.errors import MALFORMED, NOT_JSON, Refused

MAX_BODY_BYTES = 256 * 1024
MAX_DEPTH = 32

# Possessive, and ending at the end of the text if it must: time is linear in the text, whatever it holds.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def parse_json(raw: bytes) -> object:
    """Read one JSON value (RFC 8259); `Refused` with 400 says what is wrong and where.

    Refused besides what is not JSON: a name given twice in one object, NaN and infinities, numbers beyond the range
    of a float, halves of surrogate pairs, and nesting deeper than MAX_DEPTH.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(NOT_JSON, f"the body is not UTF-8 (byte {error.start})") from error
    if not text.strip():
        raise Refused(NOT_JSON, "the body is empty; JSON is expected")
    if deepest(text) > MAX_DEPTH:
        raise Refused(MALFORMED, f"the body is nested deeper than {MAX_DEPTH} levels")
    try:
        value: object = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise Refused(
            NOT_JSON, f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from error
    except ValueError as error:  # an integer of thousands of digits
        raise Refused(MALFORMED, "the body holds a number that is too long") from error
    if "\\u" in text and not _is_encodable(value):
        raise Refused(MALFORMED, "the body holds half of a surrogate pair (\\ud800-\\udfff)")
    return value


def deepest(text: str) -> int:
    """Return how deep the brackets of a JSON text nest; brackets inside strings do not count."""
    depth = most = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        most = max(most, depth)
    return most


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise Refused(MALFORMED, f"the name {name[:80]!r} is given twice in one object")
        result[name] = value
    return result


def _no_constant(text: str) -> NoReturn:
    raise Refused(NOT_JSON, f"the body is not JSON: {text} is not a value")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Refused(MALFORMED, f"the number {text[:40]} is out of range")
    return value


def _is_encodable(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
