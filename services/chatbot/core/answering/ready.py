"""Answers that are whole when they are begun: a turn that is stored already, and what tools say without a model."""

from collections.abc import Sequence

from chatbot.core.answering.delivery import Outbox
from chatbot.core.answering.past import kept
from chatbot.core.answering.pump import Answer, Stored
from chatbot.core.question import Done, Question, Queued, ToolStep
from chatbot.core.usage.meter import Meter
from chatbot.domain.chat import Turn
from chatbot.domain.errors import TurnReused
from chatbot.domain.generation import Backend, FinishReason, TextPiece, Timings, Usage


def replayed(turns: Sequence[Turn], question: Question) -> Answer | None:
    """The stored answer of a turn that came before.

    Raises:
        TurnReused: That turn was another question.
    """
    for turn in turns if question.turn_id else ():
        if turn.turn_id == question.turn_id:
            if turn.question != question.text:
                raise TurnReused
            return ready(question, kept(turn))
    return None


def repeated(backend: Backend, text: str, meter: Meter) -> Answer:
    """An answer that was made before, for the same question."""
    answer = _made(backend, Stored(text, None), ())
    answer.meter = meter
    return answer


def ready(question: Question, stored: Stored, steps: Sequence[ToolStep] = ()) -> Answer:
    """An answer that costs no tokens."""
    answer = _made(question.backend, stored, steps)
    answer.speech = question.speech
    return answer


def _made(backend: Backend, stored: Stored, steps: Sequence[ToolStep]) -> Answer:
    outbox = Outbox()
    outbox.is_bounded = False  # it is there already, whatever its length
    outbox.queued(Queued(0, 0.0))
    for step in steps:
        outbox.step(step)
    outbox.text(TextPiece(stored.answer, 0))
    ended = tuple(step for step in steps if step.state != "started")
    outbox.end(
        Done(
            stored.answer,
            FinishReason.STOP,
            Usage(0, 0),
            Timings(),
            stored.saved,
            steps=ended,
            proposals=stored.proposals,
        )
    )
    return Answer(backend, outbox, None, None)
