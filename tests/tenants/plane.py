"""A control plane for tests: the real one, over a real Redis, spoken to over a real socket."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis
from aiohttp import ClientSession, ClientTimeout

from store import keys
from store.catalog import Catalog
from store.client import connect
from store.fleet import Fleet
from store.settings import load_settings
from tenants.control import serve

OPERATOR = "an-operator-token-of-the-tests"
SECRET_KEY = base64.b64encode(b"k" * 32).decode()


@dataclass(frozen=True)
class Answer:
    """What came back; `body` is None when there was none."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def paths(self) -> list[str]:
        """Where the faults of a problem document are."""
        return [fault["path"] for fault in self.body["errors"]]


class Plane:
    """A running control plane, and the store behind it."""

    def __init__(self, url: str, redis_url: str, session: ClientSession, catalog: Catalog, fleet: Fleet) -> None:
        self.url = url
        self.redis_url = redis_url
        self.catalog = catalog
        self.fleet = fleet
        self._session = session

    async def ask(
        self, method: str, path: str, body: object = None, *, token: str | None = OPERATOR, **more: Any
    ) -> Answer:
        """Send one request; `body` goes as JSON, `more` to the client as it is (headers, params, data)."""
        headers = dict(more.pop("headers", {}))
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token}")
        if body is not None:
            more["json"] = body
        async with self._session.request(method, self.url + path, headers=headers, **more) as response:
            is_json = response.content_type.endswith("json")
            raw = await response.read()
            shown = await response.json(content_type=None) if is_json and raw else raw.decode() or None
            return Answer(response.status, response.headers, shown)

    async def get(self, path: str, **more: Any) -> Answer:
        """GET a path."""
        return await self.ask("GET", path, **more)

    async def put(self, tenant: str, **fields: Any) -> Answer:
        """Write a tenant's document, which must be accepted."""
        answer = await self.ask("PUT", f"/v1/tenants/{tenant}", document(**fields))
        assert answer.status in (200, 201), answer
        return answer

    async def token_of(self, tenant: str) -> str:
        """Make a token of a tenant."""
        answer = await self.ask("POST", "/v1/tokens", {"name": "of the tests", "tenant": tenant})
        assert answer.status == 201, answer
        return str(answer.body["secret"])

    def overwrite(self, tenant: str, value: bytes) -> None:
        """Put these bytes in the place of a tenant's record, as whoever damages it would."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.hset(keys.documents(), tenant, value)


def document(**fields: Any) -> dict[str, Any]:
    """A small document with one upstream and one route; `fields` replace or add."""
    return {
        "name": "Acme Inc.",
        "upstreams": {"shop": {"targets": ["http://127.0.0.1:9000"]}},
        "routes": [{"name": "all", "path": "/*", "upstream": "shop"}],
        **fields,
    }


@contextlib.asynccontextmanager
async def running_plane(redis_url: str, secret_key: str = SECRET_KEY) -> AsyncIterator[Plane]:
    """Run a control plane over this Redis, on a port of its own, while the context is open."""
    env = {"PORTICO_REDIS_URL": redis_url, "PORTICO_BOOTSTRAP_TOKEN": OPERATOR, "PORTICO_SECRET_KEY": secret_key}
    settings = load_settings("control", {"control_listen": "127.0.0.1:0"}, env)
    async with (
        serve(settings) as url,
        connect(redis_url, "control") as client,
        ClientSession(timeout=ClientTimeout(total=20)) as session,
    ):
        yield Plane(url, redis_url, session, Catalog(client), Fleet(client))
