"""What one answer takes, while it is made: every generation for it, whoever asked for that, and what it costs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from chatbot.domain.generation import Backend, Usage
from chatbot.domain.model import ModelInfo
from chatbot.domain.usage.prices import NO_PRICES, PriceTable, priced_name, today


@dataclass(frozen=True, slots=True)
class Priced:
    """By what a service's answers are priced."""

    service: str
    prices: PriceTable = NO_PRICES
    day: Callable[[], date] = today

    def meter(self, backend: Backend, model: ModelInfo | None) -> "Meter":
        """For one answer of a model."""
        return Meter(self, backend, model)


class Meter:
    """What one answer took so far.

    A generation is priced by itself, as whoever bills it does: a long prompt makes that one dear, not the others.

    Attributes:
        model: Name of the model; "" where there was none.
        usage: Of all its generations together, but for those that are ours.
        ours: Of generations that nobody saw: a character's answer that was made again.
        price: Version of the row that priced the last of them; "": nothing does.
        priced_as: The table's name of the model; "": none.
        is_estimated: Whether nobody told all counts.
        queue_seconds: In the waiting line; `first_seconds`: from arrival to the first text, 0 where there was none.
        tools: Names of our tools that ran.
        finish: Why the model ended, as metrics call it; "" where it did not.
    """

    def __init__(self, priced: Priced, backend: Backend, model: ModelInfo | None = None) -> None:
        self._priced = priced
        self._backend = backend
        self.model = model.name if model is not None else ""
        self.revision = model.revision if model is not None else ""
        self.usage = self.ours = Usage(0, 0)
        self.micro_usd = 0
        self.price = ""
        self.priced_as = ""
        self.is_estimated = False
        self.queue_seconds = 0.0
        self.first_seconds = 0.0
        self.tools: tuple[str, ...] = ()
        self.finish = ""

    @property
    def cost_usd(self) -> str | None:
        """Dollars, with all six decimals of whole micro-dollars; None where nothing prices it."""
        return f"{self.micro_usd // 1_000_000}.{self.micro_usd % 1_000_000:06d}" if self.price else None

    def spent(self, usage: Usage, *, is_estimated: bool = False, is_ours: bool = True) -> None:
        """A generation is over; `is_ours`: the bill for it."""
        self.usage = _both(self.usage, usage)
        self.is_estimated = self.is_estimated or is_estimated
        if not is_ours:
            return
        name, day = priced_name(self._backend, self._priced.service, self.model), self._priced.day()
        cost = self._priced.prices.cost(name, usage, day)
        row = self._priced.prices.row(name, day)
        if cost is not None and row is not None:
            self.micro_usd += cost.micro_usd
            self.price, self.priced_as = cost.version, row.model

    @property
    def made(self) -> Usage:
        """Of all generations, whoever pays them."""
        return _both(self.usage, self.ours)

    def forgive(self) -> int:
        """What our own model made so far is ours; what others bill is not. Its tokens."""
        usage = self.usage
        if self._backend is Backend.LLAMA:
            self.ours, self.usage, self.micro_usd = _both(self.ours, usage), Usage(0, 0), 0
        return usage.prompt_tokens + usage.completion_tokens

    def failed(self) -> None:
        """The answer failed. What our own model made before is free; what others bill is not."""
        if self._backend is Backend.LLAMA:
            self.usage, self.micro_usd = Usage(0, 0), 0


def _both(one: Usage, other: Usage) -> Usage:
    return Usage(
        one.prompt_tokens + other.prompt_tokens,
        one.completion_tokens + other.completion_tokens,
        one.cached_tokens + other.cached_tokens,
    )
