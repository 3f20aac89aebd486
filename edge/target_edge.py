"""What a route changes in the header of its requests and answers, last before the target and first after it."""

from __future__ import annotations

from collections.abc import Iterator

from edge.context import ProxyContext
from edge.middleware import ProxyMiddleware
from store.model import HeaderOps


def change_request(ops: HeaderOps) -> ProxyMiddleware:
    """Make the middleware that removes and then sets fields of the request."""

    def apply(ctx: ProxyContext) -> None:
        headers = ctx.request.headers
        for name in ops.remove:
            headers.popall(name, None)
        headers.update(ops.set)

    return apply


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
