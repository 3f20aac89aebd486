from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.compare.machine import choose_cores, many_files
from loadtest.compare.nginx_server import running_origin_nginx
from loadtest.compare.stage import Caller, Running, Stage
from loadtest.compare.systems import nginx_lua
from store.client import connect

SCRIPT = Path(nginx_lua.__file__).with_name("limit.lua").read_text()
HOUR_US = 3_600_000_000


async def test_the_peers_limit_admits_a_burst_and_no_more(redis_url: str) -> None:
    async with connect(redis_url, "control") as client:
        replies = [await client.ask("EVAL", SCRIPT, 1, "a", HOUR_US, 3) for _ in range(5)]
        other = await client.ask("EVAL", SCRIPT, 1, "b", HOUR_US, 3)
    assert [reply[0] for reply in replies] == [1, 1, 1, 0, 0]
    assert [reply[1] for reply in replies] == [2, 1, 0, 0, 0]
    assert other[0] == 1


async def test_the_peers_limit_comes_back_with_time(redis_url: str) -> None:
    async with connect(redis_url, "control") as client:
        async with asyncio.timeout(10):
            while (await client.ask("EVAL", SCRIPT, 1, "a", 1_000, 2))[0] == 1:
                pass
            while (await client.ask("EVAL", SCRIPT, 1, "a", 1_000, 2))[0] == 0:
                pass


async def status_of(running: Running, caller: Caller) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(caller.request("/"))
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


@pytest.mark.skipif(nginx_lua.version() is None, reason="needs nginx with its Lua module: see loadtest/README.md")
async def test_the_peer_checks_what_portico_checks(tmp_path: Path) -> None:
    cores = choose_cores(os.sched_getaffinity(0))
    with many_files() as files:
        stages = [Stage(tmp_path / name, cores, 0, 0, files) for name in ("origin", "peer")]
        for stage in stages:
            stage.folder.mkdir()
        async with running_origin_nginx(stages[0]) as origin_port:
            async with nginx_lua.start(replace(stages[1], origin_port=origin_port), 2) as running:
                first, second = running.callers
                assert [await status_of(running, caller) for caller in (first, second)] == [200, 200]
                assert await status_of(running, Caller("stranger.example.com", first.secret)) == 421
                assert await status_of(running, Caller(first.host, second.secret)) == 401
                assert await status_of(running, Caller(first.host, "nonsense")) == 401
                assert await status_of(running, Caller(first.host)) == 401
