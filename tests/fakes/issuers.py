"""An issuer of JSON Web Tokens, on a real socket: `async with running_issuer() as issuer`.

issuer.token(sub="u1", plan="gold")     # good from now on for an hour, signed with its newest key
issuer.rotate()                         # a new key; keep=False withdraws the old ones
issuer.is_down = True                   # it answers 503; `await issuer.stop()` has it refuse connections
issuer.lie = b"..."                     # what it sends in place of its set
issuer.gate.clear()                     # it answers when the gate is set
issuer.fetches                          # how often its set was asked for
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "shop"


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Make a key, or give the one that has been made of this name: it takes a tenth of a second."""
    return rsa.generate_private_key(65537, bits)


class SigningKey:
    """A key pair of an issuer."""

    def __init__(self, kid: str | None, private: Any, algorithm: str = "RS256") -> None:
        self.kid = kid
        self.private = private
        self.algorithm = algorithm

    def public_jwk(self, **fields: Any) -> dict[str, Any]:
        """Give its public half as a JSON Web Key, with some of its members replaced or added."""
        kind = OKPAlgorithm if self.algorithm == "EdDSA" else ECAlgorithm if self.algorithm[0] == "E" else RSAAlgorithm
        jwk = kind.to_jwk(self.private.public_key(), as_dict=True)
        named = {} if self.kid is None else {"kid": self.kid}
        return {name: value for name, value in {**jwk, **named, **fields}.items() if name != "key_ops" or fields}

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """Make a token."""
        named = {} if self.kid is None else {"kid": self.kid}
        return jwt.encode(dict(claims), self.private, self.algorithm, {**named, **header})


def signing_key(kid: str | None = "k1", algorithm: str = "RS256") -> SigningKey:
    """Make a key pair for an algorithm; those for RSA are the same each time."""
    makers: dict[str, Callable[[], Any]] = {
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }
    return SigningKey(kid, makers.get(algorithm, lambda: rsa_key(f"issuer {kid}"))(), algorithm)


class Issuer:
    """An issuer: its keys, and how it behaves."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.keys = [signing_key()]
        self.now_s = now_s
        self.fetches = 0
        self.is_down = False
        self.lie: bytes | None = None
        self.fields: dict[str, str] = {}
        self.status = 200
        self.gate = asyncio.Event()
        self.gate.set()
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def name(self) -> str:
        """What it calls itself in `iss`."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def jwks_url(self) -> str:
        """Where its key set is."""
        return f"{self.name}jwks"

    def method(self, **fields: Any) -> dict[str, Any]:
        """Give the part of a document that has its tokens open a route."""
        named = {"issuer": self.name, "audience": AUDIENCE, "jwks_url": self.jwks_url}
        return {"type": "jwt", **named, **fields}

    def claims(self, **claims: Any) -> dict[str, Any]:
        """Give good claims with some replaced or added; None leaves one out."""
        now_s = int(self.now_s())
        good = {"iss": self.name, "aud": AUDIENCE, "sub": "u1", "iat": now_s, "exp": now_s + 3600}
        return {name: value for name, value in {**good, **claims}.items() if value is not None}

    def token(self, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """Make a token, signed with the newest key."""
        return self.keys[-1].sign(self.claims(**claims), **(header or {}))

    def rotate(self, *, keep: bool = True) -> SigningKey:
        """Sign with a new key from now on; the old ones stay in the set, or go."""
        key = signing_key(f"k{int((self.keys[-1].kid or 'k0')[1:]) + 1}")
        self.keys = [*self.keys, key] if keep else [key]
        return key

    async def stop(self) -> None:
        """Refuse connections from now on."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def start(self, port: int = 0) -> None:
        """Listen, on the port it had before if it was stopped."""
        app = web.Application()
        app.router.add_get("/jwks", self._jwks)
        app.router.add_get("/moved", self._moved)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port or self.port).start()
        self.port = self._runner.addresses[0][1]

    async def _jwks(self, _: web.Request) -> web.Response:
        self.fetches += 1
        await self.gate.wait()
        if self.is_down:
            return web.Response(status=503)
        body = json.dumps({"keys": [key.public_jwk(use="sig") for key in self.keys]}).encode()
        return web.Response(status=self.status, body=body if self.lie is None else self.lie, headers=self.fields)

    async def _moved(self, _: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": self.jwks_url})


@asynccontextmanager
async def running_issuer(now_s: Callable[[], float] = time.time) -> AsyncIterator[Issuer]:
    """Run an issuer in this loop on a free port of 127.0.0.1."""
    issuer = Issuer(now_s)
    await issuer.start()
    try:
        yield issuer
    finally:
        issuer.gate.set()
        await issuer.stop()


class Clock:
    """A clock that a test turns: `clock.now_s += 60`."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s
