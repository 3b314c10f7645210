"""Curated characters before those that a store has: under their names nobody else's is found, and none is changed.

What a conversation began with is kept: a curated character that is played is put into the store under a tenant that no
key can have, so that its earlier revisions are there for every replica, also after the file has changed.
"""

import asyncio
import contextlib
from typing import Final

from chatbot.domain.characters import CharacterStore, CharacterSummary, KeptCharacter
from chatbot.domain.curation.curated import CuratedCharacter, Curator
from chatbot.domain.errors import CharacterQuota, CharacterReadOnly, CharactersUnavailable

CURATED_TENANT: Final = "@curated"
"""Whose the earlier revisions are; names of tenants begin with a letter or a digit."""

_MOST_KEPT: Final = 100_000


class CuratedFirst:
    """A `CharacterStore` with curated characters before another one's.

    Args:
        store: The other one.
        curator: Who knows the curated ones.
    """

    def __init__(self, store: CharacterStore, curator: Curator) -> None:
        self._store = store
        self._curator = curator
        self._kept: set[tuple[str, str]] = set()
        self._keeping: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def put(self, tenant: str, character: KeptCharacter, display_name: str, *, most: int) -> None:
        """See `CharacterStore`.

        Raises:
            CharacterReadOnly: The name is that of a curated one.
        """
        self._check(tenant, character.name)
        await self._store.put(tenant, character, display_name, most=most)

    async def find(self, tenant: str, name: str, revision: str | None = None) -> KeptCharacter | None:
        """See `CharacterStore`."""
        curated = self._find(tenant, name)
        if curated is None:
            return await self._store.find(tenant, name, revision)
        if revision is None or revision == curated.kept.revision:
            self._keep(curated)
            return curated.kept
        # what a conversation began with: an earlier one of these, or the tenant's own from before there was this one
        old = await self._store.find(CURATED_TENANT, name, revision)
        return old if old is not None else await self._store.find(tenant, name, revision)

    async def listing(self, tenant: str, *, limit: int, after: str = "") -> tuple[CharacterSummary, ...]:
        """See `CharacterStore`."""
        own = await self._store.listing(tenant, limit=limit, after=after)
        found = {one.name: one for one in own}
        for one in self._curator.status.curation.of(tenant):
            if one.kept.name > after:
                found[one.kept.name] = CharacterSummary(
                    one.kept.name, one.display_name, one.kept.revision, one.kept.updated_at, is_read_only=True
                )
        return tuple(found[name] for name in sorted(found))[:limit]

    async def erase(self, tenant: str, name: str) -> None:
        """See `CharacterStore`.

        Raises:
            CharacterReadOnly: The name is that of a curated one.
        """
        self._check(tenant, name)
        await self._store.erase(tenant, name)

    async def close(self) -> None:
        """See `CharacterStore`."""
        for task in list(self._keeping.values()):
            task.cancel()
        await self.idle()
        await self._store.close()

    async def idle(self) -> None:
        """Return when nothing is put into the store any more."""
        await asyncio.gather(*self._keeping.values(), return_exceptions=True)

    def _find(self, tenant: str, name: str) -> CuratedCharacter | None:
        return self._curator.status.curation.find(tenant, name)

    def _check(self, tenant: str, name: str) -> None:
        if self._find(tenant, name) is not None:
            raise CharacterReadOnly

    def _keep(self, curated: CuratedCharacter) -> None:
        """Put it into the store, once; nobody waits for that. Where the store is away, the next play tries again."""
        key = curated.kept.name, curated.kept.revision
        if key in self._kept or key in self._keeping:
            return
        task = self._keeping[key] = asyncio.create_task(self._put(curated))
        task.add_done_callback(lambda _: self._keeping.pop(key, None))

    async def _put(self, curated: CuratedCharacter) -> None:
        with contextlib.suppress(CharactersUnavailable, CharacterQuota):
            await self._store.put(CURATED_TENANT, curated.kept, curated.display_name, most=_MOST_KEPT)
            self._kept.add((curated.kept.name, curated.kept.revision))
