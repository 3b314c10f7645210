"""Logs: one JSON object per line on standard output; a traceback shows where, not what."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Final, TextIO

FIELDS: Final = ("namespace", "model", "outcome", "action", "error", "where", "reason", "status")
_FRAMES = 8


class JsonLines(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: record.__dict__[name] for name in FIELDS if name in record.__dict__}
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])[-_FRAMES:]
            line["error"] = record.exc_info[0].__name__
            line["where"] = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up_logs(level: str, stream: TextIO | None = None) -> None:
    """Send all logs to one stream as JSON lines; called once, at the start."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("asyncio", "aiohttp", "kopf.objects"):  # a line per request or per event
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # it warns that signals are ours
