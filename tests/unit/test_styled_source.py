"""Answers held to rules: at most one more generation, whose tokens are ours, and a stream that takes nothing back."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from chatbot.core.agent.loop import AgentLoop
from chatbot.core.limits.estimate import Estimates
from chatbot.core.limits.metered import Metered
from chatbot.core.question import SourceEvent, Styled, ToolStep
from chatbot.core.style.checks import Rules
from chatbot.core.style.source import Stage, StyledSource
from chatbot.core.usage.meter import Meter, Priced
from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.errors import ChatError, EngineLost, PromptTooLong, TimedOut
from chatbot.domain.generation import (
    AnswerFormat,
    Backend,
    Finished,
    FinishReason,
    GenerationRequest,
    Sampling,
    TextPiece,
    Timings,
    Usage,
)
from chatbot.domain.style.rules import CharacterRepair, CharacterStyle, SentenceSuffix
from chatbot.domain.tools import ToolCall, ToolUse
from parts.calling_model import CallingModel, StubTool, asked_for, call, toolbox
from parts.fakes import ScriptedGenerator

RULES = Rules(
    CharacterStyle("ko", SentenceSuffix(("냥",), 0.8), 3, 80, ("AI 언어 모델",)), CharacterRepair(), "나비", "민준"
)
ENGLISH = ["Hello there, ", "my dear friend. ", "I am ", "a cat."]
KOREAN = ["어서 ", "와라냥. ", "반갑다", "냥."]
DIALOGUE = Dialogue("be a cat", (), (), Message("user", "안녕"))
REQUEST = GenerationRequest("r", DIALOGUE, Sampling(seed=7), 1e9)


@dataclass
class Counting:
    """Counts what it is told."""

    checks: Counter[tuple[str, str]] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    extra_tokens: int = 0
    held: list[float] = field(default_factory=list)

    def style_checked(self, service: str, check: str, outcome: str) -> None:
        self.checks[check, outcome] += 1

    def style_repaired(self, service: str, step: str, tokens: int) -> None:
        self.steps[step] += 1
        self.extra_tokens += tokens

    def text_held_back(self, service: str, seconds: float) -> None:
        self.held.append(seconds)


class Played:
    """One answer, as a pump hears it."""

    def __init__(
        self, *scripts: Sequence[Any], is_whole: bool = True, rules: Rules = RULES, backend: Backend = Backend.LLAMA
    ) -> None:
        self.model = ScriptedGenerator(*scripts)
        self.model.backend = backend
        self.metered = Metered(self.model, Meter(Priced("character"), backend), Estimates())
        self.told = Counting()
        stage = Stage("character", is_whole, True, "REMEMBER", self.metered, self.told, lambda: 0.0)
        self.source = StyledSource(self.metered, rules, stage)
        self.events: list[SourceEvent] = []

    async def answer(self, request: GenerationRequest = REQUEST) -> str:
        """The text that is shown."""
        async for event in self.source.generate(request):
            self.events.append(event)
        return self.text

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextPiece))

    @property
    def finished(self) -> Finished:
        assert isinstance(self.events[-1], Finished)
        return self.events[-1]

    @property
    def violations(self) -> tuple[str, ...]:
        (styled,) = (event for event in self.events if isinstance(event, Styled))
        return styled.violations


@pytest.mark.parametrize("is_whole", [True, False])
async def test_an_answer_in_the_wrong_language_is_made_once_more_and_nobody_sees_the_first(is_whole: bool) -> None:
    played = Played(ENGLISH, KOREAN, is_whole=is_whole)

    assert await played.answer() == "어서 와라냥. 반갑다냥."

    first, second = played.model.requests
    assert first == REQUEST
    assert second.dialogue.rounds == (Message("system", "REMEMBER"),)
    assert (second.sampling.seed, second.deadline) == (8, REQUEST.deadline)
    assert played.violations == ()
    assert played.told.checks["language", "repaired"] == 1
    assert played.told.steps == {"retry": 1}


@pytest.mark.parametrize("is_whole", [True, False])
async def test_what_was_made_again_is_billed_once_and_the_first_is_ours(is_whole: bool) -> None:
    played = Played(ENGLISH, KOREAN, is_whole=is_whole)

    await played.answer()

    meter = played.metered.meter
    assert played.finished.usage == meter.usage == Usage(7, 4)
    assert meter.ours.completion_tokens == (4 if is_whole else 2)
    assert meter.made.completion_tokens == meter.ours.completion_tokens + 4
    assert played.told.extra_tokens >= meter.ours.completion_tokens


async def test_what_others_bill_is_not_given_away() -> None:
    played = Played(ENGLISH, KOREAN, backend=Backend.OPENAI)

    await played.answer()

    assert played.metered.meter.usage == played.finished.usage == Usage(14, 8)


@pytest.mark.parametrize("is_whole", [True, False])
async def test_an_edit_costs_no_generation(is_whole: bool) -> None:
    played = Played(["어서 와라. ", "{{user}}", "은 좋다!"], is_whole=is_whole)

    assert await played.answer() == "어서 와라냥. 민준은 좋다냥!"
    assert len(played.model.requests) == 1
    assert played.told.steps == {"edit": 1}
    assert played.told.checks["suffix", "repaired"] == played.told.checks["markers", "repaired"] == 1
    assert played.finished.usage == Usage(7, 3)


@pytest.mark.parametrize("is_whole", [True, False])
async def test_an_answer_that_stays_wrong_is_accepted_and_says_so(is_whole: bool) -> None:
    played = Played(ENGLISH, is_whole=is_whole)

    text = await played.answer()

    assert text.startswith("Hello there, my dear friend")
    assert len(played.model.requests) == 2
    assert played.violations == ("language",)
    assert played.told.steps == {"retry": 1, "edit": 1, "accept": 1}
    assert played.told.checks["language", "violated"] == 1


async def test_a_second_attempt_that_is_worse_is_not_taken() -> None:
    played = Played(["Hello my dear friend냥."], ["저는 AI 언어 모델, and this is all in English."])

    assert await played.answer() == "Hello my dear friend냥."
    assert played.violations == ("language",)


async def test_an_answer_is_stopped_where_nothing_more_may_be_shown() -> None:
    for is_whole in (True, False):
        played = Played(["하나냥. ", "둘이냥. ", "셋이냥. ", "넷", "이냥. ", "다섯이냥."], is_whole=is_whole)

        assert await played.answer() == "하나냥. 둘이냥. 셋이냥."
        assert played.model.cancelled == 1
        assert played.finished.reason is FinishReason.STOP
        assert played.finished.usage.completion_tokens == 5
        assert played.model.active == 0


@pytest.mark.parametrize("error", [TimedOut("generation"), EngineLost("gone")])
async def test_a_whole_answer_stands_where_the_second_attempt_fails(error: ChatError) -> None:
    played = Played(ENGLISH, [error])

    assert (await played.answer()).startswith("Hello there")
    assert played.violations == ("language",)


async def test_a_stream_whose_second_attempt_fails_says_so_without_a_word() -> None:
    played = Played(ENGLISH, [TimedOut("generation")], is_whole=False)

    with pytest.raises(TimedOut):
        await played.answer()
    assert played.text == ""


async def test_an_engine_that_dies_makes_no_third_attempt() -> None:
    played = Played(ENGLISH, [EngineLost("gone")], ENGLISH, is_whole=False)
    with pytest.raises(EngineLost):
        await played.answer()

    await played.answer()

    assert len(played.model.requests) == 3
    assert played.violations == ("language",)


async def test_rules_that_have_no_room_in_the_prompt_are_not_told_again() -> None:
    played = Played(ENGLISH, KOREAN)
    played.model.refusal = PromptTooLong("system", 2_000, 1_000)

    assert await played.answer() == "어서 와라냥. 반갑다냥."
    assert played.model.requests[1].dialogue == DIALOGUE
    assert played.model.requests[1].sampling.seed == 8


@pytest.mark.parametrize("mode", ["off", "edit"])
async def test_a_character_that_is_not_to_be_asked_again_is_not(mode: Any) -> None:
    played = Played(ENGLISH, rules=replace(RULES, repair=CharacterRepair(mode)))

    text = await played.answer()

    assert len(played.model.requests) == 1
    assert "language" in played.violations
    assert (text == "".join(ENGLISH)) is (mode == "off")


async def test_answers_in_json_are_left_as_they_are() -> None:
    played = Played(['{"a": ', '"Hello"}'])
    request = replace(REQUEST, sampling=Sampling(format=AnswerFormat()))

    assert await played.answer(request) == '{"a": "Hello"}'
    assert not any(isinstance(event, Styled) for event in played.events)


@pytest.mark.parametrize("is_whole", [True, False])
async def test_calls_of_the_callers_tools_are_told_once(is_whole: bool) -> None:
    call = ToolCall("1", "weather", "{}")
    played = Played(["Let me look that up. ", call, Finished(FinishReason.TOOL_CALLS, Usage(7, 9), Timings())])
    request = replace(REQUEST, tools=ToolUse(()))

    await played.answer(request)

    assert [event for event in played.events if isinstance(event, ToolCall)] == [call]
    assert played.finished.reason is FinishReason.TOOL_CALLS
    assert len(played.model.requests) == 1


@pytest.mark.parametrize("is_whole", [True, False])
async def test_tools_are_not_run_again_for_an_answer_that_is_made_again(is_whole: bool) -> None:
    model = CallingModel.playing([call("look")], ["Hello there, my dear friend. "], ["일곱이다냥."])
    tool = StubTool()
    box, _ = toolbox(tool)
    metered = Metered(model, Meter(Priced("character"), Backend.LLAMA), Estimates())
    source = StyledSource(
        AgentLoop(box, metered, asked_for), RULES, Stage("character", is_whole, True, "REMEMBER", metered)
    )

    events = [event async for event in source.generate(REQUEST)]

    assert "".join(event.text for event in events if isinstance(event, TextPiece)) == "일곱이다냥."
    assert len(tool.runs) == 1
    assert [event.state for event in events if isinstance(event, ToolStep)] == ["started", "done"]
    assert len(model.requests) == 3
    assert [message.role for message in model.requests[-1].dialogue.rounds] == ["system", "assistant", "tool"]


async def test_a_generation_that_broke_off_has_no_end() -> None:
    class Torn(ScriptedGenerator):
        async def generate(self, request: GenerationRequest) -> Any:
            yield TextPiece("어서")

    played = Played()
    played.source = StyledSource(Torn(), RULES, Stage("character", False, True, "", played.metered))

    assert await played.answer() == ""
    assert played.events == []


async def test_the_pieces_of_a_stream_have_the_tokens_that_they_took() -> None:
    played = Played(KOREAN, is_whole=False)

    await played.answer()

    assert [event.tokens for event in played.events if isinstance(event, TextPiece)] == [2, 2]
    assert played.told.held == [0.0]
