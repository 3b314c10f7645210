"""One answer with tools: the model calls, the tools run together, and it reads their results until it answers.

The whole loop is one place in the line and one deadline (ADR 0012). Of a loop that began anew, because the engine died
before a word was said, the calls that already ended are not run again.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import cast

from chatbot.core.agent.asking import Asking, both
from chatbot.core.agent.calls import Calls
from chatbot.core.agent.confirming.acting import Acting
from chatbot.core.agent.confirming.asking import question_of
from chatbot.core.agent.sentences import answer_without_model
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.question import ToolStep
from chatbot.core.retrieval.cited import users_words
from chatbot.core.tools.contract import ToolContext
from chatbot.domain.errors import EngineLost, PromptTooLong, TimedOut, Unavailable
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
from chatbot.domain.limits import RateLimited
from chatbot.domain.ports import TextGenerator
from chatbot.domain.tools import ToolCall, ToolUse
from chatbot.domain.toolservers.proposal import Proposal

_DEMO = "demo"  # the toy that ships cannot decide: it would call at random


@dataclass(slots=True)
class _Heard:
    """What one generation gave; `finished` is None until it ended."""

    said: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    finished: Finished | None = None


class AgentLoop:
    """The loop of one answer; `generate` goes on where it stopped. An `AnswerSource`.

    Args:
        toolbox: The tools and their bounds.
        generator: The model; asked once a round.
        context: For whom, and what time it is; asked when tools run.
        acting: What the user confirmed: run before the model is asked.

    Attributes:
        calls: What was called so far.
    """

    def __init__(
        self,
        toolbox: Toolbox,
        generator: TextGenerator,
        context: Callable[[], ToolContext],
        acting: Acting | None = None,
    ) -> None:
        self._toolbox = toolbox
        self._generator = generator
        self._context = context
        self._acting = acting
        self._rounds = 0
        self._losses = 0
        self._tells = True
        self._usage = Usage(0, 0)
        self._asking = Asking(generator)
        self._said: tuple[str, ...] = ()
        self.calls = Calls(toolbox, self._context_of_calls)

    def _context_of_calls(self) -> ToolContext:
        return replace(self._context(), ask=self._asking.ask, said=self._said, texts=self.calls.sources.texts)

    async def check(self, request: GenerationRequest) -> None:
        """As `TextGenerator.check`; a question that leaves no room for tools is asked without them."""
        asked = self._asked(request)
        try:
            await self._generator.check(asked)
        except PromptTooLong:
            if asked.tools is None:
                raise
            self._tell_nothing()
            await self._generator.check(request)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent | ToolStep | Proposal, None]:
        """Steps of tools, then the answer, or what the user has to confirm. Closing it cancels what runs.

        Raises:
            ChatError: As `TextGenerator.generate`; where the model failed, or a limit has no room for one more
                generation, behind results that can be said without it, they are the answer.
        """
        has_text = False
        try:
            async with aclosing(self._act()) as acts:
                async for step in acts:
                    yield step
            async with aclosing(self._all_rounds(request)) as events:
                async for event in events:
                    has_text = has_text or isinstance(event, TextPiece)
                    yield event
        except (Unavailable, TimedOut, PromptTooLong, RateLimited) as exc:
            said = self._results()
            if self._may_try_again(exc) or has_text or not said:
                raise
            yield TextPiece(said, 0)
            self._tell()
            yield Finished(FinishReason.STOP, self._spent(), Timings())

    def _tell(self) -> None:
        """Tell the telemetry; before the end, behind which nobody reads on."""
        if self.calls.stopped != _DEMO:
            self._toolbox.telemetry.agent_ended(self._toolbox.service, self._rounds, self.calls.stopped)

    def _may_try_again(self, error: Exception) -> bool:
        """Whether whoever reads this generator begins it anew: once, if the engine died."""
        self._losses += isinstance(error, EngineLost)
        return isinstance(error, EngineLost) and self._losses == 1

    async def _all_rounds(
        self, request: GenerationRequest
    ) -> AsyncGenerator[GenerationEvent | ToolStep | Proposal, None]:
        began = self._toolbox.clock()
        self._asking.request_id, self._asking.deadline = request.request_id, request.deadline
        self._asking.upstream_key = request.upstream_key
        self._said = users_words(request.dialogue)
        while not self.calls.proposals:
            asked, heard = self._asked(request), _Heard()
            try:
                async with aclosing(self._hear(asked, heard)) as pieces:
                    async for piece in pieces:
                        yield piece
            except PromptTooLong as exc:
                self._shorten(exc, asked, heard)
                continue
            finished = self._ended(heard)
            is_last = asked.tools is None or not asked.tools.may_call
            if is_last or not (heard.calls or self._was_cut(heard)):
                if unsaid := self._unsaid(heard, finished):
                    yield TextPiece(unsaid, 0)
                waited = self._toolbox.clock() - began - finished.timings.generation_seconds
                timings = replace(finished.timings, prompt_seconds=max(finished.timings.prompt_seconds, waited))
                self._tell()
                yield replace(finished, usage=self._spent(), timings=timings, reason=_reason(finished))
                return
            running = self.calls.run(heard.said, heard.calls, request.deadline, self._context_tokens())
            async with aclosing(running) as steps:
                async for step in steps:
                    yield step
        for event in self._asking_first(heard, finished):
            yield event

    async def _act(self) -> AsyncGenerator[ToolStep, None]:
        """Run what was confirmed; not again where the answer begins anew."""
        if self._acting is None or self._acting.is_begun:
            return
        async with aclosing(self.calls.act(self._acting, self._context_tokens())) as steps:
            async for step in steps:
                yield step

    def _asking_first(self, heard: _Heard, finished: Finished) -> Iterator[GenerationEvent | Proposal]:
        """The end of an answer that asks its user: a model that went on might say that something was done."""
        proposals, seconds = self.calls.proposals, self._toolbox.bounds.confirm_seconds
        asked = question_of(proposals, self._context().language, seconds)
        yield TextPiece(f"\n\n{asked}" if heard.said else asked, 0)
        yield from proposals
        self._tell()
        yield replace(finished, usage=self._spent(), reason=FinishReason.STOP)

    def _context_tokens(self) -> int:
        model = self._generator.model()
        return model.context_tokens if model else 0

    async def _hear(self, asked: GenerationRequest, heard: _Heard) -> AsyncGenerator[TextPiece, None]:
        """One generation: its text at once, the rest into `heard`."""
        events = cast("AsyncGenerator[GenerationEvent, None]", self._generator.generate(asked))
        async with aclosing(events):
            async for event in events:
                if isinstance(event, ToolCall):
                    heard.calls.append(event)
                elif isinstance(event, Finished):
                    heard.finished = event
                else:
                    heard.said += event.text
                    yield event

    def _asked(self, request: GenerationRequest) -> GenerationRequest:
        """The request of the next round."""
        model = self._generator.model()
        if model is not None and model.is_demo:
            self.calls.stop(_DEMO)
            self._tells = False
        if self._rounds >= self._toolbox.bounds.rounds - 1:
            self.calls.stop("rounds")
        number = f"+{self._rounds + 1}" if self._rounds else ""
        return replace(
            request,
            request_id=f"{request.request_id}{number}",
            dialogue=replace(request.dialogue, rounds=(*request.dialogue.rounds, *self.calls.messages)),
            tools=self._told(),
        )

    def _told(self) -> ToolUse | None:
        """The tools of the next round; the local model is told of the same ones in each, to read them once."""
        left = self.calls.toolbox.definitions
        may_call = bool(left) and not self.calls.stopped
        if not self._tells or self._generator.backend is not Backend.LLAMA:
            return ToolUse(left) if may_call else None
        return ToolUse(self._toolbox.definitions, allowed=tuple(each.name for each in left), may_call=may_call)

    def _shorten(self, error: PromptTooLong, asked: GenerationRequest, heard: _Heard) -> None:
        """Tell no tools any more.

        Raises:
            PromptTooLong: Without them it would be no shorter, or something was said already.
        """
        if asked.tools is None or heard.said:
            raise error
        self._tell_nothing()

    def _tell_nothing(self) -> None:
        """The prompt is shorter where no tools are told."""
        self.calls.stop("context")
        self._tells = False

    def _ended(self, heard: _Heard) -> Finished:
        finished = heard.finished
        if finished is None:
            raise EngineLost("the generation ended without an end")
        self._rounds += 1
        self._usage = both(self._usage, finished.usage)
        return finished

    def _unsaid(self, heard: _Heard, finished: Finished) -> str:
        """The answer of a model that called where it could not, and said nothing."""
        return "" if heard.said or finished.reason is not FinishReason.TOOL_CALLS else self._results()

    def _results(self) -> str:
        """What the tools found, as sentences for a person; "" where they found nothing."""
        return answer_without_model(self._toolbox, self._context().language, self.calls.ran)

    def _spent(self) -> Usage:
        return both(self._usage, self._asking.usage)

    def _was_cut(self, heard: _Heard) -> bool:
        """Whether the model was cut while it decided: then it answers without tools."""
        if heard.said or heard.finished is None or heard.finished.reason is not FinishReason.LENGTH:
            return False
        self.calls.stop("cut")
        return True


def _reason(finished: Finished) -> FinishReason:
    """Calls that came although nothing could be called are no end that a reader knows."""
    return FinishReason.STOP if finished.reason is FinishReason.TOOL_CALLS else finished.reason
