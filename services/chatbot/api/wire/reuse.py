"""Answers that are given once more: what a request says of them (RFC 9111, 5.2.1), and what the response tells."""

import math
from typing import Final

from starlette.datastructures import Headers

from chatbot.core.answering.pump import Reuse

REUSE_HEADER: Final = "X-Chatbot-Cache"
REUSE_HEADERS: Final = (REUSE_HEADER, "Age")
_NEVER: Final = ("no-cache", "no-store")


def oldest_seconds(headers: Headers) -> float:
    """How old an answer may be that was kept; 0: it must be made anew, and is not kept.

    `no-cache`, `no-store` and a `max-age` that is no number: 0. `Pragma` counts where there is no `Cache-Control`.
    """
    told = ",".join(headers.getlist("cache-control")) or headers.get("pragma", "")
    directives = [directive.strip().lower() for directive in told.split(",")]
    if any(directive in _NEVER for directive in directives):
        return 0.0
    ages = [directive.partition("=")[2].strip(' "') for directive in directives if directive.startswith("max-age")]
    return min((_seconds(age) for age in ages), default=math.inf)


def reuse_headers(reuse: Reuse | None) -> dict[str, str]:
    """What an answer tells; nothing where answers are not kept, or this one is none that may be."""
    if reuse is None:
        return {}
    headers = {REUSE_HEADER: reuse.outcome}
    if reuse.outcome != "miss":
        headers["Age"] = str(int(reuse.age_seconds))
    return headers


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0.0
