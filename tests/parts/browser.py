"""A real browser, headless: Debian's Chromium, driven by Playwright."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.async_api import Page, async_playwright

from parts.needs import need

_DRAWN_MILLISECONDS = 120_000  # a busy machine; alone it takes one second


@dataclass
class Opened:
    """A page, and what happened while it was open.

    Attributes:
        complaints: What its console said, and errors that nobody caught.
        requests: Addresses that it asked for, its own included.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@asynccontextmanager
async def opened(path: Path, width: int, scheme: Literal["light", "dark"]) -> AsyncIterator[Opened]:
    """Open a file in a window of a width and wait until its charts are drawn."""
    chromium = need("chromium", "apt-get install chromium (or make deps)")
    async with async_playwright() as playwright:
        # Tests may run as root, where Chromium's own sandbox does not start; it opens nothing but our file.
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            page = await browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            found = Opened(page)
            page.on("console", lambda message: found.complaints.append(message.text))
            page.on("pageerror", lambda error: found.complaints.append(str(error)))
            page.on("request", lambda request: found.requests.append(request.url))
            await page.goto(path.as_uri(), timeout=_DRAWN_MILLISECONDS)
            await page.wait_for_function("document.documentElement.dataset.drawn", timeout=_DRAWN_MILLISECONDS)
            yield found
        finally:
            await browser.close()
