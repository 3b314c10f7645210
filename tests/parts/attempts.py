"""Rows of `requests.csv` as a load run writes them."""

import random
from pathlib import Path

from chatbot_loadtest.results.records import COLUMNS, Outcome, Record, Table

BEGAN = 1_790_000_000.0


def attempt(number: int = 0, outcome: Outcome = Outcome.SUCCESS, **changes: object) -> Record:
    """One attempt; a failure is a 504."""
    values: dict[str, object] = {
        "user_id": f"office-{number:03d}",
        "test_type": "office",
        "endpoint": "/office/Llama",
        "character_name": "",
        "status_code": 200 if outcome is Outcome.SUCCESS else 504,
        "response_time": 1.0,
        "failure_reason": "" if outcome is Outcome.SUCCESS else "timed_out",
        "retry_count": 0,
        "retry_after_seconds": None,
        "timestamp": BEGAN + number,
        "response_size": 10,
        "outcome": outcome,
    }
    return Record(**(values | changes))  # type: ignore[arg-type]


def write(path: Path, records: list[Record]) -> Path:
    """Them as the table."""
    table = Table(path, COLUMNS)
    for record in records:
        table.add(record.row())
    table.close()
    return path


def many(count: int, seed: int) -> list[Record]:
    """All kinds of them at random."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        outcome = rng.choices(list(Outcome), [2, 1, 7])[0]
        retry = outcome is Outcome.RETRY
        made.append(
            attempt(
                number % 50,
                outcome,
                response_time=rng.expovariate(0.2),
                timestamp=BEGAN + number * 0.01,
                character_name=rng.choice(["", "Mira", 'Ro, "the captain"']),
                **({"status_code": 429, "failure_reason": "queue_full", "retry_after_seconds": 3} if retry else {}),
            )
        )
    return made
