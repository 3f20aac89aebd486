"""A tenant's document: everything a tenant declares, in one frozen value."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictStr, StringConstraints

from store.model.access import ApiKeyAuth, RateLimit
from store.model.parts import Host, Name, Part, long_form
from store.model.routes import Route
from store.model.upstreams import Upstream


class Domain(Part):
    """A hostname or mask that the tenant brings; `verified_by` is an operator's word for it."""

    host: Host
    verified_by: Literal["operator"] | None = None


DomainField = Annotated[Domain, BeforeValidator(lambda raw: long_form(raw, "host"))]


class TenantDocument(Part):
    """All that a tenant declares, checked as a whole; made by `parse_document` alone."""

    tenant: Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    name: StrictStr = Field(default="", max_length=256)
    enabled: StrictBool = True
    domains: tuple[DomainField, ...] = Field(default=(), max_length=1000)
    upstreams: dict[Name, Upstream] = Field(default={}, max_length=256)
    auth: dict[Name, ApiKeyAuth] = Field(default={}, max_length=64)
    limits: dict[Name, RateLimit] = Field(default={}, max_length=256)
    routes: tuple[Route, ...] = Field(default=(), max_length=1000)
