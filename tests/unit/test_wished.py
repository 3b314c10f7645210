"""What a question may wish: where it stands in the prompt, and what it never replaces."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.loop import AgentLoop
from chatbot.core.agent.opening import LOCAL_TOOLS, Agent, built_in
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.answering.wished import dialogue_of, field_names
from chatbot.core.prompt import PromptTemplates
from chatbot.core.question import Question, Wishes
from chatbot.domain.chat import Caller, Message, Turn
from chatbot.domain.documents import Chunk, Found
from chatbot.domain.generation import Backend, GenerationRequest, Sampling
from parts.calling_model import CountingCalls, StubTool
from parts.fakes import ScriptedGenerator

QUESTION = Question("r", Caller("", "u"), "12*12는?", {}, "s", None, False, Backend.LLAMA, "ko", text_field="message")
TEMPLATES = PromptTemplates("Be kind.")
TURNS = tuple(Turn(str(n), f"q{n}", f"a{n}", datetime(2026, 7, 21, tzinfo=UTC)) for n in range(3))
PASSAGE = Found("doc_1", "rules.md", {"title": "규정"}, Chunk(0, "휴가", "연차는\u200b 15일이다.", None, 0, 9), 1.0)


def wishing(**wishes: object) -> Question:
    return replace(QUESTION, wishes=Wishes(**wishes))  # type: ignore[arg-type]


def test_without_wishes_the_prompt_is_the_prompt_files() -> None:
    assert dialogue_of(TEMPLATES, QUESTION, TURNS) == TEMPLATES.dialogue({}, TURNS, "12*12는?")


def test_a_role_and_notes_stand_behind_our_prompt_and_never_replace_it() -> None:
    made = dialogue_of(TEMPLATES, wishing(role="Be a pirate.", notes=("likes\ntea\u202e",), language="ja"), TURNS)

    first, role, notes, language = made.system.split("\n\n")
    assert (first, role, language) == ("Be kind.", "Be a pirate.", "Answer in Japanese.")
    assert notes.splitlines()[1:] == ["- likes tea"]


def test_given_history_takes_the_place_of_the_stored_turns() -> None:
    given = (Message("user", "x"), Message("assistant", "y"))

    assert dialogue_of(TEMPLATES, wishing(history=given), TURNS).history == given
    assert dialogue_of(TEMPLATES, wishing(history=()), TURNS).history == ()


@pytest.mark.parametrize(("turns", "first"), [(0, None), (1, "q2"), (3, "q0"), (9, "q0"), (None, "q0")])
def test_so_many_turns_are_recalled(turns: int | None, first: str | None) -> None:
    history = dialogue_of(TEMPLATES, wishing(recalled_turns=turns), TURNS).history

    assert (history[0].content if history else None) == first


def test_passages_are_quoted_before_the_question_and_the_instruction_is_ours() -> None:
    made = dialogue_of(TEMPLATES, wishing(passages=(PASSAGE,), passage_characters=300), ())

    lines = made.question.content.splitlines()
    assert lines[0] == lines[-2] and lines[0].startswith("=== ")
    assert lines[1:-2] == ["[1] 규정 > 휴가", "연차는 15일이다."]
    assert lines[-1] == "Question: 12*12는?"
    assert made.system.startswith("Be kind.\n\nAnswer the question from the numbered sources")
    assert made.may_shorten


@pytest.mark.parametrize(
    ("wishes", "fields", "field"),
    [
        ({}, {}, "message"),
        ({}, {"context": ""}, "context"),
        ({"role": "long role"}, {"context": "c"}, "role"),
        ({"role": "r"}, {"context": "long context"}, "context"),
        ({"role": "r", "notes": ("a", "bc")}, {}, "memory_context"),
    ],
)
def test_a_prompt_that_does_not_fit_names_the_longest_field(
    wishes: dict[str, object], fields: dict[str, str], field: str
) -> None:
    names = field_names(replace(wishing(**wishes), fields=fields))

    assert (names["system"], names["question"]) == (field, "message")


def agent(*more: StubTool) -> Agent:
    return Agent(Toolbox("office", (*built_in(), *more), AgentBounds(), CountingCalls()), "Asia/Seoul")


async def offered(question: Question) -> list[str]:
    """Names of the tools that the model is told of."""
    model = ScriptedGenerator(["x"])
    request = GenerationRequest("r", TEMPLATES.dialogue({}, (), question.text), Sampling(), 1e9)
    source = agent(StubTool()).source(question, model)
    assert isinstance(source, AgentLoop | ScriptedGenerator)
    [_ async for _ in source.generate(request)]
    told = model.requests[0].tools
    return [each.name for each in told.definitions] if told else []


async def test_tools_are_those_that_were_wished_for() -> None:
    assert await offered(QUESTION) == [*LOCAL_TOOLS, "look"]
    assert await offered(wishing(tools=frozenset({"look", "calculate"}))) == ["calculate", "look"]
    assert await offered(wishing(tools=frozenset())) == []


async def test_beside_a_users_documents_no_tool_can_be_called_that_may_ask_outside() -> None:
    assert await offered(wishing(passages=(PASSAGE,))) == [*LOCAL_TOOLS]
    assert await offered(wishing(passages=(PASSAGE,), tools=frozenset({"look"}))) == []


async def test_a_tool_that_was_not_wished_for_answers_nothing_by_itself() -> None:
    alone = await agent().alone(QUESTION)

    assert alone is not None and "144" in alone.text
    assert await agent().alone(wishing(tools=frozenset())) is None
    assert await agent().alone(wishing(tools=frozenset({"fortune"}))) is None


async def test_a_tool_that_keeps_failing_is_left_alone_whoever_asks_for_it() -> None:
    box = Toolbox("office", built_in(), AgentBounds(), CountingCalls())

    fewer = box.only(["calculate"])

    assert fewer._breakers is box._breakers
    assert [each.name for each in box.definitions] == [*LOCAL_TOOLS]
