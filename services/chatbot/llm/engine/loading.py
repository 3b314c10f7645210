"""From a `load` frame to an engine that has proved itself: check the file, fit the machine, load, answer once.

Whatever is wrong becomes one `LoadFailed` with a reason that the operator knows and a sentence for a person.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from chatbot.domain.model import ModelReason
from chatbot.llm.engine.batching.generation import Order
from chatbot.llm.engine.batching.scheduler import Scheduler
from chatbot.llm.engine.batching.steps.graph_costs import measured
from chatbot.llm.engine.batching.steps.graphs import GraphCosts
from chatbot.llm.engine.batching.tuning import Tuning
from chatbot.llm.engine.frames import DialogueFrame, LoadFrame, ReadyFrame, SamplingFrame, StepEvent
from chatbot.llm.engine.native.gguf_header import GgufHeader, InvalidGguf, read_gguf_header
from chatbot.llm.engine.native.library import Library
from chatbot.llm.engine.native.machine import memory_limit, usable_cpus
from chatbot.llm.engine.native.model import Context, Model, NativeError
from chatbot.llm.engine.native.sizing import (
    Sizes,
    TooLargeForMachine,
    Wanted,
    fit_sizes,
    host_cache_bytes,
)
from chatbot.llm.engine.sampling.chain import SamplerChain
from chatbot.llm.engine.text.answer_memory import AnswerMemory
from chatbot.llm.engine.text.chat_format import UnknownChatFormat, find_chat_format
from chatbot.llm.engine.text.prompt_ids import DialogueTooLong, PromptBuilder
from chatbot.llm.engine.text.tool_tokens import ToolTokens, find_tool_tokens
from chatbot.llm.engine.text.vocabulary import Vocabulary

SMOKE_TOKENS = 9
FIRST_TOKEN_SECONDS = 60.0
_SMOKE_ID = "smoke"
_MAX_NAME = 100
_SMOKE_SAMPLING: SamplingFrame = {
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 1,
    "min_p": 0.0,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "penalty_last_n": 0,
    "seed": 0,
    "max_tokens": SMOKE_TOKENS,
    "stop": [],
}


class LoadFailed(Exception):
    """The model cannot be served."""

    def __init__(self, reason: ModelReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Engine:
    """A loaded model, ready for requests.

    Attributes:
        scheduler: Runs generations; belongs to one thread.
        prompts: Builds prompts, in any thread.
        vocabulary: Its tokens.
        tool_tokens: Those of its dialect of tools.
        sizes: As they are used.
        ready: The frame that says so.
    """

    scheduler: Scheduler
    prompts: PromptBuilder
    vocabulary: Vocabulary
    tool_tokens: ToolTokens
    sizes: Sizes
    ready: ReadyFrame


def load_engine(frame: LoadFrame, library: Library, on_progress: Callable[[float], None]) -> Engine:
    """Check, load and smoke-test a model.

    Args:
        frame: What to load, and the dialogue of the smoke answer.
        library: llama.cpp; its last words go into a failure's message.
        on_progress: Called with 0.0-1.0 while weights are read.

    Raises:
        LoadFailed: It cannot be served; says why.
    """
    path = Path(frame["model_path"])
    header = checked_header(path)
    gpu = next(iter(library.gpus()), None) if frame["gpu_layers"] else None
    wanted, limit = _wanted(frame), memory_limit()
    fit = partial(fit_sizes, header=header, limit=limit, gpu=gpu, gpu_layers=frame["gpu_layers"], cpus=usable_cpus())
    try:
        sizes, plan = fit(wanted)
        sizes = replace(sizes, host_cache_bytes=host_cache_bytes(wanted, plan, limit, has_gpu=gpu is not None))
        model = Model(path, frame["gpu_layers"] if gpu is not None else 0, on_progress)
        vocabulary = Vocabulary(model.vocab)
        chat_format = find_chat_format(vocabulary, frame["chat_format"])
        if sizes.has_streams and not model.can_share_prefixes:
            sizes = fit(replace(wanted, may_split=False))[0]
        context = Context(model, sizes)
    except TooLargeForMachine as exc:
        raise LoadFailed(
            ModelReason.OUT_OF_MEMORY, f"{exc}; take a smaller model or CHATBOT_ENGINE_KV_TOKENS, or raise the limit"
        ) from exc
    except UnknownChatFormat as exc:
        raise LoadFailed(ModelReason.MODEL_INVALID, str(exc)) from exc
    except NativeError as exc:
        raise LoadFailed(ModelReason.LOAD_FAILED, f"{exc}: {library.last_words()}") from exc
    tool_tokens = find_tool_tokens(vocabulary, chat_format.name, frame.get("tool_dialect", ""))
    memory = AnswerMemory()
    tuning = Tuning.of(frame, can_share=model.can_share_prefixes, measure=partial(_graph_costs, context, sizes))
    scheduler = Scheduler(context, sizes, vocabulary, tuning=tuning, memory=memory)
    prompts = PromptBuilder(vocabulary, chat_format, sizes.context_tokens, memory, tool_tokens)
    speed = smoke(scheduler, prompts, vocabulary, frame["smoke"], tool_tokens.ids)
    ready: ReadyFrame = {
        "type": "ready",
        "name": model_name(header, path),
        "context_tokens": sizes.context_tokens,
        "kv_tokens": context.n_cells,
        "slots": sizes.slots,
        "chat_format": chat_format.name,
        "tool_dialect": tool_tokens.dialect,
        "tokens_per_second": speed,
        "memory": str(plan),
        "hardware": library.hardware(),
    }
    return Engine(scheduler, prompts, vocabulary, tool_tokens, sizes, ready)


def smoke(
    scheduler: Scheduler,
    prompts: PromptBuilder,
    vocabulary: Vocabulary,
    dialogue: DialogueFrame,
    never: frozenset[int] = frozenset(),
) -> float:
    """Answer once, greedily; the speed in tokens per second, the first token not counted.

    Ends are suppressed, and so are the tokens of `never`, as in every answer.

    Raises:
        LoadFailed: No numbers, nothing printable, no first token in time, or the prompt does not fit.
    """
    try:
        prompt = prompts.build(dialogue, _SMOKE_SAMPLING)
    except DialogueTooLong as exc:
        raise LoadFailed(
            ModelReason.LOAD_FAILED,
            f"the service's own prompt of {exc.prompt_tokens} tokens does not fit the model's context",
        ) from exc
    chain = SamplerChain(_SMOKE_SAMPLING, vocabulary.n_tokens, suppressed=vocabulary.ends | never)
    started = time.monotonic()
    scheduler.submit(Order(_SMOKE_ID, prompt, chain, (), started, started + FIRST_TOKEN_SECONDS))
    events: list[StepEvent] = []
    while scheduler.has_work:
        events += scheduler.run_step()
    _judge(events)
    last = events[-1]
    seconds = last["generation_seconds"]
    return (last["completion_tokens"] - 1) / seconds if seconds > 0 else 0.0


def _judge(events: list[StepEvent]) -> None:
    finish = events[-1].get("finish")
    if finish == "error":
        raise LoadFailed(ModelReason.SMOKE_NAN, "the smoke answer has logits that are no numbers; the file is damaged")
    if finish == "timeout":
        raise LoadFailed(ModelReason.LOAD_TIMEOUT, f"no first token within {FIRST_TOKEN_SECONDS:.0f} s")
    text = "".join(event["text"] for event in events)
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise LoadFailed(ModelReason.SMOKE_EMPTY, f"the first {SMOKE_TOKENS} tokens have nothing printable")


def _graph_costs(context: Context, sizes: Sizes) -> GraphCosts | None:
    return measured(context, sizes) if sizes.has_streams else None


def checked_header(path: Path) -> GgufHeader:
    """The header of a file that is worth loading.

    Raises:
        LoadFailed: It is not.
    """
    try:
        return read_gguf_header(path)
    except FileNotFoundError as exc:
        raise LoadFailed(ModelReason.MODEL_MISSING, f"there is no file {path}") from exc
    except OSError as exc:
        raise LoadFailed(ModelReason.LOAD_FAILED, f"{path} cannot be read: {exc.strerror}") from exc
    except InvalidGguf as exc:
        raise LoadFailed(ModelReason.MODEL_INVALID, f"{exc}; download it again and compare its sha256") from exc


def _wanted(frame: LoadFrame) -> Wanted:
    return Wanted(
        context_tokens=frame["context_tokens"],
        slots=frame["slots"],
        kv_tokens=frame["kv_tokens"],
        step_tokens=frame["step_tokens"],
        threads=frame["threads"],
        idle_tokens=frame.get("idle_tokens", -1),
        host_cache_mib=frame.get("host_cache_mib", -1),
        may_split="streams" not in frame.get("without", []),
    )


def model_name(header: GgufHeader, path: Path) -> str:
    """The file's own name for the model; whoever made the file chose it, so only plain characters are kept."""
    name = str(header.metadata.get("general.name", ""))
    return "".join(character for character in name if character.isprintable())[:_MAX_NAME] or path.stem
