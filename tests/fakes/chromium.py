"""The system's Chromium, driven by playwright: `async with chromium() as browser: page = await browser.new_page()`.

Where there is none, tests are skipped and say how to have one; where CI promised one (PORTICO_MUST_HAVE_CHROMIUM, which
`.ci/run` sets after installing it) they fail instead.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

MUST_HAVE = "PORTICO_MUST_HAVE_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run the system's Chromium without a window; nothing is downloaded."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = "there is no Chromium on PATH (apt-get install chromium): a login was not tried in a real browser"
        if os.environ.get(MUST_HAVE):
            pytest.fail(reason)
        pytest.skip(reason)
    async with async_playwright() as driver:
        # Without its sandbox, which root cannot have; what it visits are our own pages on loopback.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = await driver.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()
