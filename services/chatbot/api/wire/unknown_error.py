"""An error that nobody foresaw, in the log."""

import logging
import traceback

from chatbot.api.wire.context import RequestContext

_LOG = logging.getLogger(__name__)


def log_unknown(error: Exception, context: RequestContext) -> None:
    """Where it happened, without the message: messages may carry what a user wrote."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
    _LOG.error("unknown error", extra={"error": type(error).__name__, "where": where, "request_id": context.request_id})
