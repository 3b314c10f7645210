"""W7: clients go away, and somebody waits for the row that they leave."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from engine_bench.load.client import Exchange, Question, ask
from engine_bench.load.workload import TEMPLATE_TOKENS, fresh, wait_figures

_KINDS = ("decode", "prefill", "queued")


@dataclass(frozen=True, slots=True)
class Leaving:
    """Both rows are taken; one client goes away; how long until the next one has its first token.

    Attributes:
        leaves: How many, a third of them in each state.
        prefill_tokens: Prompt that is still being read when its client goes.
        prefill_seconds: When it goes.
    """

    leaves: int = 99
    prefill_tokens: int = 3000
    prefill_seconds: float = 0.3
    answer_tokens: int = 2000
    settle_seconds: float = 0.15
    slots: int = 2
    name: str = "W7"

    @property
    def slot_tokens(self) -> int:
        """The longest request."""
        return max(self.prefill_tokens, self.answer_tokens) + 2 * TEMPLATE_TOKENS

    async def play(self, port: int, seed: int) -> list[Exchange]:
        """One leave after another."""
        rng = random.Random(seed)  # noqa: S311 - texts, no secrets
        exchanges: list[Exchange] = []
        for number in range(self.leaves):
            exchanges += await self._one(port, _KINDS[number % len(_KINDS)], number, rng)
        return exchanges

    async def _one(self, port: int, kind: str, number: int, rng: random.Random) -> list[Exchange]:
        is_over, may_leave = asyncio.Event(), asyncio.Event()

        def long(name: str, tokens: int, leaves: asyncio.Event) -> Question:
            messages = fresh(rng, tokens // 2, tokens // 2)
            key = f"{name}{number}"
            answer = self.answer_tokens if tokens < self.prefill_tokens else 1
            return Question(key, name, key, messages, answer, number, lambda _: leaves.is_set())

        tasks = [asyncio.create_task(ask(port, long("hold", 20, is_over)))]
        if kind == "queued":
            tasks.append(asyncio.create_task(ask(port, long("hold2", 20, may_leave))))
        await asyncio.sleep(self.settle_seconds)
        patience = None if kind == "decode" else self.prefill_seconds
        tokens = self.prefill_tokens if kind == "prefill" else 20
        leaver = asyncio.create_task(ask(port, long("leave", tokens, may_leave), patience))
        await asyncio.sleep(self.settle_seconds)
        waiting = Question(f"{kind}{number}", kind, f"p{number}", fresh(rng, 10, 10), 1, number)
        probe = asyncio.create_task(ask(port, waiting))
        await asyncio.sleep(self.settle_seconds)
        may_leave.set() if kind == "decode" else None
        gone = await leaver
        if kind == "queued":
            may_leave.set()
            gone = await tasks.pop()
        answer = await probe
        answer.sent_at = gone.done_at  # its row was free from here on
        is_over.set()
        held = await asyncio.gather(*tasks)
        if gone.status not in (0, 200):
            return [gone]  # refused, which makes the run void
        # An answer that came to its own end gave its row away by itself: that was no leave.
        return [answer] if all(each.has_left for each in (gone, *held)) and answer.first_seconds > 0 else []

    def fault(self, exchanges: Sequence[Exchange]) -> str | None:
        """The next one's answer has to be whole, in each state at least once."""
        for each in exchanges:
            if (fault := each.fault()) is not None:
                return f"{each.key}: {fault}"
        missing = set(_KINDS) - {each.kind for each in exchanges}
        return f"nobody left in {', '.join(sorted(missing))}" if missing else None

    def figures(self, exchanges: Sequence[Exchange]) -> dict[str, float]:
        """Seconds from the leave to the next one's first token."""
        figures: dict[str, float] = {}
        for kind in _KINDS:
            figures |= wait_figures(f"freed_{kind}", [each.first_seconds for each in exchanges if each.kind == kind])
        return figures
