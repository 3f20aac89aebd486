"""A tenant's document: everything a tenant declares, in one frozen value."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictStr, StringConstraints

from store.model.auth import AnyAuth
from store.model.fields import check_line
from store.model.limits import AnyLimit
from store.model.parts import DomainName, Given, Name, Part, Shorthand
from store.model.routes import Route
from store.model.upstreams import Upstream

# How many entries of each section a document may have.
MAX_ENTRIES = {"domains": 1000, "upstreams": 256, "auth": 64, "limits": 256, "routes": 1000}


class Domain(Part):
    """A hostname or mask that the tenant brings; `verified_by` is an operator's word for it."""

    host: DomainName
    verified_by: Annotated[Literal["operator"] | None, Given] = None


class TenantDocument(Part):
    """All that a tenant declares, checked as a whole; made by `parse_document` alone."""

    tenant: Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    name: Annotated[StrictStr, Field(max_length=256), AfterValidator(check_line)] = ""
    enabled: StrictBool = True
    plan: Annotated[Name | None, Given] = None
    domains: tuple[Annotated[Domain, Shorthand("host")], ...] = Field(default=(), max_length=MAX_ENTRIES["domains"])
    upstreams: dict[Name, Upstream] = Field(default={}, max_length=MAX_ENTRIES["upstreams"])
    auth: dict[Name, AnyAuth] = Field(default={}, max_length=MAX_ENTRIES["auth"])
    limits: dict[Name, AnyLimit] = Field(default={}, max_length=MAX_ENTRIES["limits"])
    routes: tuple[Route, ...] = Field(default=(), max_length=MAX_ENTRIES["routes"])
