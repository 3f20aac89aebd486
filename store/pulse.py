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


async def keep_pulse(client: Client) -> None:
    """Ask Redis again and again and keep `client.is_silent` true to what it says; for ever, until cancelled."""
    try:
        while True:
            await _feel(client)
            await asyncio.sleep(PULSE_EVERY_S)
    finally:
        client.is_silent = False


async def _feel(client: Client) -> None:
    asking = asyncio.create_task(_is_answering(client))
    try:
        done, _ = await asyncio.wait([asking], timeout=SILENT_AFTER_S)
        if not done:
            client.is_silent = True
        client.is_silent = not await asking
    finally:
        asking.cancel()


async def _is_answering(client: Client) -> bool:
    try:
        await client.ping()
    except StoreError:
        return False
    return True
