"""What is wrong with a document, each fault with its place in it; all of them at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

from store.errors import StoreError

MAX_FAULTS = 200
_MAX_COMPARISONS = 2000  # of names, for all the suggestions of a document; each may take a tenth of a millisecond
_MAX_SHOWN = 60
_PLAIN_STEP = re.compile(r"[A-Za-z0-9_*~-](?:[A-Za-z0-9_.*~-]{0,98}[A-Za-z0-9_*~-])?")

Loc = tuple[int | str, ...]
"""A place in a document, as the steps that lead to it: ("routes", 0, "upstream")."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong: where, in the document's own spelling (`routes[0].upstream`), and what."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class DocumentError(StoreError, ValueError):
    """A document that cannot be accepted; `faults` names what is wrong with it, in the order of the document.

    Whoever wrote the document is to blame, and writing it again as it is cannot help. It prints one fault a line.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class Found(NamedTuple):
    """A fault while it is being looked for: its place in steps, and what its name could have been meant for."""

    loc: Loc
    message: str
    name: str = ""
    known: Collection[str] = ()


def faults_of(found: Iterable[Found], raw: object) -> list[Fault]:
    """Put what was found in the order of the document, each once, at most `MAX_FAULTS` and a line for the rest."""
    positions = _Positions(raw)
    written = (item._replace(loc=_as_written(item.loc, raw)) for item in found)
    unique = {(item.loc, item.message): item for item in written}
    ordered = sorted(unique.values(), key=lambda item: positions.of(item.loc))
    faults, comparisons = [], 0
    for item in ordered[:MAX_FAULTS]:
        comparisons += len(item.known)
        hint = did_you_mean(item.name, item.known) if comparisons <= _MAX_COMPARISONS else ""
        faults.append(Fault(path_of(item.loc), item.message + hint))
    if len(ordered) > MAX_FAULTS:
        faults.append(Fault("", f"and {len(ordered) - MAX_FAULTS} faults more"))
    return faults


def path_of(loc: Iterable[int | str]) -> str:
    """Spell a place as the document's reader would: routes[0].upstream; a step that is no plain word is quoted."""
    path = ""
    for step in loc:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _PLAIN_STEP.fullmatch(step) is None:
            path += f"[{shown(step)}]"
        else:
            path += f".{step}" if path else step
    return path


def shown(value: object) -> str:
    """Write a value for a message: on one line, and not more of it than a reader wants."""
    if isinstance(value, str) and len(value) > _MAX_SHOWN:
        return f"{value[:_MAX_SHOWN]!r}..."
    return repr(value) if isinstance(value, str | int | float) else type(value).__name__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Give "; did you mean 'x'?" for the known name most like this one, "" when none is."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6) if 0 < len(name) <= 100 else []
    return f"; did you mean {shown(close[0])}?" if close else ""


def _as_written(loc: Loc, raw: object) -> Loc:
    """Leave out the steps that the document does not have: `domains[0]`, where `domains[0].host` is written short."""
    value = raw
    for depth, step in enumerate(loc):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list | tuple) and isinstance(step, int):
            value = value[step] if step < len(value) else None
        else:
            return loc[:depth]
    return loc


class _Positions:
    """Where things stand in a raw document; what is missing from it stands after what is there."""

    def __init__(self, raw: object) -> None:
        self._raw = raw
        self._orders: dict[int, dict[Any, int]] = {}

    def of(self, loc: Loc) -> tuple[int, ...]:
        """Give the position of a place, to sort by."""
        position = []
        value = self._raw
        for step in loc:
            if isinstance(value, Mapping):
                order = self._orders.setdefault(id(value), {})
                if not order:
                    order.update((key, at) for at, key in enumerate(value))
                position.append(order.get(step, len(order)))
                value = value.get(step)
            elif isinstance(value, list | tuple) and isinstance(step, int) and step < len(value):
                position.append(step)
                value = value[step]
            else:
                position.append(0)
                value = None
        return tuple(position)
