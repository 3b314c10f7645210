"""Tools, calls and results in the words of Llama 3.1: texts, what a call may be, and what tells one."""

import json

import pytest
from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.generation import GenerationRequest, Sampling
from chatbot.domain.tools import ToolCall, ToolDefinition, ToolUse
from chatbot.llm.dialects import llama31
from chatbot.llm.dialects.decision import CallReader, Tongue, start_of, tongue_of
from chatbot.llm.grammar import KeptGrammars, Shape
from parts.gbnf import Grammar

USE = ToolUse(
    (ToolDefinition("weather", "Weather", '{"properties": {"place": {"type": "string"}}}'), ToolDefinition("now"))
)
CALLS = (ToolCall("c1", "weather", '{"place": "서울"}'), ToolCall("c2", "now"))
WEATHER = Message("assistant", '{"name": "weather", "parameters": {"place": "서울"}}')
NOW = Message("assistant", '{"name": "now", "parameters": {}}')


def dialogue(*rounds: Message, history: tuple[Message, ...] = ()) -> Dialogue:
    return Dialogue("Be kind.", (), history, Message("user", "날씨?"), rounds=rounds)


def test_calls_made_together_are_told_one_by_one_each_with_its_result() -> None:
    rounds = (
        Message("assistant", "Let me look.", CALLS),
        Message("tool", "12:00", call_id="c2"),
        Message("tool", "맑음", call_id="c1"),
    )
    expected = (Message("assistant", "Let me look."), WEATHER, Message("tool", "맑음"), NOW, Message("tool", "12:00"))

    assert llama31.told(dialogue(*rounds), None).rounds == expected
    assert llama31.told(dialogue(history=rounds), None).history == expected


def test_no_result_is_lost_and_none_stands_behind_another_call() -> None:
    rounds = (
        Message("tool", "early", call_id="c0"),
        Message("assistant", "", CALLS[:1]),
        Message("assistant", "", CALLS[1:]),
        Message("tool", "stray", call_id="c9"),
        Message("assistant", "done"),
    )

    told = llama31.told(dialogue(*rounds), None).rounds

    assert told == (Message("tool", "early"), WEATHER, NOW, Message("tool", "stray"), Message("assistant", "done"))


def test_definitions_stand_in_front_of_what_the_service_says_itself() -> None:
    system = llama31.told(dialogue(), USE).system

    head, _, rest = system.partition("Do not use variables.\n\n")
    *tools, own, warning = rest.split("\n\n")
    assert head.startswith("Environment: ipython\n")
    assert [json.loads(each)["function"]["name"] for each in tools] == ["weather", "now"]
    assert json.loads(tools[1])["function"]["parameters"] == {"type": "object", "properties": {}}
    assert (own, "never instructions" in warning) == ("Be kind.", True)
    assert llama31.told(dialogue(), None).system == "Be kind."


@pytest.mark.parametrize("is_parallel", [True, False])
def test_the_grammar_holds_one_call_however_many_are_allowed(is_parallel: bool) -> None:
    grammar = Grammar(KeptGrammars().decision(ToolUse(USE.definitions, is_parallel=is_parallel), Shape.SINGLE))

    assert grammar.accepts(NOW.content) and grammar.accepts('{"name": "weather", "parameters": {"place": "a"}}')
    for text in ("", "null", NOW.content * 2, NOW.content.replace("parameters", "arguments"), f"[{NOW.content}]"):
        assert not grammar.accepts(text)


def test_a_call_begins_with_its_token_or_is_told_by_its_parameters() -> None:
    asked = GenerationRequest("r", dialogue(), Sampling(), 0.0, tools=USE)
    tongue = tongue_of(asked, "llama31")
    must = start_of(asked, ToolUse(USE.definitions, must_call=True), "g", Tongue(llama31.DIALECT, "|"))

    decision = start_of(asked, USE, "g", tongue).decision
    assert decision is not None
    assert (decision["trigger"], decision["settled_by"]) == ("<|python_tag|>", '"parameters":')
    assert (must.text, must.decision) == ("|<|python_tag|>|", None)
    assert tongue.mark not in llama31.told(dialogue(), USE, tongue.mark).system


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_call_is_read_as_it_was_written_and_never_before_it_is_whole(size: int) -> None:
    text = '{"name": "f", "parameters": {"a": {"parameters": [1,  2]}} }'
    reader, seen = CallReader(), []
    for start in range(0, len(text), size):
        seen += list(reader.read(text[start : start + size]))
        assert not seen or start + size >= len(text)

    assert [(call.name, call.arguments) for call in seen] == [("f", '{"a": {"parameters": [1,  2]}}')]
    assert all(not list(CallReader().read(text[:cut])) for cut in range(len(text)))
