"""A service that is killed in the middle: what of its records is lost, and that the rest agrees."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
from parts.stub_office import Stub, stub_office

ASKED = {"input_data": "안녕하세요!", "user_id": "u"}


def kept(file: Path) -> int:
    """Rows in a store, 0 where there is none yet."""
    if not file.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as reading:
            return int(reading.execute("SELECT count(*) FROM requests").fetchone()[0])
    except sqlite3.OperationalError:  # it is being made
        return 0


async def test_a_killed_service_loses_only_the_last_records_and_its_sums_agree(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    lost = []
    for life in range(scale(1, 10)):
        folder = tmp_path / str(life)
        folder.mkdir()
        file, answered_at = folder / "chatbot-usage.sqlite3", list[float]()
        loop = asyncio.get_running_loop()
        with stub_office(folder, Stub(pieces=3)) as office:
            async with httpx.AsyncClient(base_url=office.url, trust_env=False, timeout=60) as client:
                while kept(file) < 60 or len(answered_at) < 100:
                    assert (await client.post("/Llama", json=ASKED)).status_code == 200
                    answered_at.append(loop.time())
                for _ in range(40 + 7 * life):  # any moment, not only the one after a batch
                    await client.post("/Llama", json=ASKED)
                    answered_at.append(loop.time())
            office.process.kill()
            killed_at = loop.time()
            office.process.wait()
        rows = kept(file)
        with closing(sqlite3.connect(file)) as after:
            assert after.execute("SELECT sum(requests), sum(prompt_tokens) FROM days").fetchone() == (
                after.execute("SELECT count(*), sum(prompt_tokens) FROM requests").fetchone()
            )
            assert after.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert 60 <= rows <= len(answered_at)
        lost.append((len(answered_at) - rows, killed_at - answered_at[rows] if rows < len(answered_at) else 0.0))

    figures(lives=len(lost), lost_rows=[rows for rows, _ in lost], lost_seconds=round(max(s for _, s in lost), 2))


async def test_a_service_that_is_ended_loses_nothing(tmp_path: Path) -> None:
    with stub_office(tmp_path, Stub(pieces=3)) as office:
        async with httpx.AsyncClient(base_url=office.url, trust_env=False, timeout=60) as client:
            for _ in range(20):
                assert (await client.post("/Llama", json=ASKED)).status_code == 200
        office.terminate()
        await asyncio.to_thread(office.process.wait, 60)

    assert kept(tmp_path / "chatbot-usage.sqlite3") == 20
