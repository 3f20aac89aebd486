"""store/scripts.py, and that every script is there and says what it does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis

import store
from store.client import Client
from store.scripts import script

LUA = Path(store.__file__).parent / "lua"
PARTS = {"window"}
NAMES = sorted({path.stem for path in LUA.glob("*.lua")} - PARTS)


@pytest.mark.parametrize("name", NAMES)
def test_every_script_opens_with_its_keys_arguments_reply_and_reason(name: str) -> None:
    text = (LUA / f"{name}.lua").read_text()
    head = re.sub(r"^-- needs \w+\n", "", text).split("\n\n", 1)[0]
    assert head.startswith(f"-- {name}: ")
    for word in ("-- KEYS", "-- Returns"):
        assert word in head
    assert "ARGV" in head or "ARGV" not in script(name).source
    assert re.search(r"[Aa]tomic|A script only so that", head)


@pytest.mark.parametrize("name", NAMES)
def test_every_script_compiles_on_the_server_under_the_hash_we_use(redis_url: str, name: str) -> None:
    with redis.Redis.from_url(redis_url) as raw:
        assert raw.script_load(script(name).source) == script(name).sha


def test_a_script_that_needs_another_has_it_before_itself() -> None:
    needing = {
        name: found[1] for name in NAMES if (found := re.match(r"-- needs (\w+)", (LUA / f"{name}.lua").read_text()))
    }
    assert set(needing.values()) == PARTS
    for name, needed in needing.items():
        assert script(name).source.startswith((LUA / f"{needed}.lua").read_text())


def test_a_script_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        script("nothing")


async def test_a_script_runs_by_hash_and_by_text_when_the_server_forgot_it(client: Client, redis_url: str) -> None:
    args: list[str | int | bytes] = ["", 10, 1000]
    with redis.Redis.from_url(redis_url) as raw:
        raw.config_resetstat()
        for calls_of_eval in (1, 1, 2):
            assert await client.run(script("tenants"), ["{cfg}:docs", "{cfg}:names"], args) == [1]
            assert raw.info("commandstats")["cmdstat_eval"]["calls"] == calls_of_eval
            if calls_of_eval == 1 and raw.info("commandstats")["cmdstat_evalsha"]["calls"] == 2:
                raw.script_flush()
