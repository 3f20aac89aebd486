"""What the admin API takes and gives, besides the tenants' documents themselves: the source of its OpenAPI document."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")
LimitKind = Literal["rate", "quota", "concurrent"]


class Taken(BaseModel):
    """What a caller sends: nothing unknown, nothing of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Given(BaseModel):
    """What the API answers. Fields named in OMITTED are left out when they hold nothing."""

    model_config = ConfigDict(frozen=True)
    OMITTED: ClassVar[frozenset[str]] = frozenset()

    def to_json(self) -> dict[str, Any]:
        """The answer as JSON values."""
        shown = self.model_dump(mode="json")
        return {name: value for name, value in shown.items() if value is not None or name not in self.OMITTED}


class Page(Given, Generic[Item]):
    """Some items of a longer list."""

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """`Page[KeyAnswer]` is KeyAnswerPage to the readers of the OpenAPI document."""
        return f"{params[0].__name__}Page"

    items: list[Item]
    cursor: str | None = Field(None, description="Give this as `cursor` for what follows; null at the end.")


class TenantRefusal(Given):
    """A tenant's revision that a worker could not serve; `@plans` stands for the plans."""

    tenant: str
    revision: int
    reason: str
    serving: int | None = Field(
        description="The revision that is served instead; null: none, the tenant is not served, or limited by no plan."
    )


class WorkerRefusal(TenantRefusal):
    """The same, where many workers are spoken of: with the one that refused."""

    worker: str


class Written(Given):
    """What every write answers; the last six only with `?wait=fleet`."""

    OMITTED: ClassVar[frozenset[str]] = frozenset(
        {"durable", "applied", "workers", "wait_ms", "lagging", "refused", "wait_error", "diff"}
    )

    revision: int = Field(description="The revision that holds this change, and that the fleet is to reach.")
    durable: bool | None = Field(None, description="Whether replicas have it too, where replicas are configured.")
    applied: int | None = Field(None, description="Live workers that have reached the revision.")
    workers: int | None = Field(None, description="Live workers.")
    wait_ms: int | None = Field(None, description="Milliseconds of the write, until the last of them had reached it.")
    lagging: list[str] | None = Field(None, description="Live workers that have not reached it in time.")
    refused: list[WorkerRefusal] | None = Field(None, description="Who could not serve it, and why.")
    wait_error: str | None = Field(None, description="Why the fleet could not be asked; the write itself is done.")


class Difference(Given):
    """One place where two documents differ."""

    path: str
    verb: Literal["added", "removed", "changed", "reordered"]
    before: Any = None
    after: Any = None


class PlansWritten(Written):
    """The plans written, or (with `dry_run`) looked at as if they were."""

    created: bool
    changed: bool = Field(description="False when the document already said all of it; nothing was written then.")
    dry_run: bool
    diff: list[Difference] | None = Field(None, description="With `dry_run`: what would change.")


class DocumentWritten(PlansWritten):
    """A tenant's document written, or (with `dry_run`) looked at as if it were."""

    tenant: str


class TenantItem(Given):
    """One tenant of the list; `document` is null when what is stored cannot be read, `error` then says why."""

    tenant: str
    revision: int | None = Field(description="Null when it cannot be read either.")
    document: dict[str, Any] | None
    error: str | None = None


class DnsRecord(Given):
    """A DNS record to publish."""

    type: str
    name: str
    value: str


class DomainAnswer(Given):
    """A domain: its state, why it is in it, and what to do next."""

    host: str
    state: str = Field(description="`pending` until an operator vouches for it, then `verified`.")
    verified_by: Literal["operator"] | None
    since: str
    served: bool = Field(description="Whether the edge serves the tenant's routes under this host.")
    reason: str = Field(description="`awaiting_operator`, `operator_vouched` or `tenant_disabled`.")
    next_step: str | None
    records: list[DnsRecord] = Field(description="DNS records that would prove ownership; none has an effect yet.")


class DomainWritten(DomainAnswer, Written):
    """A domain added or verified."""

    changed: bool
    dry_run: bool


class DomainRemoved(Written):
    """A domain given up."""

    host: str
    changed: bool
    dry_run: bool


class NewDomain(Taken):
    """A host to claim."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"host": "shop.acme.com"}]})

    host: str = Field(description="A hostname, or a mask such as `*.acme.app`.", examples=["shop.acme.com"])
    verified_by: Literal["operator"] | None = Field(None, description="Operators only: vouch for it at once.")


class NewSecret(Taken):
    """What a new key and a new token have in common. Give one of the two expiries, or none for no expiry."""

    name: str = Field(min_length=1, max_length=100, description="For people to tell it from others.")
    expires_in: str | None = Field(None, description="How long it is good for.", examples=["90d"])
    expires_at: str | None = Field(None, description="Until when it is good.", examples=["2030-01-31T12:00:00Z"])


class NewKey(NewSecret):
    """An API key to create."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ci", "expires_in": "90d"}]})

    scopes: list[str] = Field(default_factory=list, max_length=32, description="What the key's holder may do.")


class KeyAnswer(Given):
    """An API key; its secret is not kept and cannot be shown again."""

    id: str
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    expired: bool
    last_used_at: str | None = Field(description="To a minute or two; null when it was not used yet.")


class KeyCreated(KeyAnswer, Written):
    """A new API key, with its secret this once."""

    secret: str


class Removed(Written):
    """A key or token that is no longer good."""

    id: str


class SessionsRevoked(Written):
    """Browser sessions that are over."""

    subject: str | None = Field(description="Whose they were; null: everybody's.")


class NewToken(NewSecret):
    """A token to create: `tenant` for a tenant's, or `kind: operator`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ci", "tenant": "acme"}]})

    kind: Literal["operator", "tenant"] | None = None
    tenant: str | None = Field(None, description="The one tenant that the token reaches.")


class TokenAnswer(Given):
    """An admin token; its secret is not kept and cannot be shown again."""

    id: str
    kind: Literal["operator", "tenant"]
    tenant: str | None
    name: str
    created_at: str
    expires_at: str | None
    expired: bool


class TokenCreated(TokenAnswer, Written):
    """A new token, with its secret this once."""

    secret: str


class Rollback(Taken):
    """Which revision to go back to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"revision": 41}]})

    revision: int = Field(ge=1)


class Revision(Given):
    """One kept revision of a document."""

    revision: int
    at: str
    actor: str
    action: str


class Worker(Given):
    """One live worker. `lag`: revisions behind the head; null while it does not follow the store (`last_error`)."""

    worker: str
    node: str
    pid: int
    revision: int
    lag: int | None
    started_at: str
    reported_at: str
    last_error: str | None
    refused: list[TenantRefusal]


class Nodes(Given):
    """The fleet, and the revision it is to reach."""

    revision: int
    epoch: str
    workers: list[Worker]


class LimitInForce(Given):
    """A limit of the tenant's document or, with a name that begins with `@`, of its plan."""

    name: str
    kind: LimitKind
    most: int = Field(description="A rate's burst, a quota, or how many requests may be under way at once.")
    declared: dict[str, Any] = Field(description="The limit as documents write it.")


class LimitCount(Given):
    """What one limit counts of one caller now, units included that workers hold for the next moment."""

    name: str
    key: str = Field(description="Whose count it is, by what the limit says; a digest of what is long or a secret.")
    kind: LimitKind
    used: int | None = Field(description="Null for a rate that is not in force: its count alone does not tell.")
    most: int | None = Field(description="Null where the limit is not in force.")
    left: int | None = Field(description="Null where the limit is not in force.")
    owed: int = Field(description="What was spent beyond the limit while the store was away, and is to be made good.")
    back_in_s: float | None = Field(
        description="In how many seconds all of it is there again: of a quota, when its window ends."
    )
    workers: int | None = Field(description="On how many workers requests are under way, of limits of those at once.")
    shadow: bool = Field(description="Whether the limit is only counted, and refuses nobody.")
    in_force: bool = Field(description="False for what is left of a limit that was removed, or is of another kind now.")


class LimitCounts(Page[LimitCount]):
    """Some counts of a tenant, most used first. A page may hold few or none and not be the last: see `cursor`."""

    at: str = Field(description="When this was so, by the store's clock.")
    limits: list[LimitInForce] = Field(description="The limits in force, whether anybody is counted by them or not.")


class AuditEntry(Given):
    """Who did what to whom, at which revision; in the place of a tenant's name, `@plans` stands for the plans."""

    id: str
    at: str
    actor: str
    action: str
    tenant: str | None
    revision: int | None
    detail: dict[str, Any]


class ProblemFault(Given):
    """One place in what was sent, and what is wrong with it."""

    path: str
    message: str


class Problem(Given):
    """A problem document (RFC 9457)."""

    type: str = Field(description="Where the kind of problem is described.")
    title: str
    status: int
    detail: str
    code: str
    errors: list[ProblemFault]


class Health(Given):
    """A sign of life."""

    status: Literal["ok"]
