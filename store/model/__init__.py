"""The tenant's document: frozen models, parsed once, for both planes."""

from store.model.auth import ApiKeyAuth, AuthMethod, BasicAuth, ForwardAuth, JwtAuth, SessionAuth
from store.model.conflicts import rank
from store.model.document import dump_document, parse_document, read_document
from store.model.faults import DocumentError, Fault, did_you_mean
from store.model.hosts import is_mask, mask_matches, normalise_host, parent_masks
from store.model.limits import By, ConcurrentLimit, Cost, Limit, QuotaLimit, RateLimit
from store.model.paths import PathKind, PathPattern, Segment, SegmentKind
from store.model.plans import DEFAULT_PLAN, PLAN_MARK, PLANS, Plans, dump_plans, missing_plan, parse_plans
from store.model.routes import HeaderOps, HeaderRules, Match, RequestHeaderOps, Route, RouteRewrite, SplitShare
from store.model.schema import document_json_schema, plans_json_schema
from store.model.tenant import Domain, TenantDocument
from store.model.text import load_yaml_documents
from store.model.upstreams import Balance, HealthCheck, Retry, Target, Upstream

__all__ = [
    "DEFAULT_PLAN",
    "PLANS",
    "PLAN_MARK",
    "ApiKeyAuth",
    "AuthMethod",
    "Balance",
    "BasicAuth",
    "By",
    "ConcurrentLimit",
    "Cost",
    "DocumentError",
    "Domain",
    "Fault",
    "ForwardAuth",
    "HeaderOps",
    "HeaderRules",
    "HealthCheck",
    "JwtAuth",
    "Limit",
    "Match",
    "PathKind",
    "PathPattern",
    "Plans",
    "QuotaLimit",
    "RateLimit",
    "RequestHeaderOps",
    "Retry",
    "Route",
    "RouteRewrite",
    "Segment",
    "SegmentKind",
    "SessionAuth",
    "SplitShare",
    "Target",
    "TenantDocument",
    "Upstream",
    "did_you_mean",
    "document_json_schema",
    "dump_document",
    "dump_plans",
    "is_mask",
    "load_yaml_documents",
    "mask_matches",
    "missing_plan",
    "normalise_host",
    "parent_masks",
    "parse_document",
    "parse_plans",
    "plans_json_schema",
    "rank",
    "read_document",
]
