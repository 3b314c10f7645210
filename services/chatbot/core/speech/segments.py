"""Cuts an answer into segments for a voice, as soon as its sentences end.

A segment ends with a sentence; where that is too long at a pause (comma, dash), else between words, else between two
characters as people see them. A break at a pause is not heard, one inside of a phrase is.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final
from xml.sax.saxutils import escape

from chatbot.core.speech.sayable import sayable
from chatbot.core.style.graphemes import graphemes
from chatbot.core.style.sentences import Scanner
from chatbot.domain.style.rules import Speech

_MEASURES: Final[Mapping[str, Callable[[str], int]]] = {
    "grapheme": lambda cluster: 1,
    "codepoint": len,
    "byte": lambda cluster: len(cluster.encode()),
}
_PAUSE: Final = re.compile(r"(?:[,;:](?=\s)|[、，；：·…‥—]|(?<=\s)[-–](?=\s))[)\]」』”’）]?")
_LEAST_SHARE: Final = 4
"""A pause is taken where at least one of so many parts of a segment stands before it."""


class Cutter:
    """One answer, cut while it comes."""

    def __init__(self, speech: Speech, language: str = "en") -> None:
        self._speech = speech
        self._language = language
        self._scanner = Scanner()
        self._pending = ""
        self._at = 0

    def feed(self, text: str) -> list[str]:
        """The segments that are known with this text."""
        self._pending += text
        made: list[str] = []
        for border in self._scanner.feed(text):
            cut = border.at - self._at
            made += self._cut(self._pending[:cut])
            self._pending = self._pending[cut:]
            self._at = border.at
        return made

    def end(self) -> list[str]:
        """The segments of what is left."""
        rest, self._pending = self._pending, ""
        return self._cut(rest)

    def _cut(self, sentence: str) -> list[str]:
        said = sayable(sentence, self._language)
        parts = _parts(said, self._speech) if said else ()
        return [_marked(part, self._speech) for part in parts]


def segments_of(text: str, speech: Speech, language: str = "en") -> tuple[str, ...]:
    """The segments of a whole answer."""
    cutter = Cutter(speech, language)
    return (*cutter.feed(text), *cutter.end())


def _marked(text: str, speech: Speech) -> str:
    """The text in its markup; what looks like markup in it is said, not obeyed."""
    return f"<speak>{escape(text)}</speak>" if speech.markup == "ssml" else text


def _parts(text: str, speech: Speech) -> Iterator[str]:
    """A sentence in parts that are short enough."""
    clusters = _short_clusters(text, speech)
    while clusters:
        fits = _fitting(clusters, speech)
        cut = fits if fits == len(clusters) else _place(clusters, fits)
        if part := "".join(clusters[:cut]).strip():
            yield part
        clusters = clusters[cut:]


def _short_clusters(text: str, speech: Speech) -> list[str]:
    """Characters; one that is longer than a whole segment in its code points."""
    measure = _MEASURES[speech.unit]
    return [
        part for cluster in graphemes(text) for part in ([cluster] if measure(cluster) <= speech.max_chars else cluster)
    ]


def _fitting(clusters: Sequence[str], speech: Speech) -> int:
    """How many of them one segment takes."""
    sizes = accumulate(map(_MEASURES[speech.unit], clusters))
    return next((n for n, size in enumerate(sizes) if size > speech.max_chars), len(clusters))


def _place(clusters: Sequence[str], fits: int) -> int:
    """Where a sentence that does not fit is cut: at most so far."""
    text, ends = "".join(clusters[: fits + 1]), list(accumulate(map(len, clusters[: fits + 1])))
    pauses = [found.end() for found in _PAUSE.finditer(text)]
    usual = [n for n, end in enumerate(ends[:fits], start=1) if end in set(pauses) and n * _LEAST_SHARE >= fits]
    if usual:
        return usual[-1]
    spaces = [n for n in range(1, fits + 1) if clusters[n].isspace()]
    return spaces[-1] if spaces else fits
