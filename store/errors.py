# ruff: noqa: N818 - the names say what happened; they are the vocabulary of both planes
"""What the store can say went wrong.

    StoreError                        everything below
    ├── StoreUnavailable              no usable answer in time: ours to wait for, never the caller's fault
    ├── StoreRefused                  the server said no: password, permission, memory, wrong type
    ├── RevisionConflict              the document moved on since the caller read it
    ├── HostClaimed                   another tenant owns one of the hosts
    ├── NotFound                      nothing is kept under that name
    ├── AlreadyExists                 something else is kept under that id
    ├── RecordUnreadable              bytes in the store that are not a record of ours
    └── BadRedisUrl                   the URL in the settings cannot be used

    CodecError                        in store/codec.py: bytes that are no record, or a record too large
    SealBroken                        in store/sealing.py: it was not sealed here, or for something else
    RedisBinaryError, RedisStartError in store/embedded.py: the private Redis of `portico dev`
    DocumentError (a ValueError)      in store/model/faults.py: a tenant's document that breaks the rules

Whose fault: `StoreUnavailable`, `StoreRefused` and `RecordUnreadable` are the installation's, `BadRedisUrl`
is the operator's, the others are the caller's. No message holds a password, a key or a record's
content.
"""

from __future__ import annotations

from collections.abc import Iterable


class StoreError(Exception):
    """The store could not do what it was asked."""

    retry_safe: bool = False
    """Whether the same call may be made again without looking first."""


class StoreUnavailable(StoreError):
    """Redis is down, frozen, cut off or too slow; nothing is known to be wrong with the request.

    `ambiguous` is True when a write had been sent and its answer never came: it may have happened, once.
    A caller then reads before it writes again, or writes with the revision it expects.
    """

    def __init__(self, reason: str, *, ambiguous: bool = False) -> None:
        super().__init__(f"{reason} (the write may have happened)" if ambiguous else reason)
        self.reason = reason
        self.ambiguous = ambiguous
        self.retry_safe = not ambiguous


class StoreRefused(StoreError):
    """Redis answered with a refusal: wrong password, missing permission, memory full, replica, wrong type."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RevisionConflict(StoreError):
    """The document is at another revision than the caller expected; `current` is 0 when there is none."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the document is at revision {current}" if current else "there is no such document")
        self.current = current


class HostClaimed(StoreError):
    """Hosts that another tenant already owns; which tenant is not said, on purpose."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self.hosts = tuple(sorted(hosts))
        super().__init__(f"already claimed: {', '.join(self.hosts)}")


class NotFound(StoreError):
    """Nothing is kept under that name."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} does not exist")
        self.what = what


class AlreadyExists(StoreError):
    """Something is kept under that id already, and is not to be overwritten."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} exists already")
        self.what = what


class RecordUnreadable(StoreError):
    """A tenant's bytes in the store are not a record of ours; the other tenants are not touched by it.

    `revision` is 0 where it is not known.
    """

    def __init__(self, tenant: str, revision: int, reason: str) -> None:
        where = f"tenant {tenant} at revision {revision}" if revision else f"tenant {tenant}"
        super().__init__(f"{where} cannot be read: {reason}")
        self.tenant = tenant
        self.revision = revision
        self.reason = reason


class BadRedisUrl(StoreError):
    """A Redis URL that cannot be used; the message is one line and never holds the URL's password."""
