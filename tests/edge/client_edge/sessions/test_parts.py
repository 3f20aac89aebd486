"""A document with sessions on a worker that can serve them, and on ones that cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edge.client_edge.key_cache import KeyCache
from edge.client_edge.key_sets import KeySets, asking
from edge.client_edge.key_usage import KeyUsage
from edge.client_edge.limits import Counting
from edge.client_edge.passwords import PasswordChecks
from edge.client_edge.plan_limits import PlanLimits
from edge.client_edge.sessions.parts import SessionParts, session_parts
from edge.client_edge.token_cache import TokenCache
from edge.compiler import Parts, compile_tenant
from edge.outgoing import Outgoing
from edge.telemetry.counters import Counters
from edge.upstreams.egress import EgressFilter
from edge.upstreams.live import LiveTargets
from store.catalog import Catalog
from store.client import connect
from store.guards import Guards
from store.limiter import Limiter
from store.model import DocumentError, parse_document
from store.sealing import Sealer
from store.sessions import Sessions
from store.settings import load_settings
from tests.fakes.edges import running_edge
from tests.fakes.openid import CLIENT_ID
from tests.fakes.origins import RunningOrigin
from tests.fakes.visitors import SECRETS, document

KEY = {"PORTICO_SECRET_KEY": SECRETS["PORTICO_SECRET_KEY"]}
OWN = {"issuer": "https://id.test/", "client_id": CLIENT_ID}


@pytest.mark.parametrize(
    ("env", "login", "reason"),
    [
        ({}, OWN, "auth.login: sessions need PORTICO_SECRET_KEY"),
        (KEY, {}, "auth.login: it names no provider, and this edge was started without PORTICO_OIDC_ISSUER"),
        (KEY, {**OWN, "client_secret": "plain"}, "auth.login.client_secret: is not sealed, or"),
        (KEY, {**OWN, "client_secret": Sealer([b"k" * 32]).seal_text("x", "other")},
         "auth.login.client_secret: is not sealed, or"),
    ],
    ids=["no key", "no provider", "not sealed", "moved"],
)  # fmt: skip
async def test_a_tenant_that_cannot_be_served_is_refused_with_the_reason_and_nobody_else_is(
    redis_url: str,
    origin: RunningOrigin,
    env: dict[str, str],
    login: dict[str, Any],
    reason: str,
) -> None:
    async with running_edge(redis_url, env) as edge:
        plain = document(origin.url, route={"auth": []})
        await edge.put({**plain, "tenant": "other", "domains": [{"host": "other.test", "verified_by": "operator"}]})
        await edge.put(document(origin.url, **login))
        refused = edge.worker.tenancy.refused
        assert list(refused) == ["acme"]
        assert refused["acme"].reason.startswith(reason)
        assert "plain" not in refused["acme"].reason
        assert (await edge.get("/echo", host="other.test")).status == 200


async def test_a_method_that_no_route_names_asks_for_nothing(redis_url: str, origin: RunningOrigin) -> None:
    async with running_edge(redis_url) as edge:
        await edge.put(document(origin.url, route={"auth": []}))
        assert not edge.worker.tenancy.refused
        assert (await edge.get("/echo", host="shop.localhost")).status == 200


@asynccontextmanager
async def worker() -> AsyncIterator[tuple[Parts, SessionParts]]:
    """The parts of a worker that serves sessions; nothing in here asks the store or a provider."""
    settings = load_settings("edge", {"oidc_issuer": "https://id.test/", "oidc_client_id": CLIENT_ID}, KEY)
    outgoing, client = Outgoing(EgressFilter().allows), connect("redis://127.0.0.1:1", "data")
    key_sets = KeySets(asking(outgoing))
    sessions = session_parts(settings, lambda sealer: Sessions(client, sealer), outgoing, key_sets)
    assert sessions is not None
    targets, limiter = LiveTargets(EgressFilter().allows), Limiter(client, lambda: 1)
    keys = KeyCache(lambda _tenant, _key_id: asyncio.sleep(0, None))
    counting = Counting(limiter, Guards(client, "test", lambda: 1), Counters())
    usage = KeyUsage(Catalog(client).note_used)
    passwords = PasswordChecks()
    plans, tokens = PlanLimits(), TokenCache()
    yield Parts(targets, keys, counting, plans, key_sets, tokens, outgoing, passwords, usage, sessions), sessions
    passwords.close()
    await outgoing.aclose()
    await client.aclose()


async def test_a_provider_is_held_as_long_as_a_tenant_that_names_it_is_served() -> None:
    async with worker() as (parts, sessions):
        first, second = (
            compile_tenant(parse_document(document("http://t:1")), ("shop.localhost",), at, parts) for at in (1, 2)
        )
        assert len(sessions.providers) == 1
        first.release()
        assert len(sessions.providers) == 1
        second.release()
        assert len(sessions.providers) == 0


async def test_what_was_taken_is_given_back_when_another_method_cannot_be_served() -> None:
    async with worker() as (parts, sessions):
        raw = document("http://t:1")
        raw["auth"]["staff"] = {"type": "session", **OWN, "client_secret": "not sealed"}
        raw["routes"][0]["auth"] = ["login", "staff"]
        with pytest.raises(DocumentError, match="client_secret"):
            compile_tenant(parse_document(raw), ("shop.localhost",), 1, parts)
        assert len(sessions.providers) == 0
