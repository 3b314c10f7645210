"""What a prompt keeps: system, opening and question always; of the history the newest pairs; the cut moves rarely."""

from typing import Any

import pytest
from chatbot.llm.engine.frames import DialogueFrame, SamplingFrame
from chatbot.llm.engine.text.answer_memory import AnswerMemory
from chatbot.llm.engine.text.chat_format import ChatFormat
from chatbot.llm.engine.text.prompt_ids import DialogueTooLong, PromptBuilder

SAMPLING: SamplingFrame = {
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 1,
    "min_p": 0.0,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "penalty_last_n": 0,
    "seed": 0,
    "max_tokens": None,
    "stop": [],
}
ROLES = ("system", "user", "assistant")


class Letters:
    """One token per character."""

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]


def builder(context_tokens: int, *, has_system: bool = True) -> PromptBuilder:
    before = {role: (number,) for number, role in enumerate(ROLES)}
    after = dict.fromkeys(ROLES, (9,))
    form = ChatFormat("letters", (8,), before, after, has_system, frozenset({9}))
    vocabulary: Any = Letters()
    return PromptBuilder(vocabulary, form, context_tokens, AnswerMemory())


def dialogue(pairs: int = 0, **changes: Any) -> DialogueFrame:
    history = [(role, f"{role[0]}{number:08}") for number in range(pairs) for role in ("user", "assistant")]
    frame: DialogueFrame = {
        "system": "SYSTEM",
        "opening": [("assistant", "HELLO")],
        "history": history,
        "question": ("user", "QUESTION"),
        "may_shorten": True,
    }
    return {**frame, **changes}  # type: ignore[typeddict-item]


def text(ids: Any) -> str:
    return "".join(chr(token) if token > 31 else "|" for token in ids)


def test_everything_is_kept_where_it_fits() -> None:
    prompt = builder(1000).build(dialogue(2), SAMPLING)

    assert text(prompt.ids) == "||SYSTEM||HELLO||u00000000||a00000000||u00000001||a00000001||QUESTION||"
    assert prompt.shared_tokens == len("||SYSTEM||HELLO|")


@pytest.mark.parametrize(
    ("has_system", "asked"),
    [(True, "\x01QUESTION\x09\x00LATE\x09"), (False, "\x01QUESTION\n\nLATE\x09")],
    ids=["as a message", "in the question"],
)
def test_a_late_instruction_is_a_message_only_where_the_format_has_it(has_system: bool, asked: str) -> None:
    """Two messages of a user in a row are in no format without a system role (Gemma, Mistral)."""
    rounds = [("system", "LATE"), ("assistant", "CALL")]

    ids = builder(1000, has_system=has_system).build(dialogue(rounds=rounds), SAMPLING).ids

    assert "".join(map(chr, ids)).endswith(f"{asked}\x02CALL\x09\x02")


def test_oldest_pairs_go_first_and_the_frame_never() -> None:
    prompt = builder(200).build(dialogue(30), SAMPLING)

    shown = text(prompt.ids)
    assert shown.startswith("||SYSTEM||HELLO||u")
    assert shown.endswith("||a00000029||QUESTION||")
    assert "u00000000" not in shown
    assert len(prompt.ids) + prompt.max_tokens <= 200


def test_the_cut_stays_for_many_turns() -> None:
    each = builder(1000)
    firsts = [text(each.build(dialogue(pairs), SAMPLING).ids).split("||")[3] for pairs in range(20, 120)]

    assert len(set(firsts)) < 15
    assert firsts == sorted(firsts)


def test_a_shortened_history_keeps_about_two_thirds_or_more() -> None:
    each = builder(1000)
    budget = 1000 - 500 - len("||SYSTEM||HELLO|") - len("|QUESTION||")

    kept = [len(each.build(dialogue(pairs), SAMPLING).ids) - (500 - budget) for pairs in range(25, 120)]

    assert min(kept) >= 0.6 * budget
    assert max(kept) <= budget


def test_a_last_pair_that_fits_is_never_dropped() -> None:
    history = [("user", "x" * 20), ("assistant", "y" * 20), ("user", "a" * 190), ("assistant", "b" * 190)]

    shown = text(builder(1000).build(dialogue(history=history), SAMPLING).ids)

    assert "b" * 190 in shown


@pytest.mark.parametrize(
    ("context", "wanted", "expected"),
    [(4096, None, 1024), (1000, None, 500), (45, None, 18), (1000, 900, 900), (1000, 5, 5)],
    ids=["default", "half of the context", "what is left", "given and large", "given and small"],
)
def test_room_for_the_answer(context: int, wanted: int | None, expected: int) -> None:
    prompt = builder(context).build(dialogue(), SAMPLING | {"max_tokens": wanted})

    assert prompt.max_tokens == expected


@pytest.mark.parametrize(
    ("changes", "wanted", "field"),
    [
        ({"system": "s" * 300}, None, "system"),
        ({"opening": [("assistant", "g" * 300)]}, None, "system"),
        ({"question": ("user", "q" * 300)}, None, "question"),
        ({}, 190, "max_tokens"),
        ({"may_shorten": False, "history": [("user", "u" * 150), ("assistant", "a" * 50)]}, None, "history"),
    ],
    ids=["system", "opening", "question", "max_tokens", "history"],
)
def test_what_can_never_fit_is_named(changes: dict[str, Any], wanted: int | None, field: str) -> None:
    with pytest.raises(DialogueTooLong) as caught:
        builder(200).build(dialogue(**changes), SAMPLING | {"max_tokens": wanted})

    assert caught.value.field == field


def test_a_given_size_shortens_the_history_instead_of_the_answer() -> None:
    prompt = builder(200).build(dialogue(10), SAMPLING | {"max_tokens": 150})

    assert prompt.max_tokens == 150
    assert len(prompt.ids) <= 50


def test_a_system_prompt_survives_dropped_pairs_without_a_role_for_it() -> None:
    each = builder(200, has_system=False)

    prompt = each.build(dialogue(30, opening=[]), SAMPLING)

    assert text(prompt.ids).startswith("||SYSTEM\n\nu".replace("\n", "|"))
    assert len(prompt.ids) + prompt.max_tokens <= 200
