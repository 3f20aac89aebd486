"""`DynamicMiddleware`: an application's middlewares that may be added, replaced and deleted while it is serving."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import NamedTuple

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middleware = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


class NamedMiddleware(NamedTuple):
    """One entry of a `DynamicMiddleware`: for hosts with this suffix, under this name if it has one."""

    domain: str
    name: str | None
    handler: Middleware


class DynamicMiddleware:
    """A middleware made of middlewares, run in the order in which they were added; the first is outermost.

    Give it to `web.Application(middlewares=[...])`. A request runs those that were there when it came in, however the
    list changes meanwhile. `domain` limits a middleware to hosts with that suffix, by whole labels: "bar" means bar and
    foo.bar, "*.bar" means foo.bar only, "" means every host.
    """

    # By this aiohttp tells a middleware that takes (request, handler) from the factories of its first versions.
    __middleware_version__ = 1

    def __init__(
        self,
        middlewares: Iterable[Middleware] = (),
        named_middlewares: Iterable[tuple[str, str, Middleware]] = (),
    ) -> None:
        """Start with unnamed middlewares and, after them, with (domain, name, middleware) ones."""
        # Never changed in place, because running requests and iterations hold it.
        self._entries: tuple[NamedMiddleware, ...] = ()
        for middleware in middlewares:
            self.add_handler(middleware)
        for domain, name, middleware in named_middlewares:
            self.add_named_handler(middleware, name, domain)

    def add_handler(self, middleware: Middleware, domain: str = "") -> bool:
        """Add a middleware after the others; True, because it was added."""
        self._entries = (*self._entries, _entry(middleware, None, domain))
        return True

    def add_named_handler(self, middleware: Middleware, name: str, domain: str = "", overwrite: bool = True) -> bool:
        """Add a middleware under a name, in the place of the one that has it; False if there is one to be kept."""
        entry = _entry(middleware, name, domain)
        index = self._index_of(name)
        if index is None:
            self._entries = (*self._entries, entry)
        elif overwrite:
            self._entries = (*self._entries[:index], entry, *self._entries[index + 1 :])
        return index is None or overwrite

    def get_handler(self, index: int) -> Middleware:
        """Give the middleware at an index; IndexError if there is none."""
        return self._entries[index].handler

    def get_named_handler(self, name: str) -> Middleware | None:
        """Give the middleware of that name, if there is one."""
        index = self._index_of(name)
        return None if index is None else self._entries[index].handler

    def get_domain_handlers(self, domain: str) -> list[Middleware]:
        """List the middlewares that were added for exactly this suffix."""
        return [entry.handler for entry in self._entries if entry.domain == domain]

    def get_matching_domain_handlers(self, host: str) -> list[Middleware]:
        """List the middlewares that a request to this host runs."""
        return [entry.handler for entry in self._entries if _is_for(entry.domain, _canonical_host(host))]

    def contains_named_handler(self, name: str) -> bool:
        """Say whether there is a middleware of that name."""
        return self._index_of(name) is not None

    def contains_domain_handler(self, domain: str) -> bool:
        """Say whether there is a middleware for exactly this suffix."""
        return bool(self.get_domain_handlers(domain))

    def contains_matching_domain_handler(self, host: str) -> bool:
        """Say whether a request to this host runs any."""
        return bool(self.get_matching_domain_handlers(host))

    def del_handler(self, index: int) -> None:
        """Delete the middleware at an index; IndexError if there is none."""
        entries = list(self._entries)
        del entries[index]
        self._entries = tuple(entries)

    def del_named_handler(
        self, name_or_middleware: str | Middleware, name: str | None = None, overwrite: bool = False
    ) -> bool:
        """Delete the middleware of that name; True if there was one.

        Also takes (middleware, name), and then deletes it only if it is that middleware. With `overwrite` that one is
        put in the place of the one that has the name, which is what the document of this interface writes so.
        """
        if overwrite and name is not None and not isinstance(name_or_middleware, str):
            return self.add_named_handler(name_or_middleware, name)
        expected = None if name is None else name_or_middleware
        index = self._index_of(name_or_middleware if name is None else name)
        if index is None or (expected is not None and self._entries[index].handler is not expected):
            return False
        self.del_handler(index)
        return True

    def del_domain_handlers(self, domain: str) -> None:
        """Delete the middlewares that were added for exactly this suffix."""
        self._entries = tuple(entry for entry in self._entries if entry.domain != domain)

    def del_matching_domain_handlers(self, host: str) -> None:
        """Delete the middlewares that a request to this host runs."""
        canonical = _canonical_host(host)
        self._entries = tuple(entry for entry in self._entries if not _is_for(entry.domain, canonical))

    def del_handlers(self) -> None:
        """Delete all."""
        self._entries = ()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[NamedMiddleware]:
        return iter(self._entries)

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Run the middlewares for the request's host around the handler, as aiohttp calls it."""
        host = _canonical_host(request.headers.get("Host", ""))
        for entry in reversed(self._entries):
            if _is_for(entry.domain, host):
                # Bound by position, so that a middleware may call its second parameter what it likes.
                handler = functools.partial(_call, entry.handler, handler)
        return await handler(request)

    def _index_of(self, name: object) -> int | None:
        if name is None:
            return None
        return next((i for i, entry in enumerate(self._entries) if entry.name == name), None)


async def _call(middleware: Middleware, handler: Handler, request: web.Request) -> web.StreamResponse:
    return await middleware(request, handler)


def _entry(middleware: Middleware, name: str | None, domain: str) -> NamedMiddleware:
    if not callable(middleware):
        raise TypeError(f"a middleware is called with a request and a handler: {middleware!r}")
    return NamedMiddleware(domain, name, middleware)


def _is_for(suffix: str, host: str) -> bool:
    """Say whether a host has the suffix, by whole labels."""
    wanted = suffix.lower().removeprefix("*")
    if not wanted or host == wanted:
        return True
    return host.endswith(wanted if wanted.startswith(".") else f".{wanted}")


def _canonical_host(host: str) -> str:
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return name.lower().rstrip(".")
