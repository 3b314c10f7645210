"""Rows of use for tests, and the store that keeps them."""

import random
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from chatbot.adapters.mongo_client import open_client
from chatbot.adapters.usage.mongo import MongoUsage
from chatbot.adapters.usage.sqlite import SqliteUsage
from chatbot.domain.usage.rows import Ask, Group, UsageRow, UsageStore, UseOutcome

from parts.store_place import StorePlace

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
DAY = date(2026, 11, 21)


def open_usage(place: StorePlace, now: Callable[[], float] = time.time) -> UsageStore:
    """The store of a place."""
    if place.kind == "sqlite":
        return SqliteUsage(Path(place.where).with_suffix(".usage"))
    return MongoUsage(open_client(place.where, place.kind), place.database, now)  # type: ignore[arg-type]


def row(name: str, **given: Any) -> UsageRow:
    """A row; what is not given is that of an answer of 10 and 5 tokens."""
    usual: dict[str, Any] = {
        "at": NOON,
        "tenant": "team-a",
        "key": "k1",
        "user": "u_1",
        "service": "office",
        "route": "/Llama",
        "backend": "llama",
        "model": "demo",
        "revision": "0" * 16,
        "outcome": UseOutcome.OK,
        "prompt_tokens": 10,
        "completion_tokens": 5,
    }
    return UsageRow(id=name, **usual | given)


def rows(count: int, prefix: str = "r", seed: int = 7) -> list[UsageRow]:
    """Rows of several days, keys, users, models and outcomes."""
    chance = random.Random(seed)
    return [
        row(
            f"{prefix}{number}",
            at=NOON + chance.randrange(-3, 3) * 86_400,
            key=f"k{chance.randrange(3)}",
            user=f"u_{chance.randrange(9)}",
            service=chance.choice(("office", "character")),
            model=chance.choice(("demo", "gpt-small")),
            outcome=chance.choice(list(UseOutcome)),
            prompt_tokens=chance.randrange(500),
            cached_tokens=chance.randrange(50),
            completion_tokens=chance.randrange(200),
            tools=("calculate",) * chance.randrange(3),
            micro_usd=chance.randrange(10_000),
            price=chance.choice(("", "small@2026-01-01#0")),
            is_estimated=chance.random() < 0.1,
        )
        for number in range(count)
    ]


def whole(*by: Group, tenant: str = "team-a") -> Ask:
    """A report over all days that the rows of this module are of."""
    return Ask(tenant, date(2026, 1, 1), date(2027, 1, 1), by)
