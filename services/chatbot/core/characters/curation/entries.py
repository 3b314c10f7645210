"""From what a file says to curated characters. One entry that is wrong costs that one alone its change."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Protocol

from chatbot.core.characters.cards.reading import read_card
from chatbot.core.characters.cards.report import Note, Report
from chatbot.core.characters.cards.writing import card_of
from chatbot.core.characters.casting import is_name
from chatbot.core.characters.lore import tokens_of
from chatbot.core.characters.persona import Persona
from chatbot.domain.characters import Character, KeptCharacter
from chatbot.domain.curation.curated import (
    MOST_CURATED,
    MOST_NOTES,
    CuratedCharacter,
    Curation,
    CurationProblem,
)
from chatbot.domain.errors import InvalidInput, MalformedBody
from chatbot.domain.outside.strict_json import check_depth

OWN_FIELDS: Final = ("name", "generation", "uid", "tenants", "card", "cardDigest")
"""Of an entry; the others are those of a character."""

MOST_TENANTS: Final = 100
_DIGEST_CHARACTERS: Final = 16
_MOST_LEVELS: Final = 33
"""An entry around a card of 32 levels."""


class EntryWords(Protocol):
    """How entries are read and what is said about them."""

    def character(self, fields: Mapping[str, Any]) -> Character:
        """The character that fields of an entry say.

        Raises:
            InvalidInput: One is wrong, or nobody knows it; the error names it as the entry does.
        """

    def problem(self, error: InvalidInput | MalformedBody) -> str:
        """What is wrong and what to do, for whoever wrote the entry."""

    def note(self, note: Note) -> str:
        """What has no effect, and where."""


@dataclass(frozen=True, slots=True)
class EntryReader:
    """Reads files of curated characters.

    Args:
        words: How.
        now: UTC.
    """

    words: EntryWords
    now: Callable[[], datetime]

    def read(self, document: Any, before: Curation) -> Curation:
        """What a file says now.

        Args:
            document: Its values.
            before: What it said before: entries that did not change are not read again, those that are wrong now stay.

        Raises:
            ValueError: It is no list of characters, or two have one name.
        """
        entries = _listed(document)
        characters: dict[str, CuratedCharacter] = {}
        problems: dict[str, CurationProblem] = {}
        for entry in entries:
            name, uid = entry["name"], str(entry.get("uid", ""))
            old = before.characters.get(name)
            if old is not None and old.uid != uid:
                old = None  # another object of that name
            try:
                characters[name] = self._character(name, entry, old)
            except (InvalidInput, MalformedBody) as error:
                where = "" if isinstance(error, InvalidInput) else "card: " if "card" in entry else "the entry: "
                problems[name] = CurationProblem(name, uid, where + self.words.problem(error))
                if old is not None:
                    characters[name] = replace(old, entry="")
        return Curation(MappingProxyType(characters), MappingProxyType(problems))

    def _character(self, name: str, entry: Mapping[str, Any], old: CuratedCharacter | None) -> CuratedCharacter:
        digest = _digest(entry)
        if old is not None and old.entry == digest:
            return old
        if not is_name(name):
            raise InvalidInput("name", "bad_character_name", maximum=63)
        tenants = _tenants(entry.get("tenants"))
        report = Report()
        card = self._card(entry)
        character = read_card(card, report)
        persona = Persona.of(name, character.revision, character)
        return CuratedCharacter(
            kept=KeptCharacter(name, character.revision, card, self.now(), is_read_only=True),
            display_name=character.display_name,
            tenants=tenants,
            generation=_count(entry.get("generation")),
            uid=str(entry.get("uid", "")),
            card=str(entry.get("cardDigest", "")),
            language=persona.language,
            tokens=tokens_of(character.system + persona.who + persona.examples),
            notes=tuple(self.words.note(note) for note in report.warnings[:MOST_NOTES]),
            entry=digest,
        )

    def _card(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        fields = {name: value for name, value in entry.items() if name not in OWN_FIELDS}
        card = entry.get("card")
        if card is None:
            return card_of(self.words.character(fields), None)
        if fields:
            raise InvalidInput(min(fields), "not_with_card")
        if not isinstance(card, dict):
            raise InvalidInput("card", "not_object")
        return card


def _listed(document: Any) -> list[Mapping[str, Any]]:
    """The entries, each with a name of its own.

    Raises:
        ValueError: They are no such list.
    """
    if document is None:
        return []
    if not isinstance(document, dict) or set(document) - {"characters"}:
        raise ValueError("the file: an object with `characters`, a list, and nothing else")
    entries = document.get("characters") or []
    if not isinstance(entries, list) or len(entries) > MOST_CURATED:
        raise ValueError(f"characters: a list of at most {MOST_CURATED} characters")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"]:
            raise ValueError(f"characters[{number}]: an object with a name")
    names = [entry["name"] for entry in entries]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"characters: {twice[:64]} is there twice; leave one of them out")
    return entries


def _digest(entry: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(entry, ensure_ascii=False, allow_nan=False, sort_keys=True).encode()
    except (ValueError, TypeError, RecursionError):  # NaN, a date of YAML, half of a character
        raise MalformedBody("not_json") from None
    check_depth(entry, _MOST_LEVELS)
    return hashlib.sha256(text).hexdigest()[:_DIGEST_CHARACTERS]


def _tenants(said: Any) -> frozenset[str]:
    if said is None:
        return frozenset()
    if not isinstance(said, list) or not said or not all(isinstance(one, str) and one for one in said):
        raise InvalidInput("tenants", "bad_tenants")
    if len(said) > MOST_TENANTS:
        raise InvalidInput("tenants", "too_many", maximum=MOST_TENANTS)
    return frozenset(said)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
