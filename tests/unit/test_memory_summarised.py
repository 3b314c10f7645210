"""What a summary covers and what a model is asked for it, by generated conversations; and a history of 10,000 turns."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chatbot.core.history import History
from chatbot.core.memory.summarised import (
    KEPT_TURNS,
    asked_room,
    dialogue_of,
    is_full_by_bytes,
    planned,
    refused,
    summary_tokens,
    told_whole,
    uncovered,
)
from chatbot.core.memory.summarising import Maker, Summariser, SummaryPolicy
from chatbot.core.question import Question, Wishes
from chatbot.core.waiting.spare import Spare
from chatbot.domain.chat import Caller, Conversation, ConversationKey, Dialogue, Message, Turn
from chatbot.domain.errors import EngineLost, ModelUnavailable, StoreUnavailable
from chatbot.domain.generation import Backend, Finished, FinishReason, GenerationRequest, Sampling, Timings, Usage
from chatbot.domain.memory.summary import Summary
from chatbot.llm.dialogue_frames import dialogue_frame
from chatbot.llm.engine.text.prompt_ids import DialogueTooLong
from hypothesis import given
from hypothesis import strategies as st
from parts.byte_prompts import builder
from parts.fakes import CountingTelemetry, MemoryStore
from parts.writing_model import WritingModel

START = datetime(2026, 11, 22, tzinfo=UTC)
CALLER = Caller("", "u")
KEY = ConversationKey("office", CALLER, "c")
END = Finished(FinishReason.STOP, Usage(0, 0), Timings())
QUESTION = Question("r", CALLER, "질문", {}, "c", None, local_only=False, backend=Backend.LLAMA, language="ko")
TEXTS = st.sampled_from(["", "짧다", "x" * 300, "가" * 500, "🙂" * 900, "\u202e" * 99, "l" * 9_000])


def turn(number: int, question: str, answer: str = "") -> Turn:
    return Turn(f"t{number}", question, answer, START + timedelta(seconds=number))


def summary(last: Turn, text: str = "요약") -> Summary:
    return Summary(text, "t0", last.turn_id, last.at, 1, "toy@0", START)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    pairs = draw(st.lists(st.tuples(TEXTS, TEXTS), max_size=30))
    turns = tuple(turn(number, *pair) for number, pair in enumerate(pairs))
    covered = draw(st.sampled_from([None, *turns]))
    gone = draw(st.sampled_from([None, turn(99, "gone")]))
    made = summary(covered or gone, "요" * draw(st.integers(1, 400))) if covered or gone else None  # type: ignore[arg-type]
    return Conversation(KEY, turns=turns, summary=made)


@given(read=conversations(), context_tokens=st.sampled_from([256, 1_024, 8_192, 131_072]))
def test_a_plan_goes_on_where_the_summary_ends_and_never_covers_the_newest(
    read: Conversation, context_tokens: int
) -> None:
    left, plan = uncovered(read), planned(read, context_tokens)

    assert left == read.turns[len(read.turns) - len(left) :]
    if plan is None:
        assert len(left) <= KEPT_TURNS
        return
    assert plan.covered == left[: len(plan.covered)] and plan.covered
    assert len(plan.covered) <= len(left) - KEPT_TURNS
    assert plan.before == read.summary
    dialogue = dialogue_of(plan, context_tokens)
    asked, tokens = dialogue.question.content, summary_tokens(context_tokens)
    assert "\u202e" not in asked and "t0" not in asked
    assert len(asked.splitlines()) == 3 + 2 * len(plan.covered) + (plan.before is not None)
    assert 48 <= tokens <= 512
    for text, reason in (("", "empty"), ("x" * (plan.size_bytes + 1), "too_long"), ("y" * 9_000, "too_long")):
        assert refused(text, END, plan) == reason
    assert refused("x", replace(END, reason=FinishReason.LENGTH), plan) == "cut"


def request_of(turns: list[Turn], system: str = "Be kind.") -> GenerationRequest:
    dialogue = Dialogue(system, (), (), Message("user", "질문"))
    return told_whole(GenerationRequest("r", dialogue, Sampling(), 0.0), Conversation(KEY, turns=tuple(turns)))


@pytest.mark.parametrize("context_tokens", [4_096, 8_192, 131_072])
def test_what_is_full_is_60_percent_of_the_room_for_turns(context_tokens: int) -> None:
    room = context_tokens - min(1_024, context_tokens // 2) - len("Be kind.질문".encode()) // 2
    size = context_tokens // 64  # of a turn, with what stands around its two messages
    turns = [turn(number, "x" * (size - 32)) for number in range(room * 2 // size)]

    full = [count for count in range(len(turns)) if is_full_by_bytes(request_of(turns[:count]), context_tokens)]
    sure = [count for count in range(len(turns)) if asked_room(request_of(turns[:count]), context_tokens) is None]

    assert full == list(range(full[0], len(turns)))
    assert full[0] * size == pytest.approx(room * 0.6 * 2, abs=size + 20)  # two bytes a token
    assert sure[-1] * size == pytest.approx(room * 0.6, abs=size + 20)  # one at the least
    asked = asked_room(request_of(turns), context_tokens)
    assert asked is not None and asked.max_tokens == pytest.approx(context_tokens - room * 0.6, abs=20)


@given(
    context_tokens=st.integers(600, 4_096),
    sizes=st.lists(st.integers(1, 300), max_size=30),
    system=st.sampled_from(["Be kind.", "Be kind. " * 20]),
)
def test_the_engine_says_full_where_the_turns_take_60_percent_of_what_it_leaves_them(
    context_tokens: int, sizes: list[int], system: str
) -> None:
    request = request_of([turn(number, "x" * size, "y" * size) for number, size in enumerate(sizes)], system)
    asked = asked_room(request, context_tokens)
    room = context_tokens - min(1_024, context_tokens // 2) - len((system + "질문").encode()) // 2
    used = sum(2 * size + 4 for size in sizes)
    around = 8 + len((system + "질문").encode()) // 2  # what is guessed of what is never dropped
    try:
        sampling: Any = {"max_tokens": asked.max_tokens if asked is not None else 1}
        builder(context_tokens).build(dialogue_frame(request.dialogue), sampling)
    except DialogueTooLong:
        assert asked is not None and used >= 0.6 * room - around
    else:
        assert used <= 0.6 * room + around


class Told:
    """Counts tries."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def summary_ended(self, service: str, outcome: str, prompt_tokens: int, completion_tokens: int) -> None:
        self.outcomes.append(outcome)


class House:
    """A summariser over a dictionary."""

    def __init__(self, model: WritingModel | None = None, **policy: Any) -> None:
        self.model, self.store, self.told, self.spare = model or WritingModel(), MemoryStore(), Told(), Spare()
        self.spare.set_room(1)
        history = History("office", self.store, CountingTelemetry(), refuses_when_down=True)
        makers = {Backend.LLAMA: Maker(self.model, self.spare)}
        self.summaries = Summariser("office", history, makers, self.told, SummaryPolicy(**policy))

    def keep(self, turns: list[Turn], db_id: str = "c") -> None:
        key = replace(KEY, db_id=db_id)
        self.store.conversations[key] = Conversation(key, turns=tuple(turns))

    async def consider(self, db_id: str = "c", wishes: Wishes = Wishes()) -> None:  # noqa: B008 - frozen
        turns = list(self.store.conversations[replace(KEY, db_id=db_id)].turns)[-200:]
        self.summaries.consider(replace(QUESTION, db_id=db_id, wishes=wishes), request_of(turns), Backend.LLAMA)


async def test_a_history_of_10000_turns_is_taken_in_a_few_at_a_time() -> None:
    house = House(rounds=4)
    house.keep([turn(number, f"{number} " + "가" * 100, "네") for number in range(10_000)])
    for _ in range(3):
        await house.consider()
        await house.summaries.idle()

    made = house.store.conversations[KEY].summary
    assert house.told.outcomes == ["made"] * 12
    assert made is not None and made.first == "t0" and 12 <= made.turns < 10_000
    assert made.last == f"t{made.turns - 1}"
    assert max(len(one.dialogue.question.content.encode()) for one in house.model.wanted) < house.model.context_tokens


async def test_what_the_model_cannot_read_at_once_is_halved() -> None:
    house = House(WritingModel(context_tokens=2_048))
    house.keep([turn(number, "가" * 120) for number in range(12)])
    await house.consider()
    await house.summaries.idle()

    sizes = [one.dialogue.question.content.count("\nUser: ") for one in house.model.wanted]
    made = house.store.conversations[KEY].summary
    assert made is not None and made.turns == sum(sizes) >= 1
    assert set(house.told.outcomes) == {"made"}


@pytest.mark.parametrize(
    ("error", "tries"),
    [(StoreUnavailable("x"), 5), (ModelUnavailable("x"), 5), (EngineLost("x"), 3), (ValueError("x"), 3)],
    ids=lambda one: type(one).__name__,
)
async def test_what_may_be_the_conversations_fault_is_tried_three_times(error: Exception, tries: int) -> None:
    house = House()
    house.keep([turn(number, "가" * 300) for number in range(8)])

    class Failing(WritingModel):
        async def generate(self, request: GenerationRequest) -> Any:
            self.wanted.append(request)
            raise error
            yield

    house.model = Failing()
    house.summaries._makers = {Backend.LLAMA: Maker(house.model, house.spare)}
    for _ in range(5):
        await house.consider()
        await house.summaries.idle()

    assert house.told.outcomes == ["failed"] * tries


async def test_only_so_many_wait_and_each_conversation_once() -> None:
    house = House(most_waiting=2)
    house.spare.set_room(0)
    for name in "abcd":
        house.keep([turn(number, "가" * 300) for number in range(8)], name)
        for _ in range(2):
            await house.consider(name)
    assert house.told.outcomes == ["dropped"] * 4
    house.spare.set_room(1)
    await house.summaries.idle()

    assert set(house.told.outcomes[4:]) == {"made"}
    assert [name for name in "abcd" if house.store.conversations[replace(KEY, db_id=name)].summary] == ["a", "b"]


async def test_one_that_gives_way_comes_back_a_bounded_number_of_times() -> None:
    house = House(tries=3)
    house.keep([turn(number, "가" * 300) for number in range(8)])
    house.model.waits.clear()
    await house.consider()
    for count in range(1, 4):
        while len(house.model.wanted) < count:
            await loop_turn()
        house.spare.set_room(0)
        while house.model.running:
            await loop_turn()
        house.spare.set_room(1)
    await house.summaries.idle()

    assert house.told.outcomes == ["gave_way"] * 3
    assert house.store.conversations[KEY].summary is None


async def loop_turn() -> None:
    """One turn of the loop."""
    await asyncio.sleep(0)


async def test_an_erased_user_has_nothing_made() -> None:
    house = House()
    house.keep([turn(number, "가" * 300) for number in range(8)])
    house.model.waits.clear()
    await house.consider()
    while not house.model.running:
        await loop_turn()
    house.summaries.give_up(lambda tenant, user: (tenant, user) == ("", "v"))
    assert house.model.running
    house.summaries.give_up(lambda tenant, user: (tenant, user) == ("", "u"))
    await house.summaries.idle()

    assert not house.model.running and house.store.conversations[KEY].summary is None


async def test_a_short_conversation_costs_not_even_a_look() -> None:
    house = House()
    house.keep([turn(number, "짧다") for number in range(8)])
    await house.consider()
    await house.consider(wishes=Wishes(recalled_turns=0))

    assert (house.store.calls, house.told.outcomes) == ([], [])
