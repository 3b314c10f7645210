"""The chain: each record carries a keyed digest of itself and of the one before, so that a change anywhere is seen.

Who has the database but not the secret can neither change, remove, swap nor add a record without `verify` telling
which. Who puts a whole older copy of the database back is told by a number and digest that were noted elsewhere.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from chatbot.domain.audit.records import AuditEntry, AuditMark, AuditRecord, AuditStore, Bound

_PAGE: Final = 500
_MOST_PROBLEMS: Final = 20
_MOST_READINGS: Final = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found.

    Attributes:
        records: How many there are.
        last: The last one; None where there are none.
        problems: What is wrong, a line each with the record's number; the first twenty.
    """

    records: int
    last: AuditRecord | None
    problems: tuple[str, ...]


class Chain:
    """Links records and checks them.

    Args:
        keys: Secrets of the digests; the first makes new ones. Without any, a change is seen only by whoever does not
            make the digests anew.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys) or (b"",)
        self.is_keyed = bool(keys)

    def link(self, last: AuditRecord | None, entry: AuditEntry, mark: AuditMark | None = None) -> AuditRecord:
        """The record of an entry, behind the last one; and behind its mark, so that no removed one is replaced.

        Args:
            last: The last record.
            entry: What to record.
            mark: Of the last record, as it is kept.
        """
        number, previous = (last.number + 1, last.digest) if last is not None else (1, "")
        if mark is not None and mark.number >= number and self.is_sealed(mark):
            number, previous = mark.number + 1, mark.digest
        bare = AuditRecord(number, entry, previous, "")
        return replace(bare, digest=_digest(self._keys[0], bare))

    def mark(self, bound: Bound, number: int, digest: str) -> AuditMark:
        """A mark with its seal."""
        bare = AuditMark(bound, number, digest, "")
        return replace(bare, seal=_seal(self._keys[0], bare))

    def is_sealed(self, mark: AuditMark) -> bool:
        """Whether a mark is one of ours."""
        bare = replace(mark, seal="")
        return any(_is_same(_seal(key, bare), mark.seal) for key in self._keys)

    def last_mark(self, record: AuditRecord) -> AuditMark:
        """The mark of a record that is the last one."""
        return self.mark(Bound.LAST, record.number, record.digest)

    async def verify(self, store: AuditStore, noted: tuple[int, str] | None = None) -> Verdict:
        """Read all records and check them; once more where the ends moved meanwhile, as others write and remove.

        Args:
            store: Where they are.
            noted: Number and digest of a record that were noted elsewhere.

        Raises:
            StoreUnavailable: It does not answer.
        """
        marks = await store.marks()
        for _ in range(_MOST_READINGS):
            verdict = await self._read(store, marks, noted)
            before, marks = marks, await store.marks()
            if not verdict.problems or set(marks) == set(before):
                break
        return verdict

    async def _read(self, store: AuditStore, found: Sequence[AuditMark], noted: tuple[int, str] | None) -> Verdict:
        check = _Check(self, self._keys, noted)
        marks = {mark.bound: mark for mark in found}
        check.begin(marks.get(Bound.FIRST))
        while page := await store.read(check.number, _PAGE):
            for record in page:
                check.see(record)
        check.end(marks.get(Bound.LAST))
        return Verdict(check.records, check.last, tuple(check.problems[:_MOST_PROBLEMS]))


class _Check:
    """One reading of the chain."""

    def __init__(self, chain: Chain, keys: Sequence[bytes], noted: tuple[int, str] | None) -> None:
        self._chain = chain
        self._keys = keys
        self._noted = noted
        self._digest = ""
        self.number = 0
        self.records = 0
        self.last: AuditRecord | None = None
        self.problems: list[str] = []

    def begin(self, first: AuditMark | None) -> None:
        """Everything before the first mark was kept long enough."""
        if first is None:
            return
        if not self._chain.is_sealed(first):
            self.problems.append(f"{first.number}: the mark of the first record was changed")
        self.number, self._digest = first.number - 1, first.digest

    def see(self, record: AuditRecord) -> None:
        if record.number != self.number + 1:
            self.problems.append(f"{_range(self.number + 1, record.number - 1)}: missing")
        elif record.previous != self._digest:
            self.problems.append(f"{record.number}: does not follow the record before")
        bare = replace(record, digest="")
        if not any(_is_same(_digest(key, bare), record.digest) for key in self._keys):
            self.problems.append(f"{record.number}: was changed, moved or not written by these services")
        if self._noted is not None and self._noted[0] == record.number and self._noted[1] != record.digest:
            self.problems.append(f"{record.number}: is not the record that was noted")
        self.number, self._digest, self.last = record.number, record.digest, record
        self.records += 1

    def end(self, last: AuditMark | None) -> None:
        """The last mark may be behind by what was written this moment, never ahead."""
        if last is None and self.records:
            self.problems.append(f"{self.number}: the mark of the last record is missing")
        if last is not None and not self._chain.is_sealed(last):
            self.problems.append(f"{last.number}: the mark of the last record was changed")
        elif last is not None and last.number > self.number:
            self.problems.append(f"{_range(self.number + 1, last.number)}: missing at the end")
        if self._noted is not None and self._noted[0] > self.number:
            self.problems.append(f"{self._noted[0]}: the record that was noted is missing")


def _digest(key: bytes, record: AuditRecord) -> str:
    entry = record.entry
    fields = [
        record.number,
        record.previous,
        entry.at_ms,
        entry.tenant,
        entry.actor,
        str(entry.action),
        entry.object,
        str(entry.outcome),
        entry.request_id,
    ]
    return _hmac(key, json.dumps(["record", *fields], default=repr))


def _seal(key: bytes, mark: AuditMark) -> str:
    return _hmac(key, json.dumps(["mark", str(mark.bound), mark.number, mark.digest], default=repr))


def _is_same(one: str, other: object) -> bool:
    return isinstance(other, str) and hmac.compare_digest(one.encode(), other.encode())


def _hmac(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), hashlib.sha256).hex()


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
