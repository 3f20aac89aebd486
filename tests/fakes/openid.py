"""A real OpenID provider as a process of its own, on Authlib: discovery, code flow with PKCE, logout.

    with running_provider() as provider: ...     # provider.issuer, and `await provider.tell(...)` to spoil its manners

Its login page asks for a name and takes any. It is strict where the standards are: a code is good once and for its
redirect address, PKCE is a must, the client's secret is compared.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession

from tests.fakes.source import ROOT

CLIENT_ID = "portico"
CLIENT_SECRET = "what only: the two & know"
PUBLIC_CLIENT_ID = "portico-public"
LOGOUT_TITLE = "Logged out of the provider"


@dataclass
class RunningProvider:
    """A running provider."""

    issuer: str
    process: subprocess.Popen[str]

    def end(self) -> None:
        """End it: connections are refused from now on; idempotent."""
        self.process.terminate()
        self.process.wait(10)

    async def tell(self, **manners: Any) -> None:
        """Say how it behaves from now on; with nothing, it behaves well again. What it has seen is forgotten.

        `claims` are put into its identity tokens, `drop` lists those left out, `sign` is "stranger" (by a key of its
        own that is not in the set) or "none", `status` is what discovery and the token endpoint answer, `answer` are
        fields put into the browser's way back, `names_itself` adds `iss` there and says so, `describes` are members put
        into its description.
        """
        async with ClientSession() as session, session.post(f"{self.issuer}/control/manners", json=manners) as answer:
            assert answer.status == 200, await answer.text()

    async def seen(self) -> dict[str, Any]:
        """Tell what it was asked: how often for its description and for tokens, and which clients logged out."""
        async with ClientSession() as session, session.get(f"{self.issuer}/control/seen") as answer:
            found: dict[str, Any] = await answer.json()
            return found


@contextmanager
def running_provider(port: int = 0) -> Iterator[RunningProvider]:
    """Run one on a port of 127.0.0.1, a free one for 0."""
    command = [sys.executable, "-m", "tests.fakes.openid_process", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline().strip()
            assert line.startswith("http://"), line
            yield RunningProvider(line, process)
        finally:
            process.terminate()
            process.wait(10)
