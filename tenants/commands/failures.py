"""What ends a command early: one line for a person, the faults one a line, and the exit status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

REFUSED = 1
USAGE = 2


class CommandFailed(Exception):  # noqa: N818 - the name says what happened
    """The command cannot do what it was asked. `exit_code`: 1 refused, 2 usage or cannot connect."""

    def __init__(self, message: str, faults: Iterable[str] = (), exit_code: int = REFUSED) -> None:
        super().__init__(message)
        self.message = message
        self.faults = tuple(faults)
        self.exit_code = exit_code

    def lines(self) -> list[str]:
        """What to write to standard error."""
        return [self.message, *(f"  {fault}" for fault in self.faults)]


class FaultsFound(CommandFailed):
    """What the files say cannot be; `how` goes before the count of the faults."""

    def __init__(self, faults: Sequence[str], how: str = "") -> None:
        super().__init__(f"{how}{len(faults)} fault{'s' if len(faults) > 1 else ''}", faults)


def usage(message: str) -> CommandFailed:
    """A failure whose cause is how the command was called, or where it cannot connect."""
    return CommandFailed(message, exit_code=USAGE)
