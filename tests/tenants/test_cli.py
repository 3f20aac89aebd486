"""The command as a whole: its exit statuses, and never a traceback."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from store.fleet import WorkerReport
from tests.tenants.plane import OPERATOR, Plane
from tests.tenants.portico import Portico
from tests.tenants.test_control import REPOSITORY


async def process(*arguments: str, env: Mapping[str, str] | None = None) -> tuple[int | None, str, str]:
    """Run `python -m tenants ...` as a process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PORTICO_")}
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tenants", *arguments, cwd=REPOSITORY, env={**clean, **(env or {})},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await running.communicate()
    return running.returncode, out.decode(), err.decode()


async def test_as_a_process_it_talks_to_the_api_and_keeps_errors_off_standard_output(acme: Plane) -> None:
    env = {"PORTICO_ADMIN_URL": acme.url, "PORTICO_TOKEN": OPERATOR}
    status, out, err = await process("tenant", "list", "-o", "json", env=env)
    assert (status, err) == (0, "")
    assert '"acme"' in out
    status, out, err = await process("tenant", "get", "none", env=env)
    assert (status, out, err) == (1, "", "portico: there is no tenant 'none'\n")
    status, out, err = await process("tenant", "get", env=env)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["control", "edge", "dev"])
async def test_the_processes_have_help_of_their_own(command: str) -> None:
    status, out, err = await process(command, "--help")
    assert (status, err) == (0, "")
    assert f"portico {command}" in out.splitlines()[0]


async def test_a_reader_that_has_enough_ends_it_quietly(acme: Plane) -> None:
    for number in range(60):
        await acme.put(f"tenant-{number}", name="x" * 250)
    command = f"'{sys.executable}' -m tenants export | head -n 1"
    env = {**os.environ, "PORTICO_ADMIN_URL": acme.url, "PORTICO_TOKEN": OPERATOR}
    running = await asyncio.create_subprocess_shell(
        command, cwd=REPOSITORY, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await running.communicate()
    assert (out, err) == (b"tenant: acme\n", b"")


@pytest.mark.parametrize(
    "arguments",
    [
        ("bogus",),
        ("tenant", "bogus"),
        ("tenant", "list", "--bogus"),
        ("tenant", "list", "extra"),
        ("tenant", "list", "--output", "xml"),
        ("key", "create", "acme"),
        ("rollback", "acme"),
        ("cert", "list"),
        ("explain", "GET", "http://x/"),
        ("--admin-url", "ftp://x", "tenant", "list"),
        ("--admin-url", "http://", "tenant", "list"),
    ],
)
async def test_wrong_usage_is_one_line_and_status_2(portico: Portico, arguments: tuple[str, ...]) -> None:
    ended = await portico(*arguments)
    assert (ended.status, ended.out) == (2, "")
    assert "Value error" not in ended.err
    assert ended.lines[0].startswith("portico: ")
    assert len(ended.lines) <= 2


@pytest.mark.parametrize("arguments", [(), ("tenant",), ("key",)])
async def test_asked_for_nothing_it_shows_its_help(portico: Portico, arguments: tuple[str, ...]) -> None:
    ended = await portico(*arguments)
    assert (ended.status, ended.out) == (2, "")
    assert ended.lines[0].startswith("Usage: portico")


async def test_help_is_for_standard_output(portico: Portico) -> None:
    for arguments in (["--help"], ["tenant", "--help"], ["apply", "--help"]):
        ended = await portico.ok(*arguments)
        assert "Usage: portico" in ended.out
        assert ended.err == ""


async def test_every_command_says_in_one_line_what_it_does(portico: Portico) -> None:
    for arguments in ([], ["tenant"], ["domain"], ["route"], ["key"], ["token"], ["plans"]):
        shown = (await portico.ok(*arguments, "--help")).out.partition("Commands:")[2]
        rows = [line for line in shown.splitlines() if line.strip()]
        assert len(rows) >= 3
        assert not [row for row in rows if row.endswith("...")]


async def test_a_wrong_token_is_refused_and_no_token_is_usage(portico: Portico, plane: Plane) -> None:
    portico.be(plane.url, "not-a-token")
    refused = await portico("tenant", "list")
    assert (refused.status, refused.lines) == (1, ["portico: this token is not known here"])
    portico.be(plane.url, "")
    assert ((await portico("tenant", "list")).status) == 2


async def test_nobody_at_the_address_is_one_line_and_status_2(portico: Portico) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    portico.be(f"http://127.0.0.1:{port}")
    ended = await portico("tenant", "list")
    assert (ended.status, ended.lines) == (
        2,
        [f"portico: cannot connect to http://127.0.0.1:{port}: Connection refused"],
    )


@asynccontextmanager
async def stranger(answer: bytes | None) -> AsyncIterator[str]:
    """A server that is no admin API: it sends this and closes, or says nothing at all (None)."""
    is_over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await is_over.wait()
        else:
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            is_over.set()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n{",
        b'HTTP/1.1 421 Misdirected Request\r\nContent-Length: 20\r\nConnection: close\r\n\r\n{"error": "no_host"}',
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
async def test_who_is_no_admin_api_is_said_to_be_none(portico: Portico, answer: bytes) -> None:
    async with stranger(answer) as url:
        portico.be(url)
        ended = await portico("tenant", "list")
    assert (ended.status, len(ended.lines), ended.out) == (2, 1, "")
    assert url in ended.err


async def test_who_does_not_speak_tls_is_said_so_in_words(portico: Portico, plane: Plane) -> None:
    url = plane.url.replace("http:", "https:")
    portico.be(url)
    ended = await portico("tenant", "list")
    assert (ended.status, ended.lines) == (2, [f"portico: cannot speak TLS with {url}: wrong version number"])


async def test_a_server_that_never_answers_is_given_up(portico: Portico, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.commands.client.TIMEOUT_S", 0.1)
    async with stranger(None) as url:
        portico.be(url)
        ended = await portico("tenant", "list")
    assert (ended.status, ended.lines) == (2, [f"portico: {url} did not answer within 0.1s"])


async def test_what_others_wrote_moves_no_cursor(portico: Portico, acme: Plane) -> None:
    await acme.fleet.report(WorkerReport("n/0/1", "n", 1, "e", 0, 0, last_error="\x1b[31mred\x07\u202e"))
    shown = (await portico.ok("nodes")).out
    assert "\\x1b[31mred\\x07\\u202e" in shown
    assert shown.replace("\n", "").isprintable()
    await acme.put("acme", name="[red]not markup[/red]")
    assert "[red]not markup[/red]" in (await portico.ok("tenant", "list")).out
