"""What `/v1` takes as tools, choices, calls and results, and what it says to what it does not take."""

import json
from typing import Any

import pytest
from chatbot.api.schemas import validated
from chatbot.api.v1.schemas import ChatCompletionRequest
from chatbot.domain.chat import Message
from chatbot.domain.errors import InvalidInput
from chatbot.domain.tools import ToolCall, ToolDefinition, ToolUse

ASK: dict[str, Any] = {"role": "user", "content": "날씨 어때요?"}
V1: dict[str, Any] = {"model": "m", "messages": [ASK]}
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}


def tool(name: Any = "weather", **said: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **said}}


def call(call_id: str = "c1", name: str = "weather", arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def called(*calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": list(calls), **more}


def result(call_id: str = "c1", content: Any = "맑음") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def asked(**change: Any) -> ChatCompletionRequest:
    return validated(ChatCompletionRequest, V1 | change)


def used(**change: Any) -> ToolUse:
    use = asked(**change).tool_use()
    assert use is not None
    return use


def test_a_tool_is_taken_with_its_schema_as_it_came() -> None:
    schema = {"type": "object", "properties": {"z": {}, "a": {"pattern": "가"}}}
    use = used(tools=[tool(description="Weather", parameters=schema, strict=True), tool("now")])

    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    assert use == ToolUse((ToolDefinition("weather", "Weather", text, True), ToolDefinition("now")), most_tokens=None)


@pytest.mark.parametrize("nothing", [{}, {"tools": None}, {"tools": []}, {"tools": [tool()], "tool_choice": "none"}])
def test_nothing_may_be_called_without_tools_or_with_none(nothing: dict[str, Any]) -> None:
    assert asked(**nothing).tool_use() is None


@pytest.mark.parametrize("choice", [None, "none", "auto"])
def test_a_choice_that_asks_for_nothing_needs_no_tools(choice: str | None) -> None:
    assert asked(tool_choice=choice, parallel_tool_calls=True).tool_use() is None


SOME = {"mode": "required", "tools": [tool("b"), tool("c")]}


@pytest.mark.parametrize(
    ("change", "must_call", "allowed", "is_parallel"),
    [
        ({}, False, (), True),
        ({"tool_choice": "auto", "parallel_tool_calls": False}, False, (), False),
        ({"tool_choice": "required"}, True, (), True),
        ({"tool_choice": tool("b")}, True, ("b",), False),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": SOME}}, True, ("b", "c"), True),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": SOME | {"mode": "auto"}}},
            False,
            ("b", "c"),
            True,
        ),
    ],
)
def test_a_choice_says_what_may_be_called(
    change: dict[str, Any], must_call: bool, allowed: tuple[str, ...], is_parallel: bool
) -> None:
    use = used(tools=[tool(name) for name in "abc"], **change)

    assert (use.must_call, use.allowed, use.is_parallel) == (must_call, allowed, is_parallel)
    assert [each.name for each in use.callable()] == list(allowed or "abc")


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"tools": {}}, "tools", "not_list"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "required"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type", "wrong_choice"),
        ({"tools": [tool("a b")]}, "tools[0].function.name", "bad_format_name"),
        ({"tools": [tool("x" * 65)]}, "tools[0].function.name", "bad_format_name"),
        ({"tools": [tool("")]}, "tools[0].function.name", "bad_format_name"),
        ({"tools": [tool(), tool()]}, "tools", "named_twice"),
        ({"tools": [tool(f"t{n}") for n in range(65)]}, "tools", "too_many"),
        ({"tools": [tool(description="x" * 1025)]}, "tools[0].function.description", "too_long"),
        ({"tools": [tool(parameters=[])]}, "tools[0].function.parameters", "not_object"),
        ({"tools": [tool(parameters={"d": "가" * 11_000})]}, "tools[0].function.parameters", "too_many_bytes"),
        ({"tools": [tool(f"t{n}", parameters={"d": "x" * 25_000}) for n in range(4)]}, "tools", "too_many_bytes"),
        ({"tools": [tool(strict="yes")]}, "tools[0].function.strict", "not_boolean"),
        ({"tool_choice": "required"}, "tool_choice", "choice_without_tools"),
        ({"tool_choice": tool()}, "tool_choice", "choice_without_tools"),
        ({"tools": [tool()], "tool_choice": "any"}, "tool_choice", "bad_tool_choice"),
        ({"tools": [tool()], "tool_choice": 5}, "tool_choice", "bad_tool_choice"),
        ({"tools": [tool()], "tool_choice": {"type": "function"}}, "tool_choice", "bad_tool_choice"),
        ({"tools": [tool()], "tool_choice": tool(["weather"])}, "tool_choice", "bad_tool_choice"),
        ({"tools": [tool()], "tool_choice": tool("other")}, "tool_choice", "choice_unknown"),
        ({"tools": [tool()], "tool_choice": {"type": "allowed_tools"}}, "tool_choice", "bad_tool_choice"),
        (
            {"tools": [tool()], "tool_choice": {"type": "allowed_tools", "allowed_tools": SOME}},
            "tool_choice",
            "choice_unknown",
        ),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls", "not_boolean"),
        ({"messages": [ASK, result()]}, "messages", "result_without_call"),
        ({"messages": [ASK, called(call()), result("c2")]}, "messages", "result_without_call"),
        ({"messages": [ASK, called(call()), result(), result()]}, "messages", "result_without_call"),
        ({"messages": [ASK, called(call()), ASK]}, "messages", "call_without_result"),
        ({"messages": [ASK, called(call(), call("c2")), result()]}, "messages", "call_without_result"),
        ({"messages": [ASK, called(call(), call()), result()]}, "messages", "call_without_result"),
        ({"messages": [ASK, called(call())]}, "messages", "last_not_user"),
        ({"messages": [called(call()), result()]}, "messages", "last_not_user"),
        ({"messages": [ASK, called()]}, "messages[1].content", "required"),
        ({"messages": [{**ASK, "tool_calls": [call()]}]}, "messages[0].tool_calls", "not_supported"),
        ({"messages": [ASK, called(call()), {"role": "tool", "content": "x"}]}, "messages[2].tool_call_id", "required"),
        ({"messages": [ASK, called(call()), result(content=None)]}, "messages[2].content", "required"),
        ({"messages": [ASK, called(call("가" * 129)), result()]}, "messages[1].tool_calls[0].id", "too_long"),
        (
            {"messages": [ASK, called(call(arguments="x" * 8001)), result()]},
            "messages[1].tool_calls[0].function.arguments",
            "too_long",
        ),
    ],
)
def test_refuses_and_names_what_is_wrong(change: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as wrong:
        asked(**change)

    assert (wrong.value.field, wrong.value.problem) == (field, problem)


def test_calls_and_results_behind_the_question_are_its_rounds() -> None:
    system = {"role": "system", "content": "s"}
    earlier = [ASK, called(call("c0", "now")), result("c0", "아침"), {"role": "assistant", "content": "아침이에요."}]
    said = [system, *earlier, ASK, called(call("c1"), call("c2"), content=None), result("c2", "비"), result("c1")]

    dialogue = asked(messages=said).dialogue()

    assert dialogue.system == "s"
    assert [message.role for message in dialogue.history] == ["user", "assistant", "tool", "assistant"]
    assert dialogue.history[1].calls == (ToolCall("c0", "now", "{}"),)
    assert dialogue.question == Message("user", "날씨 어때요?")
    assert dialogue.rounds == (
        Message("assistant", "", (ToolCall("c1", "weather", "{}"), ToolCall("c2", "weather", "{}"))),
        Message("tool", "비", call_id="c2"),
        Message("tool", "맑음", call_id="c1"),
    )


def test_what_a_program_prints_is_taken_without_its_control_characters() -> None:
    parts = [{"type": "text", "text": "\x1b[31mred"}, {"type": "text", "text": "\x07!\n"}]
    dialogue = asked(messages=[ASK, called(call()), result(content=parts)]).dialogue()

    assert dialogue.rounds[1].content == "[31mred!\n"
