"""W5: more and more users, with pauses; some lose their patience, and who is refused comes back when told."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engine_bench.load.client import Exchange, Question, ask
from engine_bench.load.texts import Message, text_of
from engine_bench.load.workload import TEMPLATE_TOKENS, message, shared_figures

_REFUSED = 429


@dataclass(frozen=True, slots=True)
class Ramp:
    """Stages of so many users; each asks, reads, thinks and asks again.

    Attributes:
        impatient_share: Questions whose user goes away after `patience_seconds`.
        first_seconds: Limit of the time to the first token of a good answer.
        gap_seconds: Limit of its mean gap.
        drain_seconds: For what is under way at the end.
    """

    stages: tuple[int, ...] = (15, 25, 50, 75, 100, 150, 200)
    stage_seconds: float = 60.0
    personas: int = 8
    persona_tokens: int = 300
    question_tokens: int = 40
    answer_tokens: int = 48
    think_seconds: float = 5.0
    impatient_share: float = 0.2
    patience_seconds: float = 5.0
    first_seconds: float = 10.0
    gap_seconds: float = 0.3
    drain_seconds: float = 240.0
    slots: int = 8
    name: str = "W5"

    @property
    def slot_tokens(self) -> int:
        """One request."""
        return self.persona_tokens + self.question_tokens + self.answer_tokens + TEMPLATE_TOKENS

    async def play(self, port: int, seed: int) -> list[Exchange]:
        """Users join from stage to stage; all stop after the last."""
        rng = random.Random(seed)  # noqa: S311 - texts, no secrets
        personas = [text_of(rng, self.persona_tokens) for _ in range(self.personas)]
        end = time.perf_counter() + self.stage_seconds * len(self.stages)
        users: list[asyncio.Task[list[Exchange]]] = []
        for stage in self.stages:
            for number in range(len(users), stage):
                persona = message("system", personas[number % self.personas])
                own = random.Random(rng.random())  # noqa: S311 - texts, no secrets
                users.append(asyncio.create_task(self._user(port, f"u{number}", persona, own, end)))
            await asyncio.sleep(self.stage_seconds)
        exchanges: list[Exchange] = []
        drained, late = await asyncio.wait(users, timeout=self.drain_seconds)
        for user in late:
            user.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for user in drained:
            exchanges += user.result()
        # Who has no answer by now gets none: a question without an end, which makes the run void.
        exchanges += [Exchange(f"late{number}", "late", "", 0, 0, end) for number in range(len(late))]
        return exchanges

    async def _user(self, port: int, user: str, persona: Message, rng: random.Random, end: float) -> list[Exchange]:
        exchanges: list[Exchange] = []
        number = 0
        await asyncio.sleep(rng.uniform(0, self.think_seconds))
        while time.perf_counter() < end:
            messages = (persona, message("user", text_of(rng, self.question_tokens)))
            question = Question(f"{user}.{number}", "asked", user, messages, self.answer_tokens, rng.randrange(2**31))
            patience = self.patience_seconds if rng.random() < self.impatient_share else None
            while True:
                exchanges.append(await ask(port, question, patience))
                if exchanges[-1].status != _REFUSED or exchanges[-1].has_left:
                    break
                await asyncio.sleep(exchanges[-1].retry_after_seconds or 1.0)
            number += 1
            await asyncio.sleep(rng.expovariate(1 / self.think_seconds))
        return exchanges

    def fault(self, exchanges: Sequence[Exchange]) -> str | None:
        """Refusals and leavers belong to it; any other answer has to be whole."""
        for each in exchanges:
            if each.status != _REFUSED and not each.has_left and (fault := each.fault()) is not None:
                return f"{each.key}: {fault}"
        return None

    def figures(self, exchanges: Sequence[Exchange]) -> dict[str, float]:
        """Good answers per second and stage, refusals, fairness of the last stage.

        An answer counts where it ended; those after the last stage, when nobody asks any more, count in none.
        """
        begin = min(each.sent_at for each in exchanges)
        good: Counter[int] = Counter()
        users: Counter[str] = Counter({each.user: 0 for each in exchanges})
        for each in exchanges:
            if each.is_whole:
                stage = int((each.done_at - begin) / self.stage_seconds)
                good[stage] += self._is_good(each)
                users[each.user] += stage == len(self.stages) - 1
        rates = [good[stage] / self.stage_seconds for stage in range(len(self.stages))]
        ends = {each.key: each for each in exchanges}  # the last attempt of each question
        stayed = [each for each in ends.values() if not each.has_left]
        whole = [each for each in exchanges if each.is_whole]
        figures = shared_figures(whole) if whole else {}
        figures |= {f"goodput_{users_then}": rate for users_then, rate in zip(self.stages, rates, strict=True)}
        return figures | {
            "goodput_last": rates[-1],
            "goodput_of_best": rates[-1] / max(rates) if max(rates) else 0.0,
            "answered_share": sum(each.is_whole for each in stayed) / len(stayed) if stayed else 0.0,
            "refused_share": sum(each.status == _REFUSED for each in exchanges) / len(exchanges),
            "jain": _jain(list(users.values())),
        }

    def _is_good(self, exchange: Exchange) -> bool:
        gaps = [gap for _, gap in exchange.gaps]
        return exchange.first_seconds <= self.first_seconds and sum(gaps) <= self.gap_seconds * max(1, len(gaps))


def _jain(shares: Sequence[int]) -> float:
    """Jain, Chiu, Hawe: A Quantitative Measure of Fairness (DEC-TR-301, 1984); 1 is equal."""
    squares = sum(share**2 for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0
