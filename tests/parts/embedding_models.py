"""Models that make vectors: a real one of random weights, and a stub that knows what a few words mean."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from chatbot.domain.embedding.source import Embedded, Purpose
from chatbot.domain.model import ModelState
from chatbot.llm.embedding.local import LocalEmbedding, LocalOptions

from parts.engine_hosts import eventually
from parts.toy_gguf import make_toy

MEAN, CLS, LAST = 1, 2, 3


@asynccontextmanager
async def serving(path: Path, *, revision: str = "a" * 16, **options: Any) -> AsyncIterator[LocalEmbedding]:
    """An engine that serves a file."""
    source = LocalEmbedding(LocalOptions(**options))
    await source.host.start(path, revision)
    try:
        await eventually(lambda: source.model() or source.host.status().state is ModelState.FAILED, 60.0)
        assert source.model() is not None, source.host.status().message
        yield source
    finally:
        await source.close()


def make_embedding_toy(path: Path, *, pooling: int | None = MEAN, **options: Any) -> Path:
    """A model of random weights whose file says how it pools."""
    return make_toy(path, pooling=pooling, n_layers=1, **options)


def within(seconds: float = 60.0) -> float:
    """A deadline."""
    return time.monotonic() + seconds


async def vectors(source: LocalEmbedding, *texts: str, purpose: Purpose = Purpose.PLAIN) -> np.ndarray:
    """The vectors of texts, a row for each."""
    made: Embedded = await source.embed(texts, purpose, within())
    return np.stack([np.frombuffer(one or b"", "<f4") for one in made.vectors])
