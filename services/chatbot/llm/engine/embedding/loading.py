"""From a `load` frame to an embedding model that has proved itself: check the file, fit the machine, embed twice."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from chatbot.domain.model import ModelReason
from chatbot.llm.embedding.families import family_of
from chatbot.llm.engine.embedding.context import POOLINGS, EmbeddingContext, EmbeddingSizes
from chatbot.llm.engine.frames import LoadFrame, ReadyFrame
from chatbot.llm.engine.loading import LoadFailed, checked_header, model_name
from chatbot.llm.engine.native.gguf_header import GgufHeader
from chatbot.llm.engine.native.library import Library
from chatbot.llm.engine.native.machine import memory_limit, usable_cpus
from chatbot.llm.engine.native.model import Model, NativeError
from chatbot.llm.engine.native.sizing import SMALL_MODEL_BYTES, MemoryPlan, Sizes, TooLargeForMachine, plan_memory
from chatbot.llm.engine.text.vocabulary import Vocabulary

TEXTS_A_STEP = 16
_BYTES_F32 = 4
_POOLING_NUMBERS = {1: "mean", 2: "cls", 3: "last"}  # `<architecture>.pooling_type` of a GGUF
_SMOKE_TEXTS = ("1+1=2", "연차는 며칠인가요?")


@dataclass(frozen=True, slots=True)
class EmbeddingEngine:
    """A loaded embedding model.

    Attributes:
        context: Computes; belongs to one thread.
        tokens: Makes tokens of texts, in any thread.
        step_tokens: Most rows of a step.
        seconds_per_token: As the smoke step took them.
        ready: The frame that says so.
    """

    context: EmbeddingContext
    tokens: "Tokens"
    step_tokens: int
    seconds_per_token: float
    ready: ReadyFrame


class Tokens:
    """A text as the tokens of an embedding model, with what its file begins and ends texts with.

    Args:
        model: Whose.
        most: Tokens of a text at most.
        wants_end: Whether a text must end with the end token though the file does not say so.
    """

    def __init__(self, model: Model, most: int, *, wants_end: bool) -> None:
        self._vocabulary = Vocabulary(model.vocab)
        self._most = most
        self._first, self._last = self._edges(model)
        if wants_end and not self._last:
            self._last = [int(llama_cpp.llama_vocab_eos(model.vocab))]

    def of(self, text: str) -> tuple[NDArray[np.int32], int]:
        """The tokens that are computed, and how many there would have been."""
        tokens = self._vocabulary.encode(text)
        room = self._most - len(self._first) - len(self._last)
        made = [*self._first, *tokens[:room], *self._last]
        return np.array(made, dtype=np.int32), len(made) + max(0, len(tokens) - room)

    @staticmethod
    def _edges(model: Model) -> tuple[list[int], list[int]]:
        """What the file's tokenizer puts around a text: begin or class before it, end or separator behind."""
        vocab = model.vocab
        is_bert = llama_cpp.llama_vocab_type(vocab) == llama_cpp.LLAMA_VOCAB_TYPE_WPM
        first, last = int(llama_cpp.llama_vocab_bos(vocab)), int(llama_cpp.llama_vocab_eos(vocab))
        if is_bert:
            return [first], [int(llama_cpp.llama_vocab_sep(vocab))]
        has_first, has_last = llama_cpp.llama_vocab_get_add_bos(vocab), llama_cpp.llama_vocab_get_add_eos(vocab)
        return [first] if has_first and first >= 0 else [], [last] if has_last and last >= 0 else []


def load_embedding(frame: LoadFrame, library: Library, on_progress: Callable[[float], None]) -> EmbeddingEngine:
    """Check, load and smoke-test an embedding model.

    Raises:
        LoadFailed: It gives no vectors; says why.
    """
    path = Path(frame["model_path"])
    header = checked_header(path)
    gpu = next(iter(library.gpus()), None) if frame["gpu_layers"] else None
    family = family_of(frame.get("family", "") or model_name(header, path))
    pooling = _pooling(frame.get("pooling", ""), family.pooling, header)
    most = min(frame["context_tokens"], header.size("context_length", frame["context_tokens"]))
    threads = frame["threads"] or (1 if header.weight_bytes < SMALL_MODEL_BYTES else usable_cpus())
    sizes = EmbeddingSizes(most, TEXTS_A_STEP, threads, pooling)
    try:
        plan = _plan(sizes, header, frame["gpu_layers"], library)
        model = Model(path, frame["gpu_layers"] if gpu is not None else 0, on_progress)
        tokens = Tokens(model, most, wants_end=family.wants_end)
        context = EmbeddingContext(model, sizes)
    except TooLargeForMachine as exc:
        advice = "take a smaller model or CHATBOT_EMBEDDING_CONTEXT_TOKENS, or raise the limit"
        raise LoadFailed(ModelReason.OUT_OF_MEMORY, f"{exc}; {advice}") from exc
    except NativeError as exc:
        raise LoadFailed(ModelReason.LOAD_FAILED, f"{exc}: {library.last_words()}") from exc
    seconds_per_token = _smoke(context, tokens)
    ready: ReadyFrame = {
        "type": "ready",
        "name": model_name(header, path),
        "context_tokens": most,
        "kv_tokens": most,
        "slots": TEXTS_A_STEP,
        "chat_format": pooling,
        "tokens_per_second": 1 / seconds_per_token,
        "memory": str(plan),
        "hardware": library.hardware(),
        "dimensions": context.dimensions,
    }
    return EmbeddingEngine(context, tokens, most, seconds_per_token, ready)


def _pooling(wanted: str, familys: str, header: GgufHeader) -> str:
    """What was configured, else what the file says, else what its family uses."""
    told = _POOLING_NUMBERS.get(header.size("pooling_type", 0), "")
    pooling = wanted or told or familys
    if pooling in POOLINGS:
        return pooling
    advice = f"take an embedding model, or set CHATBOT_EMBEDDING_POOLING to one of {', '.join(POOLINGS)}"
    raise LoadFailed(ModelReason.MODEL_INVALID, f"the file does not say how its rows become one vector; {advice}")


def _plan(sizes: EmbeddingSizes, header: GgufHeader, gpu_layers: int, library: Library) -> MemoryPlan:
    gpu = next(iter(library.gpus()), None) if gpu_layers else None
    step = sizes.step_tokens
    as_chat = Sizes(step, sizes.texts, step, step, sizes.threads, sequences=sizes.texts, idle_tokens=0)
    plan = plan_memory(as_chat, header, memory_limit(), gpu, gpu_layers)
    if sizes.pooling != "last" and "bert" not in header.architecture:  # logits of all rows, computed and copied
        plan = replace(plan, compute_bytes=plan.compute_bytes + 2 * step * header.vocabulary_size * _BYTES_F32)
    if plan.needed_bytes > plan.available_bytes:
        raise TooLargeForMachine(f"the model does not fit: {plan}")
    return plan


def _smoke(context: EmbeddingContext, tokens: Tokens) -> float:
    """Embed two texts; seconds per token."""
    texts = [tokens.of(text)[0] for text in _SMOKE_TEXTS]
    began = time.monotonic()
    first, second = context.embed(texts)
    seconds = time.monotonic() - began
    if not first.any() or not second.any():
        raise LoadFailed(ModelReason.SMOKE_NAN, "the smoke texts have vectors that are no numbers; the file is damaged")
    if float(first @ second) > 1 - 1e-6:
        raise LoadFailed(ModelReason.SMOKE_EMPTY, "two different texts have the same vector")
    return max(seconds, 1e-6) / sum(map(len, texts))
