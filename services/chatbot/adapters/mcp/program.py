"""A tool server that is a program on this machine: messages on its standard input and output, one a line.

For one machine alone: the program has the rights of whoever started the services.

Source:
    MCP, revision 2026-07-28, stdio. The SDK's own reads lines of any length, which a broken program turns into all of
    the memory.
"""

import asyncio
import contextlib
import os
import signal
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import anyio
import mcp_types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from chatbot.adapters.mcp.wire import MAX_OTHER_BYTES

_END_SECONDS: Final = 2.0
_PIECE_BYTES: Final = 64 * 1024
_Incoming = MemoryObjectSendStream[SessionMessage | Exception]
_Outgoing = MemoryObjectReceiveStream[SessionMessage]
Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]


@asynccontextmanager
async def program_streams(command: Sequence[str]) -> AsyncIterator[Streams]:
    """Run a program while the block runs; a transport of the SDK. It ends with all that it started.

    Raises:
        OSError: It cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env=get_default_environment(),
        start_new_session=True,
        limit=MAX_OTHER_BYTES,
    )
    into, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, out_of = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with into, incoming, outgoing, out_of, anyio.create_task_group() as tasks:
            if process.stdout is None or process.stdin is None:
                raise OSError("the program has no pipes")
            tasks.start_soon(_read, process.stdout, into)
            tasks.start_soon(_write, process.stdin, out_of, into)
            try:
                yield incoming, outgoing
            finally:
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


async def _read(lines: StreamReader, into: _Incoming) -> None:
    """Pass messages on until the program ends, or writes a line that is too long."""
    async with into:
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ValueError, OSError):
            while line := await lines.readline():  # ValueError: longer than the limit
                with contextlib.suppress(ValidationError):
                    message = mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False)
                    await into.send(SessionMessage(message))


async def _write(pipe: StreamWriter, messages: _Outgoing, into: _Incoming) -> None:
    try:
        async for one in messages:
            pipe.write(one.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
            await pipe.drain()
    except (ConnectionError, RuntimeError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        await into.aclose()  # or whoever waits for an answer waits for ever


async def _end(process: Process) -> None:
    """Close its input, then make it end, with all that it started; what it still says is read, asyncio waits for it."""
    if process.stdin is not None:
        process.stdin.close()
    reading = asyncio.create_task(_drain(process.stdout))
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_SECONDS):
                    await process.wait()
            _tell(process, number)
        await process.wait()
        await reading
    finally:
        _tell(process, signal.SIGKILL)  # also where nobody waits any longer


def _tell(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


async def _drain(lines: StreamReader | None) -> None:
    while lines is not None and await lines.read(_PIECE_BYTES):
        pass
