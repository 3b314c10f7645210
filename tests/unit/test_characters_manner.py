"""Rules of how a character speaks: in cards, in the API's fields, and in the revision."""

from dataclasses import replace
from typing import Any

import pytest
from chatbot.core.characters.cards.reading import read_card
from chatbot.core.characters.cards.report import Report
from chatbot.core.characters.cards.writing import card_of, converted
from chatbot.domain.characters import Character
from chatbot.domain.style.rules import CharacterRepair, CharacterStyle, SentenceSuffix, Speech
from parts.card_zoo import v3

NABI = Character(
    "나비",
    style=CharacterStyle("ko", SentenceSuffix(("냥", "다냥"), 0.9), 3, 200, ("AI 언어 모델",)),
    repair=CharacterRepair("edit", 30),
    speech=Speech(60, "byte", "ssml"),
)


def test_rules_survive_a_card_and_other_peoples_extensions_stay() -> None:
    before = v3(extensions={"depth_prompt": {"depth": 4}, "chatbot": {"theirs": 1, "style": {"language": "en"}}})

    card = card_of(NABI, before)

    for version in ("v2", "v3"):
        read = read_card(converted(card, version), Report())  # type: ignore[arg-type]
        assert (read.style, read.repair, read.speech) == (NABI.style, NABI.repair, NABI.speech)
    extensions = card["data"]["extensions"]
    assert extensions["depth_prompt"] == {"depth": 4}
    assert extensions["chatbot"]["theirs"] == 1
    without = card_of(Character("나비"), card)["data"]["extensions"]
    assert without == {"depth_prompt": {"depth": 4}, "chatbot": {"theirs": 1}}


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"style": {"language": "tlh"}}, "style.language"),
        ({"style": {"language": ["ko"]}}, "style.language"),
        ({"style": {"max_sentences": 0}}, "style.max_sentences"),
        ({"style": {"max_sentences": True}}, "style.max_sentences"),
        ({"style": {"max_chars": 10**9}}, "style.max_chars"),
        ({"style": {"forbid": ["x" * 201]}}, "style.forbid"),
        ({"style": {"forbid": [str(n) for n in range(60)]}}, "style.forbid"),
        ({"style": {"sentence_suffix": {"any": ["냥"], "min_share": 2}}}, "style.sentence_suffix.min_share"),
        ({"repair": {"mode": "pray"}}, "repair.mode"),
        ({"repair": {"hold_back_chars": 10_000}}, "repair.hold_back_chars"),
        ({"speech": {"max_chars": 1}}, "speech.max_chars"),
        ({"speech": {"unit": "furlong"}}, "speech.unit"),
    ],
)
def test_what_cannot_be_used_of_a_card_is_noted(said: dict[str, Any], place: str) -> None:
    report = Report()

    read_card(v3(extensions={"chatbot": said}), report)

    noted = [(note.code, note.place) for note in report.warnings if "extensions" in note.place]
    assert noted == [("wrong_value", f"data.extensions.chatbot.{place}")]


def test_a_character_without_rules_keeps_the_revision_it_had_before_there_were_any() -> None:
    assert Character("나비", description="a cat").revision == "67c57b286870f6a7"
    assert NABI.revision != Character("나비").revision
    assert replace(NABI, speech=None).revision != NABI.revision
