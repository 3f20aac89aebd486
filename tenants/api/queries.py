"""The queries that operations of the admin API take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from store.model.units import parse_duration_s

MAX_WAIT_S = 30.0
DEFAULT_WAIT_S = 2.0
MAX_PAGE = 200
DEFAULT_PAGE = 50


def _wait_s(value: object) -> float:
    if not isinstance(value, str):
        return DEFAULT_WAIT_S
    wait_s = parse_duration_s(value)
    if wait_s > MAX_WAIT_S:
        raise ValueError(f"is longer than {MAX_WAIT_S:g}s")
    return wait_s


WaitTime = Annotated[
    float | None,
    BeforeValidator(_wait_s),
    WithJsonSchema({"type": "string", "pattern": "^[0-9.]+(ms|s|m)$", "default": "2s", "examples": ["500ms", "2s"]}),
]


class Query(BaseModel):
    """The query of an operation that takes none; others add to it. Texts are read as numbers and truth values."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageQuery(Query):
    """Where to go on, and how much of it."""

    cursor: str | None = Field(None, max_length=256, description="What the page before answered as `cursor`.")
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE, description="At most so many items.")


class LimitsQuery(PageQuery):
    """Which counts to look at."""

    name: str | None = Field(None, max_length=64, description="Only what is counted by the limit of this name.")
    key: str | None = Field(
        None, max_length=1024, description="Only what is counted of this caller: the `key` of an item."
    )


class WriteQuery(Query):
    """How long to wait for the fleet, if at all."""

    wait: Literal["fleet"] | None = Field(
        None, description="Answer only when every live worker has applied or refused the revision."
    )
    timeout: WaitTime = Field(None, description="How long to wait at most, up to 30s; 2s unless said.")


class DocumentWriteQuery(WriteQuery):
    """A write of a document, or a rehearsal of one."""

    dry_run: bool = Field(False, description="Check everything and answer what would change; write nothing.")


class TenantWriteQuery(DocumentWriteQuery):
    """The same for a document that may name a plan which is to be written first."""

    assume_plan: str | None = Field(
        None, max_length=63, description="With `dry_run`: a plan to take for one that is there."
    )
