"""What a route changes in the header of its requests and answers, last before the target and first after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edge.context import Identity, ProxyContext
from edge.headers import field_value
from edge.middleware import ProxyMiddleware
from store.model import HeaderOps, RequestHeaderOps

MAX_CLAIM_CHARS = 4096
"""Of a claim in a field: a longer one might be too much for a target, and half of one is another claim."""


def change_request(ops: RequestHeaderOps) -> ProxyMiddleware:
    """Make the middleware that removes and then sets fields of the request.

    A field that is set to a claim is the issuer's word: what the client says in its name goes, in the spelling with `_`
    too, also where there is no such claim.
    """
    texts, claims = ops.texts, ops.claims
    told = frozenset(_folded(name) for name in claims)

    def apply(ctx: ProxyContext) -> None:
        headers = ctx.request.headers
        if told:
            for name in [name for name in headers if _folded(name) in told]:
                headers.popall(name, None)
        for name in ops.remove:
            headers.popall(name, None)
        headers.update(texts)
        if ctx.identity is not None:
            headers.update(_claimed(ctx.identity, claims))

    return apply


def _claimed(identity: Identity, claims: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, claim in claims.items():
        told = identity.claim(claim)
        value = None if told is None else field_value(told)
        if value is not None and len(value) <= MAX_CLAIM_CHARS:
            yield name, value


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")


def change_response(ops: HeaderOps) -> ProxyMiddleware:
    """Make the middleware that removes and then sets fields of a target's answer; the edge's own stay as they are."""

    def apply(ctx: ProxyContext) -> Iterator[None]:
        yield
        if not ctx.has_response:
            return
        headers = ctx.response.headers
        for name in ops.remove:
            headers.popall(name, None)
        headers.update(ops.set)

    return apply
