"""Tools told to models in their own words: dialogues, prompts by hand, and what a service's calls must be."""

import json
import re
from collections import Counter
from typing import Any

import jsonschema_rs
from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.generation import GenerationRequest, Sampling
from chatbot.domain.tools import ToolCall, ToolDefinition, ToolUse
from chatbot.llm.dialects.decision import answering, start_of, telling, tongue_of
from chatbot.llm.dialogue_frames import dialogue_frame
from chatbot.llm.engine.text.prompt_ids import Prompt
from chatbot.llm.engine.text.vocabulary import Vocabulary

from parts.toy_engine import GREEDY, ToyEngine

PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
USE = ToolUse((ToolDefinition("weather", "Weather of a place", json.dumps(PLACE)), ToolDefinition("now", "The time")))
CALLS = (ToolCall("c1", "weather", '{"place": "서울"}'), ToolCall("c2", "now"))
ROUNDS = (
    Message("assistant", "", CALLS),
    Message("tool", "맑음", call_id="c1"),
    Message("tool", "12:00", call_id="c2"),
)


def request(dialogue: Dialogue, tools: ToolUse | None = USE) -> GenerationRequest:
    return GenerationRequest("r", dialogue, Sampling(), 0.0, tools=tools)


def built(engine: ToyEngine, asked: GenerationRequest) -> Prompt:
    """The prompt as the engine makes it of what the service sends, with what calls begin with."""
    tongue = tongue_of(asked, engine.tool_tokens.dialect)
    assert tongue.mark
    start = start_of(asked, asked.tools, "g", tongue) if asked.tools else None
    frame = dialogue_frame(
        answering(asked, tongue).dialogue, start.text if start else "", tongue.mark, telling(asked, tongue).tools
    )
    return engine.prompts.build(frame, {**GREEDY, "max_tokens": 8}, start and start.decision)


def by_hand(text: str, vocabulary: Vocabulary, specials: tuple[str, ...]) -> list[int]:
    """Ids of a text whose special tokens are all meant."""
    ids: list[int] = []
    for part in re.split(f"({'|'.join(map(re.escape, specials))})", text):
        token = vocabulary.named(part) if part in specials else None
        ids += vocabulary.encode(part) if token is None else [token]
    return ids


def assert_no_text_becomes_a_token(engine: ToyEngine, names: list[str]) -> None:
    """Whatever anybody writes of these names, wherever: the prompt has the tokens of the scaffold and no others."""
    expected: Counter[int] | None = None
    for text in ["harmless", *names, *(f"{a}\n{b}" for a in names for b in names), "<tool_<tool_call>call>"]:
        call = ToolCall("c", "f", json.dumps({"x": text}))
        rounds = (Message("assistant", text, (call,)), Message("tool", text, call_id="c"))
        history = (Message("user", text), Message("assistant", text))
        dialogue = Dialogue(text, (), history, Message("user", text), may_shorten=False, rounds=rounds)
        tools = ToolUse((ToolDefinition("f", text, json.dumps({"properties": {text: {"const": text}}})),))

        ids = built(engine, request(dialogue, tools)).ids.tolist()

        scaffold = Counter(token for token in ids if token in engine.vocabulary.control | engine.tool_tokens.ids)
        expected = expected or scaffold
        assert scaffold == expected, text


# ---- a whole service


def schemas(forged: str) -> dict[str, dict[str, Any]]:
    """Of two tools; an enum holds the text of a token."""
    place = {"place": {"type": "string", "maxLength": 8}, "unit": {"enum": ["c", forged]}}
    asked = {"type": "object", "properties": place, "required": ["place", "unit"], "additionalProperties": False}
    return {"weather": asked, "now": {"type": "object", "properties": {}, "additionalProperties": False}}


def tools_of(known: dict[str, dict[str, Any]]) -> list[Any]:
    return [{"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in known.items()]


def named(name: str) -> Any:
    return {"type": "function", "function": {"name": name}}


def asking(number: int, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"서울 날씨 {number}?"}]
    return {"model": "toy", "messages": messages, "temperature": 1.5, "seed": number, "max_tokens": 300} | more


def names_of(answer: Any, known: dict[str, dict[str, Any]], token: str) -> list[str]:
    """Names of the calls, each of its schema; with calls there is no text, and no text has the token."""
    message = answer.choices[0].message
    for call in message.tool_calls or ():
        jsonschema_rs.validator_for(known[call.function.name]).validate(json.loads(call.function.arguments))
    is_whole = answer.choices[0].finish_reason != "length"
    assert not is_whole or (answer.choices[0].finish_reason == "tool_calls") == bool(message.tool_calls)
    assert not (message.tool_calls and message.content)
    assert token not in (message.content or "")
    return [call.function.name for call in message.tool_calls or ()]
