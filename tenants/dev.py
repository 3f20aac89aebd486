"""`portico dev`: a whole Portico on loopback, for as long as the terminal is open.

Starts an embedded Redis, a control plane, an edge node, the sample upstream and a demo tenant, all as processes of
their own, and stops all of them on Ctrl-C. Nothing is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from base64 import b64encode
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from store.embedded import RedisProcess
from store.errors import StoreError
from store.setting_values import SECRET_KEY_BYTES
from store.settings import Settings, SettingsError, add_flags, load_settings
from tenants.children import Child, ChildEnded, Children, Program
from tenants.demo import DemoError, Places, instructions, put_demo

LOOPBACK = "127.0.0.1"
LOOPBACK_NETWORKS = "127.0.0.0/8,::1/128"
PROJECT = Path(__file__).resolve().parent.parent


class DevError(Exception):
    """Portico cannot run here; the message is one line for the user."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C or SIGTERM. Returns 0 then, 2 when something cannot start, 1 when something ended by itself."""
    parser = argparse.ArgumentParser(prog="portico dev", description="A whole Portico on loopback, to try it out.")
    add_flags(parser, "dev")
    try:
        settings = load_settings("dev", vars(parser.parse_args(argv)), os.environ)
        return asyncio.run(_Dev(settings).run())
    except (SettingsError, DevError, StoreError, DemoError) as error:
        say(str(error))
        return 2


def say(line: str) -> None:
    """Tell the user one thing."""
    sys.stderr.write(f"portico dev: {line}\n")


class _Dev:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._token = settings.bootstrap_token or f"dev_{secrets.token_urlsafe(32)}"
        # One that is given is in the environment of all processes already.
        self._secret_key = {} if settings.secret_keys else {"PORTICO_SECRET_KEY": _new_secret_key()}
        self._stop = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        check_ports(self._settings)
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portico-dev-")))
            children = Children(folder)
            stack.push_async_callback(children.stop)
            await children.start_guard(folder)
            redis = self._start_redis(stack, children, folder)
            starting = asyncio.create_task(self._start(children, redis))
            if not await self._unless_stopped(starting):
                return 0
            sys.stdout.write(starting.result())
            sys.stdout.flush()
            watching = asyncio.create_task(children.any_ended())
            try:
                await self._unless_stopped(watching)
            except ChildEnded as error:
                say(str(error))
                return 1
            say("stopping")
        return 0

    def _start_redis(self, stack: AsyncExitStack, children: Children, folder: Path) -> RedisProcess | None:
        """Start an embedded Redis, unless the user has one: by a socket in our own folder, closed to other users."""
        if self._settings.dev_redis_url:
            return None
        redis = stack.enter_context(RedisProcess(folder / "redis", has_port=False))
        assert redis.pid is not None
        children.adopt("embedded Redis", redis.pid, lambda: (redis.exit_status, redis.last_log_line()))
        return redis

    async def _start(self, children: Children, redis: RedisProcess | None) -> str:
        """Start everything, all at once, and return what to tell the user."""
        redis_url = redis.url if redis else self._settings.dev_redis_url
        try:
            origin = await self._start_origin(children)
            control = await children.start(self._control(redis_url))
            edge = await children.start(self._edge(redis_url))  # the last to start is the first to stop
            serves = _urls(await edge.ready())
            sample = _urls(await origin.ready())[0] if origin else f"http://{LOOPBACK}:{self._settings.dev_origin_port}"
            places = Places(
                edge=serves[0],
                ops=serves[-1],
                admin=_urls(await control.ready())[0],
                origin=sample,
                token=self._token,
                redis_socket=str(redis.socket_path) if redis else None,
            )
            return instructions(places, await put_demo(places), _portico())
        except ChildEnded as error:
            raise DevError(str(error)) from error

    async def _start_origin(self, children: Children) -> Child | None:
        address = f"{LOOPBACK}:{self._settings.dev_origin_port}"
        if not (PROJECT / "loadtest" / "origin.py").is_file():
            say(f"the sample upstream is not installed; have something answer at http://{address}")
            return None
        arguments = ("--listen", address)
        return await children.start(
            Program("sample upstream", "loadtest.origin", arguments, {}, "listens on http://", PROJECT)
        )

    # Redis' address and the token go by the environment: a command line can be read by every user of the machine.

    def _control(self, redis_url: str) -> Program:
        arguments = ("--listen", f"{LOOPBACK}:{self._settings.dev_admin_port}")
        env = {"PORTICO_REDIS_URL": redis_url, "PORTICO_BOOTSTRAP_TOKEN": self._token, **self._secret_key}
        return Program("control plane", "tenants.control", arguments, env, " at http://")

    def _edge(self, redis_url: str) -> Program:
        arguments = {
            "--listen": f"{LOOPBACK}:{self._settings.dev_port}",
            "--ops": f"{LOOPBACK}:{self._settings.dev_ops_port}",
            "--workers": str(self._settings.dev_workers),
            "--node": "dev",
            "--access-log": "-",
            "--drain-grace": "5s",
        }
        words = [word for pair in arguments.items() for word in pair]
        networks = filter(None, (LOOPBACK_NETWORKS, os.environ.get("PORTICO_EGRESS_ALLOW")))
        # What a tenant of the demo may reach of this machine is not the API that its token could be tried on.
        closed = filter(None, (f"{LOOPBACK}:{self._settings.dev_admin_port}", os.environ.get("PORTICO_EGRESS_DENY")))
        env = {
            "PORTICO_REDIS_URL": redis_url,
            "PORTICO_EGRESS_ALLOW": ",".join(networks),
            "PORTICO_EGRESS_DENY": ",".join(closed),
            **self._secret_key,
        }
        return Program("edge", "edge", words, env, " serves http://")

    async def _unless_stopped(self, task: asyncio.Task[str] | asyncio.Task[None]) -> bool:
        """Wait for the task or for Ctrl-C; True, with the task's error raised, when it was the task."""
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait([stopped, task], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
            return False
        task.result()
        return True


def _new_secret_key() -> str:
    return b64encode(secrets.token_bytes(SECRET_KEY_BYTES)).decode()


def check_ports(settings: Settings) -> None:
    """Try the ports before anything is started. Raises DevError naming the first that is taken and its flag."""
    for port, flag in (
        (settings.dev_port, "--port"),
        (settings.dev_admin_port, "--admin-port"),
        (settings.dev_ops_port, "--ops-port"),
        (settings.dev_origin_port, "--origin-port"),
    ):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
                raise DevError(f"port {port} {why}; choose another with {flag}") from error


def _portico() -> str:
    """Return what the user types to run this same Portico."""
    if shutil.which("portico"):
        return "portico"
    script = Path(sys.executable).with_name("portico")
    if not script.is_file():
        return f"{sys.executable} -m tenants"
    # Short where that works, as it does from the checkout; elsewhere a path that works from anywhere.
    return str(script.relative_to(Path.cwd())) if script.is_relative_to(Path.cwd()) else str(script)


def _urls(line: str) -> list[str]:
    return [word.rstrip(",") for word in line.split() if word.startswith("http://")]


if __name__ == "__main__":
    sys.exit(main())
