"""A document that is read in another process: how it is started, spoken to and killed.

Frames: 4 bytes of length, big-endian, then JSON: `{"chunks": […]}` in order, last `{"end": true}` or `{"reason": "…"}`.
"""

import asyncio
import contextlib
import json
import os
import signal
import struct
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from chatbot.domain.document_store import Progress, ReaderLost
from chatbot.domain.documents import Chunk, FailureReason, IndexedChunk, Job, Unreadable

READER_COMMAND = (sys.executable, "-P", "-m", "chatbot.server.reading.child")
"""`-P`: a file in the working directory must never shadow a module of the child."""

EXIT_MEMORY = 12
MAX_FRAME_BYTES = 8 * 2**20
_HEADER = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """What one file may cost.

    Attributes:
        memory_bytes: Address space of the process.
        cpu_seconds: Its CPU time, whole seconds.
        silence_seconds: It is killed when nothing comes from it for so long.
    """

    memory_bytes: int = 512 * 2**20
    cpu_seconds: int = 30
    silence_seconds: float = 90.0


@dataclass(frozen=True, slots=True)
class Request:
    """The line before the file."""

    name: str
    content_bytes: int
    first_chunk: int
    memory_bytes: int
    cpu_seconds: int

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """What `line` wrote."""
        return cls(**json.loads(line))

    def line(self) -> bytes:
        """One line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"


def chunks_frame(chunks: Sequence[IndexedChunk]) -> bytes:
    """Passages, as a frame."""
    return _frame({"chunks": [{**asdict(one.chunk), "terms": " ".join(one.terms)} for one in chunks]})


def end_frame() -> bytes:
    """The file was read to its end."""
    return _frame({"end": True})


def reason_frame(reason: FailureReason) -> bytes:
    """The file cannot be read."""
    return _frame({"reason": reason.value})


def _frame(value: dict[str, Any]) -> bytes:
    body = json.dumps(value).encode()
    return _HEADER.pack(len(body)) + body


class ReaderProcess:
    """`Reading` in a process. Use `open`.

    Attributes:
        pid: Process id, for tests.
    """

    def __init__(self, process: asyncio.subprocess.Process, limits: ReaderLimits) -> None:
        self._process = process
        self._limits = limits
        self._feeding: asyncio.Task[None] | None = None
        self.pid = process.pid

    @classmethod
    async def open(cls, job: Job, limits: ReaderLimits, command: Sequence[str] = READER_COMMAND) -> Self:
        """Start to read a job's file, after the passages that are stored already.

        Raises:
            ReaderLost: The machine gives no process.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,  # libraries print parts of the file there
                start_new_session=True,
            )
        except OSError as exc:
            raise ReaderLost from exc
        reading = cls(process, limits)
        request = Request(job.name, len(job.content), job.chunks_done, limits.memory_bytes, limits.cpu_seconds)
        reading._feeding = asyncio.create_task(reading._feed(request.line() + job.content))
        return reading

    async def next(self) -> Progress:
        """The next passages. See `Reading`."""
        try:
            async with asyncio.timeout(self._limits.silence_seconds):
                frame = await self._read_frame()
        except TimeoutError:
            await self.close()
            raise Unreadable(FailureReason.PARSER_TIMEOUT) from None
        if "reason" in frame:
            raise Unreadable(FailureReason(frame["reason"]))
        return Progress(tuple(map(_to_indexed, frame.get("chunks", ()))), is_last="end" in frame)

    async def close(self) -> None:
        """Kill the process where it still runs."""
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.wait([self._feeding])
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        if self._process.stdout is not None:
            while await self._process.stdout.read(2**16):  # the pipe is closed when it is empty, not before
                pass
        await self._process.wait()

    async def _feed(self, data: bytes) -> None:
        stdin = self._process.stdin
        if stdin is not None:
            with contextlib.suppress(OSError):  # it ended before it had read everything; its last words say why
                stdin.write(data)
                await stdin.drain()
                stdin.close()

    async def _read_frame(self) -> dict[str, Any]:
        stdout = self._process.stdout
        try:
            if stdout is None:
                raise ReaderLost
            (length,) = _HEADER.unpack(await stdout.readexactly(_HEADER.size))
            if length > MAX_FRAME_BYTES:
                raise ReaderLost
            frame: dict[str, Any] = json.loads(await stdout.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            self._explain(await self._process.wait())
            raise ReaderLost from None
        return frame

    def _explain(self, code: int) -> None:
        if code == EXIT_MEMORY:
            raise Unreadable(FailureReason.PARSER_MEMORY)
        if code == -signal.SIGXCPU:
            raise Unreadable(FailureReason.PARSER_TIMEOUT)


def _to_indexed(fields: dict[str, Any]) -> IndexedChunk:
    words = fields.pop("terms")
    return IndexedChunk(Chunk(**fields), tuple(words.split()))
