"""A summary as one text, for stores that keep texts.

It names the epoch that its conversation had: an older version of the service erases turns and knows of no summary.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from chatbot.domain.memory.summary import Summary

_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TIMES: Final = ("last_at", "at")


def to_text(summary: Summary, epoch: int) -> str:
    """JSON; times are milliseconds of Unix time."""
    times = {name: (getattr(summary, name) - _UNIX) // _MILLISECOND for name in _TIMES}
    return json.dumps(asdict(summary) | times | {"epoch": epoch}, ensure_ascii=False)


def of_text(text: str, epoch: int) -> Summary | None:
    """The summary in a text, None where that is empty, or of another epoch.

    Raises:
        ValueError, TypeError: It is none of ours.
    """
    if not text:
        return None
    found = json.loads(text)
    if found.pop("epoch") != epoch:
        return None
    return Summary(**found | {name: _UNIX + found[name] * _MILLISECOND for name in _TIMES})


def shown_summary(summary: Summary | None) -> dict[str, Any] | None:
    """A summary as an export shows it to whose it is."""
    if summary is None:
        return None
    return asdict(summary) | {name: getattr(summary, name).isoformat() for name in _TIMES}
