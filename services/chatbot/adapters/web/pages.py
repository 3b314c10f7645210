"""Pages of the web: fetched through the guard, read in a process that may be killed."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from chatbot.adapters.documents.reader_process import ReaderLimits, ReaderProcess
from chatbot.adapters.web.guard import WebRefused
from chatbot.adapters.web.outbound import Outbound
from chatbot.domain.document_store import ReaderLost
from chatbot.domain.documents import IndexedChunk, Job, Unreadable
from chatbot.domain.outside.web import WebTelemetry

PAGE_LIMITS: Final = ReaderLimits(memory_bytes=256 * 2**20, cpu_seconds=3, silence_seconds=5.0)
MAX_PASSAGES: Final = 200
_NAMES: Final = {"text/plain": "page.txt"}


@dataclass(frozen=True, slots=True)
class WebPages:
    """Implements `PageReader`.

    Attributes:
        outbound: For addresses that others name: it trusts none.
        at_once: Pages that are read in processes at the same time.
    """

    service: str
    outbound: Outbound
    telemetry: WebTelemetry
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    async def read(self, url: str) -> tuple[IndexedChunk, ...]:
        """See `PageReader`."""
        try:
            passages = await self._read(url)
            outcome = "ok" if passages else "unreadable"
        except WebRefused:
            passages, outcome = (), "refused"
        except TimeoutError:
            passages, outcome = (), "timeout"
        except OSError:
            passages, outcome = (), "unreachable"
        except (Unreadable, ReaderLost):
            passages, outcome = (), "unreadable"
        self.telemetry.page_read(self.service, outcome)
        return passages

    async def _read(self, url: str) -> tuple[IndexedChunk, ...]:
        page = await self.outbound.fetch(url)
        if page.status != 200:
            raise ConnectionError("not there")
        job = Job("", "", _NAMES.get(page.media_type, "page.html"), page.body, 0)
        passages: list[IndexedChunk] = []
        async with self.at_once:
            reading = await ReaderProcess.open(job, PAGE_LIMITS)
            try:
                is_last = False
                while not is_last and len(passages) < MAX_PASSAGES:
                    progress = await reading.next()
                    passages += progress.chunks
                    is_last = progress.is_last
            finally:
                await reading.close()
        return tuple(passages[:MAX_PASSAGES])
