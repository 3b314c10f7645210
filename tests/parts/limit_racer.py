"""A process that reserves of one account as fast as it can: `python -m parts.limit_racer PLACE COUNT`.

Prints, as one JSON list, the answer tokens of each reservation that it got.
"""

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from chatbot.adapters.limits.mongo import MongoAccounts
from chatbot.adapters.limits.sqlite import SqliteAccounts
from chatbot.core.limits.asks import Ask, Granted
from chatbot.core.limits.ledger import Ledger
from chatbot.core.limits.windows import Calendar
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.limits import AccountStore, Limits

from parts.store_place import StorePlace

LIMITS = Limits(requests_per_minute=100_000, tokens_per_day=5000, account="raced")
PROMPT_TOKENS = 7
NOON = 1_795_262_400.0


def open_accounts(place: StorePlace) -> AccountStore:
    """The store at a place."""
    if place.kind == "sqlite":
        return SqliteAccounts(Path(place.where))
    return MongoAccounts.open(place.where, place.database, place.kind)  # type: ignore[arg-type]


async def race(place: StorePlace, count: int) -> list[int]:
    """Ask for answers of 1-40 tokens, all at once."""
    ledger = Ledger(open_accounts(place), Calendar(), now=lambda: NOON)

    async def one(number: int) -> int | None:
        ask = Ask(uuid4().hex, PROMPT_TOKENS, 1 + number % 40, NOON + 600)
        while True:
            with suppress(StoreUnavailable):  # of a busy machine; asking again for the same gives the same
                outcome, _ = await ledger.reserve(LIMITS, ask)
                return outcome.answer_tokens if isinstance(outcome, Granted) else None

    got = await asyncio.gather(*(one(number) for number in range(count)))
    await ledger.close()
    return [tokens for tokens in got if tokens is not None]


if __name__ == "__main__":
    sys.stdin.readline()  # so that all begin together
    sys.stdout.write(json.dumps(asyncio.run(race(StorePlace.from_text(sys.argv[1]), int(sys.argv[2])))))
