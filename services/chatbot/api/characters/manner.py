"""How a character speaks: the fields of `style`, `repair` and `speech`, of characters and of requests."""

from typing import Annotated, Final

from pydantic import Field

from chatbot.api.schemas import TextModel
from chatbot.api.style.fields import SpeechFields
from chatbot.domain.style.rules import (
    MAX_FORBIDDEN,
    MAX_FORBIDDEN_CHARACTERS,
    MAX_HOLD_BACK_CHARACTERS,
    MAX_STYLE_CHARACTERS,
    MAX_STYLE_SENTENCES,
    MAX_SUFFIX_CHARACTERS,
    MAX_SUFFIXES,
    MIN_STYLE_CHARACTERS,
    CharacterRepair,
    CharacterStyle,
    RepairMode,
    SentenceSuffix,
    Speech,
    StyleLanguage,
)

_Suffix = Annotated[str, Field(min_length=1, max_length=MAX_SUFFIX_CHARACTERS)]
_Phrase = Annotated[str, Field(min_length=1, max_length=MAX_FORBIDDEN_CHARACTERS)]
_USUAL: Final = CharacterRepair()


class SentenceSuffixFields(TextModel):
    """How sentences end, before marks and emoji."""

    any: list[_Suffix] = Field(
        [], max_length=MAX_SUFFIXES, description="One of these; the first is added where it is missing."
    )
    min_share: float = Field(SentenceSuffix().min_share, ge=0, le=1, description="Of the sentences that are spoken.")


class StyleFields(TextModel):
    """Rules that every answer is held to."""

    language: StyleLanguage = Field("", description="Of the answer, by its letters; empty is any.")
    sentence_suffix: SentenceSuffixFields = Field(
        SentenceSuffixFields(), examples=[{"any": ["냥", "다냥"], "min_share": 0.8}]
    )
    max_sentences: Annotated[int, Field(ge=1, le=MAX_STYLE_SENTENCES)] | None = None
    max_chars: Annotated[int, Field(ge=MIN_STYLE_CHARACTERS, le=MAX_STYLE_CHARACTERS)] | None = Field(
        None, description="Characters as people see them."
    )
    forbid: list[_Phrase] = Field(
        [], max_length=MAX_FORBIDDEN, description="Phrases that are never said.", examples=[["AI 언어 모델"]]
    )

    def style(self) -> CharacterStyle:
        """It as the core has it."""
        suffix = self.sentence_suffix
        return CharacterStyle(
            language=self.language,
            sentence_suffix=SentenceSuffix(tuple(suffix.any), suffix.min_share) if suffix.any else SentenceSuffix(),
            max_sentences=self.max_sentences,
            max_chars=self.max_chars,
            forbid=tuple(self.forbid),
        )


class RepairFields(TextModel):
    """What is done where an answer breaks a rule."""

    mode: RepairMode = Field(
        _USUAL.mode,
        description="edit: what can be changed without the model. edit_then_retry: it is asked once more besides.",
    )
    hold_back_chars: int = Field(
        _USUAL.hold_back_chars,
        ge=1,
        le=MAX_HOLD_BACK_CHARACTERS,
        description="Of a stream's first sentence: until then another answer can take its place.",
    )

    def repair(self) -> CharacterRepair:
        """It as the core has it."""
        return CharacterRepair(self.mode, self.hold_back_chars)


def style_fields(style: CharacterStyle) -> StyleFields:
    """Rules as they are told."""
    suffix = style.sentence_suffix
    return StyleFields.model_construct(
        language=style.language,
        sentence_suffix=SentenceSuffixFields.model_construct(any=list(suffix.any), min_share=suffix.min_share),
        max_sentences=style.max_sentences,
        max_chars=style.max_chars,
        forbid=list(style.forbid),
    )


def speech_fields(speech: Speech | None) -> SpeechFields | None:
    """How it is cut, as it is told."""
    if speech is None:
        return None
    return SpeechFields(max_chars=speech.max_chars, unit=speech.unit, markup=speech.markup)
