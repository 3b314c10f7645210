"""An answer held to its character's rules: edited on its way, and asked for once more where no edit helps."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Protocol, cast

from chatbot.core.answering.pump import AnswerSource
from chatbot.core.question import SourceEvent, Styled
from chatbot.core.style.checks import Rules, broken
from chatbot.core.style.stylist import State, Stylist
from chatbot.domain.chat import Message
from chatbot.domain.errors import ChatError, PromptTooLong
from chatbot.domain.generation import Finished, FinishReason, GenerationRequest, TextPiece, Timings, Usage
from chatbot.domain.style.rules import StyleTelemetry
from chatbot.domain.tools import ToolCall

_SEEDS: Final = 1 << 31


class Spending(Protocol):
    """What the answer takes."""

    def forgive(self) -> int:
        """What was made so far is ours, not the caller's; its tokens."""

    def spent(self) -> Usage:
        """Of the answer so far, as it is billed."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Around one answer.

    Attributes:
        service: For the metrics.
        is_whole: Whether it is handed over in one piece.
        may_stop: Whether the model may be stopped where the rules let nothing more be shown.
        reminder: The rules in words.
    """

    service: str
    is_whole: bool
    may_stop: bool
    reminder: str
    spending: Spending
    telemetry: StyleTelemetry | None = None
    clock: Callable[[], float] = time.monotonic


class _Attempt:
    """One generation of the answer, and its edits."""

    def __init__(self, rules: Rules, stage: Stage, *, may_refuse: bool) -> None:
        self.stylist = Stylist(rules, is_whole=stage.is_whole, may_refuse=may_refuse)
        self.finished: Finished | None = None
        self.tokens = 0
        self.began_at = stage.clock()
        self.first_at: float | None = None
        self.shown_at: float | None = None

    def piece(self, text: str) -> TextPiece:
        """Text that is shown, with the tokens since the last one."""
        tokens, self.tokens = self.tokens, 0
        return TextPiece(text, tokens)


class StyledSource:
    """An `AnswerSource` whose answers keep rules, as far as one more attempt brings them to it.

    Args:
        source: The backend, or what stands before it.
        rules: Of the character.
        stage: Around the answer.
    """

    def __init__(self, source: AnswerSource, rules: Rules, stage: Stage) -> None:
        self._source = source
        self._rules = rules
        self._stage = stage
        self._has_retried = False
        self._has_calls = False  # they cannot be taken back, and come behind the text
        self._heard_at: float | None = None
        self._faults: set[str] = set()  # of the first attempt

    async def check(self, request: GenerationRequest) -> None:
        """As `TextGenerator.check`."""
        await self._source.check(request)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[SourceEvent, None]:
        """As `AnswerSource.generate`. Answers that must be JSON are left as they are."""
        if request.sampling.format is not None or request.sampling.grammar:
            async with aclosing(self._begun(request)) as plain:
                async for event in plain:
                    yield event
            return
        self._has_calls = request.tools is not None
        attempt = self._attempt(may_refuse=self._rules.may_retry and not self._has_retried and not self._has_calls)
        async with aclosing(self._run(request, attempt)) as events:
            async for event in events:
                yield event
        if attempt.stylist.state is State.REFUSED:
            first, attempt = attempt, self._attempt(may_refuse=False)
            async with aclosing(self._once_more(request, first, attempt)) as events:
                async for event in events:
                    yield event
            attempt = self._better(first, attempt)
        if attempt.stylist.state is State.GOING:
            return  # it broke off; whoever reads knows what that means
        if not attempt.stylist.shown or self._stage.is_whole:
            yield attempt.piece(attempt.stylist.whole())
        yield self._report(attempt)
        yield self._end(attempt)

    @property
    def _may_stop(self) -> bool:
        return self._stage.may_stop and not self._has_calls

    def _attempt(self, *, may_refuse: bool) -> _Attempt:
        return _Attempt(self._rules, self._stage, may_refuse=may_refuse)

    def _begun(self, request: GenerationRequest) -> AsyncGenerator[SourceEvent, None]:
        return cast("AsyncGenerator[SourceEvent, None]", self._source.generate(request))

    async def _run(self, request: GenerationRequest, attempt: _Attempt) -> AsyncGenerator[SourceEvent, None]:
        """One generation: what is shown of it, and everything that is no text."""
        stylist = attempt.stylist
        async with aclosing(self._begun(request)) as events:
            async for event in events:
                piece = self._heard(event, attempt)
                if piece is not None:
                    yield piece
                if not isinstance(event, TextPiece | Finished):
                    yield event
                if stylist.state is State.REFUSED or (stylist.state is State.ENOUGH and self._may_stop):
                    break
        if attempt.finished is not None or stylist.state is not State.GOING:
            was_cut = attempt.finished is not None and attempt.finished.reason is FinishReason.LENGTH
            if piece := self._shown(attempt, stylist.end(was_cut=was_cut)):
                yield piece

    def _heard(self, event: SourceEvent, attempt: _Attempt) -> TextPiece | None:
        """What is shown when this comes."""
        if isinstance(event, Finished):
            attempt.finished = event
        if isinstance(event, ToolCall):
            return self._shown(attempt, attempt.stylist.end(was_cut=False))
        return self._of_text(event, attempt) if isinstance(event, TextPiece) else None

    def _of_text(self, event: TextPiece, attempt: _Attempt) -> TextPiece | None:
        now = self._stage.clock()
        self._heard_at = now if self._heard_at is None else self._heard_at
        attempt.first_at = now if attempt.first_at is None else attempt.first_at
        attempt.tokens += event.tokens
        told = attempt.stylist.feed(event.text, now - attempt.first_at)
        if self._stage.is_whole:
            return attempt.piece("")  # nobody reads on the way, and whoever measures the model's pace hears it
        return self._shown(attempt, told)

    def _shown(self, attempt: _Attempt, text: str) -> TextPiece | None:
        if not text or self._stage.is_whole:
            return None
        if attempt.shown_at is None:
            attempt.shown_at = self._stage.clock()
        return attempt.piece(text)

    async def _once_more(
        self, request: GenerationRequest, first: _Attempt, second: _Attempt
    ) -> AsyncGenerator[SourceEvent, None]:
        """The second attempt. Where it fails and the first one was whole, that is the answer."""
        self._has_retried = True
        self._faults = self._faults_of(first)
        tokens = self._stage.spending.forgive()
        if self._stage.telemetry is not None:
            self._stage.telemetry.style_repaired(self._stage.service, "retry", tokens)
        try:
            again = await self._again(request)
            async with aclosing(self._run(again, second)) as events:
                async for event in events:
                    yield event
        except ChatError:
            if not self._is_usable(first) or second.stylist.shown:
                raise

    async def _again(self, request: GenerationRequest) -> GenerationRequest:
        """The same request with another seed, and the rules behind everything else where there is room for them."""
        seed = request.sampling.seed
        sampling = replace(request.sampling, seed=None if seed is None else (seed + 1) % _SEEDS)
        other = replace(request, request_id=f"{request.request_id}~2", sampling=sampling)
        rounds = (*request.dialogue.rounds, Message("system", self._stage.reminder))
        reminded = replace(other, dialogue=replace(request.dialogue, rounds=rounds))
        try:
            await self._source.check(reminded)
        except PromptTooLong:
            return other
        return reminded

    def _is_usable(self, first: _Attempt) -> bool:
        """Whether a refused attempt is a whole answer; of a stream's only the beginning was made, mostly."""
        return first.finished is not None or self._stage.is_whole

    def _better(self, first: _Attempt, second: _Attempt) -> _Attempt:
        """The attempt that is shown; in a stream that is decided already, where there is a second one."""
        if not self._is_usable(first) or (second.stylist.shown and not self._stage.is_whole):
            return second
        said = second.stylist.whole()
        has_second = second.stylist.state is not State.GOING and said.strip()
        if has_second and len(broken(said, self._rules)) <= len(broken(first.stylist.whole(), self._rules)):
            return second
        return first

    def _faults_of(self, attempt: _Attempt) -> set[str]:
        return set(broken(attempt.stylist.raw, self._rules)) | attempt.stylist.edited

    def _report(self, attempt: _Attempt) -> Styled:
        """What became of each rule."""
        stage, text = self._stage, attempt.stylist.whole()
        violated = broken(text, self._rules)
        is_as_made = attempt.stylist.raw.rstrip() == text
        faults = self._faults | (set(violated) if is_as_made else self._faults_of(attempt))
        if stage.telemetry is not None:
            for check in self._rules.checks:
                outcome = "violated" if check in violated else "repaired" if check in faults else "ok"
                stage.telemetry.style_checked(stage.service, check, outcome)
            if attempt.stylist.edited:
                stage.telemetry.style_repaired(stage.service, "edit", 0)
            if violated:
                stage.telemetry.style_repaired(stage.service, "accept", 0)
            if self._heard_at is not None and attempt.shown_at is not None:
                stage.telemetry.text_held_back(stage.service, attempt.shown_at - self._heard_at)
        return Styled(violated)

    def _end(self, attempt: _Attempt) -> Finished:
        """The end of an answer that may have been stopped."""
        finished, clock = attempt.finished, self._stage.clock
        if finished is None:
            first_at = attempt.first_at or clock()
            timings = Timings(0.0, first_at - attempt.began_at, clock() - first_at)
            return Finished(FinishReason.STOP, self._stage.spending.spent(), timings)
        return replace(finished, usage=self._stage.spending.spent()) if self._has_retried else finished
