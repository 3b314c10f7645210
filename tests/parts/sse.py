"""Reading server-sent events, as the WHATWG specification has them, for tests."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx


async def events(answer: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """Name and parsed data of each event; comments come as (":", text)."""
    name, data = "message", ""
    async for line in answer.aiter_lines():
        if line.startswith(":"):
            yield ":", line[1:].strip()
        elif line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data = line.removeprefix("data: ")
        elif not line and data:
            yield name, data if data == "[DONE]" else json.loads(data)
            name, data = "message", ""
