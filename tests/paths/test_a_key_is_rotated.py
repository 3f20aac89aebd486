"""API keys of one tenant side by side: the next is made and handed out before the last is revoked, and nobody waits."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.origins import running_origin
from tests.fakes.verdicts import to_acme
from tests.tenants.plane import Plane, running_plane

KEYS = "/v1/tenants/acme/keys"
WAIT = {"wait": "fleet", "timeout": "5s"}


async def test_a_key_is_followed_by_the_next_without_one_request_refused_and_then_revoked_everywhere(
    redis_url: str,
) -> None:
    async with AsyncExitStack() as stack:
        plane = await stack.enter_async_context(running_plane(redis_url))
        origin = await stack.enter_async_context(running_origin())
        edges = [await stack.enter_async_context(running_edge(redis_url, node=f"n{at}")) for at in range(2)]
        document = {**to_acme(origin.url, auth=["keys"]), "auth": {"keys": {"type": "api_key"}}}
        assert (await plane.ask("PUT", "/v1/tenants/acme", document, params=WAIT)).status == 201
        old, other = [await made(plane, name) for name in ("of last year", "of somebody else")]
        assert await asked(edges, old[1], other[1]) == {200: 4}

        told, is_over = Counter[int](), False

        async def go_on(edge: RunningEdge, secret: str) -> None:
            while not is_over:
                told[(await edge.get("/echo", X_API_Key=secret)).status] += 1

        leaving, staying = [
            [asyncio.create_task(go_on(edge, secret)) for edge in edges] for secret in (old[1], other[1])
        ]
        new = await made(plane, "of this year")
        assert await asked(edges, old[1], new[1]) == {200: 4}
        for caller in leaving:  # they take the new key instead
            caller.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        staying += [asyncio.create_task(go_on(edge, new[1])) for edge in edges]
        revoked = await plane.ask("DELETE", f"{KEYS}/{old[0]}", params=WAIT)
        assert (revoked.status, revoked.body["applied"], revoked.body["lagging"]) == (200, 2, [])
        assert await asked(edges, old[1]) == {401: 2}
        assert await asked(edges, new[1], other[1]) == {200: 4}
        listed = [item["name"] for item in (await plane.get(KEYS)).body["items"]]
        is_over = True
        await asyncio.gather(*staying)
        assert sorted(listed) == ["of somebody else", "of this year"]
        assert list(told) == [200]
        assert told[200] > 10


async def made(plane: Plane, name: str) -> tuple[str, str]:
    """Make a key that every worker knows; its id and its secret."""
    answer = await plane.ask("POST", KEYS, {"name": name}, params=WAIT)
    assert (answer.status, answer.body["applied"]) == (201, 2)
    return answer.body["id"], answer.body["secret"]


async def asked(edges: list[RunningEdge], *secrets: str) -> Counter[int]:
    """Ask each edge with each key."""
    return Counter([(await edge.get("/echo", X_API_Key=secret)).status for edge in edges for secret in secrets])
