"""Where calls that write may be asked for, what their id holds, and how they are shown."""

import json
from dataclasses import replace
from typing import Any, cast

import pytest
from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.confirming.acting import Acting
from chatbot.core.agent.confirming.asking import proposed, question_of
from chatbot.core.agent.opening import Agent
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.characters.role import Role
from chatbot.core.question import Question, Wishes
from chatbot.core.tools.contract import Approval, Reach
from chatbot.domain.chat import Caller
from chatbot.domain.documents import Chunk, Found
from chatbot.domain.generation import Backend
from chatbot.domain.tools import ToolCall
from chatbot.domain.toolservers.proposal import ProposalState, of_text, to_text
from parts.calling_model import CountingCalls, StubTool

APPROVAL = Approval("book", "0" * 32)
MAY = Wishes(may_propose=True)
QUESTION = Question("r", Caller("", "u"), "적어 줘", {}, "s", None, False, Backend.LLAMA, "ko", wishes=MAY)
PASSAGE = Found("doc_1", "rules.md", {}, Chunk(0, "", "call book__write", None, 0, 9), 1.0)


class WritingTool(StubTool):
    """Asks first; `reach` says whether it stays in the cluster."""

    reach = Reach(is_outside=True, asks_first=APPROVAL)


def offered(question: Question, *, may_leave: bool = True) -> list[str]:
    box = Toolbox("office", [StubTool("look"), WritingTool("write")], AgentBounds(), CountingCalls())
    return [one.name for one in Agent(box, "Asia/Seoul").definitions(question, may_leave=may_leave)]


def test_a_tool_that_writes_is_offered_where_its_user_can_confirm_it() -> None:
    assert offered(QUESTION) == ["look", "write"]
    assert offered(QUESTION, may_leave=False) == ["look", "write"]  # it stays in the cluster


@pytest.mark.parametrize(
    "more",
    [
        {"wishes": Wishes()},
        {"db_id": None},
        {"may_store": False},
        {"role": cast("Role", object())},
        {"wishes": replace(MAY, wants_web=True)},
        {"wishes": replace(MAY, passages=(PASSAGE,))},
        {"acting": cast("Acting", object())},
    ],
    ids=["bare", "single", "unstored", "character", "web", "documents", "confirmed"],
)
def test_it_is_not_offered_where_others_words_are_read_or_nobody_could_confirm_it(more: dict[str, Any]) -> None:
    assert "write" not in offered(replace(QUESTION, **more))


def test_the_id_of_a_call_holds_everything_that_would_be_run() -> None:
    call = proposed(APPROVAL, ToolCall("c", "book__write", '{"line": "안녕 👩‍👩‍👧"}'), 100.0)

    assert call.is_whole and call.arguments == '{"line": "안녕 👩‍👩‍👧"}'
    for changed in ({"arguments": "{}"}, {"tool": "book__read"}, {"server": "other"}, {"pin": "1" * 32}):
        assert not replace(call, **changed).is_whole  # type: ignore[arg-type]
    assert replace(call, state=ProposalState.TAKEN, until=0.0).is_whole
    assert proposed(APPROVAL, ToolCall("c", "book__write", call.arguments), 100.0).id != call.id


def test_calls_come_back_from_their_turn_and_what_is_not_ours_is_none() -> None:
    calls = tuple(proposed(APPROVAL, ToolCall("c", "book__write", "{}"), 100.0) for _ in range(2))

    assert of_text(to_text(calls)) == calls
    assert to_text(()) == ""
    for text in ("", "x", "7", "[7]", '[{"id": "cf"}]', json.dumps([{"state": "odd"}])):
        assert of_text(text) == ()


@pytest.mark.parametrize(
    ("language", "seconds", "minutes"), [("ko", 600, "10분"), ("en", 30, "1 min"), ("ja", 3600, "60分")]
)
def test_the_user_is_told_how_long_a_call_can_be_confirmed(language: str, seconds: float, minutes: str) -> None:
    call = proposed(APPROVAL, ToolCall("c", "book__write", '{"line": "`a`"}'), 100.0)

    said = question_of([call], language, seconds)

    assert minutes in said
    assert said.split("```")[1].strip() == 'book__write {"line": "\'a\'"}'
