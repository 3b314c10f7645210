"""Whole prompts against the templates that the families publish, token by token.

llama.cpp carries those templates for its own tests, and the locked source package of its binding has them. Nothing of
the product reads one (ADR 0008); here they are rendered as transformers renders them.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.tools import ToolCall
from chatbot.llm.dialects.dialect import WARNING
from chatbot.llm.dialects.mistral import call_id
from jinja2.sandbox import ImmutableSandboxedEnvironment
from parts.needs import fetched
from parts.own_dialects import PLACE, USE, built, by_hand, request
from parts.toy_engine import ToyEngine, load_toy, open_library
from parts.toy_gguf import (
    LLAMA31_SPECIALS,
    MISTRAL3_SPECIALS,
    MISTRAL7_SPECIALS,
    QWEN3_SPECIALS,
    QWEN25_SPECIALS,
    make_toy,
)

TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Weather of a place", "parameters": PLACE}},
    {
        "type": "function",
        "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}},
    },
]
FAMILIES: dict[str, tuple[tuple[str, ...], str]] = {
    "Qwen-Qwen2.5-7B-Instruct": (QWEN25_SPECIALS, "<|im_end|>"),
    "Qwen-Qwen3-0.6B": (QWEN3_SPECIALS, "<|im_end|>"),
    "meta-llama-Llama-3.1-8B-Instruct": (LLAMA31_SPECIALS, "<|eot_id|>"),
    "meta-llama-Llama-3.2-3B-Instruct": (LLAMA31_SPECIALS, "<|eot_id|>"),
    "meta-llama-Llama-3.3-70B-Instruct": (LLAMA31_SPECIALS, "<|eot_id|>"),
    "mistralai-Mistral-Nemo-Instruct-2407": (MISTRAL3_SPECIALS, "</s>"),
    "Mistral-Small-3.2-24B-Instruct-2506": (MISTRAL7_SPECIALS, "</s>"),
}
"""Special tokens of each, and the one that ends a turn."""
CASES = [(family, has_rounds) for family in FAMILIES for has_rounds in (False, True)][:-1]
"""No calls in the last one: its tokenizer is the eleventh, with all else as the seventh, which has no template here."""
DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
"""What Llama's templates say and we do not: see the dialect."""
RESULTS = ({"sky": "맑음 & <hot>", "degrees": 21.5}, {"time": "12:00"})
CALLS = (ToolCall("c1", "weather", '{"place": "서울"}'), ToolCall("c2", "now"))
EARLIER = (Message("user", "안녕?"), Message("assistant", "안녕하세요!"))


@pytest.fixture(scope="module")
def templates() -> Path:
    """Fetched where nothing may be left out, else only taken where they were fetched before."""
    return fetched("llama_templates.py", *(() if os.environ.get("CI") == "true" else ("--cached",)), by_builder=True)


@pytest.fixture
def open_engine(tmp_path: Path) -> Iterator[Callable[[tuple[str, ...]], ToyEngine]]:
    library, opened = open_library(), []

    def opener(specials: tuple[str, ...]) -> ToyEngine:
        model = load_toy(make_toy(tmp_path / "toy.gguf", specials=specials))
        opened.append(ToyEngine(model, shows_ids=False, context_tokens=2048, kv_tokens=2048))
        return opened[-1]

    yield opener
    for each in opened:
        each.close()
    assert library.last_words() is not None


def rendered(template: Path, **values: Any) -> str:
    """As transformers renders a chat template."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    environment.globals["strftime_now"] = lambda _format: "26 Jul 2024"
    return environment.from_string(template.read_text()).render(**values)


def called(*calls: ToolCall) -> dict[str, Any]:
    """A message of the assistant as templates take it."""
    said = [
        {
            "id": call_id(each.id),
            "type": "function",
            "function": {"name": each.name, "arguments": json.loads(each.arguments)},
        }
        for each in calls
    ]
    return {"role": "assistant", "content": "", "tool_calls": said}


def one_by_one() -> Iterator[dict[str, Any]]:
    for call, result in zip(CALLS, RESULTS, strict=True):
        yield called(call)
        yield {"role": "tool", "content": result}


def together() -> Iterator[dict[str, Any]]:
    yield called(*CALLS)
    for call, result in zip(CALLS, RESULTS, strict=True):
        content = json.dumps(result, ensure_ascii=False)
        yield {"role": "tool", "content": content, "tool_call_id": call_id(call.id)}


@pytest.mark.parametrize(("family", "has_rounds"), CASES)
@pytest.mark.parametrize("history", [(), EARLIER], ids=["first", "later"])
def test_a_prompt_is_what_the_published_template_makes(
    family: str,
    has_rounds: bool,
    history: tuple[Message, ...],
    templates: Path,
    open_engine: Callable[[tuple[str, ...]], ToyEngine],
) -> None:
    specials, end = FAMILIES[family]
    engine = open_engine(specials)
    made = one_by_one() if "meta-llama" in family else together()
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": f"Be kind.\n\n{WARNING}"},
        *({"role": each.role, "content": each.content} for each in history),
        {"role": "user", "content": "서울 날씨?"},
        *(made if has_rounds else ()),
    ]
    if "Nemo" in family:  # has no role for it: ours opens the first message, the template's the last one
        system = messages.pop(0)
        messages[0]["content"] = f"{system['content']}\n\n{messages[0]['content']}"
    rounds = [Message("assistant", "", CALLS)] + [
        Message("tool", json.dumps(result, ensure_ascii=False), call_id=call.id)
        for call, result in zip(CALLS, RESULTS, strict=True)
    ]
    dialogue = Dialogue(
        "Be kind.", (), history, Message("user", "서울 날씨?"), rounds=tuple(rounds if has_rounds else ())
    )

    text = rendered(
        templates / f"{family}.jinja",
        messages=messages,
        tools=TOOLS,
        tools_in_user_message=False,
        **{"bos_token": specials[0], "eos_token": end},
        add_generation_prompt=True,
    )
    prompt = built(engine, request(dialogue, USE))

    if "meta-llama" in family:
        assert text.count(DATES) == 1
        text = text.replace(DATES, "\n")
    assert prompt.ids.tolist() == by_hand(text, engine.vocabulary, specials)
