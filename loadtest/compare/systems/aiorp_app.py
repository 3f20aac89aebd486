"""The smallest application of aiorp, everything to one origin: `python -m ... PORT ORIGIN_PORT`."""

from __future__ import annotations

import collections.abc
import importlib
import sys
import typing
from typing import Any

import uvloop
from aiohttp import web
from yarl import URL


def imported_aiorp() -> Any:
    """Import it by name, as types are checked where it is not installed.

    Its annotations give `typing.AsyncGenerator` one parameter, which Python takes from 3.13 on; the class of
    `collections.abc` takes it always. Nothing that a request passes through is changed.
    """
    kept = typing.AsyncGenerator
    typing.AsyncGenerator = collections.abc.AsyncGenerator  # type: ignore[misc]
    try:
        return importlib.import_module("aiorp")
    finally:
        typing.AsyncGenerator = kept  # type: ignore[misc]


def main(port: int, origin_port: int) -> None:
    """Serve until SIGTERM."""
    aiorp = imported_aiorp()
    context = aiorp.ProxyContext(url=URL(f"http://127.0.0.1:{origin_port}"))
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", aiorp.HTTPProxyHandler(context=context))
    aiorp.configure_contexts(app, [context])
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
