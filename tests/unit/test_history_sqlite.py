"""Statements of the embedded store, in memory: generated histories behave like the reference."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from chatbot.adapters import sqlite_file
from chatbot.adapters import sqlite_tables as tables
from chatbot.adapters.history_bounds import GRACE, TOMBSTONE, HistoryBounds
from chatbot.adapters.memory.mongo import summary_of, summary_values
from chatbot.domain.chat import Caller, Conversation, ConversationKey, Turn
from chatbot.domain.errors import ConversationErased
from chatbot.domain.memory.standing import Note, Standing
from chatbot.domain.memory.summary import Summary
from hypothesis import given, settings
from parts.history_model import START, HandClock, HistoryModel
from parts.history_steps import KEYS, Step, histories

BOUNDS = HistoryBounds(max_turns=3, max_bytes=40, ttl_seconds=1000)
KEY = ConversationKey("office", Caller("", "user"), "chat")


def in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    tables.create(connection)
    return connection


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = in_memory()
    yield connection
    connection.close()


def outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except ConversationErased:
        return ConversationErased


@settings(max_examples=300, deadline=None, database=None)
@given(histories(TOMBSTONE.total_seconds()))
def test_generated_history_behaves_like_the_reference(steps: list[Step]) -> None:
    connection, clock = in_memory(), HandClock()
    model = HistoryModel(BOUNDS, clock)

    for step in steps:
        key = KEYS[step.key]
        read = model.load(key)
        asked = Conversation(key, step.epoch(read.epoch), local_only=step.local_only)
        clock.pass_by(step.seconds)
        now, turn = clock.now, step.turn(clock.now)
        if step.verb == "erase":
            tables.erase(connection, key, now)
            model.erase(key)
        elif step.verb == "remember":
            done = tables.remember(connection, key, step.note, step.pins, now)
            assert done == model.remember(key, step.note, step.pins)
        elif step.verb == "summarise":
            if (summary := step.summary(read)) is not None:
                asked = replace(read, epoch=asked.epoch)
                assert tables.summarise(connection, asked, summary, now) == model.summarise(asked, summary)
        else:
            stored = outcome(partial(tables.append, connection, asked, turn, BOUNDS, now))
            assert stored == outcome(partial(model.append, key, turn, epoch=asked.epoch, local_only=asked.local_only))
        assert [tables.load(connection, key, now) for key in KEYS] == [model.load(key) for key in KEYS]
    connection.close()


def test_nothing_is_written_when_a_step_of_the_transaction_fails(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TRIGGER refuse BEFORE INSERT ON turns BEGIN SELECT RAISE(ABORT, 'no'); END")

    with pytest.raises(sqlite3.IntegrityError):
        tables.append(connection, Conversation(KEY), Turn("t", "q", "a", START), BOUNDS, START)

    assert connection.execute("SELECT count(*) FROM conversations").fetchone()[0] == 0
    assert not connection.in_transaction


def test_expired_rows_are_deleted_with_their_turns_after_the_grace(connection: sqlite3.Connection) -> None:
    tables.append(connection, Conversation(KEY), Turn("t", "q", "a", START), BOUNDS, START)
    expiry = START + timedelta(seconds=BOUNDS.ttl_seconds)

    tables.sweep(connection, expiry + GRACE - timedelta(seconds=1))
    kept = connection.execute("SELECT count(*) FROM turns").fetchone()[0]
    tables.sweep(connection, expiry + GRACE)

    assert kept == 1
    assert connection.execute("SELECT (SELECT count(*) FROM turns) + count(*) FROM conversations").fetchone()[0] == 0


def test_another_ones_switch_to_the_write_ahead_log_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite refuses it at once while another process writes, whatever the timeout."""
    path, waits = tmp_path / "history.sqlite3", []
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        def ends(seconds: float) -> None:
            waits.append(seconds)
            other.execute("ROLLBACK")

        monkeypatch.setattr(sqlite_file.time, "sleep", ends)
        with closing(tables.connect(path)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"

    assert len(waits) == 1


def test_a_summary_that_an_older_version_left_at_an_erasure_is_none(connection: sqlite3.Connection) -> None:
    turn = Turn("t", "q", "a", START)
    tables.append(connection, Conversation(KEY), turn, BOUNDS, START)
    made = Summary("erased words", "t", "t", START, 1, "toy@0", START)
    assert tables.summarise(connection, tables.load(connection, KEY, START), made, START)
    connection.execute("UPDATE conversations SET epoch = epoch + 1")  # all that it knows of
    connection.execute("DELETE FROM turns")

    tables.append(connection, Conversation(KEY, 1), turn, BOUNDS, START)
    read = tables.load(connection, KEY, START)
    assert read.summary is None
    assert tables.summarise(connection, read, replace(made, text="new words"), START)
    assert tables.load(connection, KEY, START).summary == replace(made, text="new words")
    assert summary_of({"turns": [turn], "epoch": 1, **summary_values(Conversation(KEY, 0), made)}) is None
    assert summary_of({"turns": [turn], "epoch": 1, **summary_values(Conversation(KEY, 1), made)}) == made


def test_a_file_of_an_older_version_is_completed_and_both_versions_go_on(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    older = tuple(one.replace(" character TEXT NOT NULL DEFAULT '',", "") for one in tables.LAYOUT.statements)
    older = tuple(re.sub(r"\n +(note|summary|proposals) TEXT.*", "", one) for one in older)
    assert "".join(older).count("DEFAULT") == 0
    turn = "INSERT INTO turns (conversation, turn_id, question, answer, at, bytes) VALUES (1, ?, 'q', 'a', 0, 2)"
    with closing(sqlite_file.connect(path, replace(tables.LAYOUT, statements=older))) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute(
            """INSERT INTO conversations (tenant, service, user, db_id, epoch, local_only, updated_at, expires_at)
            VALUES ('', 'office', 'user', 'chat', 1, 0, 0, 9e12)"""
        )
        connection.execute(turn, ("before",))

    with closing(tables.connect(path)) as connection, closing(tables.connect(path)) as another:
        connection.row_factory = another.row_factory = sqlite3.Row
        epoch = tables.load(connection, KEY, START).epoch
        asked = Conversation(KEY, epoch)
        tables.append(connection, asked, Turn("new", "q", "a", START, "nabi@0123"), HistoryBounds(), START)
        another.execute(turn, ("by the older one",))
        assert tables.remember(another, KEY, Note("짧게", 2), ["고양이"], START)
        loaded = tables.load(another, KEY, START)
        found = loaded.turns

    assert loaded.standing == Standing(Note("짧게", 2), ("고양이",))
    assert [(one.turn_id, one.character) for one in found] == [
        ("before", ""),
        ("new", "nabi@0123"),
        ("by the older one", ""),
    ]
