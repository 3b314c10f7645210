"""Characters that a tenant keeps: who they are, what they know, and which words of a card made them.

The fields are those of the character card specifications V1 to V3, as far as they reach a prompt. Sources:
https://github.com/malfoyslastname/character-card-spec-v2 and https://github.com/kwaroran/character-card-spec-v3
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from chatbot.domain.style.rules import CharacterRepair, CharacterStyle, Speech

MAX_TEXT_BYTES: Final = 32 * 1024
"""Of one text of a character, UTF-8."""

MAX_TEXTS_BYTES: Final = 256 * 1024
"""Of all texts but the lorebook's together, UTF-8."""

MAX_CARD_BYTES: Final = 1 << 20
"""Of the whole card as compact JSON, with everything that nobody reads, UTF-8."""

MAX_NAME_CHARACTERS: Final = 64
MAX_DISPLAY_NAME_CHARACTERS: Final = 100
MAX_GREETINGS: Final = 50
MAX_LORE_ENTRIES: Final = 1_000
MAX_LORE_KEYS: Final = 20
MAX_LORE_KEY_CHARACTERS: Final = 200
MAX_LORE_PATTERNS: Final = 50
"""Keys of one lorebook that are regular expressions; each holds memory while its character is played."""

REVISION_CHARACTERS: Final = 16
KEPT_REVISIONS: Final = 10
"""Of one character, the newest: what conversations that began with them go on with."""


@dataclass(frozen=True, slots=True)
class LoreEntry:
    """Something that the character knows where it is talked about.

    Attributes:
        keys: Words, or patterns with `is_pattern`; one of them must occur.
        content: What is told to the model.
        secondary_keys: With `is_selective` one of these must occur, too.
        excluded_keys: None of these may occur.
        is_constant: It is told always.
        order: Lower comes first.
        priority: Where the budget is short, lower goes first.
        is_after: Whether it stands behind the others (`after_char`).
        scan_depth: Messages that are looked through; None: the book's.
        least_messages: It is told only after so many messages of the character.
    """

    content: str
    keys: tuple[str, ...] = ()
    secondary_keys: tuple[str, ...] = ()
    excluded_keys: tuple[str, ...] = ()
    is_enabled: bool = True
    is_constant: bool = False
    is_selective: bool = False
    is_pattern: bool = False
    is_case_sensitive: bool = False
    order: float = 0.0
    priority: float = 0.0
    is_after: bool = False
    scan_depth: int | None = None
    least_messages: int = 0


@dataclass(frozen=True, slots=True)
class Lorebook:
    """What a character knows. `token_budget` is of all entries that are told at once, constant ones included."""

    entries: tuple[LoreEntry, ...] = ()
    scan_depth: int = 4
    token_budget: int = 512


@dataclass(frozen=True, slots=True)
class CharacterSampling:
    """How the character's answers are sampled where the request does not say it; None leaves the service's."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    max_tokens: int | None = None

    def given(self) -> dict[str, Any]:
        """Those that are set, by the names of `chatbot.domain.generation.Sampling`."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Character:
    """Everything of a character that can change an answer.

    Attributes:
        display_name: What `{{char}}` becomes.
        greetings: The first is the one that is used where none is chosen.
        examples: Dialogue that shows the way of speaking; `<START>` between pieces.
        system: In the place of the service's system prompt; `{{original}}` in it is that prompt. "" keeps it.
        post_history: Told behind everything else.
        style: Rules of its answers; the default has none.
        speech: None cuts nothing unless the request asks for it.
    """

    display_name: str
    description: str = ""
    personality: str = ""
    scenario: str = ""
    greetings: tuple[str, ...] = ()
    examples: str = ""
    system: str = ""
    post_history: str = ""
    sampling: CharacterSampling = CharacterSampling()
    lorebook: Lorebook = Lorebook()
    style: CharacterStyle = CharacterStyle()
    repair: CharacterRepair = CharacterRepair()
    speech: Speech | None = None

    @property
    def revision(self) -> str:
        """Digest of the content: the same words are the same revision, whoever brought them and when."""
        said = asdict(self)
        for name, unsaid in _LATER.items():
            if getattr(self, name) == unsaid:
                del said[name]
        text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:REVISION_CHARACTERS]


_LATER: Final = {"style": CharacterStyle(), "repair": CharacterRepair(), "speech": None}
"""Fields that came later: where they say nothing, conversations go on with the revision that they began with."""


@dataclass(frozen=True, slots=True)
class KeptCharacter:
    """A character as it is stored.

    Attributes:
        name: Unique in the tenant; what stands behind `character/` in the name of its model.
        revision: `Character.revision` of what the card says.
        card: The card as it came, with fields that nobody here reads: what an export gives back.
        updated_at: UTC.
        is_read_only: Whether it is changed only where whoever operates the service keeps it.
    """

    name: str
    revision: str
    card: Mapping[str, Any] = field(hash=False)
    updated_at: datetime
    is_read_only: bool = False


@dataclass(frozen=True, slots=True)
class CharacterSummary:
    """One line of a listing. `updated_at` is UTC; a read-only one is changed where whoever operates it keeps it."""

    name: str
    display_name: str
    revision: str
    updated_at: datetime
    is_read_only: bool = False


@dataclass(frozen=True, slots=True)
class CardFile:
    """A card as it was found in a file.

    Attributes:
        container: json, png, apng, charx or charx-jpeg.
        notes: What was odd, as code and place.
        dropped: What of the file was left, as code and place.
    """

    container: str
    card: Mapping[str, Any] = field(hash=False)
    notes: tuple[tuple[str, str], ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()


class CardFiles(Protocol):
    """Files that hold cards. Nothing in them is run, unpacked by its own name or fetched."""

    def read(self, content: bytes) -> CardFile:
        """Find the card in a file; bounded in time and memory, whatever the file says of itself.

        Raises:
            MalformedBody: There is none, or it is damaged.
        """

    def picture(self, chunks: Mapping[str, bytes]) -> bytes:
        """A PNG with plain pixels that carries texts: keyword -> JSON."""


class CharacterStore(Protocol):
    """Where characters are kept, a tenant's apart from another's. Calls answer within 3 s or raise.

    Every call may raise `CharactersUnavailable`.
    """

    async def put(self, tenant: str, character: KeptCharacter, display_name: str, *, most: int) -> None:
        """Keep a character in the place of one of that name; earlier revisions can still be read for a while.

        Raises:
            CharacterQuota: It is a new one, and the tenant has `most` already.
            CharacterReadOnly: It is not the tenant's to change.
        """

    async def find(self, tenant: str, name: str, revision: str | None = None) -> KeptCharacter | None:
        """A character, of a revision or the newest; None where it is not there, or not there any more."""

    async def listing(self, tenant: str, *, limit: int, after: str = "") -> tuple[CharacterSummary, ...]:
        """One page of a tenant's characters by name, after `after`."""

    async def erase(self, tenant: str, name: str) -> None:
        """Remove a character with all its revisions. Idempotent."""

    async def close(self) -> None:
        """Give back connections and files."""
