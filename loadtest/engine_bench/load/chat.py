"""W1-W3: conversations with a shared persona, a burst with one new prefix, prompts that share nothing."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from engine_bench.load.client import Exchange, Question, ask
from engine_bench.load.texts import text_of
from engine_bench.load.workload import TEMPLATE_TOKENS, first_fault, fresh, message, shared_figures, wait_figures
from engine_bench.results.figures import percentile


@dataclass(frozen=True, slots=True)
class Chat:
    """W1: clients talk in turns to personas, some of which are more popular (Zipf).

    Afterwards one client alone asks a new persona twice, a few times over: the second turn against the cold first.
    """

    clients: int = 8
    personas: int = 4
    persona_tokens: int = 1000
    turns: int = 6
    question_tokens: int = 60
    answer_tokens: int = 48
    alone: int = 3
    name: str = "W1"

    @property
    def slots(self) -> int:
        """One per client."""
        return self.clients

    @property
    def slot_tokens(self) -> int:
        """A whole conversation."""
        return self.persona_tokens + self.turns * (self.question_tokens + self.answer_tokens) + TEMPLATE_TOKENS

    async def play(self, port: int, seed: int) -> list[Exchange]:
        """All clients at once, then one alone."""
        rng = random.Random(seed)  # noqa: S311 - texts, no secrets
        personas = [text_of(rng, self.persona_tokens) for _ in range(self.personas)]
        weights = [1 / (rank + 1) for rank in range(self.personas)]
        talks = [
            self._talk(port, f"c{client}", persona, random.Random(rng.random()), ("first", "later"))  # noqa: S311
            for client, persona in enumerate(rng.choices(personas, weights, k=self.clients))
        ]
        exchanges = [each for talk in await asyncio.gather(*talks) for each in talk]
        for number in range(self.alone):
            kinds = ("alone_first", "alone_later")
            persona = text_of(rng, self.persona_tokens)
            exchanges += await self._talk(port, f"alone{number}", persona, rng, kinds, turns=2)
        return exchanges

    async def _talk(
        self, port: int, user: str, persona: str, rng: random.Random, kinds: tuple[str, str], *, turns: int = 0
    ) -> list[Exchange]:
        messages, exchanges = [message("system", persona)], []
        for turn in range(turns or self.turns):
            messages.append(message("user", text_of(rng, self.question_tokens)))
            kind = kinds[min(turn, 1)]
            question = Question(f"{user}.{turn}", kind, user, tuple(messages), self.answer_tokens, rng.randrange(2**31))
            exchanges.append(await ask(port, question))
            messages.append(message("assistant", exchanges[-1].text))
        return exchanges

    def fault(self, exchanges: Sequence[Exchange]) -> str | None:
        """Every answer has to be whole."""
        return first_fault(exchanges)

    def figures(self, exchanges: Sequence[Exchange]) -> dict[str, float]:
        """Besides the shared ones: by turn, and the second turn against a cold one."""
        together = [each for each in exchanges if not each.kind.startswith("alone")]
        figures = shared_figures(together)
        for kind in ("first", "later"):
            figures |= wait_figures(f"ttft_{kind}", [each.first_seconds for each in exchanges if each.kind == kind])
        cold, warm = (
            percentile([each.first_seconds for each in exchanges if each.kind == kind], 50)
            for kind in ("alone_first", "alone_later")
        )
        if self.alone:
            figures |= {"ttft_cold": cold, "ttft_second_turn": warm, "second_turn_of_cold": warm / cold}
        return figures


@dataclass(frozen=True, slots=True)
class Burst:
    """W2: requests at once that begin with the same prefix, which nobody has seen."""

    sizes: tuple[int, ...] = (8,)
    prefix_tokens: int = 1500
    tail_tokens: int = 20
    answer_tokens: int = 16
    slots: int = 8
    name: str = "W2"

    @property
    def slot_tokens(self) -> int:
        """One request."""
        return self.prefix_tokens + self.tail_tokens + self.answer_tokens + TEMPLATE_TOKENS

    async def play(self, port: int, seed: int) -> list[Exchange]:
        """One burst after another."""
        rng = random.Random(seed)  # noqa: S311 - texts, no secrets
        exchanges: list[Exchange] = []
        for size in self.sizes:
            system = message("system", text_of(rng, self.prefix_tokens))
            asked = []
            for number in range(size):
                user = f"b{size}.{number}"
                messages = (system, message("user", text_of(rng, self.tail_tokens)))
                asked.append(Question(user, f"burst{size}", user, messages, self.answer_tokens, rng.randrange(2**31)))
            exchanges += await asyncio.gather(*(ask(port, question) for question in asked))
        return exchanges

    def fault(self, exchanges: Sequence[Exchange]) -> str | None:
        """Every answer has to be whole."""
        return first_fault(exchanges)

    def figures(self, exchanges: Sequence[Exchange]) -> dict[str, float]:
        """The first size's under the shared names, others with theirs; computed tokens against the least possible."""
        figures: dict[str, float] = {}
        for size in self.sizes:
            burst = [each for each in exchanges if each.kind == f"burst{size}"]
            found = shared_figures(burst)
            if "prompt_tokens_computed" in found:
                least = max(each.wanted_prompt_tokens for each in burst) + (size - 1) * self.tail_tokens
                found["computed_of_least"] = found["prompt_tokens_computed"] / least
            suffix = "" if size == self.sizes[0] else f"_{size}"
            figures |= {f"{name}{suffix}": value for name, value in found.items()}
        return figures


@dataclass(frozen=True, slots=True)
class Apart:
    """W3: independent prompts, nothing to share."""

    clients: int = 8
    prompts: int = 32
    prompt_tokens: int = 200
    answer_tokens: int = 32
    name: str = "W3"

    @property
    def slots(self) -> int:
        """One per client."""
        return self.clients

    @property
    def slot_tokens(self) -> int:
        """One request."""
        return self.prompt_tokens + self.answer_tokens + TEMPLATE_TOKENS

    async def play(self, port: int, seed: int) -> list[Exchange]:
        """Each client takes the next prompt when its answer is whole."""
        rng = random.Random(seed)  # noqa: S311 - texts, no secrets
        prompts = [fresh(rng, self.prompt_tokens // 2, self.prompt_tokens // 2) for _ in range(self.prompts)]
        left = iter(enumerate(prompts))
        exchanges: list[Exchange] = []

        async def client(user: str) -> None:
            for number, prompt in left:
                question = Question(f"p{number}", "first", user, prompt, self.answer_tokens, number)
                exchanges.append(await ask(port, question))

        await asyncio.gather(*(client(f"c{number}") for number in range(self.clients)))
        return exchanges

    def fault(self, exchanges: Sequence[Exchange]) -> str | None:
        """Every answer has to be whole."""
        return first_fault(exchanges)

    def figures(self, exchanges: Sequence[Exchange]) -> dict[str, float]:
        """The shared ones."""
        return shared_figures(exchanges)
