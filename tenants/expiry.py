"""Until when a key or a token is good, and what it may be called: decided purely."""

from __future__ import annotations

from dataclasses import dataclass

from store.model import Fault
from store.model.fields import check_scope
from store.model.units import parse_duration_s
from tenants.errors import INVALID, Refused
from tenants.times import from_rfc3339

MAX_NAME_CHARS = 100
MAX_SCOPES = 32
MAX_SPAN_MS = 3_660 * 86_400_000


@dataclass(frozen=True, slots=True)
class Expiry:
    """How a caller said it: for a span (`90d`), until a moment (RFC 3339), or not at all."""

    span: str | None = None
    moment: str | None = None

    def at_ms(self, now_ms: int) -> int | None:
        """Return when it ends, in Unix ms, None for never; `Refused` (422) names the field that cannot be used."""
        if self.span is not None and self.moment is not None:
            raise _fault("expires_at", "give expires_in or expires_at, not both")
        if self.span is not None:
            return now_ms + self._span_ms(self.span)
        return None if self.moment is None else self._moment_ms(self.moment, now_ms)

    @staticmethod
    def _span_ms(span: str) -> int:
        try:
            span_ms = round(parse_duration_s(span.strip()) * 1000)
        except ValueError as error:
            raise _fault("expires_in", "expected a duration longer than zero, such as 90d or 12h") from error
        if span_ms > MAX_SPAN_MS:
            raise _fault("expires_in", "is longer than ten years")
        return span_ms

    @staticmethod
    def _moment_ms(moment: str, now_ms: int) -> int:
        try:
            at_ms = from_rfc3339(moment)
        except ValueError as error:
            raise _fault("expires_at", str(error)) from error
        if not now_ms < at_ms <= now_ms + MAX_SPAN_MS:
            raise _fault("expires_at", "is not in the next ten years")
        return at_ms


NEVER = Expiry()


def check_name(name: str) -> str:
    """Return the name of a key or token without blanks around it; `Refused` (422) when it cannot be shown in a list."""
    text = name.strip()
    if not text or len(text) > MAX_NAME_CHARS or not text.isprintable():
        raise _fault("name", f"must have 1 to {MAX_NAME_CHARS} printable characters")
    return text


def check_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the scopes, each once and in order of name; `Refused` (422) names every one that cannot be used."""
    faults: list[Fault] = []
    for index, scope in enumerate(scopes):
        try:
            check_scope(scope)
        except ValueError as error:
            faults.append(Fault(f"scopes[{index}]", str(error)))
    if len(scopes) > MAX_SCOPES:
        faults.append(Fault("scopes", f"are more than {MAX_SCOPES}"))
    if faults:
        raise Refused(INVALID, "; ".join(f"{fault.path}: {fault.message}" for fault in faults), faults)
    return tuple(sorted(set(scopes)))


def _fault(path: str, message: str) -> Refused:
    return Refused(INVALID, f"{path}: {message}", [Fault(path, message)])
