"""A decision in front of an answer, in the answer's own sequence: it costs no step and leaves no trace."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chatbot.llm.engine.batching.tuning import Tuning
from chatbot.llm.engine.native.model import Model
from parts.toy_engine import ToyEngine, load_toy, open_library, toy_engines
from parts.toy_gguf import make_nan_toy, make_toy

Open = Callable[..., ToyEngine]
PROMPT = list(range(300, 380))
ASKED = list(range(500, 512))
NOTHING = (ASKED, 'root ::= "null"\n', "null")
CALLS = (ASKED, 'root ::= "[" [a-c]{4,8} "]"\n', "null")
KINDS: dict[str, dict[str, Any]] = {
    "pool": {},
    "streams": {"has_streams": True, "kv_tokens": 2048},
    "nothing can be cut": {"can_share": False},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    library = open_library()
    yield load_toy(make_toy(tmp_path_factory.mktemp("toy") / "toy.gguf", n_vocab=1024, endless=True))
    assert library.last_words() is not None


@pytest.fixture
def open_engine(model: Model) -> Iterator[Open]:
    with toy_engines(model) as opener:
        yield lambda **wanted: opener(**({"shows_ids": False, "is_exact": True} | wanted))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "changes", [{}, {"temperature": 1.0, "top_k": 20, "repeat_penalty": 1.2}], ids=["likeliest", "drawn"]
)
def test_an_answer_behind_nothing_is_the_answer_without_a_decision(open_engine: Open, kind: str, changes: Any) -> None:
    expected = open_engine(**KINDS[kind]).answer(PROMPT, **changes)

    engine = open_engine(**KINDS[kind])
    engine.submit("r", PROMPT, decision=NOTHING, **changes)
    engine.run()

    end = engine.finishes["r"]
    assert engine.answers["r"] == expected != ""
    assert (end["finish"], end.get("calls")) == ("length", None)
    assert (end["prompt_tokens"], end["completion_tokens"]) == (len(PROMPT) + len(ASKED), 16 + 1)


@pytest.mark.parametrize("kind", ["pool", "streams"])
def test_to_decide_for_nothing_takes_no_step(open_engine: Open, kind: str) -> None:
    plain, deciding = open_engine(step_tokens=128, **KINDS[kind]), open_engine(step_tokens=128, **KINDS[kind])
    plain.answer(PROMPT)

    deciding.answer(PROMPT, decision=NOTHING)

    assert deciding.scheduler.counters.steps == plain.scheduler.counters.steps
    assert deciding.scheduler.counters.rows == plain.scheduler.counters.rows + len(ASKED)


@pytest.mark.parametrize("step_tokens", [16, 17, 40, 79, 80, 81, 85])
@pytest.mark.parametrize("kind", KINDS)
def test_wherever_a_step_ends_the_answer_is_the_same(open_engine: Open, kind: str, step_tokens: int) -> None:
    expected = open_engine(**KINDS[kind]).answer(PROMPT)

    assert open_engine(step_tokens=step_tokens, **KINDS[kind]).answer(PROMPT, decision=NOTHING) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_calls_are_told_as_calls_and_held_to_their_grammar(open_engine: Open, kind: str) -> None:
    engine = open_engine(**KINDS[kind])
    engine.submit("r", PROMPT, decision=CALLS)
    events = []
    while engine.scheduler.has_work:
        events += engine.scheduler.run_step()

    text = "".join(event["text"] for event in events)
    assert (text[0], text[-1]) == ("[", "]") and set(text[1:-1]) <= set("abc")
    assert all(event["calls"] for event in events)
    assert events[-1]["finish"] == "stop"
    assert not engine.memory.recall(text)


def test_the_next_turn_finds_question_and_answer_without_what_was_decided(open_engine: Open) -> None:
    for kind in ("pool", "streams"):
        engine = open_engine(idle_tokens=1024, **KINDS[kind])
        engine.submit("first", PROMPT, decision=NOTHING)
        engine.run()
        (sequence,) = [each for each in engine.scheduler.residents if each.length]
        answered = sequence.tokens.tolist()
        assert answered[: len(PROMPT)] == PROMPT
        assert ASKED[0] not in answered

        engine.submit("second", [*answered, 400, 401], decision=NOTHING)
        engine.run()

        assert engine.finishes["second"]["cached_tokens"] == len(answered)


def test_what_was_decided_before_does_not_hide_the_row_that_begins_the_answer(open_engine: Open) -> None:
    """The same question again, whose decision is resident to its end."""
    for kind in ("pool", "streams"):
        engine = open_engine(idle_tokens=1024, **KINDS[kind])
        expected = open_engine(**KINDS[kind]).answer(PROMPT)
        engine.answer(PROMPT, decision=CALLS)
        assert max(each.length for each in engine.scheduler.residents) > len(PROMPT) + len(ASKED)

        assert engine.answer(PROMPT, decision=NOTHING) == expected


def test_a_burst_with_one_beginning_decides_and_answers_each_by_itself(open_engine: Open) -> None:
    for kind in KINDS:
        engine, expected = open_engine(**KINDS[kind]), {}
        for number in range(4):
            prompt = [*PROMPT, 600 + number]
            expected[f"{number}"] = open_engine(**KINDS[kind]).answer(prompt)
            engine.submit(f"{number}", prompt, decision=NOTHING if number % 2 else CALLS)
        engine.run()

        assert {name: engine.answers[name] for name in ("1", "3")} == {name: expected[name] for name in ("1", "3")}
        assert all(engine.finishes[name]["calls"] for name in ("0", "2"))


@pytest.mark.parametrize("decision", [NOTHING, (ASKED, "root ::= [a-c]+\n", "null")], ids=["nothing", "calls"])
def test_whoever_has_to_wait_again_goes_on_with_its_decision(open_engine: Open, decision: Any) -> None:
    engine = open_engine(slots=2, kv_tokens=256, context_tokens=256, step_tokens=32)
    for number in range(8):  # short answers let the next ones be expected short: more is promised than there is
        engine.submit(f"short{number}", range(300 + number, 304 + number), max_tokens=1)
    engine.run()
    prompts = {"older": range(300, 360), "younger": range(400, 460)}
    for name, prompt in prompts.items():
        engine.submit(name, prompt, max_tokens=150, decision=decision)
    engine.step()
    assert engine.scheduler._seating.preempt_youngest()  # in the middle of its prompt
    engine.step(3)
    assert engine.scheduler._seating.preempt_youngest()  # in the middle of its decision, or of its answer
    engine.run()

    for name, prompt in prompts.items():
        alone = open_engine(slots=1, context_tokens=256)
        alone.submit(name, prompt, max_tokens=150, decision=decision)
        alone.run()
        assert engine.answers[name] == alone.answers[name], name
        assert engine.finishes[name]["completion_tokens"] == alone.finishes[name]["completion_tokens"]


def test_a_request_that_leaves_at_any_step_leaves_nothing(open_engine: Open) -> None:
    for steps in range(8):
        engine = open_engine(step_tokens=16)
        engine.submit("r", PROMPT, decision=NOTHING)
        engine.step(steps)
        engine.scheduler.cancel("r")
        engine.run()
        engine.check_books()
        assert engine.scheduler.stats()["kv_cells_active"] == 0


def test_a_decision_that_is_cut_says_so(open_engine: Open) -> None:
    engine = open_engine()
    engine.submit("r", PROMPT, decision=(ASKED, "root ::= [a-c]+\n", "null"))
    engine.run()

    assert (engine.finishes["r"]["finish"], engine.finishes["r"]["calls"]) == ("length", True)
    assert engine.finishes["r"]["completion_tokens"] == 64


def test_logits_that_are_no_numbers_are_an_error(tmp_path: Path) -> None:
    library = open_library()
    engine = ToyEngine(load_toy(make_nan_toy(tmp_path / "nan.gguf")), shows_ids=False, tuning=Tuning())
    engine.submit("r", PROMPT, decision=NOTHING)
    engine.run()

    assert engine.finishes["r"]["finish"] == "error"
    engine.close()
    assert library.last_words() is not None


# ---- of models that begin a call with a token of their own

BEHIND = 'root ::= "[" [a-c]{4,8} "]"\n'


def likeliest(open_engine: Open, ids: list[int]) -> int:
    """The first token of an answer."""
    return int(open_engine(shows_ids=True).answer(ids, max_tokens=1))


@pytest.mark.parametrize("asked", [[], ASKED], ids=["nothing asked", "asked"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "changes", [{}, {"temperature": 1.0, "top_k": 20, "repeat_penalty": 1.2}], ids=["likeliest", "drawn"]
)
def test_without_its_token_an_answer_is_the_one_without_a_decision(
    open_engine: Open, kind: str, asked: list[int], changes: Any
) -> None:
    expected, other = open_engine(**KINDS[kind]).answer(PROMPT, **changes), likeliest(open_engine, [*PROMPT, *asked])

    engine = open_engine(**KINDS[kind])
    engine.submit("r", PROMPT, decision=(asked, BEHIND, other + 1), **changes)
    engine.run()

    end = engine.finishes["r"]
    assert engine.answers["r"] == expected != ""
    assert (end["finish"], end.get("calls")) == ("length", None)
    assert (end["prompt_tokens"], end["completion_tokens"]) == (len(PROMPT) + len(asked), 16)


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_is_asked_a_decision_costs_no_row(open_engine: Open, kind: str) -> None:
    other = likeliest(open_engine, PROMPT) + 1
    plain, deciding = open_engine(**KINDS[kind]), open_engine(**KINDS[kind])
    plain.answer(PROMPT)

    deciding.answer(PROMPT, decision=([], BEHIND, other))

    assert deciding.scheduler.counters.steps == plain.scheduler.counters.steps
    assert deciding.scheduler.counters.rows == plain.scheduler.counters.rows


@pytest.mark.parametrize("step_tokens", [16, 40, 79, 80, 81])
@pytest.mark.parametrize("asked", [[], ASKED], ids=["nothing asked", "asked"])
@pytest.mark.parametrize("kind", KINDS)
def test_with_its_token_come_calls(open_engine: Open, kind: str, asked: list[int], step_tokens: int) -> None:
    trigger = likeliest(open_engine, [*PROMPT, *asked])
    engine = open_engine(step_tokens=step_tokens, **KINDS[kind])
    engine.submit("r", PROMPT, decision=(asked, BEHIND, trigger))
    events = []
    while engine.scheduler.has_work:
        events += engine.scheduler.run_step()

    text = "".join(event["text"] for event in events)
    assert (text[0], text[-1]) == ("[", "]") and set(text[1:-1]) <= set("abc")
    assert all(event["calls"] for event in events)
    assert events[-1]["finish"] == "stop"
    resident = next(each.tokens.tolist() for each in engine.scheduler.residents if each.length)
    assert resident[: len(PROMPT) + len(asked) + 1] == [*PROMPT, *asked, trigger]


@pytest.mark.parametrize("calls", [True, False], ids=["calls", "nothing"])
def test_whoever_has_to_wait_goes_on_behind_its_token(open_engine: Open, calls: bool) -> None:
    prompts = {"older": list(range(300, 360)), "younger": list(range(400, 460))}
    decisions = {
        name: ([], "root ::= [a-c]+\n", likeliest(open_engine, prompt) + (not calls))
        for name, prompt in prompts.items()
    }
    engine = open_engine(slots=2, step_tokens=32, context_tokens=256)
    for name, prompt in prompts.items():
        engine.submit(name, prompt, max_tokens=60, decision=decisions[name])
    for steps in (1, 3, 2):
        engine.step(steps)
        assert engine.scheduler._seating.preempt_youngest()
    engine.run()

    for name, prompt in prompts.items():
        alone = open_engine(slots=1, context_tokens=256)
        assert engine.answers[name] == alone.answer(prompt, max_tokens=60, decision=decisions[name])
        end, other = engine.finishes[name], alone.finishes["alone"]
        assert (end["completion_tokens"], end.get("calls")) == (other["completion_tokens"], other.get("calls"))
        assert bool(end.get("calls")) == calls
