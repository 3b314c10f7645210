"""Writes what somebody is about to do before it is done, and how it ended afterwards."""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from chatbot.core.audit.chain import Chain
from chatbot.domain.audit.records import AuditAction, AuditEntry, AuditOutcome, AuditStore, Bound
from chatbot.domain.errors import AuditUnavailable, StoreUnavailable

_LOG: Final = logging.getLogger(__name__)
COMMAND: Final = "chatbot-keys"
SERVICE: Final = "services"


@dataclass(slots=True)
class Deed:
    """What somebody does. `object` and `tenant` may become known while it is done."""

    action: AuditAction
    tenant: str = ""
    actor: str = COMMAND
    object: str = ""
    request_id: str = ""


class Audit:
    """Records deeds.

    Args:
        store: Where they are kept.
        chain: Links them.
        now: Unix seconds.
    """

    def __init__(self, store: AuditStore, chain: Chain, now: Callable[[], float] = time.time) -> None:
        self.store = store
        self.chain = chain
        self._now = now

    async def write(self, deed: Deed, outcome: AuditOutcome) -> None:
        """Record one.

        Raises:
            AuditUnavailable: It is not recorded, or only maybe.
        """
        try:
            await self._write(deed, outcome)
        except StoreUnavailable as exc:
            raise AuditUnavailable(str(exc)) from exc

    async def _write(self, deed: Deed, outcome: AuditOutcome) -> None:
        entry = AuditEntry(
            round(self._now() * 1000), deed.tenant, deed.actor, deed.action, deed.object, outcome, deed.request_id
        )
        mark = next((one for one in await self.store.marks() if one.bound is Bound.LAST), None)
        record = await self.store.append(lambda last: self.chain.link(last, entry, mark))
        await self.store.mark(self.chain.last_mark(record))

    @asynccontextmanager
    async def told(self, deed: Deed) -> AsyncIterator[Deed]:
        """Record that a deed begins, and how it ends. What cannot be recorded does not begin.

        An end that cannot be recorded is only logged: it has happened.

        Raises:
            AuditUnavailable: It did not begin.
        """
        before = replace(deed)
        await self.write(before, AuditOutcome.BEGUN)
        outcome = AuditOutcome.FAILED
        try:
            yield deed
            outcome = AuditOutcome.DONE
        finally:
            try:
                await self.write(deed, outcome)
            except StoreUnavailable:
                _LOG.error("the audit does not know how %s ended", deed.action)

    async def note(self, deed: Deed, outcome: AuditOutcome) -> None:
        """Record what has happened by itself; where the last one says the same, or the store is away, nothing.

        Several processes see the same: one record of it is enough.
        """
        try:
            last = await self.store.last()
            known = last.entry if last is not None else None
            if known is not None and (known.action, known.object, known.outcome) == (
                deed.action,
                deed.object,
                outcome,
            ):
                return
            await self.write(deed, outcome)
        except StoreUnavailable:
            _LOG.error("the audit could not record %s", deed.action)
