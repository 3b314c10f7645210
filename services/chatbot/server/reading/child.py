"""One document in a process of its own: `python -m chatbot.server.reading.child`.

Standard input: a line of JSON, then the file. Standard output: frames. Both are those of
`chatbot.adapters.documents.reader_process`. It limits itself before it reads the file: what a hostile file can do is to
end this process.
"""

import contextlib
import os
import resource
import sys
from collections.abc import Iterator

from chatbot.adapters.documents.reader_process import (
    EXIT_MEMORY,
    Request,
    chunks_frame,
    end_frame,
    reason_frame,
)
from chatbot.adapters.documents.readers import formats
from chatbot.core.retrieval.chunking import chunks
from chatbot.core.retrieval.terms import passage_terms
from chatbot.domain.document_store import batches
from chatbot.domain.documents import FailureReason, IndexedChunk, Unreadable

BATCH_CHUNKS = 32
NICENESS = 10
"""Answers come first: reading takes what CPU time they leave."""


def main() -> None:
    """Read one document; exits 0 also where it cannot be read, which is said in a frame."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    request = Request.parse(source.readline())
    limit(request)
    try:
        content = source.read(request.content_bytes)
        for batch in batches(_indexed(request, content), BATCH_CHUNKS):
            sink.write(chunks_frame(batch))
            sink.flush()
        sink.write(end_frame())
    except Unreadable as exc:
        sink.write(reason_frame(exc.reason))
    except MemoryError:
        _leave_without_memory()
    sink.flush()


def _indexed(request: Request, content: bytes) -> Iterator[IndexedChunk]:
    for chunk in chunks(formats.blocks(request.name, content)):
        if chunk.number >= request.first_chunk:
            yield IndexedChunk(chunk, passage_terms(chunk))


def limit(request: Request) -> None:
    """Bound memory and CPU time, step behind the engine; no files are written and none is left of a crash."""
    os.nice(NICENESS)
    limits = (
        (resource.RLIMIT_AS, request.memory_bytes, request.memory_bytes),
        (resource.RLIMIT_CPU, request.cpu_seconds, request.cpu_seconds + 1),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
    )
    for kind, soft, hard in limits:
        with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of address space
            resource.setrlimit(kind, (soft, hard))


def _leave_without_memory() -> None:
    os._exit(EXIT_MEMORY)  # nothing that needs memory may run any more


if __name__ == "__main__":
    try:
        main()
    except MemoryError:
        _leave_without_memory()
    except BrokenPipeError:
        os._exit(0)  # nobody listens any more
    except Exception:  # a reader's fault on this file; its text must not reach a log
        sys.stdout.buffer.write(reason_frame(FailureReason.DAMAGED))
        sys.stdout.buffer.flush()
