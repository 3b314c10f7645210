"""Which entries of a lorebook a conversation calls for, within the book's budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chatbot.core.characters.patterns import Pattern, pattern
from chatbot.domain.characters import Lorebook, LoreEntry
from chatbot.domain.chat import Message

MAX_SCANNED_CHARACTERS: Final = 8_000
"""Of the newest messages; bounds the time that a book of 20,000 keys takes."""

_BYTES_PER_TOKEN: Final = 3


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a book.

    Attributes:
        entries: Numbers in the book, in the order in which they are told.
        trimmed: Numbers of those that the budget had no room for.
    """

    entries: tuple[int, ...]
    trimmed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """Text that keys are looked for in; `folded` is the same without upper case."""

    text: str
    folded: str

    @classmethod
    def of(cls, texts: Sequence[str], depth: int, extra: str) -> "Scan":
        """The newest messages, so many of them, and no more of them than is looked through."""
        newest = "\n".join(texts[len(texts) - depth :] if depth < len(texts) else texts) if depth else ""
        text = f"{newest[-MAX_SCANNED_CHARACTERS:]}\n{extra[:MAX_SCANNED_CHARACTERS]}"
        return cls(text, text.lower())

    def has(self, key: str, *, is_case_sensitive: bool) -> bool:
        """Whether a word is in it."""
        return key in self.text if is_case_sensitive else key.lower() in self.folded


class LoreMatcher:
    """A lorebook with its patterns compiled.

    Args:
        book: The book; patterns that RE2 cannot have match nothing.
    """

    def __init__(self, book: Lorebook) -> None:
        self.book = book
        self._matchers = [_Matcher(entry) for entry in book.entries]

    def told(self, said: Sequence[Message], extra: str = "") -> Told:
        """The entries to tell, the book's order first.

        Args:
            said: Messages, oldest first, the question last.
            extra: Text that is looked through besides, whatever the depth: hidden keys of the character.
        """
        texts = [message.content for message in said if message.role != "system"]
        answers = sum(message.role == "assistant" for message in said)
        scans: dict[int, Scan] = {}
        called: list[int] = []
        for number, entry in enumerate(self.book.entries):
            if not entry.is_enabled or not entry.content or answers < entry.least_messages:
                continue
            depth = self.book.scan_depth if entry.scan_depth is None else entry.scan_depth
            if depth not in scans:
                scans[depth] = Scan.of(texts, depth, extra)
            if entry.is_constant or self._matchers[number].matches(scans[depth]):
                called.append(number)
        return self._within_budget(called)

    def _within_budget(self, called: Sequence[int]) -> Told:
        """Those that fit, the most important first; constant ones before others."""
        entries = self.book.entries
        by_rank = sorted(called, key=lambda n: (not entries[n].is_constant, -entries[n].priority, entries[n].order, n))
        left, kept, seen = self.book.token_budget, set(), set[str]()
        for number in by_rank:
            content = entries[number].content
            size = tokens_of(content)
            if content in seen:  # a text is told once, however many entries say it
                continue
            if size <= left:
                left -= size
                kept.add(number)
                seen.add(content)
        in_order = sorted(kept, key=lambda n: (entries[n].is_after, entries[n].order, n))
        trimmed = tuple(n for n in called if n not in kept and entries[n].content not in seen)
        return Told(tuple(in_order), trimmed)


class _Matcher:
    """Keys of one entry."""

    def __init__(self, entry: LoreEntry) -> None:
        self._entry = entry
        self._patterns: dict[str, Pattern | None] = {}
        if entry.is_pattern:
            keys = (*entry.keys, *entry.secondary_keys)
            self._patterns = {key: pattern(key, is_case_sensitive=entry.is_case_sensitive) for key in keys}

    def matches(self, text: Scan) -> bool:
        entry = self._entry
        if not self._any(entry.keys, text):
            return False
        if entry.is_selective and entry.secondary_keys and not self._any(entry.secondary_keys, text):
            return False
        return not any(text.has(key, is_case_sensitive=entry.is_case_sensitive) for key in entry.excluded_keys)

    def _any(self, keys: Sequence[str], text: Scan) -> bool:
        if self._entry.is_pattern:
            return any(found.is_in(text.text) for key in keys if (found := self._patterns[key]) is not None)
        return any(text.has(key, is_case_sensitive=self._entry.is_case_sensitive) for key in keys)


def tokens_of(text: str) -> int:
    """About how many tokens a text has: three bytes a token, which is what Hangul takes and more than Latin does."""
    return len(text.encode()) // _BYTES_PER_TOKEN + 1
