"""Domain requests as frames for the engine process, cut to what one frame can carry."""

import json
import time
from dataclasses import dataclass, replace

from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.errors import PromptTooLong
from chatbot.domain.generation import GenerationRequest, Sampling
from chatbot.llm.engine.frames import (
    MAX_FRAME_BYTES,
    DecisionFrame,
    DialogueFrame,
    FrameError,
    GenerateFrame,
    MeasureFrame,
    SamplingFrame,
    encode,
)

_ENVELOPE_BYTES = 8192  # everything of a frame but the messages and the grammar
_MESSAGE_BYTES = 32
_SCAFFOLD_TOKENS = 16  # at most, per message: header and end of every chat format known here


@dataclass(frozen=True, slots=True)
class Start:
    """What is said of one generation beside its request.

    Attributes:
        text: What the answer begins with: a part of the prompt, not generated.
        most_tokens: After so many it is cut, whatever room the prompt was made for. None: that room.
        decision: What is decided before the answer, None where nothing is.
        mark: Stands around the names of tokens in the dialogue's texts and in `text`; "" where there are none.
        tools: What is said of tools in a place of its own in front of the question; "" where nothing is.
    """

    text: str = ""
    most_tokens: int | None = None
    decision: DecisionFrame | None = None
    mark: str = ""
    tools: str = ""


def dialogue_frame(dialogue: Dialogue, answer_start: str = "", mark: str = "", tools: str = "") -> DialogueFrame:
    """A dialogue of plain messages as the wire has it; `answer_start` is set before what is generated."""
    frame: DialogueFrame = {
        "system": dialogue.system,
        "opening": [(message.role, message.content) for message in dialogue.opening],
        "history": [(message.role, message.content) for message in dialogue.history],
        "question": (dialogue.question.role, dialogue.question.content),
        "may_shorten": dialogue.may_shorten,
        "rounds": [(message.role, message.content) for message in dialogue.rounds],
        "answer": answer_start,
    }
    if mark:
        frame["mark"] = mark
    if tools:
        frame["tools"] = tools
    return frame


def generate_frame(request: GenerationRequest, start: Start = Start()) -> bytes:
    """An encoded `generate`.

    Raises:
        PromptTooLong: No frame can carry it, even without history where that may be dropped.
    """
    sampling = _sampling_frame(request.sampling, start)

    def frame(dialogue: Dialogue) -> GenerateFrame:
        return {
            "type": "generate",
            "id": request.request_id,
            "dialogue": dialogue_frame(dialogue, start.text, start.mark, start.tools),
            "sampling": sampling,
            "timeout_seconds": max(0.0, request.deadline - time.monotonic()),
            "decision": start.decision,
        }

    try:
        return encode(frame(request.dialogue))
    except FrameError:
        return encode(frame(_fitting(request.dialogue, _beside(request, start))))


def measure_frame(request: GenerationRequest, measure_id: str, start: Start = Start()) -> bytes:
    """An encoded `measure`.

    Raises:
        PromptTooLong: As `generate_frame`.
    """
    sampling = _sampling_frame(request.sampling, start)

    def frame(dialogue: Dialogue) -> MeasureFrame:
        asked = dialogue_frame(dialogue, start.text, start.mark, start.tools)
        return {
            "type": "measure",
            "id": measure_id,
            "dialogue": asked,
            "sampling": sampling,
            "decision": start.decision,
        }

    try:
        return encode(frame(request.dialogue))
    except FrameError:
        return encode(frame(_fitting(request.dialogue, _beside(request, start))))


def surely_fits(request: GenerationRequest, context_tokens: int, start: Start = Start()) -> bool:
    """Whether no counting is needed: a token is at least one byte, so bytes bound the prompt's tokens from above."""
    dialogue = request.dialogue
    messages = [*dialogue.opening, dialogue.question, *dialogue.rounds]
    if not dialogue.may_shorten:
        messages += dialogue.history
    n_bytes = len(dialogue.system.encode()) + len(start.tools.encode())
    n_bytes += sum(len(message.content.encode()) for message in messages)
    answer_tokens = request.sampling.max_tokens or context_tokens // 2
    begun = start.decision["text"] if start.decision else start.text
    if begun or start.decision:
        answer_tokens += len(begun.encode()) + _SCAFFOLD_TOKENS
    return n_bytes + _SCAFFOLD_TOKENS * (len(messages) + 2) + answer_tokens <= context_tokens


def _beside(request: GenerationRequest, start: Start) -> str:
    """What a frame carries beside the dialogue and cannot leave out."""
    return request.sampling.grammar + (start.decision["grammar"] if start.decision else "") + start.tools


def _sampling_frame(sampling: Sampling, start: Start) -> SamplingFrame:
    cuts = [cut for cut in (start.most_tokens, sampling.most_tokens) if cut is not None]
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "penalty_last_n": sampling.penalty_last_n,
        "seed": sampling.seed,
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop),
        "grammar": sampling.grammar,
        "most_tokens": min(cuts) if cuts else None,
    }


def _fitting(dialogue: Dialogue, beside: str) -> Dialogue:
    """The dialogue with its newest history pairs, as many as one frame carries."""
    left = MAX_FRAME_BYTES - _ENVELOPE_BYTES - len(json.dumps(beside, ensure_ascii=False).encode())
    left -= _wire_bytes(Message("system", dialogue.system))
    left -= sum(_wire_bytes(message) for message in (*dialogue.opening, dialogue.question, *dialogue.rounds))
    if left < 0 or not dialogue.may_shorten:
        said = (*dialogue.history, dialogue.question, *dialogue.rounds)
        n_bytes = sum(len(message.content.encode()) for message in said)
        # No tokenizer here: four bytes a token is a usual prompt, and the text only has to show the order.
        raise PromptTooLong("messages", n_bytes // 4, MAX_FRAME_BYTES // 4)
    kept = len(dialogue.history)
    while kept >= 2:
        left -= sum(_wire_bytes(message) for message in dialogue.history[kept - 2 : kept])
        if left < 0:
            break
        kept -= 2
    return replace(dialogue, history=dialogue.history[kept:])


def _wire_bytes(message: Message) -> int:
    return len(json.dumps(message.content, ensure_ascii=False).encode()) + _MESSAGE_BYTES
