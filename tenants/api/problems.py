"""Errors as problem documents (RFC 9457): every error that can reach the border is mapped here, and only here."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

from aiohttp import web

from store.codec import CodecError
from store.errors import (
    AlreadyExists,
    HostClaimed,
    NotFound,
    RecordUnreadable,
    RevisionConflict,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from store.model import DocumentError, Fault
from tenants.api.models import Problem, ProblemFault
from tenants.errors import (
    CONTENDED,
    DOMAIN_CLAIMED,
    INTERNAL,
    INVALID,
    MALFORMED,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    RECORD_UNREADABLE,
    STORE_REFUSED,
    STORE_UNAVAILABLE,
    TOO_LARGE,
    UNAUTHENTICATED,
    Kind,
    Refused,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger("portico.control")


def problem_of(kind: Kind, detail: str, faults: Iterable[Fault] = ()) -> Problem:
    """The document for one refusal."""
    errors = [ProblemFault(path=fault.path, message=fault.message) for fault in faults]
    return Problem(
        type=f"/v1/docs#{kind.code}", title=kind.title, status=kind.status, detail=detail, code=kind.code, errors=errors
    )


def respond_with(problem: Problem) -> web.Response:
    """The response for a problem, with the headers that its status calls for."""
    headers = {}
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="portico"'
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE or problem.code == CONTENDED.code:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return web.Response(
        status=problem.status,
        text=json.dumps(problem.to_json(), ensure_ascii=False),
        content_type=MEDIA_TYPE,
        headers=headers,
    )


def explain(error: Exception) -> Problem:
    """Return the problem for an error of the service, the store or the HTTP layer; what is unknown becomes a 500."""
    if isinstance(error, Refused):
        return problem_of(error.kind, error.detail, error.faults)
    if isinstance(error, DocumentError):
        return _of_faults(error.faults)
    if isinstance(error, StoreError):
        return _of_store(error)
    if isinstance(error, web.HTTPException):
        return _of_http(error)
    return problem_of(INTERNAL, "the request could not be carried out; the log of the control plane has the cause")


def _of_faults(faults: tuple[Fault, ...]) -> Problem:
    count = len(faults)
    return problem_of(
        INVALID, "the document has one fault" if count == 1 else f"the document has {count} faults", faults
    )


def _of_store(error: StoreError) -> Problem:
    match error:
        case HostClaimed():
            return problem_of(DOMAIN_CLAIMED, str(error))
        case NotFound():
            return problem_of(NOT_FOUND, str(error))
        case RevisionConflict() | AlreadyExists():
            return problem_of(CONTENDED, "somebody else was faster; nothing was written, try again")
        case RecordUnreadable():
            return problem_of(RECORD_UNREADABLE, _what_is_unreadable(error))
        case StoreUnavailable():
            return problem_of(STORE_UNAVAILABLE, _uncertainty(error))
        case StoreRefused():
            return problem_of(STORE_REFUSED, f"the store refused: {error.reason}")
        case CodecError():
            return problem_of(INVALID, error.reason)
        case _:
            return problem_of(INTERNAL, "the store could not carry out the request")


def _what_is_unreadable(error: RecordUnreadable) -> str:
    whose = "" if error.tenant == "-" else f" of tenant {error.tenant!r}"  # an admin token may be nobody's
    at = f" at revision {error.revision}" if error.revision else ""
    return f"what is kept{whose}{at} cannot be read: {error.reason}"


def _uncertainty(error: StoreUnavailable) -> str:
    if error.ambiguous:
        return "the store did not confirm the write: it is done whole or not at all; read before you write again"
    return "the store cannot be reached; nothing was written"


def _of_http(error: web.HTTPException) -> Problem:
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return problem_of(METHOD_NOT_ALLOWED, f"{error.method} is not among {allowed}")
        case web.HTTPNotFound():
            return problem_of(NOT_FOUND, "there is nothing at this path; /v1/docs lists what there is")
        case web.HTTPRequestEntityTooLarge():
            return problem_of(TOO_LARGE, "the body is larger than is taken here")
        case web.HTTPUnauthorized():
            return problem_of(UNAUTHENTICATED, "a token is needed")
        case _:
            return problem_of(MALFORMED if error.status < 500 else INTERNAL, error.reason)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error of a request with its problem document; what is nobody's fault is logged once."""
    try:
        return await handler(request)
    except Exception as error:
        problem = explain(error)
        if problem.code == INTERNAL.code:
            log.exception("%s %s failed", request.method, request.path)
        response = respond_with(problem)
        if isinstance(error, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return response
