"""Which Python measures and is measured: how it was built decides a good part of what a request costs."""

from __future__ import annotations

import platform
import shlex
import sysconfig

_MEANT = {"--enable-optimizations": "PGO", "--with-lto": "LTO"}


def describe(version: str, configured: str) -> str:
    """Say in a few words what a Python is; `configured` are the arguments it was configured with.

    Who builds Pythons in ways of their own, as Debian does, leaves no trace of it there: then nothing is said.
    """
    given = {each.partition("=")[0] for each in shlex.split(configured)}
    built = [meant for option, meant in _MEANT.items() if option in given]
    return f"Python {version} ({' and '.join(built) or 'says nothing of PGO or LTO'})"


def this_interpreter() -> str:
    """Describe the Python that this runs on."""
    return describe(platform.python_version(), str(sysconfig.get_config_var("CONFIG_ARGS") or ""))
