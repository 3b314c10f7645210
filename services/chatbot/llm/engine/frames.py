"""The wire between the API process and the engine process: length-prefixed JSON over a socket pair.

A frame is a 4-byte big-endian length and that many bytes of JSON (an object), at most `MAX_FRAME_BYTES`. The key
`type` names one of the shapes below. Each end treats a frame that breaks these rules as the death of the other.
"""

import json
import struct
from typing import Any, Literal, NotRequired, TypedDict

MAX_FRAME_BYTES = 1 << 20
_LENGTH = struct.Struct(">I")
HEADER_BYTES = _LENGTH.size


class FrameError(Exception):
    """A frame that is too long, not JSON, or not an object with a `type`."""


class DialogueFrame(TypedDict):
    """`domain.chat.Dialogue` in the roles of the chat format; messages as [role, content].

    `answer` is what the answer begins with: it is part of the prompt, and not told again. Between two `mark`s stands
    the name of a token of the tools' dialect; whoever makes the frame draws it anew, so that no text in it can hold it.
    `tools` stand in front of the question, in the place that the chat format has for them; they are never dropped.
    """

    system: str
    opening: list[tuple[str, str]]
    history: list[tuple[str, str]]
    question: tuple[str, str]
    may_shorten: bool
    rounds: NotRequired[list[tuple[str, str]]]
    answer: NotRequired[str]
    mark: NotRequired[str]
    tools: NotRequired[str]


class SamplingFrame(TypedDict):
    """`domain.generation.Sampling`, field by field.

    `most_tokens` cuts the answer there; the prompt is still made for one of `max_tokens`.
    """

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repeat_penalty: float
    presence_penalty: float
    frequency_penalty: float
    penalty_last_n: int
    seed: int | None
    max_tokens: int | None
    stop: list[str]
    grammar: NotRequired[str]
    most_tokens: NotRequired[int | None]


class DecisionFrame(TypedDict):
    """What comes before an answer, in its own sequence: calls of tools, or nothing.

    `text` is set behind the prompt; what follows is held to `grammar`, greedily, and cut after `most_tokens`. Calls are
    the answer; `nothing` is what is written to call none, and then the answer follows as if nothing had been asked.
    With `trigger`, the name of a token of the tools' dialect, that token in front of what the grammar holds tells calls
    from an answer. What follows the grammar without that token counts as calls, too, once `settled_by` stands in it.
    """

    text: str
    grammar: str
    nothing: str
    most_tokens: int | None
    trigger: NotRequired[str]
    settled_by: NotRequired[str]


# ---- API process -> engine process


class LoadFrame(TypedDict):
    """The first frame: load this file. Sizes are those of docs/adr/0003.

    `kv_tokens` 0, `slots` 0 and `threads` 0 ask for the defaults of this machine, as `idle_tokens` -1 and
    `host_cache_mib` -1 do. `gpu_layers` -1 is all. `without` names what is left out, to compare with. The last two
    are of embedding models: how rows become a vector ("" asks the file, then the family), and whose family it is.
    `tool_dialect` generic takes that; "" asks the vocabulary.
    """

    type: Literal["load"]
    model_path: str
    context_tokens: int
    slots: int
    kv_tokens: int
    step_tokens: int
    threads: int
    gpu_layers: int
    chat_format: str
    smoke: DialogueFrame
    idle_tokens: NotRequired[int]
    host_cache_mib: NotRequired[int]
    step_seconds: NotRequired[float]
    without: NotRequired[list[str]]
    tool_dialect: NotRequired[str]
    pooling: NotRequired[str]
    family: NotRequired[str]


class GenerateFrame(TypedDict):
    """Start a generation. `timeout_seconds` is what is left of its deadline."""

    type: Literal["generate"]
    id: str
    dialogue: DialogueFrame
    sampling: SamplingFrame
    timeout_seconds: float
    decision: NotRequired[DecisionFrame | None]


class MeasureFrame(TypedDict):
    """Count a prompt without generating."""

    type: Literal["measure"]
    id: str
    dialogue: DialogueFrame
    sampling: SamplingFrame
    decision: NotRequired[DecisionFrame | None]


class EmbedFrame(TypedDict):
    """Make vectors of texts. Lower priorities come first; a text that is too long is cut where it may be."""

    type: Literal["embed"]
    id: str
    texts: list[str]
    priority: int
    may_cut: bool


class CancelFrame(TypedDict):
    """End a generation; nothing more is sent for this id."""

    type: Literal["cancel"]
    id: str


# ---- engine process -> API process


class LoadingFrame(TypedDict):
    """Load progress, 0.0-1.0."""

    type: Literal["loading"]
    fraction: float


class ReadyFrame(TypedDict):
    """The smoke answer is done; requests may come."""

    type: Literal["ready"]
    name: str
    context_tokens: int
    kv_tokens: int
    slots: int
    chat_format: str
    tool_dialect: NotRequired[str]
    tokens_per_second: float
    memory: str
    hardware: str
    dimensions: NotRequired[int]


class FailedFrame(TypedDict):
    """The model cannot be served. `reason` is a value of `domain.model.ModelReason`. The child exits after it."""

    type: Literal["failed"]
    reason: str
    message: str


class MeasuredFrame(TypedDict):
    """Answer to `measure`. `too_long` names what does not fit: system, question, max_tokens or history.

    history only where the dialogue may not be shortened.
    """

    type: Literal["measured"]
    id: str
    prompt_tokens: int
    too_long: str | None


class EmbeddedFrame(TypedDict):
    """Answer to `embed`. `vectors`: base64 of little-endian float32, row by row; zeros where a text has no vector.

    `too_long` is the first text that does not fit and may not be cut; `tokens` is its length then.
    """

    type: Literal["embedded"]
    id: str
    vectors: str
    tokens: int
    too_long: int | None


class StepFrame(TypedDict):
    """Everything one step brought, in one frame."""

    type: Literal["step"]
    events: list["StepEvent"]


class StepEvent(TypedDict):
    """New text of one generation and, with `finish`, its end. The first one tells the prompt's counts, too.

    `finish`: stop, length, too_long (nothing was generated; see `too_long`), grammar (nothing was generated: it
    cannot be read), timeout (no token in time), slow (the reader stalled and its buffer is full) or error.
    `calls`: the text is what a decision wrote, not the answer.
    """

    id: str
    text: str
    tokens: int
    finish: NotRequired[str]
    too_long: NotRequired[str]
    prompt_tokens: NotRequired[int]
    completion_tokens: NotRequired[int]
    cached_tokens: NotRequired[int]
    prompt_seconds: NotRequired[float]
    generation_seconds: NotRequired[float]
    calls: NotRequired[bool]


class HeartbeatFrame(TypedDict):
    """Sent every second by a thread of its own, also while a step runs.

    `step_seconds` is how long the running step has taken so far (0 between steps), `predicted_seconds` what the
    step model expects of it.
    """

    type: Literal["heartbeat"]
    step: int
    step_seconds: float
    predicted_seconds: float
    stats: dict[str, float]


def encode(frame: Any) -> bytes:
    """One frame as bytes, header included.

    Raises:
        FrameError: It is longer than `MAX_FRAME_BYTES`.
    """
    body = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode()
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"frame of {len(body)} bytes")
    return _LENGTH.pack(len(body)) + body


def body_length(header: bytes) -> int:
    """Length of the body that follows a header of `HEADER_BYTES`.

    Raises:
        FrameError: It is longer than `MAX_FRAME_BYTES`.
    """
    (length,) = _LENGTH.unpack(header)
    if length > MAX_FRAME_BYTES:
        raise FrameError(f"frame of {length} bytes")
    return int(length)


def decode(body: bytes) -> dict[str, Any]:
    """The object in a frame's body.

    Raises:
        FrameError: It is not a JSON object with a `type`.
    """
    try:
        frame = json.loads(body)
    except ValueError as exc:
        raise FrameError("not JSON") from exc
    if not isinstance(frame, dict) or "type" not in frame:
        raise FrameError("no type")
    return frame
