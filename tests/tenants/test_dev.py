"""`portico dev` as a user has it: start it, type what it prints, end it."""

from __future__ import annotations

import base64
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from store import keys
from store.embedded import RedisProcess
from tests.fakes.dev import FREE_PORTS, running_dev, shell
from tests.fakes.source import ROOT

TOKEN = "an-operator-token-of-ours-0123456789"


def test_every_line_it_prints_works_as_it_stands_and_nothing_is_left_after_ctrl_c(tmp_path: Path) -> None:
    # The command is printed as it is found from here, but what it writes is not wanted here.
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    with running_dev() as dev:
        family = dev.family()
        opened, refused, with_key = dev.commands("curl")
        assert '"X-Portico-Route", "open"' in shell(opened)
        assert "HTTP/1.1 401 Unauthorized" in shell(refused)
        assert '"X-Portico-Route", "api"' in shell(with_key)
        [loop] = dev.commands("for")
        statuses = shell(loop).split()
        assert len(statuses) == 15
        while "429" not in statuses:  # the machine may stand still for so long that the limit is at rest again
            statuses += shell(loop).split()
        assert {"200", "429"} == set(statuses)
        [export] = dev.commands("export")
        portico = re.findall(r"^  (\S.* (?:export demo|apply|nodes).*)$", dev.printed, re.MULTILINE)
        assert len(portico) == 3
        told = shell("\n".join([export, *portico]), tmp_path)
        assert re.search(r"demo +unchanged", told)
        assert len(re.findall(r"^dev +[01] ", told, re.MULTILINE)) == 2
        dev.process.send_signal(signal.SIGINT)
        assert dev.process.wait(40) == 0
        _, alive = psutil.wait_procs(family, timeout=30)
        assert not alive


def test_an_operator_token_of_the_users_is_used_and_not_on_any_command_line() -> None:
    with running_dev(PORTICO_BOOTSTRAP_TOKEN=TOKEN) as dev:
        assert f"PORTICO_TOKEN={TOKEN}" in dev.printed
        assert not [each for each in dev.family() if TOKEN in " ".join(each.cmdline())]


CURIOUS = """tenant: curious
domains: [{{host: curious.localhost, verified_by: operator}}]
upstreams: {{admin: {{targets: ["http://127.0.0.1:{port}"]}}}}
routes: [{{name: all, path: "/*", upstream: admin}}]
"""


def test_no_tenant_reaches_the_admin_api_through_the_edge_though_loopback_is_open_to_it(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running_dev("--admin-port", str(port)) as dev:
        (tmp_path / "curious.yaml").write_text(CURIOUS.format(port=port))
        admin, edge = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{dev.port('/echo')}"
        env = f"export PORTICO_ADMIN_URL={admin} PORTICO_TOKEN={dev.token}"
        shell(f"{env}\n{sys.executable} -m tenants apply -f curious.yaml --wait", tmp_path)
        assert "openapi" in shell(f"curl -s {admin}/v1/openapi.json")
        told = shell(f"curl -s -H 'Host: curious.localhost' {edge}/v1/openapi.json")
        assert '"error": "upstream_connect"' in told


def test_its_processes_share_a_secret_key_of_its_own_that_is_on_no_command_line() -> None:
    with running_dev() as dev:
        planes = [each for each in dev.family() if {"tenants.control", "edge"} & set(each.cmdline())]
        [key] = {each.environ().get("PORTICO_SECRET_KEY", "") for each in planes}
        assert len(base64.b64decode(key)) == 32
        assert not [each for each in dev.family() if key in " ".join(each.cmdline())]


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose name leaves room for a socket's: 108 characters are all there are."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def test_when_it_is_killed_nothing_is_left(short_path: Path) -> None:
    with running_dev(TMPDIR=str(short_path)) as dev:
        family = dev.family()
        assert len(family) >= 6  # guard, Redis, origin, control plane, master, two workers
        assert list(short_path.glob("portico-dev-*"))
        dev.process.kill()
        _, alive = psutil.wait_procs(family, timeout=30)
        assert not alive
        assert not list(short_path.glob("portico-dev-*"))


@pytest.mark.parametrize(
    ("word", "name"), [("tenants.control", "control plane"), ("edge", "edge"), ("redis-server", "embedded Redis")]
)
def test_a_part_that_is_killed_ends_all_of_it_with_one_line_that_says_so(word: str, name: str) -> None:
    with running_dev() as dev:
        family = dev.family()
        # the edge's workers look like their master, which comes first
        part = next(each for each in family if word in " ".join(each.cmdline()[:3]).replace("/", " ").split())
        part.kill()
        _, error = dev.process.communicate(timeout=40)
        assert (dev.process.returncode, error) == (1, f"portico dev: the {name} was ended by signal 9 (SIGKILL)\n")
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive


def test_its_redis_is_reached_by_a_socket_of_the_users_own_alone_as_it_prints() -> None:
    with running_dev() as dev:
        [path] = re.findall(r"^  redis      redis-cli -s (\S+)$", dev.printed, re.MULTILINE)
        [server] = [each for each in dev.family() if "redis" in each.name()]
        assert not server.net_connections(kind="inet")
        assert any(folder.stat().st_mode & 0o077 == 0 for folder in Path(path).parents)
        with redis.Redis(unix_socket_path=path) as client:
            assert client.hkeys(keys.documents()) == [b"demo"]


def test_with_a_redis_of_the_users_the_demo_is_kept_and_its_key_replaced(own_redis: RedisProcess) -> None:
    answers = []
    for _ in range(2):
        with running_dev("--redis", own_redis.url) as dev:
            assert not [each for each in dev.family() if "redis" in each.name()]
            assert "redis-cli" not in dev.printed  # the address may hold a password
            answers.append(shell(dev.commands("curl")[2]))
            told = shell(f"{dev.commands('export')[0]}; {sys.executable} -m tenants key list demo --output json")
            assert told.count('"portico dev"') == 1
    assert all('"X-Portico-Route", "api"' in answer for answer in answers)


def failed(*arguments: str, **env: str) -> str:
    command = [sys.executable, "-m", "tenants", "dev", *arguments]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("flag", ["--port", "--admin-port", "--ops-port", "--origin-port"])
def test_a_port_in_use_is_one_line_that_names_it_and_its_flag(flag: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"--port": 0, "--admin-port": 0, "--ops-port": 0, "--origin-port": 0, flag: port}
        line = failed(*(str(word) for pair in ports.items() for word in pair))
    assert line == f"portico dev: port {port} is in use; choose another with {flag}"


def test_what_else_keeps_it_from_starting_is_one_line_too() -> None:
    assert "Redis cannot be reached" in failed(*FREE_PORTS, "--redis", "redis://127.0.0.1:1/0")
    assert "at least 24 characters" in failed(*FREE_PORTS, PORTICO_BOOTSTRAP_TOKEN="short")
    assert "PORTICO_DEV_WORKERS" in failed(*FREE_PORTS, PORTICO_DEV_WORKERS="0")
