"""The Lua scripts of lua/, loaded by name.

Redis keeps scripts in a cache that a restart, a failover or SCRIPT FLUSH empties; `ask_script` sends the
hash first and the text when the server does not know it, so nobody ever has to load them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

Argument = bytes | str | int
Ask = Callable[..., Awaitable[Any]]
"""Sends one command and returns its reply; several on one `Ask` travel over one connection, in order."""


@dataclass(frozen=True)
class Script:
    """One Lua script and the hash Redis knows it by."""

    name: str
    source: str = field(repr=False)

    @property
    def sha(self) -> str:
        """Redis' name for this text; not a matter of security."""
        return _sha(self.source)


@cache
def _sha(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


@cache
def script(name: str) -> Script:
    """Return the script kept in lua/<name>.lua, what it needs before it; a missing one is a broken installation."""
    source = _text(name)
    needed = _NEEDS.match(source)
    return Script(name, source if needed is None else _text(needed[1]) + source)


def _text(name: str) -> str:
    return files("store").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


_NEEDS = re.compile(r"-- needs (\w+)\n")


async def ask_script(ask: Ask, wanted: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:
    """Run a script by its hash, or by its text when the server has forgotten it."""
    try:
        return await ask("EVALSHA", wanted.sha, len(keys), *keys, *args)
    except NoScriptError:  # it was not run: sending it again is safe
        return await ask("EVAL", wanted.source, len(keys), *keys, *args)
