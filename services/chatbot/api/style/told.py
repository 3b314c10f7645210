"""Rules that an answer broke and its segments, in the words that every endpoint uses for them."""

from typing import Any, Final

from chatbot.core.question import Done, SpeechSegment

STYLE_HEADER: Final = "X-Style-Violations"


def style_fields(done: Done) -> dict[str, Any]:
    """What the end of an answer says besides; nothing where there are no rules, and nothing is cut."""
    told: dict[str, Any] = {}
    if done.violations is not None:
        told["style_violations"] = list(done.violations)
    if done.segments is not None:
        told["segments"] = list(done.segments)
    return told


def speech_fields(segment: SpeechSegment) -> dict[str, Any]:
    """One segment of a stream."""
    return {"index": segment.index, "text": segment.text, "last": segment.is_last}
