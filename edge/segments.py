"""Paths as a tree of segments: at each step static text before constrained parameters before a plain one.

The tree is a tree: a walk meets each node at most once, so no request costs more than a domain has segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from store.model.paths import Segment, SegmentKind

L = TypeVar("L")


class Node(Generic[L]):
    """What can follow a path so far; `leaves` are of the patterns that end here."""

    __slots__ = ("_constrained", "_leaves", "_plain", "_static")

    def __init__(self) -> None:
        self._static: dict[str, Node[L]] = {}
        self._constrained: list[tuple[Segment, Node[L]]] = []
        self._plain: Node[L] | None = None
        self._leaves: list[L] = []

    def add(self, segments: Sequence[Segment], leaf: L) -> None:
        """Hang a leaf below these segments; several may end at one node. Only while the tree is being built."""
        node = self
        for segment in segments:
            node = node._child(segment)
        node._leaves.append(leaf)

    def _child(self, segment: Segment) -> Node[L]:
        if segment.kind is SegmentKind.STATIC:
            return self._static.setdefault(segment.text, Node())
        if segment.kind is SegmentKind.PLAIN:
            self._plain = self._plain or Node()
            return self._plain
        for known, child in self._constrained:
            if known == segment:
                return child
        child = Node()
        self._constrained.append((segment, child))
        return child

    def leaves_at_end(self, path: str) -> list[list[L]]:
        """Give the leaves of the patterns that match the whole path, those of equal rank together, best first."""
        parts = path[1:].split("/")
        return [leaves for depth, leaves in self._walk_along(parts) if depth == len(parts)]

    def leaves_above(self, path: str) -> list[list[L]]:
        """Give the leaves of the patterns that match a beginning of the path, the longest first."""
        # The walk meets those of one depth in the order of their rank, and the sort keeps it.
        found = sorted(self._walk_along(path[1:].split("/")), key=_shallowness)
        return [leaves for _, leaves in found]

    def _walk_along(self, parts: Sequence[str]) -> list[tuple[int, list[L]]]:
        found: list[tuple[int, list[L]]] = []
        _walk([self], parts, 0, found)
        return found


def _walk(nodes: list[Node[L]], parts: Sequence[str], depth: int, found: list[tuple[int, list[L]]]) -> None:
    """Walk down with a set of nodes that are all reached by segments of the same kinds, and so are equal in rank."""
    leaves = [leaf for node in nodes for leaf in node._leaves] if len(nodes) > 1 else nodes[0]._leaves
    if leaves:
        found.append((depth, leaves))
    if depth == len(parts):
        return
    part = parts[depth]
    static, constrained, plain = [], [], []
    for node in nodes:
        if (child := node._static.get(part)) is not None:
            static.append(child)
        if not part:
            continue  # a parameter stands for something
        if node._constrained:
            constrained += [c for segment, c in node._constrained if segment.compiled.fullmatch(part) is not None]
        if node._plain is not None:
            plain.append(node._plain)
    for following in (static, constrained, plain):
        if following:
            _walk(following, parts, depth + 1, found)


def _shallowness(found: tuple[int, object]) -> int:
    return -found[0]


class StaticPrefixes(Generic[L]):
    """Prefixes without parameters, which are nearly all there are: one look-up for each length that occurs."""

    __slots__ = ("_by_text", "_lengths")

    def __init__(self, by_text: dict[str, L]) -> None:
        """Take leaves by the prefix's text, "/v1" for "/v1/*" and "" for "/*"."""
        self._by_text = by_text
        self._lengths = sorted({len(text) for text in by_text}, reverse=True)

    def leaves_above(self, path: str) -> list[list[L]]:
        """Give the leaves of the prefixes that the path is at or below, the longest first."""
        found = []
        for length in self._lengths:
            if len(path) == length or path[length : length + 1] == "/":
                leaf = self._by_text.get(path[:length])
                if leaf is not None:
                    found.append([leaf])
        return found
