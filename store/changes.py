"""What goes into the catalog and what comes out of it: the values, and their form in Redis. Pure, no I/O."""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from store.codec import (
    CodecError,
    Envelope,
    TenantRecord,
    encode,
    encode_api_key,
    open_envelope,
    pack_fields,
    unpack_fields,
)
from store.errors import RecordUnreadable
from store.head import whole_revision
from store.scripts import Argument
from store.secrets import ApiKeyRecord

REVISION = struct.Struct(">QQ")
LAST_REVISION = 2**53 - 1  # a Lua number is a double
HISTORY_HEAD = struct.Struct(">QQI")


class Keep(enum.Enum):
    """The type of KEEP."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP
"""As a change's record: the document stays as it is."""


@dataclass(frozen=True)
class Change:
    """One change of one tenant: its record (None deletes the tenant, KEEP leaves it) and its API keys.

    `claims` are all hosts the tenant owns afterwards; None derives them from the record. `detail` goes into
    the audit log as it is and must hold no secret.
    """

    tenant: str
    record: TenantRecord | Keep | None
    put_keys: tuple[ApiKeyRecord, ...] = ()
    drop_keys: tuple[str, ...] = ()
    claims: frozenset[str] | None = None
    actor: str = ""
    action: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.record is None and (self.put_keys or self.drop_keys):
            raise ValueError("deleting a tenant deletes its API keys: none can be put or dropped with it")

    @property
    def mode(self) -> str:
        """The script's word for what happens to the document."""
        if self.record is None:
            return "drop"
        return "keep" if isinstance(self.record, Keep) else "put"

    def owned_hosts(self) -> frozenset[str]:
        """The hosts to claim; all others that the tenant had are freed."""
        if self.claims is not None:
            return self.claims
        return self.record.claimed_hosts() if isinstance(self.record, TenantRecord) else frozenset()


@dataclass(frozen=True)
class Commit:
    """A change that happened. `durable`: the replicas asked for have it too; None when none were asked for."""

    revision: int
    durable: bool | None


@dataclass(frozen=True)
class Stored:
    """A tenant as kept; `revision` is its document's, the payload is not looked at before `envelope()`.

    In front of a payload that is no envelope, `revision` is a number out of unknown bytes: good to be compared with by
    a commit, never to be shown. RecordUnreadable has 0 in its place then.
    """

    tenant: str
    revision: int
    payload: bytes = field(repr=False)

    def envelope(self) -> Envelope:
        """Open the payload. Raises RecordUnreadable."""
        try:
            return open_envelope(self.payload, self.tenant)
        except CodecError as error:
            raise RecordUnreadable(self.tenant, 0, error.reason) from error

    def record(self) -> TenantRecord:
        """Decode the payload. Raises RecordUnreadable."""
        try:
            return self.envelope().record()
        except CodecError as error:
            raise RecordUnreadable(self.tenant, self.revision, error.reason) from error


@dataclass(frozen=True)
class Page:
    """Tenants in the order of their names; `cursor` fetches the next page, None ends."""

    items: list[Stored]
    cursor: str | None


@dataclass(frozen=True)
class Item:
    """A tenant that changed: `revision` of its last change of any kind, `doc_revision` of its document.

    No payload: it is deleted, or with `is_lost` gone although no change deleted it. `callers_revision` is that of the
    last change of who may call, its API keys or sessions.
    """

    tenant: str
    revision: int
    doc_revision: int
    payload: bytes | None = field(repr=False)
    callers_revision: int
    is_lost: bool = False


@dataclass(frozen=True)
class Changes:
    """What changed after a revision, ascending; `revision` is the head when it was read.

    `complete`: these are all. Otherwise ask again from the last item's revision. `run` is of the Redis that took the
    last commit: when it changes, what was known may have been lost, and its revisions are given to nobody again.
    """

    epoch: str
    revision: int
    items: tuple[Item, ...]
    complete: bool
    run: str = ""


@dataclass(frozen=True)
class RevisionInfo:
    """One entry of a document's history."""

    revision: int
    at_ms: int
    actor: str
    action: str


@dataclass(frozen=True)
class AuditEntry:
    """Who did what; `revision` is 0 for what is no commit. `cursor` fetches the entries before this one."""

    cursor: str
    revision: int
    at_ms: int
    tenant: str
    actor: str
    action: str
    detail: dict[str, Any]


def commit_arguments(change: Change, expected_revision: int | None, epoch: str) -> list[Argument]:
    """Return what lua/commit.lua wants before its limits (ARGV 1-9). Raises CodecError."""
    payload = encode(change.record, change.tenant) if isinstance(change.record, TenantRecord) else b""
    return [
        change.tenant,
        "" if expected_revision is None else expected_revision,
        change.mode,
        payload,
        epoch,
        pack_fields({"actor": change.actor, "action": change.action}),
        pack_fields(change.detail),
        change.actor,
        change.action,
    ]


def list_arguments(change: Change) -> list[Argument]:
    """Return the counted lists at the end of lua/commit.lua's arguments: hosts, keys to put, keys to drop."""
    hosts = sorted(change.owned_hosts())
    put: list[Argument] = [part for key in change.put_keys for part in (key.id, encode_api_key(key))]
    return [len(hosts), *hosts, len(put), *put, len(change.drop_keys), *change.drop_keys]


def stored_value(revision: int, payload: bytes) -> bytes:
    """Return what lua/commit.lua keeps of a document: its revision, what is missing of that to the last, its record."""
    return REVISION.pack(revision, (LAST_REVISION - revision) % (1 << 64)) + payload


def read_stored(tenant: str, value: bytes) -> Stored:
    """Split a stored value; one whose two numbers do not come to the last revision gets a payload that is no record."""
    if len(value) >= REVISION.size:
        revision, rest = REVISION.unpack_from(value)
        if revision + rest == LAST_REVISION:
            return Stored(tenant, revision, value[REVISION.size :])
    return Stored(tenant, int.from_bytes(value[:8]) if len(value) >= 8 else 0, b"?" + value)


def read_changes(reply: Sequence[Any]) -> Changes:
    """Read lua/changes.lua's reply."""
    items = []
    for tenant, revision, value, callers, lost in _in_groups(reply[4:], 5):
        stored = Stored(tenant.decode(), 0, b"") if value is None else read_stored(tenant.decode(), value)
        # What moved the tenant and not its document were its callers, whatever has become of the note of it.
        moved_last = int(revision) if stored.revision != int(revision) else 0
        items.append(
            Item(
                stored.tenant,
                int(revision),
                stored.revision,
                None if value is None else stored.payload,
                max(moved_last, int(callers or 0)),
                lost == 1,
            )
        )
    return Changes(
        reply[0].decode(), whole_revision(reply[1]), tuple(items), complete=reply[2] == 1, run=reply[3].decode()
    )


def read_page(reply: Sequence[Any]) -> Page:
    """Read lua/tenants.lua's reply."""
    items = [read_stored(tenant.decode(), value) for tenant, value in _in_groups(reply[1:], 2)]
    return Page(items, items[-1].tenant if items and reply[0] == 0 else None)


def read_history_entry(tenant: str, entry: bytes) -> tuple[RevisionInfo, Stored]:
    """Read one entry of a history list. Raises RecordUnreadable."""
    try:
        revision, at_ms, meta_bytes = HISTORY_HEAD.unpack_from(entry)
        end = HISTORY_HEAD.size + meta_bytes
        meta = unpack_fields(entry[HISTORY_HEAD.size : end])
        info = RevisionInfo(revision, at_ms, str(meta["actor"]), str(meta["action"]))
    except (struct.error, KeyError, CodecError) as error:
        raise RecordUnreadable(tenant, 0, "an entry of its history is damaged") from error
    return info, Stored(tenant, revision, entry[end:])


def readable_entries(tenant: str, entries: Iterable[bytes]) -> Iterator[tuple[RevisionInfo, Stored]]:
    """Read a history list, leaving out what is damaged: one bad entry must not hide the others."""
    for entry in entries:
        try:
            yield read_history_entry(tenant, entry)
        except RecordUnreadable:
            continue


def read_audit(reply: Sequence[Any]) -> list[AuditEntry]:
    """Read lua/audit.lua's reply; a detail that cannot be read is left out, the entry is not."""
    return [
        _audit_entry(cursor.decode(), dict(zip(fields[::2], fields[1::2], strict=True))) for cursor, fields in reply
    ]


def _audit_entry(cursor: str, fields: dict[bytes, bytes]) -> AuditEntry:
    def text(name: bytes) -> str:
        return fields.get(name, b"").decode("utf-8", "replace")

    try:
        detail = unpack_fields(fields.get(b"detail", b""))
    except CodecError:
        detail = {}
    return AuditEntry(
        cursor=cursor,
        revision=int(fields.get(b"revision", 0)),
        at_ms=int(fields.get(b"at_ms", 0)),
        tenant=text(b"tenant"),
        actor=text(b"actor"),
        action=text(b"action"),
        detail=detail,
    )


def _in_groups(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[at : at + size] for at in range(0, len(values), size))
