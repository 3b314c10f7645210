"""Answers that are kept for equal questions, over fakes and in virtual time: when they are, for whom, and how many."""

import asyncio
import gc
import tracemalloc
from collections.abc import Callable, Coroutine
from dataclasses import fields, replace
from functools import wraps
from random import Random
from typing import Any

import pytest
from chatbot.core.admission import Admission, AdmissionPolicy
from chatbot.core.answering.answerer import Answerer
from chatbot.core.answering.pump import Answer
from chatbot.core.answering.ready import repeated
from chatbot.core.answering.routes import AnswerPolicy, BackendRoute
from chatbot.core.history import History
from chatbot.core.kept_answers.equal import Shaped
from chatbot.core.kept_answers.keeper import KeepingPolicy, KeptAnswers, Way
from chatbot.core.limits.estimate import Estimates
from chatbot.core.limits.hold import NO_HOLD, Hold
from chatbot.core.limits.ledger import MemoryAccounts
from chatbot.core.limits.limiter import Limiter, LimiterPolicy
from chatbot.core.limits.metered import Metered
from chatbot.core.prompt import PromptTemplates
from chatbot.core.question import Done, Exchange, Question, Wishes
from chatbot.core.usage.meter import Priced
from chatbot.domain.chat import Caller, Dialogue, Message
from chatbot.domain.errors import BackendUnavailable, EngineLost, ModelUnavailable
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
from chatbot.domain.limits import Limited, Limits, RateLimited, Subject
from chatbot.domain.model import Capacity, ModelInfo
from chatbot.domain.tools import ToolDefinition, ToolUse
from parts.fakes import CountingTelemetry, MemoryStore, ScriptedGenerator
from parts.limit_racer import Silent
from parts.virtual_time import run_virtual

GREEDY = Sampling(temperature=0.0)
QUESTION = Question("r1", Caller("", "u"), "안녕하세요!", {}, None, None, False, Backend.LLAMA, "ko")
TALK = Dialogue("", (), (), Message("user", "hello"), may_shorten=False)
EXCHANGE = Exchange("r1", Caller("", "u"), TALK, GREEDY, Backend.LLAMA)


class Told(CountingTelemetry):
    """Remembers how answers were got, too."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[str] = []

    def cache_asked(self, service: str, cache: str, outcome: str) -> None:
        assert (service, cache) == ("office", "answer")
        self.kept.append(outcome)


class House:
    """One service over fakes, whose model is asked with temperature 0."""

    def __init__(self, policy: KeepingPolicy | None = None, *, slots: int = 4, sampling: Sampling = GREEDY) -> None:
        self.clock = asyncio.get_running_loop().time
        self.told = Told()
        self.local = ScriptedGenerator()
        self.line = Admission(AdmissionPolicy(600, 128), Capacity(slots, True), self.told, clock=self.clock)
        self.templates = PromptTemplates("be kind")
        self.erasures: dict[tuple[str, str], int | None] = {}
        self.policy = policy or KeepingPolicy()
        self.sampling = sampling
        self.limiter = Limiter(
            MemoryAccounts(), LimiterPolicy(), Silent(), clock=self.clock, now=lambda: self.clock() + 1.7e9
        )
        self.kept = KeptAnswers(
            "office", self.policy, self.told, clock=self.clock, erasures=lambda *who: self.erasures.get(who)
        )

    @property
    def answerer(self) -> Answerer:
        """A new one with the prompt and the settings as they are now; what is kept stays."""
        route = BackendRoute(self.local, self.line, self.templates)
        history = History("office", MemoryStore(), self.told, refuses_when_down=True, clock=self.clock)
        policy = AnswerPolicy(600.0, 600.0, self.sampling, limiter=self.limiter, kept=self.kept)
        return Answerer("office", {Backend.LLAMA: route}, history, policy, self.told, clock=self.clock)

    async def open(self, question: Question | Exchange = QUESTION) -> Answer:
        answerer = self.answerer
        return await (answerer.open(question) if isinstance(question, Question) else answerer.open_exchange(question))

    async def ask(self, question: Question | Exchange = QUESTION) -> tuple[Done, str, float]:
        """The end, how it was got ("" where it is none that may be kept), and how old it was."""
        answer = await self.open(question)
        try:
            done = await answer.collect()
        finally:
            await answer.close()
        return done, answer.reuse.outcome if answer.reuse else "", answer.reuse.age_seconds if answer.reuse else 0.0

    async def outcomes(self, *questions: Question | Exchange) -> list[str]:
        """How each of them is got, one after the other."""
        return [(await self.ask(question))[1] for question in questions]


def in_virtual_time(scene: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(scene)
    def test(*args: Any, **options: Any) -> None:
        run_virtual(scene(*args, **options))

    return test


@in_virtual_time
async def test_the_same_question_is_answered_once_until_its_time_is_over() -> None:
    house = House()
    house.local.scripts = [["하나"], ["둘"]]

    first, second = await house.ask(), await house.ask()
    await asyncio.sleep(590.0)
    third = await house.ask()
    await asyncio.sleep(11.0)
    fourth = await house.ask()

    assert [done.text for done, _, _ in (first, second, third, fourth)] == ["하나", "하나", "하나", "둘"]
    assert house.told.kept == ["miss", "hit", "hit", "miss"]
    assert third[2] == pytest.approx(590.0, abs=0.1)
    assert [done.usage for done, _, _ in (second, third)] == [Usage(0, 0)] * 2
    assert second[0].finish_reason is FinishReason.STOP


@in_virtual_time
async def test_a_stream_gets_the_kept_text_too() -> None:
    house = House()
    await house.ask()

    answer = await house.open()
    events = [event async for event in answer.events()]

    assert "".join(event.text for event in events if isinstance(event, TextPiece)) == "안녕하세요"
    assert isinstance(events[-1], Done) and answer.reuse is not None and answer.reuse.outcome == "hit"


OTHERS: dict[str, Callable[[Question], Question]] = {
    "another user": lambda q: replace(q, caller=Caller("", "v")),
    "another tenant": lambda q: replace(q, caller=Caller("t", "u")),
    "another text": lambda q: replace(q, text="안녕하세요?"),
    "another language": lambda q: replace(q, wishes=Wishes(language="ja")),
    "language of texts": lambda q: replace(q, language="en"),
    "a role": lambda q: replace(q, wishes=Wishes(role="a pirate")),
    "notes": lambda q: replace(q, wishes=Wishes(notes=("likes tea",))),
    "a seed": lambda q: replace(q, wishes=Wishes(sampling=replace(GREEDY, seed=3))),
    "a length": lambda q: replace(q, wishes=Wishes(sampling=replace(GREEDY, max_tokens=9))),
    "a format": lambda q: replace(q, wishes=Wishes(sampling=replace(GREEDY, format=AnswerFormat("{}")))),
    "a stop": lambda q: replace(q, wishes=Wishes(sampling=replace(GREEDY, stop=("x",)))),
}
NEVER: dict[str, Callable[[Question], Question]] = {
    "a conversation": lambda q: replace(q, db_id="c", turn_id=None),
    "the web": lambda q: replace(q, wishes=Wishes(wants_web=True)),
    "a history": lambda q: replace(q, wishes=Wishes(history=(Message("user", "a"), Message("assistant", "b")))),
    "not stored": lambda q: replace(q, may_store=False),
    "no-cache": lambda q: replace(q, oldest_seconds=0.0),
    "by chance": lambda q: replace(q, wishes=Wishes(sampling=Sampling(temperature=0.7))),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_question_has_another_answer(name: str) -> None:
    async def scene() -> None:
        house = House()
        await house.ask()
        assert await house.outcomes(OTHERS[name](QUESTION), QUESTION) == ["miss", "hit"]

    run_virtual(scene())


@pytest.mark.parametrize("name", NEVER)
def test_what_must_not_be_kept_is_neither_kept_nor_answered_from_what_is(name: str) -> None:
    async def scene() -> None:
        house = House()
        await house.ask()
        other = NEVER[name](QUESTION)
        assert await house.outcomes(other, other) == ["", ""]
        assert len(house.kept) == 1 and len(house.local.requests) == 3

    run_virtual(scene())


@pytest.mark.parametrize("shape", [Message, Dialogue, Sampling, AnswerFormat, ToolDefinition, ModelInfo])
def test_every_field_of_what_shapes_an_answer_is_in_its_key(shape: type) -> None:
    """The key is made of how they are written."""
    assert all(field.repr for field in fields(shape))


@in_virtual_time
async def test_a_new_prompt_and_a_new_model_have_other_answers() -> None:
    house = House()
    assert house.local.served is not None
    before = await house.outcomes(QUESTION, QUESTION)
    house.templates = PromptTemplates("be brief")
    prompt = await house.outcomes(QUESTION, QUESTION)
    house.local.served = replace(house.local.served, sha256="f" * 64)
    model = await house.outcomes(QUESTION, QUESTION)
    house.sampling = replace(GREEDY, repeat_penalty=1.3)
    sampling = await house.outcomes(QUESTION, QUESTION)

    assert [before, prompt, model, sampling] == [["miss", "hit"]] * 4


@in_virtual_time
async def test_an_answer_that_was_made_while_the_model_changed_is_not_kept() -> None:
    house = House()
    house.local.scripts = [[5.0, "old or new?"], ["new"]]
    assert house.local.served is not None
    old = house.local.served
    asking = asyncio.create_task(house.ask())
    await asyncio.sleep(1.0)
    house.local.served = replace(old, revision="1" * 16)
    await asking
    house.local.served = old

    assert await house.outcomes(QUESTION) == ["miss"]


@pytest.mark.parametrize("script", [["cut", Finished(FinishReason.LENGTH, Usage(7, 1), Timings())], [""]])
def test_answers_that_are_cut_or_empty_are_not_kept(script: list[Any]) -> None:
    async def scene() -> None:
        house = House()
        house.local.scripts = [script]
        assert await house.outcomes(QUESTION, QUESTION) == ["miss", "miss"]

    run_virtual(scene())


@in_virtual_time
async def test_an_error_is_not_kept() -> None:
    house = House()
    house.local.scripts = [[BackendUnavailable("away")], ["back"]]

    with pytest.raises(BackendUnavailable):
        await house.ask()

    assert await house.outcomes(QUESTION, QUESTION) == ["miss", "hit"]


@in_virtual_time
async def test_exchanges_are_kept_where_they_are_one_question_without_tools() -> None:
    house = House()
    tools = ToolUse((ToolDefinition("f"),))
    talk = replace(TALK, history=(Message("user", "a"), Message("assistant", "b")))
    again = Exchange("r2", Caller("", "u"), replace(TALK), replace(GREEDY), Backend.LLAMA)

    assert await house.outcomes(EXCHANGE, again) == ["miss", "hit"]
    assert await house.outcomes(replace(EXCHANGE, sampling=Sampling(seed=4))) == ["miss"]
    assert await house.outcomes(replace(EXCHANGE, sampling=Sampling(seed=5))) == ["miss"]
    for other in ({"tools": tools}, {"dialogue": talk}, {"sampling": Sampling()}, {"oldest_seconds": 0.0}):
        assert await house.outcomes(replace(EXCHANGE, **other)) == [""]  # type: ignore[arg-type]


@in_virtual_time
async def test_an_answer_that_is_too_old_for_whoever_asks_is_made_anew_for_all() -> None:
    house = House()
    house.local.scripts = [["old"], ["new"]]
    await house.ask()
    await asyncio.sleep(100.0)

    new = await house.ask(replace(QUESTION, oldest_seconds=60.0))
    then = await house.ask()

    assert (new[0].text, new[1], then[0].text, then[1]) == ("new", "miss", "new", "hit")


@in_virtual_time
async def test_only_tenants_that_are_named_have_answers_kept_and_those_that_share_share_them() -> None:
    house = House(KeepingPolicy(tenants=frozenset({"a", "b"}), shared=frozenset({"b"})))

    def of(tenant: str, user: str) -> Question:
        return replace(QUESTION, caller=Caller(tenant, user))

    assert await house.outcomes(of("", "u"), of("", "u")) == ["", ""]
    assert await house.outcomes(of("a", "u"), of("a", "v"), of("a", "u")) == ["miss", "miss", "hit"]
    assert await house.outcomes(of("b", "u"), of("b", "v"), of("b", "w")) == ["miss", "hit", "hit"]


@in_virtual_time
async def test_fifty_who_ask_at_once_cost_one_generation() -> None:
    house = House(slots=1)
    house.local.scripts = [[5.0, "one"], ["another"]]

    got = await asyncio.gather(*(house.ask(replace(QUESTION, request_id=f"r{n}")) for n in range(50)))

    assert len(house.local.requests) == 1
    assert {done.text for done, _, _ in got} == {"one"}
    assert sorted(house.told.kept) == ["joined"] * 49 + ["miss"]
    assert house.line.line("office").depth == 0


@in_virtual_time
async def test_an_answer_goes_on_for_the_others_when_whoever_asked_first_leaves() -> None:
    house = House()
    house.local.scripts = [[2.0, "one", 3.0, "!"], ["another"]]
    first = await house.open()
    others = [asyncio.create_task(house.ask()) for _ in range(3)]
    await asyncio.sleep(3.0)
    await first.close()
    left = await asyncio.gather(*others)

    assert [done.text for done, _, _ in left] == ["one!"] * 3
    assert [finish for _, finish, _, _ in house.told.ended] == [FinishReason.STOP]
    assert await house.outcomes(QUESTION) == ["hit"]


@in_virtual_time
async def test_one_that_waits_in_the_line_goes_on_for_the_others_too() -> None:
    house = House(slots=1)
    house.local.scripts = [[30.0, "busy"], ["one"]]
    busy = await house.open(replace(QUESTION, text="busy"))
    first = await house.open()
    other = asyncio.create_task(house.ask())
    await asyncio.sleep(1.0)
    await first.close()
    done, outcome, _ = await other
    await busy.close()

    assert (done.text, outcome) == ("one", "joined")


@in_virtual_time
async def test_it_is_given_up_once_nobody_wants_it() -> None:
    house = House()
    house.local.scripts = [[50.0, "late"], ["new"]]
    first = await house.open()
    others = [asyncio.create_task(house.ask()) for _ in range(3)]
    await asyncio.sleep(1.0)
    await first.close()
    for other in others:
        assert house.local.active == 1
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)
    await asyncio.sleep(0.1)

    assert (house.local.active, house.local.cancelled) == (0, 1)
    assert await house.outcomes(QUESTION) == ["miss"]


@in_virtual_time
async def test_who_joins_when_it_is_being_given_up_makes_it_himself() -> None:
    house = House()
    house.local.scripts = [[50.0, "late"], ["new"]]
    first = await house.open()
    await asyncio.sleep(1.0)
    closing = asyncio.create_task(first.close())
    other = asyncio.create_task(house.ask())
    await closing

    assert (await other)[0].text == "new"


@in_virtual_time
async def test_an_error_reaches_everybody_who_waits_and_nobody_after_them() -> None:
    house = House()
    house.local.scripts = [[2.0, BackendUnavailable("away")], ["back"]]

    got = await asyncio.gather(*(house.ask() for _ in range(5)), return_exceptions=True)

    assert [type(one) for one in got] == [BackendUnavailable] * 5
    assert len(house.local.requests) == 1
    assert (await house.ask())[0].text == "back"


@in_virtual_time
async def test_an_engine_that_dies_of_an_answer_is_asked_once_more_and_no_oftener() -> None:
    """A stream that began cannot be begun anew; those who wait had nothing yet."""
    house = House()
    house.local.scripts = [["a", 2.0, EngineLost()], ["b", 2.0, EngineLost()], [EngineLost()], ["fine"]]

    async def stream() -> None:
        async for _ in (await house.open()).events():
            pass

    got = await asyncio.gather(stream(), *(house.ask() for _ in range(5)), return_exceptions=True)

    assert [type(one) for one in got] == [EngineLost] * 6
    assert len(house.local.requests) == 3, "the stream's, and that of the next one, which was begun anew as ever"


@in_virtual_time
async def test_where_the_first_one_is_refused_the_next_one_asks() -> None:
    house = House()
    limits = Limits(requests_per_minute=1, account="spent")
    poor = replace(QUESTION, caller=Caller("", "u", "k1", (Limited(Subject.KEY, limits),)))
    await house.ask(replace(poor, text="spends it"))

    got = await asyncio.gather(house.ask(poor), house.ask(), house.ask(), return_exceptions=True)

    assert isinstance(got[0], RateLimited)
    assert [one[1] for one in got[1:] if not isinstance(one, BaseException)] == ["miss", "joined"]


@in_virtual_time
async def test_where_no_model_serves_everybody_is_told() -> None:
    house = House()
    house.line.set_capacity(Capacity(1, False, None))

    got = await asyncio.gather(*(house.ask() for _ in range(5)), return_exceptions=True)

    assert [type(one) for one in got] == [ModelUnavailable] * 5


@in_virtual_time
async def test_an_answer_that_was_cut_for_the_first_one_is_not_the_others() -> None:
    house = House()
    cut = Finished(FinishReason.LENGTH, Usage(7, 1), Timings())
    house.local.scripts = [[2.0, "cu", cut], ["whole"]]

    got = await asyncio.gather(*(house.ask() for _ in range(4)))

    assert [done.text for done, _, _ in got] == ["cu", "whole", "whole", "whole"]
    assert [outcome for _, outcome, _ in got] == ["miss"] * 4


@in_virtual_time
async def test_a_kept_answer_costs_a_request_and_no_tokens() -> None:
    house = House()
    limits = Limits(requests_per_minute=10, tokens_per_day=100_000, concurrent=3, account="k")
    question = replace(QUESTION, caller=Caller("", "u", "k", (Limited(Subject.KEY, limits),)))
    house.local.scripts = [[1.0, "one"]]

    at_once = await asyncio.gather(*(house.ask(question) for _ in range(5)), return_exceptions=True)
    later = [await house.ask(question) for _ in range(7)]
    with pytest.raises(RateLimited):
        await house.ask(question)
    used = {str(one.policy): one.used for one in (await house.limiter.quota(question.caller.limited)).standings}

    assert sum(isinstance(one, RateLimited) for one in at_once) == 2, "who waits is under way, too"
    assert {outcome for _, outcome, _ in later} == {"hit"}
    assert used == {"requests-minute": 10, "tokens-day": 8, "concurrent": 0}, "tokens of the one that was made"


@in_virtual_time
async def test_an_erasure_forgets_also_what_is_being_made() -> None:
    house = House()
    house.erasures = {("", "u"): 0, ("", "v"): 0}
    ours = replace(QUESTION, caller=Caller("", "u", erasures=0))
    theirs = replace(QUESTION, caller=Caller("", "v", erasures=0))
    await house.outcomes(ours, theirs)
    house.local.scripts = [[5.0, "late"], ["new"]]
    late = asyncio.create_task(house.ask(replace(ours, text="late?")))
    await asyncio.sleep(1.0)

    before = len(house.kept)
    house.kept.forget(lambda tenant, user: (tenant, user) == ("", "u"))
    await late

    assert (before, len(house.kept)) == (2, 1), "and what was late is not kept"
    assert await house.outcomes(ours, theirs) == ["miss", "hit"]


@in_virtual_time
async def test_an_erasure_that_another_replica_made_is_obeyed_also_where_answers_are_shared() -> None:
    house = House(KeepingPolicy(shared=frozenset({""})))
    house.erasures = {("", "u"): 0, ("", "v"): 0}
    made_by_u = replace(QUESTION, caller=Caller("", "u", erasures=0))
    asked_by_v = replace(QUESTION, caller=Caller("", "v", erasures=0))

    before = await house.outcomes(made_by_u, asked_by_v)
    house.erasures[("", "u")] = 1
    after = await house.outcomes(asked_by_v, asked_by_v)
    late = await house.outcomes(replace(made_by_u, text="began before it"), replace(made_by_u, text="began before it"))

    assert (before, after, late) == (["miss", "hit"], ["miss", "hit"], ["miss", "miss"])


@in_virtual_time
async def test_no_user_and_no_tenant_ever_gets_anothers_answer(
    scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    """Each answer names whom it was made for; 40 users of 5 tenants ask 12 questions, also at once."""
    house, chance, foreign = House(slots=64), Random(7), 0
    asked = scale(2_000, 10_000)

    class Naming(ScriptedGenerator):
        async def generate(self, request: Any) -> Any:
            yield TextPiece(f"for {request.request_id}")
            yield Finished(FinishReason.STOP, Usage(7, 1), Timings())

    house.local = Naming()

    async def one() -> tuple[str, str]:
        tenant, user, number = f"t{chance.randrange(5)}", f"u{chance.randrange(8)}", chance.randrange(12)
        me = f"{tenant}/{user}/"
        question = replace(
            QUESTION, request_id=me + str(number), caller=Caller(tenant, user), text=f"question {number}"
        )
        done, outcome, _ = await house.ask(question)
        return outcome, "" if done.text == f"for {me}{number}" else "foreign"

    outcomes: list[str] = []
    for _ in range(asked // 50):
        for outcome, problem in await asyncio.gather(*(one() for _ in range(50))):
            foreign += bool(problem)
            outcomes.append(outcome)

    assert foreign == 0
    assert outcomes.count("miss") == len(house.kept) <= 5 * 8 * 12
    figures(asked=asked, foreign=foreign, hits=outcomes.count("hit"), joined=outcomes.count("joined"))


@in_virtual_time
async def test_its_room_is_bounded_by_bytes_and_by_entries(
    scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    house = House(KeepingPolicy(limit_bytes=1_000_000, most=900))
    model = Metered(house.local, Priced("office").meter(Backend.LLAMA, house.local.model()), Estimates())
    count = scale(3_000, 100_000)
    kept, middle = [], 0

    async def nothing() -> Hold:
        return NO_HOLD

    async def ask(number: int, text: str) -> str:
        async def begin() -> Answer:
            return repeated(Backend.LLAMA, text, model.meter)

        question = replace(QUESTION, text=f"question {number}", caller=Caller("", f"u{number}"))
        request = GenerationRequest("r", replace(TALK, question=Message("user", question.text)), GREEDY, 0.0)
        way = Way(begin, nothing, lambda _: None, model)
        answer = await house.kept.answer(Shaped(question, Backend.LLAMA, house.local.model(), request), way)
        return answer.reuse.outcome if answer.reuse is not None else ""

    tracemalloc.start()
    for number in range(count):
        await ask(number, "가" * 300 if number % 2 else "짧다")
        house.told.kept.clear()
        if number % (count // 10) == 0:
            kept.append((len(house.kept), house.kept.kept_bytes))
        if number == count // 2:
            gc.collect()
            middle, _ = tracemalloc.get_traced_memory()
    gc.collect()
    end, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert all(entries <= 900 and size <= 1_000_000 for entries, size in kept)
    assert max(entries for entries, _ in kept) > 500
    assert [await ask(number, "anew") for number in (count - 1, 0)] == ["hit", "miss"]
    assert end - middle < 50_000, "and nothing grows beside it"
    figures(asked=count, kept=len(house.kept), kept_bytes=house.kept.kept_bytes, grown_bytes=end - middle)


@in_virtual_time
async def test_an_answer_in_flight_is_not_driven_out() -> None:
    house = House(KeepingPolicy(most=2))
    house.local.scripts = [[100.0, "slow"], ["fast"]]
    first = asyncio.create_task(house.ask())
    await asyncio.sleep(1.0)
    for number in range(10):
        await house.ask(replace(QUESTION, text=f"question {number}"))
    joined = await house.ask()
    await first

    assert (joined[0].text, joined[1], len(house.kept)) == ("slow", "joined", 2)


@in_virtual_time
async def test_questions_are_not_kept_and_its_keys_do_not_tell_them() -> None:
    house, other = House(), House()
    for one in (house, other):
        await one.ask(replace(QUESTION, text="secret words"))

    kept = house.kept._room._entries

    assert len(kept) == 1 and "secret" not in repr(kept)
    assert kept.keys() != other.kept._room._entries.keys(), "each process has a secret of its own"
