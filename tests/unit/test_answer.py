"""A question's way to its answer, over fakes and in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps

import pytest
from chatbot.core.admission import Admission, AdmissionPolicy
from chatbot.core.answering.answerer import Answerer
from chatbot.core.answering.delivery import MAX_UNREAD_BYTES
from chatbot.core.answering.pump import Answer
from chatbot.core.answering.routes import AnswerPolicy, BackendRoute
from chatbot.core.history import History
from chatbot.core.prompt import PromptTemplates
from chatbot.core.question import Done, Exchange, Question, Queued
from chatbot.domain.chat import Caller, Dialogue, Message
from chatbot.domain.errors import (
    BackendUnavailable,
    Busy,
    ChatError,
    ConversationErased,
    EngineLost,
    InvalidInput,
    ModelUnavailable,
    PromptTooLong,
    StoreUnavailable,
    TimedOut,
    TurnReused,
)
from chatbot.domain.generation import Backend, FinishReason, Sampling, TextPiece
from chatbot.domain.model import Capacity
from parts.fakes import CountingTelemetry, MemoryStore, ScriptedGenerator
from parts.virtual_time import run_virtual

QUESTION = Question("r1", Caller("", "u"), "안녕하세요!", {}, None, None, False, Backend.LLAMA, "ko")
IN_CONVERSATION = replace(QUESTION, db_id="c1", turn_id="t1")


class House:
    """One service over fakes: local model with one slot, and the second backend."""

    def __init__(self, *, when_down: str = "refuse", may_fall_back: bool = False) -> None:
        self.clock = asyncio.get_running_loop().time
        self.telemetry = CountingTelemetry()
        self.store = MemoryStore()
        self.local, self.remote = ScriptedGenerator(), ScriptedGenerator(["from afar"])
        self.line = self.admission(AdmissionPolicy(60, 8))
        self.history = History(
            "office", self.store, self.telemetry, refuses_when_down=when_down == "refuse", clock=self.clock
        )
        self.routes = {
            Backend.LLAMA: BackendRoute(self.local, self.line, PromptTemplates("be kind")),
            Backend.OPENAI: BackendRoute(self.remote, self.admission(AdmissionPolicy(60, 8)), PromptTemplates("kind")),
        }
        policy = AnswerPolicy(60.0, 30.0, Sampling(), may_fall_back)
        self.answerer = Answerer("office", self.routes, self.history, policy, self.telemetry, clock=self.clock)

    def admission(self, policy: AdmissionPolicy) -> Admission:
        return Admission(policy, Capacity(1, True), self.telemetry, clock=self.clock)

    async def ask(self, question: Question = QUESTION) -> Done:
        answer = await self.answerer.open(question)
        try:
            return await answer.collect()
        finally:
            await answer.close()

    async def turns(self) -> list[tuple[str, str]]:
        kept = await self.store.load(self.history.key(QUESTION.caller, "c1"))
        return [(turn.question, turn.answer) for turn in kept.turns]

    def is_free(self) -> bool:
        line = self.line.line("office")
        return (line.depth, line.running, self.local.active) == (0, 0, 0)


def in_virtual_time(scene: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    @wraps(scene)
    def test() -> None:
        async def play() -> None:
            await scene()

        run_virtual(play())

    del test.__wrapped__
    return test


async def texts(answer: Answer) -> str:
    return "".join([event.text async for event in answer.events() if isinstance(event, TextPiece)])


@in_virtual_time
async def test_streams_pieces_and_ends_with_the_whole_text() -> None:
    house = House()
    house.local.scripts = [["안", 1.0, "녕", 1.0, "!"]]

    answer = await house.answerer.open(QUESTION)
    events = [event async for event in answer.events()]

    assert [event.text for event in events if isinstance(event, TextPiece)] == ["안", "녕", "!"]
    assert isinstance(events[-1], Done)
    assert (events[-1].text, events[-1].finish_reason, events[-1].history_saved) == ("안녕!", FinishReason.STOP, None)
    assert (events[-1].usage.prompt_tokens, events[-1].usage.completion_tokens) == (7, 3)
    assert answer.backend is Backend.LLAMA
    assert house.telemetry.ended == [("office", FinishReason.STOP, 7, 3)]
    assert house.telemetry.first_tokens == [0.0]
    assert house.telemetry.inter_tokens == [pytest.approx(1.0)] * 2
    assert house.is_free()


@in_virtual_time
async def test_waiting_request_is_told_its_place_and_its_time_in_the_line() -> None:
    house = House()
    house.local.scripts = [[15.0, "slow"], ["fast"]]
    first = await house.answerer.open(QUESTION)

    second = await house.answerer.open(QUESTION)
    events = [event async for event in second.events()]

    assert [event.position for event in events if isinstance(event, Queued)] == [1, 1, 0]
    assert isinstance(events[-1], Done)
    assert events[-1].timings.queue_seconds == pytest.approx(15.0, abs=0.01)
    assert house.telemetry.first_tokens[-1] == pytest.approx(15.0, abs=0.01)
    await first.close()


@in_virtual_time
async def test_generation_gets_its_own_time_from_the_dispatch() -> None:
    house = House()
    house.local.scripts = [[15.0, "slow"], ["fast"]]
    began = house.clock()
    await house.answerer.open(QUESTION)

    await house.ask()

    assert [request.deadline - began for request in house.local.requests] == [30.0, pytest.approx(45.0, abs=0.01)]


@in_virtual_time
async def test_conversation_is_read_before_and_stored_before_the_end() -> None:
    house = House()
    house.local.scripts = [["one"], ["two"]]

    first = await house.ask(IN_CONVERSATION)
    second = await house.ask(replace(IN_CONVERSATION, text="또?", turn_id="t2"))

    assert (first.history_saved, second.history_saved) == (True, True)
    assert await house.turns() == [("안녕하세요!", "one"), ("또?", "two")]
    assert [m.content for m in house.local.requests[1].dialogue.history] == ["안녕하세요!", "one"]
    assert ("append", "ok") in house.telemetry.stored


@in_virtual_time
async def test_repeated_turn_gets_the_stored_answer_without_generating() -> None:
    house = House()
    house.local.scripts = [["one"], ["another"]]
    await house.ask(IN_CONVERSATION)
    house.line.set_capacity(Capacity(1, False, None))

    again = await house.ask(IN_CONVERSATION)
    streamed = await texts(await house.answerer.open(IN_CONVERSATION))

    assert (again.text, streamed, again.history_saved) == ("one", "one", True)
    assert len(house.local.requests) == 1


@in_virtual_time
async def test_repeated_turn_id_with_another_question_is_refused() -> None:
    house = House()
    await house.ask(IN_CONVERSATION)

    with pytest.raises(TurnReused):
        await house.answerer.open(replace(IN_CONVERSATION, text="something else"))

    assert house.is_free()


@in_virtual_time
async def test_turn_without_an_id_of_the_caller_is_always_new() -> None:
    house = House()

    for _ in range(2):
        await house.ask(replace(IN_CONVERSATION, turn_id=None))

    assert len(await house.turns()) == 2


@in_virtual_time
async def test_two_at_once_with_one_turn_id_get_one_stored_answer() -> None:
    house = House()
    house.line.set_capacity(Capacity(2, True))
    house.local.scripts = [[1.0, "one"], [2.0, "two"]]

    done = await asyncio.gather(house.ask(IN_CONVERSATION), house.ask(IN_CONVERSATION))

    assert [answer.text for answer in done] == ["one", "one"]
    assert await house.turns() == [("안녕하세요!", "one")]


@in_virtual_time
async def test_erased_conversation_is_not_resurrected() -> None:
    house = House()
    house.local.scripts = [[5.0, "too late"]]
    answer = await house.answerer.open(IN_CONVERSATION)
    await house.history.erase(house.history.key(QUESTION.caller, "c1"))

    with pytest.raises(ConversationErased):
        await answer.collect()

    assert await house.turns() == []
    assert ("append", "conflict") in house.telemetry.stored


@in_virtual_time
async def test_refuses_within_3_s_while_history_is_down() -> None:
    house = House()
    house.store.slow_seconds = 100.0
    began = house.clock()

    with pytest.raises(StoreUnavailable):
        await house.answerer.open(IN_CONVERSATION)

    assert house.clock() - began <= 3.01
    assert house.telemetry.stored == [("load", "unavailable")]


@in_virtual_time
async def test_answers_without_history_where_that_is_allowed() -> None:
    house = House(when_down="answer")
    house.store.down = True

    done = await house.ask(IN_CONVERSATION)

    assert (done.text, done.history_saved) == ("안녕하세요", False)
    assert house.store.calls == ["load"]


@in_virtual_time
async def test_answer_is_not_lost_when_storing_fails_and_that_is_allowed() -> None:
    house = House(when_down="answer")
    house.local.scripts = [[1.0, "text"]]
    answer = await house.answerer.open(IN_CONVERSATION)
    house.store.down = True

    assert await answer.collect() == pytest.approx(await answer.collect())
    assert (await answer.collect()).history_saved is False


@in_virtual_time
async def test_storing_is_tried_twice_where_history_must_be_kept() -> None:
    house = House()
    house.local.scripts = [[1.0, "text"]]
    answer = await house.answerer.open(IN_CONVERSATION)
    house.store.failures = 1

    done = await answer.collect()

    assert done.history_saved
    assert house.store.calls == ["load", "append", "append"]


@in_virtual_time
async def test_answer_that_cannot_be_stored_ends_with_the_reason() -> None:
    house = House()
    house.local.scripts = [["text", 1.0]]
    answer = await house.answerer.open(IN_CONVERSATION)
    house.store.down = True

    with pytest.raises(StoreUnavailable):
        await texts(answer)

    assert house.is_free()


@in_virtual_time
async def test_slot_is_free_while_the_turn_is_stored() -> None:
    house = House()
    answer = await house.answerer.open(IN_CONVERSATION)
    house.store.slow_seconds = 2.0
    await asyncio.sleep(1.0)

    assert house.is_free()
    assert (await answer.collect()).history_saved


@in_virtual_time
async def test_prompt_that_never_fits_takes_no_place_and_names_the_callers_field() -> None:
    house = House()
    house.local.refusal = PromptTooLong("system", 5000, 1024)

    with pytest.raises(PromptTooLong) as refused:
        await house.answerer.open(replace(QUESTION, fields={"context": "long"}))

    assert refused.value.field == "context"
    assert house.telemetry.left == []


@in_virtual_time
async def test_prompt_found_too_long_later_names_the_callers_field() -> None:
    house = House()
    house.local.scripts = [[PromptTooLong("question", 5000, 1024)]]

    with pytest.raises(PromptTooLong) as refused:
        await house.ask()

    assert refused.value.field == "input_data"


@in_virtual_time
async def test_line_that_is_too_long_refuses_before_anything_is_sent() -> None:
    house = House()
    house.local.scripts = [[25.0, "slow"]]
    house.store.calls.clear()
    answers = [await house.answerer.open(replace(QUESTION, caller=Caller("", f"u{n}"))) for n in range(9)]

    with pytest.raises(Busy):
        await house.answerer.open(QUESTION)

    for answer in answers:
        await answer.close()
    assert house.is_free()


@in_virtual_time
async def test_request_whose_deadline_passes_in_the_line_ends_with_that() -> None:
    house = House()
    house.local.scripts = [[1000.0]]
    running = await house.answerer.open(QUESTION)
    waiting = await house.answerer.open(QUESTION)

    with pytest.raises(TimedOut) as timed_out:
        await waiting.collect()

    assert timed_out.value.phase == "queue"
    assert house.telemetry.outcomes() == ["dispatched", "expired"]
    await running.close()


@in_virtual_time
async def test_generation_is_tried_once_more_when_the_engine_died_before_any_text() -> None:
    house = House()
    house.local.scripts = [[2.0, EngineLost()], ["again"]]

    streamed = await texts(await house.answerer.open(QUESTION))

    first, second = house.local.requests
    assert streamed == "again"
    assert first.deadline == second.deadline
    assert house.telemetry.ended == [("office", FinishReason.STOP, 7, 1)]
    assert house.telemetry.outcomes() == ["dispatched"]


@in_virtual_time
async def test_stream_that_began_ends_with_an_error_when_the_engine_dies() -> None:
    house = House()
    house.local.scripts = [["half", 2.0, EngineLost()], ["again"]]
    seen = []

    with pytest.raises(EngineLost):
        async for event in (await house.answerer.open(QUESTION)).events():
            seen.append(event)

    assert seen == [Queued(0, 0.0), TextPiece("half")]
    assert house.telemetry.ended == [("office", "error", 0, 0)]
    assert house.is_free()


@in_virtual_time
async def test_answer_that_is_collected_begins_anew_even_after_text() -> None:
    house = House()
    house.local.scripts = [["half", 2.0, EngineLost()], ["whole"]]

    assert (await house.ask()).text == "whole"


@in_virtual_time
async def test_engine_that_dies_twice_is_an_error() -> None:
    house = House()
    house.local.scripts = [[EngineLost()]]

    with pytest.raises(EngineLost):
        await house.ask()

    assert len(house.local.requests) == 2
    assert house.is_free()


@in_virtual_time
async def test_generation_that_stops_without_an_end_never_looks_complete() -> None:
    house = House()

    async def cut_off(request: object):  # type: ignore[no-untyped-def]
        yield TextPiece("half")

    house.local.generate = cut_off  # type: ignore[method-assign]

    with pytest.raises(EngineLost):
        await house.ask()


@in_virtual_time
async def test_unknown_error_reaches_the_reader_and_frees_the_slot() -> None:
    house = House()
    house.local.scripts = [["half", ZeroDivisionError()]]

    with pytest.raises(ZeroDivisionError):
        await house.ask()

    assert house.is_free()


@pytest.mark.parametrize("seconds", [None, 0.0, 0.5, 1.5, 2.5])
def test_client_that_leaves_frees_everything_at_once(seconds: float | None) -> None:
    async def scene() -> None:
        house = House()
        house.local.scripts = [[1.0, "a", 1.0, "b", 1.0, "c"]]
        answer = await house.answerer.open(QUESTION)
        if seconds is not None:
            await asyncio.sleep(seconds)
        began = house.clock()

        await answer.close()
        await answer.close()

        assert house.is_free()
        assert house.clock() == began
        assert house.telemetry.outcomes() == ["dispatched"]
        assert [ended[1] for ended in house.telemetry.ended] == ([] if seconds is None else ["cancelled"])
        await house.answerer.idle()

    run_virtual(scene())


@in_virtual_time
async def test_client_that_leaves_the_line_gives_its_place_before_the_first_wait() -> None:
    house = House()
    house.local.scripts = [[100.0]]
    running = await house.answerer.open(QUESTION)
    waiting = await house.answerer.open(QUESTION)
    await asyncio.sleep(3.0)

    closing = asyncio.create_task(waiting.close())
    await asyncio.sleep(0)

    assert house.line.line("office").depth == 0
    await closing
    assert house.telemetry.outcomes() == ["dispatched", "client_gone"]
    assert len(house.local.requests) == 1
    await running.close()


@in_virtual_time
async def test_turn_is_stored_whole_when_the_client_leaves_meanwhile() -> None:
    house = House()
    answer = await house.answerer.open(IN_CONVERSATION)
    house.store.slow_seconds = 2.0
    await asyncio.sleep(1.0)

    await answer.close()
    await house.answerer.idle()

    assert await house.turns() == [("안녕하세요!", "안녕하세요")]


@in_virtual_time
async def test_slow_reader_holds_no_slot() -> None:
    house = House()
    house.local.scripts = [["x"] * 1000]
    answer = await house.answerer.open(QUESTION)

    await asyncio.sleep(1.0)

    assert house.is_free()
    assert await texts(answer) == "x" * 1000


@in_virtual_time
async def test_reader_that_takes_nothing_is_given_up() -> None:
    house = House()
    house.local.scripts = [["가" * 1000] * 1000]
    answer = await house.answerer.open(QUESTION)
    await asyncio.sleep(1.0)

    with pytest.raises(TimedOut):
        await texts(answer)

    assert house.is_free()
    assert [ended[1] for ended in house.telemetry.ended] == ["cancelled"]
    assert house.telemetry.ended[0][3] <= MAX_UNREAD_BYTES / 3000 + 1


@in_virtual_time
async def test_long_answer_that_is_collected_is_not_given_up() -> None:
    house = House()
    house.local.scripts = [["가" * 1000] * 1000]

    assert len((await house.ask()).text) == 1_000_000


@in_virtual_time
async def test_model_that_is_away_is_not_replaced_unless_that_is_allowed() -> None:
    house = House()
    house.line.set_capacity(Capacity(1, False, None))

    with pytest.raises(ModelUnavailable):
        await house.answerer.open(QUESTION)

    assert house.remote.requests == []


@pytest.mark.parametrize("opens_in", [None, 90.0])
def test_second_backend_answers_while_no_local_model_serves(opens_in: float | None) -> None:
    async def scene() -> None:
        house = House(may_fall_back=True)
        house.line.set_capacity(Capacity(1, False, opens_in))

        answer = await house.answerer.open(QUESTION)

        assert answer.backend is Backend.OPENAI
        assert (await answer.collect()).text == "from afar"

    run_virtual(scene())


@in_virtual_time
async def test_busy_model_is_not_replaced() -> None:
    house = House(may_fall_back=True)
    house.local.scripts = [[25.0]]
    answers = [await house.answerer.open(replace(QUESTION, caller=Caller("", f"u{n}"))) for n in range(9)]

    with pytest.raises(Busy):
        await house.answerer.open(QUESTION)

    for answer in answers:
        await answer.close()


@in_virtual_time
async def test_first_refusal_is_told_when_the_second_backend_refuses_too() -> None:
    house = House(may_fall_back=True)
    house.line.set_capacity(Capacity(1, False, None))
    house.remote.refusal = BackendUnavailable("breaker is open")

    with pytest.raises(ModelUnavailable):
        await house.answerer.open(QUESTION)


@in_virtual_time
async def test_local_conversation_never_leaves_the_house() -> None:
    house = House(may_fall_back=True)
    await house.ask(replace(IN_CONVERSATION, local_only=True))
    house.line.set_capacity(Capacity(1, False, None))
    later = replace(IN_CONVERSATION, turn_id="t2")

    with pytest.raises(ModelUnavailable):
        await house.answerer.open(later)
    with pytest.raises(InvalidInput) as refused:
        await house.answerer.open(replace(later, backend=Backend.OPENAI))

    assert refused.value.field == "local_only"
    assert house.remote.requests == []


@in_virtual_time
async def test_question_alone_may_be_local_only() -> None:
    house = House(may_fall_back=True)
    house.line.set_capacity(Capacity(1, False, None))

    with pytest.raises(ModelUnavailable):
        await house.answerer.open(replace(QUESTION, local_only=True))

    assert house.remote.requests == []


@in_virtual_time
async def test_conversation_of_unknown_past_never_leaves_the_house() -> None:
    house = House(may_fall_back=True, when_down="answer")
    house.store.down = True

    with pytest.raises(StoreUnavailable):
        await house.answerer.open(replace(IN_CONVERSATION, backend=Backend.OPENAI))
    house.line.set_capacity(Capacity(1, False, None))
    with pytest.raises(ModelUnavailable):
        await house.answerer.open(IN_CONVERSATION)

    assert house.remote.requests == []


@in_virtual_time
async def test_backend_that_is_not_configured_says_so() -> None:
    house = House(may_fall_back=True)
    del house.routes[Backend.OPENAI]

    with pytest.raises(BackendUnavailable):
        await house.answerer.open(replace(QUESTION, backend=Backend.OPENAI))


@in_virtual_time
async def test_exchange_brings_its_own_dialogue_and_touches_no_history() -> None:
    house = House(may_fall_back=True)
    dialogue = Dialogue("", (), (), Message("user", "Hi"), may_shorten=False)
    exchange = Exchange("r", QUESTION.caller, dialogue, Sampling(temperature=0.0), Backend.LLAMA)

    done = await (await house.answerer.open_exchange(exchange)).collect()
    house.line.set_capacity(Capacity(1, False, None))
    with pytest.raises(ModelUnavailable):
        await house.answerer.open_exchange(exchange)

    assert done.history_saved is None
    assert house.local.requests[0].dialogue == dialogue
    assert house.local.requests[0].sampling.temperature == 0.0
    assert (house.store.calls, house.remote.requests) == ([], [])


@in_virtual_time
async def test_exchange_that_never_fits_names_messages() -> None:
    house = House()
    house.local.refusal = PromptTooLong("question", 5000, 1024)
    dialogue = Dialogue("", (), (), Message("user", "Hi"), may_shorten=False)

    with pytest.raises(PromptTooLong) as refused:
        await house.answerer.open_exchange(Exchange("r", QUESTION.caller, dialogue, Sampling(), Backend.LLAMA))

    assert refused.value.field == "messages"


@in_virtual_time
async def test_idle_waits_for_answers_and_for_writes() -> None:
    house = House()
    house.local.scripts = [[5.0, "text"]]
    began = house.clock()
    answer = await house.answerer.open(IN_CONVERSATION)
    house.store.slow_seconds = 2.0

    await house.answerer.idle()

    assert house.clock() - began == pytest.approx(7.0, abs=0.01)
    assert (await answer.collect()).history_saved


@in_virtual_time
async def test_every_error_of_the_edges_ends_an_answer_with_its_own_type() -> None:
    for error in (ModelUnavailable(), BackendUnavailable(), TimedOut("generation")):
        house = House()
        house.local.scripts = [[1.0, error]]

        with pytest.raises(ChatError) as ended:
            await house.ask()

        assert type(ended.value) is type(error)
        assert house.is_free()
