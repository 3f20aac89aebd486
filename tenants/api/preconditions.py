"""ETag, If-Match and If-None-Match (RFC 9110 sections 8.8.3 and 13.1), pure: the tag of a document is its revision."""

from __future__ import annotations

import re

from tenants.errors import MALFORMED, Refused
from tenants.writer import Expectation

_TAG = re.compile(r'(W/)?"([!#-~\x80-\xff]*)"')


def entity_tag(revision: int) -> str:
    """The ETag of a revision."""
    return f'"{revision}"'


def parse_if_match(if_match: str | None, if_none_match: str | None) -> Expectation:
    """Read what a write expects of the document's revision; `Refused` with 400 when it cannot be read.

    `If-Match` holds tags or `*`; a weak tag never matches (strong comparison), a bare number is taken as its tag.
    Of `If-None-Match`, a write has use for `*` only: create, never overwrite.
    """
    if if_none_match is not None and if_none_match.strip() != "*":
        raise Refused(MALFORMED, "If-None-Match on a write must be *")
    if if_none_match is not None and if_match is not None:
        raise Refused(MALFORMED, "If-Match and If-None-Match contradict each other")
    if if_none_match is not None:
        return Expectation(exists=False)
    if if_match is None:
        return Expectation()
    if if_match.strip() == "*":
        return Expectation(exists=True)
    return Expectation(revisions=frozenset(_strong_revisions(if_match)))


def is_not_modified(if_none_match: str | None, revision: int) -> bool:
    """Whether a read may be answered 304: weak comparison (RFC 9110 section 13.1.2)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return str(revision) in (tag for _, tag in _TAG.findall(if_none_match))


def _strong_revisions(header: str) -> list[int]:
    revisions = []
    for part in header.split(","):
        text = part.strip()
        match = _TAG.fullmatch(text)
        if match is None and not _is_revision(text):
            raise Refused(MALFORMED, f'If-Match must be an entity tag such as "42", not {text[:40]!r}')
        tag = match[2] if match else text
        if _is_revision(tag) and not (match and match[1]):
            revisions.append(int(tag))
    return revisions


def _is_revision(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20
