"""What a limit counts by, and what a request costs it: read from the request and from who sends it."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable

from edge.addresses import subscriber_of
from edge.context import ProxyContext
from store.model import By, Cost

KeyOf = Callable[[ProxyContext], str]
CostOf = Callable[[ProxyContext], int]
MAX_PLAIN_VALUE = 64
MAX_COST_DIGITS = 12
TOO_DEAR: int = 10**MAX_COST_DIGITS  # more than any limit admits
_MAX_EXPONENT_DIGITS = 9  # no text that arrives here is long enough to make up for more
_NUMBER = re.compile(r"([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?)([0-9]+))?")
_MAY_BE_SECRET = re.compile("auth|cookie|credential|key|pass|secret|session|signature|token", re.IGNORECASE)


def common_key(by: By, route: str) -> str | None:
    """Say by what all requests of this route are counted, None where it depends on the request."""
    return route if by.kind == "route" else "" if by.kind == "tenant" else None


def key_of(by: By, route: str) -> KeyOf:
    """Make the function that says by what a request of this route is counted."""
    common = common_key(by, route)
    if common is not None:
        return lambda _: common
    if by.kind == "ip":
        return lambda ctx: address_key(ctx.request.remote or "")
    if by.kind == "header":
        header, name = by.header or "", (by.header or "").lower()
        key = _hidden if _MAY_BE_SECRET.search(header) else value_key
        # What a trusted service says counts for more than what a client does under the same name.
        return lambda ctx: key(_field(ctx, name) or ctx.request.in_req.headers.get(header) or "")
    if by.kind == "claim":
        claim = by.claim or ""
        return lambda ctx: "" if (who := ctx.identity) is None else value_key(who.claim(claim) or "")
    if by.kind == "key":
        # An API key's id is ours, and fit for a name as it is.
        return lambda ctx: "" if (who := ctx.identity) is None else who.key_id or value_key(who.subject)
    return lambda ctx: "" if (who := ctx.identity) is None else value_key(who.subject)


def address_key(address: str) -> str:
    """Count a client by its subscriber; what is no address, by itself."""
    try:
        return subscriber_of(address)
    except ValueError:
        return value_key(address)


def value_key(value: str) -> str:
    """Make any value fit to be part of a key: short plain ones as they are, others by their hash."""
    if len(value) <= MAX_PLAIN_VALUE and value.isascii() and value.isprintable():
        return value
    return _digest(value)


def _hidden(value: str) -> str:
    """Count by what may be a credential, and keep it neither in Redis nor for who looks at counts."""
    return _digest(value) if value else ""


def _digest(value: str) -> str:
    return hashlib.blake2b(value.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def cost_of(cost: Cost) -> CostOf:
    """Make the function that says what a request costs: as declared, or as said by who is trusted to; 1 if nobody does.

    A client has no say: of header fields, only those are read that an auth step has set (`Identity.fields`). What is
    said is a number of JSON, rounded up; beyond 12 digits it is `TOO_DEAR`, and what is negative or no number is 1.
    """
    if cost.header is not None:
        name = cost.header.lower()
        return lambda ctx: _units(_field(ctx, name))
    if cost.claim is not None:
        claim = cost.claim
        return lambda ctx: _claimed_units(ctx, claim)
    units = cost.units
    return lambda _: units


def _field(ctx: ProxyContext, name: str) -> str | None:
    fields = () if ctx.identity is None else ctx.identity.fields
    return next((value for field, value in fields if field.lower() == name), None)


def _claimed_units(ctx: ProxyContext, claim: str) -> int:
    who = ctx.identity
    if who is None or who.claims is None:
        return 1
    # Infinity is no JSON: it is what Python has read a number like 1e400 as.
    return TOO_DEAR if who.claims.get(claim) == math.inf else _units(who.claim(claim))


def _units(text: str | None) -> int:
    """Read a number of JSON, rounded up; the work grows with its length and no faster, whatever it says."""
    found = None if text is None else _NUMBER.fullmatch(text)
    if found is None:
        return 1
    whole, fraction, sign, exponent = found.groups("")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return 0
    exponent = exponent.lstrip("0")
    is_far = len(exponent) > _MAX_EXPONENT_DIGITS
    shift = 0 if is_far else int(sign + (exponent or "0"))
    before_point = len(digits) - len(fraction) + shift
    if before_point > MAX_COST_DIGITS or (is_far and sign != "-"):
        return TOO_DEAR
    if before_point <= 0 or is_far:
        return 1  # a part of a unit
    units = int(digits[:before_point].ljust(before_point, "0"))
    return units + 1 if digits[before_point:].strip("0") else units
