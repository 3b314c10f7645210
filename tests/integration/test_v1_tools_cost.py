"""What tools cost when none is called, and what a grammar costs a model that writes by itself what it allows."""

import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chatbot.domain.tools import ToolDefinition
from chatbot.llm.dialects.generic import definitions
from chatbot.llm.grammar import KeptGrammars
from chatbot.llm.grammar.rules import literal
from parts.real_v1 import real_v1
from parts.toy_engine import ToyEngine, load_toy, open_library
from parts.toy_gguf import make_slow_toy

DEMO = next((Path(__file__).parents[2] / "services/demo-model").glob("*.gguf"))
MOST_EXTRA_TOKENS = 60
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Weather of a place",
            "parameters": {
                "type": "object",
                "properties": {"place": {"type": "string", "maxLength": 20}, "days": {"type": "integer"}},
                "required": ["place"],
            },
        },
    },
    {"type": "function", "function": {"name": "current_time", "description": "Date and time of a place"}},
]
SYSTEM = "You are an office assistant. Answer kindly and briefly, in the language of the question. " * 6


async def timed(client: Any, system: str, **more: Any) -> tuple[float, Any]:
    """Seconds to the first text, and the usage; nothing may be called."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "안녕하세요!"}]
    asked = {"model": "toy", "messages": messages, "temperature": 0, "stream_options": {"include_usage": True}}
    began, first, usage = time.monotonic(), 0.0, None
    async for chunk in await client.chat.completions.create(**asked, stream=True, **more):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            assert not choice.delta.tool_calls
            first = first or (time.monotonic() - began if choice.delta.content else 0.0)
    return first, usage


async def test_tools_of_which_none_is_called_cost_few_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: Any, figures: Any
) -> None:
    """Beside the same request without tools, and beside one whose system prompt tells of the tools all the same.

    First with a system prompt that nobody asked with before (cold), then again and again (warm); by turns.
    """
    # Whether a toy calls something is chance. This one is let call nothing.
    monkeypatch.setattr(KeptGrammars, "decision", lambda self, tools, _shape: 'root ::= "null"\n')
    told = definitions([ToolDefinition(**_plain(tool["function"])) for tool in TOOLS])
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "plain": (SYSTEM, {}),
        "told": (f"{SYSTEM.strip()}\n\n{told}", {}),
        "tools": (SYSTEM, {"tools": TOOLS}),
    }
    cold: dict[str, list[float]] = {kind: [] for kind in kinds}
    warm: dict[str, list[float]] = {kind: [] for kind in kinds}
    extra = []
    async with real_v1(tmp_path, DEMO) as service:
        for number in range(scale(3, 40)):
            for kind, (system, more) in kinds.items():
                first, _usage = await timed(service.client, f"{kind} {number} {system}", **more)
                cold[kind].append(first)
            for _ in range(scale(3, 10)):
                for kind, (system, more) in kinds.items():
                    first, usage = await timed(service.client, f"{kind} {number} {system}", max_tokens=1, **more)
                    warm[kind].append(first)
                    if kind == "tools":
                        extra.append(usage.completion_tokens - 1)

    assert max(extra) == 1 < MOST_EXTRA_TOKENS
    cold_ms, warm_ms = (
        {kind: round(1000 * statistics.median(values), 1) for kind, values in seconds.items()}
        for seconds in (cold, warm)
    )
    figures(
        extra_decoded_tokens=max(extra),
        ratio_cold=round(cold_ms["tools"] / cold_ms["told"], 2),
        ratio_warm=round(warm_ms["tools"] / warm_ms["plain"], 2),
        ratio_warm_again=round(warm_ms["told"] / warm_ms["plain"], 2),  # A/A
        **{f"cold_ms_{kind}": value for kind, value in cold_ms.items()},
        **{f"warm_ms_{kind}": value for kind, value in warm_ms.items()},
    )


def _plain(function: dict[str, Any]) -> dict[str, str]:
    parameters = json.dumps(function["parameters"]) if "parameters" in function else ""
    return {"name": function["name"], "description": function["description"], "parameters": parameters}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyEngine]:
    library = open_library()
    path = make_slow_toy(tmp_path_factory.mktemp("toy") / "toy.gguf", endless=True)
    made = ToyEngine(load_toy(path), shows_ids=False, context_tokens=1024, kv_tokens=4096)
    yield made
    made.close()
    assert library.last_words() is not None


def test_a_grammar_costs_a_model_that_keeps_to_it_little(engine: ToyEngine, scale: Any, figures: Any) -> None:
    """The grammar is the very text that the model writes anyway: all that is left is the work of checking it."""
    ids, tokens = list(range(300, 340)), 96
    while "\ufffd" in (free := engine.answer(ids, max_tokens=tokens)):  # half of a character: random weights write some
        tokens -= 4
    assert tokens >= 24
    grammar = f"root ::= {literal(free)} [a-z]*\n"
    assert engine.answer(ids, max_tokens=tokens, grammar=grammar) == free
    seconds: dict[str, list[float]] = {"": [], grammar: []}
    for _ in range(scale(3, 30)):
        for each in seconds:
            began = time.perf_counter()
            written = engine.answer(ids, max_tokens=tokens, grammar=each)
            seconds[each].append(time.perf_counter() - began)
            assert written == free

    medians = {name: statistics.median(values) for name, values in seconds.items()}
    figures(
        tokens=tokens,
        free_ms_per_token=round(1000 * medians[""] / tokens, 2),
        held_ms_per_token=round(1000 * medians[grammar] / tokens, 2),
        speed_ratio=round(medians[""] / medians[grammar], 3),
    )
