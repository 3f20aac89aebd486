"""The demo tenant of `portico dev`: its document, how it is put in place, and what to type to see it work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

TENANT = "demo"
HOST = "demo.localhost"
KEY_NAME = "portico dev"


class DemoError(Exception):
    """The admin API did not take the demo tenant; the message is one line."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything answers, and the operator's token. `redis_socket`: of the Redis that is ours, if it is."""

    edge: str
    admin: str
    ops: str
    origin: str
    token: str
    redis_socket: str | None = None


def demo_document(origin: str) -> dict[str, Any]:
    """Return the demo tenant's document: an open route, and one with a key and a limit."""
    return {
        "tenant": TENANT,
        "name": "Demo",
        "domains": [{"host": HOST, "verified_by": "operator"}],
        "upstreams": {"sample": {"targets": [origin]}},
        "auth": {"keys": {"type": "api_key"}},
        "limits": {"per-key": {"rate": "5/s", "burst": 10, "by": "key"}},
        "routes": [
            {
                "name": "api",
                "path": "/api/*",
                "upstream": "sample",
                "auth": ["keys"],
                "limits": ["per-key"],
                "rewrite": {"strip_prefix": "/api"},
            },
            {"name": "open", "path": "/*", "upstream": "sample"},
        ],
    }


async def put_demo(places: Places) -> str:
    """Put the tenant in place and make an API key for it; returns the key. Raises DemoError.

    A Redis of the user's own may have the tenant already: it then only learns where the sample upstream is now.
    """
    document = demo_document(places.origin)
    tenant, keys = f"/v1/tenants/{TENANT}", f"/v1/tenants/{TENANT}/keys"
    async with Admin(places) as admin:
        status, _ = await admin.call("PUT", tenant, document, allowed=412, headers={"If-None-Match": "*"})
        if status == 412:
            await admin.call("PATCH", tenant, {"upstreams": document["upstreams"]})
        _, known = await admin.call("GET", keys)
        for key in known["items"]:
            if key["name"] == KEY_NAME:
                await admin.call("DELETE", f"{keys}/{key['id']}")
        _, created = await admin.call("POST", f"{keys}?wait=fleet", {"name": KEY_NAME})
        return str(created["secret"])


class Admin:
    """The admin API as the operator sees it."""

    def __init__(self, places: Places) -> None:
        self._session = ClientSession(
            places.admin,
            headers={"Authorization": f"Bearer {places.token}"},
            timeout=ClientTimeout(total=10),
        )

    async def __aenter__(self) -> Admin:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def call(
        self, method: str, path: str, body: object = None, *, allowed: int = 0, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Make a call; returns the status and what it answers. Raises DemoError for a refusal other than `allowed`."""
        try:
            async with self._session.request(method, path, json=body, headers=headers) as answer:
                told = await answer.text()
        except ClientError as error:
            raise DemoError(f"the admin API does not answer: {type(error).__name__}") from error
        if answer.status >= 400 and answer.status != allowed:
            raise DemoError(f"the admin API answers {answer.status} to {method} {path}: {' '.join(told.split())}")
        return answer.status, json.loads(told) if told else None


def instructions(places: Places, key: str, portico: str) -> str:
    """Write what to type next; every line of it works as it stands. `portico` is how the command is called here."""
    curl = f"curl -H 'Host: {HOST}'"
    look = f"  redis      redis-cli -s {quote(places.redis_socket)}\n" if places.redis_socket else ""
    with_key = f"{curl} -H 'X-API-Key: {key}' {places.edge}/api/echo"
    return f"""Portico is running. Ctrl-C stops all of it.

An open route, a route that wants a key, and what a limit of 10 at once does to 15 requests:

  {curl} {places.edge}/echo
  {curl} -i {places.edge}/api/echo
  {with_key}
  for i in $(seq 15); do {with_key} -so /dev/null -w '%{{http_code}} '; done; echo

Change something, and the next request is served by it:

  export PORTICO_ADMIN_URL={places.admin} PORTICO_TOKEN={places.token}
  {portico} export {TENANT} > demo.yaml
  {portico} apply -f demo.yaml --wait
  {portico} nodes

  admin API  {places.admin}/v1/docs
  token      {places.token} (an operator's, good until Ctrl-C)
{look}  ops        {places.ops}/status

"""
