"""Rows of a person in one SQLite file, by a description of its tables."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chatbot.adapters.sqlite_file import SqliteFile, flush, transaction
from chatbot.domain.personal.stores import Overdue, Person, Row

CALL_SECONDS: Final = 30.0
"""Removing what somebody kept for years takes longer than an answer may wait; nobody waits here."""

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with rows of people. All texts are SQL of this package, with the names of `Tables.values`.

    Attributes:
        kind: What a row is, in exports.
        source: What follows FROM.
        mine: Condition: the row is this person's.
        columns: That an export shows; a BLOB has no place here.
        place: Column that orders rows, unique; `first`: less than all its values.
        show: A row as plain JSON.
    """

    kind: str
    source: str
    mine: str
    columns: str
    place: str = "rowid"
    first: int | str = -1
    page: int = 200
    show: Callable[[dict[str, Any]], Row] = dict


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one file.

    Attributes:
        name: Of the store.
        setting: That names the file.
        opening: Makes a connection.
        tables: In the order of an export; the rows of the first are counted.
        removals: Statements that remove a person's rows.
        oldest: Statement: Unix seconds of the oldest row; "": nobody wrote down when rows came.
        expiry: Statement that removes rows, with `:before` (Unix seconds), `:most` and `{whose}`; "" as above.
        leftovers: Statement that removes what belonged to rows that expired.
        tenant: Column of the tenant, for `expiry`.
        values: A person as parameters.
    """

    name: str
    setting: str
    opening: Callable[[Path], sqlite3.Connection]
    tables: Sequence[Table]
    removals: Sequence[str]
    values: Callable[[Person], Values]
    oldest: str = ""
    expiry: str = ""
    leftovers: str = ""
    tenant: str = "tenant"


class SqlitePersonal:
    """`PersonalData` in a file, on a connection of its own.

    Args:
        path: The file of the store.
        tables: What is in it.
        kept: Why rows stay, for whom some do.
    """

    def __init__(self, path: Path, tables: Tables, kept: Callable[[Person], str] = lambda _: "") -> None:
        self._file = SqliteFile(path, tables.setting, tables.opening, CALL_SECONDS)
        self._tables = tables
        self._kept = kept

    @property
    def name(self) -> str:
        """See `PersonalData`."""
        return self._tables.name

    async def export(self, person: Person) -> AsyncIterator[Row]:
        """See `PersonalData`."""
        for table in self._tables.tables:
            place: int | str = table.first
            while rows := await self._page(table, person, place):
                for row in rows:
                    shown = dict(row)
                    place = shown.pop("its_place")
                    yield {"kind": table.kind, **table.show(shown)}

    async def erase(self, person: Person) -> None:
        """See `PersonalData`; what was removed leaves the file, the write-ahead log too."""
        if self._kept(person):
            return
        values = self._tables.values(person)

        def remove(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                for statement in self._tables.removals:
                    connection.execute(statement, values)
            flush(connection)

        await self._file.call(remove)

    async def count(self, person: Person) -> int:
        """See `PersonalData`."""
        first, values = self._tables.tables[0], self._tables.values(person)
        sql = f"SELECT count(*) FROM {first.source} WHERE {first.mine}"  # noqa: S608 - constants
        return int(await self._file.call(lambda connection: connection.execute(sql, values).fetchone()[0]))

    def keeps(self, person: Person) -> str:
        """See `PersonalData`."""
        return self._kept(person)

    async def oldest(self) -> float | None:
        """See `PersonalData`."""
        if not self._tables.oldest:
            return None
        found = await self._file.call(lambda connection: connection.execute(self._tables.oldest).fetchone()[0])
        return None if found is None else float(found)

    async def expire(self, overdue: Overdue) -> int:
        """See `PersonalData`."""
        if not self._tables.expiry:
            return 0
        whose, values = of_tenants(overdue, self._tables.tenant)
        sql = self._tables.expiry.format(whose=whose)
        values |= {"before": overdue.before, "most": overdue.most}

        def remove(connection: sqlite3.Connection) -> int:
            with transaction(connection):
                removed = connection.execute(sql, values).rowcount
                if removed and self._tables.leftovers:
                    connection.execute(self._tables.leftovers)
            if removed:
                flush(connection)
            return removed

        return await self._file.call(remove)

    async def close(self) -> None:
        """Give back the connection."""
        await self._file.close()

    async def _page(self, table: Table, person: Person, place: int | str) -> list[sqlite3.Row]:
        sql = (
            f"SELECT {table.columns}, {table.place} AS its_place FROM {table.source} "  # noqa: S608 - constants
            f"WHERE {table.mine} AND {table.place} > :after ORDER BY {table.place} LIMIT {table.page}"
        )
        values = {**self._tables.values(person), "after": place}
        return await self._file.call(lambda connection: connection.execute(sql, values).fetchall())


def of_tenants(overdue: Overdue, column: str) -> tuple[str, dict[str, Any]]:
    """Condition and values: of which tenants."""
    if overdue.tenant is not None:
        return f"{column} = :tenant", {"tenant": overdue.tenant}
    names = {f"other{number}": tenant for number, tenant in enumerate(sorted(overdue.except_tenants))}
    return f"{column} NOT IN ({', '.join(f':{name}' for name in names)})", dict(names)
