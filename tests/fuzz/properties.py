"""What must hold whatever is sent: no answer crosses over, nothing is made up, nobody else suffers, everything ends."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from edge.errors import EdgeError
from edge.paths import normalise_path, split_target
from tests.fuzz.origin import SERIAL, Asked, said_back
from tests.fuzz.rig import HANG_S, Heard, Rig, Violation
from tests.fuzz.seeds import get, sized
from tests.fuzz.strategies import Attack
from tests.fuzz.wire import UNTIL_CLOSE, Answer, Incomplete, Malformed, Request, read_answer, read_requests

REFUSED = frozenset({400, 403, 404, 405, 408, 413, 414, 417, 421, 431, 501, 505})
FAILED = frozenset({502, 504})
_SETTLE_S = 0.01
_LENIENTLY_READ = re.compile(rb"(?<!\r)\n|\r(?!\n)|\x00")


async def survives_requests(rig: Rig, attacks: Sequence[Attack]) -> None:
    """Send all attacks at once beside a good client; hold what was heard against what a strict reader makes of it."""
    rig.was_late()
    attacks = [rig.tagged(attack) for attack in attacks]
    first = len(rig.origin.asked)
    good = asyncio.create_task(_good_work(rig))
    try:
        heard = await asyncio.gather(*map(rig.attacked, attacks))
        expected = await good
    finally:
        good.cancel()
    await rig.settled()
    received = Counter(rig.origin.asked[first:])
    for attack, answers in zip(attacks, heard, strict=True):
        asked = [each for each in map(_as_asked, read_requests(attack.data, allows_spaces=True)[0]) if each is not None]
        expected.update(asked)
        check_answers(rig, attack, answers)
    if received - expected:
        raise Violation("made_up", f"the target was asked {dict(received - expected)}, by {attacks}")


async def survives_answers(rig: Rig, attacks: Sequence[Attack]) -> None:
    """Let the target answer with all attacks at once, then ask it as often for what it answers as it should."""
    attacks = [rig.tagged(attack) for attack in attacks]
    good = asyncio.create_task(_good_work(rig))
    try:
        await asyncio.gather(*(_one_answer(rig, attack) for attack in attacks))
        await good
        await asyncio.sleep(_SETTLE_S)  # what a target says too late to be known from an answer is its own affair
        rig.was_late()
        after = await asyncio.gather(*(_after(rig) for _ in attacks))
        if wrong := [each for each in after if each is not None]:
            is_late = rig.was_late() and all(each.data.startswith(b"HTTP/1.1 504 ") for each in wrong)
            if not is_late:
                raise Violation("poisoned", f"{wrong}")
    finally:
        good.cancel()
        rig.origin.scripts.clear()
    await rig.settled()


# -- requests ----------------------------------------------------------------------------------------------------------


def _as_asked(request: Request) -> Asked | None:
    """Say as what a request reaches the target, or None when the edge has to refuse its path."""
    path, query = split_target(request.target.decode("utf-8", "surrogateescape"))
    try:
        target = normalise_path(path) + (f"?{query}" if query else "")
    except EdgeError:
        return None
    return Asked(request.method, target.encode("utf-8", "surrogateescape"), request.body)


def check_answers(rig: Rig, attack: Attack, heard: Heard) -> None:
    """Check that each answer is the one to the request in its place."""
    requests, why = read_requests(attack.data, allows_spaces=True)
    at, place, is_last = 0, 0, False
    while at < len(heard.data):
        request = requests[place] if place < len(requests) else None
        try:
            answer = read_answer(
                heard.data, at, _method(request, heard.data, at), has_ended=not request or heard.ended == "eof"
            )
        except Incomplete as error:
            if heard.ended == "ours":
                return
            if heard.ended == "reset" and (str(error) == UNTIL_CLOSE or b"\r\nX-Early: " in heard.data[at:]):
                return  # a peer that is still being sent to makes the end of its connection a reset
            raise Violation("cut", f"{error}: {heard} to {attack}") from None
        except Malformed as error:
            raise Violation("malformed", f"{error}: {heard} to {attack}") from None
        at = answer.end
        if answer.status == 101:
            return
        if answer.status == 100:
            continue
        _check_answer(rig, request, answer, f"{heard} to {attack}")
        is_last = answer.values(b"connection") == [b"close"]
        # To nothing but line ends a 408 may be said, as to silence (RFC 9110 section 15.5.9).
        if request is None and answer.status != 408 and (why == "end" or at < len(heard.data)):
            raise Violation("surplus", f"{heard} to {attack}")
        place += 1
    if not place and heard.ended == "eof" and attack.data.strip(b"\r\n") and not rig.was_late():
        raise Violation("silent", f"no answer to {attack}")
    if heard.ended == "reset" and not is_last:
        raise Violation("reset", f"{heard} to {attack}")


def _method(request: Request | None, data: bytes, at: int) -> str:
    """Say what method an answer is to; one that the parser refused is answered with a body, even a HEAD."""
    is_refusal = data[data.find(b"\r\n\r\n", at) + 4 :].startswith(b'{"error"')
    return "" if request is None or is_refusal else request.method


def _check_answer(rig: Rig, request: Request | None, answer: Answer, what: str) -> None:
    if answer.status != 200:
        if answer.status not in REFUSED:
            raise Violation("status", f"{answer.status}: {what}")
        if answer.body and set(json.loads(answer.body)) - {"error", "request_id"}:
            raise Violation("refusal", what)
        return
    if request is None:
        raise Violation("accepted", f"what is no request was: {what}")
    if answer.values(b"x-early"):
        return
    mine, asked = _as_asked(request), rig.origin.asked[int(answer.values(SERIAL)[0])]
    if asked != mine:
        raise Violation("crossed", f"{asked} was asked for {mine}: {what}")
    said = said_back(asked)
    if request.method != "HEAD" and answer.body not in (said, said + b"."):  # one in chunks has a dot more
        raise Violation("body", what)


# -- answers -----------------------------------------------------------------------------------------------------------


async def _one_answer(rig: Rig, script: Attack) -> None:
    word = rig.tagged(Attack((b"{{TAG0}}",), "wait")).data
    rig.origin.scripts[word] = script
    method = "HEAD" if len(script.data) % 5 == 0 else "GET"
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket" if b" 101 " in script.data else b"Connection: close"
    line = b"%b /e/%b HTTP/1.1\r\nHost: shop.test\r\n%b\r\n\r\n" % (method.encode(), word, upgrade)
    heard = await rig.attacked(Attack((line,), "wait"))
    what = f"{heard} for {method} and {script}"
    try:
        answer = read_answer(heard.data, 0, method, has_ended=False)
    except Incomplete:
        if not heard.data:
            raise Violation("silent", what) from None
        return  # seen to be broken, as it should be
    except Malformed as error:
        raise Violation("malformed", f"{error}: {what}") from None
    if answer.status == 101:
        return
    if len(heard.data) != answer.end:
        raise Violation("surplus", what)
    if answer.body.startswith(b'{"error"') or (method == "HEAD" and answer.status in FAILED):
        if answer.status not in FAILED | REFUSED:
            raise Violation("status", what)
        return
    _check_as_sent(script, method, answer, what)


def _check_as_sent(script: Attack, method: str, answer: Answer, what: str) -> None:
    """Check that a whole answer is the one that the target gave, read to the letter."""
    at = 0
    try:
        while True:
            sent = read_answer(script.data, at, method, has_ended=script.end == "close", allows_bare_status=True)
            if sent.status >= 200:
                break
            at = sent.end
    except (Incomplete, Malformed) as error:
        if _LENIENTLY_READ.search(script.data) and not _is_head_to_the_letter(script.data, at):
            return  # llhttp takes a CR or LF for a line's end and anything for a reason; none goes any further
        raise Violation("mended", f"{error}: {what}") from None
    if (sent.status, sent.body) != (answer.status, answer.body):
        raise Violation("changed", what)


def _is_head_to_the_letter(data: bytes, at: int) -> bool:
    """Say whether it is the body that cannot be read: of that nothing is read leniently."""
    try:
        read_answer(data, at, "HEAD", has_ended=False, allows_bare_status=True)
    except (Incomplete, Malformed):
        return False
    return True


# -- everybody else ----------------------------------------------------------------------------------------------------


async def _after(rig: Rig) -> Heard | None:
    """Ask the target that has just misbehaved: what it said too much must not be taken for the answer.

    Gives what was heard instead of the right one.
    """
    word = rig.tagged(Attack((b"{{TAG0}}",), "wait")).data
    request = b"GET /after/%b HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n" % word
    heard = await rig.attacked(Attack((request,), "wait"))
    return None if said_back(Asked("GET", b"/after/" + word, b"")) in heard.data else heard


async def _good_work(rig: Rig) -> Counter[Asked]:
    """Ask for a few things on one connection after the other; each must be answered as if nobody else were there."""
    expected: Counter[Asked] = Counter()
    for _ in range(3):
        data = rig.tagged(Attack((get(0) + sized(1) + get(2, b"Connection: close\r\n"),), "wait")).data
        requests, _ = read_requests(data)
        asked = [each for each in map(_as_asked, requests) if each is not None]
        expected.update(asked)
        said = await _answers(rig, data, len(requests))
        is_right = [each.body.removesuffix(b".") for each in said] == [said_back(each) for each in asked]
        if not is_right and not rig.was_late():
            raise Violation("good_client", f"{said} for {asked}")
    return expected


async def _answers(rig: Rig, data: bytes, count: int) -> list[Answer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.edge.port)
    try:
        writer.write(data)
        async with asyncio.timeout(HANG_S):
            heard = await reader.read()
    except TimeoutError:
        raise Violation("good_client", "got no end of its answers") from None
    finally:
        writer.close()
    answers: list[Answer] = []
    with suppress(Incomplete, Malformed):
        for _ in range(count):
            answers.append(read_answer(heard, answers[-1].end if answers else 0, "GET", has_ended=True))
    return answers
