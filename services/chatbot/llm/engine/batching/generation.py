"""One generation inside the engine: its tokens, its text, its clock."""

from dataclasses import dataclass

import numpy as np

from chatbot.llm.engine.batching.decision import Decision
from chatbot.llm.engine.batching.tokens import Sequence, Tokens
from chatbot.llm.engine.frames import StepEvent
from chatbot.llm.engine.sampling.chain import SamplerChain
from chatbot.llm.engine.text.prompt_ids import Prompt
from chatbot.llm.engine.text.text_out import TextOut
from chatbot.llm.engine.text.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: a prompt that fits, how to choose, until when.

    Attributes:
        request_id: Names the generation in every event.
        prompt: Its tokens.
        chain: Chooses; owned by the generation from now on.
        stop: Strings that end the answer.
        arrived: When the request came, seconds of the engine's clock.
        deadline: When the answer ends with what there is, same clock.
        decision: Comes before the answer; owned by the generation from now on.
    """

    request_id: str
    prompt: Prompt
    chain: SamplerChain
    stop: tuple[str, ...]
    arrived: float
    deadline: float
    decision: Decision | None = None


class Generation:
    """State of one answer. Prompt and answer are one row of tokens; what of it is resident, the sequence knows.

    Attributes:
        decision: Is being made in front of the answer; None where there is none any more.
        sequence: Where it runs; None while it waits.
        leader: Generation whose prompt's prefix it waits for.
        shared_tokens: Length of that prefix.
        reserved_tokens: Length up to which cells are reserved.
        cached_tokens: Prompt tokens that were resident when it first got a sequence.
    """

    def __init__(self, order: Order, vocabulary: Vocabulary) -> None:
        self.request_id = order.request_id
        self.answer_chain = order.chain
        self.decision = order.decision
        self.deadline = order.deadline
        self.sequence: Sequence | None = None
        self.leader: Generation | None = None
        self.shared_tokens = self.reserved_tokens = 0
        self.cached_tokens: int | None = None
        self.prompt = order.prompt
        self._vocabulary = vocabulary
        self._stop = order.stop
        self._text = TextOut(() if order.decision else order.stop)
        self._undecided_text = ""
        self._all_text: list[str] = []
        self._arrived = order.arrived
        self._first_token_at: float | None = None
        self._unsent_tokens = 0
        self._n_prompt = self._n_read = self._n_tokens = len(order.prompt.ids)
        self._end = self._n_prompt + order.prompt.max_tokens
        self._n_asked = self._n_decided = 0
        size = self._end
        if order.decision is not None:
            self._n_asked = len(order.decision.ids)
            self._n_read = self._n_tokens = self._n_prompt + self._n_asked
            size = max(self._end, self._n_read + order.decision.most_tokens)
        self._tokens = np.zeros(size, np.int32)
        self._tokens[: self._n_prompt] = order.prompt.ids
        if order.decision is not None:
            self._tokens[self._n_prompt : self._n_read] = order.decision.ids

    @property
    def chain(self) -> SamplerChain:
        """Chooses the next token."""
        return self.answer_chain if self.decision is None else self.decision.chain

    @property
    def tokens(self) -> Tokens:
        """Prompt and answer so far."""
        return self._tokens[: self._n_tokens]

    @property
    def findable(self) -> Tokens:
        """The tokens that may be found resident, all but the last: not the row that chooses the answer's first one."""
        is_open = self.decision is not None and self.decision.first is None
        return self._tokens[: self._n_prompt if is_open else self._n_tokens]

    @property
    def pending(self) -> Tokens:
        """Tokens that are not resident yet; one where it is decoding, more where it is reading its prompt."""
        return self._tokens[self.sequence.length if self.sequence else 0 : self._n_tokens]

    @property
    def running_sequence(self) -> Sequence:
        """Where it runs.

        Raises:
            RuntimeError: It waits.
        """
        if self.sequence is None:
            raise RuntimeError("a generation without a sequence was to run")
        return self.sequence

    @property
    def n_generated(self) -> int:
        """Tokens of the answer, or of the decision that is being made."""
        return self._n_tokens - self._n_read

    @property
    def is_reading(self) -> bool:
        """Whether its prompt is not resident yet."""
        return self.sequence is not None and self.sequence.length < self._n_read

    @property
    def max_length(self) -> int:
        """Prompt and longest answer together, tokens."""
        return len(self._tokens)

    def head(self, count: int) -> int | None:
        """Which of the next `count` pending tokens chooses the answer's first one, where a decision comes first."""
        if self.decision is None or self.decision.first is not None or self.sequence is None:
            return None
        place = self._n_prompt - 1 - self.sequence.length
        return place if 0 <= place < count else None

    def begin_with(self, token: int | None) -> None:
        """Remember the token that the answer begins with where nothing is called; None where there is none."""
        if self.decision is not None:
            self.decision.first = token

    @property
    def has_declined(self) -> bool:
        """Whether it was decided to call nothing; `go_on` comes next."""
        return self.decision is not None and self.decision.is_nothing

    def go_on(self) -> int | None:
        """Nothing is called: forget the decision; the answer's first token, to be accepted next."""
        decision, self.decision = self.decision, None
        first = None
        if decision is not None:
            first = decision.first
            decision.free()
        self._n_decided = self._n_tokens - self._n_read
        self._n_read = self._n_tokens = self._n_prompt
        self._unsent_tokens = 0
        self._text = TextOut(self._stop)
        return first

    def free(self) -> None:
        """Free the chains; a second call does nothing."""
        if self.decision is not None:
            self.decision.free()
        self.answer_chain.free()

    def accept(self, token: int, now: float) -> tuple[StepEvent | None, str | None]:
        """Take a chosen token; the event with new text, where there is any, and why the answer ends, if it does."""
        if self._first_token_at is None:
            self._first_token_at = now
        if self.decision is not None and self.decision.waits:
            piece = self._told(self.decision, token)
            if not piece:
                return None, "length" if self._is_full else None
        elif token in self._vocabulary.ends:
            return None, "stop"
        else:
            self._append(token)
            piece = self._piece(token)
        text = self._text.push(piece)
        if self.decision is not None:
            self.decision.write(piece)
            text = self._undecided_text = self._undecided_text + text
            if not self.decision.is_made or self.decision.is_nothing:
                return None, "length" if self._is_full else None
            self._undecided_text = ""
        if self._text.stopped or self.chain.is_over:
            return self._event(text), "stop"
        return self._event(text), "length" if self._is_full else None

    def _told(self, decision: Decision, token: int) -> bytes:
        """Show a token to a decision that waits for what tells; what a call began with, once it is known to be one."""
        if not decision.tell(token, self._vocabulary.pieces[token]):
            return b""
        self._append(token)
        return b"" if decision.waits else decision.written

    def _append(self, token: int) -> None:
        self._tokens[self._n_tokens] = token
        self._n_tokens += 1
        self._unsent_tokens += 1

    @property
    def _is_full(self) -> bool:
        if self.decision is not None:
            return self.n_generated >= self.decision.most_tokens
        return self._n_tokens == self._end

    def finish(self, reason: str, now: float) -> StepEvent:
        """The last event, with the rest of the text and the counts."""
        event: StepEvent = {"id": self.request_id, "text": self._text.flush(), "tokens": self._unsent_tokens}
        self._all_text.append(event["text"])
        first = self._first_token_at if self._first_token_at is not None else now
        event["finish"] = reason
        event["prompt_tokens"] = self._n_prompt + self._n_asked
        event["completion_tokens"] = self.n_generated + self._n_decided
        event["cached_tokens"] = self.cached_tokens or 0
        event["prompt_seconds"] = first - self._arrived
        event["generation_seconds"] = now - first
        if self.decision is not None:
            event["calls"] = True
        return event

    def answer(self) -> tuple[str, tuple[int, ...]] | None:
        """The finished answer as text and ids, where both say the same: not where a stop string was cut off."""
        ids = tuple(int(token) for token in self._tokens[self._n_prompt : self._n_tokens])
        if not ids or self.decision is not None or self._text.stopped or not self._vocabulary.control.isdisjoint(ids):
            return None
        return "".join(self._all_text), ids

    def _piece(self, token: int) -> bytes:
        piece = self._vocabulary.pieces[token]
        if self._vocabulary.is_sentencepiece and self.n_generated == 1:
            return piece.removeprefix(b" ")  # the tokenizer's own, not the answer's
        return piece

    def _event(self, text: str) -> StepEvent | None:
        if not text:
            return None
        tokens, self._unsent_tokens = self._unsent_tokens, 0
        event: StepEvent = {"id": self.request_id, "text": text, "tokens": tokens}
        if not self._all_text:  # whoever leaves before the end is told what the prompt took all the same
            event["prompt_tokens"] = self._n_prompt + self._n_asked
            event["cached_tokens"] = self.cached_tokens or 0
        if self.decision is not None:
            event["calls"] = True
        self._all_text.append(text)
        return event
