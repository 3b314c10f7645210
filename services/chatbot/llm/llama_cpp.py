"""`TextGenerator` on the local engine process. Knows frames and the engine host, never llama.cpp itself."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from itertools import count
from typing import Any

from chatbot.domain.chat import Dialogue
from chatbot.domain.errors import ChatError, EngineLost, InvalidInput, PromptTooLong, TimedOut, Unavailable
from chatbot.domain.generation import (
    Backend,
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    Sampling,
    TextPiece,
    Timings,
    Usage,
)
from chatbot.domain.model import ModelInfo
from chatbot.domain.tools import ToolUse
from chatbot.llm.dialects.decision import CallReader, Tongue, answering, calling, start_of, telling, tongue_of
from chatbot.llm.dialogue_frames import Start, generate_frame, measure_frame, surely_fits
from chatbot.llm.engine.frames import StepEvent
from chatbot.llm.engine_host import EngineHost
from chatbot.llm.grammar import KeptGrammars, SchemaRefused, Shape

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
        self._grammars = KeptGrammars()

    def model(self) -> ModelInfo | None:
        """The model that is served, also while its engine is started again; None before the first."""
        return self._host.model()

    async def check(self, request: GenerationRequest) -> None:
        """Refuse a prompt that cannot fit; counts tokens only where its bytes leave a doubt.

        While no engine serves, everything that a frame can carry is accepted: `generate` tells then.

        Raises:
            PromptTooLong: It does not fit even without history.
            InvalidInput: The schema of the answer or of a tool is wrong, or more than a grammar holds.
        """
        asked, start = self._asked(request)
        model, child = self._host.model(), self._host.child()
        if model is not None and surely_fits(asked, model.context_tokens, start):
            return
        measure_id = f"measure-{next(self._measures)}"
        frame = measure_frame(asked, measure_id, start)
        if model is None or child is None:
            return
        try:
            async with asyncio.timeout(_MEASURE_SECONDS):
                measured = await child.measure(measure_id, frame)
        except (TimeoutError, EngineLost):
            return
        if measured["too_long"] is not None:
            field = _field(str(measured["too_long"]), request, asked, start)
            raise PromptTooLong(field, int(measured["prompt_tokens"]), model.context_tokens)

    async def prompt_tokens(self, dialogue: Dialogue) -> int | None:
        """How many tokens a dialogue has as a prompt; None where no engine serves, or no frame carries it."""
        child, measure_id = self._host.child(), f"measure-{next(self._measures)}"
        if child is None:
            return None
        try:
            frame = measure_frame(GenerationRequest("", dialogue, Sampling(), 0.0), measure_id)
            async with asyncio.timeout(_MEASURE_SECONDS):
                return int((await child.measure(measure_id, frame))["prompt_tokens"])
        except (TimeoutError, EngineLost, PromptTooLong):
            return None

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        """See `TextGenerator`; while no engine serves this waits inside, to the deadline.

        With tools the model decides first, in the sequence that its answer goes on in.
        """
        await self._host.serving_child(request.deadline)  # whose dialect is spoken
        asked, start = self._asked(request)
        reader = CallReader()
        async with aclosing(self._run(asked, start)) as events:
            async for event, is_calls in events:
                if isinstance(event, Finished):
                    is_whole = is_calls and event.reason is FinishReason.STOP
                    yield replace(event, reason=FinishReason.TOOL_CALLS) if is_whole else event
                elif is_calls:
                    for call in reader.read(event.text):
                        yield call
                else:
                    yield event

    async def _run(
        self, request: GenerationRequest, begin: Start
    ) -> AsyncGenerator[tuple[TextPiece | Finished, bool], None]:
        """One generation of the engine, of plain messages; each event with whether it is of calls."""
        child = await self._host.serving_child(request.deadline)
        stream = child.start(request.request_id, generate_frame(request, begin))
        lapse_seconds = request.deadline + DEADLINE_GRACE_SECONDS - time.monotonic()
        lapse = asyncio.get_running_loop().call_later(lapse_seconds, stream.lapse)
        tokens, is_calls, started = 0, bool(begin.text), time.monotonic()
        try:
            while True:
                event = await stream.get()
                is_calls = is_calls or event.get("calls", False)
                if event["text"]:
                    tokens += event["tokens"]
                    yield TextPiece(event["text"], event["tokens"], _prompt_of(event)), is_calls
                if "finish" in event:
                    yield self._end(event), is_calls
                    return
        except TimedOut:
            if not tokens:
                raise
            timings = Timings(generation_seconds=time.monotonic() - started)
            yield Finished(FinishReason.LENGTH, Usage(0, tokens), timings), is_calls
        finally:
            lapse.cancel()
            child.drop(request.request_id)

    def _asked(self, request: GenerationRequest) -> tuple[GenerationRequest, Start]:
        """The request in plain messages, and what comes before its answer.

        Raises:
            InvalidInput: As `check`.
        """
        model, tools = self._host.model(), request.tools
        tongue = tongue_of(request, model.tool_dialect if model else "")
        if tools is None or not tools.may_call:
            return self._answering(request, tongue), telling(request, tongue)
        grammar = self._calls_grammar(tools, tongue.dialect.shape)
        start = start_of(request, tools, grammar, tongue)
        return calling(request, grammar, tongue) if tools.must_call else self._answering(request, tongue), start

    def _answering(self, request: GenerationRequest, tongue: Tongue) -> GenerationRequest:
        """The request for an answer in text, with its format as a grammar."""
        wanted, grammar = request.sampling.format, request.sampling.grammar
        if wanted is not None:
            try:
                grammar = self._grammars.document(wanted.schema)
            except SchemaRefused as exc:
                raise InvalidInput("response_format", "schema_refused", **_shown(exc)) from None
        return replace(answering(request, tongue), sampling=replace(request.sampling, grammar=grammar))

    def _calls_grammar(self, tools: ToolUse, shape: Shape) -> str:
        try:
            return self._grammars.decision(tools, shape)
        except SchemaRefused as exc:
            raise InvalidInput("tools", "tool_refused", tool=exc.tool, **_shown(exc)) from None

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


def _field(name: str, request: GenerationRequest, asked: GenerationRequest, start: Start) -> str:
    """The part of a request that does not fit: the tools stand in the system prompt, or in front of the question."""
    if name == "question" and len(start.tools) >= len(request.dialogue.question.content):
        return "tools" if start.tools else name
    own = len(request.dialogue.system)
    return "tools" if name == "system" and request.tools and len(asked.dialogue.system) - own >= own else name


def _shown(refused: SchemaRefused) -> dict[str, str]:
    pointer = refused.pointer[:_SHOWN_POINTER] or "/"
    return {"pointer": pointer, "keyword": refused.keyword, "reason": refused.problem}


def _prompt_of(event: StepEvent) -> Usage | None:
    return Usage(event["prompt_tokens"], 0, event.get("cached_tokens", 0)) if "prompt_tokens" in event else None
