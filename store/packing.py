"""Commands as they go to Redis (RESP arrays of bulk strings), packed in C, or but for their keys ahead of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import hiredis

from store.scripts import Argument, Script

_PLACE = "a key"
_BULK = b"$%d\r\n%b\r\n"


def packed(command: tuple[Any, ...]) -> bytes:
    """Pack a command; text that is no UTF-8, since a client sent it, goes as the bytes that Python makes of it."""
    # In C: redis-py packs in Python, which costs as much as all the rest of a command here.
    try:
        made: bytes = hiredis.pack_command(command)
    except UnicodeEncodeError:  # bytes of a client that are no UTF-8 come as surrogates
        made = hiredis.pack_command(tuple(map(_encoded, command)))
    return made


class Prepared(NamedTuple):
    """A script's command with arguments that stay the same: what goes before its keys, and what behind them."""

    before: bytes
    behind: bytes

    def with_keys(self, keys: Sequence[str]) -> bytes:
        """Give the command for as many keys as it was prepared for; a third of what packing all of it costs."""
        if len(keys) == 1:  # as mostly
            key = _encoded(keys[0])
            return b"%b$%d\r\n%b\r\n%b" % (self.before, len(key), key, self.behind)
        made = [_encoded(key) for key in keys]
        return b"%b%b%b" % (self.before, b"".join([_BULK % (len(key), key) for key in made]), self.behind)


def prepared(script: Script, keys: int, arguments: Sequence[Argument]) -> Prepared:
    """Pack all of a script's command but its keys, of which there are so many, one at least."""
    places = (_PLACE,) * keys
    command = packed(("EVALSHA", script.sha, keys, *places, *arguments))
    before, _, behind = command.partition(_BULK % (len(_PLACE), _PLACE.encode()) * keys)
    return Prepared(before, behind)


def _encoded(argument: Any) -> Any:
    return argument.encode("utf-8", "surrogatepass") if isinstance(argument, str) else argument
