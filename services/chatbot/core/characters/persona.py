"""A character made ready to play: everything that is the same for all users, expanded once.

That part stands first in every prompt and is the same byte for byte, whoever talks, so that the engine computes it
once for all of them (ADR 0022). Names of users and what a conversation calls for come late.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from chatbot.core.characters.lore import LoreMatcher
from chatbot.core.characters.macros import Macros, hidden_keys
from chatbot.core.language import language_of
from chatbot.domain.characters import Character, LoreEntry

_USER_WORDS: Final[Mapping[str, str]] = {"ko": "사용자", "ja": "ユーザー", "en": "User"}
_START: Final = re.compile(r"^[ \t]*<START>[ \t]*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Persona:
    """A revision of a character, ready to play.

    Attributes:
        name: Of the character in its tenant.
        language: That its texts are written in: ko, ja or en.
        texts: Part -> its stable text: description, personality, scenario, lore, examples; empty ones are left out.
        system: Of the card, where the service's system prompt stands as `{{original}}` still; "" is the service's.
        matcher: Its lorebook.
        constant: Entries whose text is in `texts` already.
        hidden: What is looked through for lore and shown to nobody.
    """

    name: str
    revision: str
    character: Character
    language: str
    texts: Mapping[str, str]
    system: str
    matcher: LoreMatcher
    constant: frozenset[int]
    hidden: str

    @classmethod
    def of(cls, name: str, revision: str, character: Character) -> "Persona":
        """Make a character ready: bounded work, in proportion to its texts."""
        written = "".join((character.description, *character.greetings[:1], character.examples))
        language = language_of(written[:4_000], "ko")
        matcher = LoreMatcher(character.lorebook)
        stable = [n for n in matcher.told(()).entries if _is_stable(character.lorebook.entries[n])]
        told = {
            "description": character.description,
            "personality": _labelled("Personality", character.personality),
            "scenario": _labelled("Scenario", character.scenario),
            "lore": "\n".join(character.lorebook.entries[n].content for n in stable),
            "examples": _labelled("Examples of this way of speaking", _START.sub("---", character.examples), "\n"),
        }
        texts = {
            part: made
            for part, text in told.items()
            if (made := Macros(character.display_name, _USER_WORDS[language], revision + part).expand(text).strip())
        }
        return cls(
            name=name,
            revision=revision,
            character=character,
            language=language,
            texts=texts,
            system=character.system,
            matcher=matcher,
            constant=frozenset(stable),
            hidden=hidden_keys(character.description),
        )

    @property
    def played(self) -> str:
        """What a turn says of who answered it."""
        return f"{self.name}@{self.revision}"

    @property
    def user_word(self) -> str:
        """What `{{user}}` is where nobody says how the user is called."""
        return _USER_WORDS[self.language]

    @property
    def who(self) -> str:
        """Description, personality, scenario and what is always told of the lorebook."""
        return "\n\n".join(text for part, text in self.texts.items() if part != "examples")

    @property
    def examples(self) -> str:
        """Examples with the space before them; what goes first where space is short."""
        text = self.texts.get("examples", "")
        return f"\n\n{text}" if text else ""


def _is_stable(entry: LoreEntry) -> bool:
    return entry.is_constant and not entry.least_messages and not entry.excluded_keys


def _labelled(label: str, text: str, space: str = " ") -> str:
    return f"{label}:{space}{text}" if text.strip() else ""
