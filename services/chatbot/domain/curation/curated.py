"""Curated characters: what a file of them says, how each of them is served, and what is told about it (ADR 0023)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

from chatbot.domain.characters import KeptCharacter

MOST_CURATED: Final = 2_000
"""Characters of one file."""

MOST_NOTES: Final = 5
"""Of one character, that are told."""


@dataclass(frozen=True, slots=True)
class CuratedCharacter:
    """A character of the file.

    Attributes:
        kept: It, as a store would have it; its card is that of the file, or made of the fields there.
        display_name: How it is called.
        tenants: Who may play it; empty: everybody.
        generation: Of the object that it comes from; 0 where there is none.
        uid: Of that object; "" where there is none.
        card: Digest of a card that the object only names; "" where it holds its text itself.
        language: That its texts are written in.
        tokens: About how many are the same in each of its prompts.
        notes: What it says that does nothing.
        entry: Digest of what the file said; "" where that is not what it says now.
    """

    kept: KeptCharacter
    display_name: str
    tenants: frozenset[str] = frozenset()
    generation: int = 0
    uid: str = ""
    card: str = ""
    language: str = ""
    tokens: int = 0
    notes: tuple[str, ...] = ()
    entry: str = ""

    def is_for(self, tenant: str) -> bool:
        """Whether a tenant may play it."""
        return not self.tenants or tenant in self.tenants


@dataclass(frozen=True, slots=True)
class CurationProblem:
    """An entry of the file that cannot be used; `text` names the field and the remedy."""

    name: str
    uid: str
    text: str


@dataclass(frozen=True, slots=True)
class Curation:
    """What a file says.

    Attributes:
        characters: By name; one whose entry is wrong now is as it was before.
        problems: By name.
    """

    characters: Mapping[str, CuratedCharacter] = field(default_factory=lambda: MappingProxyType({}))
    problems: Mapping[str, CurationProblem] = field(default_factory=lambda: MappingProxyType({}))

    def find(self, tenant: str, name: str) -> CuratedCharacter | None:
        """The one that a tenant means by a name; None where it is not curated."""
        found = self.characters.get(name)
        return found if found is not None and found.is_for(tenant) else None

    def of(self, tenant: str) -> Iterator[CuratedCharacter]:
        """Those that a tenant may play, by name."""
        return (found for _, found in sorted(self.characters.items()) if found.is_for(tenant))


class CurationState(StrEnum):
    """What the characters that are played are."""

    NONE = "none"
    SERVING = "serving"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class CurationStatus:
    """What `GET :9090/characters` answers.

    Attributes:
        state: No file was ever there; what the file says; or what it said before it broke or vanished.
        digest: First 16 hex digits of the SHA-256 of the file that holds; "" where none does.
        since: When it began to hold, UTC.
        message: Why the file as it is now does not hold, with the remedy; "" where it does.
    """

    state: CurationState
    digest: str
    since: datetime
    message: str = ""
    curation: Curation = Curation()


class Curator(Protocol):
    """Who knows the curated characters of now."""

    @property
    def status(self) -> CurationStatus:
        """What holds, and what is wrong. Never waits."""
