"""Another service is asked about each request: its 2xx lets the request pass, any other answer goes to the client.

The service is asked as Traefik and Caddy ask it: a GET with the client's fields and with `X-Forwarded-Method`, `-Uri`,
`-Host`, `-Proto` and `-For`, and no body. What it says of the caller goes to the target in fields that a client cannot
set: the client's own of those names are gone for each request of the route, whoever else lets it pass. Nothing that it
says is remembered. When it cannot be asked, nobody can tell who calls: 503 `auth_unavailable`.
"""

from __future__ import annotations

from multidict import CIMultiDict

from edge.client_edge.auth import AuthMethod, Verdict
from edge.context import Identity, ProxyContext
from edge.cookies import drop_own_cookies
from edge.errors import EdgeError
from edge.exchange import Exchange
from edge.framing import has_controls
from edge.head import read_target
from edge.headers import strip_answer_headers
from edge.message import ProxyRequest, ProxyResponse
from edge.outgoing import AUTH_UNAVAILABLE, Answer, Asker
from store.model import ForwardAuth
from store.model.fields import is_reserved_for_requests

MAX_ANSWER_BYTES = 256 * 1024

# What would make a service answer something else than who calls: a part, or that nothing has changed.
_NOT_ASKED = ("Host", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range")
# What another method of the route, or this one, may have taken out of the request for the target.
_CREDENTIALS = ("Authorization", "Cookie")


class ForwardMethod(AuthMethod):
    """Knows a tenant's callers by what a service says of their requests."""

    def __init__(self, declared: ForwardAuth, asker: Asker) -> None:
        self._url = declared.url
        self._timeout_s = declared.timeout_s
        self._copied = declared.copy_headers
        self._subject = declared.subject_header
        self._asker = asker
        named = (*declared.copy_headers, declared.subject_header or "")
        # A client's own of the reserved ones are gone already, and what is there is the edge's.
        self._ours = frozenset(folded(name) for name in named if name and not is_reserved_for_requests(name))

    def shown(self, request: ProxyRequest, *, keep: bool) -> bool:  # noqa: ARG002 - nothing of it is a credential
        """Say that there is always something to ask about; fields that only the service may set are taken out."""
        if self._ours:
            for name in [name for name in request.in_req.headers if folded(name) in self._ours]:
                request.remove_field(name)
        return True

    async def judge(self, ctx: ProxyContext, shown: bool) -> Verdict:  # noqa: ARG002 - always the same
        """Ask; EdgeError `auth_unavailable` when the service does not answer in time, or too much."""
        answer = await self._asker.ask("GET", self._url, question_of(ctx), timeout_s=self._timeout_s)
        if any(has_controls(value) for value in answer.fields.values()):
            raise EdgeError(AUTH_UNAVAILABLE, "a control character in a field of a service's answer")
        if not 200 <= answer.status < 300:
            return passed_on(answer)
        subject = "" if self._subject is None else answer.fields.get(self._subject, "")
        fields = tuple((name, value) for name in self._copied for value in answer.fields.getall(name, ()))
        return Identity(subject, kind="forward", fields=fields)


def folded(name: str) -> str:
    """Spell a field's name as the most careless server reads it: many take `_` for `-`."""
    return name.lower().replace("_", "-")


def question_of(ctx: ProxyContext) -> CIMultiDict[str]:
    """List the fields that the service is asked with: those for the target, and what the request is."""
    request = ctx.request
    came = request.in_req
    assert isinstance(came, Exchange)
    fields = CIMultiDict(request.headers)
    for name in _CREDENTIALS:
        if name not in fields:
            fields.extend((name, value) for value in came.headers.getall(name, ()))
    drop_own_cookies(fields)
    for name in _NOT_ASKED:
        fields.popall(name, None)
    path = read_target(came).path  # in the one spelling that the route was found by, before it is rewritten
    fields["X-Forwarded-Method"] = came.method
    fields["X-Forwarded-Uri"] = f"{path}?{request.query_string}" if request.query_string else path
    return fields


def passed_on(answer: Answer) -> ProxyResponse:
    """Make the client's answer of the service's."""
    return ProxyResponse.of(answer.status, strip_answer_headers(answer.fields), answer.body)
