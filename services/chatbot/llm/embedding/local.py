"""`EmbeddingSource` on an engine process of our own, watched over like the one that chats (ADR 0003)."""

import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.documents import VectorSpace
from chatbot.domain.embedding.source import Embedded, EmbeddingModel, Purpose
from chatbot.domain.errors import EmbeddingUnavailable, EngineLost, ModelUnavailable, PromptTooLong, TimedOut
from chatbot.llm.embedding.families import family_of
from chatbot.llm.embedding.packing import shortened
from chatbot.llm.engine.frames import EmbedFrame, FrameError, encode
from chatbot.llm.engine_host import EngineHost, EngineOptions
from chatbot.llm.supervision.engine_child import ENGINE_COMMAND, EngineChild

TEXTS_A_FRAME = 16
EMBEDDING_COMMAND = (*ENGINE_COMMAND[:-1], "chatbot.llm.engine.embedding.process")
FRAME_CHARACTERS = 100_000
"""A frame of the engine holds 1 MiB, its answer too: 16 vectors of 8,192 numbers fit."""


_NO_DIALOGUE = Dialogue("", (), (), Message("user", ""))


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """What the engine of an embedding model is started with. 0 and "" ask for the file's or machine's own.

    Attributes:
        name: For clients.
        family: Name by which its family is found.
        pooling: mean, cls or last.
        dimensions: First numbers of a vector that are kept.
        context_tokens: Longest text.
        threads: Of the CPU.
        gpu_layers: -1 is all.
        load_timeout_seconds: Longest load.
        command: How a process is started.
    """

    name: str = ""
    family: str = ""
    pooling: str = ""
    dimensions: int = 0
    context_tokens: int = 2048
    threads: int = 0
    gpu_layers: int = -1
    load_timeout_seconds: float = 300.0
    command: tuple[str, ...] = EMBEDDING_COMMAND

    def engine(self) -> EngineOptions:
        """The same for the host."""
        return EngineOptions(
            smoke=_NO_DIALOGUE,
            name=self.name,
            family=self.family,
            pooling=self.pooling,
            context_tokens=self.context_tokens,
            threads=self.threads,
            gpu_layers=self.gpu_layers,
            load_timeout_seconds=self.load_timeout_seconds,
            command=self.command,
        )


class LocalEmbedding:
    """Vectors of the file that a host serves.

    Args:
        options: As they are configured.

    Attributes:
        host: Serves the file; start it with one.
    """

    is_remote = False

    def __init__(self, options: LocalOptions) -> None:
        self.host = self._host = EngineHost(options.engine(), lambda capacity: None)
        self._family_name = options.family
        self._family = family_of(options.family)
        self._dimensions = options.dimensions
        self._known: EmbeddingModel | None = None
        self._ids = count(1)

    def model(self) -> EmbeddingModel | None:
        """The file that is served, or was last; None until it was loaded and its sum is known."""
        info, child = self._host.model(), self._host.child()
        if info is not None and child is not None and info.revision:
            told = child.ready.result()
            own = int(told.get("dimensions", 0))
            dimensions = min(self._dimensions or own, own)
            self._family = family_of(self._family_name or str(told["name"]))
            space = VectorSpace(f"gguf:{info.revision}:{told['chat_format']}", dimensions, self._family.recipe)
            self._known = EmbeddingModel(info.name, space, info.context_tokens, self._family.may_shorten)
        return self._known

    def serves(self, space: VectorSpace) -> bool:
        """A file of an earlier model is no longer loaded."""
        model = self.model()
        return model is not None and model.space == space

    async def embed(
        self, texts: Sequence[str], purpose: Purpose, deadline: float, space: VectorSpace | None = None
    ) -> Embedded:
        """Make vectors. See `EmbeddingSource.embed`. The file may change meanwhile; vectors of two are never mixed."""
        own, made, tokens = 0, list[bytes | None](), 0
        for part in parts(texts):
            answer, space = await self._ask(part, purpose, deadline, space)
            if answer["too_long"] is not None:
                model = self.model()
                raise PromptTooLong("input", int(answer["tokens"]), model.context_tokens if model else 0)
            packed = base64.b64decode(answer["vectors"])
            own = len(packed) // len(part)
            made += (packed[at : at + own] for at in range(0, len(packed), own))
            tokens += int(answer["tokens"])
        dimensions = self._dimensions or own // 4
        return Embedded(tuple(shortened(one, dimensions) for one in made), tokens)

    async def close(self) -> None:
        """End the engine process."""
        await self._host.stop()

    async def _ask(
        self, texts: Sequence[str], purpose: Purpose, deadline: float, space: VectorSpace | None
    ) -> tuple[dict[str, Any], VectorSpace | None]:
        embed_id = f"embed-{next(self._ids)}"
        child, served = await self._serving(deadline)
        if space is not None and served is not None and served.space != space:
            raise EmbeddingUnavailable("another embedding model is served by now")
        frame: EmbedFrame = {
            "type": "embed",
            "id": embed_id,
            "texts": [self._family.text(text, purpose) for text in texts],
            "priority": int(purpose),
            "may_cut": purpose is not Purpose.PLAIN,
        }
        try:
            began = time.monotonic()
            async with asyncio.timeout(max(0.0, deadline - began)):
                answer = await child.measure(embed_id, encode(frame))
        except (TimeoutError, EngineLost) as exc:
            raise EmbeddingUnavailable("the embedding model does not answer") from exc
        except FrameError:
            raise PromptTooLong("input", sum(map(len, texts)), 0) from None
        child.on_end(time.monotonic() - began)
        return answer, space if served is None else served.space

    async def _serving(self, deadline: float) -> tuple[EngineChild, EmbeddingModel | None]:
        """The process that computes, and what it makes: the family, too, is that of what is served now."""
        try:
            child = await self._host.serving_child(deadline)
        except (TimedOut, ModelUnavailable) as exc:
            raise EmbeddingUnavailable("no embedding model is served") from exc
        return child, self.model()


def parts(texts: Sequence[str]) -> Sequence[Sequence[str]]:
    """Texts in groups that fit a frame each; a text that never fits is a group of its own."""
    made: list[list[str]] = []
    characters = 0
    for text in texts:
        characters += len(text)
        if not made or len(made[-1]) == TEXTS_A_FRAME or characters > FRAME_CHARACTERS:
            made.append([])
            characters = len(text)
        made[-1].append(text)
    return made
