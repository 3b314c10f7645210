"""Which entries of a lorebook a conversation calls for, within the book's budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chatbot.core.characters.patterns import Pattern, pattern
from chatbot.domain.characters import Lorebook, LoreEntry
from chatbot.domain.chat import Message

MAX_SCANNED_CHARACTERS: Final = 4_000
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
    """Text that keys are looked for in.

    Attributes:
        folded: The same without upper case.
        pairs: All two characters that follow each other in either: most keys of a large book are told absent by them.
    """

    text: str
    folded: str
    pairs: frozenset[str]

    @classmethod
    def of(cls, texts: Sequence[str], depth: int, extra: str) -> "Scan":
        """The newest messages, so many of them, and no more of them than is looked through."""
        newest = "\n".join(texts[len(texts) - depth :] if depth < len(texts) else texts) if depth else ""
        text = f"{newest[-MAX_SCANNED_CHARACTERS:]}\n{extra[:MAX_SCANNED_CHARACTERS]}"
        folded = text.lower()
        both = (text,) if text == folded else (text, folded)
        return cls(text, folded, frozenset(one[at : at + 2] for one in both for at in range(len(one))))

    def has(self, key: str, *, is_case_sensitive: bool) -> bool:
        """Whether a word is in it; without upper case where that does not matter."""
        if len(key) > 1 and key[:2] not in self.pairs:
            return False
        return key in (self.text if is_case_sensitive else self.folded)


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
    """Keys of one entry, as they are looked for."""

    def __init__(self, entry: LoreEntry) -> None:
        self._entry = entry
        self._keys = self._prepared(entry.keys)
        self._secondary = self._prepared(entry.secondary_keys)
        self._excluded = self._words(entry.excluded_keys)

    def matches(self, text: Scan) -> bool:
        if not self._any(self._keys, text):
            return False
        if self._entry.is_selective and self._secondary and not self._any(self._secondary, text):
            return False
        return not self._any(self._excluded, text)

    def _prepared(self, keys: Sequence[str]) -> Sequence[str | Pattern]:
        if not self._entry.is_pattern:
            return self._words(keys)
        compiled = (pattern(key, is_case_sensitive=self._entry.is_case_sensitive) for key in keys)
        return [one for one in compiled if one is not None]

    def _words(self, keys: Sequence[str]) -> Sequence[str | Pattern]:
        return keys if self._entry.is_case_sensitive else [key.lower() for key in keys]

    def _any(self, keys: Sequence[str | Pattern], text: Scan) -> bool:
        return any(
            text.has(key, is_case_sensitive=self._entry.is_case_sensitive)
            if isinstance(key, str)
            else key.is_in(text.text)
            for key in keys
        )


def tokens_of(text: str) -> int:
    """About how many tokens a text has: three bytes a token, which is what Hangul takes and more than Latin does."""
    return len(text.encode()) // _BYTES_PER_TOKEN + 1
