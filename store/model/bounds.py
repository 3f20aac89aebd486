"""How much a document may be, so that nobody's document costs the others time or memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

from store.model.faults import DocumentError, Fault, Found
from store.model.parts import MAX_NAME_LENGTH, NAME_FORM
from store.model.tenant import MAX_ENTRIES

MAX_DOCUMENT_BYTES = 256 * 1024
MAX_GROWTH = 4
"""How many times longer a document can get by being written out: "é.é" as a host is 15 letters."""


def size_of(raw: Mapping[str, Any]) -> int:
    """Give the length of a document as compact JSON, in bytes; DocumentError for one that has none."""
    try:
        text = json.dumps(raw, ensure_ascii=False, separators=(",", ":"), skipkeys=True, default=str)
    except RecursionError:
        raise DocumentError([Fault("", "the document is nested too deep")]) from None
    except ValueError:
        raise DocumentError([Fault("", "the document holds itself, or a number of thousands of digits")]) from None
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def refuse_beyond(size_bytes: int) -> None:
    """Raise DocumentError for a document that is too long."""
    if size_bytes > MAX_DOCUMENT_BYTES:
        raise DocumentError([Fault("", f"the document is longer than {MAX_DOCUMENT_BYTES // 1024} KiB of JSON")])


def within_counts(raw: dict[str, Any]) -> tuple[dict[str, Any], list[Found]]:
    """Give a document with as much of each section as is looked at, and a fault for whatever is left out."""
    kept, found = dict(raw), []
    for section, most in MAX_ENTRIES.items():
        entries = raw.get(section)
        if isinstance(entries, list | tuple | dict) and len(entries) > most:
            found.append(Found((section,), f"has {len(entries)} entries; at most {most} are accepted"))
            kept[section] = dict(islice(entries.items(), most)) if isinstance(entries, dict) else entries[:most]
        if isinstance(entries, dict):
            kept[section] = {name: part for name, part in kept[section].items() if not _is_long(name)}
            found += [Found((section, name), f"is no name: expected {NAME_FORM}") for name in entries if _is_long(name)]
    return kept, found


def _is_long(name: object) -> bool:
    """Say whether a name is so long that a fault in each place below it could not be held in memory."""
    return isinstance(name, str) and len(name) > MAX_NAME_LENGTH
