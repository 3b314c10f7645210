"""Writers killed in the middle of writing: what was acknowledged is there once, and nothing is half there."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from parts import busy_writer
from parts.store_place import StorePlace

START_SECONDS = 120.0


class Writer:
    """A writer process; what it was told to be stored is in a file, so that its death takes nothing away."""

    def __init__(self, place: StorePlace, db_id: str, prefix: str, folder: Path) -> None:
        self._told = folder / f"{db_id}-{prefix}"
        command = [sys.executable, busy_writer.__file__, place.to_text(), db_id, prefix]
        environment = os.environ | {"PYTHONPATH": str(Path(busy_writer.__file__).parents[1])}
        with self._told.open("wb") as output:
            self._process = subprocess.Popen(command, env=environment, stdout=output)

    async def begun(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self._told.stat().st_size == 0:
            assert time.monotonic() < deadline and self._process.poll() is None
            await asyncio.sleep(0.005)

    def killed(self) -> list[str]:
        """Kill it; the ids it was told, whole lines only."""
        self._process.kill()
        self._process.wait(timeout=30)
        return [line[:-1] for line in self._told.read_text().splitlines(keepends=True) if line.endswith("\n")]


@pytest.mark.scale
@pytest.mark.timeout(3600)
async def test_acknowledged_turns_of_killed_writers_are_there_once(
    place: StorePlace, tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    rounds, moments = scale(3, 100), random.Random(17)
    acknowledged = unacknowledged = 0

    for number in range(rounds):
        writers = [Writer(place, f"round{number}", prefix, tmp_path) for prefix in "ab"]
        try:
            await asyncio.gather(*(writer.begun() for writer in writers))
            await asyncio.sleep(moments.uniform(0, 0.05))
        finally:
            told = [writer.killed() for writer in writers]

        stored = await stored_ids(place, f"round{number}")
        assert len(stored) == len(set(stored))
        for prefix, ids in zip("ab", told, strict=True):
            mine = [turn_id for turn_id in stored if turn_id[0] == prefix]
            assert mine[: len(ids)] == ids  # in order, none missing
            assert len(mine) <= len(ids) + 1  # at most the one that was being written
            acknowledged, unacknowledged = acknowledged + len(ids), unacknowledged + len(mine) - len(ids)

    figures(kills=2 * rounds, acknowledged=acknowledged, stored_but_not_told=unacknowledged, lost=0, twice=0)


async def stored_ids(place: StorePlace, db_id: str) -> list[str]:
    store = place.open(busy_writer.BOUNDS)
    try:
        return [turn.turn_id for turn in (await store.load(busy_writer.key_of(db_id))).turns]
    finally:
        await store.close()
