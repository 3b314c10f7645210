"""Services of models that were trained for tools, on random weights: valid calls, choices obeyed, streamed as plain."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from parts.own_dialects import asking, named, names_of, schemas, tools_of
from parts.real_v1 import real_v1
from parts.toy_gguf import (
    LLAMA31_SPECIALS,
    MISTRAL3_SPECIALS,
    MISTRAL7_SPECIALS,
    QWEN3_SPECIALS,
    QWEN25_SPECIALS,
    make_toy,
)

FAMILIES: dict[str, tuple[tuple[str, ...], str, int]] = {
    "hermes": (QWEN25_SPECIALS, "<tool_call>", 4),
    "llama31": (LLAMA31_SPECIALS, "<|python_tag|>", 1),
    "mistral": (MISTRAL3_SPECIALS, "[TOOL_CALLS]", 4),
    "mistral7": (MISTRAL7_SPECIALS, "[TOOL_CALLS]", 4),
}
"""Special tokens, the one that calls begin with, and how many calls one message may have."""
SEEDS = {"mistral7": {"seed": 2}}
"""Of weights with which that token is the likeliest one behind these questions, where the usual ones do not."""
KNOWN = {dialect: schemas(token) for dialect, (_specials, token, _most) in FAMILIES.items()}
KINDS = [
    *(
        pytest.param(dialect, {"specials": each[0], "eager": each[1]} | SEEDS.get(dialect, {}), id=dialect)
        for dialect, each in FAMILIES.items()
    ),
    pytest.param("hermes", {"specials": QWEN3_SPECIALS, "endless": True}, id="hermes-never-likely"),
    pytest.param(
        "mistral",
        {"specials": MISTRAL3_SPECIALS, "eager": "[TOOL_CALLS]", "is_sentencepiece": True},
        id="mistral-sentencepiece",
    ),
]


@pytest.mark.parametrize(("dialect", "toy"), KINDS)
async def test_choices_are_obeyed_and_calls_are_valid_of_random_weights(
    dialect: str, toy: dict[str, Any], tmp_path: Path, scale: Any, figures: Any
) -> None:
    known, (_specials, token, most) = KNOWN[dialect], FAMILIES[dialect]
    seen: dict[str, list[list[str]]] = {"none": [], "auto": [], "required": [], "named": []}
    async with real_v1(
        tmp_path, make_toy(tmp_path / "toy.gguf", **toy), context_tokens=2048, kv_tokens=8192
    ) as service:
        model = service.host.model()
        assert model is not None and model.tool_dialect == dialect
        told = await asyncio.to_thread(httpx2.get, f"{service.url}/info")
        assert told.json()["model"]["tool_dialect"] == dialect
        choices = {"none": "none", "auto": "auto", "required": "required", "named": named("weather")}
        for number in range(scale(3, 200)):
            answers = await asyncio.gather(
                *(
                    service.client.chat.completions.create(**asking(number, tools=tools_of(known), tool_choice=choice))
                    for choice in choices.values()
                )
            )
            for name, answer in zip(choices, answers, strict=True):
                names = names_of(answer, known, token)
                assert names or name in ("none", "auto") or answer.choices[0].finish_reason == "length"
                seen[name].append(names)

    assert not any(seen["none"])
    assert any(seen["auto"]) == ("eager" in toy)
    assert any(seen["required"]) and all(len(names) <= most for names in (*seen["required"], *seen["auto"]))
    assert all(set(names) <= {"weather"} for names in seen["named"])
    figures(**{name: sum(map(len, names)) for name, names in seen.items()})


@pytest.mark.parametrize("dialect", ["hermes", "llama31", "mistral"])
async def test_streamed_and_plain_are_the_same_and_a_conversation_goes_on(dialect: str, tmp_path: Path) -> None:
    specials, token, _most = FAMILIES[dialect]
    only = {"const": {"인사": ["안녕 🙂", 'quote " back \\ line \n', None], token: "<|im_end|>"}}
    schema = {"type": "object", "properties": {"x": only}, "required": ["x"]}
    asked = asking(1, tools=tools_of({"f": schema}), tool_choice=named("f"), parallel_tool_calls=False, max_tokens=600)
    toy = make_toy(tmp_path / "toy.gguf", specials=specials)
    async with real_v1(tmp_path, toy, context_tokens=2048, kv_tokens=8192) as service:
        plain = await service.client.chat.completions.create(**asked)
        async with service.client.chat.completions.stream(**asked) as stream:
            streamed = await stream.get_final_completion()
        message = plain.choices[0].message
        result = {"role": "tool", "tool_call_id": (message.tool_calls or [])[0].id, "content": "맑음"}
        said: list[Any] = [*asked["messages"], message.model_dump(exclude_none=True), result]
        after = await service.client.chat.completions.create(
            **asked | {"messages": said, "tool_choice": "none", "max_tokens": 20}
        )

    calls = [each.choices[0].message.tool_calls or [] for each in (plain, streamed)]
    assert [len(each) for each in calls] == [1, 1]
    for (call,) in calls:
        assert json.loads(call.function.arguments) == {"x": only["const"]}
    assert calls[0][0].function.arguments == calls[1][0].function.arguments
    assert [each.choices[0].finish_reason for each in (plain, streamed)] == ["tool_calls", "tool_calls"]
    assert after.choices[0].message.content and not after.choices[0].message.tool_calls


async def test_a_file_that_marks_the_tokens_as_control_gets_whole_calls_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parts.toy_gguf._USER_DEFINED", frozenset())
    known = KNOWN["hermes"]
    toy = make_toy(tmp_path / "qwen.gguf", specials=QWEN25_SPECIALS, eager="<tool_call>")
    async with real_v1(tmp_path, toy, context_tokens=2048, kv_tokens=8192) as service:
        for choice in ("auto", "required", named("weather")):
            answer = await service.client.chat.completions.create(
                **asking(1, tools=tools_of(known), tool_choice=choice)
            )
            assert names_of(answer, known, "<tool_call>") or answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize("dialect", ["hermes", "llama31", "mistral"])
async def test_a_call_that_is_cut_is_not_told(dialect: str, tmp_path: Path) -> None:
    long = {"type": "object", "properties": {"x": {"const": "가" * 200}}, "required": ["x"]}
    async with real_v1(tmp_path, make_toy(tmp_path / "toy.gguf", specials=FAMILIES[dialect][0])) as service:
        answer = await service.client.chat.completions.create(
            **asking(1, tools=tools_of({"f": long}), tool_choice="required", max_tokens=40)
        )

    assert (answer.choices[0].finish_reason, answer.choices[0].message.tool_calls) == ("length", None)
    assert not answer.choices[0].message.content
