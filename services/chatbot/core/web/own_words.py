"""What of a query may leave the house: words that the user wrote.

A model writes queries from all that it was told, and some of that is text of others, or of other conversations' making.
So a query is a choice among the user's own words; nothing can be put into it that was not among them (the action
selector of arXiv 2506.08837).
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

_MOST_AT_ONCE: Final = 20  # characters; no word is longer
_WORDS: Final = re.compile(r"\w+")
_JOINED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]+")
_MARKS: Final = ".,;:!?()[]{}<>\"'`。、，！？「」『』（）·…~"


def own_words(query: str, said: Sequence[str]) -> str:
    """The words of a query that the user said; the last message where none of them was.

    Args:
        query: As the model wrote it.
        said: The user's messages, the question last; at least one.
    """
    text = " ".join(map(_folded, said))
    written = frozenset(part for word in text.split() for part in (word.strip(_MARKS), *_WORDS.findall(word)))
    kept = [word for word in query.split() if _is_own(_folded(word).strip(_MARKS), text, written)]
    return " ".join(kept or said[-1].split())


def _is_own(word: str, text: str, written: frozenset[str]) -> bool:
    """Whether a word was said; what has no letters that part words by spaces may be a part of one, or of several."""
    if not word or word in written:
        return bool(word)
    if not _JOINED.fullmatch(word):
        return False
    while word:
        size = next((size for size in range(min(len(word), _MOST_AT_ONCE), 1, -1) if word[:size] in text), 0)
        if not size:
            return False
        word = word[size:]
    return True


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
