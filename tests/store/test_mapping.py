"""store/mapping.py: foreign exceptions become ours, as a table."""

from __future__ import annotations

import ssl

import pytest
from redis import exceptions as theirs
from redis._parsers.base import BaseParser

from store.client import mapped
from store.errors import NotFound, StoreError, StoreRefused, StoreUnavailable
from store.mapping import store_error

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("error", "kind", "can_be_ambiguous"),
    [
        (theirs.ConnectionError(SECRET), StoreUnavailable, True),
        (theirs.TimeoutError(SECRET), StoreUnavailable, True),
        (TimeoutError(), StoreUnavailable, True),
        (ConnectionResetError(SECRET), StoreUnavailable, True),
        (OSError(24, SECRET), StoreUnavailable, True),
        (ssl.SSLError(SECRET), StoreUnavailable, True),
        (theirs.InvalidResponse(SECRET), StoreUnavailable, True),
        (theirs.RedisClusterException(SECRET), StoreUnavailable, True),
        (theirs.MaxConnectionsError(SECRET), StoreUnavailable, False),
        (theirs.BusyLoadingError(SECRET), StoreUnavailable, False),
        (theirs.ReadOnlyError(SECRET), StoreUnavailable, False),
        (theirs.ClusterDownError(SECRET), StoreUnavailable, False),
        (theirs.TryAgainError(SECRET), StoreUnavailable, False),
        (theirs.ResponseError(f"NOREPLICAS {SECRET}"), StoreUnavailable, False),
        (theirs.ResponseError(f"BUSY {SECRET}"), StoreUnavailable, False),
        (theirs.AuthenticationError(SECRET), StoreRefused, False),
        (theirs.AuthorizationError(SECRET), StoreRefused, False),
        (theirs.AuthenticationWrongNumberOfArgsError(SECRET), StoreRefused, False),
        (theirs.NoPermissionError(SECRET), StoreRefused, False),
        (theirs.OutOfMemoryError(SECRET), StoreRefused, False),
        (theirs.ResponseError(f"WRONGTYPE {SECRET}"), StoreRefused, False),
        (theirs.ResponseError(""), StoreRefused, False),
    ],
)
def test_every_foreign_error_becomes_ours_and_tells_nothing_it_should_not(
    error: Exception, kind: type[StoreError], can_be_ambiguous: bool
) -> None:
    for sent_write in (False, True):
        ours = store_error(error, sent_write)
        assert type(ours) is kind
        assert getattr(ours, "ambiguous", False) is (sent_write and can_be_ambiguous)
        assert SECRET not in str(ours)
        assert "\n" not in str(ours)


IN_A_SCRIPT = f"Error running script (call to f_{'0a' * 20}): @user_script:1: "  # how Redis 6.2 puts it


@pytest.mark.parametrize(
    ("reply", "kind", "told"),
    [
        (f"OOM {SECRET}", StoreRefused, "Redis is out of memory (OOM)"),
        (f"NOAUTH {SECRET}", StoreRefused, "Redis refused the user name or password (NOAUTH)"),
        (f"WRONGPASS {SECRET}", StoreRefused, "Redis refused the user name or password (WRONGPASS)"),
        (f"NOPERM {SECRET}", StoreRefused, "the Redis user lacks a permission that is needed (NOPERM)"),
        (f"MISCONF {SECRET}", StoreRefused, "Redis refused the command (MISCONF)"),
        (f"EXECABORT {SECRET}", StoreRefused, "Redis refused the command (EXECABORT)"),
        (f"READONLY {SECRET}", StoreUnavailable, "failing over or resharding (READONLY)"),
        (f"LOADING {SECRET}", StoreUnavailable, "failing over or resharding (LOADING)"),
        (f"MASTERDOWN {SECRET}", StoreUnavailable, "(MASTERDOWN)"),
        (f"NOREPLICAS {SECRET}", StoreUnavailable, "Redis cannot serve this now (NOREPLICAS)"),
        (f"ERR {IN_A_SCRIPT}@user_script: 1: -OOM {SECRET}", StoreRefused, "Redis is out of memory (OOM)"),
        (f"ERR {IN_A_SCRIPT}@user_script: 1: -READONLY {SECRET}", StoreUnavailable, "cannot serve this now (READONLY)"),
        (f"ERR {IN_A_SCRIPT}@user_script: 1: -NOREPLICAS {SECRET}", StoreUnavailable, "(NOREPLICAS)"),
        (f"ERR {IN_A_SCRIPT}WRONGTYPE {SECRET}", StoreRefused, "Redis refused the command (WRONGTYPE)"),
        (f"ERR {IN_A_SCRIPT}user_script:1: {SECRET}", StoreRefused, "Redis refused the command (ERR)"),
        (f"ERR {IN_A_SCRIPT}@user_script: 1: The user {SECRET}", StoreRefused, "Redis refused the command (ERR)"),
        (f"ERR The user {SECRET}", StoreRefused, "Redis refused the command (ERR)"),
        (f"ERR HUNTER {SECRET}", StoreRefused, "Redis refused the command (ERR)"),
        (SECRET, StoreRefused, "Redis refused the command (ResponseError)"),
        ("A" * 21, StoreRefused, "Redis refused the command (ResponseError)"),
        ("OOM2 x", StoreRefused, "Redis refused the command (ResponseError)"),
        ("", StoreRefused, "Redis refused the command (ResponseError)"),
    ],
)
def test_a_reply_is_told_by_its_code_and_nothing_else_of_it(reply: str, kind: type[StoreError], told: str) -> None:
    ours = store_error(BaseParser.parse_error(reply), False)  # type: ignore[no-untyped-call]
    assert type(ours) is kind
    assert str(ours).endswith(told)
    assert SECRET not in str(ours)


def test_the_cause_is_kept_and_our_own_errors_pass_through() -> None:
    cause = theirs.ConnectionError("gone")
    with pytest.raises(StoreUnavailable) as caught, mapped():
        raise cause
    assert caught.value.__cause__ is cause
    ours = NotFound("tenant acme")
    with pytest.raises(NotFound) as passed, mapped():
        raise ours
    assert passed.value is ours


def test_a_mistake_of_our_own_is_not_dressed_up_as_the_stores() -> None:
    for mistake in (KeyError("x"), theirs.DataError("x")):
        with pytest.raises(type(mistake)), mapped():
            raise mistake
