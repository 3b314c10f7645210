"""What a request does, in the records of the audit: with the key that asked and the id of the request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request

from chatbot.api.wire.context import context_of
from chatbot.core.audit.audit import Audit, Deed, told


@asynccontextmanager
async def recorded(audit: Audit | None, request: Request, deed: Deed) -> AsyncIterator[Deed]:
    """Record what is done in the block, before and after.

    Args:
        audit: None where nobody reads it.
        request: Whose key does it.
        deed: What; its object may become known in the block.

    Raises:
        AuditUnavailable: It cannot be recorded, and was not begun.
    """
    context = context_of(request.scope)
    deed.actor, deed.request_id = context.principal.key_id, context.request_id
    async with told(audit, deed):
        yield deed
