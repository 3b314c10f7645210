"""Answers under a grammar: always in its language, whatever else is chosen, answered or interrupted meanwhile."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chatbot.llm.engine.native.model import Model
from chatbot.llm.engine.sampling.grammar import MAX_GRAMMAR_BYTES, Grammar, InvalidGrammar
from chatbot.llm.engine.text.vocabulary import Vocabulary
from parts.toy_engine import ToyEngine, load_toy, open_library, toy_engines
from parts.toy_gguf import make_toy

OBJECT = r"""
root ::= "{" "\"city\":" string ",\"degrees\":" number ",\"tags\":[" (string ("," string){0,2})? "]}"
string ::= "\"" [a-z가-힣]{1,12} "\""
number ::= "-"? ("0" | [1-9] [0-9]{0,3})
"""
PROMPT = list(range(300, 360))
SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"repeat_penalty": 1.3},
    {"temperature": 1.0, "top_k": 0, "top_p": 1.0},
    {"temperature": 2.0, "presence_penalty": -1.0},
    {"temperature": 0.8, "top_k": 1, "frequency_penalty": 1.0},
)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    library = open_library()
    yield load_toy(make_toy(tmp_path_factory.mktemp("toy") / "toy.gguf"))
    assert library.last_words() is not None


@pytest.fixture
def engine(toy: Model) -> Iterator[Callable[..., ToyEngine]]:
    with toy_engines(toy) as open_engine:
        yield open_engine


@pytest.mark.parametrize("settings", SETTINGS, ids=range(len(SETTINGS)))
def test_every_answer_is_in_the_language(engine: Callable[..., ToyEngine], settings: dict[str, Any]) -> None:
    each = engine(shows_ids=False, slots=8)
    for seed in range(16):
        each.submit(f"r{seed}", [*PROMPT, 500 + seed], grammar=OBJECT, seed=seed, max_tokens=200, **settings)
    each.run()

    for name, answer in each.answers.items():
        assert each.finishes[name]["finish"] == "stop", answer
        read = json.loads(answer)
        assert list(read) == ["city", "degrees", "tags"]
        assert isinstance(read["degrees"], int)
    assert len(set(each.answers.values())) > 1


@pytest.mark.parametrize(
    "text",
    ["[]", '{"a":[]}', '"x"', '["a]","}"]', '{"a":{"b":"\\"}"}}'],
    ids=["list", "object", "string", "marks", "deep"],
)
def test_the_end_behind_whole_json_is_not_computed(engine: Callable[..., ToyEngine], text: str) -> None:
    each = engine(shows_ids=False)
    grammar = f"root ::= {json.dumps(text)}\n"
    tokens = tokens_of(each, grammar, text)
    answer = each.answer(PROMPT, grammar=grammar, max_tokens=tokens)

    assert (answer, each.finishes["alone"]["finish"], each.finishes["alone"]["completion_tokens"]) == (
        text,
        "stop",
        tokens,
    )


def tokens_of(each: ToyEngine, grammar: str, text: str) -> int:
    """How many tokens the model writes it in."""
    assert each.answer(PROMPT, grammar=grammar, max_tokens=100) == text
    return int(each.finishes["alone"]["completion_tokens"])


def test_what_may_go_on_does_not_end_there(engine: Callable[..., ToyEngine]) -> None:
    each = engine(shows_ids=False)
    answers = {each.answer([*PROMPT, n], grammar='root ::= "[]" "]"? | "\\"" "\\""{2}\n') for n in range(40)}

    assert '""' not in answers and answers <= {"[]", "[]]", '"""'}
    assert '"""' in answers or "[]]" in answers


def test_the_others_are_answered_as_without_it(engine: Callable[..., ToyEngine]) -> None:
    beside, alone = engine(slots=4, is_exact=True), engine(slots=1, is_exact=True)
    for number in range(4):
        grammar = OBJECT if number % 2 else ""
        beside.submit(f"r{number}", [*PROMPT, 700 + number], grammar=grammar, temperature=0.7, max_tokens=24)
    beside.run()

    for number in range(4):
        changes: dict[str, Any] = {"grammar": OBJECT} if number % 2 else {}
        ids = [*PROMPT, 700 + number]
        assert beside.answers[f"r{number}"] == alone.answer(ids, temperature=0.7, max_tokens=24, **changes)


def test_an_interrupted_answer_goes_on_where_it_was(engine: Callable[..., ToyEngine]) -> None:
    each = engine(shows_ids=False)
    for name in ("stays", "waits"):
        each.submit(name, [*PROMPT, len(name)], grammar=OBJECT, temperature=1.0, max_tokens=200)
    each.step(6)

    assert each.scheduler._seating.preempt_youngest()
    each.run()

    assert [list(json.loads(answer)) for answer in each.answers.values()] == [["city", "degrees", "tags"]] * 2


def test_a_token_is_tested_before_the_whole_vocabulary_is(engine: Callable[..., ToyEngine]) -> None:
    each = engine()
    looked_at: list[int] = []
    candidates = each.scheduler._chooser._candidates
    allowed = candidates.allowed
    candidates.allowed = lambda grammar, tokens, logits: (  # type: ignore[method-assign]
        looked_at.append(len(tokens)) or allowed(grammar, tokens, logits)
    )

    each.submit("free", PROMPT, grammar="root ::= [^가]*", temperature=1.0, max_tokens=20)
    each.run()

    alone = looked_at.count(1)
    assert alone > 10
    assert 20 - alone <= len(looked_at) - alone < 10  # a control token is refused untested


def test_a_grammar_that_is_at_its_end_ends_the_answer(engine: Callable[..., ToyEngine]) -> None:
    each = engine(shows_ids=False)

    assert each.answer(PROMPT, grammar='root ::= "yes" | "no"', max_tokens=40) in ("yes", "no")
    assert each.finishes["alone"]["finish"] == "stop"


def test_text_is_utf_8_where_the_grammar_would_take_overlong_forms(engine: Callable[..., ToyEngine]) -> None:
    each = engine(shows_ids=False)
    starts, follows = (each.vocabulary.pieces.index(bytes([byte])) for byte in (0xE0, 0x80))
    grammar = Grammar(each.vocabulary, r"root ::= [\x20-\uD7FF]*")

    assert grammar.is_text(starts)
    grammar.accept(starts)
    assert not grammar.is_text(follows)
    assert grammar.is_text(each.vocabulary.pieces.index(bytes([0xA0])))
    grammar.free()


def test_the_next_choice_is_taken_where_the_first_is_no_text(engine: Callable[..., ToyEngine]) -> None:
    each = engine(shows_ids=False)
    for seed in range(30):
        answer = each.answer(
            [*PROMPT, seed],
            grammar=r"root ::= [\u0700-\u0FFF]{30}",
            temperature=9.0,
            seed=seed,
            top_k=0,
            top_p=1.0,
            max_tokens=200,
        )
        assert each.finishes["alone"]["finish"] == "stop"
        assert len(answer) == 30 and "\ufffd" not in answer


def test_a_control_token_is_never_written_as_text(engine: Callable[..., ToyEngine]) -> None:
    each = engine(shows_ids=False)
    header = each.vocabulary.named("<|start_header_id|>")
    text = 'root ::= "<|start_header_id|>"'
    assert header is not None and header not in each.vocabulary.ends

    for seed in range(20):
        answer = each.answer([*PROMPT, seed], grammar=text, temperature=2.0, top_k=0, seed=seed, max_tokens=40)
        assert answer == "<|start_header_id|>"


def test_a_dead_end_is_an_error_and_no_abort(engine: Callable[..., ToyEngine]) -> None:
    each = engine(shows_ids=False)

    answer = each.answer(PROMPT, grammar='root ::= "a" never\nnever ::= "\\x01" [^\\x00-\\UFFFFFFFF]', max_tokens=40)

    assert each.finishes["alone"]["finish"] == "error"
    assert answer == "a\x01"


@pytest.mark.parametrize(
    "text",
    [
        'root = "a"',
        "root ::= missing",
        'other ::= "a"',
        'root ::= root "a" | "b"',
        'root ::= "a',
        "root ::= [a",
        'root ::= "a"{5,2',
        "\0",
        'root ::= "a"\0',
        "?" * 100,
        'root ::= "' + "a" * MAX_GRAMMAR_BYTES + '"',
    ],
    ids=range(11),
)
def test_what_cannot_be_read_is_refused(toy: Model, text: str) -> None:
    with pytest.raises(InvalidGrammar):
        Grammar(Vocabulary(toy.vocab), text)
