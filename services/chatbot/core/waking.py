"""Workers that look again when they are woken, or when it is time."""

import asyncio


async def woken(event: asyncio.Event, seconds: float) -> None:
    """Wait until the event is set, at the longest so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
