"""Path rewriting, pure: on raw paths in the spelling of `edge/paths.py`, compiled once per route."""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

from yarl import URL

from edge.paths import canonical_text, normalise_path
from store.model import RouteRewrite
from store.model.regexes import compile_regex

PathRewrite = Callable[[str], str]


class Rewrite:
    """Replaces a leading path prefix, on a segment's boundary: "/a" is replaced in "/a" and "/a/b", not in "/ab".

    `rfrom` and `rto` begin with "/" (ValueError otherwise). The query is left alone.
    """

    __slots__ = ("_prefix", "_replacement", "rfrom", "rto")

    def __init__(self, rfrom: str, rto: str) -> None:
        for name, path in (("rfrom", rfrom), ("rto", rto)):
            if not path.startswith("/"):
                raise ValueError(f'{name} is a path and begins with "/": {path!r}')
        self.rfrom = rfrom
        self.rto = rto
        self._prefix = canonical_text(rfrom).rstrip("/")
        self._replacement = canonical_text(rto).rstrip("/")

    @overload
    def execute(self, url: URL) -> URL: ...

    @overload
    def execute(self, url: str) -> str: ...

    def execute(self, url: URL | str) -> URL | str:
        """Rewrite a URL, or a raw path; one that does not begin with the prefix is given back as it is."""
        if isinstance(url, str):
            return self._rewrite(url)
        return url.with_path(self._rewrite(url.raw_path), encoded=True, keep_query=True, keep_fragment=True)

    def _rewrite(self, path: str) -> str:
        for spelling in (path, canonical_text(path)):
            rest = spelling.removeprefix(self._prefix)
            if spelling.startswith(self._prefix) and rest[:1] in ("", "/"):
                return self._replacement + rest or "/"
        return path


def compile_rewrite(rewrite: RouteRewrite) -> PathRewrite:
    """Make the function that turns a request's normalised path into the path for its target.

    What a tenant's pattern makes of a path is normalised again (EdgeError `bad_path`), so it cannot smuggle in what
    the edge refused at the door.
    """
    if rewrite.strip_prefix is not None:
        return Rewrite(rewrite.strip_prefix, "/").execute
    if rewrite.from_path is not None:
        return Rewrite(rewrite.from_path, rewrite.to).execute
    pattern, replacement = compile_regex(rewrite.pattern or ""), rewrite.to

    def substitute(path: str) -> str:
        rewritten = pattern.sub(replacement, path)
        return path if rewritten == path else normalise_path("/" + rewritten.lstrip("/"))

    return substitute
