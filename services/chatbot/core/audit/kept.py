"""The audit seen from the people whose pseudonyms stand in it, and for how long it is kept."""

from collections.abc import AsyncIterator

from chatbot.core.audit.audit import Audit
from chatbot.domain.audit.records import AuditRecord, Bound
from chatbot.domain.personal.stores import Overdue, Person, Row

_PAGE = 500


class AuditOfPeople:
    """`PersonalData` of the audit, over its store.

    Records of what was done to a person's data stay: they show that it was done, and to whom by a pseudonym alone.
    They go with time, as all records do.
    """

    name = "audit"

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def export(self, person: Person) -> AsyncIterator[Row]:
        """See `PersonalData`."""
        async for record in self._of(person):
            entry = record.entry
            yield {
                "kind": "audit",
                "at": entry.at_ms / 1000,
                "action": str(entry.action),
                "object": entry.object,
                "outcome": str(entry.outcome),
                "request_id": entry.request_id,
            }

    async def erase(self, person: Person) -> None:
        """See `PersonalData`: nothing."""

    async def count(self, person: Person) -> int:
        """See `PersonalData`."""
        return len([record async for record in self._of(person)])

    def keeps(self, person: Person) -> str:
        """See `PersonalData`."""
        return "audit"

    async def oldest(self) -> float | None:
        """See `PersonalData`."""
        first = await self._audit.store.read(0, 1)
        return first[0].entry.at_ms / 1000 if first else None

    async def expire(self, overdue: Overdue) -> int:
        """See `PersonalData`: of the one chain of all tenants, but for its last record, behind which it goes on.

        The mark comes first: whoever dies in between leaves records too many, never a gap.
        """
        if overdue.tenant is not None:
            return 0
        old = await self._audit.store.read(0, overdue.most + 1)
        first = next((one for one in old if one.entry.at_ms >= overdue.before * 1000), old[-1] if old else None)
        if first is None or first is old[0]:
            return 0
        await self._audit.store.mark(self._audit.chain.mark(Bound.FIRST, first.number, first.previous))
        return await self._audit.store.remove_before(first.number, overdue.most)

    async def _of(self, person: Person) -> AsyncIterator[AuditRecord]:
        number = 0
        while page := await self._audit.store.read(number, _PAGE):
            for record in page:
                if record.entry.tenant == person.tenant and record.entry.object in person.pseudonyms:
                    yield record
            number = page[-1].number
