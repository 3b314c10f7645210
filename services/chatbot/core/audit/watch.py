"""Reads the whole chain from time to time, so that a change is told before somebody asks."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatbot.core.audit.audit import FAILED, OK, Audit, AuditOperation
from chatbot.core.rounds import Rounds, Turns

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """Rhythm of the watch: seconds from the start to the first look, and between looks."""

    first_seconds: float = 30.0
    every_seconds: float = 600.0


class AuditWatch:
    """One worker of a process; of several processes one looks at a time.

    Besides what `Chain.verify` tells, it knows the last record of its look before: an older copy of the database that
    is put back whole while it runs is told, too.

    Args:
        audit: What is looked at.
        turns: Says whose turn it is.
        now: Unix seconds.
    """

    def __init__(
        self,
        audit: Audit,
        turns: Turns,
        policy: WatchPolicy = WatchPolicy(),
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._audit = audit
        self._rounds = Rounds(
            turns, "audit", first_seconds=policy.first_seconds, every_seconds=policy.every_seconds, now=now
        )
        self._noted: tuple[int, str] | None = None
        self._problems = 0

    @property
    def problems(self) -> int:
        """How many records or marks were not as they were written at the last look; 0 where another one looks."""
        return self._problems

    async def run(self) -> None:
        """Look until cancelled."""
        await self._rounds.run(self.look, _LOG, "the audit could not be checked")

    async def look(self) -> None:
        """Check the chain once, if it is this process's turn. Problems stay told until a look finds none.

        Raises:
            StoreUnavailable: The chain cannot be read, or nobody knows whose turn it is.
        """
        outcome = FAILED
        try:
            if not await self._rounds.is_mine():
                self._noted, self._problems = None, 0
                outcome = ""
                return
            await self._check()
            outcome = OK
        finally:
            if outcome:
                self._audit.telemetry.audit_called(AuditOperation.CHECK, outcome)

    async def _check(self) -> None:
        verdict = await self._audit.chain.verify(self._audit.store, self._noted)
        self._problems = len(verdict.problems)
        if verdict.problems:  # the note stays: what it told must not be forgotten at the next look
            _LOG.error("the audit is not as it was written: %s", "; ".join(verdict.problems))
        elif verdict.last is not None:
            self._noted = verdict.last.number, verdict.last.digest
