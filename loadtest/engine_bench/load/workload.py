"""What a workload is: sizes, a play against one server, and the figures that its answers give."""

import random
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from engine_bench.load.client import Exchange
from engine_bench.load.texts import Message, text_of
from engine_bench.results.figures import percentile

TEMPLATE_TOKENS: Final = 128
"""Room for the chat format around a conversation's messages."""


class Workload(Protocol):
    """One of W1-W7."""

    @property
    def name(self) -> str:
        """Its number."""

    @property
    def slots(self) -> int:
        """Requests at once that a server is set up for."""

    @property
    def slot_tokens(self) -> int:
        """Longest request, prompt and answer; a server gets `slots` times as many tokens of KV pool."""

    async def play(self, port: int, seed: int) -> list[Exchange]:
        """Do it once. The same seed asks the same."""

    def fault(self, exchanges: Sequence[Exchange]) -> str | None:
        """What makes the run void, or None."""

    def figures(self, exchanges: Sequence[Exchange]) -> dict[str, float]:
        """Its figures; seconds, tokens, tokens per second."""


def first_fault(exchanges: Iterable[Exchange]) -> str | None:
    """The first exchange that was not the work that was asked for."""
    for exchange in exchanges:
        if (fault := exchange.fault()) is not None:
            return f"{exchange.key}: {fault}"
    return None


def message(role: str, content: str) -> Message:
    """One message."""
    return {"role": role, "content": content}


def fresh(rng: random.Random, system_tokens: int, question_tokens: int) -> list[Message]:
    """A dialogue that nobody has seen."""
    return [message("system", text_of(rng, system_tokens)), message("user", text_of(rng, question_tokens))]


def shared_figures(exchanges: Sequence[Exchange]) -> dict[str, float]:
    """Speed, waits and work of any run."""
    seconds = max(each.done_at for each in exchanges) - min(each.sent_at for each in exchanges)
    tokens = sum(count for each in exchanges for _, count in each.pieces)
    sent = sum(each.prompt_tokens or 0 for each in exchanges)
    figures = {
        "seconds": seconds,
        "answer_tokens": tokens,
        "tokens_per_second": tokens / seconds,
        "prompt_tokens_sent": sent,
        **wait_figures("ttft", [each.first_seconds for each in exchanges]),
        **gap_figures("itl", [gap for each in exchanges for _, gap in each.gaps]),
    }
    cached = [each.cached_tokens for each in exchanges]
    if None not in cached:
        figures["prompt_tokens_computed"] = sent - sum(count or 0 for count in cached)
    return figures


def wait_figures(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {f"{name}_p50": percentile(seconds, 50), f"{name}_p95": percentile(seconds, 95)}


def gap_figures(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and the longest; nothing where there is no gap."""
    if not seconds:
        return {}
    return {
        f"{name}_p50": percentile(seconds, 50),
        f"{name}_p99": percentile(seconds, 99),
        f"{name}_max": max(seconds),
    }
