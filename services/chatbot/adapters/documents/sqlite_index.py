"""The word index of one owner: a full-text table of SQLite's FTS5 (https://sqlite.org/fts5.html).

Each owner has a table of their own, so a query can only find what is theirs, their words alone decide which are rare,
and its time does not grow with what others keep. The table is made and dropped with the owner's row (ADR 0014).
"""

import sqlite3
from collections.abc import Iterable, Sequence

_LOOKUP = """
SELECT d.document_id, d.name, d.metadata, c.number, c.heading, c.text, c.page, c.first, c.beyond, -f.rank AS score
FROM {table} AS f JOIN chunks AS c ON c.id = f.rowid JOIN documents AS d ON d.id = c.document
WHERE f.terms MATCH ? AND d.owner = ? AND d.state IN ('embedding', 'completed'){conditions}
ORDER BY f.rank, f.rowid LIMIT ?"""


def create(connection: sqlite3.Connection, owner: int) -> None:
    """Make the index of an owner."""
    # The core's terms are compared as they are: the tokenizer `ascii` splits at what no term contains.
    connection.execute(
        f"""CREATE VIRTUAL TABLE {_table(owner)} USING fts5(terms, tokenize = "ascii tokenchars '-_.+#/'")"""
    )


def drop(connection: sqlite3.Connection, owner: int) -> None:
    """Remove the index of an owner."""
    connection.execute(f"DROP TABLE {_table(owner)}")


def add(connection: sqlite3.Connection, owner: int, rows: Iterable[tuple[int, Sequence[str]]]) -> None:
    """Index passages by their numbers in the table `chunks`."""
    connection.executemany(
        f"INSERT INTO {_table(owner)} (rowid, terms) VALUES (?, ?)",  # noqa: S608 - the name is made of a number
        ((number, " ".join(terms)) for number, terms in rows),
    )


def remove(connection: sqlite3.Connection, owner: int, document: int) -> None:
    """Take a document's passages out; `merge` then removes their words from the file."""
    connection.execute(
        f"DELETE FROM {_table(owner)} WHERE rowid IN (SELECT id FROM chunks WHERE document = ?)",  # noqa: S608
        (document,),
    )


def merge(connection: sqlite3.Connection, owner: int) -> None:
    """Write the index anew without what was taken out: until then the words of erased passages are in the file."""
    table = _table(owner)
    connection.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")  # noqa: S608


def search(
    connection: sqlite3.Connection, owner: int, terms: Sequence[str], conditions: tuple[str, Sequence[str]], limit: int
) -> list[sqlite3.Row]:
    """Passages in which any of the terms occurs, best first by BM25.

    Args:
        connection: The file.
        owner: Number of the owner.
        terms: One or more.
        conditions: SQL that follows the others, and its values.
        limit: Rows at most.
    """
    more, values = conditions
    statement = _LOOKUP.format(table=_table(owner), conditions=more)
    return connection.execute(statement, (_expression(terms), owner, *values, limit)).fetchall()


def _expression(terms: Sequence[str]) -> str:
    """Any of the terms. A single character stands for all pairs that begin with it."""
    return " OR ".join(f'"{_escaped(term)}"{"*" if len(term) == 1 and not term.isascii() else ""}' for term in terms)


def _escaped(term: str) -> str:
    return term.replace('"', '""').replace("\0", "")


def _table(owner: int) -> str:
    return f"terms_{owner:d}"
