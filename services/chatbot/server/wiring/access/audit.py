"""Settings -> the audit, and what it sees of policies."""

import asyncio
from typing import Final

from chatbot.adapters.tenants.file import PolicyFile
from chatbot.core.audit.audit import SERVICE, Audit, AuditTelemetry, Deed
from chatbot.core.audit.chain import Chain
from chatbot.core.audit.watch import AuditWatch
from chatbot.domain.audit.records import AuditAction, AuditOutcome, AuditStore
from chatbot.domain.tenants.policy import PolicyStatus
from chatbot.server.observe.telemetry import Meters
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.personal.people import People
from chatbot.server.wiring.stores import mongo_uri, open_pseudonyms

_FILE: Final = "chatbot-audit.sqlite3"
_LOOK_SECONDS: Final = 1.0


def open_audit(settings: Settings, telemetry: AuditTelemetry | None = None) -> Audit:
    """The audit; its store connects when it is first used.

    Raises:
        ValueError: A file cannot be used; the message names the setting.
    """
    pseudonyms = open_pseudonyms(settings)
    chain = Chain(pseudonyms.keys("audit") if pseudonyms is not None else ())
    return Audit(_open_store(settings), chain, telemetry=telemetry)


def open_audit_watch(audit: Audit, people: People, meters: Meters) -> AuditWatch:
    """A worker that checks the audit, in turns with those of other processes."""
    watch = AuditWatch(audit, people.eraser.store)
    meters.watch_audit(lambda: watch.problems)
    return watch


async def note_policies(audit: Audit, tenants: PolicyFile, seconds: float = _LOOK_SECONDS) -> None:
    """Record each change of the policies that hold, and each file that is refused; looks so often, for ever."""
    before: tuple[str, str] = ("", "")
    while True:
        status = tenants.status
        now = (status.digest, status.message)
        if now != before:
            before = now
            await audit.note(_deed(status), AuditOutcome.FAILED if status.message else AuditOutcome.DONE)
        await asyncio.sleep(seconds)


def _deed(status: PolicyStatus) -> Deed:
    action = AuditAction.POLICY_REFUSE if status.message else AuditAction.POLICY_TAKE
    return Deed(action, actor=SERVICE, object=status.digest)


def _open_store(settings: Settings) -> AuditStore:
    if settings.records_store == "sqlite":
        from chatbot.adapters.audit.sqlite import SqliteAudit

        return SqliteAudit(settings.audit.sqlite_path or settings.history.sqlite_path.with_name(_FILE))
    from chatbot.adapters.audit.mongo import MongoAudit

    return MongoAudit.open(mongo_uri(settings), settings.mongodb.database, settings.mongodb.driver)
