"""The fields that a target is sent, left as bytes until somebody looks at them.

A client mostly repeats its fields, so what they come to is kept (`repeated.py`), as the bytes that go out; a request
adds its identifiers and its route. Whoever only removes a field need not look at them either.
"""

from __future__ import annotations

from multidict import CIMultiDict, MultiMapping

from edge.headers import REQUEST_ID, ROUTE, TENANT, TRACEPARENT, Pairs
from edge.repeated import RepeatedFields

Identifiers = tuple[str, str]


class RouteFields:
    """What each request of a route tells its target: the tenant's name and the route's."""

    __slots__ = ("block", "pairs")

    def __init__(self, tenant: str, route: str) -> None:
        self.pairs: Pairs = [(TENANT, tenant), (ROUTE, route)]
        self.block = f"{TENANT}: {tenant}\r\n{ROUTE}: {route}\r\n".encode()


class UnreadFields:
    """One request's fields; `serialized` as long as nobody has called `opened`."""

    __slots__ = ("_added", "_identifiers", "_received", "_removed", "_repeated", "_route")

    def __init__(
        self, repeated: RepeatedFields, received: MultiMapping[str], identifiers: Identifiers, route: RouteFields
    ) -> None:
        """`received` are those fields of the client's that `repeated` was made of; `identifiers` id and traceparent."""
        self._repeated = repeated
        self._received = received
        self._identifiers = identifiers
        self._route = route
        self._removed: tuple[str, ...] = ()
        self._added: Pairs = []

    def remove(self, name: str) -> None:
        """Leave a field of the client's out; not one of the edge's own."""
        self._removed = (*self._removed, name)

    def add(self, name: str, value: str) -> None:
        """Add a field that the client cannot have sent, because its name is the edge's; of visible ASCII."""
        self._added.append((name, value))

    def opened(self) -> CIMultiDict[str]:
        """Make the mapping of them."""
        request_id, traceparent = self._identifiers
        out = CIMultiDict(self._repeated.lasting(self._received))
        for name in self._removed:
            out.popall(name, None)
        out.extend([(REQUEST_ID, request_id), (TRACEPARENT, traceparent), *self._route.pairs, *self._added])
        return out

    def serialized(self) -> bytes:
        """Write them, each with its line's end."""
        request_id, traceparent = self._identifiers
        own = f"{REQUEST_ID}: {request_id}\r\n{TRACEPARENT}: {traceparent}\r\n".encode("ascii")
        added = "".join([f"{name}: {value}\r\n" for name, value in self._added]).encode("ascii")
        return self._repeated.block(self._received, self._removed) + own + self._route.block + added
