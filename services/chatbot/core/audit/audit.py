"""Writes what somebody is about to do before it is done, and how it ended afterwards."""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from chatbot.core.audit.chain import Chain
from chatbot.domain.audit.records import AuditAction, AuditEntry, AuditOutcome, AuditStore, Bound
from chatbot.domain.errors import AuditUnavailable, StoreUnavailable

_LOG: Final = logging.getLogger(__name__)
COMMAND: Final = "chatbot-keys"
SERVICE: Final = "services"
OK: Final = "ok"
FAILED: Final = "failed"
AUDIT_OUTCOMES: Final = (OK, FAILED)


class AuditOperation(StrEnum):
    """What is asked of the store of records."""

    WRITE = "write"
    CHECK = "check"


class AuditTelemetry(Protocol):
    """What became of the audit's own work, for whoever counts it."""

    def audit_called(self, operation: str, outcome: str) -> None:
        """A record was written, or the chain was read, `ok`; or `failed`."""


class Uncounted:
    """`AuditTelemetry` of a command, which nobody scrapes."""

    def audit_called(self, operation: str, outcome: str) -> None:
        """See `AuditTelemetry`: nothing."""


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
        telemetry: Counts what was written; None: nobody does.
    """

    def __init__(
        self,
        store: AuditStore,
        chain: Chain,
        now: Callable[[], float] = time.time,
        telemetry: AuditTelemetry | None = None,
    ) -> None:
        self.store = store
        self.chain = chain
        self.telemetry = telemetry if telemetry is not None else Uncounted()
        self._now = now

    async def write(self, deed: Deed, outcome: AuditOutcome) -> None:
        """Record one.

        Raises:
            AuditUnavailable: It is not recorded, or only maybe.
        """
        ended = FAILED
        try:
            await self._write(deed, outcome)
            ended = OK
        except StoreUnavailable as exc:
            raise AuditUnavailable(str(exc)) from exc
        finally:
            self.telemetry.audit_called(AuditOperation.WRITE, ended)

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
        except StoreUnavailable:
            self.telemetry.audit_called(AuditOperation.WRITE, FAILED)
            _LOG.error("the audit could not record %s", deed.action)
            return
        known = last.entry if last is not None else None
        if known is not None and (known.action, known.object, known.outcome) == (deed.action, deed.object, outcome):
            return
        try:
            await self.write(deed, outcome)
        except StoreUnavailable:
            _LOG.error("the audit could not record %s", deed.action)


def told(audit: Audit | None, deed: Deed) -> AbstractAsyncContextManager[Deed]:
    """As `Audit.told`; nothing is recorded where nobody reads it."""
    return nullcontext(deed) if audit is None else audit.told(deed)
