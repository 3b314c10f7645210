"""`TextGenerator` on the local engine process. Knows frames and the engine host, never llama.cpp itself."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from typing import Any

from chatbot.domain.errors import ChatError, EngineLost, InvalidInput, PromptTooLong, TimedOut, Unavailable
from chatbot.domain.generation import (
    Backend,
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    TextPiece,
    Timings,
    Usage,
)
from chatbot.domain.model import ModelInfo
from chatbot.llm.dialogue_frames import generate_frame, measure_frame, surely_fits
from chatbot.llm.engine.frames import StepEvent
from chatbot.llm.engine_host import EngineHost
from chatbot.llm.grammar import DocumentGrammars, SchemaRefused

DEADLINE_GRACE_SECONDS = 2.0
"""The engine ends a generation at its deadline by itself, between two steps; later than this it is done here."""

_MEASURE_SECONDS = 5.0
_SHOWN_POINTER = 200


class LlamaCppGenerator:
    """Generates on the engine of a host."""

    backend = Backend.LLAMA

    def __init__(self, host: EngineHost) -> None:
        self._host = host
        self._measures = count(1)
        self._grammars = DocumentGrammars()

    def model(self) -> ModelInfo | None:
        """The model that is served, also while its engine is started again; None before the first."""
        return self._host.model()

    async def check(self, request: GenerationRequest) -> None:
        """Refuse a prompt that cannot fit; counts tokens only where its bytes leave a doubt.

        While no engine serves, everything that a frame can carry is accepted: `generate` tells then.

        Raises:
            PromptTooLong: It does not fit even without history.
            InvalidInput: The schema of the answer is wrong, or more than a grammar holds.
        """
        self._grammar(request)
        model, child = self._host.model(), self._host.child()
        if model is not None and surely_fits(request, model.context_tokens):
            return
        measure_id = f"measure-{next(self._measures)}"
        frame = measure_frame(request, measure_id)
        if model is None or child is None:
            return
        try:
            async with asyncio.timeout(_MEASURE_SECONDS):
                measured = await child.measure(measure_id, frame)
        except (TimeoutError, EngineLost):
            return
        if measured["too_long"] is not None:
            raise PromptTooLong(str(measured["too_long"]), int(measured["prompt_tokens"]), model.context_tokens)

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        """See `TextGenerator`; while no engine serves this waits inside, to the deadline."""
        child = await self._host.serving_child(request.deadline)
        stream = child.start(request.request_id, generate_frame(self._bound(request)))
        lapse_seconds = request.deadline + DEADLINE_GRACE_SECONDS - time.monotonic()
        lapse = asyncio.get_running_loop().call_later(lapse_seconds, stream.lapse)
        tokens, started = 0, time.monotonic()
        try:
            while True:
                event = await stream.get()
                if event["text"]:
                    tokens += event["tokens"]
                    yield TextPiece(event["text"], event["tokens"])
                if "finish" in event:
                    yield self._end(event)
                    return
        except TimedOut:
            if not tokens:
                raise
            timings = Timings(generation_seconds=time.monotonic() - started)
            yield Finished(FinishReason.LENGTH, Usage(0, tokens), timings)
        finally:
            lapse.cancel()
            child.drop(request.request_id)

    def _bound(self, request: GenerationRequest) -> GenerationRequest:
        """The request with its format as a grammar."""
        return replace(request, sampling=replace(request.sampling, grammar=self._grammar(request)))

    def _grammar(self, request: GenerationRequest) -> str:
        wanted = request.sampling.format
        if wanted is None:
            return request.sampling.grammar
        try:
            return self._grammars.grammar(wanted.schema)
        except SchemaRefused as exc:
            shown = {"pointer": exc.pointer[:_SHOWN_POINTER] or "/", "keyword": exc.keyword, "reason": exc.problem}
            raise InvalidInput("response_format", "schema_refused", **shown) from None

    def _end(self, event: StepEvent) -> Finished:
        finish = event["finish"]
        if finish not in ("stop", "length"):
            raise self._error(finish, event)
        usage = Usage(event.get("prompt_tokens", 0), event.get("completion_tokens", 0), event.get("cached_tokens", 0))
        timings = Timings(0.0, event.get("prompt_seconds", 0.0), event.get("generation_seconds", 0.0))
        return Finished(FinishReason(finish), usage, timings)

    def _error(self, finish: str, event: StepEvent) -> ChatError:
        if finish == "too_long":
            model: Any = self._host.model()
            return PromptTooLong(event.get("too_long", "messages"), event.get("prompt_tokens", 0), model.context_tokens)
        if finish == "timeout":
            return TimedOut("generation")
        return Unavailable("the reader stalled" if finish == "slow" else "the generation failed")
