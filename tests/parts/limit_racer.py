"""A process that reserves as fast as it can, of one account or of those of a user, a key and a tenant together.

`python -m parts.limit_racer PLACE COUNT [together]` prints, as one JSON list, the answer tokens of each reservation
that it got; together, lists of user, key and tokens.
"""

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from chatbot.adapters.limits.mongo import MongoAccounts
from chatbot.adapters.limits.redis import RedisAccounts
from chatbot.adapters.limits.sqlite import SqliteAccounts
from chatbot.core.limits.asks import Ask, Granted
from chatbot.core.limits.ledger import Ledger
from chatbot.core.limits.limiter import Limiter, LimiterPolicy, Wanted
from chatbot.core.limits.windows import Calendar
from chatbot.domain.chat import Caller, Dialogue, Message
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.generation import Backend, GenerationRequest, Sampling, Usage
from chatbot.domain.limits import AccountStore, BudgetUnavailable, Limited, Limits, RateLimited, Subject
from chatbot.domain.usage.prices import PriceTable

from parts.store_place import StorePlace

LIMITS = Limits(requests_per_minute=100_000, tokens_per_day=5000, account="raced")
PROMPT_TOKENS = 7
NOON = 1_795_262_400.0
TOGETHER = {
    Subject.USER: Limits(tokens_per_day=5_000, micro_usd_per_day=7_000),
    Subject.KEY: Limits(tokens_per_day=7_000, concurrent=10_000),
    Subject.TENANT: Limits(tokens_per_day=17_000, micro_usd_per_day=20_000),
}
PROMPT_BOUND = 1 + 16 * 4
PRICES = PriceTable.parse([{"model": "remote", "from": "2026-01-01", "input": 1, "output": 2}])


class Silent:
    """`LimitTelemetry` for nobody."""

    def limit_decided(self, service: str, limit: str, outcome: str) -> None:
        """Not counted."""

    def limit_store_called(self, outcome: str, seconds: float) -> None:
        """Not counted."""


def open_accounts(place: StorePlace) -> AccountStore:
    """The store at a place."""
    if place.kind == "sqlite":
        return SqliteAccounts(Path(place.where))
    if place.kind == "redis":
        return RedisAccounts.open(place.where)
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


async def race_together(place: StorePlace, count: int) -> list[list[int]]:
    """Ask for answers of 1-40 tokens of 5 users with 3 keys of one tenant, all at once.

    Half of them settle less than they got while the others ask; those settle all of it at the end.
    """
    store, policy = open_accounts(place), LimiterPolicy(call_seconds=600.0)
    limiter = Limiter(store, policy, Silent(), prices=PRICES, now=lambda: NOON)
    got, late = [], []

    async def one(number: int) -> None:
        user, key, wanted = number % 5, number % 3, 1 + number % 40
        dialogue = Dialogue("", (), (), Message("user", "x"))
        request = GenerationRequest(uuid4().hex, dialogue, Sampling(max_tokens=wanted), 0.0)
        asked = Wanted("s", Backend.OPENAI, request, "remote", 0, {}, 600.0)
        while True:
            with suppress(StoreUnavailable, BudgetUnavailable):  # of a busy machine
                try:
                    hold = await limiter.reserve(Caller("t", str(user), str(key), everybody(user, key)), asked)
                except RateLimited:
                    return
                break
        request = hold.admitted(request)
        tokens = request.sampling.most_tokens or 0
        tokens = tokens // 2 if number % 2 else tokens
        (await hold.admit(request)).ended(Usage(PROMPT_BOUND, tokens))
        got.append([user, key, tokens])
        if number % 2:
            await hold.finish()
        else:
            late.append(hold)

    await asyncio.gather(*(one(number) for number in range(count)))
    await asyncio.gather(*(hold.finish() for hold in late))
    await limiter.close()
    return got


def everybody(user: int, key: int) -> tuple[Limited, ...]:
    """Whose use is counted for one request."""
    return tuple(
        Limited(subject, replace(limits, account=f"{subject}/{number}"))
        for (subject, limits), number in zip(TOGETHER.items(), (user, key, 0), strict=True)
    )


if __name__ == "__main__":
    sys.stdin.readline()  # so that all begin together
    racing = race_together if sys.argv[3:] == ["together"] else race
    sys.stdout.write(json.dumps(asyncio.run(racing(StorePlace.from_text(sys.argv[1]), int(sys.argv[2])))))  # type: ignore[operator]
