"""Whether Redis answers, found out by asking in the background, so that callers need not find out one by one.

A Redis that is gone refuses at once. One that is frozen takes everything and answers nothing: whoever asks waits
as long as its role is patient. While the pulse is missing, the client's callers are told so within a tenth of a second.
"""

from __future__ import annotations

import asyncio

from store.client import Client
from store.errors import StoreError

PULSE_EVERY_S = 0.25
SILENT_AFTER_S = 0.3
GRACE_S = 0.05


async def keep_pulse(client: Client) -> None:
    """Ask Redis again and again and keep `client.is_silent` true to what it says; for ever, until cancelled.

    The asking has a way of its own to Redis, so that it waits for nobody's turn.
    """
    async with Client(client.address, client.role) as own:
        try:
            while True:
                await _feel(client, own)
                await asyncio.sleep(PULSE_EVERY_S)
        finally:
            client.is_silent = False


async def _feel(client: Client, own: Client) -> None:
    asking = asyncio.create_task(_is_answering(own))
    try:
        # The second time because not Redis but this process may be late, and the answer may lie in the socket already.
        for patience_s in (SILENT_AFTER_S, GRACE_S):
            await asyncio.wait([asking], timeout=patience_s)
        if not asking.done():
            client.is_silent = True
        client.is_silent = not await asking
    finally:
        asking.cancel()


async def _is_answering(own: Client) -> bool:
    try:
        await own.ping()
    except StoreError:
        return False
    return True
