"""Work on a document while its claim is renewed."""

import asyncio
from collections.abc import Awaitable

from chatbot.domain.document_store import DocumentStore
from chatbot.domain.documents import Job, VectorJob


async def while_held(store: DocumentStore, job: Job | VectorJob, work: Awaitable[None], beat_seconds: float) -> None:
    """Do work while the claim is renewed; it stops when the claim is lost.

    Raises:
        LeaseLost, StoreUnavailable: The claim could not be renewed.
    """
    working = asyncio.ensure_future(work)
    beating = asyncio.create_task(_beat(store, job, beat_seconds))
    try:
        await asyncio.wait((working, beating), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, beating):
            task.cancel()
        await asyncio.gather(working, beating, return_exceptions=True)
    ended = working if not working.cancelled() else beating
    ended.result()


async def _beat(store: DocumentStore, job: Job | VectorJob, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await store.beat(job)
