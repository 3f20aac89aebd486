"""store/errors.py: whose fault, whether to try again, and nothing that must not be said."""

from __future__ import annotations

import pytest

from store import errors
from store.errors import (
    AlreadyExists,
    BadRedisUrl,
    HostClaimed,
    NotFound,
    RecordUnreadable,
    RevisionConflict,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)


@pytest.mark.parametrize(
    ("error", "retry_safe", "message"),
    [
        (StoreUnavailable("down"), True, "down"),
        (StoreUnavailable("down", ambiguous=True), False, "down (the write may have happened)"),
        (StoreRefused("wrong password"), False, "wrong password"),
        (RevisionConflict(7), False, "the document is at revision 7"),
        (RevisionConflict(0), False, "there is no such document"),
        (HostClaimed(["b.test", "a.test"]), False, "already claimed: a.test, b.test"),
        (NotFound("tenant acme"), False, "tenant acme does not exist"),
        (AlreadyExists("API key k1"), False, "API key k1 exists already"),
        (RecordUnreadable("acme", 7, "cut short"), False, "tenant acme at revision 7 cannot be read: cut short"),
        (BadRedisUrl("no host"), False, "no host"),
    ],
)
def test_every_error_says_what_is_wrong_and_whether_to_try_again(
    error: StoreError, retry_safe: bool, message: str
) -> None:
    assert str(error) == message
    assert error.retry_safe is retry_safe


def test_the_tree_at_the_top_of_the_file_names_every_error() -> None:
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, StoreError):
            assert name in (errors.__doc__ or "")
