"""What the SDK gives -> what the core knows."""

import json
from collections.abc import Iterable
from typing import Final

import httpx2
import mcp_types
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, REQUEST_TIMEOUT
from pydantic import ValidationError

from chatbot.adapters.mcp import wire
from chatbot.domain.toolservers.server import MAX_RESULT_BYTES, CallFailed, RemoteDefinition, RemoteResult

_UNREACHABLE: Final = (wire.NOT_DELIVERED, wire.BROKEN, wire.GONE, CONNECTION_CLOSED)
_NOT_RUN: Final = (
    *(wire.NOT_DELIVERED, wire.GONE, wire.REFUSED),
    *(INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS),
)
_LOST: Final = (*_UNREACHABLE, REQUEST_TIMEOUT)


def definition_of(tool: mcp_types.Tool) -> RemoteDefinition:
    """A tool as its server describes it."""
    hints = tool.annotations
    says_it_writes = hints is not None and (hints.read_only_hint is False or hints.destructive_hint is True)
    return RemoteDefinition(tool.name, tool.description or "", tool.input_schema, says_it_writes)


def result_of(result: mcp_types.CallToolResult) -> RemoteResult:
    """What a call gave: its texts, else its structured content as JSON.

    Raises:
        CallFailed: `too_large`.
    """
    texts = [part.text for part in result.content if isinstance(part, mcp_types.TextContent)]
    left_out = len(result.content) - len(texts)
    if not texts and result.structured_content is not None:
        texts = [json.dumps(result.structured_content, ensure_ascii=False)]
    text = "\n".join(texts)
    if len(text.encode(errors="replace")) > MAX_RESULT_BYTES:
        raise CallFailed("too_large")
    return RemoteResult(text, result.is_error, left_out)


def failure_of(error: Exception) -> tuple[str, bool]:
    """Why a call gave nothing, a word of `CALL_FAILURES`, and whether the session is to be opened anew."""
    if isinstance(error, MCPError):
        if error.code in _LOST:
            return "unavailable", error.code != REQUEST_TIMEOUT
        return ("too_large" if error.code == wire.TOO_LARGE else "refused"), False
    if isinstance(error, ValidationError):
        return "garbage", False
    return "unavailable", True


def reason_of(error: BaseException) -> str:
    """Why a session ended or could not be opened, a word of `DOWN_REASONS`; of a group the first that tells it."""
    return next(filter(None, map(_reason, _leaves(error))), "unreachable")


def was_not_delivered(error: Exception) -> bool:
    """Whether a call certainly was not run: nobody was there, or nobody who knows the session."""
    return isinstance(error, MCPError) and error.code in (wire.NOT_DELIVERED, wire.GONE)


def may_have_run(error: Exception) -> bool:
    """Whether a call that failed may have done something: not where it reached nobody, or was refused at the door."""
    return not isinstance(error, MCPError) or error.code not in _NOT_RUN


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, MCPError):
        return {REQUEST_TIMEOUT: "timeout", **dict.fromkeys(_UNREACHABLE, "unreachable")}.get(error.code, "refused")
    if isinstance(error, OSError | httpx2.HTTPError):
        return "unreachable"
    return "garbage" if isinstance(error, ValueError) else ""


def _leaves(error: BaseException) -> Iterable[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
