"""Bytes that nobody should send, to a running edge and back from its target; `make fuzz` goes on for an hour."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from store.embedded import RedisProcess
from tests.fuzz.families import CORPUS, kept_example
from tests.fuzz.properties import check_answers, survives_answers, survives_requests
from tests.fuzz.rig import Heard, Rig, Violation, running_rig
from tests.fuzz.seeds import ANSWERS, REQUESTS, get
from tests.fuzz.strategies import ANSWER_ATTACKS, BODY_ATTACKS, REQUEST_ATTACKS, Attack

# The same examples each time, each of up to sixteen connections at once; what fails is made small by `make fuzz`.
SHORT = settings(
    max_examples=30,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def rig(redis_server: RedisProcess) -> Iterator[Rig]:
    with running_rig(redis_server.url) as running:
        yield running


@SHORT
@given(REQUEST_ATTACKS)
def test_spoilt_requests_are_refused_or_served_and_harm_nobody(rig: Rig, attacks: list[Attack]) -> None:
    rig.run(survives_requests(rig, attacks))


@SHORT
@given(BODY_ATTACKS)
def test_spoilt_chunks_are_refused_or_served_and_harm_nobody(rig: Rig, attacks: list[Attack]) -> None:
    rig.run(survives_requests(rig, attacks))


@SHORT
@given(ANSWER_ATTACKS)
def test_spoilt_answers_become_a_502_or_are_seen_to_be_broken_and_harm_nobody(rig: Rig, attacks: list[Attack]) -> None:
    rig.run(survives_answers(rig, attacks))


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.json")), ids=lambda path: path.stem)
def test_what_was_found_once_is_survived(rig: Rig, path: Path) -> None:
    family, example = kept_example(path)
    family.check(rig, example)


def test_what_the_mutations_begin_with_is_served(rig: Rig) -> None:
    rig.run(survives_requests(rig, [Attack((each,), "wait") for each in REQUESTS]))
    rig.run(survives_answers(rig, [Attack((each,), "close") for each in ANSWERS]))
    heard = rig.run(rig.attacked(rig.tagged(Attack((get(0) + get(1),), "wait"))))
    assert heard.data.count(b"HTTP/1.1 200 OK\r\n") == 2


@pytest.mark.parametrize(
    ("heard", "property_name"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Serial: 0\r\nContent-Length: 1\r\n\r\nx", "crossed"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "status"),
        (b"HTTP/1.1 400 No\r\nContent-Length: 2\r\n\r\n{}" * 2, "surplus"),
        (b"HTTP/1.1 400 No\r\nContent-Length: 9\r\n\r\n{}", "cut"),
        (b"HTTP/1.1 400 No\r\nContent-Length: 2\n\r\n{}\r\n\r\n", "malformed"),
        (b"", "silent"),
    ],
)
def test_an_answer_that_should_not_be_is_noticed(rig: Rig, heard: bytes, property_name: str) -> None:
    rig.run(survives_requests(rig, [Attack((get(0),), "wait")]))
    rig.was_late()
    with pytest.raises(Violation) as found:
        check_answers(rig, Attack((get(1),), "wait"), Heard(heard, "eof"))
    assert found.value.property_name == property_name


def test_what_the_edge_logs_as_an_error_is_noticed(rig: Rig) -> None:
    logging.getLogger("portico.edge").error("request %s failed", "x")
    with pytest.raises(Violation, match="request x failed"):
        rig.run(rig.settled())


def test_a_request_that_nobody_made_is_noticed(rig: Rig) -> None:
    rig.complain("the target received what is no request")
    with pytest.raises(Violation, match="no request"):
        rig.run(rig.settled())
