"""Logs: one JSON object per line on standard output, without anything that a user wrote.

Only fields of a closed list are written besides time, level, logger and message; a traceback shows where, not what:
messages of foreign exceptions may carry text of users.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Final, TextIO

from chatbot.server.observe.scrubbing import Scrubber

FIELDS: Final = (
    "service",
    "request_id",
    "traceparent",
    "tenant",
    "key",
    "user",
    "method",
    "route",
    "status",
    "outcome",
    "seconds",
    "error",
    "where",
    "state",
    "revision",
    "reason",
    "server",
    "tool",
)


_OURS: Final = frozenset({"service", "traceparent", "method", "route", "outcome", "revision", "state"})
"""Fields of closed sets or of digests, in which nothing can be found but by chance."""


class JsonLines(logging.Formatter):
    """A log record as one line of JSON, without what must not be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.scrubber = Scrubber()

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.scrubber.clean(record.getMessage()),
        }
        line |= {name: self._field(name, record.__dict__[name]) for name in FIELDS if name in record.__dict__}
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])[-8:]
            line["error"] = record.exc_info[0].__name__
            line["where"] = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
        return json.dumps(line, ensure_ascii=False, default=str)

    def _field(self, name: str, value: object) -> object:
        return self.scrubber.clean(value) if isinstance(value, str) and name not in _OURS else value


def scrubber_in_use() -> Scrubber | None:
    """What cleans the lines of this process; None where they are not ours."""
    formatters = (handler.formatter for handler in logging.getLogger().handlers)
    return next((one.scrubber for one in formatters if isinstance(one, JsonLines)), None)


def set_up_logs(level: str, stream: TextIO | None = None) -> None:
    """Send all logs to one stream as JSON lines; called once, by an entry point.

    Args:
        level: Least level: debug, info, warning or error.
        stream: Standard output by default.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = name != "uvicorn.access"  # it would write paths as they came
    for name in ("uvicorn.error", "httpx", "httpx2", "httpcore", "asyncio"):  # a line per request, with its URL
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # its errors quote what came; ours say what came of it
