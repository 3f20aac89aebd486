"""What is wrong with a document, each fault with its place in it; all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from store.errors import StoreError


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong: where, in the document's own spelling (`routes[0].upstream`), and what."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class DocumentError(StoreError, ValueError):
    """A document that cannot be accepted; `faults` names everything that is wrong with it, in the document's order."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Give "; did you mean 'x'?" for the known name most like this one, "" when none is."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
