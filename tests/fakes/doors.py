"""A route that tokens of a real issuer open, without the rest of an edge: `await door.opens(door.issuer.token())`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from multidict import CIMultiDict

from edge.client_edge.auth import AuthMethod, require_any
from edge.client_edge.jwt import JwtMethod
from edge.client_edge.key_sets import KeySets, asking
from edge.client_edge.token_cache import TokenCache
from edge.context import Identity, ProxyContext, ProxyRequest
from edge.errors import EdgeError
from edge.outgoing import Outgoing
from store.model import JwtAuth
from tests.fakes.issuers import Clock, Issuer, running_issuer
from tests.fakes.requests import incoming

WRONG = {"WWW-Authenticate": 'Bearer realm="portico", error="invalid_token"'}


class Door:
    """A route that tokens open, its issuer, and the one clock of both."""

    def __init__(self, issuer: Issuer, outgoing: Outgoing, clock: Clock) -> None:
        self.issuer = issuer
        self.clock = clock
        self.key_sets = KeySets(asking(outgoing), clock)
        self.tokens = TokenCache()
        self.method = self.make()

    def make(self, tenant: str = "acme", issuer: Issuer | None = None, **fields: Any) -> JwtMethod:
        declared = JwtAuth.model_validate((issuer or self.issuer).method(**fields))
        return JwtMethod(tenant, declared, self.key_sets, self.tokens, self.clock)

    def context(self, token: str | None = None, *fields: tuple[str, str]) -> ProxyContext:
        bearer = () if token is None else (("Authorization", f"Bearer {token}"),)
        request = incoming(headers=[("Host", "shop.test"), *bearer, *fields])
        return ProxyContext().copy_for(ProxyRequest(request, "/", "", CIMultiDict(request.headers)))

    async def check(self, ctx: ProxyContext, *methods: AuthMethod, keep: bool = False) -> Identity:
        waiting = require_any(methods or (self.method,), keep_credentials=keep)(ctx)
        if waiting is not None:
            await waiting
        assert ctx.identity is not None
        return ctx.identity

    async def opens(self, token: str, *methods: AuthMethod) -> Identity:
        return await self.check(self.context(token), *methods)

    async def refusal(self, token: str | None, *methods: AuthMethod) -> EdgeError:
        ctx = self.context(token)
        with pytest.raises(EdgeError) as caught:
            await self.check(ctx, *methods)
        assert ctx.identity is None
        return caught.value

    async def is_wrong(self, token: str, *methods: AuthMethod) -> None:
        error = await self.refusal(token, *methods)
        assert (error.status, dict(error.headers)) == (401, WRONG)

    async def is_lost(self, token: str) -> None:
        error = await self.refusal(token)
        assert (error.status, error.code) == (503, "auth_unavailable")
        assert error.retry_after_s

    def knows(self, token: str, method: JwtMethod | None = None) -> bool:
        """Say whether it opens the door without a signature being checked and without anybody being waited for."""
        return (method or self.method).known(self.context(), token) is not None


@asynccontextmanager
async def open_door() -> AsyncIterator[Door]:
    """Run an issuer in this loop, and a door for its tokens."""
    clock, outgoing = Clock(), Outgoing(lambda *_: True)
    async with running_issuer(clock) as issuer:
        made = Door(issuer, outgoing, clock)
        try:
            yield made
        finally:
            await made.key_sets.aclose()
            await outgoing.aclose()
