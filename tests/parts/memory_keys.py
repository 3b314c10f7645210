"""A key store in memory that can be away, slow, or stopped in the middle of a read."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace

from chatbot.domain.access import KeyRecord
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.limits import Limits


class MemoryKeys:
    """`KeyStore` for tests of what stands above it. `calls` counts by name."""

    def __init__(self) -> None:
        self.records: dict[str, KeyRecord] = {}
        self.number = 0
        self.is_away = False
        self.calls: dict[str, int] = {}
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def version(self) -> int:
        self._called("version")
        return self.number

    async def find(self, key_ids: Collection[str]) -> Mapping[str, KeyRecord]:
        self._called("find")
        found = {key_id: self.records[key_id] for key_id in key_ids if key_id in self.records}
        await self.may_answer.wait()  # what was found is as old as the question
        self._raise_if_away()
        return found

    async def listing(self) -> tuple[KeyRecord, ...]:
        self._called("listing")
        return tuple(self.records.values())

    async def add(self, record: KeyRecord) -> None:
        self._called("add")
        self.records[record.id] = record
        self.number += 1

    async def change(self, record: KeyRecord) -> None:
        self._called("change")
        self.records[record.id] = replace(
            self.records[record.id],
            expires_at=record.expires_at,
            is_disabled=record.is_disabled,
            replaced_by=record.replaced_by,
        )
        self.number += 1

    async def limit(self, key_id: str, limits: Limits) -> None:
        self._called("limit")
        record = self.records[key_id]
        self.records[key_id] = replace(record, rights=replace(record.rights, limits=limits))
        self.number += 1

    async def mark_used(self, at: Mapping[str, float]) -> None:
        self._called("mark_used")
        for key_id, seconds in at.items():
            self.records[key_id] = replace(self.records[key_id], last_used_at=seconds)

    async def rewrite(self, digests: Mapping[str, tuple[str, bytes]]) -> None:
        self._called("rewrite")
        for key_id, (pepper, digest) in digests.items():
            self.records[key_id] = replace(self.records[key_id], pepper=pepper, digest=digest)

    async def close(self) -> None:
        self._called("close")

    def _called(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        self._raise_if_away()

    def _raise_if_away(self) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
