"""Which character plays: found by name, made ready once, and kept at the revision that a conversation began with."""

import asyncio
import re
import unicodedata
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chatbot.core.characters.cards.reading import card_bytes, read_card
from chatbot.core.characters.cards.report import Report
from chatbot.core.characters.persona import Persona
from chatbot.core.characters.role import Role, greeting_of
from chatbot.domain.characters import MAX_NAME_CHARACTERS, CharacterStore, KeptCharacter
from chatbot.domain.chat import Turn
from chatbot.domain.errors import CharactersUnavailable, InvalidInput
from chatbot.domain.visible_text import visible

MODEL_PREFIX: Final = "character/"
READY: Final = 32
"""Characters that are kept ready to play."""

READY_BYTES: Final = 16 << 20
"""Cards of them together."""

_NAME: Final = re.compile(rf"[^\W_][\w.-]{{0,{MAX_NAME_CHARACTERS - 1}}}")
_CALL_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A character that a request names.

    Attributes:
        name: Of the character; perhaps there is none of that name.
        revision: Only this one; None: the conversation's, else the newest.
        greeting: What is said first in the place of the card's greeting; None: the card's.
        upgrades: Whether a conversation goes on with the newest revision.
    """

    name: str
    revision: str | None = None
    greeting: str | None = None
    greeting_index: int = 0
    user_name: str = ""
    upgrades: bool = False


def check_name(name: str, field: str = "name") -> str:
    """The name of a character, NFC.

    Raises:
        InvalidInput: It is none.
    """
    name = unicodedata.normalize("NFC", name)
    if not _NAME.fullmatch(name):
        raise InvalidInput(field, "bad_character_name", maximum=MAX_NAME_CHARACTERS)
    return name


def is_name(name: str) -> bool:
    """Whether a character could have this name."""
    return _NAME.fullmatch(unicodedata.normalize("NFC", name)) is not None


def name_for(display_name: str) -> str:
    """A name made of how a character is called; "" where nothing is left of it."""
    text = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", display_name)).strip("-._")
    return text[:MAX_NAME_CHARACTERS].rstrip("-._")


class Casting:
    """Finds characters and makes them ready.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: CharacterStore) -> None:
        self.store = store
        self._ready: OrderedDict[tuple[str, str, str], tuple[Persona, int]] = OrderedDict()
        self._ready_bytes = 0

    async def role(self, tenant: str, wanted: Wanted, turns: Sequence[Turn], seed: str) -> Role | None:
        """Who plays in an answer; None where there is no character of that name.

        Args:
            tenant: Whose characters.
            wanted: What the request says.
            turns: Of the conversation, oldest first.
            seed: Of the answer.

        Raises:
            CharactersUnavailable: The store does not answer.
            InvalidInput: The character has no such greeting.
        """
        persona = await self.persona(tenant, wanted, turns)
        if persona is None:
            return None
        most = len(persona.character.greetings)
        if wanted.greeting_index and wanted.greeting_index >= most:
            raise InvalidInput("greeting_index", "too_large", maximum=max(0, most - 1))
        user_name = " ".join(visible(wanted.user_name).split())
        greeting = wanted.greeting
        if greeting is None:
            greeting = greeting_of(persona, wanted.greeting_index, user_name)
        return Role(persona, greeting, user_name, seed)

    async def persona(self, tenant: str, wanted: Wanted, turns: Sequence[Turn] = ()) -> Persona | None:
        """A character made ready.

        Raises:
            CharactersUnavailable: The store does not answer.
        """
        name = unicodedata.normalize("NFC", wanted.name)
        pinned = None if wanted.upgrades else pinned_revision(turns, name)
        revision = wanted.revision or pinned
        kept = await self._find(tenant, name, revision)
        if kept is None and wanted.revision is None and revision is not None:
            kept = await self._find(tenant, name, None)  # too old to be kept, or the character was made anew
        return None if kept is None else await self._persona(tenant, kept)

    async def _find(self, tenant: str, name: str, revision: str | None) -> KeptCharacter | None:
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                return await self.store.find(tenant, name, revision)
        except TimeoutError as exc:
            raise CharactersUnavailable("the store of characters does not answer") from exc

    async def _persona(self, tenant: str, kept: KeptCharacter) -> Persona:
        key = (tenant, kept.name, kept.revision)
        if key in self._ready:
            self._ready.move_to_end(key)
            return self._ready[key][0]
        persona, size = await asyncio.to_thread(_made_ready, kept)
        if key in self._ready:  # somebody else was faster
            return self._ready[key][0]
        self._ready[key] = (persona, size)
        self._ready_bytes += size
        while len(self._ready) > READY or (self._ready_bytes > READY_BYTES and len(self._ready) > 1):
            self._ready_bytes -= self._ready.popitem(last=False)[1][1]
        return persona


def _made_ready(kept: KeptCharacter) -> tuple[Persona, int]:
    return Persona.of(kept.name, kept.revision, read_card(kept.card, Report())), card_bytes(kept.card)


def pinned_revision(turns: Sequence[Turn], name: str) -> str | None:
    """The revision that a conversation goes on with: that of its newest turn with this character."""
    for turn in reversed(turns):
        played, _, revision = turn.character.rpartition("@")
        if played == name and revision:
            return revision
    return None
