"""Keys of the store as one replica knows them: checked in memory, kept true by a look at the store every few seconds.

A request with a known key never waits for the store. What another replica changed is seen within `LOOK_SECONDS` and the
time of one read; while the store is away, known keys stay valid for `TRUST_SECONDS` and unknown ones cannot be judged.
"""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeVar

from chatbot.core.accounts.key_text import KeyText
from chatbot.core.accounts.peppers import Peppers
from chatbot.domain.access import KeyRecord
from chatbot.domain.errors import KeysUnavailable, StoreUnavailable
from chatbot.domain.ports import KeyStore

_LOG = logging.getLogger(__name__)
LOOK_SECONDS: Final = 5.0
"""How often the store is asked whether a key changed."""

CALL_SECONDS: Final = 3.0
"""A call of the store that takes longer is given up."""

READ_AGAIN_SECONDS: Final = 30.0
"""How often all known keys are read again, whether or not the store says that one changed."""

TRUST_SECONDS: Final = 300.0
"""How long known keys stay valid without a word of the store."""

UNKNOWN_SECONDS: Final = 5.0
"""How long an id that the store does not have is remembered as such."""

NOTE_SECONDS: Final = 60.0
"""How often the last use of keys is written."""

MAX_KNOWN: Final = 10_000
"""Keys in memory, and as many unknown ids; the one unused longest goes first."""

MAX_LOOKUPS: Final = 64
"""Keys that are looked up at once; a flood of invented ids gets 503 above it, known keys notice nothing."""

_CHUNK: Final = 500
T = TypeVar("T")


@dataclass(slots=True)
class _Known:
    """A key as it was read at a time of the monotonic clock."""

    record: KeyRecord
    read_at: float


@dataclass(slots=True)
class _Notes:
    """What the store is told at the next occasion."""

    used: dict[str, float] = field(default_factory=dict)
    digests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    written_at: float = 0.0


class StoredKeys:
    """The keys of a store.

    Args:
        store: Where they are kept.
        peppers: Of the digests.
        clock: Monotonic, seconds.
        now: Unix seconds.
    """

    def __init__(
        self,
        store: KeyStore,
        peppers: Peppers,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self._peppers = peppers
        self._clock = clock
        self._now = now
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._lookups: dict[str, asyncio.Task[KeysUnavailable | None]] = {}
        self._notes = _Notes(written_at=clock())
        self._version: int | None = None
        self._looked_at = self._read_again_at = clock()
        self._changes = 0
        self._is_away = False
        self._nobody = KeyRecord("", "", bytes(32), peppers.current)

    async def find(self, key: KeyText) -> KeyRecord | None:
        """The record of a key; None where there is none, at the same cost.

        Raises:
            KeysUnavailable: The key is not known here, and the store does not answer.
        """
        record = self._recall(key.id)
        if record is None and not self._is_unknown(key.id):
            await self._look_up(key.id)
            record = self._recall(key.id)
        if not self._peppers.matches(record or self._nobody, key.text) or record is None:
            return None
        if record.is_valid_at(self._now()):
            self._note_use(record, key)
        return record

    async def follow(self) -> None:
        """Keep what is known true, for ever."""
        while True:
            try:
                await self.look()
            except Exception as exc:  # whatever it is: who stops looking never sees a revocation again
                _LOG.error("keys could not be looked at", extra={"error": type(exc).__name__})
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Ask the store once whether something changed, and write what there is to write. Never raises its failures."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._look()
            async with asyncio.timeout(CALL_SECONDS):
                await self._write_notes()
        except (StoreUnavailable, TimeoutError) as exc:
            if not self._is_away:
                self._is_away = True
                _LOG.error("the key store does not answer: known keys stay valid for %d s; %s", TRUST_SECONDS, exc)
            return
        if self._is_away:
            self._is_away = False
            _LOG.warning("the key store answers again")

    async def close(self) -> None:
        """Write the last uses, end look-ups and give back the store."""
        self._notes.written_at = -math.inf
        await self.look()
        lookups = list(self._lookups.values())
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)
        await self.store.close()

    def _recall(self, key_id: str) -> KeyRecord | None:
        known = self._known.get(key_id)
        if known is None or self._clock() - max(known.read_at, self._looked_at) > TRUST_SECONDS:
            return None
        self._known.move_to_end(key_id)
        return known.record

    def _is_unknown(self, key_id: str) -> bool:
        return self._unknown.get(key_id, 0.0) > self._clock()

    async def _look_up(self, key_id: str) -> None:
        """One read for all who wait for the same id; it goes on where one of them leaves."""
        running = self._lookups.get(key_id)
        if running is None:
            if len(self._lookups) >= MAX_LOOKUPS:
                raise KeysUnavailable("too many unknown keys at once")
            running = self._lookups[key_id] = asyncio.create_task(self._read(key_id))
            running.add_done_callback(lambda _: self._lookups.pop(key_id, None))
        failure = await asyncio.shield(running)
        if failure is not None:
            raise KeysUnavailable(str(failure))

    async def _read(self, key_id: str) -> KeysUnavailable | None:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                changes = -1
                while changes != self._changes:  # what was read while something changed may be of before
                    changes, began = self._changes, self._clock()
                    found = await self.store.find([key_id])
        except (StoreUnavailable, TimeoutError) as exc:
            return KeysUnavailable(str(exc) or "no answer in time")
        if key_id in found:
            _keep(self._known, key_id, _Known(found[key_id], began))
        else:
            self._known.pop(key_id, None)
            _keep(self._unknown, key_id, self._clock() + UNKNOWN_SECONDS)
        return None

    async def _look(self) -> None:
        began = self._clock()
        version = await self.store.version()
        if version != self._version or began - self._read_again_at >= READ_AGAIN_SECONDS:
            self._changes += version != self._version
            await self._read_again()
            self._read_again_at = began
        self._version, self._looked_at = version, began

    async def _read_again(self) -> None:
        self._unknown.clear()
        key_ids = list(self._known)
        for first in range(0, len(key_ids), _CHUNK):
            part, began = key_ids[first : first + _CHUNK], self._clock()
            found = await self.store.find(part)
            for key_id in part:
                if key_id not in found:
                    self._known.pop(key_id, None)
                elif key_id in self._known:
                    self._known[key_id] = _Known(found[key_id], began)

    def _note_use(self, record: KeyRecord, key: KeyText) -> None:
        notes = self._notes
        if len(notes.used) < MAX_KNOWN or record.id in notes.used:
            notes.used[record.id] = self._now()
        if record.pepper != self._peppers.current and record.id not in notes.digests and len(notes.digests) < MAX_KNOWN:
            notes.digests[record.id] = self._peppers.digest(key.text)

    async def _write_notes(self) -> None:
        if self._clock() - self._notes.written_at < NOTE_SECONDS:
            return
        notes, self._notes = self._notes, _Notes(written_at=self._clock())
        try:
            if notes.digests:
                await self.store.rewrite(notes.digests)
            if notes.used:
                await self.store.mark_used(notes.used)
        except BaseException:
            self._notes.used = {**notes.used, **self._notes.used}
            self._notes.digests = {**notes.digests, **self._notes.digests}
            raise


def _keep(of: OrderedDict[str, T], key_id: str, value: T) -> None:
    of[key_id] = value
    of.move_to_end(key_id)
    for oldest in list(islice(of, max(0, len(of) - MAX_KNOWN))):
        del of[oldest]
