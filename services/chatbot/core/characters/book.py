"""What can be done with the characters of a tenant."""

import asyncio
import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from chatbot.core.characters.cards.reading import bounded_card, read_card
from chatbot.core.characters.cards.report import Report
from chatbot.core.characters.cards.writing import card_of, converted
from chatbot.core.characters.casting import Casting, check_name, name_for
from chatbot.domain.characters import (
    CardFile,
    CardFiles,
    Character,
    CharacterStore,
    CharacterSummary,
    KeptCharacter,
)
from chatbot.domain.errors import CharacterNotFound, CharactersUnavailable, InvalidInput

ExportFormat = Literal["json", "v2", "v3", "png"]
CALL_SECONDS = 3.0
UPLOADS_AT_ONCE = 8
"""Files in memory; others wait with their bodies unread."""

READ_AT_ONCE = 2
"""Cards; bounds the memory that hostile ones take together."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kept:
    """A character with the name that it has in its tenant, and what became of its card."""

    kept: KeptCharacter
    character: Character
    report: Report


class CharacterBook:
    """The characters of all tenants.

    Args:
        store: Where they are kept.
        files: Reads and writes files of cards.
        most: Characters of one tenant.
        file_bytes: Largest file that is taken.
    """

    def __init__(self, store: CharacterStore, files: CardFiles, *, most: int, file_bytes: int) -> None:
        self.casting = Casting(store)
        self.file_bytes = file_bytes
        self._store = store
        self._files = files
        self._most = most
        self.uploads = asyncio.Semaphore(UPLOADS_AT_ONCE)
        self._reading = asyncio.Semaphore(READ_AT_ONCE)

    async def bring(self, tenant: str, content: bytes, name: str = "") -> Kept:
        """Keep the card of a file.

        Args:
            tenant: Whose it becomes.
            content: The file.
            name: Of the character; "" makes one of how it is called.

        Raises:
            MalformedBody: There is no card in the file, or it is damaged.
            InvalidInput: A field is missing or too long.
            CharacterQuota: The tenant has as many as it may.
            CharactersUnavailable: The store does not answer.
        """
        if name:
            name = check_name(name)
        async with self._reading:
            file, character, report = await asyncio.to_thread(self._read, content)
        name = name or name_for(character.display_name)
        if not name:
            raise InvalidInput("name", "required")
        return await self._keep(tenant, name, character, file.card, report)

    async def put(self, tenant: str, name: str, character: Character) -> Kept:
        """Keep a character in the place of one of that name; fields of its card that say other things stay.

        Raises:
            InvalidInput, CharacterQuota, CharactersUnavailable: As `bring`.
        """
        name = check_name(name)
        there = await self._in_time(self._store.find(tenant, name))
        card = card_of(character, None if there is None else there.card)
        report = Report()
        return await self._keep(tenant, name, read_card(card, report), card, report)

    async def get(self, tenant: str, name: str, revision: str | None = None) -> Kept:
        """A character.

        Raises:
            CharacterNotFound: There is none of that name and revision.
            CharactersUnavailable: The store does not answer.
        """
        name = check_name(name)
        kept = await self._in_time(self._store.find(tenant, name, revision))
        if kept is None:
            raise CharacterNotFound
        report = Report()
        return Kept(kept, read_card(kept.card, report), report)

    async def listing(self, tenant: str, *, limit: int, after: str = "") -> tuple[CharacterSummary, ...]:
        """One page, by name.

        Raises:
            CharactersUnavailable: The store does not answer.
        """
        return await self._in_time(self._store.listing(tenant, limit=limit, after=after))

    async def erase(self, tenant: str, name: str) -> None:
        """Remove a character with all its revisions. Idempotent.

        Raises:
            InvalidInput: No character can have this name.
            CharactersUnavailable: The store does not answer.
        """
        await self._in_time(self._store.erase(tenant, check_name(name)))

    async def export(self, tenant: str, name: str, shape: ExportFormat) -> bytes:
        """A character's card: as it came, or in a version, or in a picture with both versions.

        Raises:
            CharacterNotFound, CharactersUnavailable: As `get`.
        """
        card = (await self.get(tenant, name)).kept.card
        if shape == "json":
            return _dump(card)
        if shape == "png":
            chunks = {"chara": _dump(converted(card, "v2")), "ccv3": _dump(converted(card, "v3"))}
            return await asyncio.to_thread(self._files.picture, chunks)
        return _dump(converted(card, shape))

    async def close(self) -> None:
        """Give back connections and files."""
        await self._store.close()

    def _read(self, content: bytes) -> tuple[CardFile, Character, Report]:
        """Everything of a card that takes time; for a thread."""
        file = self._files.read(content)
        report = Report(container=file.container)
        card = bounded_card(file.card, report)
        character = read_card(card, report)
        for code, place in file.notes:
            report.warn(code, place)
        for code, place in file.dropped:
            report.drop(code, place)
        return CardFile(file.container, card), character, report

    async def _keep(
        self, tenant: str, name: str, character: Character, card: Mapping[str, Any], report: Report
    ) -> Kept:
        kept = KeptCharacter(name, character.revision, card, datetime.now(UTC))
        await self._in_time(self._store.put(tenant, kept, character.display_name, most=self._most))
        return Kept(kept, character, report)

    async def _in_time(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await call
        except TimeoutError as exc:
            raise CharactersUnavailable("the store of characters does not answer") from exc


def _dump(card: Mapping[str, Any]) -> bytes:
    return json.dumps(card, ensure_ascii=False, separators=(",", ":")).encode()
