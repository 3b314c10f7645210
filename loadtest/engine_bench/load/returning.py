"""W6: more conversations than the pool holds come back for a second turn."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from engine_bench.load.client import Exchange, Question, ask
from engine_bench.load.texts import Message, text_of
from engine_bench.load.workload import TEMPLATE_TOKENS, first_fault, fresh, message, shared_figures, wait_figures


@dataclass(frozen=True, slots=True)
class Returning:
    """First turns of all conversations, then second turns of the oldest, alone, each beside a cold prompt as long.

    Attributes:
        times_the_pool: How much more the conversations are than the pool holds.
        returning: How many come back.
    """

    conversations: int = 200
    system_tokens: int = 260
    question_tokens: int = 40
    answer_tokens: int = 16
    times_the_pool: int = 4
    returning: int = 40
    slots: int = 8
    name: str = "W6"

    @property
    def slot_tokens(self) -> int:
        """So much that the pool is the given part of all conversations; at least one request."""
        one = self.system_tokens + 2 * (self.question_tokens + self.answer_tokens) + TEMPLATE_TOKENS
        return max(one, self.conversations * one // (self.times_the_pool * self.slots))

    async def play(self, port: int, seed: int) -> list[Exchange]:
        """As many first turns at once as there are slots; then one request at a time."""
        rng = random.Random(seed)  # noqa: S311 - texts, no secrets
        talks = [fresh(rng, self.system_tokens, self.question_tokens) for _ in range(self.conversations)]
        answers: dict[int, Exchange] = {}
        left = iter(enumerate(talks))

        async def client() -> None:
            for number, talk in left:
                answers[number] = await self._ask(port, f"c{number}", "first", talk)

        await asyncio.gather(*(client() for _ in range(self.slots)))
        exchanges = list(answers.values())
        for number in range(self.returning):
            question = message("user", text_of(rng, self.question_tokens))
            talk = [*talks[number], message("assistant", answers[number].text), question]
            exchanges.append(await self._ask(port, f"r{number}", "restored", talk))
            cold = [message(each["role"], text_of(rng, len(each["content"]) // 3)) for each in talk]
            exchanges.append(await self._ask(port, f"n{number}", "cold", cold))
        return exchanges

    async def _ask(self, port: int, user: str, kind: str, messages: Sequence[Message]) -> Exchange:
        return await ask(port, Question(user, kind, user, messages, self.answer_tokens))

    def fault(self, exchanges: Sequence[Exchange]) -> str | None:
        """Every answer has to be whole."""
        return first_fault(exchanges)

    def figures(self, exchanges: Sequence[Exchange]) -> dict[str, float]:
        """Time to the first token of those who came back, against the cold ones."""
        figures = shared_figures(exchanges)
        for kind in ("restored", "cold"):
            figures |= wait_figures(f"ttft_{kind}", [each.first_seconds for each in exchanges if each.kind == kind])
        return figures | {"restored_of_cold": figures["ttft_restored_p50"] / figures["ttft_cold_p50"]}
