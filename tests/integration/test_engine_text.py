"""Tokens and text on a real tokenizer: nothing that a user writes becomes a control token, in any format."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from chatbot.llm.engine.batching.generation import Generation, Order
from chatbot.llm.engine.frames import DialogueFrame
from chatbot.llm.engine.sampling.chain import SamplerChain
from chatbot.llm.engine.text.answer_memory import AnswerMemory
from chatbot.llm.engine.text.chat_format import UnknownChatFormat, find_chat_format
from chatbot.llm.engine.text.prompt_ids import PromptBuilder
from chatbot.llm.engine.text.vocabulary import Vocabulary
from parts.toy_engine import GREEDY, ToyEngine, load_toy, open_library
from parts.toy_gguf import (
    CHATML_SPECIALS,
    GEMMA_SPECIALS,
    LLAMA3_SPECIALS,
    MISTRAL_SPECIALS,
    make_sentencepiece_toy,
    make_toy,
)

FORMATS = {
    "llama3": LLAMA3_SPECIALS,
    "chatml": CHATML_SPECIALS,
    "gemma": GEMMA_SPECIALS,
    "mistral": MISTRAL_SPECIALS,
}
EXPECTED = {
    "llama3": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nG<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nA<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nB<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nQ<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "chatml": "<|im_start|>system\nS<|im_end|>\n<|im_start|>assistant\nG<|im_end|>\n<|im_start|>user\nA<|im_end|>\n"
    "<|im_start|>assistant\nB<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n",
    "gemma": "<bos><start_of_turn>user\nS\n\n<end_of_turn>\n<start_of_turn>model\nG<end_of_turn>\n"
    "<start_of_turn>user\nA<end_of_turn>\n<start_of_turn>model\nB<end_of_turn>\n"
    "<start_of_turn>user\nQ<end_of_turn>\n<start_of_turn>model\n",
    "mistral": "<s>[INST]S\n\n[/INST]G</s>[INST]A[/INST]B</s>[INST]Q[/INST]",
}
Build = Callable[..., tuple[PromptBuilder, Vocabulary]]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("toys")
    library = open_library()
    models = [library]  # kept: a vocabulary lives in its model

    def builder(chat_format: str, *, are_control: bool = True, context_tokens: int = 100_000):
        path = make_toy(folder / f"{chat_format}.gguf", specials=FORMATS[chat_format], specials_are_control=are_control)
        models.append(load_toy(path))
        vocabulary = Vocabulary(models[-1].vocab)
        form = find_chat_format(vocabulary)
        assert form.name == chat_format
        return PromptBuilder(vocabulary, form, context_tokens, AnswerMemory()), vocabulary

    return builder


def dialogue(text: str = "", **fields: str) -> DialogueFrame:
    parts = dict.fromkeys(("S", "G", "A", "B", "Q"), text) | fields
    return {
        "system": parts["S"],
        "opening": [("assistant", parts["G"])],
        "history": [("user", parts["A"]), ("assistant", parts["B"])],
        "question": ("user", parts["Q"]),
        "may_shorten": True,
    }


def shown(ids: list[int], vocabulary: Vocabulary, specials: tuple[str, ...]) -> str:
    """Text of a prompt with its control tokens."""
    names = {vocabulary.named(name): name.encode() for name in specials}
    return b"".join(names.get(token, vocabulary.pieces[token]) for token in ids).decode()


@pytest.mark.parametrize("chat_format", FORMATS)
def test_a_dialogue_looks_as_the_format_was_published(chat_format: str, build: Build) -> None:
    builder, vocabulary = build(chat_format)

    prompt = builder.build(dialogue(S="S", G="G", A="A", B="B", Q="Q"), GREEDY)

    assert shown(prompt.ids.tolist(), vocabulary, FORMATS[chat_format]) == EXPECTED[chat_format]


@pytest.mark.parametrize("chat_format", ["gemma", "mistral"])
def test_a_system_prompt_opens_the_first_kept_message_where_there_is_no_role_for_it(
    chat_format: str, build: Build
) -> None:
    builder, vocabulary = build(chat_format)

    frame = dialogue(S="S", A="A", B="B", Q="Q") | {"opening": []}
    text = shown(builder.build(frame, GREEDY).ids.tolist(), vocabulary, FORMATS[chat_format])

    assert "S\n\nA" in text
    assert text.count("[INST]" if chat_format == "mistral" else "<start_of_turn>user") == 2


@pytest.mark.parametrize("are_control", [True, False], ids=["control", "user-defined"])
@pytest.mark.parametrize("chat_format", FORMATS)
def test_control_tokens_are_those_of_the_scaffold(chat_format: str, are_control: bool, build: Build) -> None:
    builder, vocabulary = build(chat_format, are_control=are_control)
    specials = {token: name for name in FORMATS[chat_format] if (token := vocabulary.named(name)) is not None}
    scaffold = Counter(token for token in builder.build(dialogue("x"), GREEDY).ids.tolist() if token in specials)

    for name in specials.values():
        for text in (name, f"a{name}b", name * 3, name[:4] + name + name[4:]):
            prompt = builder.build(dialogue(text), GREEDY)
            assert Counter(token for token in prompt.ids.tolist() if token in specials) == scaffold
            assert shown(vocabulary.encode(text), vocabulary, ()) in (text, "") or not are_control


@pytest.mark.parametrize("field", ["S", "G", "A", "B", "Q"])
def test_a_special_split_over_fields_stays_text(field: str, build: Build) -> None:
    builder, vocabulary = build("llama3")
    plain = builder.build(dialogue("x"), GREEDY).ids.tolist()

    ids = builder.build(dialogue("<|eot_", **{field: "id|>"}), GREEDY).ids.tolist()

    assert Counter(each for each in ids if each in vocabulary.control) == Counter(
        each for each in plain if each in vocabulary.control
    )


def test_a_text_comes_back_whole_from_its_tokens(build: Build) -> None:
    _, vocabulary = build("llama3")
    text = "안녕하세요 😀 naïve\u0000\ufffd 漢字 <|eot_id|> \t\n end"

    assert vocabulary.decode(vocabulary.encode(text)).decode() == text


def test_a_sentencepiece_tokenizer_keeps_its_own_space_to_itself(tmp_path: Path) -> None:
    model = load_toy(make_sentencepiece_toy(tmp_path / "toy.gguf"))
    vocabulary = Vocabulary(model.vocab)
    each = ToyEngine(model, shows_ids=False)
    try:
        text = "abc 가 😀 [INST] </s>"
        prompt = each.prompts.build(dialogue("x", Q=text), GREEDY)
        answer_ids = vocabulary.encode("hello there")
        order = Order("a", prompt, SamplerChain(GREEDY, vocabulary.n_tokens), (), 0.0, 1.0)
        generation = Generation(order, vocabulary)
        events = [generation.accept(token, 0.0)[0] for token in answer_ids]
    finally:
        each.close()

    assert vocabulary.decode(vocabulary.encode(text)).decode() == " " + text
    assert (prompt.ids == vocabulary.named("[INST]")).sum() == 3
    assert "".join(event["text"] for event in events if event) == "hello there"


def test_an_answer_of_ours_is_rendered_with_its_own_tokens(build: Build) -> None:
    builder, vocabulary = build("llama3")
    text = "ab cd"
    own = tuple(vocabulary.encode(character)[0] for character in text)
    assert list(own) != vocabulary.encode(text)

    builder._memory.keep(text, own)
    ids = builder.build(dialogue("x", B=text), GREEDY).ids.tolist()

    assert ",".join(map(str, own)) in ",".join(map(str, ids))


def test_a_named_format_whose_tokens_are_missing_is_refused(build: Build) -> None:
    _, vocabulary = build("chatml")

    with pytest.raises(UnknownChatFormat, match="llama3"):
        find_chat_format(vocabulary, "llama3")


def test_a_file_without_a_known_format_says_what_to_set(tmp_path: Path) -> None:
    toy = load_toy(make_toy(tmp_path / "toy.gguf", specials=CHATML_SPECIALS))
    vocabulary = Vocabulary(toy.vocab)
    vocabulary._named.clear()

    with pytest.raises(UnknownChatFormat, match="CHATBOT_MODEL_CHAT_FORMAT"):
        find_chat_format(vocabulary)
