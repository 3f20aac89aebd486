"""What is kept of a tenant, as bytes: msgpack inside an envelope with a schema version and a checksum.

    'P' | schema (1 byte) | CRC-32 of all that follows (4 bytes, big-endian) | msgpack [tenant, served hosts, record]

The record stays packed until somebody asks for it: a tenant nobody calls costs its bytes and the names of
its hosts. Decoding is strict and bounded; whatever is wrong with the bytes, the answer is a CodecError and
never a crash.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import msgpack  # type: ignore[import-untyped]

from store.errors import StoreError
from store.secrets import ApiKeyRecord, TokenRecord

SCHEMA = 1
MAX_RECORD_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_REASON_CHARS = 200
HEAD = struct.Struct(">cBI")
MAGIC = b"P"
SERVED_STATES = frozenset({"verified", "active", "failing"})
RELEASED = "released"


class CodecError(StoreError, ValueError):
    """The bytes are not a record that this version wrote, or a record is too large to be written."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class DomainState:
    """How far a host's onboarding is; `at_ms` is when it got there, in Unix milliseconds."""

    host: str
    state: str
    verified_by: str | None = None
    at_ms: int = 0


@dataclass(frozen=True)
class TenantRecord:
    """A tenant's document in its own spelling, and the state of each of its hosts."""

    document: dict[str, Any]
    domains: dict[str, DomainState] = field(default_factory=dict)

    def served_hosts(self) -> tuple[str, ...]:
        """The document's hosts whose ownership is proven or vouched for; none when the tenant is disabled."""
        if self.document.get("enabled", True) is not True:
            return ()
        return tuple(host for host, vouched in self._documented() if vouched or self._is_proven(host))

    def claimed_hosts(self) -> frozenset[str]:
        """Every host that nobody else may claim now: the document's, and those on their way in or out."""
        known = {host for host, domain in self.domains.items() if domain.state != RELEASED}
        return frozenset(known.union(host for host, _ in self._documented()))

    def _documented(self) -> Iterator[tuple[str, bool]]:
        for entry in self.document.get("domains", ()):
            if isinstance(entry, str):
                yield entry, False
            else:
                yield entry["host"], entry.get("verified_by") == "operator"

    def _is_proven(self, host: str) -> bool:
        domain = self.domains.get(host)
        return domain is not None and domain.state in SERVED_STATES


@dataclass(frozen=True, slots=True)
class Envelope:
    """A record whose schema and checksum are right; `hosts` are those served, the rest is decoded later."""

    hosts: tuple[str, ...]
    packed: bytes = field(repr=False)

    def record(self) -> TenantRecord:
        """Decode the record. Raises CodecError."""
        found = _unpack(self.packed)
        try:
            domains = {host: DomainState(host, **state) for host, state in found["domains"].items()}
            document = found["document"]
        except (KeyError, TypeError, AttributeError):
            raise CodecError("the record has not the fields of this version") from None
        if not isinstance(document, dict):
            raise CodecError("the document is not a mapping")
        return TenantRecord(document, domains)


def encode(record: TenantRecord, tenant: str) -> bytes:
    """Return the payload for this record of a tenant. Raises CodecError when it is larger than MAX_RECORD_BYTES."""
    domains = {host: _without_host(state) for host, state in record.domains.items()}
    packed = _pack({"document": record.document, "domains": domains})
    body = _pack([tenant, list(record.served_hosts()), packed])
    if len(body) > MAX_RECORD_BYTES:
        raise CodecError(f"the tenant's record is {len(body)} bytes; at most {MAX_RECORD_BYTES} can be kept")
    return HEAD.pack(MAGIC, SCHEMA, _checksum(body)) + body


def open_envelope(payload: bytes, tenant: str) -> Envelope:
    """Check size, schema, checksum and whose it is, and read the served hosts; cheap. Raises CodecError."""
    if len(payload) > MAX_RECORD_BYTES + HEAD.size:
        raise CodecError(f"the record is {len(payload)} bytes; at most {MAX_RECORD_BYTES} are read")
    if len(payload) < HEAD.size:
        raise CodecError("the record is cut short")
    magic, schema, checksum = HEAD.unpack_from(payload)
    if magic != MAGIC:
        raise CodecError("the bytes are not a record")
    if schema != SCHEMA:
        raise CodecError(f"the record has schema {schema}, this version reads {SCHEMA}")
    body = payload[HEAD.size :]
    if _checksum(body) != checksum:
        raise CodecError("the record's checksum is wrong")
    found = _unpack(body)
    if not (isinstance(found, list) and len(found) == 3 and isinstance(found[2], bytes)):
        raise CodecError("the record has not the form of this version")
    if found[0] != tenant:
        raise CodecError(f"it is a record of tenant {found[0]!r}"[:MAX_REASON_CHARS])
    return Envelope(_hosts(found[1]), found[2])


def encode_api_key(record: ApiKeyRecord) -> bytes:
    """Return the bytes kept for an API key."""
    return _pack(asdict(record))


def decode_api_key(data: bytes) -> ApiKeyRecord:
    """Read an API key's record. Raises CodecError."""
    found = _fields(data)
    try:
        return ApiKeyRecord(**{**found, "scopes": tuple(found["scopes"])})
    except (KeyError, TypeError):
        raise CodecError("the API key's record has not the fields of this version") from None


def encode_token(record: TokenRecord) -> bytes:
    """Return the bytes kept for an admin token."""
    return _pack(asdict(record))


def decode_token(data: bytes) -> TokenRecord:
    """Read a token's record. Raises CodecError."""
    try:
        return TokenRecord(**_fields(data))
    except TypeError:
        raise CodecError("the token's record has not the fields of this version") from None


def pack_fields(fields: dict[str, Any]) -> bytes:
    """Return a small mapping as msgpack; for audit details, history and reports."""
    return _pack(fields)


def unpack_fields(data: bytes) -> dict[str, Any]:
    """Read a small mapping, strictly and bounded. Raises CodecError."""
    return _fields(data)


def _without_host(state: DomainState) -> dict[str, Any]:
    return {"state": state.state, "verified_by": state.verified_by, "at_ms": state.at_ms}


def _hosts(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(host, str) for host in found):
        raise CodecError("the record's hosts are not names")
    return tuple(found)


def _fields(data: bytes) -> dict[str, Any]:
    found = _unpack(data)
    if not isinstance(found, dict):
        raise CodecError("the bytes are not a mapping")
    return found


def _checksum(body: bytes) -> int:
    return zlib.crc32(bytes([SCHEMA]) + body)


def _pack(value: object) -> bytes:
    try:
        packed: bytes = msgpack.packb(value, use_bin_type=True, strict_types=False)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CodecError(f"the record cannot be encoded: {type(error).__name__}") from error
    return packed


def _unpack(data: bytes) -> Any:
    if len(data) > MAX_RECORD_BYTES:
        raise CodecError(f"{len(data)} bytes; at most {MAX_RECORD_BYTES} are read")
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=True, max_ext_len=0)
    except Exception as error:  # msgpack raises a dozen kinds for bad bytes; every one of them means this
        raise CodecError(f"the bytes are not msgpack: {type(error).__name__}") from error
    _check_depth(value)
    return value


def _check_depth(value: object) -> None:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise CodecError(f"the record is nested deeper than {MAX_DEPTH}")


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
