"""`chatbot-keys audit`: the records of the audit, and whether somebody changed them."""

import argparse
import json
import sys
from datetime import UTC, datetime

from chatbot.core.audit.audit import Audit
from chatbot.domain.audit.records import AuditRecord


class Tampered(Exception):
    """Records were changed, or are missing; the message is a line for each."""


async def read_audit(asked: argparse.Namespace, audit: Audit) -> None:
    """List the newest records, or check all of them.

    Raises:
        Tampered: They are not as they were written.
        StoreUnavailable: The store does not answer.
    """
    try:
        if asked.deed == "list":
            await _list(audit, asked.last)
        else:
            await _verify(audit, asked.noted)
    finally:
        await audit.store.close()


async def _list(audit: Audit, most: int) -> None:
    last = await audit.store.last()
    found = await audit.store.read(last.number - most, most) if last is not None else ()
    sys.stdout.write("".join(f"{json.dumps(_row(record), ensure_ascii=False)}\n" for record in found))


async def _verify(audit: Audit, noted: tuple[int, str] | None) -> None:
    verdict = await audit.chain.verify(audit.store, noted)
    if verdict.last is not None:
        sys.stdout.write(f"{verdict.last.number}:{verdict.last.digest}\n")
    if verdict.problems:
        raise Tampered("\n".join(verdict.problems))
    weak = "" if audit.chain.is_keyed else ", but there is no secret to tell for sure: set CHATBOT_PRIVACY_SECRET_FILE"
    sys.stderr.write(f"chatbot-keys: {verdict.records} records, none changed or missing{weak}\n")


def _row(record: AuditRecord) -> dict[str, object]:
    entry = record.entry
    return {
        "number": record.number,
        "at": datetime.fromtimestamp(entry.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "tenant": entry.tenant,
        "actor": entry.actor,
        "action": str(entry.action),
        "object": entry.object,
        "outcome": str(entry.outcome),
        "request_id": entry.request_id,
    }
