"""W4: answers are running while a long prompt is read."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from engine_bench.load.client import Exchange, Question, ask
from engine_bench.load.texts import Message, text_of
from engine_bench.load.workload import TEMPLATE_TOKENS, first_fault, fresh, gap_figures, message, shared_figures
from engine_bench.results.figures import percentile

_PART_TOKENS = 2000
"""Tokens of one message: below the 8,000 characters that our service takes."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """Streams of a fixed length, one after another per client, and long prompts among them.

    The next long prompt comes `pause_seconds` after the first token of the one before. Streams go on until the
    last long prompt has its answer, so the number of streams differs; each of them is checked.
    """

    streams: int = 6
    stream_prompt_tokens: int = 100
    stream_tokens: int = 200
    longs: int = 2
    long_tokens: int = 6000
    long_answer_tokens: int = 8
    lead_seconds: float = 1.0
    pause_seconds: float = 10.0
    slots: int = 8
    name: str = "W4"

    @property
    def slot_tokens(self) -> int:
        """The long prompt."""
        return self.long_tokens + self.long_answer_tokens + TEMPLATE_TOKENS

    async def play(self, port: int, seed: int) -> list[Exchange]:
        """Streams first; they end after the last long prompt."""
        rng = random.Random(seed)  # noqa: S311 - texts, no secrets
        is_over = asyncio.Event()
        begun = [asyncio.Event() for _ in range(self.streams)]
        running = [
            asyncio.create_task(self._streams(port, f"s{number}", random.Random(rng.random()), (begins, is_over)))  # noqa: S311
            for number, begins in enumerate(begun)
        ]
        for begins, stream in zip(begun, running, strict=True):
            sign = asyncio.create_task(begins.wait())
            await asyncio.wait({sign, stream}, return_when=asyncio.FIRST_COMPLETED)  # one that fails never begins
            sign.cancel()
        await asyncio.sleep(self.lead_seconds)
        longs = []
        for number in range(self.longs):
            question = self._long(rng, number)
            longs.append(await ask(port, question))
            if number + 1 < self.longs:
                answering = longs[-1].done_at - longs[-1].sent_at - longs[-1].first_seconds
                await asyncio.sleep(max(0.0, self.pause_seconds - answering))
        is_over.set()
        return [each for task in running for each in await task] + longs

    async def _streams(
        self, port: int, user: str, rng: random.Random, signs: tuple[asyncio.Event, asyncio.Event]
    ) -> list[Exchange]:
        exchanges: list[Exchange] = []
        begins, is_over = signs

        def notes(pieces: int) -> bool:
            if pieces:
                begins.set()
            return False  # it stays

        while not is_over.is_set():
            prompt = fresh(rng, self.stream_prompt_tokens // 2, self.stream_prompt_tokens // 2)
            key, seed = f"{user}.{len(exchanges)}", rng.randrange(2**31)
            looks = None if begins.is_set() else notes
            question = Question(key, "stream", user, prompt, self.stream_tokens, seed, looks)
            exchanges.append(await ask(port, question))
            if exchanges[-1].fault() is not None:
                break  # the run is void; a server that refuses must not be asked without a pause
        return exchanges

    def _long(self, rng: random.Random, number: int) -> Question:
        """A dialogue of several messages, because one may not be so long."""
        count = -(-self.long_tokens // _PART_TOKENS)
        count += 1 - count % 2  # the last one is the user's
        sizes = [self.long_tokens // count] * (count - 1)
        sizes.append(self.long_tokens - sum(sizes))
        roles = ("user", "assistant")
        messages: list[Message] = [message(roles[index % 2], text_of(rng, size)) for index, size in enumerate(sizes)]
        return Question(f"long{number}", "long", f"l{number}", messages, self.long_answer_tokens, number)

    def fault(self, exchanges: Sequence[Exchange]) -> str | None:
        """Every answer has to be whole."""
        return first_fault(exchanges)

    def figures(self, exchanges: Sequence[Exchange]) -> dict[str, float]:
        """Gaps of the streams that end while a long prompt is being read, and all of them."""
        streams = [each for each in exchanges if each.kind == "stream"]
        longs = [each for each in exchanges if each.kind == "long"]
        windows = [(each.sent_at, each.sent_at + each.first_seconds) for each in longs]
        beside: list[float] = []
        quiet: list[float] = []
        for at, gap in (gap for each in streams for gap in each.gaps):
            overlaps = any(at > begin and at - gap < end for begin, end in windows)
            (beside if overlaps else quiet).append(gap)
        first = percentile([each.first_seconds for each in longs], 50)
        return (
            shared_figures(exchanges)
            | gap_figures("itl", [gap for each in streams for _, gap in each.gaps])
            | gap_figures("itl_beside", beside)
            | gap_figures("itl_quiet", quiet)
            | {"ttft_long": first}
        )
