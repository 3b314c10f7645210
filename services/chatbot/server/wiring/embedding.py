"""Settings -> the model that makes vectors, and the worker that gives them to documents."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chatbot.core.embedding.counted import CountedSource
from chatbot.core.retrieval.embedding import Embedder, EmbedPolicy
from chatbot.core.retrieval.search import Meaning
from chatbot.domain.document_store import DocumentStore
from chatbot.domain.embedding.source import EmbeddingSource
from chatbot.domain.model import ModelStatus
from chatbot.domain.tenants.policy import NO_POLICIES, Tenants
from chatbot.llm.embedding.local import LocalEmbedding, LocalOptions
from chatbot.llm.model_source import FixedModel, FollowedModel
from chatbot.server.observe.telemetry import Meters
from chatbot.server.settings.documents import EmbeddingSettings

CHAT_WAITS_SECONDS = 5.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Embedding:
    """The model that makes vectors.

    Attributes:
        source: Asked by everybody.
        follow: Keeps it serving until cancelled.
        meaning: For questions.
        status: What is served of a file of ours, and how that stands; None for an API.
    """

    source: EmbeddingSource
    follow: Callable[[], Awaitable[None]]
    meaning: Meaning
    status: Callable[[], ModelStatus] | None = None

    async def run(self) -> None:
        """Keep it serving until cancelled."""
        await self.follow()


def open_embedding(settings: EmbeddingSettings, meters: Meters) -> Embedding | None:
    """The model, not started; None where none is set.

    Raises:
        ValueError: The settings name two, or a half; or the environment's proxies or authorities cannot be used.
    """
    if sum(map(bool, (settings.path, settings.dir, settings.url))) > 1:
        raise ValueError("CHATBOT_EMBEDDING_PATH, CHATBOT_EMBEDDING_DIR and CHATBOT_EMBEDDING_URL: set one of them")
    if bool(settings.url) != bool(settings.model):
        raise ValueError("CHATBOT_EMBEDDING_URL and CHATBOT_EMBEDDING_MODEL: set both or none")
    file = _file(settings)
    if file is not None:
        local = LocalEmbedding(_local(settings))
        return _counted(local, partial(file.follow, local.host), settings, meters, local.host.status)
    if settings.url:
        return _counted(_remote(settings), asyncio.Event().wait, settings, meters)
    return None


def open_embedder(
    embedding: Embedding, store: DocumentStore, waiting: Callable[[], int], tenants: Tenants = NO_POLICIES
) -> Embedder:
    """The worker that gives documents their vectors.

    Args:
        embedding: The model.
        store: The documents.
        waiting: How many requests wait for an answer now.
        tenants: Say whose documents stay in the house.
    """

    def stays(tenant: str) -> bool:
        return tenants.of(tenant).privacy.local_only

    return Embedder(store, embedding.source, EmbedPolicy(), partial(_chat_comes_first, waiting), stays)


def _file(settings: EmbeddingSettings) -> FixedModel | FollowedModel | None:
    if settings.path is not None:
        return FixedModel(settings.path)
    if settings.dir is not None:
        otherwise = "set CHATBOT_EMBEDDING_PATH to a GGUF file"
        return FollowedModel(settings.dir, settings.revision_dir, otherwise=otherwise)
    return None


def _counted(
    source: EmbeddingSource,
    follow: Callable[[], Awaitable[object]],
    settings: EmbeddingSettings,
    meters: Meters,
    status: Callable[[], ModelStatus] | None = None,
) -> Embedding:
    counted = CountedSource(source, meters)

    async def following() -> None:
        await follow()

    return Embedding(counted, following, Meaning(counted, settings.least_cosine, meters), status)


def _local(settings: EmbeddingSettings) -> LocalOptions:
    return LocalOptions(
        name=settings.name,
        family=settings.family,
        pooling=settings.pooling,
        dimensions=settings.dimensions,
        context_tokens=settings.context_tokens,
        threads=settings.threads,
        gpu_layers=settings.gpu_layers,
    )


def _remote(settings: EmbeddingSettings) -> EmbeddingSource:
    from chatbot.llm.embedding.remote import RemoteEmbedding, RemoteOptions  # the SDK costs 1.1 CPU s to import

    authorities = os.environ.get("SSL_CERT_FILE")
    return RemoteEmbedding(
        RemoteOptions(
            base_url=settings.url,
            model=settings.model,
            api_key_file=settings.api_key_file,
            family=settings.family,
            dimensions=settings.dimensions,
            name=settings.name,
            ca_file=Path(authorities) if authorities else None,
        )
    )


async def _chat_comes_first(waiting: Callable[[], int]) -> None:
    """Let those who wait for an answer go first, but never for ever: documents would get no vectors on a busy day."""
    until = time.monotonic() + CHAT_WAITS_SECONDS
    while waiting() and time.monotonic() < until:  # noqa: ASYNC110 - the line tells nobody
        await asyncio.sleep(_LOOK_SECONDS)
