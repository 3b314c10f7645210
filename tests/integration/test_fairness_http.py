"""One user with fifty requests, and another one with the first: over HTTP, on the real engine."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from parts.local_process import local_process
from parts.toy_gguf import make_toy

GREEDY_REQUESTS = 50


@dataclass
class Told:
    """What one stream was told, and when."""

    places: list[int] = field(default_factory=list)
    told_at: list[float] = field(default_factory=list)
    done: dict[str, Any] = field(default_factory=dict)

    @property
    def started_at(self) -> float:
        """When it was told that it is no longer waiting."""
        return self.told_at[self.places.index(0)]


async def ask(client: httpx2.AsyncClient, user: str, told: Told) -> Told:
    """One question to its end."""
    body = {"input_data": "Tell me a long story.", "user_id": user}
    async with client.stream("POST", "/office/Llama", json=body, headers={"Accept": "text/event-stream"}) as response:
        assert response.status_code == 200
        event = ""
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: ") and event == "queue":
                told.places.append(json.loads(line.removeprefix("data: "))["position"])
                told.told_at.append(time.monotonic())
            elif line.startswith("data: ") and event == "done":
                told.done = json.loads(line.removeprefix("data: "))
    assert told.done, f"ended with {event}"
    return told


def generation_seconds(done: dict[str, Any]) -> float:
    return float(done["timings"]["prompt_seconds"] + done["timings"]["generation_seconds"])


@pytest.mark.parametrize("slots", [1, 8])
async def test_another_users_first_request_waits_for_one_generation_at_most(
    tmp_path: Path, slots: int, figures: Callable[..., None]
) -> None:
    toy = make_toy(tmp_path / "toy.gguf", n_layers=4, n_embd=256)
    settings = {
        "CHATBOT_MODEL_PATH": str(toy),
        "CHATBOT_MODEL_CONTEXT_TOKENS": "512",
        "CHATBOT_ENGINE_SLOTS": str(slots),
        "CHATBOT_ENGINE_KV_TOKENS": "8192",
        "CHATBOT_ENGINE_THREADS": "1",
        "CHATBOT_QUEUE_TIMEOUT_SECONDS": "3600",
    }
    limits = httpx2.Limits(max_connections=None)
    fifty = [Told() for _ in range(GREEDY_REQUESTS)]
    with local_process(tmp_path, **settings) as local:
        async with httpx2.AsyncClient(base_url=local.gateway, trust_env=False, timeout=300, limits=limits) as client:
            greedy = [asyncio.create_task(ask(client, "greedy", told)) for told in fifty]
            await asyncio.wait(greedy, return_when=asyncio.FIRST_COMPLETED)

            other = await ask(client, "other", Told())
            answered_before = sum(task.done() for task in greedy)
            await asyncio.gather(*greedy)

    overtaken_by = sum(other.told_at[0] < told.started_at < other.started_at for told in fifty)
    figures(
        slots=slots,
        other_was_told=other.places,
        overtaken_by=overtaken_by,
        answered_before_the_other=answered_before,
        other_waited_seconds=round(float(other.done["timings"]["queue_seconds"]), 2),
        longest_generation_seconds=round(max(generation_seconds(told.done) for told in fifty), 2),
        last_of_fifty_waited_seconds=round(max(float(t.done["timings"]["queue_seconds"]) for t in fifty), 1),
    )
    # Places and orders, no seconds. Starts just before it came may be read just after: as many as there are slots.
    assert other.places[0] <= 1, "it is next as soon as it comes"
    assert overtaken_by <= slots
