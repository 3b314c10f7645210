"""A whole service on a real engine, behind the official openai client: a toy of random weights, or another file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import openai
from chatbot.api.profiles import OFFICE, Profile
from chatbot.llm.engine_host import EngineHost
from chatbot.llm.model_source import FixedModel
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.service import open_service
from chatbot.server.wiring.shared import open_shared, running

from parts.http_service import serving
from parts.toy_gguf import make_toy
from parts.waiting import until


@dataclass(frozen=True, slots=True)
class RealV1:
    """A service that runs.

    Attributes:
        client: Of the service's `/v1`; no retries, 60 s.
        host: Its engine.
        url: Of the service itself.
    """

    client: openai.AsyncOpenAI
    host: EngineHost
    url: str = ""


@asynccontextmanager
async def real_v1(
    folder: Path,
    model: Path | None = None,
    *,
    context_tokens: int = 1024,
    kv_tokens: int = 4096,
    profile: Profile = OFFICE,
) -> AsyncIterator[RealV1]:
    """Serve a file under the name "toy"; without one a toy is made."""
    chosen = Settings.model_validate(
        {
            "model": {"name": "toy", "context_tokens": context_tokens},
            "engine": {"slots": 4, "kv_tokens": kv_tokens, "threads": 1},
            "history": {"sqlite_path": folder / "history.sqlite3"},
        }
    )
    shared = open_shared(chosen, [profile])
    app, _ = open_service(profile, shared, "")
    async with (
        running(shared, FixedModel(model or make_toy(folder / "toy.gguf"))),
        serving(app, shared.gate) as (port,),
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0) as client,
    ):
        await until(lambda: shared.engine.host.child() is not None, 60)
        yield RealV1(client.with_options(timeout=60), shared.engine.host, f"http://127.0.0.1:{port}")


@asynccontextmanager
async def real_client(folder: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    """Only the client, of a toy."""
    async with real_v1(folder) as service:
        yield service.client
