from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from edge.telemetry import access_log
from edge.telemetry.access_log import MAX_WRITE_BYTES, AccessRecord, FileLog, NoLog, line_of, open_access_log

RECORD = AccessRecord(
    started_at_s=1_795_000_000.25,
    request_id="r1",
    remote="192.0.2.1",
    method="GET",
    host="shop.acme.com",
    path="/v1/x",
    has_query=True,
    status=200,
    duration_s=0.0123456,
    received_bytes=0,
    sent_bytes=120,
    tenant="acme",
)


def test_a_line_is_json_with_a_time_a_duration_and_no_empty_fields() -> None:
    told = json.loads(line_of(RECORD))
    assert told["at"] == "2026-11-18T11:06:40.250Z"
    assert told["duration_ms"] == 12.346
    assert (told["tenant"], told["has_query"], told["received_bytes"]) == ("acme", True, 0)
    assert "error" not in told


def test_a_line_tells_of_a_target_what_there_is_to_tell() -> None:
    names = {"target", "attempts", "upstream_ms"}
    assert names.isdisjoint(json.loads(line_of(RECORD)))
    once = json.loads(line_of(RECORD._replace(target="10.0.0.5:9000", attempts=1, upstream_s=0.0)))
    assert {name: once[name] for name in names & set(once)} == {"target": "10.0.0.5:9000", "upstream_ms": 0.0}
    failed = json.loads(line_of(RECORD._replace(target="10.0.0.5:9000", attempts=3)))
    assert {name: failed[name] for name in names & set(failed)} == {"target": "10.0.0.5:9000", "attempts": 3}


@pytest.mark.parametrize("path", ['/a"\n{"status":200}', "/\x00\x1b[31m", "/\u2028é", "/\udcff"])
def test_nothing_a_client_sends_can_break_a_line_or_reach_a_terminal(path: str) -> None:
    line = line_of(RECORD._replace(path=path))
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    assert json.loads(line)["path"] == path


def test_a_line_fits_into_one_write_to_a_pipe_whatever_its_fields_hold() -> None:
    long = "\x01" * 10_000
    texts: dict[str, Any] = {name: long for name, value in RECORD._asdict().items() if isinstance(value, str)}
    worst = RECORD._replace(**texts)
    assert len(line_of(worst)) <= MAX_WRITE_BYTES
    json.loads(line_of(worst))


async def test_records_reach_the_file_in_order_by_the_time_the_log_is_closed(tmp_path: Path) -> None:
    log = open_access_log(str(tmp_path / "access.log"))
    for number in range(1200):
        log.add(RECORD._replace(request_id=str(number)))
    await log.close()
    lines = (tmp_path / "access.log").read_text().splitlines()
    assert [json.loads(line)["request_id"] for line in lines] == [str(number) for number in range(1200)]
    assert log.dropped == 0


async def test_a_lone_record_is_written_without_waiting_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "FLUSH_S", 0.01)
    read_end, write_end = os.pipe()
    log = FileLog(write_end)
    log.add(RECORD)
    line = await asyncio.to_thread(os.read, read_end, MAX_WRITE_BYTES)
    assert json.loads(line)["request_id"] == "r1"
    await log.close()
    os.close(read_end)
    os.close(write_end)


async def test_a_log_nobody_reads_drops_and_counts_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access_log, "CLOSE_S", 0.05)
    read_end, write_end = os.pipe()
    log = FileLog(write_end)
    for _ in range(access_log.MAX_PENDING_RECORDS + 100):
        log.add(RECORD)
    assert log.dropped >= 100
    await log.close()  # the thread is stuck in a write; this returns all the same
    os.set_blocking(read_end, False)
    assert os.read(read_end, 10)
    os.close(read_end)  # frees the thread: its write fails now


async def test_a_log_whose_reader_is_gone_counts_what_was_lost() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    log = FileLog(write_end)
    log.add(RECORD)
    await log.close()
    assert log.dropped == 1
    os.close(write_end)


async def test_off_makes_no_records() -> None:
    log = open_access_log("off")
    assert isinstance(log, NoLog)
    assert not log.is_enabled
    log.add(RECORD)
    await log.close()


async def test_a_file_that_cannot_be_opened_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        open_access_log(str(tmp_path / "missing" / "access.log"))


@pytest.mark.parametrize("field", ["request_id", "remote", "method", "host", "path", "tenant", "target"])
@pytest.mark.parametrize(("given", "kept"), [(512, 512), (513, 512), (600, 512)])
def test_a_text_of_any_field_is_cut_at_512_characters_however_short_the_others_are(
    field: str, given: int, kept: int
) -> None:
    plain = AccessRecord(0.0, "", "", "", "", "", False, 200, 0.0, 0, 0)
    fields: dict[str, Any] = {field: "x" * given}
    line = json.loads(line_of(plain._replace(**fields)))
    assert len(line[field]) == kept
