"""A document as far as it can be read, so that one wrong field keeps nothing else from being checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from store.model.auth import ApiKeyAuth, AuthMethod, BasicAuth, ForwardAuth, JwtAuth, SessionAuth, auth_part
from store.model.limits import ConcurrentLimit, Limit, QuotaLimit, RateLimit, limit_part
from store.model.parts import Part
from store.model.routes import Route
from store.model.tenant import Domain, TenantDocument
from store.model.upstreams import Upstream

P = TypeVar("P", bound=Part)

# What stands in for a required field that is missing or wrong. Nobody looks at it: `Sketch.has` says no.
_STAND_INS: Mapping[type[Part], Mapping[str, Any]] = {
    Domain: {},
    Upstream: {"targets": ["http://localhost"]},
    ApiKeyAuth: {"type": "api_key"},
    JwtAuth: {"type": "jwt", "issuer": "?", "audience": "?", "jwks_url": "https://localhost"},
    SessionAuth: {"type": "session"},
    ForwardAuth: {"type": "forward", "url": "https://localhost"},
    BasicAuth: {"type": "basic", "users": {"?": f"$argon2id$v=19$m=65536,t=3,p=4${'A' * 22}${'A' * 43}"}},
    RateLimit: {"rate": "1/s", "by": "ip"},
    QuotaLimit: {"quota": "1/day", "by": "ip"},
    ConcurrentLimit: {"concurrent": 1, "by": "ip"},
    Route: {"name": "unnamed", "path": "/"},
}


@dataclass(frozen=True, slots=True)
class Sketch(Generic[P]):
    """A part of which the fields in `wrong`, by their names in documents, hold defaults or stand-ins instead."""

    part: P
    wrong: frozenset[str] = frozenset()

    def has(self, *fields: str) -> bool:
        """Say whether all of these fields are as written, or rightly left out."""
        return self.wrong.isdisjoint(fields)


@dataclass(frozen=True, slots=True)
class Draft:
    """The readable parts of a document, by name or by their index in it."""

    domains: Mapping[int, Domain]
    upstreams: Mapping[str, Sketch[Upstream]]
    auth: Mapping[str, Sketch[AuthMethod]]
    limits: Mapping[str, Sketch[Limit]]
    routes: Mapping[int, Sketch[Route]]
    has_all_routes: bool
    """Whether every route of the document could be read."""

    @classmethod
    def of(cls, document: TenantDocument) -> Draft:
        """See a whole document as a draft."""
        return cls(
            domains=dict(enumerate(document.domains)),
            upstreams={name: Sketch(part) for name, part in document.upstreams.items()},
            auth={name: Sketch(part) for name, part in document.auth.items()},
            limits={name: Sketch(part) for name, part in document.limits.items()},
            routes={at: Sketch(part) for at, part in enumerate(document.routes)},
            has_all_routes=True,
        )

    @classmethod
    def from_raw(cls, raw: Mapping[str, Any]) -> Draft:
        """Read what can be read of a raw document that is wrong somewhere."""
        domains = _listed(raw.get("domains"), Domain)
        written = raw.get("routes", ())
        routes = _listed(written, Route)
        return cls(
            domains={at: sketch.part for at, sketch in domains.items()},
            upstreams=_named(raw.get("upstreams"), lambda _: Upstream),
            auth=_named(raw.get("auth"), auth_part),
            limits=_named(raw.get("limits"), limit_part),
            routes=routes,
            has_all_routes=isinstance(written, list | tuple) and len(routes) == len(written),
        )


def _named(section: object, part_of: Callable[[object], type[P]]) -> dict[str, Sketch[P]]:
    if not isinstance(section, Mapping):
        return {}
    sketches = ((name, _sketch(value, part_of(value))) for name, value in section.items() if isinstance(name, str))
    return {name: sketch for name, sketch in sketches if sketch is not None}


def _listed(section: object, part: type[P]) -> dict[int, Sketch[P]]:
    if not isinstance(section, list | tuple):
        return {}
    sketches = ((at, _sketch(value, part)) for at, value in enumerate(section))
    return {at: sketch for at, sketch in sketches if sketch is not None}


def _sketch(value: object, part: type[P]) -> Sketch[P] | None:
    """Read a part without those of its fields that are wrong; None for what is no such part at all."""
    if part is Domain and isinstance(value, str):
        value = {"host": value}
    if not isinstance(value, Mapping):
        return None
    try:
        return Sketch(part.model_validate(value))
    except ValidationError as error:
        wrong = frozenset(str(fault["loc"][0]) for fault in error.errors(include_url=False) if fault["loc"])
    right = {key: kept for key, kept in value.items() if isinstance(key, str) and key not in wrong}
    try:
        return Sketch(part.model_validate({**_STAND_INS[part], **right}), wrong)
    except ValidationError:
        return None
