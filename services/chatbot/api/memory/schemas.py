"""The note and the pins of a conversation: fields, bounds, examples."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from chatbot.api.schemas import TextModel, printable
from chatbot.domain.memory.standing import MAX_DEPTH, MAX_NOTE_CHARACTERS, MAX_PIN_CHARACTERS, MAX_PINS


def _nfc(value: object) -> object:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


# As of notes in `/chat`: the bounds stand before what brings it to NFC.
_Pin = Annotated[
    str, Field(min_length=1, max_length=MAX_PIN_CHARACTERS), BeforeValidator(_nfc), AfterValidator(printable)
]


class NoteFields(TextModel):
    """A note; it takes the place of the one before."""

    text: str = Field(
        max_length=MAX_NOTE_CHARACTERS,
        description="How the conversation shall go on; empty removes it.",
        examples=["지금은 비 오는 밤이다. 짧게 답한다."],
    )
    depth: int = Field(
        0,
        ge=0,
        le=MAX_DEPTH,
        description="How many turns stand between it and the question; 0 is with the question. A deep one is told "
        "nearer where the model's context is short.",
    )


class PinsFields(TextModel):
    """Pins; they take the place of those before."""

    pins: list[_Pin] = Field(
        max_length=MAX_PINS,
        description="Facts that are told with every question, in this order; an empty list removes them.",
        examples=[["내 고양이 이름은 나비다", "견과류 알레르기가 있다"]],
    )


class ConversationNote(BaseModel):
    """The note; its text is empty where there is none."""

    text: str
    depth: int


class ContinuedConversation(BaseModel):
    """The new conversation. `turns` came along; of its summary, note and pins, what there was."""

    db_id: str
    turns: int
    has_summary: bool
    has_note: bool
    pins: int


class ConversationPins(BaseModel):
    """The pins. `told`: how many, from the first, the model is told now: what a quarter of its context holds."""

    pins: list[str]
    told: int
