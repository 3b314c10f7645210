"""The lorebook of a card: entries, and decorators at the head of their content.

Source: https://github.com/kwaroran/character-card-spec-v3, "Lorebook" and "Decorators".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from chatbot.core.characters.cards.fields import Fields, Json
from chatbot.core.characters.cards.report import Report
from chatbot.core.characters.patterns import pattern
from chatbot.domain.characters import (
    MAX_LORE_ENTRIES,
    MAX_LORE_KEY_CHARACTERS,
    MAX_LORE_KEYS,
    MAX_LORE_PATTERNS,
    Lorebook,
    LoreEntry,
)
from chatbot.domain.errors import InvalidInput

BOOK: Final = "character_book"
MAX_SCAN_DEPTH: Final = 100
MAX_TOKEN_BUDGET: Final = 4_096
LAST_PRIORITY: Final = -1e9
_DECORATOR: Final = re.compile(r"(@{2,20})([a-z_]+)[ \t]*([^\n]*)(?:\n|$)")
_DEFAULT: Final = Lorebook()
Change = Callable[[LoreEntry, str], LoreEntry]


def read_lorebook(data: Fields) -> Lorebook:
    """The book in the data of a card.

    Raises:
        InvalidInput: It has too many entries, or one is too long.
    """
    book = data.child(BOOK)
    said = book.objects("entries")
    if len(said) > MAX_LORE_ENTRIES:
        raise InvalidInput(f"{book.path}entries", "too_many", maximum=MAX_LORE_ENTRIES)
    if book.flag("recursive_scanning"):
        data.report.warn("not_supported", f"{book.path}recursive_scanning")
    patterns = _Patterns(data.report)
    return Lorebook(
        tuple(_entry(one, f"{book.path}entries[{place}].", patterns) for place, one in enumerate(said)),
        book.count("scan_depth", _DEFAULT.scan_depth, MAX_SCAN_DEPTH),
        book.count("token_budget", _DEFAULT.token_budget, MAX_TOKEN_BUDGET),
    )


class _Patterns:
    """Counts the patterns of one book, and notes those that can never match."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._count = 0

    def usable(self, keys: tuple[str, ...], path: str) -> tuple[str, ...]:
        """The patterns that may match."""
        return tuple(key for key in keys if self._is_usable(key, path))

    def _is_usable(self, key: str, path: str) -> bool:
        if self._count >= MAX_LORE_PATTERNS:
            self.report.warn("patterns_cut", path)
            return False
        self._count += 1
        if pattern(key, is_case_sensitive=False) is None:
            self.report.warn("pattern_never_matches", path)
            return False
        return True


def _entry(said: Json, path: str, patterns: _Patterns) -> LoreEntry:
    fields = Fields(said, path, patterns.report)
    is_pattern = fields.flag("use_regex")
    entry = LoreEntry(
        content="",
        keys=_keys(fields, "keys"),
        secondary_keys=_keys(fields, "secondary_keys"),
        is_enabled=fields.flag("enabled", otherwise=True),
        is_constant=fields.flag("constant"),
        is_selective=fields.flag("selective"),
        is_pattern=is_pattern,
        is_case_sensitive=fields.flag("case_sensitive"),
        order=fields.number("insertion_order", 0.0),
        priority=fields.number("priority", 0.0),
        is_after=said.get("position") == "after_char",
    )
    entry = _decorated(entry, fields)
    if is_pattern:
        entry = replace(
            entry,
            keys=patterns.usable(entry.keys, f"{path}keys"),
            secondary_keys=patterns.usable(entry.secondary_keys, f"{path}secondary_keys"),
        )
    return entry


def _keys(fields: Fields, name: str) -> tuple[str, ...]:
    return _bounded(fields.texts(name), fields, name)


def _bounded(keys: tuple[str, ...], fields: Fields, name: str) -> tuple[str, ...]:
    kept = tuple(key for key in keys if len(key) <= MAX_LORE_KEY_CHARACTERS)[:MAX_LORE_KEYS]
    if len(kept) < len(keys):
        fields.report.warn("keys_cut", fields.path + name)
    return kept


def _decorated(entry: LoreEntry, fields: Fields) -> LoreEntry:
    """The entry with its content, and with what the decorators before that say.

    A decorator with one more `@` is the fallback of the one before it, for who does not know that.
    """
    text, at, is_done = fields.text("content"), 0, False
    while found := _DECORATOR.match(text, at):
        at = found.end()
        is_fallback = len(found[1]) > 2
        if is_fallback and is_done:
            continue
        change = _DECORATORS.get(found[2])
        is_done = change is not None
        if change is None:
            fields.report.warn("decorator_ignored", f"{fields.path}content @@{found[2]}")
        else:
            entry = change(entry, found[3].strip())
    return replace(
        entry,
        content=text[at:].strip(),
        secondary_keys=_bounded(entry.secondary_keys, fields, "content"),
        excluded_keys=_bounded(entry.excluded_keys, fields, "content"),
    )


def _listed(value: str) -> tuple[str, ...]:
    return tuple(filter(None, (one.strip() for one in value.split(","))))


def _whole(value: str, most: int) -> int:
    return min(most, int(value)) if value.isascii() and value.isdigit() and len(value) < 10 else 0


_DECORATORS: Final[Mapping[str, Change]] = {
    "activate": lambda entry, _value: replace(entry, is_constant=True),
    "dont_activate": lambda entry, _value: replace(entry, is_enabled=False),
    "activate_only_after": lambda entry, value: replace(entry, least_messages=_whole(value, 1_000_000)),
    "scan_depth": lambda entry, value: replace(entry, scan_depth=_whole(value, MAX_SCAN_DEPTH)),
    "additional_keys": lambda entry, value: replace(entry, secondary_keys=_listed(value), is_selective=True),
    "exclude_keys": lambda entry, value: replace(entry, excluded_keys=_listed(value)),
    "ignore_on_max_context": lambda entry, _value: replace(entry, priority=LAST_PRIORITY),
}


def lorebook_fields(book: Lorebook, before: Json) -> dict[str, Any]:
    """A book as a card has it, over the fields that it had before and that nobody here reads."""
    entries = [_entry_fields(entry) for entry in book.entries]
    return {
        "extensions": {},
        **before,
        "scan_depth": book.scan_depth,
        "token_budget": book.token_budget,
        "entries": entries,
    }


def _entry_fields(entry: LoreEntry) -> dict[str, Any]:
    decorators = [
        f"@@scan_depth {entry.scan_depth}" if entry.scan_depth is not None else "",
        f"@@activate_only_after {entry.least_messages}" if entry.least_messages else "",
        f"@@exclude_keys {','.join(entry.excluded_keys)}" if entry.excluded_keys else "",
    ]
    return {
        "keys": list(entry.keys),
        "secondary_keys": list(entry.secondary_keys),
        "content": "\n".join(filter(None, [*decorators, entry.content])),
        "enabled": entry.is_enabled,
        "constant": entry.is_constant,
        "selective": entry.is_selective,
        "use_regex": entry.is_pattern,
        "case_sensitive": entry.is_case_sensitive,
        "insertion_order": entry.order,
        "priority": entry.priority,
        "position": "after_char" if entry.is_after else "before_char",
        "extensions": {},
    }
