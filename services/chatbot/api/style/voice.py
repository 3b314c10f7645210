"""An answer for a voice: its segments as events of a stream, and all together at its end."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from chatbot.core.question import AnswerEvent, Done, SpeechSegment
from chatbot.core.speech.segments import Cutter, segments_of
from chatbot.domain.generation import TextPiece
from chatbot.domain.style.rules import Speech


class Voice:
    """The events of one answer, with segments where they were asked for.

    Args:
        speech: None: without.
        language: Of the word for a link, where a sentence does not tell.
    """

    def __init__(self, speech: Speech | None, language: str) -> None:
        self._speech = speech
        self._language = language
        self._cutter = None if speech is None else Cutter(speech, language)
        self._said: list[str] = []

    def whole(self, done: Done) -> Done:
        """The end of an answer in one piece."""
        if self._speech is None:
            return done
        return replace(done, segments=segments_of(done.text, self._speech, self._language))

    def events(self, event: AnswerEvent) -> Iterator[AnswerEvent]:
        """An event of a stream, and the segments that are known with it; the last one stands before the end."""
        if self._cutter is None:
            yield event
        elif isinstance(event, TextPiece):
            yield event
            yield from self._segments(self._cutter.feed(event.text), is_end=False)
        elif isinstance(event, Done):
            yield from self._segments(self._cutter.end() or [""], is_end=True)
            yield replace(event, segments=tuple(filter(None, self._said)))
        else:
            yield event

    def _segments(self, texts: Iterable[str], *, is_end: bool) -> Iterator[SpeechSegment]:
        made = list(texts)
        for number, text in enumerate(made, start=1):
            yield SpeechSegment(len(self._said), text, is_last=is_end and number == len(made))
            self._said.append(text)
