"""The guard in front of the parser: from raw bytes to one JSON object that is safe to validate.

The framework's own parsing answers 500 to lone surrogates, NaN and 1e999, and reads bodies of any size; so it gets
none. Every refusal is a 4xx that says why, and none repeats what was sent.
"""

import asyncio
import json
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Receive

from chatbot.api.errors import BodyTimeout
from chatbot.api.wire.departure import ClientGone
from chatbot.domain.errors import BodyTooLarge, MalformedBody
from chatbot.domain.outside.strict_json import check_depth, check_surrogates, finite, refuse_constant

MAX_DEPTH = 32
"""Nested objects and lists; the deepest valid request is a schema of twelve levels, which has 28."""

MAX_OBJECTS = 5_000
"""Objects in one body; the largest valid request has under 1,000. Bounds the time that parsing takes."""

READ_TIMEOUT_SECONDS = 60.0
"""A body that takes longer is a slow-loris, seconds."""


async def read_object(headers: Headers, receive: Receive, limit_bytes: int) -> dict[str, Any]:
    """Read a request's body as one JSON object.

    Raises:
        MalformedBody: It is not what it says, or not JSON as RFC 8259 has it.
        BodyTooLarge: It is, or says that it is, larger than the limit; the rest is not read.
        BodyTimeout: It did not come in `READ_TIMEOUT_SECONDS`.
        ClientGone: The client left before the end.
    """
    _check_headers(headers, limit_bytes)
    return parse_object(await read_body(receive, limit_bytes))


async def read_body(receive: Receive, limit_bytes: int) -> bytes:
    """Read a request's body.

    Raises:
        BodyTooLarge, BodyTimeout, ClientGone: As above.
    """
    try:
        async with asyncio.timeout(READ_TIMEOUT_SECONDS):
            return await _read(receive, limit_bytes)
    except TimeoutError:
        raise BodyTimeout from None


def parse_object(raw: bytes) -> dict[str, Any]:
    """Parse bytes as one JSON object.

    Raises:
        MalformedBody: As above.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedBody("not_utf8") from None
    parsed = _Parser().parse(text)
    if not isinstance(parsed, dict):
        raise MalformedBody("not_an_object")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:  # only then can it be that deep
        check_depth(parsed, MAX_DEPTH)
    if b"\\u" in raw:
        check_surrogates(parsed)
    return parsed


def _check_headers(headers: Headers, limit_bytes: int) -> None:
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != "application/json":
        raise MalformedBody("content_type")
    charset = parameters.strip().lower()
    if charset.startswith("charset=") and charset.removeprefix("charset=").strip('"') not in ("utf-8", "utf8"):
        raise MalformedBody("not_utf8")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise MalformedBody("content_encoding")
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > limit_bytes:
        raise BodyTooLarge(limit_bytes)


async def _read(receive: Receive, limit_bytes: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limit_bytes:  # chunked, or more than Content-Length said
            raise BodyTooLarge(limit_bytes)
        if not message.get("more_body", False):
            return bytes(body)


class _Parser:
    """One parse; counts objects."""

    def __init__(self) -> None:
        self._objects = 0

    def parse(self, text: str) -> object:
        try:
            return json.loads(
                text,
                object_pairs_hook=self._pairs,
                parse_constant=refuse_constant,
                parse_float=finite,
            )
        except json.JSONDecodeError as exc:
            at_end = bool(text.strip()) and exc.pos >= len(text.rstrip())
            raise MalformedBody("truncated" if at_end else "not_json") from None
        except RecursionError:
            raise MalformedBody("too_deep") from None
        except ValueError:  # an integer of more digits than Python converts
            raise MalformedBody("nan") from None

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._objects += 1
        if self._objects > MAX_OBJECTS:
            raise MalformedBody("too_complex")
        made = dict(pairs)
        if len(made) != len(pairs):
            raise MalformedBody("duplicate_key")
        return made
