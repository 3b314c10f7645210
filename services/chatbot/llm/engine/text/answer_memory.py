"""Remembers the token ids of recent answers, so that a history is rendered with the ids that are resident already.

The same text often has several tokenisations, and a model does not always generate the tokenizer's own. Rendered
anew, the next turn would differ from the resident prefix at the answer's first such token.
"""

import hashlib
from collections import OrderedDict


class AnswerMemory:
    """Ids by the hash of the text; the least recently used ones go first. Holds no text."""

    def __init__(self, max_tokens: int = 262_144) -> None:
        """Remember answers of at most `max_tokens` tokens together."""
        self._max_tokens = max_tokens
        self._n_tokens = 0
        self._ids: OrderedDict[bytes, tuple[int, ...]] = OrderedDict()

    def keep(self, text: str, ids: tuple[int, ...]) -> None:
        """Remember the ids of a text."""
        key = _key(text)
        self._n_tokens += len(ids) - len(self._ids.pop(key, ()))
        self._ids[key] = ids
        while self._n_tokens > self._max_tokens:
            _, dropped = self._ids.popitem(last=False)
            self._n_tokens -= len(dropped)

    def recall(self, text: str) -> tuple[int, ...] | None:
        """Ids of a text, or None."""
        key = _key(text)
        ids = self._ids.get(key)
        if ids is not None:
            self._ids.move_to_end(key)
        return ids


def _key(text: str) -> bytes:
    return hashlib.sha256(text.strip().encode("utf-8", "replace")).digest()
