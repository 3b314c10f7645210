"""The grammars in llama.cpp itself, token by token on a real tokenizer: it takes them, keeps them, and ends them."""

import ctypes
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import llama_cpp
import pytest
from chatbot.llm.engine.native.model import Model
from chatbot.llm.engine.text.vocabulary import Vocabulary
from chatbot.llm.grammar import Calls, Tool, call_grammar, decision_grammar
from parts.gbnf import Grammar
from parts.toy_engine import load_toy, open_library
from parts.toy_gguf import make_toy

MOST_TOKENS = 600
TOOLS = {
    "book": {
        "type": "object",
        "properties": {
            "누구": {"type": "string", "minLength": 1, "maxLength": 6},
            "seats": {"type": "array", "items": {"$ref": "#/$defs/seat"}, "minItems": 1, "maxItems": 3},
            "note": {"type": ["string", "null"], "maxLength": 12},
            "price": {"type": "number"},
        },
        "required": ["누구", "seats"],
        "additionalProperties": False,
        "$defs": {
            "seat": {
                "type": "object",
                "properties": {"row": {"type": "integer", "minimum": 0}, "side": {"enum": ["窓", "aisle", None]}},
                "required": ["row", "side"],
                "additionalProperties": False,
            }
        },
    },
    "now": {"type": "object", "properties": {}, "additionalProperties": False},
    "either": {
        "type": "object",
        "properties": {"x": {"anyOf": [{"type": "boolean"}, {"const": "quote \" back \\ line \n"}]}},
        "additionalProperties": False,
    },
}  # fmt: skip
LONG = {"type": "object", "properties": {"t": {"type": "string", "maxLength": 500}}, "required": ["t"]}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Model, Vocabulary]]:
    library = open_library()
    model = load_toy(make_toy(tmp_path_factory.mktemp("toy") / "toy.gguf"))
    yield model, Vocabulary(model.vocab)
    assert library


class Constrained:
    """llama.cpp's own sampler of a grammar."""

    def __init__(self, model: Model, vocabulary: Vocabulary, grammar: str) -> None:
        self.vocabulary = vocabulary
        self._sampler = llama_cpp.llama_sampler_init_grammar(model.vocab, grammar.encode(), b"root")
        assert self._sampler, "llama.cpp takes the grammar"

    def close(self) -> None:
        llama_cpp.llama_sampler_free(self._sampler)

    def allowed(self, tokens: list[int]) -> list[int]:
        """Those that may come next."""
        data = (llama_cpp.llama_token_data * len(tokens))()
        for place, token in enumerate(tokens):
            data[place].id, data[place].logit, data[place].p = token, 0.0, 0.0
        array = llama_cpp.llama_token_data_array(data, len(tokens), -1, False)
        llama_cpp.llama_sampler_apply(self._sampler, ctypes.byref(array))
        return [data[place].id for place in range(len(tokens)) if data[place].logit > float("-inf")]

    def take(self, token: int) -> None:
        llama_cpp.llama_sampler_accept(self._sampler, token)

    def accepts(self, text: str) -> bool:
        """Whether a text and then the end may be written."""
        for token in self.vocabulary.encode(text):
            if not self.allowed([token]):
                return False
            self.take(token)
        return bool(self.allowed(sorted(self.vocabulary.ends)))

    def wander(self, rng: random.Random) -> str | None:
        """A text of random allowed tokens, as a model without sense would write it; None where it never ends.

        Bytes are among them. Longer forms of short characters (0xE0 0x80 0x80) are the one kind of bad UTF-8 that
        llama.cpp takes for a character; a tokenizer's own bytes 0xE0 and 0xF0 are left out for that.
        """
        leads = {b"\xe0", b"\xf0"}
        pieces = self.vocabulary.pieces
        plain = [n for n, piece in enumerate(pieces) if n not in self.vocabulary.control and piece not in leads]
        quote = self.vocabulary.encode('"')
        written: list[int] = []
        while len(written) < MOST_TOKENS:
            if self.allowed(sorted(self.vocabulary.ends)):
                return self.vocabulary.decode(written).decode()
            closing = self.allowed(quote)
            token = quote[0] if closing and rng.random() < 0.3 else rng.choice(self.allowed(plain))
            self.take(token)
            written.append(token)
        return None


def tools() -> list[Tool]:
    return [Tool(name, schema) for name, schema in TOOLS.items()]


@pytest.mark.parametrize("calls", [Calls(), Calls(1, 1), Calls(2, 4)])
def test_llama_takes_what_follows_the_grammar(vocabulary: tuple[Model, Vocabulary], calls: Calls) -> None:
    text = decision_grammar(tools(), calls)
    second_opinion, rng = Grammar(text), random.Random(1)
    for _ in range(20):
        made = second_opinion.made(rng)
        sampler = Constrained(*vocabulary, text)
        assert sampler.accepts(made), made
        sampler.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "other", "arguments": {}},
        {"name": "now", "arguments": {"x": 1}},
        {"name": "book", "arguments": {"누구": "a"}},
        {"name": "book", "arguments": {"누구": "", "seats": [{"row": 1, "side": None}]}},
        {"name": "book", "arguments": {"누구": "a" * 7, "seats": [{"row": 1, "side": None}]}},
        {"name": "book", "arguments": {"누구": "a", "seats": [{"row": 1, "side": "door"}]}},
        {"name": "either", "arguments": {"x": None}},
    ],
)
def test_llama_refuses_what_does_not(vocabulary: tuple[Model, Vocabulary], wrong: dict[str, Any]) -> None:
    text = call_grammar(tools())
    right = Constrained(*vocabulary, text)
    assert right.accepts('{"name": "now", "arguments": {}}')
    sampler = Constrained(*vocabulary, text)

    assert not sampler.accepts(json.dumps(wrong, ensure_ascii=False))

    right.close()
    sampler.close()


def test_random_tokens_under_the_grammar_are_always_a_valid_call(vocabulary: tuple[Model, Vocabulary]) -> None:
    text = call_grammar(tools())
    validators = {name: jsonschema_rs.Draft202012Validator(schema) for name, schema in TOOLS.items()}
    ended = []
    for seed in range(15):
        sampler = Constrained(*vocabulary, text)
        written = sampler.wander(random.Random(seed))
        sampler.close()
        if written is not None:
            call = json.loads(written)
            assert set(call) == {"name", "arguments"}
            assert validators[call["name"]].is_valid(call["arguments"]), written
            ended.append(call["name"])

    assert len(ended) >= 10 and len(set(ended)) > 1


@pytest.mark.parametrize("length", [0, 499, 500, 501, 2100])
def test_longest_counted_string_is_counted_by_llama_too(vocabulary: tuple[Model, Vocabulary], length: int) -> None:
    sampler = Constrained(*vocabulary, call_grammar([Tool("t", LONG)]))

    assert sampler.accepts(json.dumps({"name": "t", "arguments": {"t": "가" * length}}, ensure_ascii=False)) == (
        length <= 500
    )
    sampler.close()


def test_as_many_and_large_tools_as_may_be_are_taken(vocabulary: tuple[Model, Vocabulary]) -> None:
    properties = {f"p{n}": {"type": "string", "maxLength": 500} for n in range(30)}
    many = [Tool(f"tool_{n}", {"type": "object", "properties": properties}) for n in range(64)]
    sampler = Constrained(*vocabulary, decision_grammar(many))

    assert sampler.accepts('{"calls": [{"name": "tool_63", "arguments": {"p29": "x"}}]}')
    sampler.close()


def test_control_tokens_may_be_written_where_their_text_fits(
    vocabulary: tuple[Model, Vocabulary], tmp_path: Path
) -> None:
    """Why whoever samples must keep control tokens out: llama.cpp compares their text like any other."""
    model, words = vocabulary
    schema = {"type": "object", "properties": {"x": {"const": "<|start_header_id|>"}}, "required": ["x"]}
    sampler = Constrained(model, words, call_grammar([Tool("t", schema)]))
    for token in words.encode('{"name": "t", "arguments": {"x": "'):
        sampler.take(token)
    header = words.named("<|start_header_id|>")
    assert header is not None

    assert header in words.control
    assert sampler.allowed([header]) == [header]
    sampler.close()
