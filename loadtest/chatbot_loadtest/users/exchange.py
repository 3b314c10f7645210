"""One HTTP exchange of a load user: what came back, and when."""

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import requests

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 330.0
"""Longest silence: longest wait and generation of the services' defaults and some more."""
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ERROR_KINDS: Final = (
    (requests.exceptions.SSLError, "tls_error"),
    (requests.exceptions.ConnectTimeout, "connect_timeout"),
    (requests.exceptions.ReadTimeout, "read_timeout"),
    (requests.exceptions.ChunkedEncodingError, "cut_off"),
    (requests.exceptions.ConnectionError, "connection_error"),
)


@dataclass(slots=True)
class Stream:
    """Times of one stream, seconds from sending; None where it never came.

    Attributes:
        promised_seconds: Wait that the first `queue` event spoke of; None where it started at once (position 0).
        waited_seconds: What the service says it was.
    """

    promised_seconds: float | None = None
    waited_seconds: float | None = None
    process_seconds: float | None = None
    piece_seconds: list[float] = field(default_factory=list)
    code: str = "cut_off"
    is_whole: bool = False

    def note(self, name: str, data: Mapping[str, Any], at_seconds: float) -> None:
        """One event. Only numbers and codes of it are kept."""
        if name == "queue" and data["position"] and self.promised_seconds is None:
            self.promised_seconds = at_seconds + float(data["eta_seconds"])
        elif name == "token":
            self.piece_seconds.append(at_seconds)
        elif name == "done":
            self.is_whole = True
            timings = data.get("timings", {})
            self.waited_seconds = float(timings.get("queue_seconds", 0.0))
            self.process_seconds = sum(float(value) for value in timings.values())
        elif name == "error":
            self.code = code_of(data)


@dataclass(frozen=True, slots=True)
class Reply:
    """What an attempt ended with.

    Attributes:
        status: 0 where no answer came.
        reason: Empty for an answer.
    """

    status: int
    seconds: float
    size_bytes: int
    reason: str = ""
    error: str = ""
    retry_after_seconds: int | None = None
    stream: Stream | None = None


def send(session: requests.Session, url: str, body: Mapping[str, Any], *, stream: bool) -> Reply:
    """Ask once. A fault of the connection is a reply too."""
    headers = {"Accept": "text/event-stream" if stream else "application/json"}
    began = time.perf_counter()
    try:
        with session.post(
            url, json=body, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)
        ) as answer:
            return _read(answer, began)
    except requests.exceptions.RequestException as exc:
        kind = next((name for of, name in _ERROR_KINDS if isinstance(exc, of)), "request_error")
        return Reply(0, time.perf_counter() - began, 0, kind, type(exc).__name__)


def _read(answer: requests.Response, began: float) -> Reply:
    if answer.ok and answer.headers.get("Content-Type", "").startswith("text/event-stream"):
        return _read_stream(answer, began)
    content = answer.content
    seconds = time.perf_counter() - began
    if answer.ok:
        return Reply(answer.status_code, seconds, len(content), "" if _is_json(content) else "not_json")
    retry_after = answer.headers.get("Retry-After", "")
    return Reply(
        answer.status_code,
        seconds,
        len(content),
        _refusal(answer.status_code, content),
        retry_after_seconds=int(retry_after) if retry_after.isascii() and retry_after.isdigit() else None,
    )


def _read_stream(answer: requests.Response, began: float) -> Reply:
    stream, size, error = Stream(), 0, ""
    try:
        for name, data, size_bytes in events(answer.iter_content(chunk_size=None)):
            size = size_bytes
            stream.note(name, data, time.perf_counter() - began)
    except requests.exceptions.RequestException as exc:
        error = type(exc).__name__
    except (ValueError, KeyError, TypeError) as exc:
        stream.code, error = "not_a_stream", type(exc).__name__
    seconds = time.perf_counter() - began
    return Reply(answer.status_code, seconds, size, "" if stream.is_whole else stream.code, error, stream=stream)


def events(chunks: Iterable[bytes]) -> Iterator[tuple[str, Mapping[str, Any], int]]:
    """Name, data and bytes so far of each server-sent event (WHATWG HTML, section 9.2)."""
    rest, size = b"", 0
    for chunk in chunks:
        size += len(chunk)
        *blocks, rest = (rest + chunk).replace(b"\r\n", b"\n").split(b"\n\n")
        for block in blocks:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
            if b"data" in fields:
                yield fields.get(b"event", b"message").decode(), json.loads(fields[b"data"]), size


def code_of(body: Any) -> str:
    """The code of an error's body; only what looks like one, so that no text gets into a record."""
    inner = body.get("error", body) if isinstance(body, dict) else {}
    code = inner.get("code") if isinstance(inner, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else "unknown"


def _refusal(status: int, content: bytes) -> str:
    try:
        code = code_of(json.loads(content))
    except ValueError:
        code = "unknown"
    return f"http_{status}" if code == "unknown" else code


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True
