"""What a server's answer to a ranged GET means. Servers lie about ranges; nothing is believed that does not fit.

Source: RFC 9110, sections 13.1.5 (If-Range), 14 (ranges), 15.3.7 (206), 15.5.17 (416).
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

import httpx2

from chatbot.adapters.model_download.partial import Version

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})")
_WAIT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


class Verdict(Enum):
    """What to do with an answer."""

    FROM_START = auto()
    """The whole file follows."""
    GO_ON = auto()
    """What is missing follows."""
    COMPLETE = auto()
    """Nothing is missing."""
    START_OVER = auto()
    """What is here does not fit what is there: drop it and ask again."""
    LATER = auto()
    """The server has trouble."""
    NEVER = auto()
    """Asking again does not help."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A judged answer.

    Attributes:
        version: The version that the server names.
        reason: For a person, where the verdict is LATER or NEVER.
        wait_seconds: What `Retry-After` asks for, at most 60.
    """

    verdict: Verdict
    version: Version = Version()
    reason: str = ""
    wait_seconds: float = 0.0


def judge(response: httpx2.Response, kept_bytes: int, kept: Version) -> Answer:
    """Judge an answer by status and headers.

    Args:
        response: Its body is not read.
        kept_bytes: Where the request's range began; 0 where it had none.
        kept: Version of the kept bytes.
    """
    if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        return Answer(Verdict.NEVER, reason="the server sends it compressed, though it was asked not to")
    if response.status_code == 200:
        return _judge_whole(response)
    if response.status_code == 206:
        return _judge_part(response, kept_bytes, kept)
    if response.status_code == 416:
        match = _UNSATISFIED.fullmatch(response.headers.get("content-range", ""))
        is_whole = match is not None and int(match[1]) == kept_bytes == kept.total_bytes
        return Answer(Verdict.COMPLETE if is_whole else Verdict.START_OVER, kept)
    if response.status_code in _WAIT_STATUSES:
        return Answer(Verdict.LATER, reason=f"the server answers {response.status_code}", wait_seconds=_wait(response))
    return Answer(Verdict.NEVER, reason=_remedy(response.status_code))


def _judge_whole(response: httpx2.Response) -> Answer:
    total_bytes = _content_length(response)
    if total_bytes is None and response.headers.get("transfer-encoding", "").lower() != "chunked":
        return Answer(Verdict.NEVER, reason="the server does not tell its size, so a cut would not show")
    return Answer(Verdict.FROM_START, Version(_validator(response), total_bytes))


def _judge_part(response: httpx2.Response, kept_bytes: int, kept: Version) -> Answer:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    if match is None or not kept_bytes:
        return Answer(Verdict.START_OVER)
    first, last, total = int(match[1]), int(match[2]), None if match[3] == "*" else int(match[3])
    fits = first == kept_bytes and last >= first and (total is None or last < total)
    is_same = total is None or kept.total_bytes in (None, total)
    named = _validator(response)
    if not fits or not is_same or (named and named != kept.validator):
        return Answer(Verdict.START_OVER)
    return Answer(Verdict.GO_ON, Version(kept.validator, total or kept.total_bytes))


def _validator(response: httpx2.Response) -> str:
    etag: str = response.headers.get("etag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return str(response.headers.get("last-modified", ""))


def _content_length(response: httpx2.Response) -> int | None:
    length = response.headers.get("content-length", "")
    return int(length) if re.fullmatch(r"\d{1,18}", length) else None


def _wait(response: httpx2.Response) -> float:
    seconds = response.headers.get("retry-after", "")
    return min(60.0, float(seconds)) if re.fullmatch(r"\d{1,9}", seconds) else 0.0


def _remedy(status: int) -> str:
    remedies = {
        401: "it wants a login (401)",
        403: "it is not allowed (403), maybe a licence must be accepted first",
        404: "there is nothing at this address (404); check it",
        410: "it is gone (410); check the address",
    }
    return remedies.get(status, f"the server answers {status}")
