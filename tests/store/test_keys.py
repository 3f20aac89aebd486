"""store/keys.py: names of keys, and the slots they fall into."""

from __future__ import annotations

import inspect

import pytest
from redis.crc import key_slot

from store import keys

CONFIGURATION = [
    keys.epoch(),
    keys.revision(),
    keys.documents(),
    keys.changes(),
    keys.callers(),
    keys.run(),
    keys.names(),
    keys.hosts(),
    keys.claims("acme"),
    keys.history("acme"),
    keys.api_keys("acme"),
    keys.key_uses("acme"),
    keys.tokens(),
    keys.audit(),
    keys.done("1f"),
]
FLEET = [keys.reports(), keys.heartbeats()]
LIMITS = [keys.limit("acme", "per-key", "k1"), keys.limit("acme", "per-ip", "::1"), keys.limit("acme", "h", "a}b{c}")]
LIMITS += [keys.limits("acme"), keys.places("acme", "per-key", "k1")]
SESSIONS = [
    keys.session("acme", "id"),
    keys.session_mark("acme"),
    keys.session_mark("acme", "ann"),
    keys.login("acme", "state"),
]
CHANNELS = [keys.tick_channel(), keys.ack_channel(), keys.ended_sessions()]


@pytest.mark.parametrize("group", [CONFIGURATION, FLEET, LIMITS, SESSIONS])
def test_what_one_script_touches_lies_in_one_slot(group: list[str]) -> None:
    assert len({key_slot(name.encode()) for name in group}) == 1


def test_limits_of_two_tenants_need_not_share_a_slot() -> None:
    slots = {key_slot(keys.limit(f"t{n}", "per-key", "k").encode()) for n in range(50)}
    assert len(slots) > 40


def test_a_browsers_secrets_are_in_no_name() -> None:
    assert not [name for name in (keys.session("acme", "s3cret"), keys.login("acme", "s3cret")) if "s3cret" in name]


def test_no_two_names_are_alike_and_none_is_forgotten_here() -> None:
    names = CONFIGURATION + FLEET + LIMITS + SESSIONS + CHANNELS
    assert len(set(names)) == len(names)
    functions = [
        name
        for name, value in inspect.getmembers(keys, inspect.isfunction)
        if value.__module__ == "store.keys"
        and name not in ("plain", "digest")
        and not name.startswith("_")  # parts of names
    ]
    assert len(functions) == len(names) - 3  # the limit is shown three times, the mark of a session twice


@pytest.mark.parametrize("key", ["x" * 65, "x" * 100_000, "é", "\udcff"])
def test_a_long_or_odd_limit_key_becomes_a_digest(key: str) -> None:
    name = keys.limit("acme", "per-header", key)
    assert name.isascii()
    assert len(name) < 64
    assert name != keys.limit("acme", "per-header", key + "x")
