"""What requests and characters say of voices."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from chatbot.domain.style.rules import MAX_SPEECH, MIN_SPEECH, Speech, SpeechMarkup, SpeechUnit

_USUAL: Final = Speech()


class SpeechFields(BaseModel):
    """How the answer is cut for a voice: at the ends of sentences, else at pauses, words, characters."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    max_chars: int = Field(_USUAL.max_chars, ge=MIN_SPEECH, le=MAX_SPEECH, description="Of one segment, in units.")
    unit: SpeechUnit = Field(_USUAL.unit, description="grapheme: characters as people see them; byte: of UTF-8.")
    markup: SpeechMarkup = Field(
        _USUAL.markup, description="strip: plain text; ssml: that text, escaped, in a `speak` element."
    )

    def speech(self) -> Speech:
        """It as the core has it."""
        return Speech(self.max_chars, self.unit, self.markup)


SPEECH: Final = Field(
    None,
    description="Cut the answer into segments that a voice can say: without actions, markup, code, links and emoji.",
)
