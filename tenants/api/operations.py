"""An operation of the admin API, as data: one row says what is routed, checked, documented and called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tenants.actors import Actor
from tenants.api.models import Given, Taken
from tenants.api.queries import Query
from tenants.service import Service
from tenants.writer import Expectation, WriteOptions

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Content = Literal["document", "merge patch", "plans"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, understood: who, on what, with which query and body (of the operation's own models)."""

    service: Service
    actor: Actor
    path: Mapping[str, str]
    query: Any
    body: Any
    expectation: Expectation
    if_none_match: str | None

    @property
    def tenant(self) -> str:
        """The tenant of the path: the only place a tenant's name is taken from."""
        return self.path["tenant"]

    @property
    def options(self) -> WriteOptions:
        """How a document is to be written."""
        return WriteOptions(self.expectation, bool(self.query.dry_run))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to answer: JSON values or a text; `tag` is the revision for the ETag, `location` where the new thing is."""

    body: Given | Mapping[str, Any] | str | None
    status: int = 200
    tag: int | None = None
    location: str | None = None


Handler = Callable[[Call], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path.

    `body`: the model of what is taken, or which kind of document; `answer`: the model of what is given, or None where
    that is `content`, a document as it is, or a text. `is_write`: takes `?wait=fleet`. `is_conditional`: takes
    `If-Match`. `is_public`: needs no token. `statuses`: what it answers when all is well, the first being the usual.
    """

    name: str
    method: Method
    path: str
    summary: str
    handler: Handler
    tag: str
    answer: type[Given] | None = None
    content: Content | None = None
    body: type[Taken] | Content | None = None
    query: type[Query] = Query
    statuses: tuple[int, ...] = (200,)
    refusals: tuple[int, ...] = field(default=())
    is_write: bool = False
    is_conditional: bool = False
    is_public: bool = False
    media_type: str = "application/json"
