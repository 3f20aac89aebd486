"""From what was written to a document, or to everything that is wrong with it at once; and back."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from store.model.bounds import MAX_DOCUMENT_BYTES, MAX_GROWTH, refuse_beyond, size_of, within_counts
from store.model.checks import check
from store.model.drafts import Draft
from store.model.faults import DocumentError, Fault, faults_of, shown
from store.model.references import dangling
from store.model.tenant import TenantDocument
from store.model.words import found_by


def parse_document(raw: object) -> TenantDocument:
    """Check a document as a whole and give it parsed; DocumentError names every fault, each with its path.

    `raw` is what a JSON or YAML reader gives. The work is bounded, whatever a stranger wrote.
    """
    if not isinstance(raw, dict):
        raise DocumentError([Fault("", f"expected a mapping with the fields of a tenant, not {_kind(raw)}")])
    size_bytes = size_of(raw)
    refuse_beyond(size_bytes)
    kept, found = within_counts(raw)
    document = None
    try:
        document = TenantDocument.model_validate(kept)
        draft = Draft.of(document)
    except ValidationError as error:
        found += found_by(error, kept)
        draft = Draft.from_raw(kept)
    said = {item.loc for item in found}
    between = (*dangling(raw, kept.get("routes")), *check(draft))
    found += [item for item in between if item.loc not in said]
    if found or document is None:
        raise DocumentError(faults_of(found, raw))
    if size_bytes * MAX_GROWTH > MAX_DOCUMENT_BYTES:
        refuse_beyond(size_of(dump_document(document)))
    return document


def read_document(raw: object) -> TenantDocument:
    """Give a document that was checked when it was written; DocumentError when its form is not one's.

    For workers, which read from the catalog: what its routes are to each other is not judged again, because that may
    take a second for a document made to be slow, and a worker has requests to serve.
    """
    if not isinstance(raw, dict):
        raise DocumentError([Fault("", f"expected a mapping with the fields of a tenant, not {_kind(raw)}")])
    found = list(dangling(raw, raw.get("routes")))
    try:
        document = TenantDocument.model_validate(raw)
    except ValidationError as error:
        raise DocumentError(faults_of([*found_by(error, raw), *found], raw)) from None
    if found:
        raise DocumentError(faults_of(found, raw))
    return document


def dump_document(document: TenantDocument) -> dict[str, Any]:
    """Write a document in the spelling it is read in, defaults left out; parsing that gives an equal document."""
    dumped = document.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    if "domains" in dumped:
        dumped["domains"] = [_shortest(domain, "host") for domain in dumped["domains"]]
    for upstream in dumped.get("upstreams", {}).values():
        upstream["targets"] = [_shortest(target, "url") for target in upstream["targets"]]
        if "on" in upstream.get("retry", {}):
            upstream["retry"]["on"].sort()
    for route in dumped.get("routes", ()):
        if "methods" in route:
            route["methods"].sort()
    return dumped


def _shortest(part: dict[str, Any], only: str) -> object:
    return part[only] if set(part) == {only} else part


def _kind(raw: object) -> str:
    return "nothing" if raw is None else "a list" if isinstance(raw, list | tuple) else shown(raw)
