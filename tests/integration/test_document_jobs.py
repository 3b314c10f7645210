"""Documents are read by real processes, and come to their end whichever process dies, and whenever."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest
from chatbot.adapters.documents.reader_process import READER_COMMAND, ReaderLimits, ReaderProcess
from chatbot.adapters.documents.sqlite_store import SqliteDocuments
from chatbot.core.retrieval.ingest import PIPELINE, Ingestor, IngestPolicy
from chatbot.core.retrieval.search import Retriever, Search
from chatbot.domain.document_store import DocumentBounds, DocumentStore, Progress, ReaderLost
from chatbot.domain.documents import Document, DocumentState, FailureReason, Job, Upload
from parts.document_place import ALICE, BOB, kept_bytes, open_documents
from parts.document_zoo import ENGLISH, READABLE, UNREADABLE
from parts.mongo_server import scratch_database
from parts.store_place import StorePlace

BOUNDS = DocumentBounds(lease_seconds=1.0)
POLICY = IngestPolicy(beat_seconds=0.2, idle_seconds=0.1)
LONG = "\n\n".join(f"# Part {number}\n\nRule {number} canary{number} says {ENGLISH}" for number in range(400))
DEADLINE_SECONDS = 60.0
TESTS = Path(__file__).parents[1]
SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteDocuments]:
    store = SqliteDocuments(tmp_path / "documents.sqlite3", BOUNDS)
    yield store
    await store.close()


@pytest.fixture(params=["sqlite", "motor"])
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    """One machine's store, and a cluster's."""
    if request.param == "sqlite":
        yield StorePlace("sqlite", str(tmp_path / "documents.sqlite3"))
        return
    url = request.getfixturevalue("url")
    with scratch_database(url) as database:
        yield StorePlace(request.param, url, database)


class Readers:
    """Starts real reading processes, and tells which ones there were."""

    def __init__(self, limits: ReaderLimits | None = None, command: tuple[str, ...] = READER_COMMAND) -> None:
        self.limits, self.command = limits or ReaderLimits(), command
        self.started: list[ReaderProcess] = []

    async def __call__(self, job: Job) -> ReaderProcess:
        self.started.append(await ReaderProcess.open(job, self.limits, self.command))
        return self.started[-1]

    def alive(self) -> list[int]:
        return [one.pid for one in self.started if psutil.pid_exists(one.pid)]


@asynccontextmanager
async def working(store: DocumentStore, readers: Readers) -> AsyncIterator[Ingestor]:
    """A worker, while the block runs."""
    ingestor = Ingestor(store, readers, POLICY)
    task = asyncio.create_task(ingestor.run())
    try:
        yield ingestor
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(store: DocumentStore, document: Document, is_so: Callable[[Document], bool]) -> Document:
    """The document as soon as it is so."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            found = await store.read(document.owner, document.document_id)
            assert found is not None
            if is_so(found):
                return found
            await asyncio.sleep(0.02)


async def ended(store: DocumentStore, document: Document) -> Document:
    ends = (DocumentState.COMPLETED, DocumentState.FAILED, DocumentState.CANCELLED)
    return await until(store, document, lambda one: one.state in ends)


async def chunks_stored(store: DocumentStore, documents: list[Document], count: int) -> None:
    while True:
        found = [await store.read(one.owner, one.document_id) for one in documents]
        if sum(one.chunks_done for one in found if one) >= count:
            return
        await asyncio.sleep(0.005)


async def canaries(store: DocumentStore, numbers: range) -> list[int]:
    """How many passages have each canary."""
    retriever = Retriever(store)
    counts = []
    for number in numbers:
        found = await retriever.search(ALICE, Search(f"canary{number}", 50, per_document=50))
        counts.append(sum(f" canary{number} " in one.chunk.text for one in found.passages))
    return counts


async def test_worker_reads_documents_and_the_next_ones(store: SqliteDocuments) -> None:
    readers = Readers()
    async with working(store, readers) as ingestor:
        documents = []
        for key in ("korean pdf", "docx", "xlsx", "cp949"):
            name, make, _ = READABLE[key]
            documents.append(await store.add(ALICE, Upload(name, make())))
            ingestor.wake()
        found = [await ended(store, document) for document in documents]

    assert [(one.state, one.tries) for one in found] == [(DocumentState.COMPLETED, 1)] * 4
    passages = (await Retriever(store).search(ALICE, Search("연차 이월"))).passages
    assert {one.name for one in passages} == {"a.pdf", "a.docx", "a.txt"}
    assert readers.alive() == []


@pytest.mark.parametrize("key", ["0 bytes", "encrypted pdf", "random bytes", "entities", "zip bomb", "pdf bomb"])
async def test_unreadable_document_fails_with_its_reason(store: SqliteDocuments, key: str) -> None:
    name, make, reason = UNREADABLE[key]
    document = await store.add(ALICE, Upload(name, make()))

    async with working(store, Readers(ReaderLimits(memory_bytes=256 * 2**20))):
        found = await ended(store, document)

    assert (found.state, found.reason, found.tries) == (DocumentState.FAILED, FailureReason(reason), 1)


async def test_reader_that_takes_too_much_cpu_is_ended(store: SqliteDocuments) -> None:
    content = b"<" * 10_000_000  # each bracket may begin a tag
    document = await store.add(ALICE, Upload("a.html", content))

    async with working(store, Readers(ReaderLimits(cpu_seconds=1))):
        found = await ended(store, document)

    assert (found.state, found.reason) == (DocumentState.FAILED, FailureReason.PARSER_TIMEOUT)


async def test_reader_that_says_nothing_is_killed(store: SqliteDocuments) -> None:
    document = await store.add(ALICE, Upload("a.txt", b"x" * 2**20))
    readers = Readers(ReaderLimits(silence_seconds=0.5), SLEEPER)

    async with working(store, readers):
        found = await ended(store, document)

    assert (found.state, found.reason) == (DocumentState.FAILED, FailureReason.PARSER_TIMEOUT)
    assert readers.alive() == []


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "import os; os.write(1, b'\\xff' * 99)", "print('x')"])
async def test_reader_that_always_dies_is_given_up(store: SqliteDocuments, code: str) -> None:
    document = await store.add(ALICE, Upload("a.txt", b"x"))

    async with working(store, Readers(command=(sys.executable, "-c", code))):
        found = await ended(store, document)

    assert (found.state, found.reason, found.tries) == (DocumentState.FAILED, FailureReason.INTERRUPTED, 3)


async def test_machine_without_processes_is_no_fault_of_the_file(store: SqliteDocuments) -> None:
    with pytest.raises(ReaderLost):
        await ReaderProcess.open(Job("d", "l", "a.txt", b"", 0), ReaderLimits(), ("/no/such/program",))


class Interrupted:
    """A reading that kills its process before a given frame; the process of the next try is left alone."""

    def __init__(self, reading: ReaderProcess, frame: int) -> None:
        self._reading, self._frame = reading, frame

    async def next(self) -> Progress:
        if self._frame == 0:
            with suppress(ProcessLookupError):  # it has written everything, and nobody has read it
                os.kill(self._reading.pid, signal.SIGKILL)
            while True:  # what it had written before is read first
                await self._reading.next()
        self._frame -= 1
        return await self._reading.next()

    async def close(self) -> None:
        await self._reading.close()


@pytest.mark.parametrize("frame", [0, 1, 2, 12], ids=["start", "first passages", "middle", "before the end"])
async def test_killed_reader_is_followed_by_one_that_goes_on(store: SqliteDocuments, frame: int) -> None:
    document = await store.add(ALICE, Upload("a.md", LONG.encode()))
    firsts: list[int] = []

    async def read(job: Job) -> ReaderProcess | Interrupted:
        firsts.append(job.chunks_done)
        reading = await ReaderProcess.open(job, ReaderLimits())
        return Interrupted(reading, frame) if len(firsts) == 1 else reading

    ingestor = Ingestor(store, read, POLICY)
    while await ingestor.work():
        pass

    found = await ended(store, document)
    assert (found.state, found.tries, found.chunks_total) == (DocumentState.COMPLETED, 2, 400)
    assert firsts == [0, 32 * frame]
    assert await canaries(store, range(0, 400, 20)) == [1] * 20


WORKER = """
import asyncio, sys
from chatbot.adapters.documents.reader_process import ReaderLimits, ReaderProcess
from chatbot.core.retrieval.ingest import Ingestor, IngestPolicy
from chatbot.domain.document_store import DocumentBounds
from parts.document_place import open_documents
from parts.store_place import StorePlace

async def main():
    store = open_documents(StorePlace.from_text(sys.argv[1]), DocumentBounds(lease_seconds=1.0, tries=1000))
    await Ingestor(store, lambda job: ReaderProcess.open(job, ReaderLimits()), IngestPolicy(0.2, 0.1)).run()

asyncio.run(main())
"""


@pytest.mark.scale
async def test_worker_killed_at_any_stage_loses_and_doubles_nothing(
    any_place: StorePlace, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    """The whole worker, not only its reader; a new one resumes what the killed one had."""
    store = open_documents(any_place, DocumentBounds(lease_seconds=1.0, tries=1000))
    documents = [await store.add(ALICE, Upload("a.md", f"{number} {LONG}".encode())) for number in range(2)]
    kills = scale(4, 20)
    for kill in range(kills):
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, any_place.to_text(), env={**os.environ, "PYTHONPATH": str(TESTS)}
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            await chunks_stored(store, documents, kill * 800 // kills)
        worker.kill()
        await worker.wait()
    began = time.monotonic()
    async with working(store, Readers()):
        found = [await ended(store, document) for document in documents]
    seconds = time.monotonic() - began
    sums = await canaries(store, range(0, 400, 40))
    await store.close()

    assert [(one.state, one.chunks_total) for one in found] == [(DocumentState.COMPLETED, 400)] * 2
    assert sums == [2] * 10
    figures(kills=kills, finished_after_the_last_seconds=round(seconds, 1))


async def test_stopped_worker_gives_its_document_back_at_once(store: SqliteDocuments) -> None:
    document = await store.add(ALICE, Upload("a.txt", b"x"))
    readers = Readers(command=SLEEPER)
    async with working(store, readers):
        await until(store, document, lambda one: one.state == DocumentState.PARSING)
        await asyncio.sleep(0.1)

    found = await store.read(ALICE, document.document_id)
    assert found is not None
    assert (found.state, found.tries) == (DocumentState.QUEUED, 0)
    assert readers.alive() == []


@pytest.mark.parametrize("verb", ["erase", "cancel"])
async def test_erasing_and_cancelling_end_the_reader(store: SqliteDocuments, verb: str) -> None:
    document = await store.add(ALICE, Upload("a.txt", b"x"))
    other = await store.add(BOB, Upload("a.txt", ENGLISH.encode()))
    commands = iter([SLEEPER, READER_COMMAND])
    readers = Readers()

    async def read(job: Job) -> ReaderProcess:
        readers.command = next(commands)
        return await readers(job)

    async with working(store, read):  # type: ignore[arg-type]
        await until(store, document, lambda one: one.state == DocumentState.PARSING)
        await getattr(store, verb)(ALICE, document.document_id)
        await ended(store, other)

    assert readers.alive() == []
    assert len(readers.started) == 2
    found = await store.read(ALICE, document.document_id)
    assert (found is None) if verb == "erase" else (found is not None and found.state == DocumentState.CANCELLED)


@pytest.mark.parametrize("chunks", [1, 200], ids=["just begun", "half"])
async def test_document_erased_while_it_is_indexed_leaves_nothing(any_place: StorePlace, chunks: int) -> None:
    store = open_documents(any_place, BOUNDS)
    document = await store.add(ALICE, Upload("a.md", (LONG * 20).encode()))
    async with working(store, Readers()):
        await until(store, document, lambda one: one.chunks_done >= chunks)
        await store.erase(ALICE, document.document_id)
        other = await store.add(ALICE, Upload("b.txt", b"another one"))
        await ended(store, other)

    assert b"canary" not in kept_bytes(any_place)
    assert await canaries(store, range(3)) == [0, 0, 0]
    await store.close()


def test_pipeline_is_told_by_a_number() -> None:
    assert PIPELINE >= 1


@pytest.mark.scale
async def test_cost_of_reading(
    store: SqliteDocuments, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    text = "".join(f"{number}번째 규정은 여기에서 끝난다. " for number in range(scale(10_000, 350_000)))
    document = await store.add(ALICE, Upload("a.txt", text.encode()))
    began = time.monotonic()
    async with working(store, Readers()):
        await until(store, document, lambda one: one.state != DocumentState.QUEUED)
        first_seconds = time.monotonic() - began
        found = await ended(store, document)
    seconds = time.monotonic() - began

    assert found.state == DocumentState.COMPLETED
    megabytes = len(text.encode()) / 1e6
    figures(
        megabytes=round(megabytes, 1),
        seconds=round(seconds, 1),
        megabytes_a_minute=round(megabytes / seconds * 60, 1),
        first_progress_seconds=round(first_seconds, 2),
    )
