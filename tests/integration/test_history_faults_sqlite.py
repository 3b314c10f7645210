"""The file of the embedded store damaged, foreign, read-only, full, locked or moved.

What is wrong is said clearly, within the time that is promised, and what was mended is taken without a restart.
"""
# ruff: noqa: ASYNC240 - a test may wait for its own files

import asyncio
import os
import resource
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chatbot.adapters import sqlite_file, sqlite_tables
from chatbot.adapters.history_bounds import CALL_SECONDS, HistoryBounds
from chatbot.adapters.sqlite import SqliteConversations
from chatbot.core.history import STORE_SECONDS
from chatbot.domain.chat import Caller, ConversationKey, Turn
from chatbot.domain.errors import StoreUnavailable

KEY = ConversationKey("office", Caller("", "CANARY"), "CANARY")


def turn(turn_id: str = "t", answer: str = "CANARY") -> Turn:
    return Turn(turn_id, "CANARY", answer, datetime.now(UTC))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteConversations]:
    store = SqliteConversations.open(path, HistoryBounds())
    yield store
    await store.close()


async def complaint(store: SqliteConversations) -> str:
    """What a write says. The faults here never end by themselves, so that it says something is the bound."""
    with pytest.raises(StoreUnavailable) as caught:
        await store.append(KEY, turn(), epoch=0)
    assert "CANARY" not in str(caught.value)
    return str(caught.value)


def test_three_seconds_are_kept() -> None:
    """What is promised, by the bounds that add up to it: a busy machine may add to each timer."""
    assert sqlite_file.BUSY_MILLISECONDS / 1000 < CALL_SECONDS < STORE_SECONDS <= 3.0


async def test_file_is_made_for_its_owner_alone(store: SqliteConversations, path: Path) -> None:
    await store.append(KEY, turn(), epoch=0)

    files = list(path.parent.glob("history.sqlite3*"))
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_erased_text_leaves_the_files(store: SqliteConversations, path: Path) -> None:
    await store.append(KEY, turn(answer="SECRET " * 2000), epoch=0)
    written = b"".join(file.read_bytes() for file in path.parent.glob("history.sqlite3*"))

    await store.erase(KEY)

    left = b"".join(file.read_bytes() for file in path.parent.glob("history.sqlite3*"))
    assert b"SECRET" in written
    assert b"SECRET" not in left


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        pytest.param(b"this is no database" * 100, "no SQLite database", id="text"),
        pytest.param(b"GGUF" + bytes(5000), "no SQLite database", id="a model"),
    ],
)
async def test_wrong_file_is_named_and_left_alone(
    store: SqliteConversations, path: Path, content: bytes, remedy: str
) -> None:
    path.write_bytes(content)

    said = await complaint(store)

    assert remedy in said and "CHATBOT_HISTORY_SQLITE_PATH" in said
    assert path.read_bytes() == content
    path.unlink()
    assert (await store.append(KEY, turn(), epoch=0)).turn_id == "t"


async def test_database_of_another_program_is_left_alone(store: SqliteConversations, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (a)")
        other.commit()
    before = path.read_bytes()

    assert "another program or version" in await complaint(store)

    assert path.read_bytes() == before


async def test_damaged_file_is_named_and_a_restored_one_is_taken(store: SqliteConversations, path: Path) -> None:
    for number in range(20):
        await store.append(KEY, turn(f"t{number}", "x" * 4000), epoch=0)
    await store.close()
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[4096:] = os.urandom(len(whole) - 4096)
    path.write_bytes(damaged)
    again = SqliteConversations.open(path, HistoryBounds())

    assert "damaged" in await complaint(again)

    path.write_bytes(whole)
    assert len((await again.load(KEY)).turns) == 20
    await again.close()


async def test_file_that_was_taken_away_is_not_written_to_blindly(store: SqliteConversations, path: Path) -> None:
    await store.append(KEY, turn("before"), epoch=0)
    moved = path.with_name("moved")
    path.rename(moved)

    await store.append(KEY, turn("after"), epoch=0)

    assert [turn.turn_id for turn in (await store.load(KEY)).turns] == ["after"]
    assert path.exists()


async def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SqliteConversations.open(tmp_path / "file" / "history.sqlite3", HistoryBounds())

    assert "check the file, its folder" in await complaint(store)

    (tmp_path / "file").unlink()
    await store.ping()
    await store.close()


@pytest.fixture
def lock(path: Path) -> Iterator[sqlite3.Connection]:
    """Another process that holds the write lock."""
    with closing(sqlite_tables.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


async def test_write_lock_held_for_long_is_told_and_reads_go_on(
    store: SqliteConversations, lock: sqlite3.Connection
) -> None:
    said = await complaint(store)  # whichever of the two timers a busy machine lets fire first

    assert "another process holds the file" in said or f"no answer within {CALL_SECONDS} s" in said

    assert (await store.load(KEY)).turns == ()
    lock.execute("ROLLBACK")
    await store.append(KEY, turn(), epoch=0)


async def test_write_lock_held_briefly_is_waited_for(store: SqliteConversations, lock: sqlite3.Connection) -> None:
    await store.load(KEY)
    waiting = asyncio.ensure_future(store.append(KEY, turn(), epoch=0))
    await asyncio.sleep(0.2)
    lock.execute("ROLLBACK")

    assert (await waiting).turn_id == "t"


async def test_disk_that_hangs_holds_no_caller(store: SqliteConversations, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.ping()
    comes_back = threading.Event()
    monkeypatch.setattr(sqlite_tables, "load", lambda *_: comes_back.wait())

    results = await asyncio.gather(*(store.load(KEY) for _ in range(50)), return_exceptions=True)

    assert {type(result) for result in results} == {StoreUnavailable}
    comes_back.set()
    await store.append(KEY, turn(), epoch=0)


async def test_closed_store_says_so(store: SqliteConversations) -> None:
    await store.ping()
    await store.close()

    assert "closed" in await complaint(store)


CHILD = """
    import asyncio, os, resource, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from chatbot.adapters.history_bounds import HistoryBounds
    from chatbot.adapters.sqlite import SqliteConversations
    from chatbot.domain.chat import Caller, ConversationKey, Turn
    from chatbot.domain.errors import StoreUnavailable

    path = Path(sys.argv[1])
    store = SqliteConversations.open(path, HistoryBounds())

    async def write(name, size=10):
        try:
            await store.append(
                ConversationKey("office", Caller("", "u"), "c"), Turn(name, "q", "x" * size, datetime.now(UTC)), epoch=0
            )
            print("stored", name)
        except StoreUnavailable as exc:
            print("refused", name, exc)

    async def names():
        conversation = await store.load(ConversationKey("office", Caller("", "u"), "c"))
        print("there", *[turn.turn_id for turn in conversation.turns])
"""


def in_a_process(path: Path, body: str) -> list[str]:
    """Limits and users are of a whole process, so these faults are made in one of its own."""
    code = textwrap.dedent(CHILD) + "async def main():\n" + textwrap.indent(textwrap.dedent(body), "    ")
    command = [sys.executable, "-c", code + "\nasyncio.run(main())", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_full_disk_refuses_loses_nothing_and_recovers(path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    lines = in_a_process(
        path,
        f"""
        await write("small")
        resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, {hard}))
        await write("large", 200_000)
        await names()
        resource.setrlimit(resource.RLIMIT_FSIZE, ({hard}, {hard}))
        await write("large", 200_000)
        await names()
        await store.close()
        """,
    )

    assert lines[0] == "stored small"
    assert lines[1].startswith("refused large SQLite: CHATBOT_HISTORY_SQLITE_PATH: ") and "disk" in lines[1]
    assert lines[2:] == ["there small", "stored large", "there small large"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are the owner's alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_read_only_file_refuses_and_recovers(open_folder: Path) -> None:
    lines = in_a_process(
        open_folder / "history.sqlite3",
        """
        await write("first")
        await store.close()
        globals()["store"] = SqliteConversations.open(path, HistoryBounds())
        path.chmod(0o444)
        path.parent.chmod(0o555)
        if os.geteuid() == 0:  # root may write anything
            os.seteuid(65534)
        await write("second")
        os.seteuid(os.getuid())
        path.parent.chmod(0o755)
        path.chmod(0o600)
        await write("third")
        await names()
        await store.close()
        """,
    )

    assert lines[0] == "stored first"
    assert lines[1].startswith("refused second SQLite: CHATBOT_HISTORY_SQLITE_PATH: ")
    assert "read-only" in lines[1]
    assert lines[2:] == ["stored third", "there first third"]


async def test_many_that_start_on_a_new_file_at_once_all_get_it(tmp_path: Path) -> None:
    for number in range(100):  # one start in 600 met another one's switch to the write-ahead log
        stores = [SqliteConversations.open(tmp_path / f"{number}.sqlite3", HistoryBounds()) for _ in range(6)]

        await asyncio.gather(*(store.append(KEY, turn(f"t{n}"), epoch=0) for n, store in enumerate(stores)))

        assert len((await stores[0].load(KEY)).turns) == 6
        await asyncio.gather(*(store.close() for store in stores))
